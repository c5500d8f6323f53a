#include "store/model.h"

#include <stdlib.h>

/* An object is a page of its own:  varint seq   varint length   its first octets; what does not fit
 * follows in numbered chunks. Those changed since the last durable checkpoint are in
 * Account.objects. */

enum { CHUNK = 1800, OBJECT_MOST = 1024 * 1024 };

/* A page by any key, its checksum checked. */
static Err object_page(Account *a, Slice key, Arena *arena, Reader *in)
{
    Slice value;
    TRY(engine_get(a->store->engine, a->number, key, arena, &value));
    return page_open(value, in);
}

/* ---- reading ---- */

typedef struct {
    uint64_t seq, len;
    Slice first;
} ObjectPage;

static Err object_page_decode(Reader *in, ObjectPage *p)
{
    p->seq = read_varint(in);
    p->len = read_varint(in);
    p->first = in->rest;
    if (in->bad || p->len > OBJECT_MOST || p->first.len != MIN(p->len, CHUNK))
        return fail(ERR_CORRUPT, "a damaged object");
    return OK;
}

static Err read_chunks(Account *a, Slice key, const ObjectPage *p, Arena *arena, Slice *value)
{
    if (!mem_fits((size_t)p->len)) return fail(ERR_NO_MEMORY, "an object");
    char *out = arena_alloc(arena, (size_t)p->len + 1);
    memcpy(out, p->first.at, p->first.len);
    for (size_t at = p->first.len; at < p->len; at += CHUNK) {
        ObjectKey k;
        Reader in;
        object_chunk_key(&k, key, (uint32_t)(at / CHUNK));
        TRY(object_page(a, object_key_slice(&k), arena, &in));
        if (in.rest.len != MIN(p->len - at, CHUNK)) return fail(ERR_CORRUPT, "a damaged object");
        memcpy(out + at, in.rest.at, in.rest.len);
    }
    *value = slice(out, (size_t)p->len);
    return OK;
}

Err object_find(Account *a, Slice collection, Slice id, Arena *arena, Slice *value, uint64_t *seq)
{
    if (!collection.len || collection.len > COLLECTION_MOST || id.len > OBJECT_ID_MOST || !id.len)
        return fail(ERR_NOT_FOUND, "no such object");
    ObjectKey k;
    object_key(&k, collection, id);
    Slice key = object_key_slice(&k);
    NewObject *o = table_get(&a->objects, key);
    if (o && !o->present) return fail(ERR_NOT_FOUND, "no such object");
    if (o) {
        *value = arena_copy(arena, o->value);
        if (seq) *seq = o->seq;
        return OK;
    }
    Reader in;
    ObjectPage p;
    TRY(object_page(a, key, arena, &in));
    TRY(object_page_decode(&in, &p));
    if (seq) *seq = p.seq;
    return read_chunks(a, key, &p, arena, value);
}

Err object_length(Account *a, Slice collection, Slice id, uint64_t *len)
{
    Arena arena arena_scoped = {0};
    ObjectKey k;
    Reader in;
    ObjectPage p;
    object_key(&k, collection, id);
    NewObject *o = table_get(&a->objects, object_key_slice(&k));
    if (o && !o->present) return fail(ERR_NOT_FOUND, "no such object");
    if (o) {
        *len = o->value.len;
        return OK;
    }
    TRY(object_page(a, object_key_slice(&k), &arena, &in));
    TRY(object_page_decode(&in, &p));
    *len = p.len;
    return OK;
}

/* ---- applying ---- */

/* Annotations count for the quota. */
static void count_annotation(Account *a, Slice collection, Slice id, const Slice *value)
{
    uint64_t *used = &a->h.used[QUOTA_ANNOTATION], old;
    if (!annotation_collection(collection)) return;
    if (!object_length(a, collection, id, &old)) *used -= MIN(annotation_octets(id, old), *used);
    if (value) *used += annotation_octets(id, value->len);
}

void object_apply(Account *a, uint64_t seq, Slice collection, Slice id, const Slice *value)
{
    ObjectKey key;
    count_annotation(a, collection, id, value);
    object_key(&key, collection, id);
    NewObject *o = table_get(&a->objects, object_key_slice(&key));
    if (!o) {
        o = NEW(NewObject);
        table_put(&a->objects, object_key_slice(&key), o);
    }
    free((char *)o->value.at);
    o->present = value;
    o->seq = seq;
    o->value = (Slice){0};
    if (value) {
        char *copy = mem_new(value->len + 1);
        if (value->len) memcpy(copy, value->at, value->len);
        o->value = slice(copy, value->len);
    }
    o->state |= PAGE_DIRTY;
    a->h.last_object_seq = seq;
}

/* ---- folding ---- */

/* Chunks beyond the new length, of a longer value before. */
static void drop_stale(PageBatch *batch, Account *a, Slice key, uint64_t len)
{
    Arena arena arena_scoped = {0};
    Reader in;
    ObjectPage old;
    if (object_page(a, key, &arena, &in) || object_page_decode(&in, &old)) return;
    uint64_t first = (len + CHUNK - 1) / CHUNK;
    for (uint64_t chunk = MAX(first, UINT64_C(1)); chunk * CHUNK < old.len; chunk++) {
        ObjectKey k;
        object_chunk_key(&k, key, (uint32_t)chunk);
        batch_delete(batch, a->number, object_key_slice(&k));
    }
}

static void put_first(PageBatch *batch, Account *a, Slice key, const NewObject *o, Buf *out)
{
    buf_clear(out);
    page_begin(out);
    buf_varint(out, o->seq);
    buf_varint(out, o->value.len);
    buf_add(out, slice_first(o->value, CHUNK));
    page_end(out, 0);
    batch_put(batch, a->number, key, buf_slice(out));
}

static void put_chunk(PageBatch *batch, Account *a, Slice key, Slice chunk, Buf *out)
{
    buf_clear(out);
    page_begin(out);
    buf_add(out, chunk);
    page_end(out, 0);
    batch_put(batch, a->number, key, buf_slice(out));
}

void object_fold(PageBatch *batch, Account *a, Slice key, const NewObject *o, Buf *scratch)
{
    drop_stale(batch, a, key, o->present ? o->value.len : 0);
    if (!o->present) {
        batch_delete(batch, a->number, key);
        return;
    }
    put_first(batch, a, key, o, scratch);
    for (size_t at = CHUNK; at < o->value.len; at += CHUNK) {
        ObjectKey k;
        object_chunk_key(&k, key, (uint32_t)(at / CHUNK));
        put_chunk(batch, a, object_key_slice(&k), slice_first(slice_from(o->value, at), CHUNK),
                  scratch);
    }
}

/* ---- public ---- */

static Err check_names(Slice collection, Slice id)
{
    if (!collection.len || collection.len > COLLECTION_MOST ||
        slice_find(collection, 0) < collection.len)
        return fail(ERR_LIMIT, "a collection's name");
    if (!id.len || id.len > OBJECT_ID_MOST) return fail(ERR_LIMIT, "an object's id");
    return OK;
}

static Err check_expected(Account *a, Slice collection, Slice id, uint64_t expected)
{
    Arena arena arena_scoped = {0};
    Slice value;
    uint64_t seq = 0;
    Err err = object_find(a, collection, id, &arena, &value, &seq);
    if (err && err != ERR_NOT_FOUND) return err;
    return seq == expected ? OK : fail(ERR_CONFLICT, "the object changed meanwhile");
}

PARKS Err object_put(Account *a, Slice collection, Slice id, Slice value, const uint64_t *expected)
{
    Change c change_scoped = {0};
    TRY(check_names(collection, id));
    if (value.len > OBJECT_MOST) return fail(ERR_TOO_BIG, "an object of %zu octets", value.len);
    if (expected) {
        TRY(change_begin_alone(a, &c));
        TRY(check_expected(a, collection, id, *expected));
    } else {
        TRY(change_begin(a, &c));
    }
    change_op(&c,
              &(Op){.kind = OP_OBJECT, .on = true, .name = collection, .id = id, .value = value},
              NULL);
    return change_commit(&c);
}

PARKS Err object_delete(Account *a, Slice collection, Slice id)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    Slice value;
    TRY(check_names(collection, id));
    TRY(change_begin_alone(a, &c));
    TRY(object_find(a, collection, id, &arena, &value, NULL));
    change_op(&c, &(Op){.kind = OP_OBJECT, .name = collection, .id = id}, NULL);
    return change_commit(&c);
}

PARKS Err object_get(Account *a, Slice collection, Slice id, Arena *arena, Slice *value,
                     uint64_t *seq)
{
    return object_find(a, collection, id, arena, value, seq);
}

/* ---- listing: the pages and what is newer than they, merged ---- */

typedef struct {
    Account *account;
    Arena *arena;
    Slice *keys; /* of the pages, without those that memory knows better */
    size_t count, room, most;
} Listing;

static void listing_add(Listing *l, Slice key)
{
    if (l->count == l->room) {
        l->room = MAX(l->room * 2, (size_t)16);
        Slice *more = arena_array(l->arena, Slice, l->room);
        if (l->count) memcpy(more, l->keys, l->count * sizeof *more);
        l->keys = more;
    }
    l->keys[l->count++] = arena_copy(l->arena, key);
}

static bool list_page(void *arg, Slice key, Slice value)
{
    (void)value;
    Listing *l = arg;
    if (!table_get(&l->account->objects, key)) listing_add(l, key);
    return l->count < l->most;
}

static void list_new(Listing *l, Slice prefix, Slice from)
{
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&l->account->objects, &cursor, &key, &value))
        if (((NewObject *)value)->present && slice_starts(key, prefix) &&
            slice_order(key, from) >= 0)
            listing_add(l, key);
}

static int order_keys(const void *a, const void *b)
{
    return slice_order(*(const Slice *)a, *(const Slice *)b);
}

PARKS Err object_list(Account *a, Slice collection, Slice after, size_t most, Arena *arena,
                      Slice **ids, size_t *count)
{
    TRY(check_names(collection, S("-")));
    if (after.len > OBJECT_ID_MOST) return fail(ERR_LIMIT, "an object's id");
    ObjectKey prefix, from;
    object_key(&prefix, collection, (Slice){0});
    object_key(&from, collection, after);
    if (after.len) from.at[from.len++] = 0; /* the first key behind it */
    Listing l = {.account = a, .arena = arena, .most = most};
    if (most)
        TRY(engine_scan(a->store->engine, a->number, object_key_slice(&prefix),
                        object_key_slice(&from), list_page, &l));
    list_new(&l, object_key_slice(&prefix), object_key_slice(&from));
    if (l.count) qsort(l.keys, l.count, sizeof *l.keys, order_keys);
    l.count = MIN(l.count, most);
    for (size_t i = 0; i < l.count; i++)
        l.keys[i] = slice_from(l.keys[i], prefix.len);
    *ids = l.keys;
    *count = l.count;
    return OK;
}
