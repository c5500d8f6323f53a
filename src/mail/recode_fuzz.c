/* Headers in another charset: in UTF-8 everything fits, and once it is there it stays as it is. As
 * HTML nothing of it is markup, and LF stands only behind CR. */
#include "base/fuzz.h"
#include "mail/convert.h"

static void check_html(Slice text)
{
    Buf html buf_scoped = {0}, lines buf_scoped = {0};
    convert_to_html(text, S("utf-8"), &html);
    Slice pre = S("<pre>"), end = S("</pre></body></html>\r\n"), all = buf_slice(&html);
    all = slice_from(all, slice_find_slice(all, pre) + pre.len);
    must(slice_ends(all, end));
    all.len -= end.len;
    must(slice_find(all, '<') == all.len && slice_find(all, '>') == all.len);
    convert_line_ends(text, &lines);
    for (size_t i = 0; i < lines.len; i++)
        must(lines.at[i] != '\n' || (i && lines.at[i - 1] == '\r'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 16 * 1024) return 0;
    Slice header = slice((const char *)data, size);
    const Charset *utf8 = charset_find(S("utf-8")), *koi8 = charset_find(S("koi8-r"));
    check_html(header);
    Buf once = {0}, twice = {0}, other = {0};
    must(convert_header(header, utf8, S(""), &once));
    must(convert_header(buf_slice(&once), utf8, S(""), &twice));
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    must(convert_header(header, koi8, S("?"), &other));
    (void)!convert_header(header, koi8, S(""), &other); /* not all fits */
    buf_clear(&other);
    (void)!charset_from_utf8(koi8, header, S("?"), &other);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&other);
    return 0;
}
