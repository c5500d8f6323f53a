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
