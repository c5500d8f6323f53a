/* Content transfer encodings, RFC 2045 6.7 and 6.8. Damaged text decodes as far as it can be made
 * sense of. */
#include "mail/decode.h"
#include "mail/octets.h"

/* ---- base64: octets outside the alphabet are ignored, a "=" ends the data ---- */

enum { B64_SKIP = 0x80, B64_BAD, B64_END };

#define B64_4(c)  B64(c), B64(c + 1), B64(c + 2), B64(c + 3)
#define B64_16(c) B64_4(c), B64_4(c + 4), B64_4(c + 8), B64_4(c + 12)
#define B64_64(c) B64_16(c), B64_16(c + 16), B64_16(c + 32), B64_16(c + 48)
#define B64(c)                                                                                     \
    (uint8_t)((c) >= 'A' && (c) <= 'Z'                                  ? (c) - 'A'                \
              : (c) >= 'a' && (c) <= 'z'                                ? (c) - 'a' + 26           \
              : (c) >= '0' && (c) <= '9'                                ? (c) - '0' + 52           \
              : (c) == '+'                                              ? 62                       \
              : (c) == '/'                                              ? 63                       \
              : (c) == '='                                              ? B64_END                  \
              : (c) == '\r' || (c) == '\n' || (c) == ' ' || (c) == '\t' ? B64_SKIP                 \
                                                                        : B64_BAD)
static const uint8_t base64_value[256] = {B64_64(0), B64_64(64), B64_64(128), B64_64(192)};

/* Whole groups of four without anything between them; the octets used. */
static size_t base64_groups(Slice s, char *to, size_t *made)
{
    const unsigned char *in = (const unsigned char *)s.at;
    size_t i = 0;
    char *start = to;
    for (; i + 4 <= s.len; i += 4) {
        uint32_t a = base64_value[in[i]], b = base64_value[in[i + 1]], c = base64_value[in[i + 2]],
                 d = base64_value[in[i + 3]];
        if ((a | b | c | d) & 0x80) break;
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        to[0] = (char)(group >> 16), to[1] = (char)(group >> 8), to[2] = (char)group;
        to += 3;
    }
    *made = (size_t)(to - start);
    return i;
}

static void base64_flush(ContentDecoder *d, Buf *out)
{
    const uint8_t *v = (const uint8_t *)d->held;
    if (d->held_len >= 2) buf_char(out, (char)(v[0] << 2 | v[1] >> 4));
    if (d->held_len >= 3) buf_char(out, (char)(v[1] << 4 | v[2] >> 2));
    if (d->held_len >= 4) buf_char(out, (char)(v[2] << 6 | v[3]));
    if (d->held_len == 1) d->bad = true;
    d->held_len = 0;
}

static void base64_octet(ContentDecoder *d, unsigned char c, Buf *out)
{
    uint8_t v = base64_value[c];
    if (v == B64_SKIP) return;
    if (v == B64_BAD) {
        d->bad = true;
        return;
    }
    if (v == B64_END) {
        base64_flush(d, out);
        d->ended = true;
        return;
    }
    d->held[d->held_len++] = (char)v;
    if (d->held_len == 4) base64_flush(d, out);
}

static void base64(ContentDecoder *d, Slice s, Buf *out)
{
    while (s.len && !d->ended) {
        if (!d->held_len && s.len >= 4) {
            size_t made;
            char *to = buf_reserve(out, s.len / 4 * 3);
            s = slice_from(s, base64_groups(s, to, &made));
            out->len += made;
            if (!s.len) return;
        }
        base64_octet(d, (unsigned char)s.at[0], out);
        s = slice_from(s, 1);
    }
    for (size_t i = 0; i < s.len; i++) /* behind the padding: nothing but more of it belongs here */
        d->bad |= base64_value[(unsigned char)s.at[i]] < B64_SKIP;
}

/* ---- quoted-printable ----
 * held: "" text, "=" after an equals sign, "=X" after it and one hexadecimal digit, "=\r" a soft
 * line break that may have an LF to come. White space is held back by itself. */

enum { WHITE_MOST = 64, HELD_MOST = WHITE_MOST + 4 };

/* Nothing comes out that did not go in: there is room for a piece and all that is held back. */
static void put(Buf *out, char c)
{
    out->at[out->len++] = c;
}

static void white_give(ContentDecoder *d, Buf *out)
{
    if (!d->white_len) return;
    for (unsigned i = d->white_len; i-- > 0;)
        put(out, d->white >> i & 1 ? '\t' : ' ');
    d->white_len = 0;
    d->white = 0;
}

static void white_hold(ContentDecoder *d, char c, Buf *out)
{
    if (d->white_len == WHITE_MOST) { /* a line of 64 and more is not what RFC 2045 means: text */
        put(out, d->white >> (WHITE_MOST - 1) ? '\t' : ' ');
        d->white_len--;
    }
    d->white = d->white << 1 | (c == '\t');
    d->white_len++;
}

static void held_give(ContentDecoder *d, Buf *out)
{
    for (size_t i = 0; i < d->held_len; i++)
        put(out, d->held[i]);
    d->held_len = 0;
}

static void qp_text(ContentDecoder *d, char c, Buf *out)
{
    if (c == ' ' || c == '\t') {
        white_hold(d, c, out);
        return;
    }
    if (c == '\r' ||
        c == '\n') /* RFC 2045 6.7 (3): white space at the end of a line was added on the way */
        d->white_len = 0, d->white = 0;
    else
        white_give(d, out);
    if (c == '=')
        d->held[0] = c, d->held_len = 1;
    else
        put(out, c);
}

/* What came after the "=" does not fit: it stands for itself. */
static void qp_misfit(ContentDecoder *d, char c, Buf *out)
{
    d->bad = true;
    held_give(d, out);
    qp_text(d, c, out);
}

static void qp_octet(ContentDecoder *d, char c, Buf *out)
{
    if (!d->held_len) {
        qp_text(d, c, out);
    } else if (d->held_len == 2 && d->held[1] == '\r') {
        d->held_len = 0;
        if (c != '\n') qp_text(d, c, out);
    } else if (d->held_len == 2) {
        int low = hex_value(c);
        if (low < 0) {
            qp_misfit(d, c, out);
            return;
        }
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): "=X", see above */
        put(out, (char)(hex_value(d->held[1]) << 4 | low));
        d->held_len = 0;
    } else if (c == '\n') {
        d->held_len = 0, d->white_len = 0, d->white = 0;
    } else if (c == '\r') {
        d->held[1] = c, d->held_len = 2, d->white_len = 0, d->white = 0;
    } else if ((c == ' ' || c == '\t') && d->white_len < WHITE_MOST) {
        white_hold(d, c, out); /* "= CRLF": transport padding after a soft break */
    } else if (!d->white_len && hex_value(c) >= 0) {
        d->held[1] = c, d->held_len = 2;
    } else {
        qp_misfit(d, c, out);
    }
}

/* The text at the front that stands for itself and holds nothing back. */
static size_t qp_plain(Slice s)
{
    size_t i = 0;
    while (i < s.len && (unsigned char)s.at[i] > ' ' && s.at[i] != '=')
        i++;
    return i;
}

/* "=====": each but the last stands for itself. How many were taken. */
static size_t qp_equals(ContentDecoder *d, Slice s, Buf *out)
{
    size_t n = 0;
    if (d->held_len != 1 || d->white_len) return 0;
    while (n < s.len && s.at[n] == '=')
        put(out, s.at[n++]);
    d->bad |= n > 0;
    return n;
}

/* Soft line breaks at the front. */
static size_t qp_soft(ContentDecoder *d, Slice s, Buf *out)
{
    size_t n = 0;
    while (slice_starts(slice_from(s, n), S("=\r\n")))
        n += 3;
    if (n) white_give(d, out);
    return n;
}

/* White space at the front: the last of it is held back. */
static size_t qp_white(ContentDecoder *d, Slice s, Buf *out)
{
    size_t n = 0, at = 0;
    while (n < s.len && (s.at[n] == ' ' || s.at[n] == '\t'))
        n++;
    if (n > WHITE_MOST) white_give(d, out);
    while (at + WHITE_MOST < n)
        put(out, s.at[at++]);
    while (at < n)
        white_hold(d, s.at[at++], out);
    return n;
}

/* What needs no look at each octet. How much was taken. */
static size_t qp_run(ContentDecoder *d, Slice s, Buf *out)
{
    if (d->held_len) return qp_equals(d, s, out);
    if (s.at[0] == '=') return qp_soft(d, s, out);
    size_t n = qp_plain(s);
    if (!n) return qp_white(d, s, out);
    white_give(d, out);
    buf_add(out, slice_first(s, n));
    return n;
}

static void quoted_printable(ContentDecoder *d, Slice s, Buf *out)
{
    buf_reserve(out, s.len + HELD_MOST);
    while (s.len) {
        size_t n = qp_run(d, s, out);
        if (!n) qp_octet(d, s.at[n++], out);
        s = slice_from(s, n);
    }
}

void content_decode(ContentDecoder *d, Slice piece, Buf *out)
{
    switch ((PartEncoding)d->encoding) {
    case CTE_BASE64:
        base64(d, piece, out);
        return;
    case CTE_QUOTED_PRINTABLE:
        quoted_printable(d, piece, out);
        return;
    case CTE_7BIT:
    case CTE_8BIT:
    case CTE_BINARY:
    case CTE_UNKNOWN:
        buf_add(out, piece);
        return;
    }
}

void content_decode_end(ContentDecoder *d, Buf *out)
{
    if (d->encoding == CTE_BASE64) {
        base64_flush(d, out);
    } else if (d->encoding == CTE_QUOTED_PRINTABLE) {
        if (d->held_len == 2 && d->held[1] != '\r') {
            d->bad = true;
            buf_reserve(out, HELD_MOST);
            held_give(d, out);
        }
        d->held_len = 0; /* a "=" at the very end is a soft break whose line end was cut off */
        d->white_len = 0;
    }
}
