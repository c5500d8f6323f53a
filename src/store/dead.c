#include "store/model.h"

#include <stdlib.h>

/* An email that is in no mailbox any more stays readable until every view that still shows it has
 * said so; then its blob is dropped and its entry cleared in one checkpoint. Which ones wait is
 * kept in pages of bits, so a crash leaks nothing. What an account keeps after an expunge is in a
 * mailbox (kept.c), so it does not come here before it is purged. */

enum {
    PURGE_AT_ONCE = 8192, /* emails per account and checkpoint */
    BREATH = 512
};

static DeadPage *dead_page(Account *a, uint32_t number)
{
    DeadPage *p = number_table_get(&a->dead_pages, number);
    if (p) return p;
    p = NEW(DeadPage);
    p->number = number;
    p->d.oldest = UINT32_MAX;
    number_table_put(&a->dead_pages, number, p);
    return p;
}

typedef struct {
    Account *account;
    Err err;
} Loading;

static bool load_page(void *arg, Slice key, Slice value)
{
    Loading *l = arg;
    uint32_t number;
    Dead d;
    Reader in;
    l->err = page_key_numbers(key, &number, 1) ? page_open(value, &in)
                                               : fail(ERR_CORRUPT, "the key of a drop list page");
    if (!l->err) l->err = dead_decode(&in, &d);
    if (l->err) return false;
    dead_page(l->account, number)->d = d;
    account_touch(l->account); /* there may be something to purge */
    return true;
}

Err dead_pages_load(Account *a)
{
    Loading l = {.account = a};
    TRY(engine_scan(a->store->engine, a->number, S("d"), (Slice){0}, load_page, &l));
    return l.err;
}

void dead_mark(Account *a, uint32_t eid, uint32_t time)
{
    DeadPage *p = dead_page(a, eid / DEADS);
    p->d.bits[eid % DEADS / 64] |= UINT64_C(1) << eid % 64;
    p->d.oldest = MIN(p->d.oldest, time);
    p->blocked_by = 0;
    p->state |= PAGE_DIRTY;
    account_touch(a);
}

void dead_clear(Account *a, uint32_t eid)
{
    DeadPage *p = number_table_get(&a->dead_pages, eid / DEADS);
    if (!p) return;
    p->d.bits[eid % DEADS / 64] &= ~(UINT64_C(1) << eid % 64);
    p->state |= PAGE_DIRTY;
    account_touch(a);
}

static void drop_later(Account *a, uint32_t eid, const Email *e)
{
    if (a->drop_count == a->drop_room) {
        a->drop_room = MAX(a->drop_room * 2, 8u);
        a->drops = mem_grow(a->drops, array_bytes(a->drop_room, sizeof *a->drops));
    }
    a->drops[a->drop_count++] = (Drop){.eid = eid, .ref = e->ref, .shared = e->shared};
}

typedef struct {
    Account *account;
    uint64_t floor;  /* views still show what died at or after this seq */
    uint32_t left;   /* how many more this time */
    uint32_t oldest; /* of those that stay */
} Purge;

static bool is_due(const Purge *g, const Email *e)
{
    bool never_linked = !e->dead_time;
    if (never_linked && (g->account->in_flight || g->account->gathering)) return false;
    return e->dead_seq < g->floor;
}

static bool stays(Purge *g, uint32_t since)
{
    g->oldest = MIN(g->oldest, since);
    return false;
}

/* True: it is gone. */
static bool purge_one(Purge *g, uint32_t eid)
{
    Account *a = g->account;
    EmailPage *p;
    if (email_page(a, eid / EMAILS, &p)) return stays(g, 1); /* damaged: check tells */
    Email *e = &p->emails[eid % EMAILS];
    if (e->thread && e->link_count) return true; /* it is back, or never was dead */
    if (e->thread && !is_due(g, e)) return stays(g, e->dead_time);
    if (e->thread) drop_later(a, eid, e);
    free(e->more);
    *e = (Email){0};
    email_dirty(a, p);
    free(number_table_take(&a->summaries, eid));
    g->left--;
    return true;
}

PARKS static void purge_page(Purge *g, DeadPage *p)
{
    uint32_t seen = 0;
    g->oldest = UINT32_MAX;
    for (uint32_t word = 0; word < COUNT(p->d.bits); word++) {
        for (uint64_t bits = p->d.bits[word]; bits && g->left; bits &= bits - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(bits);
            if (++seen % BREATH == 0) breathe();
            if (!purge_one(g, p->number * DEADS + word * 64 + bit)) continue;
            p->d.bits[word] &= ~(UINT64_C(1) << bit);
            p->state |= PAGE_DIRTY;
        }
    }
    if (!g->left) return; /* the rest next time */
    p->d.oldest = g->oldest;
    p->blocked_by = g->floor;
}

/* Those that views held the last time are looked at when the views have moved on. */
static bool worth_a_look(const Purge *g, const DeadPage *p)
{
    bool new_views = p->blocked_by != g->floor || g->floor == UINT64_MAX;
    return p->d.oldest != UINT32_MAX && new_views;
}

static Purge purge_of(Account *a)
{
    return (Purge){.account = a, .floor = views_floor(a), .left = PURGE_AT_ONCE};
}

bool dead_is_due(Account *a)
{
    size_t cursor = 0;
    uint64_t number;
    void *page;
    if (!a->dead_pages.count) return false;
    Purge g = purge_of(a);
    while (number_table_next(&a->dead_pages, &cursor, &number, &page))
        if (worth_a_look(&g, page)) return true;
    return false;
}

PARKS void dead_purge(Account *a)
{
    size_t cursor = 0;
    uint64_t number;
    void *page;
    if (!a->dead_pages.count) return;
    Purge g = purge_of(a);
    while (g.left && number_table_next(&a->dead_pages, &cursor, &number, &page))
        if (worth_a_look(&g, page)) purge_page(&g, page);
}

static bool is_empty(const Dead *d)
{
    uint64_t any = 0;
    for (size_t i = 0; i < COUNT(d->bits); i++)
        any |= d->bits[i];
    return !any;
}

void dead_pages_trim(Account *a)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    if (!a->dead_pages.count) return;
    NumberTable kept = {0};
    while (number_table_next(&a->dead_pages, &cursor, &number, &value)) {
        DeadPage *p = value;
        if (!p->state && is_empty(&p->d))
            free(p);
        else
            number_table_put(&kept, number, p);
    }
    number_table_done(&a->dead_pages);
    a->dead_pages = kept;
}
