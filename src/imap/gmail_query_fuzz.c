/* Any text is a query, and makes keys that search_run can ask: bounded in depth, in order of cost,
 * NOT with one child, OR with two or more. */
#include "base/fuzz.h"
#include "imap/search_parse.h"

static size_t look_at(const SearchKey *key, size_t depth)
{
    size_t count = 1;
    must(depth < 80);
    if (key->type == KEY_NOT) must(key->child && !key->child->next);
    if (key->type == KEY_OR) must(key->child);
    if (key->type == KEY_AND) must(key->child);
    if (search_asked_of(key->type) != ASK_PROGRAM) must(!key->child);
    for (const SearchKey *c = key->child; c; c = c->next) {
        must(!c->next || c->cost <= c->next->cost);
        count += look_at(c, depth + 1);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8 * 1024) return 0;
    Imap s = {.arena = {.budget = 4 * 1024 * 1024}};
    *s.in = (In){.arena = &s.arena};
    s.in->scan = scan(S(""));
    Search search = {0};
    KeyParser p = {.s = &s, .in = s.in, .search = &search};
    SearchKey *key = search_gmail_query(&p, slice(data, size));
    if (!imap_syntax(s.in)) must(look_at(key, 0) <= p.keys);
    arena_done(&s.arena);
    return 0;
}
