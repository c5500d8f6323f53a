#include "mail/charset.h"
#include "base/text.h"
#include "mail/shifting.h"

#include <errno.h>
#include <iconv.h>
#include <stdatomic.h>

typedef enum {
    READ_UTF8,
    READ_GUESS, /* UTF-8 if it is valid, else windows-1252 */
    READ_1252,
    READ_ICONV,
    READ_ICONV_SHIFTING, /* text of 7-bit octets need not be ASCII */
    READ_HZ,
    READ_ISO2022JP,
    READ_UTF16,
    READ_UTF16LE,
    READ_UTF16BE,
    READ_UTF32,
    READ_UTF32LE,
    READ_UTF32BE,
    READ_UTF7,
    READ_UTF7_IMAP
} Reading;

struct Charset {
    Slice name;
    Reading reading;
    const char *converter; /* iconv's name */
    Slice aliases;         /* letters and digits only, a SP between two */
};

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define CHARSET(name, reading, converter, aliases) {TEXT(name), reading, converter, TEXT(aliases)},
static const Charset rows[] = {
#include "mail/charset.def"
};

/* A converter costs a microsecond to open and must not be shared by two threads: each row keeps one
 * that is not in use. It also keeps glibc from unloading the module, so that charset_warm_up lasts.
 */
static _Atomic(iconv_t) idle[COUNT(rows)], idle_writers[COUNT(rows)];

static iconv_t take(_Atomic(iconv_t) *kept, const char *to, const char *from)
{
    iconv_t had = atomic_exchange(kept, NULL);
    if (had) return had;
    iconv_t opened = iconv_open(to, from);
    return opened == (iconv_t)-1 ? NULL : opened; /* NOANALYZE(malloc-leak): -1 is none */
}

static void give(_Atomic(iconv_t) *kept, iconv_t converter)
{
    iconv_t other = atomic_exchange(kept, converter);
    if (other) iconv_close(other);
}

static iconv_t converter_take(const Charset *c)
{
    return take(&idle[c - rows], "UTF-8", c->converter);
}

static void converter_give(const Charset *c, iconv_t converter)
{
    give(&idle[c - rows], converter);
}

/* Letters and digits of a name, lower case; false: more than `room`. */
static bool name_core(Slice name, char *core, size_t room, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_alnum((unsigned char)name.at[i])) continue;
        if (*len == room) return false;
        core[(*len)++] = ascii_lower(name.at[i]);
    }
    return *len > 0;
}

static bool is_alias(Slice aliases, Slice core)
{
    for (Slice one; slice_cut(&aliases, ' ', &one);)
        if (slice_eq(one, core)) return true;
    return false;
}

const Charset *charset_find(Slice name)
{
    char core[32], other[32];
    size_t len, other_len;
    name = slice_first(name, slice_find(name, '*')); /* RFC 2231 5: a language may follow */
    if (name.len > 64 || !name_core(name, core, sizeof core, &len)) return NULL;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!name_core(rows[i].name, other, sizeof other, &other_len)) continue;
        if (slice_eq(slice(core, len), slice(other, other_len))) return &rows[i];
        if (is_alias(rows[i].aliases, slice(core, len))) return &rows[i];
    }
    return NULL;
}

Slice charset_name(const Charset *c)
{
    return c->name;
}

/* Steps over what iconv could not read. EILSEQ: one octet does not fit; EINVAL: the text ends
 * inside a character. */
static void skip_bad(char **in, size_t *in_left, int why, Buf *out)
{
    utf8_encode(out, REPLACEMENT);
    size_t bad = why == EINVAL ? *in_left : 1;
    *in += bad, *in_left -= bad;
}

static void convert(iconv_t converter, Slice text, Buf *out)
{
    char *in = (char *)(uintptr_t)text.at; /* iconv does not write there, whatever its type says */
    size_t in_left = text.len;
    iconv(converter, NULL, NULL, NULL, NULL);
    while (in_left) {
        size_t room = in_left + in_left / 2 + 16, left = room;
        char *to = buf_reserve(out, room);
        errno = 0;
        size_t done = iconv(converter, &in, &in_left, &to, &left);
        int why = errno;
        out->len += room - left;
        if (done != (size_t)-1) break;
        if (why == E2BIG) continue;
        if (in_left) skip_bad(&in, &in_left, why, out);
    }
    char *to = buf_reserve(out, 16); /* some hold a character back: CP1258, TCVN */
    size_t left = 16;
    if (iconv(converter, NULL, NULL, &to, &left) != (size_t)-1) out->len += 16 - left;
}

/* The last character of text that was cut by octets may be incomplete: how many octets that are. */
static size_t incomplete_tail(Slice text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        unsigned char c = (unsigned char)text.at[text.len - back];
        if ((c & 0xc0) == 0x80) continue;
        size_t wants = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return wants > back ? back : 0;
    }
    return 0;
}

/* Text without a charset we know. Only what has whole characters beyond ASCII may end in half of
 * one: a single octet at the end
 * ("Caf\xe9") is windows-1252. */
static bool looks_like_utf8(Slice text)
{
    Slice whole = slice_first(text, text.len - incomplete_tail(text));
    if (!utf8_is_valid(whole)) return false;
    return whole.len == text.len || !text_is_ascii(whole);
}

static void guess(Slice text, Buf *out)
{
    if (looks_like_utf8(text))
        utf8_repair(text, out);
    else
        windows1252_to_utf8(text, out);
}

static void by_iconv(const Charset *c, Slice text, Buf *out)
{
    iconv_t converter = converter_take(c);
    if (!converter) {
        guess(text, out); /* an installation without glibc's gconv modules */
        return;
    }
    convert(converter, text, out);
    converter_give(c, converter);
}

static void by_bom(Slice text, size_t unit, Buf *out)
{
    bool little = text.len >= 2 && text.at[0] == '\xff' && text.at[1] == '\xfe';
    if (unit == 2)
        utf16_to_utf8(text, little, out); /* RFC 2781 4.3: big-endian unless it says otherwise */
    else
        utf32_to_utf8(text, little, out);
}

static void through(const Charset *c, void (*rewrite)(Slice, Buf *), Slice text, Buf *out)
{
    Buf plain buf_scoped = {0};
    rewrite(text, &plain);
    by_iconv(c, buf_slice(&plain), out);
}

static Reading reading_of(const Charset *c)
{
    return c ? c->reading : READ_GUESS;
}

bool charset_is_utf8(const Charset *c, Slice text)
{
    Reading reading = reading_of(c);
    if (reading <= READ_GUESS) return utf8_is_valid(text);
    return reading <= READ_ICONV && text_is_ascii(text);
}

void charset_to_utf8(const Charset *c, Slice text, Buf *out)
{
    Reading reading = reading_of(c);
    if (reading <= READ_ICONV && text_is_ascii(text)) {
        buf_add(out, text);
        return;
    }
    switch (reading) {
    case READ_UTF8:
        utf8_repair(text, out);
        return;
    case READ_GUESS:
        guess(text, out);
        return;
    case READ_1252:
        windows1252_to_utf8(text, out);
        return;
    case READ_ICONV:
    case READ_ICONV_SHIFTING:
        by_iconv(c, text, out);
        return;
    case READ_HZ:
        through(c, hz_to_gb, text, out);
        return;
    case READ_ISO2022JP:
        through(c, iso2022jp_to_euc, text, out);
        return;
    case READ_UTF16:
        by_bom(text, 2, out);
        return;
    case READ_UTF16LE:
        utf16_to_utf8(text, true, out);
        return;
    case READ_UTF16BE:
        utf16_to_utf8(text, false, out);
        return;
    case READ_UTF32:
        by_bom(text, 4, out);
        return;
    case READ_UTF32LE:
        utf32_to_utf8(text, true, out);
        return;
    case READ_UTF32BE:
        utf32_to_utf8(text, false, out);
        return;
    case READ_UTF7:
        utf7_to_utf8(text, '+', out);
        return;
    case READ_UTF7_IMAP:
        utf7_to_utf8(text, '&', out);
        return;
    }
}

/* ---- writing ---- */

/* Octets of the character in front; the text is valid. */
static size_t utf8_length(Slice utf8)
{
    unsigned char c = (unsigned char)utf8.at[0];
    return MIN(c >= 0xf0   ? (size_t)4
               : c >= 0xe0 ? (size_t)3
               : c >= 0xc0 ? (size_t)2
                           : (size_t)1,
               utf8.len);
}

static bool is_ascii_charset(const Charset *c)
{
    return slice_eq(c->name, S("us-ascii"));
}

static const char *writer_name(const Charset *c)
{
    return c->reading == READ_1252 ? c->name.at : c->converter;
}

bool charset_can_write(const Charset *c)
{
    return c->reading == READ_UTF8 || c->reading == READ_1252 || c->reading == READ_ICONV ||
           is_ascii_charset(c);
}

static bool write_replacement(const Charset *c, Slice replacement, Buf *out)
{
    return replacement.len && charset_from_utf8(c, replacement, (Slice){0}, out);
}

static bool write_ascii(const Charset *c, Slice utf8, Slice replacement, Buf *out)
{
    while (utf8.len) {
        size_t n = 0;
        while (n < utf8.len && !(utf8.at[n] & 0x80))
            n++;
        buf_add(out, slice_first(utf8, n));
        utf8 = slice_from(utf8, n);
        if (!utf8.len) break;
        if (!write_replacement(c, replacement, out)) return false;
        utf8 = slice_from(utf8, utf8_length(utf8));
    }
    return true;
}

static bool write_by_iconv(iconv_t converter, const Charset *c, Slice utf8, Slice replacement,
                           Buf *out)
{
    char *in = (char *)(uintptr_t)utf8.at;
    size_t in_left = utf8.len;
    iconv(converter, NULL, NULL, NULL, NULL);
    while (in_left) {
        size_t room = 2 * in_left + 16, left = room;
        char *to = buf_reserve(out, room);
        errno = 0;
        size_t done = iconv(converter, &in, &in_left, &to, &left);
        int why = errno;
        out->len += room - left;
        if (done != (size_t)-1 || why == E2BIG) continue;
        if (!write_replacement(c, replacement, out)) return false;
        size_t bad = utf8_length(slice(in, in_left));
        in += bad, in_left -= bad;
    }
    return true;
}

bool charset_from_utf8(const Charset *c, Slice utf8, Slice replacement, Buf *out)
{
    Buf valid buf_scoped = {0};
    utf8_repair(utf8, &valid);
    utf8 = buf_slice(&valid);
    if (c->reading == READ_UTF8) {
        buf_add(out, utf8);
        return true;
    }
    if (is_ascii_charset(c)) return write_ascii(c, utf8, replacement, out);
    if (!charset_can_write(c)) return false;
    _Atomic(iconv_t) *kept = &idle_writers[c - rows];
    iconv_t converter = take(kept, writer_name(c), "UTF-8");
    if (!converter) return false;
    bool fits = write_by_iconv(converter, c, utf8, replacement, out);
    give(kept, converter);
    return fits;
}

void charset_warm_up(void)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        if (rows[i].converter) by_iconv(&rows[i], S("warm up \xe4"), &out);
        if (charset_can_write(&rows[i])) (void)!charset_from_utf8(&rows[i], S("a"), S(""), &out);
    }
}
