#include "store/model.h"

#include <stdlib.h>

/* What other users have seen in a mailbox shared with them: a set of uids for each of them. */

static void page_free(SeenPage *p)
{
    arena_done(&p->arena);
    free(p);
}

Err seen_page(Account *a, uint32_t mailbox, uint32_t who, SeenPage **page)
{
    uint64_t number = (uint64_t)mailbox << 32 | who;
    *page = number_table_get(&a->seen_pages, number);
    if (*page) return OK;
    Arena arena arena_scoped = {0};
    PageKey key = page_key_2('q', mailbox, who);
    SeenPage *p = NEW(SeenPage);
    p->mailbox = mailbox, p->who = who;
    Reader in;
    Err err = engine_page(a, &key, &arena, &in);
    if (!err) err = ranges_decode(&in, &p->arena, &p->seen);
    if (err && err != ERR_NOT_FOUND) {
        page_free(p);
        return err;
    }
    number_table_put(&a->seen_pages, number, p);
    *page = p;
    return OK;
}

/* A new set without the range; the old one goes with its arena. */
static void take_out(SeenPage *p, UidRange range)
{
    Arena fresh = {0};
    UidSet rest = {0};
    for (size_t i = 0; i < p->seen.count; i++) {
        UidRange r = p->seen.ranges[i];
        if (r.first < range.first) uidset_add(&fresh, &rest, r.first, MIN(r.last, range.first - 1));
        if (r.last > range.last) uidset_add(&fresh, &rest, MAX(r.first, range.last + 1), r.last);
    }
    arena_done(&p->arena);
    p->arena = fresh;
    p->seen = rest;
}

Err seen_change(Account *a, uint32_t mailbox, uint32_t who, UidRange range, bool seen)
{
    SeenPage *p;
    TRY(seen_page(a, mailbox, who, &p));
    if (seen)
        uidset_add(&p->arena, &p->seen, range.first, range.last);
    else
        take_out(p, range);
    p->state |= PAGE_DIRTY;
    account_touch(a);
    return OK;
}

/* A page that cannot be read counts as nothing seen, as in mailbox_see. */
uint32_t box_seen(Box *b, uint32_t who)
{
    SeenPage *p;
    uint32_t n = 0;
    if (b->gone || seen_page(b->account, b->s.id, who, &p)) return 0;
    for (size_t i = 0; i < p->seen.count; i++) {
        UidRange r = p->seen.ranges[i];
        uint32_t below = box_rank(b, r.first);
        n += (r.last == UINT32_MAX ? b->s.exists : box_rank(b, r.last + 1)) - below;
    }
    return n;
}

void seen_pages_trim(Account *a, bool all)
{
    if (!a->seen_pages.count) return;
    NumberTable kept = {0};
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&a->seen_pages, &cursor, &number, &value)) {
        SeenPage *p = value;
        if (all || !p->state)
            page_free(p);
        else
            number_table_put(&kept, number, p);
    }
    number_table_done(&a->seen_pages);
    a->seen_pages = kept;
}
