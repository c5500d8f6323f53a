#include "store/model.h"

#include <stdlib.h>

/* Threads (RFC 8621 3): two emails belong together when they share a message id, as their own or
 * referred to, and their base subjects are the same. Both are in one hash, so one look-up in a
 * table of (hash, thread) answers. The table grows by linear hashing: when it gets crowded one
 * bucket is split, so no delivery pays for all of it. */

enum { BUCKET_USUAL = 120, BUCKET_MOST = 2000 };

static uint32_t bucket_of(uint32_t buckets, uint32_t hash)
{
    uint32_t mask = 1;
    while (mask < buckets)
        mask <<= 1;
    uint32_t at = hash & (mask - 1);
    return at < buckets ? at : hash & (mask / 2 - 1);
}

static Err bucket_load(Account *a, uint32_t number, ThreadPage **page)
{
    *page = number_table_get(&a->thread_pages, number);
    if (*page) return OK;
    Arena arena arena_scoped = {0};
    PageKey key = page_key_1('t', number);
    ThreadHash *hashes = NULL;
    size_t count = 0;
    Reader in;
    Err err = engine_page(a, &key, &arena, &in);
    if (!err) err = threads_decode(&in, &hashes, &count);
    if (err && err != ERR_NOT_FOUND) return err;
    ThreadPage *p = NEW(ThreadPage);
    *p = (ThreadPage){.number = number, .hashes = hashes, .count = (uint32_t)count};
    p->room = p->count;
    number_table_put(&a->thread_pages, number, p);
    *page = p;
    return OK;
}

static void bucket_add(ThreadPage *p, ThreadHash h)
{
    /* NOANALYZE(null-dereference): bucket_load gives a page or an error */
    if (p->count == p->room) {
        p->room = MAX(p->room * 2, 8u);
        p->hashes = mem_grow(p->hashes, array_bytes(p->room, sizeof *p->hashes));
    }
    p->hashes[p->count++] = h;
    p->state |= PAGE_DIRTY;
}

static Err split_one(Account *a)
{
    uint32_t fresh = a->h.thread_buckets, level = 1;
    while (level * 2 <= fresh)
        level *= 2;
    ThreadPage *from, *to;
    TRY(bucket_load(a, fresh - level, &from));
    TRY(bucket_load(a, fresh, &to));
    a->h.thread_buckets++;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < from->count; i++) {
        ThreadHash h = from->hashes[i];
        if (bucket_of(fresh + 1, h.hash) == fresh)
            bucket_add(to, h);
        else
            from->hashes[kept++] = h;
    }
    from->count = kept;
    from->state |= PAGE_DIRTY;
    to->state |= PAGE_DIRTY;
    return OK;
}

static Err thread_find(Account *a, uint32_t hash, ThreadPage **bucket, uint32_t *thread)
{
    TRY(bucket_load(a, bucket_of(a->h.thread_buckets, hash), bucket));
    const ThreadPage *p = *bucket;
    *thread = 0;
    for (uint32_t i = 0; i < p->count && !*thread; i++)
        if (p->hashes[i].hash == hash) *thread = p->hashes[i].thread;
    return OK;
}

static Err thread_note(Account *a, uint32_t hash, uint32_t thread)
{
    uint32_t known;
    ThreadPage *p;
    TRY(thread_find(a, hash, &p, &known));
    if (known) return OK;
    if (p->count >= BUCKET_MOST) return OK; /* somebody sends us hashes that collide */
    bucket_add(p, (ThreadHash){hash, thread});
    a->h.thread_entries++;
    if (a->h.thread_entries / BUCKET_USUAL < a->h.thread_buckets) return OK;
    return split_one(a);
}

Err thread_join(Account *a, uint32_t eid, const uint32_t *hashes, size_t count, uint32_t *thread)
{
    uint32_t found = 0;
    ThreadPage *p;
    for (size_t i = 0; i < count && !found; i++)
        TRY(thread_find(a, hashes[i], &p, &found));
    if (!found) found = eid;
    for (size_t i = 0; i < count; i++)
        TRY(thread_note(a, hashes[i], found));
    *thread = found;
    return OK;
}

static void page_free(ThreadPage *p)
{
    free(p->hashes);
    free(p);
}

void thread_pages_free(Account *a)
{
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&a->thread_pages, &cursor, &number, &value))
        page_free(value);
    number_table_done(&a->thread_pages);
}

void thread_pages_trim(Account *a, size_t keep)
{
    if (a->thread_pages.count <= keep) return;
    NumberTable kept = {0};
    size_t cursor = 0;
    uint64_t number;
    void *value;
    while (number_table_next(&a->thread_pages, &cursor, &number, &value)) {
        ThreadPage *p = value;
        if (p->state)
            number_table_put(&kept, number, p);
        else
            page_free(p);
    }
    number_table_done(&a->thread_pages);
    a->thread_pages = kept;
}
