/* A search program: keys within keys, without recursion. */
#include "imap/search_parse.h"
#include "imap/thread.h"

enum { DEPTH_MOST = 50, IN_THREAD_MOST = 3 };

/* What waits for keys: the whole program and "(" take any number, NOT takes one, OR two or more. */
typedef struct {
    SearchKey *key;
    int wants; /* 0: any number */
} Frame;

typedef struct {
    KeyParser p;
    Frame frames[DEPTH_MOST];
    size_t depth;
} Program;

static void push(Program *g, KeyType type, int wants)
{
    if (g->p.depth == DEPTH_MOST) {
        imap_mistake(g->p.in, "Search keys nest too deep");
        return;
    }
    g->p.depth++;
    Frame *f = &g->frames[g->depth++];
    f->key = search_new_key(&g->p, type);
    f->wants = wants;
}

/* "OR" begins. Clients that look for many things chain it: OR a OR b OR c d. Such a chain is one OR
 * of many: the inner one brings two keys where the outer one wanted one. */
static void push_or(Program *g)
{
    Frame *f = &g->frames[g->depth - 1];
    if (f->key->type == KEY_OR)
        f->wants++;
    else
        push(g, KEY_OR, 2);
}

/* "INTHREAD" SP search-key (draft-ietf-morg-inthread 3.1); Dovecot's clients name the algorithm in
 * between. Each one within another is a search within a search. */
static void push_in_thread(Program *g)
{
    ThreadAlgorithm algorithm = (ThreadAlgorithm)g->p.search->algorithm;
    (void)thread_see_algorithm(g->p.in, &algorithm);
    push(g, KEY_INTHREAD, 1);
    g->frames[g->depth - 1].key->number = algorithm;
    if (++g->p.in_threads > IN_THREAD_MOST) imap_mistake(g->p.in, "INTHREAD nests too deep");
}

static SearchKey *pop(Program *g)
{
    SearchKey *key = g->frames[--g->depth].key;
    g->p.depth--;
    g->p.in_threads -= key->type == KEY_INTHREAD;
    return key;
}

/* A finished key goes to the frame above; NOT and OR that have all they want are finished
 * themselves. */
static void give(Program *g, SearchKey *key)
{
    for (;;) {
        Frame *f = &g->frames[g->depth - 1];
        search_add_child(f->key, key);
        if (!f->wants || --f->wants) return;
        key = pop(g);
    }
}

/* Does a key with keys of its own begin here? */
static bool opens(Program *g)
{
    In *in = g->p.in;
    if (imap_see(in, "("))
        push(g, KEY_AND, 0);
    else if (imap_see(in, "NOT "))
        push(g, KEY_NOT, 1);
    else if (imap_see(in, "INTHREAD "))
        push_in_thread(g);
    else if (imap_see(in, "FUZZY ")) /* RFC 6203 7 */
        push(g, KEY_FUZZY, 1), g->p.search->is_fuzzy = true;
    else if (imap_see(in, "OR "))
        push_or(g);
    else
        return false;
    return true;
}

PARKS SearchKey *search_program(KeyParser *p)
{
    Program *g = arena_new(&p->s->arena, Program);
    In *in = p->in;
    *g = (Program){.p = *p};
    push(g, KEY_AND, 0);
    while (!imap_syntax(in)) {
        if (opens(g)) continue;
        give(g, search_simple_key(&g->p));
        while (g->depth > 1 && !g->frames[g->depth - 1].wants && imap_see(in, ")"))
            give(g, pop(g));
        if (imap_at_end(in)) break;
        imap_space(in);
    }
    if (g->depth != 1) imap_mistake(in, "The search program is not finished");
    p->keys = g->p.keys;
    return g->depth ? g->frames[0].key : search_new_key(p, KEY_ALL);
}

/* ---- the command ---- */

static const Charset *charset_of(Imap *s, Search *search, Slice name)
{
    bool utf8 = slice_eq_nocase(name, S("UTF-8")) || slice_eq_nocase(name, S("US-ASCII"));
    const Charset *charset = utf8 ? NULL : charset_find(name);
    if (!utf8 && !charset && !imap_syntax(s->in)) search->bad_charset = name;
    return charset;
}

PARKS static Err finish(Imap *s, Search *search, const Charset *charset)
{
    KeyParser p = {.s = s, .in = s->in, .search = search, .charset = charset};
    search->key = search_program(&p);
    if (search->wants & RETURN_RELEVANCY && !search->is_fuzzy) /* RFC 6203 4 */
        imap_mistake(s->in, "RELEVANCY is of FUZZY");
    TRY(imap_end(s->in));
    if (search->bad_filter_charset) return fail(ERR_SYNTAX, "a filter is UTF-8");
    if (search->bad_charset.at) return fail(ERR_CHARSET, "unknown charset");
    return search->undefined_filter.at ? fail(ERR_NOT_FOUND, "undefined filter") : OK;
}

/* RFC 5256 5: search-criteria = charset 1*(SP search-key) */
PARKS Err search_parse_criteria(Imap *s, Search *search)
{
    const Charset *charset = charset_of(s, search, imap_astring(s->in));
    imap_space(s->in);
    return finish(s, search, charset);
}

/* RFC 9051 9: search-program = ["CHARSET" SP charset SP] search-key *(SP search-key) */
PARKS Err search_parse_program(Imap *s, Search *search)
{
    const Charset *charset = NULL;
    if (imap_see(s->in, "CHARSET ")) {
        if (imap_has(s, ENABLED_UTF8)) /* RFC 6855 3 */
            imap_mistake(s->in, "no CHARSET once UTF8=ACCEPT is enabled");
        charset = charset_of(s, search, imap_astring(s->in));
        imap_space(s->in);
    }
    return finish(s, search, charset);
}

PARKS Err search_parse(Imap *s, Search *search)
{
    imap_space(s->in);
    search_parse_return(s, search);
    return search_parse_program(s, search);
}
