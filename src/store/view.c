#include "store/model.h"

#include <stdlib.h>

/* A view is the mailbox below uid_end, and the messages that were expunged since the last sync put
 * back in between. Nothing is kept per message that still exists: numbers come from the counts of
 * the mailbox's pages and from the sorted list of the gone. */

/* ---- what apply.c tells ---- */

/* Both lists ascend; the merge runs from the back, in place. The new ones with the \Seen of who
 * looks. */
static void gone_merge(View *v, const Message *gone, size_t count)
{
    size_t old = v->gone_count, all = old + count;
    if (all > v->gone_room) {
        v->gone_room = (uint32_t)MAX(all, (size_t)v->gone_room * 2);
        v->gone = mem_grow(v->gone, array_bytes(v->gone_room, sizeof *v->gone));
    }
    v->gone_count = (uint32_t)all;
    while (count) {
        bool take_old = old && v->gone[old - 1].uid > gone[count - 1].uid;
        v->gone[--all] = take_old ? v->gone[--old] : *mailbox_see(v->mailbox, &gone[--count]);
    }
}

static void view_expunged(View *v, const Message *gone, size_t count, uint64_t seq)
{
    while (count && gone[count - 1].uid >= v->uid_end)
        count--; /* it never was in this view */
    if (!count) return;
    gone_merge(v, gone, count);
    if (!v->gone_since) v->gone_since = seq;
}

void views_expunged(Box *b, const Message *gone, size_t count, uint64_t seq)
{
    if (!count) return;
    list_each (l, &b->views)
        view_expunged(CONTAINER(l, View, link), gone, count, seq);
}

void views_nudge(Box *b)
{
    list_each (l, &b->views) {
        View *v = CONTAINER(l, View, link);
        v->news = true;
        if (v->fiber) fiber_nudge(v->fiber);
    }
}

void views_nudge_again(Account *a)
{
    list_each (l, &a->views) {
        View *v = CONTAINER(l, View, of_account);
        if (v->news && v->fiber) fiber_nudge(v->fiber);
    }
}

uint64_t views_floor(Account *a)
{
    uint64_t floor = UINT64_MAX;
    list_each (l, &a->views) {
        View *v = CONTAINER(l, View, of_account);
        if (v->gone_since) floor = MIN(floor, v->gone_since);
    }
    return floor;
}

/* ---- \Recent (RFC 3501 2.3.2): the first session that takes it has it ---- */

static void take_recent(View *v)
{
    Box *b = v->mailbox->box;
    uint32_t from = MAX(b->s.recent_from, 1u), end = b->s.uid_next;
    if (b->gone || from >= end) return;
    uidset_add(&v->recent_arena, &v->recent_uids, from, end - 1);
    v->recent += box_rank(b, end) - box_rank(b, from);
    v->recent_changed = true;
    if (!v->takes_recent) return;
    b->s.recent_from = end;
    b->s.recent = 0;
    b->state |= PAGE_DIRTY;
    account_touch(b->account);
}

/* A view that only looks counts anew: others may have taken what it saw. */
static void look_at_recent(View *v)
{
    arena_reset(&v->recent_arena);
    v->recent_uids = (UidSet){0};
    v->recent = 0;
    take_recent(v);
}

bool view_is_recent(const View *v, uint32_t uid)
{
    return uidset_has(&v->recent_uids, uid);
}

/* ---- open, close ---- */

PARKS Err view_open(Mailbox *box, bool recent, View **view)
{
    TRY(mailbox_check(box));
    View *v = NEW(View);
    v->mailbox = box;
    v->takes_recent = recent;
    v->synced = box->account->h.seq;
    v->uid_end = box->box->s.uid_next;
    v->exists = box_rank(box->box, v->uid_end);
    list_add(&box->box->views, &v->link);
    list_add(&box->account->views, &v->of_account);
    take_recent(v);
    v->recent_changed = false;
    *view = v;
    return OK;
}

static void gone_forget(View *v)
{
    if (v->gone_since && v->mailbox->account->dead_pages.count)
        account_touch(v->mailbox->account); /* blobs may go now */
    free(v->gone);
    v->gone = NULL;
    v->gone_count = v->gone_room = 0;
    v->gone_since = 0;
}

void view_close(View *v)
{
    if (!v) return;
    list_remove(&v->link);
    list_remove(&v->of_account);
    gone_forget(v);
    arena_done(&v->recent_arena);
    arena_done(&v->overlaid_arena);
    free(v->own);
    free(v);
}

Mailbox *view_mailbox(const View *v)
{
    return v->mailbox;
}

uint32_t view_exists(const View *v)
{
    return v->exists;
}

uint32_t view_recent(const View *v)
{
    return v->recent;
}

size_t view_gone(const View *v, const Message **gone)
{
    *gone = v->gone;
    return v->gone_count;
}

void view_listen(View *v, Fiber *fiber)
{
    v->fiber = fiber;
}

bool view_has_news(const View *v)
{
    return v->news && !v->mailbox->account->in_pieces;
}

void view_mark_own(View *v, uint64_t modseq)
{
    if (!modseq || modseq <= v->synced) return;
    if (v->own_count == v->own_room) {
        v->own_room = MAX(v->own_room * 2, 4u);
        v->own = mem_grow(v->own, array_bytes(v->own_room, sizeof *v->own));
    }
    v->own[v->own_count++] = modseq;
}

static bool is_own(const View *v, uint64_t modseq)
{
    for (uint32_t i = v->own_count; i-- > 0;)
        if (v->own[i] == modseq) return true;
    return false;
}

void views_overlaid(Box *b, const Message *m)
{
    list_each (l, &b->views) {
        View *v = CONTAINER(l, View, link);
        if (m->modseq <= v->synced || m->uid >= v->uid_end || is_own(v, m->modseq)) continue;
        uidset_add(&v->overlaid_arena, &v->overlaid, m->uid, m->uid);
    }
}

/* ---- numbers ---- */

/* How many of the gone have smaller uids. */
static uint32_t gone_below(const View *v, uint32_t uid)
{
    uint32_t low = 0, high = v->gone_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (v->gone[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const Message *gone_find(const View *v, uint32_t uid)
{
    uint32_t i = gone_below(v, uid);
    return i < v->gone_count && v->gone[i].uid == uid ? &v->gone[i] : NULL;
}

uint32_t view_rank(View *v, uint32_t uid)
{
    return box_rank(v->mailbox->box, uid) + gone_below(v, uid);
}

/* The i-th of the gone has number rank(uid) + 1, which rises with i: find how many come before. */
uint32_t view_uid(View *v, uint32_t number)
{
    if (!number || number > v->exists) return 0;
    Box *b = v->mailbox->box;
    uint32_t low = 0, high = v->gone_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t its = box_rank(b, v->gone[middle].uid) + middle + 1;
        if (its == number) return v->gone[middle].uid;
        if (its < number)
            low = middle + 1;
        else
            high = middle;
    }
    const Message *m = box_nth(b, number - 1 - low);
    return m ? m->uid : 0;
}

uint32_t view_number(View *v, uint32_t uid)
{
    if (uid >= v->uid_end) return 0;
    if (!box_message(v->mailbox->box, uid) && !gone_find(v, uid)) return 0;
    return view_rank(v, uid) + 1;
}

uint32_t view_first_unseen(View *v)
{
    Message m;
    uint32_t number;
    bool gone, own = v->mailbox->who == v->mailbox->account->number;
    if (own && !v->gone_count) {
        const Message *first = box_next_unseen(v->mailbox->box, 1);
        return first && first->uid < v->uid_end ? view_rank(v, first->uid) + 1 : 0;
    }
    for (uint32_t uid = 1; view_next(v, uid, &m, &number, &gone); uid = m.uid + 1)
        if (!(m.flags & FLAG_SEEN)) return number;
    return 0;
}

bool view_next(View *v, uint32_t uid, Message *out, uint32_t *number, bool *gone)
{
    const Message *m = box_next(v->mailbox->box, uid);
    if (m && m->uid >= v->uid_end) m = NULL;
    uint32_t i = v->gone_count ? gone_below(v, uid) : 0;
    const Message *lost = i < v->gone_count ? &v->gone[i] : NULL;
    if (!m && !lost) return false;
    bool is_lost = lost && (!m || lost->uid < m->uid);
    *out = is_lost ? *lost : *mailbox_see(v->mailbox, m);
    if (gone) *gone = is_lost;
    if (number) *number = view_rank(v, out->uid) + 1;
    return true;
}

/* ---- sync ---- */

/* RFC 9051 7.5.1: each EXPUNGE counts the earlier ones of the same answer as gone. */
static void report_expunged(View *v, Arena *a, ViewNews *news)
{
    Box *b = v->mailbox->box;
    news->expunged = arena_array(a, uint32_t, v->gone_count);
    uint32_t rank = 0, behind = 0; /* of all up to the next message that is there */
    for (uint32_t i = 0; i < v->gone_count; i++) {
        uint32_t uid = v->gone[i].uid;
        if (uid >= behind) {
            const Message *next = box_next(b, uid);
            rank = box_rank(b, uid);
            behind = next ? next->uid : UINT32_MAX;
        }
        news->expunged[news->expunged_count++] = rank + 1;
        uidset_add(a, &news->vanished, uid, uid);
        if (view_is_recent(v, uid) && v->recent) v->recent--, v->recent_changed = true;
    }
    v->exists -= v->gone_count;
    gone_forget(v);
}

static void changed_room(Arena *a, ViewNews *news, size_t *room)
{
    if (news->changed_count + SLOTS <= *room) return;
    *room = *room * 2 + SLOTS;
    uint32_t *more = arena_array(a, uint32_t, *room);
    if (news->changed_count) memcpy(more, news->changed, news->changed_count * sizeof *more);
    news->changed = more;
}

static bool is_news(const View *v, const Message *m)
{
    return m->modseq > v->synced && m->uid < v->uid_end &&
           (!is_own(v, m->modseq) || uidset_has(&v->overlaid, m->uid));
}

/* Page by page: a million may have changed. */
static void report_changed(View *v, Arena *a, ViewNews *news)
{
    Box *b = v->mailbox->box;
    size_t room = 0;
    const Message *first = box_next_changed(b, 1, v->synced);
    for (uint32_t i = first ? box_page_place(b, first->uid / SLOTS) : b->page_count;
         i < b->page_count; i++) {
        const SlotPage *p = &b->pages[i];
        if (p->max_modseq <= v->synced) continue;
        changed_room(a, news, &room);
        for (uint32_t slot = 0; slot < p->count; slot++)
            if (is_news(v, &p->messages[slot]))
                news->changed[news->changed_count++] = p->messages[slot].uid;
    }
    arena_done(&v->overlaid_arena);
    v->overlaid = (UidSet){0};
}

static void report_new(View *v, ViewNews *news)
{
    Box *b = v->mailbox->box;
    uint32_t end = b->s.uid_next;
    if (v->uid_end < end) {
        uint32_t more = box_rank(b, end) - box_rank(b, v->uid_end);
        news->exists_changed = more > 0;
        v->exists += more;
        v->uid_end = end;
    }
    if (v->takes_recent)
        take_recent(v);
    else
        look_at_recent(v);
}

void view_sync(View *v, bool expunges, Arena *a, ViewNews *news)
{
    *news = (ViewNews){.mailbox_deleted = v->mailbox->box->gone};
    if (!view_has_news(v)) return;
    uint32_t recent = v->recent;
    report_changed(v, a, news);
    if (expunges && v->gone_count) report_expunged(v, a, news);
    report_new(v, news);
    news->recent_changed = v->recent_changed && v->recent != recent;
    v->recent_changed = false;
    v->synced = v->mailbox->account->h.seq;
    v->own_count = 0;
    v->news = v->gone_count > 0;
}
