#include "store/model.h"

#include <stdlib.h>

enum { IDLE_MS = 5000 };

/* Summaries: those not yet in a durable page are in Account.summaries; the others come from y
 * pages, decoded once and kept in a cache of the loop, so that reading emails in order costs one
 * decode in sixteen. */

static void page_free(SummaryPage *p)
{
    buf_done(&p->text);
    free(p);
}

static void bury(Task *task)
{
    Home *home = CONTAINER(task, Home, bury);
    list_each (l, &home->evicted) {
        list_remove(l);
        page_free(CONTAINER(l, SummaryPage, link));
    }
    home->burying = false;
    cond_broadcast(&home->buried);
}

/* Summaries are borrowed until the next wait: what leaves the cache is freed when we have waited.
 */
static void cache_drop(Home *home, SummaryPage *p)
{
    number_table_take(&home->summary_table, p->key);
    list_remove(&p->link);
    home->summary_octets -= p->text.room + sizeof *p;
    list_add(&home->evicted, &p->link);
    if (home->burying) return;
    home->burying = true;
    home->bury.run = bury;
    loop_post(home->loop, &home->bury);
}

void summary_cache_forget(Home *home, uint32_t acct, uint32_t number)
{
    SummaryPage *p = number_table_get(&home->summary_table, (uint64_t)acct << 32 | number);
    if (p) cache_drop(home, p);
}

/* Decoded summaries that nobody has asked for go: what a session of a large mailbox has read. */
PARKS void summary_cache_rest(Home *home)
{
    enum { AT_ONCE = 128 };
    uint32_t dropped = 0;
    while (!list_is_empty(&home->summary_pages) && home->summary_used + IDLE_MS < now_ms()) {
        cache_drop(home, CONTAINER(home->summary_pages.next, SummaryPage, link));
        if (++dropped % AT_ONCE) continue;
        while (home->burying)
            cond_wait(&home->buried, NEVER);
    }
    home->freed_much |= dropped > AT_ONCE;
}

PARKS void summary_cache_done(Home *home)
{
    list_each (l, &home->summary_pages)
        cache_drop(home, CONTAINER(l, SummaryPage, link));
    while (home->burying)
        cond_wait(&home->buried, NEVER);
    number_table_done(&home->summary_table);
}

static void cache_add(Home *home, SummaryPage *p)
{
    uint64_t most = home->store->options.cache_octets;
    number_table_put(&home->summary_table, p->key, p);
    list_add(&home->summary_pages, &p->link);
    home->summary_octets += p->text.room + sizeof *p;
    while (home->summary_octets > most && home->summary_pages.next != &p->link)
        cache_drop(home, CONTAINER(home->summary_pages.next, SummaryPage, link));
}

typedef struct {
    Home *home;
    SummaryPage *page;
    Err err;
} Fetch;

static bool fetch_chunk(void *arg, Slice key, Slice value)
{
    (void)key;
    Fetch *f = arg;
    Reader in;
    f->err = page_open(value, &in);
    if (!f->err)
        f->err = summaries_decode(f->home->codec, &in, &f->page->text, &f->page->summaries);
    return !f->err;
}

Err summary_page_read(Account *a, uint32_t number, SummaryPage *page)
{
    Fetch f = {.home = a->home, .page = page};
    PageKey prefix = page_key_1('y', number);
    TRY(engine_scan(a->store->engine, a->number, page_key_slice(&prefix), (Slice){0}, fetch_chunk,
                    &f));
    return f.err;
}

static Err cache_fetch(Account *a, uint32_t number, SummaryPage **page)
{
    SummaryPage *p = NEW(SummaryPage);
    Err err = summary_page_read(a, number, p);
    if (err) {
        page_free(p);
        return err;
    }
    p->key = (uint64_t)a->number << 32 | number;
    cache_add(a->home, p);
    *page = p;
    return OK;
}

PARKS Err email_summary(Account *a, uint32_t eid, Slice *stored)
{
    if (a->summaries.count) {
        NewSummary *fresh = number_table_get(&a->summaries, eid);
        if (fresh) {
            *stored = slice(fresh->at, fresh->len);
            return OK;
        }
    }
    Home *home = a->home;
    home->summary_used = now_ms();
    uint32_t number = eid / SUMMARIES;
    SummaryPage *p = number_table_get(&home->summary_table, (uint64_t)a->number << 32 | number);
    if (p && !p->summaries.stored[eid % SUMMARIES].len) {
        cache_drop(home, p); /* it was cached before this one came */
        p = NULL;
    }
    if (!p) TRY(cache_fetch(a, number, &p));
    if (p->link.next != &home->summary_pages) {
        list_remove(&p->link);
        list_add(&home->summary_pages, &p->link);
    }
    *stored = p->summaries.stored[eid % SUMMARIES];
    if (!stored->len) return fail(ERR_EXPUNGED, "no summary of email %u", eid);
    return OK;
}
