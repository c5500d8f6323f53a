/* FILTER, RFC 5466: a search program that METADATA keeps under a name. */
#include "imap/search_parse.h"

#include "base/text.h"

/* 3.1: "at least 3 substitution passes"; a name that is still there after these is in a loop. */
enum { PASSES_MOST = 8 };

static bool find_value(const Annotations *all, Slice entry, Slice *value)
{
    for (size_t i = 0; i < all->count; i++) {
        if (!slice_eq(all->list[i].entry, entry) || !all->list[i].value.at) continue;
        *value = all->list[i].value;
        return true;
    }
    return false;
}

/* Entry names are folded as metadata.c folds them. The user's own comes before everybody's (3.1).
 */
PARKS static bool stored(Imap *s, Slice name, Slice *value)
{
    Annotations mine = {0}, shared = {0};
    Buf entry buf_scoped = {0};
    if (!s->account) return false;
    buf_add(&entry, S("/filters/values/"));
    for (size_t i = 0; i < name.len; i++)
        buf_char(&entry, (char)ascii_lower((unsigned char)name.at[i]));
    imap_go(s, s->user.acct);
    Err err = account_annotations(s->account, 0, s->user.acct, &s->arena, &mine);
    bool found = !err && find_value(&mine, buf_slice(&entry), value);
    if (!found)
        found = !store_annotations(account_store(s->account), &s->arena, &shared) &&
                find_value(&shared, buf_slice(&entry), value);
    imap_go_back(s);
    return found;
}

/* A value is one line: nobody sends the literals it might announce. */
static bool is_one_line(Slice value)
{
    if (text_has_ctl(value)) return false;
    return !(value.len && value.at[value.len - 1] == '}' && slice_find(value, '{') < value.len);
}

/* filter-name = 1*<any ATOM-CHAR except "/"> */
static Slice filter_name(In *in)
{
    Slice name = imap_atom(in);
    if (slice_find(name, '/') < name.len) imap_mistake(in, "A filter's name has no slash");
    return name;
}

/* The value as one key; NULL: it is no search program. */
PARKS static SearchKey *parse_value(KeyParser *p, Slice value)
{
    In sub = *p->in;
    sub.scan = scan(value);
    KeyParser inner = {.s = p->s,
                       .in = &sub,
                       .search = p->search,
                       .keys = p->keys,
                       .depth = p->depth,
                       .in_threads = p->in_threads,
                       .passes = p->passes + 1};
    SearchKey *key = search_program(&inner);
    p->keys = inner.keys;
    return imap_end(&sub) ? NULL : key;
}

/* 3.1: "inserted verbatim"; as a whole, so that NOT FILTER means what it says. A filter that is not
 * there, or is no program, is told when the command has been read. */
PARKS SearchKey *search_filter_key(KeyParser *p)
{
    Slice name = filter_name(p->in), value;
    SearchKey *key = NULL;
    if (p->charset) p->search->bad_filter_charset = true;
    if (imap_syntax(p->in)) return search_new_key(p, KEY_ALL);
    if (p->passes < PASSES_MOST && stored(p->s, name, &value) && is_one_line(value))
        key = parse_value(p, value);
    if (key) return key;
    if (!p->search->undefined_filter.at) p->search->undefined_filter = name;
    return search_new_key(p, KEY_ALL);
}

/* 3.2: "The server SHOULD verify that each search criterion stored ... is a full and correct search
 * criterion." Filters that it names may come later. */
PARKS bool search_is_program(Imap *s, Slice value)
{
    Search search = {0};
    KeyParser p = {.s = s, .in = s->in, .search = &search, .passes = PASSES_MOST - 1};
    return is_one_line(value) && parse_value(&p, value);
}
