/* Modified UTF-7 of mailbox names, RFC 3501 5.1.3. Strict both ways: one name has exactly one
 * spelling, so that what decodes encodes to the same octets again. */
#include "base/text.h"
#include "mail/charset.h"
#include "mail/shifting.h"

static bool stands_for_itself(char c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* One codepoint as UTF-16BE. */
static void add_utf16(Buf *units, uint32_t codepoint)
{
    if (codepoint >= 0x10000) {
        codepoint -= 0x10000;
        add_utf16(units, 0xd800 + (codepoint >> 10));
        codepoint = 0xdc00 + (codepoint & 0x3ff);
    }
    buf_char(units, (char)(codepoint >> 8));
    buf_char(units, (char)codepoint);
}

static void encode_run(Slice utf8, Buf *out)
{
    Buf units buf_scoped = {0}, base64 buf_scoped = {0};
    while (utf8.len) {
        uint32_t codepoint;
        size_t used = utf8_decode(utf8, &codepoint);
        add_utf16(&units, used ? codepoint : REPLACEMENT);
        utf8 = slice_from(utf8, used ? used : 1);
    }
    base64_encode(&base64, buf_slice(&units));
    buf_char(out, '&');
    for (size_t i = 0; i < base64.len && base64.at[i] != '='; i++)
        buf_char(out, base64.at[i] == '/' ? ',' : base64.at[i]);
    buf_char(out, '-');
}

void utf7_encode(Slice utf8, Buf *modified_utf7)
{
    while (utf8.len) {
        size_t plain = 0, run = 0;
        while (plain < utf8.len && stands_for_itself(utf8.at[plain]) && utf8.at[plain] != '&')
            plain++;
        buf_add(modified_utf7, slice_first(utf8, plain));
        utf8 = slice_from(utf8, plain);
        if (utf8.len && utf8.at[0] == '&') {
            buf_add(modified_utf7, S("&-"));
            utf8 = slice_from(utf8, 1);
            continue;
        }
        while (run < utf8.len && !stands_for_itself(utf8.at[run]))
            run++;
        if (run) encode_run(slice_first(utf8, run), modified_utf7);
        utf8 = slice_from(utf8, run);
    }
}

/* What stands between '&' and '-', not empty. */
static Err decode_run(Slice run, Buf *utf8)
{
    Buf base64 buf_scoped = {0}, units buf_scoped = {0};
    for (size_t i = 0; i < run.len; i++) {
        if (run.at[i] == '/') return fail(ERR_SYNTAX, "'/' in modified base64");
        buf_char(&base64, run.at[i] == ',' ? '/' : run.at[i]);
    }
    while (base64.len % 4)
        buf_char(&base64, '=');
    if (!base64_decode(&units, buf_slice(&base64)) || !units.len || units.len % 2)
        return fail(ERR_SYNTAX, "not modified base64");
    utf16_to_utf8(buf_slice(&units), false, utf8);
    return OK;
}

static Err decode(Slice s, Buf *utf8)
{
    while (s.len) {
        char c = s.at[0];
        s = slice_from(s, 1);
        if (!stands_for_itself(c)) return fail(ERR_SYNTAX, "8-bit or control character");
        if (c != '&') {
            buf_char(utf8, c);
            continue;
        }
        size_t end = slice_find(s, '-');
        if (end == s.len) return fail(ERR_SYNTAX, "'&' without '-'");
        if (!end)
            buf_char(utf8, '&');
        else
            TRY(decode_run(slice_first(s, end), utf8));
        s = slice_from(s, end + 1);
    }
    return OK;
}

Err utf7_decode(Slice modified_utf7, Buf *utf8)
{
    Buf decoded buf_scoped = {0}, again buf_scoped = {0};
    TRY(decode(modified_utf7, &decoded));
    utf7_encode(buf_slice(&decoded), &again); /* catches every second spelling at once */
    if (!slice_eq(buf_slice(&again), modified_utf7))
        return fail(ERR_SYNTAX, "not the one spelling of this name");
    buf_add(utf8, buf_slice(&decoded));
    return OK;
}
