/* First octet: how the rest is cut. Cut anywhere, the same text; no white space but single spaces
 * and line ends; UTF-8 stays UTF-8. */
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Buf whole buf_scoped = {0}, cut buf_scoped = {0};
    HtmlText a = {0}, b = {0};
    Slice html = slice(data + 1, size - 1);
    html_text(&a, html, &whole);
    html_text_end(&a, &whole);
    for (size_t i = 0, n; i < html.len; i += n) {
        n = MIN(1u + data[0] % 16, html.len - i);
        html_text(&b, slice(html.at + i, n), &cut);
    }
    html_text_end(&b, &cut);
    must(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    must(whole.len <= html.len + 1);
    if (utf8_is_valid(html)) must(utf8_is_valid(buf_slice(&whole)));
    for (size_t i = 1; i < whole.len; i++)
        must(!memchr(" \n", whole.at[i], 2) || !memchr(" \n", whole.at[i - 1], 2));
    return 0;
}
