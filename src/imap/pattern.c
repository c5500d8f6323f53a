#include "imap/pattern.h"

#include "base/text.h"

static bool same(Slice pattern, size_t p, Slice name, size_t n, bool is_inbox)
{
    if (pattern.at[p] == name.at[n]) return true;
    return is_inbox && n < 5 && ascii_upper(pattern.at[p]) == name.at[n];
}

/* Where a wildcard stands, and from where it will swallow one octet more. */
typedef struct {
    bool is_set;
    size_t pattern, name;
} Mark;

/* Goes back to the last wildcard that can still grow: a "%" up to the next separator, then the last
 * "*". What stands before a "*" need never be looked at again, as it takes everything. */
static bool go_back(Slice name, Mark *percent, Mark *star, size_t *p, size_t *n)
{
    if (percent->is_set && percent->name < name.len && name.at[percent->name] != '/') {
        *p = percent->pattern, *n = ++percent->name;
        return true;
    }
    percent->is_set = false;
    if (!star->is_set || star->name >= name.len) return false;
    *p = star->pattern, *n = ++star->name;
    return true;
}

bool imap_pattern_matches(Slice pattern, Slice name)
{
    if (pattern.len > IMAP_PATTERN_MOST) return false;
    bool is_inbox = slice_starts(name, S("INBOX")) && (name.len == 5 || name.at[5] == '/');
    Mark percent = {0}, star = {0};
    size_t p = 0, n = 0;
    for (;;) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = (Mark){true, ++p, n};
            percent.is_set = false;
        } else if (p < pattern.len && pattern.at[p] == '%') {
            percent = (Mark){true, ++p, n};
        } else if (p == pattern.len && n == name.len) {
            return true;
        } else if (p < pattern.len && n < name.len && same(pattern, p, name, n, is_inbox)) {
            p++, n++;
        } else if (!go_back(name, &percent, &star, &p, &n)) {
            return false;
        }
    }
}
