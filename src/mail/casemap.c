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
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t v;
        memcpy(&v, s.at + i, 8);
        if (v & 0x8080808080808080u) break;
        v = upper_of_eight(v);
        memcpy(to + i, &v, 8);
    }
    for (; i < s.len && !(s.at[i] & 0x80); i++)
        to[i] = ascii_upper(s.at[i]);
    out->len += i;
    return i;
}

void casemap(Buf *out, Slice utf8)
{
    while (utf8.len) {
        if (!(utf8.at[0] & 0x80)) {
            utf8 = slice_from(utf8, fold_ascii(out, utf8));
            continue;
        }
        uint32_t codepoint;
        size_t used = utf8_decode(utf8, &codepoint);
        if (used)
            fold_character(out, codepoint);
        else
            buf_char(out, utf8.at[0]);
        utf8 = slice_from(utf8, used ? used : 1);
    }
}

bool casemap_contains(Slice folded_haystack, Slice folded_needle)
{
    if (!folded_needle.len) return true;
    if (folded_needle.len > folded_haystack.len) return false;
    return memmem(folded_haystack.at, folded_haystack.len, folded_needle.at, folded_needle.len);
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
