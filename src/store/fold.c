#include "store/model.h"

#include "run/log.h"

#include <stdlib.h>

/* Folding: at each checkpoint every dirty page of every account goes to the engine. A page is DIRTY
 * when it changed since it was last put, FOLDING while the batch it was put into is not durable
 * yet. Until then it stays in memory, because the engine would still give the old one. */

/* ---- gather ---- */

typedef struct {
    Account *account;
    PageBatch *batch;
    Buf *out; /* scratch */
    uint32_t done;
} Fold;

enum { BREATH = 64 }; /* pages */

static bool take_dirty(uint8_t *state)
{
    if (!(*state & PAGE_DIRTY)) return false;
    *state = PAGE_FOLDING;
    return true;
}

static void put(Fold *f, const PageKey *key)
{
    page_end(f->out, 0);
    batch_put(f->batch, f->account->number, page_key_slice(key), buf_slice(f->out));
}

static void start(Fold *f)
{
    buf_clear(f->out);
    page_begin(f->out);
}

static void drop(Fold *f, const PageKey *key)
{
    batch_delete(f->batch, f->account->number, page_key_slice(key));
}

/* Nothing is applied to the account meanwhile (Account.held), so what is folded before and behind a
 * rest is of the same record; but pages may be read and others thrown away. */
PARKS static void rest(Fold *f)
{
    if (++f->done % piece_of(BREATH) == 0) breathe();
}

static void fold_slot_page(Fold *f, Box *b, const SlotPage *p)
{
    PageKey key = page_key_2('s', b->s.id, p->number);
    if (!p->count) {
        drop(f, &key);
        return;
    }
    start(f);
    slots_encode(f->out, p->messages, p->count);
    put(f, &key);
}

PARKS static void fold_slots(Fold *f, Box *b)
{
    for (uint32_t i = 0; i < b->page_count; i++) {
        SlotPage *p = &b->pages[i];
        uint32_t number = p->number;
        if (!take_dirty(&p->state)) continue;
        fold_slot_page(f, b, p);
        rest(f);
        i = box_page_place(b, number);
    }
}

PARKS static void fold_vanished(Fold *f, Box *b)
{
    for (uint32_t i = 0; i < b->vanished_count; i++) {
        VanishedPage *p = &b->vanished[i];
        if (!take_dirty(&p->state)) continue;
        PageKey key = page_key_2('v', b->s.id, p->number);
        start(f);
        vanished_encode(f->out, p->list, p->count);
        put(f, &key);
    }
    for (uint32_t n = b->s.vanished_first; n && n + 4 > b->s.vanished_first;) {
        PageKey key = page_key_2('v', b->s.id, --n);
        drop(f, &key);
    }
}

PARKS static void fold_box(Fold *f, Box *b)
{
    if (take_dirty(&b->slots_state)) fold_slots(f, b);
    if (take_dirty(&b->vanished_state)) fold_vanished(f, b);
    if (!take_dirty(&b->state)) return;
    PageKey key = page_key_1('b', b->s.id);
    start(f);
    box_encode(f->out, &b->s);
    put(f, &key);
}

static bool collect_key(void *arg, Slice key, Slice value)
{
    (void)value;
    Buf *keys = arg;
    buf_bytes(keys, key);
    return true;
}

static void drop_all(Fold *f, PageKey prefix)
{
    Buf keys buf_scoped = {0};
    Account *a = f->account;
    Err err = engine_scan(a->store->engine, a->number, page_key_slice(&prefix), (Slice){0},
                          collect_key, &keys);
    if (err) log_err(LOG_LEVEL_ERROR, "store-fold", err, KV_NUM("account", a->number));
    Reader in = reader(buf_slice(&keys));
    while (in.rest.len)
        batch_delete(f->batch, a->number, read_bytes(&in));
}

static void fold_dead_boxes(Fold *f)
{
    Account *a = f->account;
    for (uint32_t i = 0; i < a->dead_box_count; i++) {
        PageKey key = page_key_1('b', a->dead_boxes[i]);
        drop(f, &key);
        drop_all(f, page_key_1('s', a->dead_boxes[i]));
        drop_all(f, page_key_1('v', a->dead_boxes[i]));
        drop_all(f, page_key_1('q', a->dead_boxes[i]));
    }
    a->dead_boxes_telling = a->dead_box_count;
}

static bool emails_are_empty(const Email emails[EMAILS])
{
    for (int i = 0; i < EMAILS; i++)
        if (emails[i].thread) return false;
    return true;
}

/* With the last email of a page its summaries go too. */
static void fold_emails(Fold *f, EmailPage *p)
{
    Account *a = f->account;
    PageKey key = page_key_1('e', p->number);
    if (emails_are_empty(p->emails)) {
        drop(f, &key);
        for (uint32_t y = 0; y < EMAILS / SUMMARIES; y++) {
            drop_all(f, page_key_1('y', p->number * (EMAILS / SUMMARIES) + y));
            summary_cache_forget(a->home, a->number, p->number * (EMAILS / SUMMARIES) + y);
        }
        return;
    }
    start(f);
    emails_encode(f->out, p->emails);
    put(f, &key);
    for (uint32_t i = 0; i < EMAILS; i++) {
        Email *e = &p->emails[i];
        if (!e->thread || e->share_news != SHARE_NEW) continue;
        e->share_news = SHARE_TELLING;
        batch_blob_share(f->batch, a->number, p->number * EMAILS + i, e->ref.at);
    }
}

/* Their list changes while we rest; those in hand stay, for they are not clean. */
PARKS static void fold_email_pages(Fold *f)
{
    Account *a = f->account;
    uint32_t count = 0;
    EmailPage **list = mem_new(array_bytes(a->email_page_count + 1, sizeof(EmailPage *)));
    list_each (l, &a->email_pages) {
        EmailPage *p = CONTAINER(l, EmailPage, link);
        if (take_dirty(&p->state)) list[count++] = p;
    }
    for (uint32_t i = 0; i < count; i++) {
        fold_emails(f, list[i]);
        rest(f);
    }
    free(list);
}

static int order_summaries(const void *a, const void *b)
{
    uint32_t x = (*(NewSummary *const *)a)->eid, y = (*(NewSummary *const *)b)->eid;
    return (x > y) - (x < y);
}

/* All 16 are there: one compressed chunk in place of the single ones. */
static bool fold_full_page(Fold *f, uint32_t number, NewSummary **list, uint32_t n)
{
    Account *a = f->account;
    SummaryPage page = {0};
    if ((uint64_t)(number + 1) * SUMMARIES > a->h.next_eid) return false;
    if (summary_page_read(a, number, &page)) {
        buf_done(&page.text);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        page.summaries.stored[list[i]->eid % SUMMARIES] = slice(list[i]->at, list[i]->len);
    drop_all(f, page_key_1('y', number));
    PageKey key = page_key_2('y', number, 0);
    start(f);
    summaries_encode(a->home->codec, f->out, &page.summaries, true);
    put(f, &key);
    buf_done(&page.text);
    return true;
}

static void fold_summary_page(Fold *f, uint32_t number, NewSummary **list, uint32_t n)
{
    if (fold_full_page(f, number, list, n)) return;
    Summaries s = {0};
    for (uint32_t i = 0; i < n; i++)
        s.stored[list[i]->eid % SUMMARIES] = slice(list[i]->at, list[i]->len);
    PageKey key = page_key_2('y', number, list[0]->eid % SUMMARIES);
    start(f);
    summaries_encode(f->account->home->codec, f->out, &s, false);
    put(f, &key);
}

PARKS static void fold_summaries(Fold *f)
{
    NumberTable *t = &f->account->summaries;
    if (!t->count) return;
    NewSummary **list = mem_new(array_bytes(t->count, sizeof *list));
    uint32_t n = 0;
    size_t cursor = 0;
    uint64_t eid;
    void *value;
    while (number_table_next(t, &cursor, &eid, &value))
        if (take_dirty(&((NewSummary *)value)->state)) list[n++] = value;
    qsort(list, n, sizeof *list, order_summaries);
    for (uint32_t i = 0, end; i < n; i = end) {
        uint32_t number = list[i]->eid / SUMMARIES;
        for (end = i; end < n && list[end]->eid / SUMMARIES == number;)
            end++;
        fold_summary_page(f, number, list + i, end - i);
        rest(f);
    }
    free(list);
}

static void fold_threads(Fold *f)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&f->account->thread_pages, &cursor, &number, &value)) {
        ThreadPage *p = value;
        if (!take_dirty(&p->state)) continue;
        PageKey key = page_key_1('t', p->number);
        start(f);
        threads_encode(f->out, p->hashes, p->count);
        put(f, &key);
    }
}

static bool dead_is_empty(const Dead *d)
{
    uint64_t any = 0;
    for (size_t i = 0; i < COUNT(d->bits); i++)
        any |= d->bits[i];
    return !any;
}

static void fold_dead(Fold *f)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&f->account->dead_pages, &cursor, &number, &value)) {
        DeadPage *p = value;
        if (!take_dirty(&p->state)) continue;
        PageKey key = page_key_1('d', p->number);
        start(f);
        dead_encode(f->out, &p->d);
        dead_is_empty(&p->d) ? drop(f, &key) : put(f, &key);
    }
}

static void fold_seen(Fold *f)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&f->account->seen_pages, &cursor, &number, &value)) {
        SeenPage *p = value;
        if (!take_dirty(&p->state)) continue;
        PageKey key = page_key_2('q', p->mailbox, p->who);
        start(f);
        ranges_encode(f->out, &p->seen);
        put(f, &key);
    }
}

static void fold_objects(Fold *f)
{
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&f->account->objects, &cursor, &key, &value)) {
        NewObject *o = value;
        if (take_dirty(&o->state)) object_fold(f->batch, f->account, key, o, f->out);
    }
}

static void fold_texts(Fold *f, char kind, const Slice *texts, uint32_t count)
{
    PageKey key = page_key(kind);
    start(f);
    texts_encode(f->out, texts, count);
    put(f, &key);
}

static void fold_lists(Fold *f)
{
    Account *a = f->account;
    if (take_dirty(&a->keywords.state)) {
        PageKey key = page_key('K');
        fold_texts(f, 'k', a->keywords.texts, a->keywords.visible);
        start(f);
        kwsets_encode(f->out, a);
        put(f, &key);
    }
    if (take_dirty(&a->prefixes.state)) fold_texts(f, 'p', a->prefixes.texts, a->prefixes.visible);
    if (take_dirty(&a->subscribed_state)) fold_texts(f, 'n', a->subscribed, a->subscribed_count);
}

static void fold_drops(Fold *f)
{
    Account *a = f->account;
    for (uint32_t i = 0; i < a->drop_count; i++)
        batch_blob_drop(f->batch, a->number, a->drops[i].eid, a->drops[i].ref, a->drops[i].shared);
    a->drops_telling = a->drop_count;
}

PARKS static void fold_account(Fold *f)
{
    Account *a = f->account;
    PageKey key = page_key('h');
    fold_drops(f);
    for (uint32_t i = 0; i < a->box_count; i++)
        fold_box(f, a->boxes[i]);
    fold_dead_boxes(f);
    fold_summaries(f); /* before emails: an emptied page takes its summaries along */
    fold_email_pages(f);
    fold_threads(f);
    fold_dead(f);
    fold_seen(f);
    fold_objects(f);
    fold_lists(f);
    start(f);
    head_encode(f->out, &a->h);
    put(f, &key);
}

/* What becomes dirty while we are at it is for the next checkpoint: its position is behind this
 * one's, and the head page, which says up to which record this account is folded, comes last. */
PARKS static void gather_account(Account *a, PageBatch *batch)
{
    Home *home = a->home;
    Fold f = {.account = a, .batch = batch, .out = &home->page};
    account_settle(a);
    a->held = true;
    dead_purge(a);
    if (!a->folding.next) list_add(&home->folding, &a->folding); /* it stays */
    list_remove(&a->dirty);
    fold_account(&f);
    a->held = false;
    cond_broadcast(&a->quiet);
}

PARKS static void gather(void *ctx, PageBatch *batch)
{
    Home *home = home_here(ctx);
    size_t count = 0, i = 0;
    list_each (l, &home->dirty)
        count++;
    Account **list = mem_new(array_bytes(count + 1, sizeof *list));
    list_each (l, &home->dirty)
        list[i++] = CONTAINER(l, Account, dirty);
    home->gathering = true; /* what is not clean is not unloaded */
    for (i = 0; i < count; i++)
        gather_account(list[i], batch);
    home->gathering = false;
    free(list);
}

/* ---- folded ---- */

static bool settle(uint8_t *state, bool ok)
{
    if (*state & PAGE_FOLDING) *state = (uint8_t)((*state & ~PAGE_FOLDING) | (ok ? 0 : PAGE_DIRTY));
    return !*state;
}

static void settle_box(Box *b, bool ok)
{
    bool slots = b->slots_state & PAGE_FOLDING;
    settle(&b->state, ok);
    settle(&b->slots_state, ok);
    for (uint32_t i = 0; slots && i < b->page_count; i++)
        settle(&b->pages[i].state, ok);
    if (!b->vanished_state) return;
    settle(&b->vanished_state, ok);
    for (uint32_t i = 0; i < b->vanished_count; i++)
        settle(&b->vanished[i].state, ok);
}

static void settle_emails(Account *a, bool ok)
{
    list_each (l, &a->email_pages) {
        EmailPage *p = CONTAINER(l, EmailPage, link);
        if (!(p->state & PAGE_FOLDING)) continue;
        settle(&p->state, ok);
        for (uint32_t i = 0; i < EMAILS; i++)
            if (p->emails[i].share_news == SHARE_TELLING)
                p->emails[i].share_news = ok ? SHARE_TOLD : SHARE_NEW;
    }
}

static void settle_summaries(Account *a, bool ok)
{
    if (!a->summaries.count) return;
    NumberTable kept = {0};
    size_t cursor = 0;
    uint64_t eid;
    void *value;
    while (number_table_next(&a->summaries, &cursor, &eid, &value)) {
        NewSummary *s = value;
        if (settle(&s->state, ok)) {
            summary_cache_forget(a->home, a->number, s->eid / SUMMARIES);
            free(s);
        } else {
            number_table_put(&kept, eid, s);
        }
    }
    number_table_done(&a->summaries);
    a->summaries = kept;
}

static void settle_objects(Account *a, bool ok)
{
    if (!a->objects.count) return;
    Table kept = {0};
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&a->objects, &cursor, &key, &value)) {
        NewObject *o = value;
        if (settle(&o->state, ok)) {
            free((char *)o->value.at);
            free(o);
        } else {
            table_put(&kept, key, o);
        }
    }
    table_done(&a->objects);
    a->objects = kept;
}

static void settle_numbered(Account *a, bool ok)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&a->thread_pages, &cursor, &number, &value))
        settle(&((ThreadPage *)value)->state, ok);
    for (cursor = 0; number_table_next(&a->dead_pages, &cursor, &number, &value);)
        settle(&((DeadPage *)value)->state, ok);
    for (cursor = 0; number_table_next(&a->seen_pages, &cursor, &number, &value);)
        settle(&((SeenPage *)value)->state, ok);
    dead_pages_trim(a);
    thread_pages_trim(a, 4);
    seen_pages_trim(a, false);
}

static void settle_drops(Account *a, bool ok)
{
    uint32_t told = ok ? a->drops_telling : 0, buried = ok ? a->dead_boxes_telling : 0;
    a->drop_count -= told;
    if (told) memmove(a->drops, a->drops + told, a->drop_count * sizeof *a->drops);
    a->dead_box_count -= buried;
    if (buried)
        memmove(a->dead_boxes, a->dead_boxes + buried, a->dead_box_count * sizeof *a->dead_boxes);
    a->drops_telling = a->dead_boxes_telling = 0;
}

static void settle_account(Account *a, bool ok)
{
    for (uint32_t i = 0; i < a->box_count; i++)
        settle_box(a->boxes[i], ok);
    settle_emails(a, ok);
    settle_summaries(a, ok);
    settle_numbered(a, ok);
    settle_objects(a, ok);
    settle(&a->keywords.state, ok);
    settle(&a->prefixes.state, ok);
    settle(&a->subscribed_state, ok);
    settle_drops(a, ok);
    if (!ok) account_touch(a);
}

static void folded(void *ctx, bool ok)
{
    Home *home = home_here(ctx);
    list_each (l, &home->folding) {
        Account *a = CONTAINER(l, Account, folding);
        list_remove(&a->folding);
        settle_account(a, ok);
    }
    home_trim(home);
}

/* ---- the rest of the host ---- */

/* While the store opens, the tail comes in steps. Later a loaded account is as new as its last
 * done: what the tail has beyond it is about to be applied by commit.c. */
PARKS static Err touch(void *ctx, uint32_t acct)
{
    Store *store = ctx;
    bool loaded = number_table_get(&home_here(store)->table, acct);
    Account *a;
    TRY(account_load(store, acct, &a));
    account_settle(a); /* or a body whose record waits would be moved behind its back */
    return loaded && !store->is_open ? account_replay(a) : OK;
}

static Loop *home_of(void *ctx, uint32_t acct)
{
    return store_home(ctx, acct);
}

static Err relocated(void *ctx, uint32_t acct, uint32_t eid, uint64_t old_at, BlobRef now)
{
    Account *a;
    TRY(account_load(ctx, acct, &a));
    return apply_relocation(a, eid, old_at, now);
}

static void trouble(void *ctx, Err err, Slice story)
{
    Store *store = ctx;
    log_event(LOG_LEVEL_ERROR, "store-trouble", KV_TEXT("err", err_name(err)), KV("story", story));
    if (!store->is_open || store->is_broken || !engine_health(store->engine)) return;
    store->is_broken = true;
    if (store->options.broken) store->options.broken(store->options.broken_arg);
}

EngineHost fold_host(Store *store)
{
    return (EngineHost){.ctx = store,
                        .gather = gather,
                        .folded = folded,
                        .touch = touch,
                        .home = home_of,
                        .relocated = relocated,
                        .trouble = trouble};
}
