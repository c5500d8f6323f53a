/* "name LF text": whatever the charset, the text is UTF-8 afterwards; mailbox names have one
 * spelling; folding twice is folding once for what it leaves valid. */
#include "base/fuzz.h"
#include "base/text.h"
#include "mail/casemap.h"
#include "mail/charset.h"

static void check_utf7(Slice text)
{
    Buf name buf_scoped = {0}, spelling buf_scoped = {0}, back buf_scoped = {0};
    if (!utf7_decode(text, &name)) {
        utf7_encode(buf_slice(&name), &spelling);
        must(slice_eq(text, buf_slice(&spelling)));
    }
    if (!utf8_is_valid(text)) return;
    buf_clear(&spelling);
    utf7_encode(text, &spelling);
    must(!utf7_decode(buf_slice(&spelling), &back) && slice_eq(buf_slice(&back), text));
}

static void check_fold(Slice text)
{
    Buf folded buf_scoped = {0}, pieces buf_scoped = {0}, composed buf_scoped = {0};
    casemap(&folded, text);
    size_t half = utf8_cut(text, text.len / 2);
    if (!utf8_is_valid(text)) return;
    casemap(&pieces, slice_first(text, half));
    casemap(&pieces, slice_from(text, half));
    must(slice_eq(buf_slice(&folded), buf_slice(&pieces)));
    must(utf8_is_valid(buf_slice(&folded)));
    must(casemap_contains(buf_slice(&folded), buf_slice(&pieces)));
    must(!nfc(text, &composed) && utf8_is_valid(buf_slice(&composed)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice text = slice(data, size), name;
    Buf utf8 buf_scoped = {0};
    check_utf7(text);
    check_fold(text);
    if (!slice_cut(&text, '\n', &name)) return 0;
    charset_to_utf8(charset_find(name), text, &utf8);
    must(utf8_is_valid(buf_slice(&utf8)));
    must(utf8.len <= 16 * text.len + 16);
    return 0;
}
