#include "store/model.h"

#include <stdlib.h>

/* Tombstones of a mailbox: a row of pages with rising numbers, vanished_first .. vanished_next - 1,
 * in order of seq. The last one fills up in memory. When there are too many pages the oldest goes,
 * and vanished_floor says up to which change tombstones are missing. */

enum { PAGES_MOST = 364, FULL = 180 }; /* 180 entries stay below 1.9 KB */

static Err page_read(Box *b, uint32_t number, VanishedPage *page)
{
    Arena arena arena_scoped = {0};
    PageKey key = page_key_2('v', b->s.id, number);
    size_t count = 0;
    Reader in;
    *page = (VanishedPage){
        .number = number, .room = VANISHED_MOST, .list = mem_new(VANISHED_MOST * sizeof(Vanished))};
    Err err = engine_page(b->account, &key, &arena, &in);
    if (!err) err = vanished_decode(&in, page->list, &count);
    page->count = (uint32_t)count;
    if (!err || err == ERR_NOT_FOUND) return OK;
    free(page->list);
    page->list = NULL;
    return err;
}

static VanishedPage *page_add(Box *b, VanishedPage page)
{
    b->vanished = mem_grow(b->vanished, array_bytes(b->vanished_count + 1, sizeof page));
    b->vanished[b->vanished_count] = page;
    return &b->vanished[b->vanished_count++];
}

static VanishedPage page_fresh(Box *b)
{
    b->state |= PAGE_DIRTY;
    return (VanishedPage){.number = b->s.vanished_next++};
}

static Err last_page(Box *b, VanishedPage **page)
{
    if (!b->vanished_count) {
        VanishedPage p;
        if (b->s.vanished_next == b->s.vanished_first)
            p = page_fresh(b);
        else
            TRY(page_read(b, b->s.vanished_next - 1, &p));
        page_add(b, p);
    }
    *page = &b->vanished[b->vanished_count - 1];
    if ((*page)->count >= FULL) *page = page_add(b, page_fresh(b));
    return OK;
}

static bool extend(VanishedPage *p, uint64_t seq, const Message *m)
{
    Vanished *v = p->count ? &p->list[p->count - 1] : NULL;
    if (!v || v->seq != seq || v->uid + v->count != m->uid || v->eid + v->count != m->eid)
        return false;
    v->count++;
    return true;
}

static void page_append(VanishedPage *p, Vanished v)
{
    if (p->count == p->room) {
        p->room = MAX(p->room * 2, 4u);
        p->list = mem_grow(p->list, array_bytes(p->room, sizeof v));
    }
    p->list[p->count++] = v;
}

Err vanished_add(Box *b, uint64_t seq, const Message *gone, size_t count)
{
    if (PLANTED("no_tombstone")) count = 0;
    for (size_t i = 0; i < count; i++) {
        VanishedPage *p;
        TRY(last_page(b, &p));
        if (!extend(p, seq, &gone[i])) page_append(p, (Vanished){seq, gone[i].uid, gone[i].eid, 1});
        p->state |= PAGE_DIRTY;
    }
    b->vanished_state |= PAGE_DIRTY;
    account_touch(b->account);
    return OK;
}

static void forget_page(Box *b, const VanishedPage *p)
{
    if (p->count) b->s.vanished_floor = MAX(b->s.vanished_floor, p->list[p->count - 1].seq);
    b->s.vanished_first++;
    b->state |= PAGE_DIRTY;
}

/* The page may be one that is not folded yet. Its key is deleted when the box is (fold.c). */
Err vanished_forget(Box *b)
{
    uint32_t number = b->s.vanished_first;
    if (b->s.vanished_next - number <= PAGES_MOST) return OK;
    for (uint32_t i = 0; i < b->vanished_count; i++)
        if (b->vanished[i].number == number) {
            forget_page(b, &b->vanished[i]);
            return OK;
        }
    VanishedPage p;
    TRY(page_read(b, number, &p));
    forget_page(b, &p);
    free(p.list);
    return OK;
}

void vanished_trim(Box *b, bool all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->vanished_count; i++) {
        if (all || !b->vanished[i].state)
            free(b->vanished[i].list);
        else
            b->vanished[kept++] = b->vanished[i];
    }
    b->vanished_count = kept;
    if (kept) return;
    free(b->vanished);
    b->vanished = NULL;
}

/* ---- QRESYNC ---- */

static Err page_get(Box *b, uint32_t number, Arena *a, VanishedPage *page)
{
    for (uint32_t i = 0; i < b->vanished_count; i++)
        if (b->vanished[i].number == number) {
            *page = b->vanished[i];
            return OK;
        }
    TRY(page_read(b, number, page));
    Vanished *copy = arena_array(a, Vanished, page->count + 1);
    if (page->count) memcpy(copy, page->list, page->count * sizeof *copy);
    /* NOANALYZE(double-free): page_read gives an error when it has freed it */
    free(page->list);
    page->list = copy;
    return OK;
}

/* Who goes meanwhile is told of as one that has just gone. */
PARKS static void add_gaps(Box *b, Arena *a, UidSet *vanished)
{
    enum { BREATH = 4096 };
    uint32_t next = 1, seen = 0;
    for (const Message *m = box_next(b, 1); m; m = box_next(b, next)) {
        if (m->uid > next) uidset_add(a, vanished, next, m->uid - 1);
        next = m->uid + 1;
        if (++seen % BREATH == 0) breathe();
    }
    if (next < b->s.uid_next) uidset_add(a, vanished, next, b->s.uid_next - 1);
}

typedef struct {
    Vanished *list;
    size_t count, room;
} VanishedList;

static void list_append(Arena *a, VanishedList *l, Vanished v)
{
    if (l->count == l->room) {
        l->room = MAX(l->room * 2, (size_t)16);
        Vanished *more = arena_array(a, Vanished, l->room);
        if (l->count) memcpy(more, l->list, l->count * sizeof *more);
        l->list = more;
    }
    l->list[l->count++] = v;
}

Err vanished_after(Box *b, uint64_t modseq, Arena *a, Vanished **list, size_t *count)
{
    VanishedList l = {0};
    bool older = false;
    for (uint32_t n = b->s.vanished_next; n-- > b->s.vanished_first && !older;) {
        VanishedPage p;
        TRY(page_get(b, n, a, &p));
        for (uint32_t i = 0; i < p.count; i++)
            if (p.list[i].seq > modseq) list_append(a, &l, p.list[i]);
        older = p.count && p.list[0].seq <= modseq;
    }
    *list = l.list;
    *count = l.count;
    return OK;
}

PARKS Err mailbox_vanished(Mailbox *box, uint64_t modseq, Arena *a, UidSet *vanished,
                           bool *complete)
{
    Box *b = box->box;
    Vanished *list;
    size_t count;
    if (b->gone) return fail(ERR_NOT_FOUND, "the mailbox was deleted");
    *complete = modseq >= b->s.vanished_floor;
    if (!*complete) {
        add_gaps(b, a, vanished);
        return OK;
    }
    TRY(vanished_after(b, modseq, a, &list, &count));
    for (size_t i = 0; i < count; i++)
        uidset_add(a, vanished, list[i].uid, list[i].uid + list[i].count - 1);
    return OK;
}
