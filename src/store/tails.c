#include "store/local.h"

#include <stdlib.h>

/* What recovery read from the log and no page has yet, account by account. It stays in memory until
 * the account was loaded and took it; what cannot be loaded keeps its tail, and holds back the
 * position in the index, so the next start reads it again. */

static Tail *tail_of(Engine *e, uint32_t acct)
{
    Tail *t = (Tail *)number_table_get(&e->tails, acct);
    if (t) return t;
    t = NEW(Tail);
    t->last = &t->first;
    number_table_put(&e->tails, acct, t);
    return t;
}

void tail_add(Engine *e, uint32_t acct, const TailEntry *entry, const LogPosition *before)
{
    Tail *t = tail_of(e, acct);
    TailItem *item = (TailItem *)mem_new(sizeof *item + entry->record.len);
    *item = (TailItem){.entry = *entry, .before = *before};
    if (entry->record.len) memcpy(item + 1, entry->record.at, entry->record.len);
    item->entry.record = slice(item + 1, entry->record.len);
    *t->last = item;
    t->last = &item->next;
    t->served = false;
    e->tail_octets += sizeof *item + entry->record.len;
}

static void tail_free(Engine *e, uint32_t acct)
{
    Tail *t = (Tail *)number_table_take(&e->tails, acct);
    for (TailItem *item = t->first, *next; item; item = next) {
        next = item->next;
        e->tail_octets -= sizeof *item + item->entry.record.len;
        free(item);
    }
    free(t);
}

static uint32_t *tail_accounts(Engine *e, Arena *a, size_t *count)
{
    uint32_t *accts = arena_array(a, uint32_t, e->tails.count + 1);
    size_t cursor = 0;
    uint64_t acct;
    void *value;
    *count = 0;
    while (number_table_next(&e->tails, &cursor, &acct, &value))
        accts[(*count)++] = (uint32_t)acct;
    return accts;
}

void tails_done(Engine *e)
{
    Arena arena_scoped a = {0};
    size_t count;
    uint32_t *accts = tail_accounts(e, &a, &count);
    for (size_t i = 0; i < count; i++)
        tail_free(e, accts[i]);
    number_table_done(&e->tails);
}

Err engine_tail(Engine *e, uint32_t acct, Err (*each)(void *arg, const TailEntry *entry), void *arg)
{
    Tail *t = (Tail *)number_table_get(&e->tails, acct);
    if (!t) return OK;
    for (const TailItem *item = t->first; item; item = item->next)
        TRY(each(arg, &item->entry));
    t->served = true;
    return OK;
}

/* ---- touching ---- */
typedef struct {
    Engine *e;
    const uint32_t *accts;
    bool *folded; /* in the same order */
    size_t count;
} Touch;

PARKS static void touch_here(void *arg)
{
    Touch *t = (Touch *)arg;
    const EngineHost *host = &t->e->host;
    for (size_t i = 0; i < t->count; i++) {
        if (host->home(host->ctx, t->accts[i]) != loop_current()) continue;
        Err err = host->touch(host->ctx, t->accts[i]);
        Tail *tail = (Tail *)number_table_get(&t->e->tails, t->accts[i]);
        t->folded[i] = !err && tail->served;
        if (!t->folded[i])
            engine_trouble(t->e, err ? err : ERR_CORRUPT, "account %u: its tail waits: %s",
                           t->accts[i], err ? err_story() : "nobody asked for it");
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void hold_back(Engine *e)
{
    size_t cursor = 0;
    uint64_t acct;
    void *value;
    e->hold = (LogPosition){0};
    while (number_table_next(&e->tails, &cursor, &acct, &value)) {
        const TailItem *first = ((const Tail *)value)->first;
        if (!e->hold.lsn || first->before.lsn < e->hold.lsn) e->hold = first->before;
    }
}

PARKS void tails_touch(Engine *e)
{
    Arena arena_scoped a = {0};
    Touch t = {.e = e};
    t.accts = tail_accounts(e, &a, &t.count);
    t.folded = arena_array(&a, bool, t.count + 1);
    qsort((void *)(uintptr_t)t.accts, t.count, sizeof *t.accts, by_number);
    for (unsigned i = 0; i < loop_count() && t.count; i++)
        loop_call(loop_at(i), touch_here, &t);
    for (size_t i = 0; i < t.count; i++)
        if (t.folded[i]) tail_free(e, t.accts[i]);
    hold_back(e);
}
