/* LIST whole (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 6154) and LSUB (RFC 3501 6.3.9).
 *
 * Every name of the account becomes a Row that says whether the patterns match it and whether it
 * satisfies the selection options; then each row that satisfies them says so to its ancestors. */
#include "base/table.h"
#include "imap/metadata.h"
#include "imap/pattern.h"
#include "imap/status.h"

#include <stdlib.h>

enum { /* selection and return options */
       LIST_SUBSCRIBED = 1,
       LIST_SPECIAL_USE = 2,
       LIST_REMOTE = 4, /* those on other servers, too (referral.c) */
       LIST_RECURSIVE = 8,
       LIST_CHILDREN = 16,
       LIST_STATUS = 32,
       LIST_MYRIGHTS = 64,  /* RFC 8440 */
       LIST_METADATA = 128, /* RFC 9590 */
};
enum { PATTERNS_MOST = 100 };

typedef struct {
    bool extended; /* by options, or by parentheses around the patterns */
    bool lsub;
    bool is_old; /* RLIST, RLSUB: nothing of RFC 5258 */
    unsigned select, give;
    unsigned status_items;
    MetadataEntries metadata;
    bool is_root; /* LIST "" "": asks for the separator */
    Slice reference;
    Slice patterns[PATTERNS_MOST];
    size_t pattern_count;
} Wanted;

typedef struct {
    Slice name;
    const MailboxEntry *entry; /* NULL: only an ancestor of a name that does not exist */
    bool matches, satisfies;
    bool is_remote;       /* on another server */
    bool child_satisfies; /* some descendant satisfies the selection options */
    bool hidden_child;    /* and one of those does not match the patterns */
} Row;

/* ---- grammar ---- */

/* list-select-opts = "(" [options] ")" */
static void select_options(In *in, Wanted *w)
{
    static const struct {
        const char *name;
        unsigned bit;
    } options[] = {
        {"SUBSCRIBED",     LIST_SUBSCRIBED },
        {"REMOTE",         LIST_REMOTE     },
        {"RECURSIVEMATCH", LIST_RECURSIVE  },
        {"SPECIAL-USE",    LIST_SPECIAL_USE}
    };
    w->extended = true;
    imap_need(in, "(");
    bool more = !imap_see(in, ")");
    while (more) {
        Slice name = imap_atom(in);
        unsigned found = 0;
        for (size_t i = 0; i < COUNT(options); i++)
            if (slice_eq_nocase(name, slice_of(options[i].name))) found = options[i].bit;
        if (!found) imap_mistake(in, "unknown selection option");
        w->select |= found;
        more = imap_see(in, " ");
        if (!more) imap_need(in, ")");
    }
    if ((w->select & LIST_RECURSIVE) && !(w->select & (LIST_SUBSCRIBED | LIST_SPECIAL_USE)))
        imap_mistake(in, "RECURSIVEMATCH needs another selection option");
    imap_space(in);
}

/* list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")" */
PARKS static void return_options(In *in, Wanted *w)
{
    w->extended = true;
    imap_need(in, " RETURN (");
    bool more = !imap_see(in, ")");
    while (more) {
        Slice name = imap_atom(in);
        if (slice_eq_nocase(name, S("SUBSCRIBED"))) {
            w->give |= LIST_SUBSCRIBED;
        } else if (slice_eq_nocase(name, S("CHILDREN"))) {
            w->give |= LIST_CHILDREN;
        } else if (slice_eq_nocase(name, S("SPECIAL-USE"))) {
            w->give |= LIST_SPECIAL_USE;
        } else if (slice_eq_nocase(name, S("MYRIGHTS"))) {
            w->give |= LIST_MYRIGHTS;
        } else if (slice_eq_nocase(name, S("STATUS"))) {
            w->give |= LIST_STATUS;
            imap_space(in);
            w->status_items = imap_status_items(in);
        } else if (slice_eq_nocase(name, S("METADATA"))) {
            w->give |= LIST_METADATA;
            imap_space(in);
            metadata_entries(in, false, &w->metadata);
        } else {
            imap_mistake(in, "unknown return option");
        }
        more = imap_see(in, " ");
        if (!more) imap_need(in, ")");
    }
}

/* The canonical pattern is the reference and the name behind each other (RFC 9051 6.3.9). */
PARKS static void pattern(In *in, Wanted *w)
{
    Slice p = imap_list_mailbox(in);
    if (!p.len) { /* RFC 5258 3: in an extended LIST "" is ignored */
        w->is_root = true;
        return;
    }
    if (w->pattern_count == PATTERNS_MOST) {
        imap_mistake(in, "too many patterns");
        return;
    }
    if (w->reference.len)
        p = arena_printf(in->arena, "%.*s%.*s", SP(slice_first(w->reference, 2000)), SP(p));
    w->patterns[w->pattern_count++] = p;
}

/* RFC 9051 9: list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
 */
PARKS static Err read_list(In *in, Wanted *w)
{
    imap_space(in);
    bool plain = w->lsub || w->is_old;
    if (!plain && imap_peek(in) == '(') select_options(in, w);
    w->reference = imap_reference(in);
    imap_space(in);
    if (!plain && imap_see(in, "(")) { /* patterns = "(" list-mailbox *(SP list-mailbox) ")" */
        w->extended = true;
        if (imap_peek(in) == ')') imap_mistake(in, "a pattern is missing");
        do
            pattern(in, w);
        while (imap_see(in, " "));
        imap_need(in, ")");
    } else {
        pattern(in, w);
    }
    if (!plain && imap_peek(in) == ' ') return_options(in, w);
    return imap_end(in);
}

/* ---- rows ---- */

static bool matches(const Wanted *w, Slice name)
{
    for (size_t i = 0; i < w->pattern_count; i++)
        if (imap_pattern_matches(w->patterns[i], name)) return true;
    return false;
}

static bool is_special(const MailboxEntry *e)
{
    return e->exists && e->status.role != ROLE_NONE && e->status.role != ROLE_INBOX;
}

static bool satisfies(const Wanted *w, const MailboxEntry *e)
{
    if (w->lsub) return e->subscribed;
    if ((w->select & LIST_SUBSCRIBED) && !e->subscribed) return false;
    if ((w->select & LIST_SPECIAL_USE) && !is_special(e)) return false;
    return e->exists || (w->select & LIST_SUBSCRIBED);
}

typedef struct {
    Row **rows;
    size_t count, room;
    Table by_name;
} Rows;

static Row *add_row(Arena *a, Rows *rows, const Wanted *w, Slice name, const MailboxEntry *e)
{
    Row *row = arena_new(a, Row);
    *row = (Row){.name = name, .entry = e, .matches = matches(w, name)};
    row->satisfies = e && satisfies(w, e);
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 64;
        rows->rows = mem_grow(rows->rows, array_bytes(rows->room, sizeof *rows->rows));
    }
    table_put(&rows->by_name, name, row);
    return rows->rows[rows->count++] = row;
}

/* Tells every ancestor that there is something below it. */
static void tell_ancestors(Arena *a, Rows *rows, const Wanted *w, const Row *row)
{
    Slice name = row->name;
    size_t cut;
    while ((cut = slice_find_last(name, MAILBOX_SEPARATOR)) < name.len) {
        name = slice_first(name, cut);
        Row *parent = table_get(&rows->by_name, name);
        if (!parent) parent = add_row(a, rows, w, name, NULL);
        parent->child_satisfies = true;
        if (!row->matches) parent->hidden_child = true;
    }
}

static int by_name(const void *a, const void *b)
{
    const Row *x = *(Row *const *)a, *y = *(Row *const *)b;
    bool x_inbox = slice_eq(x->name, S("INBOX")), y_inbox = slice_eq(y->name, S("INBOX"));
    if (x_inbox != y_inbox) return x_inbox ? -1 : 1;
    return slice_order(x->name, y->name);
}

/* A mailbox of somebody else, which may be subscribed by its name. */
static void add_other(Arena *a, Rows *rows, const Wanted *w, MailboxEntry *e)
{
    Row *row = table_get(&rows->by_name, e->name);
    if (!row) row = add_row(a, rows, w, e->name, e);
    if (row->entry != e && row->entry->exists) return; /* one's own, from before */
    e->subscribed = row->entry != e && row->entry->subscribed;
    row->entry = e;
    row->satisfies = satisfies(w, e);
}

/* Whether a pattern may match something below the other namespaces. Up to its first wildcard it is
 * what the name begins with. */
static bool may_be_others(const Wanted *w, Slice prefix)
{
    for (size_t i = 0; i < w->pattern_count; i++) {
        Slice p = w->patterns[i];
        size_t fixed = MIN(slice_find(p, '%'), slice_find(p, '*'));
        size_t common = MIN(fixed, prefix.len);
        if (slice_eq(slice_first(p, common), slice_first(prefix, common))) return true;
    }
    return false;
}

PARKS static Err collect_others(Imap *s, const Wanted *w, Rows *rows)
{
    MailboxEntry *entries;
    size_t count;
    if (!may_be_others(w, S("Shared/")) && !may_be_others(w, S("Public/"))) return OK;
    TRY(imap_others(s, w->give & LIST_STATUS, &entries, &count));
    for (size_t i = 0; i < count; i++)
        add_other(&s->arena, rows, w, &entries[i]);
    return OK;
}

/* RFC 2193 4: mailboxes on other servers are told by RLIST and RLSUB, and by LIST (REMOTE). */
static void add_remote(Imap *s, const Wanted *w, Rows *rows)
{
    if (!(w->select & LIST_REMOTE)) return;
    for (size_t i = 0; i < s->config->mailbox_referral_count; i++) {
        Slice name = imap_remote_name(s, i, &s->arena);
        Row *row = table_get(&rows->by_name, name);
        if (row && row->is_remote && row->entry->exists) continue; /* several URLs */
        MailboxEntry *e = arena_new(&s->arena, MailboxEntry);
        *e = (MailboxEntry){.name = name, .exists = true};
        e->subscribed = row && row->entry && row->entry->subscribed;
        if (!row) row = add_row(&s->arena, rows, w, name, e);
        row->entry = e;
        row->is_remote = true;
        row->satisfies = satisfies(w, e);
    }
}

PARKS static Err collect(Imap *s, const Wanted *w, Rows *rows)
{
    MailboxEntry *entries;
    size_t count;
    imap_go(s, s->user.acct);
    account_mailboxes(s->account, &s->arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if ((w->select & LIST_REMOTE) || !imap_is_remote(s, entries[i].name))
            add_row(&s->arena, rows, w, entries[i].name, &entries[i]);
    TRY(collect_others(s, w, rows));
    add_remote(s, w, rows);
    count = rows->count;
    for (size_t i = 0; i < count; i++) /* what is added meanwhile satisfies nothing */
        if (rows->rows[i]->satisfies) tell_ancestors(&s->arena, rows, w, rows->rows[i]);
    if (rows->count) qsort(rows->rows, rows->count, sizeof *rows->rows, by_name);
    return OK;
}

/* RFC 5258 3.1 and 3.4: a name is told when it satisfies the options, or when it has a descendant
 * that does but is not itself told, if RECURSIVEMATCH asks for that; without selection options the
 * names that exist only through their children are told in the same way. */
static bool is_told(const Wanted *w, const Row *r)
{
    if (!r->matches) return false;
    if (r->satisfies) return true;
    if (!r->hidden_child) return false;
    return w->lsub || (w->select & LIST_RECURSIVE) ||
           !(w->select & (LIST_SUBSCRIBED | LIST_SPECIAL_USE));
}

/* ---- answering ---- */

typedef struct {
    Buf *out;
    bool some;
} Words;

static void word(Words *words, const char *text)
{
    if (!text) return;
    if (words->some) buf_char(words->out, ' ');
    words->some = true;
    buf_add(words->out, slice_of(text));
}

/* Basic LIST always says whether there are children (RFC 3348 3), extended LIST when asked, and for
 * names that exist only through them (RFC 9051 6.3.9.6). */
static void put_attributes(const Wanted *w, const Row *r, Arena *a, Buf *out)
{
    const MailboxEntry *e = r->entry;
    bool exists = e && e->exists;
    bool has_children = (e && e->has_children) || (!exists && r->child_satisfies);
    Words words = {.out = out};
    if (!exists && w->extended) word(&words, "\\NonExistent");
    if (!exists && !w->extended) word(&words, w->lsub ? NULL : "\\NonExistent");
    if (!exists && !w->extended && !(w->lsub && r->satisfies)) word(&words, "\\Noselect");
    if (w->lsub && exists && !r->satisfies) word(&words, "\\Noselect"); /* RFC 3501 6.3.9 */
    if (e && e->subscribed && ((w->select | w->give) & LIST_SUBSCRIBED))
        word(&words, "\\Subscribed");
    if (w->give & LIST_CHILDREN || (!w->extended && !w->lsub) || (!exists && has_children))
        if (!w->lsub) word(&words, has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (r->is_remote && w->extended) word(&words, "\\Remote"); /* RFC 5258 3.4 */
    if (exists && !w->lsub) word(&words, imap_role_attributes(a, e->status.role));
}

static void put_child_info(const Wanted *w, Buf *out)
{
    Words words = {.out = out};
    buf_add(out, S(" (\"CHILDINFO\" ("));
    if (w->select & LIST_SUBSCRIBED) word(&words, "\"SUBSCRIBED\"");
    if (w->select & LIST_SPECIAL_USE) word(&words, "\"SPECIAL-USE\"");
    buf_add(out, S("))"));
}

PARKS static void tell_row(Imap *s, const Wanted *w, const Row *r)
{
    Buf *out = stream_out(s->stream);
    buf_printf(out, "* %s (", w->lsub ? "LSUB" : "LIST");
    put_attributes(w, r, &s->arena, out);
    buf_printf(out, ") \"%c\" ", MAILBOX_SEPARATOR);
    imap_put_mailbox(s, out, r->name);
    if ((w->select & LIST_RECURSIVE) && r->child_satisfies) put_child_info(w, out);
    buf_add(out, S("\r\n"));
    if (!r->satisfies || !r->entry->exists || r->is_remote)
        return; /* RFC 5819 2: told for its children only */
    if (w->give & LIST_MYRIGHTS) imap_tell_rights(s, r->name, r->entry->rights);
    if ((w->give & LIST_STATUS) && (r->entry->rights & RIGHT_READ))
        imap_tell_status(s, r->name, &r->entry->status, w->status_items);
    if (w->give & LIST_METADATA) metadata_tell_listed(s, r->name, &r->entry->status, &w->metadata);
}

PARKS static void tell_rows(Imap *s, const Wanted *w, const Rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (!is_told(w, rows->rows[i])) continue;
        tell_row(s, w, rows->rows[i]);
        if (stream_drain(s->stream)) return;
    }
}

PARKS static Err list(Imap *s, bool lsub, bool remote)
{
    Wanted *w = arena_new(&s->arena, Wanted);
    w->lsub = lsub;
    w->is_old = remote;
    if (remote) w->select = LIST_REMOTE;
    TRY(read_list(s->in, w));
    if (w->is_root && !w->extended) {
        imap_say(s, "%s (\\Noselect) \"%c\" \"\"", lsub ? "LSUB" : "LIST", MAILBOX_SEPARATOR);
    } else {
        Rows rows = {0};
        Err err = collect(s, w, &rows);
        if (!err) tell_rows(s, w, &rows);
        free(rows.rows);
        table_done(&rows.by_name);
        TRY(err);
    }
    return imap_ok(s, "%s%s completed", remote ? "R" : "", lsub ? "LSUB" : "LIST");
}

Err imap_cmd_list(Imap *s)
{
    return list(s, false, false);
}

/* RFC 3501 6.3.9: lsub = "LSUB" SP mailbox SP list-mailbox */
Err imap_cmd_lsub(Imap *s)
{
    return list(s, true, false);
}

/* ---- a single name ---- */

void imap_put_old_name(Imap *s, Slice old)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S(" (\"OLDNAME\" ("));
    imap_put_mailbox(s, out, old);
    buf_add(out, S("))"));
}

void imap_tell_name(Imap *s, Slice name, Slice called)
{
    Buf *out = stream_out(s->stream);
    buf_printf(out, "* LIST () \"%c\" ", MAILBOX_SEPARATOR);
    imap_put_mailbox(s, out, name);
    if (called.len && !slice_eq(name, called)) imap_put_old_name(s, called);
    buf_add(out, S("\r\n"));
}

/* RFC 2193 5.1, 6: rlist = "RLIST" SP mailbox SP list_mailbox. The answers are called LIST. */
Err imap_cmd_rlist(Imap *s)
{
    return list(s, false, true);
}

/* RFC 2193 5.2 */
Err imap_cmd_rlsub(Imap *s)
{
    return list(s, true, true);
}
