/* Fields of a header block and unstructured values. RFC 5322 2.2, 4.5; RFC 2047. */
#include "mail/header.h"
#include "base/text.h"
#include "mail/charset.h"
#include "mail/octets.h"

/* Index behind the line end of the line that begins at `from`. */
static size_t line_after(Slice s, size_t from)
{
    const char *nl = memchr(s.at + from, '\n', s.len - from);
    return nl ? (size_t)(nl - s.at) + 1 : s.len;
}

static Slice without_line_end(Slice line)
{
    if (line.len && line.at[line.len - 1] == '\n') line.len--;
    if (line.len && line.at[line.len - 1] == '\r') line.len--;
    return line;
}

/* The length of the name at the front, 0: this is no field. RFC 5322 4.5 allows white space before
 * the colon. */
static size_t name_length(Slice whole, size_t *colon)
{
    size_t i = 0;
    while (i < whole.len && whole.at[i] > 32 && whole.at[i] < 127 && whole.at[i] != ':')
        i++;
    *colon = i;
    while (*colon < whole.len && is_white(whole.at[*colon]))
        ++*colon;
    return *colon < whole.len && whole.at[*colon] == ':' ? i : 0;
}

bool header_next(Slice header, HeaderField *f)
{
    size_t start = f->next;
    if (start >= header.len) return false;
    size_t end = line_after(header, start);
    if (!without_line_end(slice(header.at + start, end - start)).len) return false; /* the end */
    while (end < header.len && is_white(header.at[end]))
        end = line_after(header, end);
    f->next = end;
    f->whole = slice(header.at + start, end - start);
    f->value = without_line_end(f->whole);
    size_t colon, name = name_length(f->value, &colon);
    f->name = slice_first(f->whole, name);
    if (name) f->value = slice_from(f->value, colon + 1);
    while (name && f->value.len && is_white(f->value.at[0]))
        f->value = slice_from(f->value, 1);
    return true;
}

bool header_find(Slice header, Slice name, HeaderField *f)
{
    while (header_next(header, f))
        if (slice_eq_nocase(f->name, name)) return true;
    return false;
}

void header_unfold(Buf *out, Slice value)
{
    while (value.len) {
        size_t i = 0;
        while (i < value.len && value.at[i] != '\n' && value.at[i] != '\r')
            i++;
        buf_add(out, slice_first(value, i));
        size_t after = i;
        if (after < value.len && value.at[after] == '\r') after++;
        if (after < value.len && value.at[after] == '\n') after++;
        if (after > i && !(after < value.len && is_white(value.at[after])))
            buf_char(out, ' '); /* a line end that folds nothing */
        value = slice_from(value, after);
    }
}

/* ---- RFC 2047 ---- */

typedef struct {
    Slice charset, text;
    char encoding; /* 'q' or 'b' */
    size_t len;    /* octets from "=?" to "?=" */
} Word;

/* encoded-word = "=?" charset "?" encoding "?" encoded-text "?=" at the front of s. We take white
 * space and single question marks inside, which mailers write. A new "=?" inside means that this
 * one has no end: so every octet is looked at for one word only, however many words begin and never
 * end. */
static bool word_at(Slice s, Word *w)
{
    if (s.len < 8 || s.at[0] != '=' || s.at[1] != '?') return false;
    size_t i = 2;
    while (i < s.len && i < 80 && s.at[i] > 32 && s.at[i] < 127 && s.at[i] != '?' && s.at[i] != '=')
        i++;
    w->charset = slice(s.at + 2, i - 2);
    if (!w->charset.len || s.len - i < 4 || s.at[i] != '?' || s.at[i + 2] != '?') return false;
    w->encoding = ascii_lower(s.at[i + 1]);
    if (w->encoding != 'q' && w->encoding != 'b') return false;
    size_t start = i + 3;
    for (i = start; i + 1 < s.len; i++) {
        if (s.at[i] == '?' && s.at[i + 1] == '=') {
            w->text = slice(s.at + start, i - start);
            w->len = i + 2;
            return true;
        }
        bool begins = s.at[i] == '=' && s.at[i + 1] == '?';
        if (begins && !(i + 2 < s.len && s.at[i + 2] == '=')) return false;
    }
    return false;
}

static void q_decode(Slice text, Buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        int high = c == '=' && i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
        if (low >= 0) {
            buf_char(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_char(out, c == '_' ? ' ' : c);
        }
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static void b_decode(Slice text, Buf *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.len && text.at[i] != '='; i++) {
        int v = base64_value(text.at[i]);
        if (v < 0) continue;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        buf_char(out, (char)(bits >> have));
    }
}

/* What decodes is joined before its charset is looked at: a character may be split between two
 * words (RFC 2047 5 forbids it, mailers do it all the same). */
typedef struct {
    Buf *out;
    Buf *octets; /* the words' octets as they are; NULL: not wanted */
    Buf joined;
    Slice charset;
    bool failed; /* some word is in no charset we know, or not what its charset allows */
} Decoding;

static void flush(Decoding *d)
{
    static const Slice replacement = {"\xef\xbf\xbd", 3};
    size_t start = d->out->len;
    if (!d->joined.len) return;
    const Charset *charset = charset_find(d->charset);
    charset_to_utf8(charset, buf_slice(&d->joined), d->out);
    if (d->octets) {
        Slice text = slice_from(buf_slice(d->out), start);
        bool replaced = slice_find_slice(text, replacement) < text.len;
        /* It may have been there before; UTF-8 is what it can be there in. */
        d->failed |= !charset || (replaced && !utf8_is_valid(buf_slice(&d->joined)));
        buf_add(d->octets, buf_slice(&d->joined));
    }
    buf_clear(&d->joined);
}

static void add_plain(Decoding *d, Slice s)
{
    charset_to_utf8(NULL, s, d->out);
    if (d->octets) buf_add(d->octets, s);
}

static void add_word(Decoding *d, const Word *w)
{
    if (!slice_eq_nocase(w->charset, d->charset)) flush(d);
    d->charset = w->charset;
    if (w->encoding == 'q')
        q_decode(w->text, &d->joined);
    else
        b_decode(w->text, &d->joined);
}

static bool is_all_white(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_white(s.at[i])) return false;
    return true;
}

/* False: see Decoding.failed. */
static bool decode_words(Slice s, Buf *out, Buf *octets)
{
    Decoding d = {.out = out, .octets = octets};
    bool after_word = false;
    size_t plain = 0; /* where the text between words begins */
    for (size_t i = 0; i < s.len;) {
        Word w;
        const char *sign = memchr(s.at + i, '=', s.len - i);
        i = sign ? (size_t)(sign - s.at) : s.len;
        if (!sign || !word_at(slice_from(s, i), &w)) {
            i++;
            continue;
        }
        Slice between = slice(s.at + plain, i - plain);
        if (!after_word || !is_all_white(between)) {
            flush(&d);
            add_plain(&d, between);
        }
        add_word(&d, &w);
        after_word = true;
        plain = i += w.len;
    }
    flush(&d);
    add_plain(&d, slice_from(s, plain));
    buf_done(&d.joined);
    return !d.failed;
}

bool header_charsets_are_known(Slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        Word w;
        const char *sign = memchr(value.at + i, '=', value.len - i);
        if (!sign) return true;
        i = (size_t)(sign - value.at);
        if (!word_at(slice_from(value, i), &w)) continue;
        if (!slice_eq_nocase(w.charset, S("utf-8")) && !charset_find(w.charset)) return false;
        i += w.len - 1;
    }
    return true;
}

/* Most fields are one line, and are read where they are. */
static Slice unfolded(Buf *line, Slice value)
{
    if (!value.len || (!memchr(value.at, '\n', value.len) && !memchr(value.at, '\r', value.len)))
        return value;
    header_unfold(line, value);
    return buf_slice(line);
}

static void without_controls(Buf *out, size_t start)
{
    for (size_t i = start; i < out->len; i++)
        if ((unsigned char)out->at[i] < ' ' || out->at[i] == 0x7f) out->at[i] = ' ';
}

void header_decode(Buf *out, Slice value)
{
    Buf line buf_scoped = {0};
    size_t start = out->len;
    decode_words(unfolded(&line, value), out, NULL);
    without_controls(out, start);
}

bool header_decode_exactly(Buf *out, Slice value)
{
    Buf line buf_scoped = {0}, octets buf_scoped = {0};
    size_t start = out->len;
    bool exact = decode_words(unfolded(&line, value), out, &octets);
    if (!exact) {
        out->len = start;
        buf_add(out, buf_slice(&octets));
    }
    without_controls(out, start);
    return exact;
}
