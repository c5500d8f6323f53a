#include "mail/casemap.h"
#include "base/text.h"

#include <stdlib.h>
#include <utf8proc.h>

/* RFC 5051 section 2: titlecase, then decompose as far as it goes. Every character is folded alone,
 * so text may be folded in pieces cut between characters. */
static size_t fold_slowly(uint32_t codepoint, char out[64])
{
    enum {
        SHARP_S = 0xdf
    }; /* utf8proc gives it the capital U+1E9E, UnicodeData.txt gives it none */
    utf8proc_int32_t parts[32], letter = (utf8proc_int32_t)codepoint;
    int boundary_class = UTF8PROC_BOUNDCLASS_START;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        letter == SHARP_S ? letter : utf8proc_totitle(letter), parts, COUNT(parts),
        UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary_class);
    if (n < 0 || n > (utf8proc_ssize_t)COUNT(parts)) return 0;
    size_t len = 0;
    for (utf8proc_ssize_t i = 0; i < n && len + 4 <= 64; i++)
        len += (size_t)utf8proc_encode_char(parts[i], (utf8proc_uint8_t *)out + len);
    return len;
}

/* utf8proc walks its tables at 25 MB/s; a language uses few letters, so each thread remembers what
 * it folded. Codepoint 0 never gets here: an empty row fits nothing. */
typedef struct {
    uint32_t codepoint;
    uint8_t len;
    char out[11];
} Folded;
static _Thread_local Folded folded_before[1024];

static void fold_character(Buf *out, uint32_t codepoint)
{
    Folded *known = &folded_before[codepoint % COUNT(folded_before)];
    if (known->codepoint == codepoint) {
        buf_add(out, slice(known->out, known->len));
        return;
    }
    char text[64];
    size_t len = fold_slowly(codepoint, text);
    buf_add(out, slice(text, len));
    if (len > sizeof known->out) return;
    known->codepoint = codepoint;
    known->len = (uint8_t)len;
    memcpy(known->out, text, len);
}

/* Most letters that are not ASCII have two octets, and fold to two to four: each thread has a row
 * for each of them. len 0: not known yet, or longer than a row. */
typedef struct {
    uint8_t len;
    char out[7];
} FoldedTwo;
enum { TWO_OCTETS_END = 0x800 };
static _Thread_local FoldedTwo folded_twos[TWO_OCTETS_END];

static void learn_two(uint32_t codepoint)
{
    char text[64];
    FoldedTwo *row = &folded_twos[codepoint];
    size_t len = fold_slowly(codepoint, text);
    if (len > sizeof row->out) return;
    row->len = (uint8_t)len;
    memcpy(row->out, text, len);
}

/* Letters of two octets and the ASCII between their words; the octets taken. */
static size_t fold_twos(Buf *out, Slice s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    const FoldedTwo *rows = folded_twos;
    size_t i = 0, room = s.len / 2 * sizeof rows->out + 8;
    char *start = buf_reserve(out, room), *to = start;
    while (i + 2 <= s.len) {
        if (at[i] < 0x80 && at[i + 1] >= 0xc2) {
            *to++ = ascii_upper((char)at[i++]);
            continue;
        }
        if (at[i] < 0xc2 || at[i] > 0xdf || (at[i + 1] & 0xc0) != 0x80) break;
        uint32_t codepoint = (at[i] & 0x1fu) << 6 | (at[i + 1] & 0x3fu);
        const FoldedTwo *row = &rows[codepoint];
        if (!row->len) learn_two(codepoint);
        if (!row->len) break;
        memcpy(to, row->out, sizeof row->out);
        to += row->len;
        i += 2;
    }
    out->len += (size_t)(to - start);
    return i;
}

/* Eight octets at once: where every octet is below 0x80, add 0x80-'a' and look whether it carries
 * into the top bit. */
static uint64_t upper_of_eight(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t from_a = v + ones * (0x80 - 'a');
    uint64_t past_z = v + ones * (0x80 - 'z' - 1);
    return v ^ (((from_a & ~past_z) & (ones * 0x80)) >> 2);
}

/* How many octets were ASCII, and folded. */
static size_t fold_ascii(Buf *out, Slice s)
{
    char *to = buf_reserve(out, s.len);
    const uint64_t high = 0x8080808080808080u;
    size_t i = 0;
    for (uint64_t v[4]; i + sizeof v <= s.len; i += sizeof v) {
        memcpy(v, s.at + i, sizeof v);
        if ((v[0] | v[1] | v[2] | v[3]) & high) break;
        for (size_t k = 0; k < COUNT(v); k++)
            v[k] = upper_of_eight(v[k]);
        memcpy(to + i, v, sizeof v);
    }
    for (; i + 8 <= s.len; i += 8) {
        uint64_t v;
        memcpy(&v, s.at + i, 8);
        if (v & high) break;
        v = upper_of_eight(v);
        memcpy(to + i, &v, 8);
    }
    for (; i < s.len && !(s.at[i] & 0x80); i++)
        to[i] = ascii_upper(s.at[i]);
    out->len += i;
    return i;
}

enum { TWOS_STEP = 4096 }; /* room is made for the longest they may become */

void casemap(Buf *out, Slice utf8)
{
    while (utf8.len) {
        if (!(utf8.at[0] & 0x80)) {
            utf8 = slice_from(utf8, fold_ascii(out, utf8));
            continue;
        }
        uint32_t codepoint;
        size_t used = fold_twos(out, slice_first(utf8, TWOS_STEP));
        if (used) {
            utf8 = slice_from(utf8, used);
            continue;
        }
        used = utf8_decode(utf8, &codepoint);
        if (used)
            fold_character(out, codepoint);
        else
            buf_char(out, utf8.at[0]);
        utf8 = slice_from(utf8, used ? used : 1);
    }
}

bool casemap_contains(Slice folded_haystack, Slice folded_needle)
{
    return slice_holds(folded_haystack, folded_needle);
}

Err nfc(Slice utf8, Buf *out)
{
    if (text_is_ascii(utf8)) {
        buf_add(out, utf8);
        return OK;
    }
    if (!utf8_is_valid(utf8)) return fail(ERR_SYNTAX, "not valid UTF-8");
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)utf8.at, (utf8proc_ssize_t)utf8.len,
                                      &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n >= 0) buf_add(out, slice(composed, (size_t)n));
    free(composed);
    return n < 0 ? fail(ERR_SYNTAX, "%s", utf8proc_errmsg(n)) : OK;
}
