#include "imap/context.h"
#include "imap/fetch.h"

#include <stdlib.h>

enum {
    CONTEXTS_MOST = 16,             /* of a session */
    RESULTS_MOST = 4 * 1000 * 1000, /* sorted ones of all of them: 4 octets each */
    TIME_TELLS_MS = 60 * 1000,      /* RFC 5032 2: "the server might perform the evaluation
                                       periodically" */
};

typedef struct {
    Arena arena;
    Slice tag;
    bool by_uid, correlated, timed;
    SearchKey *key;
    SortProgram sort; /* count 0: SEARCH */
    UidSet uids;      /* what the client knows to fit */
    uint32_t *sorted; /* the same in order, for SORT */
    size_t count, room;
    Fetch *update; /* what to tell of new messages, RFC 5465 7; NULL: nothing */
} Context;

struct SearchContexts {
    Context *list[CONTEXTS_MOST];
    size_t count;
    uint64_t modseq;  /* changes up to it have been looked at ... */
    uint32_t uid_end; /* ... of messages below it */
    int64_t due_ms;   /* when those that ask for the time are asked again */
};

static Context *find(const Imap *s, Slice tag)
{
    const SearchContexts *c = s->contexts;
    for (size_t i = 0; c && i < c->count; i++)
        if (slice_eq(c->list[i]->tag, tag)) return c->list[i];
    return NULL;
}

Err context_check(Imap *s, Search *search)
{
    if (s->box) search->modseq_before = mailbox_status(s->box).highest_modseq;
    if (!(search->wants & RETURN_UPDATE) || !find(s, s->in->tag)) return OK;
    imap_mistake(s->in, "Tag reuse");
    return imap_syntax(s->in);
}

/* ---- keeping a program ---- */

/* Sets of UIDs go on to mean what they say when messages come: "100:*" takes them in, while "*"
 * alone was the last one when the command was given. */
static void keep_ranges(Imap *s, Context *c, SearchKey *key)
{
    uint32_t exists = view_exists(s->view), last = exists ? view_uid(s->view, exists) : 0;
    UidRange *kept = arena_array(&c->arena, UidRange, MAX(key->set.count, (size_t)1));
    for (size_t i = 0; i < key->set.count; i++) {
        UidRange r = key->set.ranges[i];
        bool open = !r.first != !r.last;
        kept[i] = open ? (UidRange){MIN(MAX(r.first, r.last), MAX(last, 1u)), UINT32_MAX} : r;
        if (!r.first && !r.last) kept[i] = (UidRange){MAX(last, 1u), MAX(last, 1u)};
    }
    key->set.ranges = kept;
}

/* RFC 5267 4.3: "any message sequence numbers used in the search program are evaluated at the time
 * the command is received"; so is "$". */
static void keep_set(Imap *s, Context *c, SearchKey *key)
{
    key->frozen = !key->of_uids || key->set.saved;
    if (!key->frozen) {
        keep_ranges(s, c, key);
        return;
    }
    key->set = (ImapSet){0};
    UidSet resolved = key->uids;
    key->uids = (UidSet){0};
    for (size_t i = 0; i < resolved.count; i++)
        uidset_add(&c->arena, &key->uids, resolved.ranges[i].first, resolved.ranges[i].last);
}

/* Depth is bounded by search_parse. */
static SearchKey *keep_key(Imap *s, Context *c, const SearchKey *key)
{
    SearchKey *kept = arena_new(&c->arena, SearchKey), **at = &kept->child;
    *kept = *key;
    kept->next = NULL;
    kept->text = arena_copy(&c->arena, key->text);
    kept->field = arena_copy(&c->arena, key->field);
    if (key->type == KEY_SET) keep_set(s, c, kept);
    if (key->type == KEY_OLDER || key->type == KEY_YOUNGER) c->timed = true;
    for (const SearchKey *child = key->child; child; child = child->next) {
        *at = keep_key(s, c, child);
        at = &(*at)->next;
    }
    *at = NULL;
    return kept;
}

static void keep_order(Context *c, const SortProgram *sort, const SearchResult *r)
{
    SortCriterion *criteria = arena_array(&c->arena, SortCriterion, sort->count);
    memcpy(criteria, sort->criteria, sort->count * sizeof *criteria);
    c->sort = *sort;
    c->sort.criteria = criteria;
    c->count = (size_t)r->count;
    c->room = c->count + 8;
    c->sorted = mem_new(array_bytes(c->room, sizeof *c->sorted));
    if (c->count) memcpy(c->sorted, r->sorted, c->count * sizeof *c->sorted);
}

/* ---- begin and end ---- */

static bool has_room(const SearchContexts *c, const SortProgram *sort, const SearchResult *r)
{
    uint64_t results = sort ? r->count : 0;
    for (size_t i = 0; i < c->count; i++)
        results += c->list[i]->count;
    return c->count < CONTEXTS_MOST && results <= RESULTS_MOST;
}

static SearchContexts *contexts(Imap *s)
{
    if (s->contexts) return s->contexts;
    SearchContexts *c = s->contexts = NEW(SearchContexts);
    uint32_t exists = view_exists(s->view);
    c->uid_end = exists ? view_uid(s->view, exists) + 1 : 1;
    c->due_ms = NEVER;
    return c;
}

/* RFC 5267 4.3.1 */
void context_refuse(Imap *s, const char *why)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* NO [NOUPDATE "));
    imap_put_string(out, s->in->tag);
    buf_printf(out, "] %s\r\n", why);
}

void context_begin(Imap *s, const Search *search, const SortProgram *sort, const SearchResult *r,
                   bool correlated)
{
    SearchContexts *all = contexts(s);
    if (!all->modseq) all->modseq = search->modseq_before;
    /* What comes to a thread changes what is told of others: that would be a search for each. */
    if (search_asks_threads(search->key) || !has_room(all, sort, r)) {
        context_refuse(s, "Too many contexts");
        return;
    }
    Context *c = NEW(Context);
    c->tag = arena_copy(&c->arena, s->in->tag);
    c->by_uid = s->by_uid;
    c->correlated = correlated;
    c->key = keep_key(s, c, search->key);
    for (size_t i = 0; i < r->found.uids.count; i++)
        uidset_add(&c->arena, &c->uids, r->found.uids.ranges[i].first,
                   r->found.uids.ranges[i].last);
    if (sort) keep_order(c, sort, r);
    if (search->update) {
        c->update = arena_new(&c->arena, Fetch);
        *c->update = *search->update;
        fetch_keep(c->update, &c->arena);
    }
    if (c->timed) all->due_ms = MIN(all->due_ms, now_ms() + TIME_TELLS_MS);
    all->list[all->count++] = c;
}

static void context_free(Context *c)
{
    arena_done(&c->arena);
    free(c->sorted);
    free(c);
}

void context_end_all(Imap *s)
{
    SearchContexts *all = s->contexts;
    if (!all) return;
    while (all->count)
        context_free(all->list[--all->count]);
    free(all);
    s->contexts = NULL;
}

static void end_one(Imap *s, const Context *c)
{
    SearchContexts *all = s->contexts;
    size_t i = 0;
    while (all->list[i] != c)
        i++;
    context_free(all->list[i]);
    all->list[i] = all->list[--all->count];
    if (!all->count) context_end_all(s);
}

/* RFC 5267 4.3.5, 5: cancelupdate = "CANCELUPDATE" 1*(SP quoted) */
Err imap_cmd_cancelupdate(Imap *s)
{
    Slice tags[CONTEXTS_MOST];
    size_t count = 0;
    do {
        imap_space(s->in);
        Slice tag = imap_astring(s->in);
        if (count < CONTEXTS_MOST) tags[count++] = tag;
        if (!imap_syntax(s->in) && !find(s, tag)) imap_mistake(s->in, "No context has that tag");
    } while (imap_peek(s->in) == ' ');
    TRY(imap_end(s->in));
    for (size_t i = 0; i < count; i++) {
        const Context *c = find(s, tags[i]); /* NULL: named twice */
        if (c) end_one(s, c);
    }
    return imap_ok(s, "No further updates");
}

/* ---- differences ---- */

/* Results that are side by side, as one "position set" (RFC 5267 4.3.3, 4.3.4). Nothing waits here:
 * what is told of the expunged has to be what view_sync will tell. */
static void put_sorted(Imap *s, const uint32_t *sorted, size_t count, size_t position)
{
    buf_printf(stream_out(s->stream), "%zu ", position);
    for (size_t i = 0; i < count;)
        i = sort_put_run(s, sorted, count, i);
}

/* Those that left go out of the sorted list. Each position is what it is when the ones before have
 * been taken out. */
static void take_out_sorted(Imap *s, Context *c, const UidSet *left)
{
    size_t kept = 0;
    bool first = true;
    for (size_t i = 0; i < c->count;) {
        size_t n = 0;
        while (i + n < c->count && uidset_has(left, c->sorted[i + n]))
            n++;
        if (!n) {
            c->sorted[kept++] = c->sorted[i++];
            continue;
        }
        if (!first) buf_char(stream_out(s->stream), ' ');
        first = false;
        put_sorted(s, c->sorted + i, n, kept + 1);
        i += n;
    }
    c->count = kept;
}

PARKS static void insert_sorted(Imap *s, Context *c, uint32_t uid)
{
    size_t place;
    if (sort_place(s, &c->sort, c->sorted, c->count, uid, &place)) place = c->count;
    if (c->count == c->room) {
        c->room *= 2;
        c->sorted = mem_grow(c->sorted, array_bytes(c->room, sizeof *c->sorted));
    }
    memmove(&c->sorted[place + 1], &c->sorted[place], (c->count - place) * sizeof *c->sorted);
    c->sorted[place] = uid;
    c->count++;
}

/* All are put in their places first, then told from the front: so each position is right when the
 * ones before have been inserted. */
PARKS static void put_in_sorted(Imap *s, Context *c, const UidSet *come)
{
    for (uint32_t uid = 1; uid && uidset_next(come, &uid); uid++)
        insert_sorted(s, c, uid);
    bool first = true;
    for (size_t i = 0, n; i < c->count; i += n) {
        for (n = 0; i + n < c->count && uidset_has(come, c->sorted[i + n]);)
            n++;
        if (!n) {
            n = 1;
            continue;
        }
        if (!first) buf_char(stream_out(s->stream), ' ');
        first = false;
        put_sorted(s, c->sorted + i, n, i + 1);
    }
}

static void tell_removed(Imap *s, Context *c, const UidSet *left)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S(" REMOVEFROM ("));
    if (c->sort.count) {
        take_out_sorted(s, c, left);
    } else {
        buf_add(out, S("0 "));
        search_put_set(s, s->view, left, out);
    }
    buf_char(out, ')');
    for (size_t i = 0; i < left->count; i++)
        uidset_remove(&c->arena, &c->uids, left->ranges[i].first, left->ranges[i].last);
}

PARKS static void tell_added(Imap *s, Context *c, const UidSet *come)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S(" ADDTO ("));
    if (c->sort.count) {
        put_in_sorted(s, c, come);
    } else {
        buf_add(out, S("0 "));
        search_put_set(s, s->view, come, out);
    }
    buf_char(out, ')');
    for (size_t i = 0; i < come->count; i++)
        uidset_add(&c->arena, &c->uids, come->ranges[i].first, come->ranges[i].last);
}

/* "* ESEARCH (TAG "B01") UID" */
static bool begin(Imap *s, const Context *c)
{
    bool by_uid = s->by_uid;
    s->by_uid = c->by_uid;
    search_put_correlator(s, c->tag, c->correlated ? s->box : NULL);
    return by_uid;
}

static void end(Imap *s, bool by_uid)
{
    buf_add(stream_out(s->stream), S("\r\n"));
    s->by_uid = by_uid;
}

/* ---- what was expunged ---- */

void context_tell_gone(Imap *s)
{
    SearchContexts *all = s->contexts;
    for (size_t i = 0; all && i < all->count; i++) {
        Context *c = all->list[i];
        UidSet left = {0};
        const Message *gone;
        size_t count = view_gone(s->view, &gone);
        for (size_t g = 0; g < count; g++)
            if (uidset_has(&c->uids, gone[g].uid))
                uidset_add(&s->arena, &left, gone[g].uid, gone[g].uid);
        if (!left.count) continue;
        bool by_uid = begin(s, c);
        tell_removed(s, c, &left);
        end(s, by_uid);
    }
}

/* ---- what changed ---- */

/* The messages to ask again: those changed since, those that are new in the view. */
static UidSet changed(Imap *s, SearchContexts *all)
{
    UidSet out = {0};
    const Message *m;
    uint32_t exists = view_exists(s->view), last = exists ? view_uid(s->view, exists) : 0;
    uint64_t modseq = mailbox_status(s->box).highest_modseq;
    for (uint32_t uid = 1; uid && (m = mailbox_next_changed(s->box, uid, all->modseq)) &&
                           m->uid <= last && m->uid < all->uid_end;
         uid = m->uid + 1)
        uidset_add(&s->arena, &out, m->uid, m->uid);
    if (all->uid_end <= last) uidset_add(&s->arena, &out, all->uid_end, last);
    all->uid_end = last < UINT32_MAX ? MAX(all->uid_end, last + 1) : last;
    all->modseq = modseq;
    return out;
}

/* RFC 5465 7: of messages that are new, not of those whose flags have changed; before ESEARCH. */
PARKS static void tell_new(Imap *s, const Context *c, const UidSet *come, uint32_t from)
{
    UidSet fresh = {0};
    if (!c->update) return;
    for (uint32_t uid = from; uid && uidset_next(come, &uid); uid++)
        uidset_add(&s->arena, &fresh, uid, uid);
    if (fresh.count) (void)fetch_tell(s, c->update, &fresh);
}

PARKS static void ask_again(Imap *s, Context *c, const UidSet *among, uint32_t new_from)
{
    SearchFound found;
    UidSet left = {0}, come = {0};
    if (search_run(s, s->view, among, c->key, &found)) return;
    for (uint32_t uid = 1; uid && uidset_next(&found.uids, &uid); uid++)
        if (!uidset_has(&c->uids, uid)) uidset_add(&s->arena, &come, uid, uid);
    for (size_t i = 0; i < among->count; i++)
        for (uint32_t uid = among->ranges[i].first;
             uid && uidset_next(&c->uids, &uid) && uid <= among->ranges[i].last; uid++)
            if (!uidset_has(&found.uids, uid)) uidset_add(&s->arena, &left, uid, uid);
    if (!left.count && !come.count) return;
    tell_new(s, c, &come, new_from);
    bool by_uid = begin(s, c);
    if (left.count) tell_removed(s, c, &left);
    if (come.count) tell_added(s, c, &come);
    end(s, by_uid);
}

bool context_is_due(const Imap *s)
{
    return s->contexts && now_ms() >= s->contexts->due_ms;
}

PARKS void context_tell_changed(Imap *s)
{
    SearchContexts *all = s->contexts;
    if (!all) return;
    bool due = context_is_due(s);
    uint32_t new_from = all->uid_end;
    UidSet some = changed(s, all), every = {0};
    uidset_add(&s->arena, &every, 1, UINT32_MAX);
    if (due) all->due_ms = now_ms() + TIME_TELLS_MS;
    for (size_t i = 0; i < all->count; i++) {
        const UidSet *among = due && all->list[i]->timed ? &every : &some;
        if (among->count) ask_again(s, all->list[i], among, new_from);
    }
}
