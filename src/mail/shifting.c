#include "mail/shifting.h"
#include "base/text.h"

static bool is_table_octet(char c) /* of a 94 by 94 table */
{
    return c > 0x20 && c < 0x7f;
}

static void add_high(Buf *out, char c)
{
    buf_char(out, (char)(c | (char)0x80));
}

void hz_to_gb(Slice text, Buf *out)
{
    bool chinese = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i], next = i + 1 < text.len ? text.at[i + 1] : 0;
        if (c == '~' && (next == '{' || next == '}')) {
            chinese = next == '{';
            i++;
        } else if (c == '~' && (next == '~' || next == '\n')) {
            if (next == '~') buf_char(out, '~');
            i++;
        } else if (chinese && is_table_octet(c) && is_table_octet(next)) {
            add_high(out, c), add_high(out, next);
            i++;
        } else {
            if (c == '\n') chinese = false; /* RFC 1843: a line ends in ASCII */
            buf_char(out, c);
        }
    }
}

typedef enum { JP_ASCII, JP_KANA, JP_0208, JP_0212 } JapaneseTable;

/* The table an escape sequence at the front of s designates; *len is its length, 0 when it is none.
 */
static JapaneseTable designated(Slice s, size_t *len)
{
    static const struct {
        Slice escape;
        JapaneseTable table;
    } rows[] = {
        {{"\x1b(B", 3},       JP_ASCII},
        {{"\x1b(J", 3},       JP_ASCII},
        {{"\x1b(H", 3},       JP_ASCII},
        {{"\x1b(I", 3},       JP_KANA },
        {{"\x1b$@", 3},       JP_0208 },
        {{"\x1b$B", 3},       JP_0208 },
        {{"\x1b$(D", 4},      JP_0212 },
        {{"\x1b&@\x1b$B", 6}, JP_0208 },
        {{"\x1b$(B", 4},      JP_0208 },
    };
    *len = 0;
    if (s.len < 3 || (s.at[1] != '(' && s.at[1] != '$' && s.at[1] != '&')) return JP_ASCII;
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!slice_starts(s, rows[i].escape)) continue;
        *len = rows[i].escape.len;
        return rows[i].table;
    }
    return JP_ASCII;
}

void iso2022jp_to_euc(Slice text, Buf *out)
{
    JapaneseTable table = JP_ASCII;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i], next = i + 1 < text.len ? text.at[i + 1] : 0;
        size_t escape = 0;
        if (c == '\x1b') {
            JapaneseTable t = designated(slice_from(text, i), &escape);
            if (escape) table = t, i += escape - 1;
            continue;
        }
        if (c == '\n' || c == '\r') table = JP_ASCII; /* RFC 1468: a line ends in ASCII */
        if (table == JP_KANA && is_table_octet(c)) {
            buf_char(out, (char)0x8e), add_high(out, c);
        } else if (table >= JP_0208 && is_table_octet(c) && is_table_octet(next)) {
            if (table == JP_0212) buf_char(out, (char)0x8f);
            add_high(out, c), add_high(out, next);
            i++;
        } else {
            buf_char(out, c);
        }
    }
}

static uint32_t unit16(const char *at, bool little)
{
    const unsigned char *u = (const unsigned char *)at;
    return little ? (uint32_t)(u[0] | u[1] << 8) : (uint32_t)(u[0] << 8 | u[1]);
}

/* One character, surrogates joined; the octets it took. s has at least two. */
static size_t utf16_one(Slice s, bool little, uint32_t *codepoint)
{
    uint32_t high = unit16(s.at, little), low = s.len >= 4 ? unit16(s.at + 2, little) : 0;
    *codepoint = high;
    if (high < 0xd800 || high > 0xdfff) return 2;
    *codepoint = REPLACEMENT;
    if (high >= 0xdc00 || low < 0xdc00 || low > 0xdfff) return 2;
    *codepoint = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 4;
}

void utf16_to_utf8(Slice text, bool little, Buf *out)
{
    while (text.len >= 2) {
        uint32_t codepoint;
        text = slice_from(text, utf16_one(text, little, &codepoint));
        if (codepoint != 0xfeff) utf8_encode(out, codepoint);
    }
    if (text.len) utf8_encode(out, REPLACEMENT);
}

void utf32_to_utf8(Slice text, bool little, Buf *out)
{
    for (; text.len >= 4; text = slice_from(text, 4)) {
        uint32_t a = unit16(text.at, little), b = unit16(text.at + 2, little);
        uint32_t codepoint = little ? b << 16 | a : a << 16 | b;
        if (codepoint > 0x10ffff || (codepoint >= 0xd800 && codepoint <= 0xdfff))
            codepoint = REPLACEMENT;
        if (codepoint != 0xfeff) utf8_encode(out, codepoint);
    }
    if (text.len) utf8_encode(out, REPLACEMENT);
}

static int base64_digit(char c, char last) /* '/' in RFC 2152, ',' in mailbox names */
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == last ? 63 : -1;
}

/* The base64 run at the front of s; the octets it took. */
static size_t utf7_run(Slice s, char last, Buf *out)
{
    Buf units buf_scoped = {0};
    uint32_t bits = 0;
    unsigned have = 0;
    size_t i = 0;
    for (int digit; i < s.len && (digit = base64_digit(s.at[i], last)) >= 0; i++) {
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        buf_char(&units, (char)(bits >> have));
    }
    utf16_to_utf8(buf_slice(&units), false, out);
    return i;
}

void utf7_to_utf8(Slice text, char shift, Buf *out)
{
    while (text.len) {
        char c = text.at[0];
        text = slice_from(text, 1);
        if (c != shift) {
            if (c & (char)0x80)
                utf8_encode(out, REPLACEMENT);
            else
                buf_char(out, c);
            continue;
        }
        size_t used = utf7_run(text, shift == '&' ? ',' : '/', out);
        bool closed = used < text.len && text.at[used] == '-';
        if (!used) buf_char(out, shift); /* "+-" is a plus */
        text = slice_from(text, used + closed);
    }
}

void utf8_repair(Slice text, Buf *out)
{
    if (utf8_is_valid(text)) {
        buf_add(out, text);
        return;
    }
    size_t good = 0; /* octets at the front that are known to be valid */
    while (good < text.len) {
        uint32_t codepoint;
        size_t used = utf8_decode(slice_from(text, good), &codepoint);
        if (used) {
            good += used;
            continue;
        }
        buf_add(out, slice_first(text, good));
        utf8_encode(out, REPLACEMENT);
        text = slice_from(text, good + 1);
        good = 0;
    }
    buf_add(out, text);
}

void windows1252_to_utf8(Slice text, Buf *out)
{
    static const uint16_t upper[32] = {
        0x20ac,      REPLACEMENT, 0x201a, 0x0192, 0x201e, 0x2026,      0x2020, 0x2021,
        0x02c6,      0x2030,      0x0160, 0x2039, 0x0152, REPLACEMENT, 0x017d, REPLACEMENT,
        REPLACEMENT, 0x2018,      0x2019, 0x201c, 0x201d, 0x2022,      0x2013, 0x2014,
        0x02dc,      0x2122,      0x0161, 0x203a, 0x0153, REPLACEMENT, 0x017e, 0x0178};
    size_t plain = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x80) continue;
        buf_add(out, slice(text.at + plain, i - plain));
        utf8_encode(out, c < 0xa0 ? upper[c - 0x80] : c);
        plain = i + 1;
    }
    buf_add(out, slice_from(text, plain));
}
