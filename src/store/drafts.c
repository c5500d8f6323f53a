#include "store/draft.h"

#include <stdlib.h>

/* Many messages as one step: each body in a record that links it nowhere, then one record that
 * links them all. Nothing is visible before the last, and if that never comes the others are
 * dropped (dead.c). Few are handed over together, so they are one wait for the disk; of many the
 * bodies go into the log as they come, so that they need no memory. */

enum {
    DRAFTS_MOST = 10000,              /* messages of one step */
    WAITING_OCTETS = 2 * 1024 * 1024, /* what may wait in memory ... */
    WAITING_MOST = 64,                /* ... and how many: a draft is some KB beside its octets */
};

/* ---- bodies into the log ---- */

static PARKS Err begin_all(Mailbox *box, Change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(change_begin(box->account, &changes[i]));
    return OK;
}

static PARKS Err end_all(Placing *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(draft_end(list[i].draft));
    return OK;
}

static void send_bodies(Placing *list, Change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        placing_add(&list[i], &changes[i]);
        change_send(&changes[i]);
    }
}

static PARKS Err wait_all(Change *changes, size_t count)
{
    Err err = OK;
    for (size_t i = 0; i < count; i++) {
        Err one = change_wait(&changes[i]);
        if (one) err = one;
    }
    return err;
}

static void index_all(const Placing *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        placing_index(&list[i]);
}

static void done_all(Placing *list, Change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        placing_done(&list[i]);
        change_done(&changes[i]);
    }
}

/* ---- all at once ---- */

static PARKS Err commit_together(Placing *list, Change *changes, size_t count)
{
    Change *link = &changes[count];
    TRY(end_all(list, count));
    TRY(begin_all(list->box, changes, count + 1));
    for (size_t i = 0; i < count; i++)
        TRY(placing_prepare(&list[i], link));
    for (size_t i = 0; i < count; i++)
        TRY(placing_uid(&list[i]));
    send_bodies(list, changes, count);
    for (size_t i = 0; i < count; i++)
        placing_link(&list[i], link);
    change_send(link);
    TRY(wait_all(changes, count + 1));
    index_all(list, count);
    return OK;
}

PARKS Err draft_commit_many(Draft **drafts, size_t count, Mailbox *box, const DraftPlace *places,
                            uint32_t *uids)
{
    Arena arena arena_scoped = {0};
    DraftBody body = {0};
    if (!count) return OK;
    if (count == 1) return draft_commit(drafts[0], box, &places[0], &uids[0]);
    Change *changes = arena_array(&arena, Change, count + 1);
    Placing *list = arena_array(&arena, Placing, count);
    for (size_t i = 0; i < count; i++)
        list[i] = (Placing){
            .draft = drafts[i], .box = box, .place = &places[i], .arena = &arena, .body = &body};
    Err err = commit_together(list, changes, count);
    for (size_t i = 0; i < count; i++)
        uids[i] = err ? 0 : list[i].uid;
    done_all(list, changes, count);
    change_done(&changes[count]);
    return err;
}

/* ---- one after the other ---- */

typedef struct {
    Draft *draft; /* NULL: its body is in the log */
    DraftPlace place;
    uint32_t eid;
} Gathered;

struct Drafts {
    Mailbox *box;
    Arena arena; /* of the places */
    Gathered *list;
    size_t count, room, spooled;
    uint64_t waiting, octets;
    bool holds;  /* emails without a mailbox are not to be dropped */
    Change hold; /* never sent: keeps the room they need */
};

PARKS Err drafts_begin(Mailbox *box, Drafts **drafts)
{
    Change hold = {0};
    Err err = change_begin(box->account, &hold);
    if (err) {
        change_done(&hold);
        return err;
    }
    Drafts *d = NEW(Drafts);
    d->box = box;
    d->hold = hold;
    *drafts = d;
    return OK;
}

void drafts_free(Drafts *d)
{
    if (!d) return;
    Account *a = d->box->account;
    if (d->holds) a->gathering--;
    if (d->holds) account_touch(a); /* there may be something to purge */
    for (size_t i = d->spooled; i < d->count; i++)
        draft_free(d->list[i].draft);
    change_done(&d->hold);
    free(d->list);
    arena_done(&d->arena);
    free(d);
}

size_t drafts_count(const Drafts *d)
{
    return d->count;
}

static Annotation keep_annotation(Drafts *d, const Annotation *one)
{
    return (Annotation){.entry = arena_copy(&d->arena, one->entry),
                        .value = one->value.at ? arena_copy(&d->arena, one->value) : (Slice){0},
                        .shared = one->shared,
                        .who = one->who};
}

static DraftPlace keep_place(Drafts *d, const DraftPlace *place)
{
    DraftPlace kept = *place;
    Slice *names = arena_array(&d->arena, Slice, place->keywords.count);
    for (size_t i = 0; i < place->keywords.count; i++)
        names[i] = arena_copy(&d->arena, place->keywords.names[i]);
    kept.keywords.names = names;
    kept.prefix = arena_copy(&d->arena, place->prefix);
    kept.annotations.list = arena_array(&d->arena, Annotation, place->annotations.count);
    for (size_t i = 0; i < place->annotations.count; i++)
        kept.annotations.list[i] = keep_annotation(d, &place->annotations.list[i]);
    kept.object = arena_copy(&d->arena, place->object);
    Slice seen_by = slice(place->seen_by, place->seen_by_count * sizeof *place->seen_by);
    uint32_t *seen = arena_array(&d->arena, uint32_t, place->seen_by_count + 1);
    if (seen_by.len) memcpy(seen, seen_by.at, seen_by.len);
    kept.seen_by = seen;
    return kept;
}

static void keep(Drafts *d, Draft *draft, const DraftPlace *place)
{
    if (d->count == d->room) {
        d->room = MAX(d->room * 2, 4u);
        d->list = mem_grow(d->list, array_bytes(d->room, sizeof *d->list));
    }
    d->list[d->count++] = (Gathered){.draft = draft, .place = keep_place(d, place)};
    d->waiting += MIN(draft->size, (uint64_t)BLOB_INLINE_MOST);
}

static Placing placing_of(Drafts *d, Gathered *g, Arena *a, DraftBody *body)
{
    return (Placing){.draft = g->draft,
                     .box = d->box,
                     .place = &g->place,
                     .arena = a,
                     .body = body,
                     .eid = g->eid};
}

static PARKS Err send_spool(Drafts *d, Placing *list, Change *changes, size_t count)
{
    TRY(end_all(list, count));
    TRY(begin_all(d->box, changes, count));
    for (size_t i = 0; i < count; i++)
        TRY(placing_check(&list[i]));
    if (!d->holds) d->box->account->gathering++;
    d->holds = true;
    send_bodies(list, changes, count);
    TRY(wait_all(changes, count));
    index_all(list, count);
    return OK;
}

PARKS Err drafts_spool(Drafts *d)
{
    Arena arena arena_scoped = {0};
    DraftBody body = {0};
    size_t count = d->count - d->spooled;
    if (!count) return OK;
    Gathered *from = d->list + d->spooled;
    Change *changes = arena_array(&arena, Change, count);
    Placing *list = arena_array(&arena, Placing, count);
    for (size_t i = 0; i < count; i++)
        list[i] = placing_of(d, &from[i], &arena, &body);
    Err err = send_spool(d, list, changes, count);
    for (size_t i = 0; i < count && !err; i++) {
        from[i].eid = list[i].eid;
        draft_free(from[i].draft);
        from[i].draft = NULL;
    }
    done_all(list, changes, count);
    if (err) return err;
    d->spooled = d->count;
    d->waiting = 0;
    return OK;
}

PARKS Err drafts_add(Drafts *d, Draft *draft, const DraftPlace *place)
{
    Err err = OK;
    uint64_t octets = draft->size + place->prefix.len + 2u * draft->last_cr;
    if (d->count == DRAFTS_MOST)
        err = fail(ERR_LIMIT, "more than %d messages at once", DRAFTS_MOST);
    if (!err) err = change_reserve(&d->hold, octets, 1);
    if (err) {
        draft_free(draft);
        return err;
    }
    d->octets += octets;
    keep(d, draft, place);
    bool many = d->waiting >= WAITING_OCTETS || d->count - d->spooled >= WAITING_MOST;
    return many ? drafts_spool(d) : OK;
}

/* What applying will need, so that damage shows before anything is written. */
static Err warm_all(Drafts *d, const Placing *list)
{
    EmailPage *emails;
    SlotPage *slots;
    for (size_t i = 0; i < d->count; i++) {
        TRY(email_page(d->box->account, list[i].eid / EMAILS, &emails));
        TRY(box_page(d->box->box, list[i].uid / SLOTS, true, &slots));
    }
    return OK;
}

static Err prepare_link(Drafts *d, Placing *list, Change *link)
{
    TRY(mailbox_check(d->box));
    TRY(change_reserve(link, d->octets, d->count));
    for (size_t i = 0; i < d->count; i++) {
        Keywords words = list[i].place->keywords;
        TRY(notes_prepare(d->box, &list[i].place->annotations, link));
        if (words.count) TRY(change_keywords(link, words, list[i].arena, &list[i].keywords));
        TRY(placing_uid(&list[i]));
    }
    return warm_all(d, list);
}

/* Their bodies are all in the log. */
static PARKS Err link_all(Drafts *d, uint32_t *uids)
{
    Arena arena arena_scoped = {0};
    DraftBody body = {0};
    Change link change_scoped = {0};
    Placing *list = arena_array(&arena, Placing, d->count);
    for (size_t i = 0; i < d->count; i++)
        list[i] = placing_of(d, &d->list[i], &arena, &body);
    TRY(change_begin(d->box->account, &link));
    change_done(&d->hold); /* what it held, the record reserves now */
    TRY(prepare_link(d, list, &link));
    for (size_t i = 0; i < d->count; i++)
        placing_link(&list[i], &link);
    TRY(change_commit(&link));
    for (size_t i = 0; i < d->count; i++)
        uids[i] = list[i].uid;
    return OK;
}

static PARKS Err commit_waiting(Drafts *d, uint32_t *uids)
{
    Arena arena arena_scoped = {0};
    Draft **drafts = arena_array(&arena, Draft *, d->count);
    DraftPlace *places = arena_array(&arena, DraftPlace, d->count);
    for (size_t i = 0; i < d->count; i++) {
        drafts[i] = d->list[i].draft;
        places[i] = d->list[i].place;
    }
    change_done(&d->hold);
    return draft_commit_many(drafts, d->count, d->box, places, uids);
}

PARKS Err drafts_commit(Drafts *d, uint32_t *uids)
{
    if (!d->spooled) return commit_waiting(d, uids);
    TRY(drafts_spool(d));
    return link_all(d, uids);
}
