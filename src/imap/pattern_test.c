#include "base/test.h"
#include "imap/pattern.h"

static const struct {
    const char *pattern, *name;
    bool matches;
} rows[] = {
    {"*",       "a/b/c",       true },
    {"%",       "a",           true },
    {"%",       "a/b",         false},
    {"%/%",     "a/b",         true },
    {"%/%",     "a/b/c",       false},
    {"a/%",     "a/b",         true },
    {"a/%",     "a",           false},
    {"a%",      "a/b",         false},
    {"a*",      "a/b",         true },
    {"*b",      "a/b",         true },
    {"*2",      "foo2/bar2",   true },
    {"*2",      "foo2/bar1",   false},
    {"%a%b",    "xaxab",       true },
    {"%a/%b",   "xa/xb",       true },
    {"%/a*b",   "x/y/ab",      false},
    {"*%b",     "a/b",         true },
    {"*a%b*c",  "xx/ayb/ac/c", true },
    {"*%a%a%a", "a/a/aaa",     true },
    {"*%a%a%a", "aa/a",        false},
    {"",        "",            true },
    {"",        "a",           false},
    {"**",      "",            true },
    {"a",       "A",           false},
    {"inbox",   "INBOX",       true },
    {"Inb%",    "INBOX",       true },
    {"inbox/x", "INBOX/x",     true },
    {"inbox/X", "INBOX/x",     false},
    {"inboxes", "INBOXES",     false},
};

TEST(patterns)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (imap_pattern_matches(slice_of(rows[i].pattern), slice_of(rows[i].name)) !=
            rows[i].matches)
            test_failed(__FILE__, __LINE__, "\"%s\" and \"%s\"", rows[i].pattern, rows[i].name);
}

/* The definition itself, which takes exponential time: short names only. */
static bool by_definition(Slice p, Slice n)
{
    if (!p.len) return !n.len;
    if (*p.at == '*' || *p.at == '%') {
        if (by_definition(slice_from(p, 1), n)) return true;
        return n.len && (*p.at == '*' || *n.at != '/') && by_definition(p, slice_from(n, 1));
    }
    return n.len && *p.at == *n.at && by_definition(slice_from(p, 1), slice_from(n, 1));
}

/* Every pattern of up to five of these signs with every name of up to five. */
static Slice word(char out[5], unsigned number, const char *alphabet)
{
    size_t len = 0;
    for (; number && len < 5; number /= 5)
        if (number % 5) out[len++] = alphabet[number % 5 - 1];
    return slice(out, len);
}

TEST(patterns_are_what_the_definition_says)
{
    for (unsigned i = 0; i < 3125; i++)
        for (unsigned j = 0; j < 3125; j += 3) {
            char p[5], n[5];
            Slice pattern = word(p, i, "*%a/"), name = word(n, j, "ab/a");
            if (imap_pattern_matches(pattern, name) != by_definition(pattern, name))
                test_failed(__FILE__, __LINE__, "\"%.*s\" and \"%.*s\"", SP(pattern), SP(name));
        }
}

TEST(a_long_pattern_matches_nothing)
{
    static char stars[IMAP_PATTERN_MOST + 1];
    memset(stars, '*', sizeof stars);
    check(!imap_pattern_matches(slice(stars, sizeof stars), S("a")));
    check(imap_pattern_matches(slice(stars, sizeof stars - 1), S("a")));
}
