#include "base/base.h"
#include "base/text.h"

static bool same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    return true;
}

bool slice_eq_nocase(Slice a, Slice b)
{
    return a.len == b.len && same_nocase(a.at, b.at, a.len);
}

int slice_order(Slice a, Slice b)
{
    size_t common = MIN(a.len, b.len);
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool slice_starts(Slice s, Slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_first(s, prefix.len), prefix);
}

bool slice_starts_nocase(Slice s, Slice prefix)
{
    return s.len >= prefix.len && same_nocase(s.at, prefix.at, prefix.len);
}

bool slice_ends(Slice s, Slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

Slice slice_trim(Slice s)
{
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    while (s.len && is_blank(s.at[0]))
        s.at++, s.len--;
    return s;
}

size_t slice_find(Slice s, char c)
{
    const char *found = s.len ? memchr(s.at, c, s.len) : NULL;
    return found ? (size_t)(found - s.at) : s.len;
}

size_t slice_find_last(Slice s, char c)
{
    const char *found = s.len ? memrchr(s.at, c, s.len) : NULL;
    return found ? (size_t)(found - s.at) : s.len;
}

size_t slice_find_slice(Slice s, Slice what)
{
    if (!what.len) return 0;
    const char *found = s.len >= what.len ? memmem(s.at, s.len, what.at, what.len) : NULL;
    return found ? (size_t)(found - s.at) : s.len;
}

/* ---- does it hold this? ---- */

typedef signed char Sixteen __attribute__((vector_size(16)));
enum { MISSES_FREE = 256 };

static Sixteen load(const char *at)
{
    Sixteen v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* An octet of it that is seldom: the first octets of letters beyond ASCII are everywhere in a text
 * of theirs. */
static size_t telling_octet(Slice what)
{
    size_t i = 0;
    while (i + 1 < what.len && ((unsigned char)what.at[i] >= 0xc2 || what.at[i] == ' '))
        i++;
    return i;
}

typedef struct {
    Slice s, what;
    size_t misses; /* places where two octets fitted and the others did not */
} Holding;

/* At one of sixteen places from i on, where fits[] is not 0? */
static bool holds_near(Holding *h, size_t i, Sixteen fits)
{
    char places[sizeof fits];
    memcpy(places, &fits, sizeof places);
    for (size_t k = 0; k < sizeof places; k++) {
        if (!places[k]) continue;
        if (!memcmp(h->s.at + i + k, h->what.at, h->what.len)) return true;
        h->misses++;
    }
    return false;
}

/* Two octets are compared at sixteen places at once; only where both fit, all of them. Where that
 * is often in vain ("aaaaa"), memmem knows better: its time is linear. */
bool slice_holds(Slice s, Slice what)
{
    if (!what.len) return true;
    if (what.len > s.len) return false;
    size_t one = telling_octet(what), other = what.len - 1, i = 0, places = s.len - what.len + 1;
    Holding h = {.s = s, .what = what};
    for (; i + sizeof(Sixteen) <= places && h.misses < MISSES_FREE + i / 16; i += sizeof(Sixteen)) {
        Sixteen fits =
            (load(s.at + i + one) == what.at[one]) & (load(s.at + i + other) == what.at[other]);
        uint64_t any[2];
        memcpy(any, &fits, sizeof any);
        if ((any[0] | any[1]) && holds_near(&h, i, fits)) return true;
    }
    return memmem(s.at + i, s.len - i, what.at, what.len);
}

bool slice_cut(Slice *s, char at, Slice *before)
{
    if (!s->len) return false;
    size_t len = slice_find(*s, at);
    *before = slice_first(*s, len);
    *s = slice_from(*s, len < s->len ? len + 1 : len);
    return true;
}

bool slice_to_u64(Slice s, uint64_t *value)
{
    uint64_t n = 0;
    if (!s.len) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit((unsigned char)s.at[i])) return false;
        if (__builtin_mul_overflow(n, 10, &n)) return false;
        if (__builtin_add_overflow(n, (uint64_t)(s.at[i] - '0'), &n)) return false;
    }
    *value = n;
    return true;
}

uint32_t slice_hash_crc(Slice s)
{
    return crc32c(0, s);
}
