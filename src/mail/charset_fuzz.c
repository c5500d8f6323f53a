/* "name LF text": whatever the charset, the text is UTF-8 afterwards; what is written in a charset
 * can be read, and without a replacement is what it was; mailbox names have one spelling; folding
 * twice is folding once for what it leaves valid. */
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

/* Some charsets have two spellings of a character (CP1258: a letter and its mark), so what is read
 * is written and read again. */
static void check_write(const Charset *c, Slice text)
{
    static const Slice replacements[] = {S(""), S("?"), S("\xc3\xa4")};
    Buf written buf_scoped = {0}, read buf_scoped = {0}, again buf_scoped = {0},
                read_again buf_scoped = {0};
    if (!charset_from_utf8(c, text, replacements[text.len % COUNT(replacements)], &written)) return;
    must(charset_can_write(c));
    charset_to_utf8(c, buf_slice(&written), &read);
    must(utf8_is_valid(buf_slice(&read)));
    if (!charset_from_utf8(c, buf_slice(&read), S(""), &again)) return;
    charset_to_utf8(c, buf_slice(&again), &read_again);
    must(slice_eq(buf_slice(&read_again), buf_slice(&read)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice text = slice(data, size), name;
    Buf utf8 buf_scoped = {0};
    check_utf7(text);
    check_fold(text);
    if (!slice_cut(&text, '\n', &name)) return 0;
    const Charset *c = charset_find(name);
    charset_to_utf8(c, text, &utf8);
    must(utf8_is_valid(buf_slice(&utf8)));
    must(utf8.len <= 16 * text.len + 16);
    if (c) check_write(c, text);
    return 0;
}
