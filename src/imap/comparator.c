/* COMPARATOR, RFC 5255 4.7, and the comparators there are. i;ascii-numeric is not among them: it
 * has no substring operation, so that a server with SORT may not have it (4.4). */
#include "imap/comparator.h"
#include "base/text.h"
#include "imap/session.h"
#include "mail/casemap.h"

/* By how widely useful they are: RFC 4790 3.2 wants the first to be chosen for a wildcard. */
static const Slice names[COMPARATORS] = {
    [COMPARE_UNICODE_CASEMAP] = {"i;unicode-casemap", 17},
    [COMPARE_ASCII_CASEMAP] = {"i;ascii-casemap",   15},
    [COMPARE_OCTET] = {"i;octet",           7 },
};

Slice comparator_name(Comparator c)
{
    return names[c.collation];
}

/* RFC 4790 9.2.1: a to z become A to Z, all else stays. */
static void ascii_casemap(Buf *out, Slice s)
{
    char *to = buf_reserve(out, s.len);
    for (size_t i = 0; i < s.len; i++)
        to[i] = ascii_upper(s.at[i]);
    out->len += s.len;
}

static void octets(Buf *out, Slice s)
{
    buf_add(out, s);
}

MailFold *comparator_folder(Collation c)
{
    switch (c) {
    case COMPARE_UNICODE_CASEMAP:
        return casemap;
    case COMPARE_ASCII_CASEMAP:
        return ascii_casemap;
    case COMPARE_OCTET:
        return octets;
    }
    return casemap;
}

/* ---- patterns ---- */

static Slice without_direction(Slice pattern)
{
    bool has = pattern.len && (pattern.at[0] == '+' || pattern.at[0] == '-');
    return has ? slice_from(pattern, 1) : pattern;
}

static bool is_collation_char(char c)
{
    return is_alnum((unsigned char)c) || c == '-' || c == ';' || c == '=' || c == '.';
}

/* collation-wild = ("*" / (ALPHA ["*"])) *(collation-char ["*"]) */
bool comparator_pattern_is_valid(Slice pattern)
{
    Slice wild = without_direction(pattern);
    if (!wild.len || wild.len > 254) return false;
    if (wild.at[0] != '*' && !is_alpha((unsigned char)wild.at[0])) return false;
    for (size_t i = 0; i < wild.len; i++) {
        bool star = wild.at[i] == '*';
        if (!star && !is_collation_char(wild.at[i])) return false;
        if (star && i && wild.at[i - 1] == '*') return false;
    }
    return true;
}

/* Steps back to the last "*" where it does not fit; no recursion. Identifiers of RFC 4790 are
 * compared without case, as language tags are. */
static bool fits(Slice wild, Slice name)
{
    size_t w = 0, n = 0, star = SIZE_MAX, from = 0;
    while (n < name.len) {
        if (w < wild.len && wild.at[w] == '*') {
            star = w++;
            from = n;
        } else if (w < wild.len && ascii_lower(wild.at[w]) == name.at[n]) {
            w++, n++;
        } else if (star != SIZE_MAX) {
            w = star + 1;
            n = ++from;
        } else {
            return false;
        }
    }
    while (w < wild.len && wild.at[w] == '*')
        w++;
    return w == wild.len;
}

size_t comparator_match(Slice pattern, Comparator found[COMPARATORS])
{
    Slice wild = without_direction(pattern);
    bool descending = pattern.len && pattern.at[0] == '-';
    size_t count = 0;
    for (int i = 0; i < COMPARATORS; i++) {
        bool is_default = i == 0 && slice_eq_nocase(wild, S("default"));
        if (is_default || fits(wild, names[i]))
            found[count++] = (Comparator){(uint8_t)i, descending};
    }
    return count;
}

/* ---- the command ---- */

typedef struct {
    Comparator first;       /* of the first argument that fits anything */
    bool seen[COMPARATORS]; /* by any argument */
    size_t count;
    bool malformed;
} Wanted;

static void want(Wanted *w, Slice pattern)
{
    Comparator found[COMPARATORS];
    w->malformed |= !comparator_pattern_is_valid(pattern);
    size_t n = comparator_match(pattern, found);
    if (n && !w->count) w->first = found[0];
    for (size_t i = 0; i < n; i++) {
        w->count += !w->seen[found[i].collation];
        w->seen[found[i].collation] = true;
    }
}

/* RFC 5255 4.8: the active one; all that fitted when there were several. */
static void tell(Imap *s, const Wanted *w)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, s->comparator.descending ? S("* COMPARATOR -") : S("* COMPARATOR "));
    buf_add(out, comparator_name(s->comparator));
    for (size_t i = 0, told = 0; w->count > 1 && i < COMPARATORS; i++) {
        if (!w->seen[i]) continue;
        buf_add(out, told++ ? S(" ") : S(" ("));
        buf_add(out, names[i]);
    }
    buf_add(out, w->count > 1 ? S(")\r\n") : S("\r\n"));
}

/* RFC 5255 4.7: comparator-cmd = "COMPARATOR" *(SP comp-order-quoted) */
Err imap_cmd_comparator(Imap *s)
{
    Wanted w = {0};
    bool asks = imap_at_end(s->in);
    while (imap_peek(s->in) == ' ') {
        imap_space(s->in);
        want(&w, imap_astring(s->in));
    }
    TRY(imap_end(s->in));
    if (w.malformed) return imap_bad(s, "That is no comparator's name");
    if (!asks && !w.count) return imap_no(s, "[BADCOMPARATOR] I know none of these comparators");
    if (!asks) s->comparator = w.first;
    tell(s, &w);
    return imap_ok(s, "COMPARATOR completed");
}
