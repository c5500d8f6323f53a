#include "base/scan.h"
#include "base/text.h"

Scan scan(Slice text)
{
    const char *at = text.at ? text.at : "";
    return (Scan){.at = at, .end = at + text.len, .start = at};
}

static Slice left(const Scan *s)
{
    return s->mistake ? (Slice){0} : slice(s->at, (size_t)(s->end - s->at));
}

static Slice take(Scan *s, size_t len)
{
    Slice taken = slice(s->at, len);
    s->at += len;
    return taken;
}

bool scan_see(Scan *s, char c)
{
    if (scan_is_done(s) || *s->at != c) return false;
    s->at++;
    return true;
}

bool scan_see_word(Scan *s, Slice word)
{
    if (s->mistake || !slice_starts_nocase(left(s), word)) return false;
    s->at += word.len;
    return true;
}

void scan_fail(Scan *s)
{
    if (!s->mistake) s->mistake = s->at;
}

void scan_need(Scan *s, char c)
{
    if (!scan_see(s, c)) scan_fail(s);
}

void scan_need_word(Scan *s, Slice word)
{
    if (!scan_see_word(s, word)) scan_fail(s);
}

/* The cursor stays before a number that does not fit. */
static uint64_t number_up_to(Scan *s, uint64_t most)
{
    Slice rest = left(s), digits = slice_first(rest, 0);
    while (digits.len < rest.len && is_digit((unsigned char)rest.at[digits.len]))
        digits.len++;
    uint64_t n;
    if (!slice_to_u64(digits, &n) || n > most) {
        scan_fail(s);
        return 0;
    }
    s->at += digits.len;
    return n;
}

uint32_t scan_number(Scan *s)
{
    return (uint32_t)number_up_to(s, UINT32_MAX);
}

uint64_t scan_number64(Scan *s)
{
    return number_up_to(s, INT64_MAX);
}

Slice scan_while(Scan *s, bool (*fits)(unsigned char c))
{
    Slice rest = left(s);
    size_t len = 0;
    while (len < rest.len && fits((unsigned char)rest.at[len]))
        len++;
    return take(s, len);
}

Slice scan_until(Scan *s, char c)
{
    return take(s, slice_find(left(s), c));
}

Slice scan_rest(Scan *s)
{
    return take(s, left(s).len);
}

Err scan_end(const Scan *s)
{
    const char *place = s->mistake ? s->mistake : s->at;
    size_t octet = (size_t)(place - s->start) + 1;
    if (!s->mistake && s->at == s->end) return OK;
    if (place == s->end) return fail(ERR_SYNTAX, "ends too early, at octet %zu", octet);
    return fail(ERR_SYNTAX, "does not fit at octet %zu: %02x", octet, (unsigned char)*place);
}
