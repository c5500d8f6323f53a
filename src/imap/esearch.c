/* ESEARCH, RFC 7377: many mailboxes, one after another, each with an answer of its own. */
#include "base/table.h"
#include "imap/context.h"

enum { SOURCES_MOST = 100, MAILBOXES_MOST = 10000 };

typedef enum {
    SOURCE_SELECTED,
    SOURCE_PERSONAL, /* INBOXES too: any mailbox may be delivered to (RFC 5465 6.3) */
    SOURCE_SUBSCRIBED,
    SOURCE_SUBTREE,
    SOURCE_SUBTREE_ONE,
    SOURCE_MAILBOXES,
} SourceType;
typedef struct {
    SourceType type;
    Slice name; /* of SUBTREE, SUBTREE-ONE, MAILBOXES */
} Source;
typedef struct {
    Source list[SOURCES_MOST];
    size_t count;
    bool selected, others;
} Sources;

/* ---- grammar ---- */

static void add_source(In *in, Sources *all, SourceType type, Slice name)
{
    if (all->count == SOURCES_MOST) {
        imap_mistake(in, "Too many mailboxes");
        return;
    }
    all->list[all->count++] = (Source){type, name};
    *(type == SOURCE_SELECTED ? &all->selected : &all->others) = true;
}

/* RFC 5465 8: one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" */
PARKS static void named(In *in, Sources *all, SourceType type)
{
    imap_space(in);
    bool many = imap_see(in, "(");
    do
        add_source(in, all, type, imap_mailbox(in, NULL));
    while (many && imap_see(in, " "));
    if (many) imap_need(in, ")");
}

/* RFC 5465 8, RFC 7377 4: filter-mailboxes */
PARKS static void source(In *in, Sources *all)
{
    static const struct {
        const char *word;
        SourceType type;
    } words[] = {
        {"selected",    SOURCE_SELECTED   },
        {"inboxes",     SOURCE_PERSONAL   },
        {"personal",    SOURCE_PERSONAL   },
        {"subscribed",  SOURCE_SUBSCRIBED },
        {"subtree",     SOURCE_SUBTREE    },
        {"subtree-one", SOURCE_SUBTREE_ONE},
        {"mailboxes",   SOURCE_MAILBOXES  },
    };
    Slice word = imap_label(in);
    for (size_t i = 0; i < COUNT(words); i++) {
        if (!slice_eq_nocase(word, slice_of(words[i].word))) continue;
        if (words[i].type >= SOURCE_SUBTREE)
            named(in, all, words[i].type);
        else
            add_source(in, all, words[i].type, (Slice){0});
        return;
    }
    imap_mistake(in, "Unknown source");
}

/* RFC 7377 4: esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")". No
 * scope option is known to anybody. */
PARKS static void sources(In *in, Sources *all)
{
    if (!imap_see(in, "IN (")) {
        add_source(in, all, SOURCE_SELECTED, (Slice){0});
        return;
    }
    do
        source(in, all);
    while (imap_see(in, " "));
    imap_need(in, ") ");
}

/* RFC 7377 2.2: what needs a selected mailbox, and what goes with no other. */
static Err check(Imap *s, const Sources *all, const Search *search)
{
    bool needs = all->selected || search->wants & RETURN_UPDATE;
    if (needs && s->state != SELECTED) imap_mistake(s->in, "No mailbox is selected");
    if (search->wants & RETURN_SAVE && all->others)
        imap_mistake(s->in, "SAVE is for the selected mailbox alone");
    return imap_syntax(s->in);
}

/* ---- which mailboxes ---- */

typedef struct {
    Slice *names;
    size_t count, room;
} Names;

static void add_name(Imap *s, Names *n, Slice name)
{
    for (size_t i = 0; i < n->count; i++)
        if (slice_eq(n->names[i], name)) return;
    if (n->count == n->room) {
        n->room = MAX(n->room * 2, (size_t)16);
        Slice *more = arena_array(&s->arena, Slice, n->room);
        if (n->count) memcpy(more, n->names, n->count * sizeof *more);
        n->names = more;
    }
    n->names[n->count++] = name;
}

/* Is `name` in the tree below `root`, or is it the root? */
static bool is_below(Slice root, Slice name, bool one_level)
{
    if (!slice_starts(name, root)) return false;
    if (name.len == root.len) return true;
    Slice rest = slice_from(name, root.len + 1);
    if (name.at[root.len] != MAILBOX_SEPARATOR) return false;
    return !one_level || slice_find(rest, MAILBOX_SEPARATOR) == rest.len;
}

static bool fits(const Source *source, const MailboxEntry *e)
{
    switch (source->type) {
    case SOURCE_PERSONAL:
        return e->exists;
    case SOURCE_SUBSCRIBED:
        return e->subscribed;
    case SOURCE_SUBTREE:
    case SOURCE_SUBTREE_ONE:
        return e->exists && is_below(source->name, e->name, source->type == SOURCE_SUBTREE_ONE);
    case SOURCE_SELECTED:
    case SOURCE_MAILBOXES:
        break;
    }
    return false;
}

/* Subtrees may be those of other namespaces. */
PARKS static Err others(Imap *s, const Sources *all, MailboxEntry **entries, size_t *count)
{
    for (size_t i = 0; i < all->count; i++) {
        SourceType type = all->list[i].type;
        if (type == SOURCE_SUBTREE || type == SOURCE_SUBTREE_ONE)
            return imap_others(s, false, entries, count);
    }
    return OK;
}

/* By name, as the names are now; who asks for the selected mailbox means it whatever it is called.
 * What is named explicitly may be somebody else's. */
PARKS static Err find_names(Imap *s, const Sources *all, Names *names)
{
    MailboxEntry *entries = NULL, *theirs = NULL;
    size_t count = 0, their_count = 0;
    if (!all->others) return OK;
    imap_go(s, s->user.acct);
    account_mailboxes(s->account, &s->arena, &entries, &count);
    TRY(others(s, all, &theirs, &their_count));
    if (count + their_count > MAILBOXES_MOST) return fail(ERR_LIMIT, "too many mailboxes");
    for (size_t i = 0; i < all->count; i++) {
        const Source *source = &all->list[i];
        if (source->type >= SOURCE_SUBTREE) add_name(s, names, source->name);
        for (size_t e = 0; e < count; e++)
            if (fits(source, &entries[e])) add_name(s, names, entries[e].name);
        for (size_t e = 0; e < their_count && source->type != SOURCE_PERSONAL; e++)
            if (fits(source, &theirs[e])) add_name(s, names, theirs[e].name);
    }
    return OK;
}

/* ---- searching ---- */

/* RFC 7377 2.1: no answer about mailboxes where nothing is found. */
PARKS static Err search_view(Imap *s, View *view, Search *search)
{
    SearchFound found;
    SearchResult result;
    bool selected = view == s->view;
    TRY(search_enough(s, view, search, &found));
    search_result(search, &found, NULL, &result);
    if (search->wants & RETURN_SAVE) search_save(s, search, &result);
    if (result.count) search_tell(s, view, true, search, &result);
    if (selected && search->wants & RETURN_UPDATE) context_begin(s, search, NULL, &result, true);
    return OK;
}

static bool is_selected(const Imap *s, const Mailbox *box)
{
    return s->box && mailbox_account(s->box) == mailbox_account(box) &&
           mailbox_status(s->box).id == mailbox_status(box).id;
}

/* RFC 7377 2.2: mailboxes that may not be read, or are not there, are passed over. */
PARKS static Err search_name(Imap *s, Slice name, Search *search, bool *selected_too)
{
    Mailbox *box scoped(mailbox) = NULL;
    View *view scoped(view) = NULL;
    if (imap_open(s, name, &box) || !(mailbox_rights(box) & RIGHT_READ)) return OK;
    if (is_selected(s, box)) {
        if (*selected_too) return OK;
        *selected_too = true;
        return search_view(s, s->view, search);
    }
    if (view_open(box, false, &view)) return OK;
    return search_view(s, view, search);
}

PARKS static Err search_all(Imap *s, const Sources *all, Search *search)
{
    Names names = {0};
    bool selected_too = all->selected;
    if (all->selected) TRY(search_view(s, s->view, search));
    TRY(find_names(s, all, &names));
    for (size_t i = 0; i < names.count && !stream_error(s->stream); i++)
        TRY(search_name(s, names.names[i], search, &selected_too));
    if (search->wants & RETURN_UPDATE && !selected_too)
        context_refuse(s, "Only the selected mailbox can be watched");
    return OK;
}

PARKS static Err esearch(Imap *s, Search *search)
{
    Sources *all = arena_new(&s->arena, Sources);
    imap_space(s->in);
    sources(s->in, all);
    search_parse_return(s, search);
    if (!search->extended) search->wants = RETURN_ALL;
    TRY(search_parse_program(s, search));
    TRY(check(s, all, search));
    TRY(context_check(s, search));
    if (search->uses_modseq) imap_use_condstore(s);
    return search_all(s, all, search);
}

/* RFC 7377 4: esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP
 * search-program. Answers are about UIDs (2.1). An example writes "UID ESEARCH", so that is taken,
 * too. */
Err imap_cmd_esearch(Imap *s)
{
    Search search = {0};
    s->by_uid = true;
    Err err = esearch(s, &search);
    if (err) return search_failed(s, &search, err);
    return imap_ok(s, "ESEARCH completed");
}
