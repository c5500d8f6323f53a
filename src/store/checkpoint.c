#include "store/local.h"

#include <stdlib.h>

/* A checkpoint brings the index up to date: the position is read first, then every loop puts its
 * dirty pages into one batch, and all goes into one transaction, the position with it. Records
 * before the position have been applied when the pages are gathered (log.c counts completions);
 * those behind it may be in the pages too, and are passed over by their seq when they are replayed.
 *
 * The batch also says which account refers to which shared body, and which bodies are given up. A
 * body nobody refers to any more gets a 'd' key in the same transaction; marking it dead in the log
 * comes later (space.c), and after a crash the keys say what is still to be marked. */

typedef struct {
    uint32_t acct, eid;
    BlobRef ref;
    bool shared;
} Drop;

struct PageBatch {
    Engine *e;
    Arena arena;
    IndexChange *changes;
    size_t count, room;
    Drop *drops;
    size_t drop_count, drop_room;
    NumberTable shared; /* at -> Shared, those this batch is about */
    LogPosition position;
    Err err;
    char story[STORY_ROOM];
    BlobRef *died;
    size_t died_count, died_room;
    uint64_t *marked; /* 'd' keys that go */
    size_t marked_count;
    NumberTable big; /* the engine's big_refs, taken */
};

/* The owners of a shared body as they will be after this batch. */
typedef struct {
    BlobRef ref; /* len 0 until somebody drops it */
    uint32_t (*owners)[2];
    size_t count, room;
    bool dropped;
} Shared;

/* ---- the batch ---- */
static void change_add(PageBatch *b, Slice key, Slice value, bool remove)
{
    if (b->count == b->room) {
        b->room = MAX(64, b->room * 2);
        b->changes = (IndexChange *)mem_grow(b->changes, array_bytes(b->room, sizeof(IndexChange)));
    }
    b->changes[b->count++] = (IndexChange){key, value, remove};
}

void batch_put(PageBatch *b, uint32_t acct, Slice key, Slice value)
{
    must(key.len <= 400);
    if (PLANTED("page_lost")) return;
    change_add(b, key_page(&b->arena, acct, key), arena_copy(&b->arena, value), false);
}

void batch_delete(PageBatch *b, uint32_t acct, Slice key)
{
    must(key.len <= 400);
    change_add(b, key_page(&b->arena, acct, key), (Slice){0}, true);
}

static size_t owner_place(const Shared *s, uint32_t acct, uint32_t eid)
{
    size_t i = 0;
    while (i < s->count && (s->owners[i][0] != acct || s->owners[i][1] != eid))
        i++;
    return i;
}

static void owner_add(Shared *s, Arena *a, uint32_t acct, uint32_t eid)
{
    if (owner_place(s, acct, eid) < s->count) return;
    if (s->count == s->room) {
        s->room = MAX(4, s->room * 2);
        uint32_t(*more)[2] = arena_alloc(a, array_bytes(s->room, sizeof *more));
        if (s->count) memcpy(more, s->owners, s->count * sizeof *more);
        s->owners = more;
    }
    s->owners[s->count][0] = acct;
    s->owners[s->count++][1] = eid;
}

static void owner_remove(Shared *s, uint32_t acct, uint32_t eid)
{
    size_t i = owner_place(s, acct, eid);
    if (i == s->count) return;
    memmove(&s->owners[i], &s->owners[i + 1], (s->count - i - 1) * sizeof *s->owners);
    s->count--;
}

typedef struct {
    Shared *shared;
    Arena *arena;
} Owners;

static bool owner_entry(void *arg, Slice key, Slice value)
{
    Owners *o = (Owners *)arg;
    uint32_t acct, eid;
    (void)value;
    if (key_share_owner(key, &acct, &eid)) owner_add(o->shared, o->arena, acct, eid);
    return true;
}

static Err shared_find(PageBatch *b, uint64_t at, Shared **shared)
{
    *shared = (Shared *)number_table_get(&b->shared, at);
    if (*shared) return OK;
    Shared *s = arena_new(&b->arena, Shared);
    Owners o = {s, &b->arena};
    TRY(index_scan(b->e->index, key_u64(&b->arena, 's', at), (Slice){0}, owner_entry, &o));
    number_table_put(&b->shared, at, s);
    *shared = s;
    return OK;
}

static void share_change(PageBatch *b, uint64_t at, uint32_t acct, uint32_t eid, bool remove)
{
    change_add(b, key_share(&b->arena, at, acct, eid), (Slice){0}, remove);
}

static void batch_fails(PageBatch *b, Err err)
{
    if (b->err) return;
    b->err = err;
    story_keep(b->story, err_story());
}

void batch_blob_share(PageBatch *b, uint32_t acct, uint32_t eid, uint64_t at)
{
    Shared *s;
    Err err = shared_find(b, at, &s);
    if (err) {
        batch_fails(b, err);
        return;
    }
    owner_add(s, &b->arena, acct, eid);
    share_change(b, at, acct, eid, false);
}

void batch_blob_drop(PageBatch *b, uint32_t acct, uint32_t eid, BlobRef ref, bool shared)
{
    if (!ref.len) return;
    if (b->drop_count == b->drop_room) {
        b->drop_room = MAX(16, b->drop_room * 2);
        b->drops = (Drop *)mem_grow(b->drops, array_bytes(b->drop_room, sizeof(Drop)));
    }
    b->drops[b->drop_count++] = (Drop){acct, eid, ref, shared};
}

/* ---- bodies that died ---- */
void moved_put(Engine *e, uint64_t old_at, BlobRef now)
{
    BlobRef *copy = NEW(BlobRef);
    *copy = now;
    mutex_lock(&e->lock);
    free(number_table_put(&e->moved, old_at, copy));
    mutex_unlock(&e->lock);
}

void moved_forget(Engine *e, uint64_t old_at)
{
    mutex_lock(&e->lock);
    free(number_table_take(&e->moved, old_at));
    mutex_unlock(&e->lock);
}

/* Where a body is that the host still knows by its old place. */
static BlobRef moved_to(Engine *e, BlobRef ref)
{
    mutex_lock(&e->lock);
    for (const BlobRef *now; (now = (const BlobRef *)number_table_get(&e->moved, ref.at));)
        ref = *now;
    mutex_unlock(&e->lock);
    return ref;
}

static void body_died(PageBatch *b, BlobRef ref)
{
    Buf buf_scoped value = {0};
    buf_u32(&value, ref.len);
    buf_u32(&value, ref.crc);
    change_add(b, key_u64(&b->arena, 'd', ref.at), arena_copy(&b->arena, buf_slice(&value)), false);
    if (b->died_count == b->died_room) {
        b->died_room = MAX(16, b->died_room * 2);
        b->died = (BlobRef *)mem_grow(b->died, array_bytes(b->died_room, sizeof(BlobRef)));
    }
    b->died[b->died_count++] = ref;
}

/* The owners of a relocated body own it in its new place. */
static Err shared_moved(PageBatch *b, uint64_t old_at, const BlobRef *now)
{
    Shared *before, *after;
    TRY(shared_find(b, old_at, &before));
    TRY(shared_find(b, now->at, &after));
    for (size_t i = 0; i < before->count; i++) {
        uint32_t acct = before->owners[i][0], eid = before->owners[i][1];
        owner_add(after, &b->arena, acct, eid);
        share_change(b, now->at, acct, eid, false);
        share_change(b, old_at, acct, eid, true);
    }
    before->count = 0;
    body_died(b, (BlobRef){.at = old_at, .len = now->len, .crc = now->crc});
    return OK;
}

static Err take_moves(PageBatch *b)
{
    Engine *e = b->e;
    size_t cursor = 0;
    uint64_t old_at;
    void *now;
    /* Only the maintenance fiber, which waits for us, changes this table. */
    while (number_table_next(&e->moved, &cursor, &old_at, &now))
        TRY(shared_moved(b, old_at, (const BlobRef *)now));
    return OK;
}

static Err take_drops(PageBatch *b)
{
    for (size_t i = 0; i < b->drop_count; i++) {
        Drop *d = &b->drops[i];
        d->ref = moved_to(b->e, d->ref);
        if (!d->shared) {
            body_died(b, d->ref);
            continue;
        }
        Shared *s;
        TRY(shared_find(b, d->ref.at, &s));
        owner_remove(s, d->acct, d->eid);
        s->ref = d->ref;
        s->dropped = true;
        share_change(b, d->ref.at, d->acct, d->eid, true);
    }
    return OK;
}

/* Those that nobody owns any more die; those that somebody owns (again) live. */
static void take_shared(PageBatch *b)
{
    size_t cursor = 0;
    uint64_t at;
    void *value;
    while (number_table_next(&b->shared, &cursor, &at, &value)) {
        Shared *s = (Shared *)value;
        if (s->dropped && !s->count) body_died(b, s->ref);
        if (s->count) change_add(b, key_u64(&b->arena, 'd', at), (Slice){0}, true);
    }
}

static void forget_marked(PageBatch *b)
{
    Engine *e = b->e;
    mutex_lock(&e->lock);
    b->marked = arena_array(&b->arena, uint64_t, e->marked.count + 1);
    size_t cursor = 0;
    void *value;
    while (number_table_next(&e->marked, &cursor, &b->marked[b->marked_count], &value))
        b->marked_count++;
    mutex_unlock(&e->lock);
    for (size_t i = 0; i < b->marked_count; i++) {
        change_add(b, key_u64(&b->arena, 'd', b->marked[i]), (Slice){0}, true);
        if (b->marked[i] & BLOB_BIG)
            change_add(b, key_u64(&b->arena, 'b', b->marked[i]), (Slice){0}, true);
    }
}

/* ---- what the engine itself notes ---- */
static void note_segments(PageBatch *b)
{
    Engine *e = b->e;
    for (size_t i = 0; i < e->segment_count; i++) {
        Segment *s = e->segments[i];
        if (!s->changed) continue;
        s->changed = false;
        Buf buf_scoped value = {0};
        buf_u32(&value, s->end);
        buf_u64(&value, s->bodies);
        buf_u64(&value, s->live);
        change_add(b, key_u32(&b->arena, 'g', s->number), arena_copy(&b->arena, buf_slice(&value)),
                   false);
    }
    size_t cursor = 0;
    uint64_t number;
    void *nothing;
    while (number_table_next(&e->gone, &cursor, &number, &nothing))
        change_add(b, key_u32(&b->arena, 'g', (uint32_t)number), (Slice){0}, true);
    number_table_done(&e->gone); /* should this batch fail: a key too many does no harm */
}

static void note_big(PageBatch *b)
{
    size_t cursor = 0;
    uint64_t at;
    void *value;
    b->big = b->e->big_refs;
    b->e->big_refs = (NumberTable){0};
    while (number_table_next(&b->big, &cursor, &at, &value))
        change_add(b, key_u64(&b->arena, 'b', at), (Slice){0}, false);
}

static void begin_batch(Engine *e, PageBatch *b)
{
    b->e = e;
    mutex_lock(&e->lock);
    b->position = e->hold.lsn && e->hold.lsn < e->applied.lsn ? e->hold : e->applied;
    e->checkpoints_begun++;
    e->octets_unfolded = 0;
    note_segments(b);
    note_big(b);
    mutex_unlock(&e->lock);
}

/* ---- writing ---- */
typedef struct {
    IndexChange change;
    size_t order;
} Ordered;

static int by_key(const void *a, const void *b)
{
    const Ordered *x = (const Ordered *)a, *y = (const Ordered *)b;
    int order = slice_order(x->change.key, y->change.key);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* In the order of keys, which a tree likes best; of several changes of one key the last. */
static void sort_changes(PageBatch *b)
{
    Ordered *sorted = (Ordered *)mem_new(array_bytes(b->count, sizeof(Ordered)));
    for (size_t i = 0; i < b->count; i++)
        sorted[i] = (Ordered){b->changes[i], i};
    qsort(sorted, b->count, sizeof *sorted, by_key);
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        bool last = i + 1 == b->count || !slice_eq(sorted[i].change.key, sorted[i + 1].change.key);
        if (last) b->changes[kept++] = sorted[i].change;
    }
    b->count = kept;
    free(sorted);
}

static Err write_batch(PageBatch *b)
{
    if (b->err) return fail(b->err, "%s", b->story);
    TRY(take_moves(b));
    TRY(take_drops(b));
    forget_marked(b);
    take_shared(b);
    change_add(b, S("m"), position_encode(&b->arena, b->e, &b->position), false);
    sort_changes(b);
    if (FAULT("checkpoint.write")) return fail(ERR_IO, "checkpoint.write: a fault was asked for");
    return index_write(b->e->index, b->changes, b->count);
}

/* ---- room for the index on a full disk ---- */

enum { BALLAST = 4 * 1024 * 1024, BALLAST_STEP = 256 * 1024 };

/* When the disk is full the index still has to grow by a few pages, or nobody could ever learn that
 * mail was expunged: 4 MiB are kept aside for that, given up in small steps (whatever is free may
 * be taken by somebody else), and no mail is taken before they are whole again. */
static Err ballast_open(Engine *e, File **file)
{
    Arena arena_scoped a = {0};
    return file_open(engine_path(e, &a, "idx/reserve"), FILE_WRITE | FILE_CREATE, file);
}

static void ballast_is_whole(Engine *e, bool whole)
{
    mutex_lock(&e->lock);
    e->has_ballast = whole;
    mutex_unlock(&e->lock);
}

Err index_reserve(Engine *e)
{
    File *file scoped(file) = NULL;
    mutex_lock(&e->lock);
    bool whole = e->has_ballast;
    mutex_unlock(&e->lock);
    if (whole) return OK;
    TRY(ballast_open(e, &file));
    TRY(file_allocate(file, 0, MIN((uint32_t)BALLAST, e->options.segment_bytes)));
    ballast_is_whole(e, true);
    return OK;
}

/* false: there is none left. */
static bool ballast_give(Engine *e)
{
    File *file scoped(file) = NULL;
    uint64_t size;
    if (ballast_open(e, &file) || file_size(file, &size) || !size) return false;
    ballast_is_whole(e, false);
    return !file_truncate(file, size - MIN(size, (uint64_t)BALLAST_STEP));
}

static void write_aside(void *arg)
{
    PageBatch *b = (PageBatch *)arg;
    b->err = write_batch(b);
    if (b->err) story_keep(b->story, err_story());
    while (b->err == ERR_DISK_FULL && ballast_give(b->e))
        b->err = index_write(b->e->index, b->changes, b->count);
    if (b->err && b->err != ERR_DISK_FULL) story_keep(b->story, err_story());
    if (!b->err) (void)!index_reserve(b->e); /* as soon as there is room again */
}

/* ---- afterwards ---- */
void number_table_clear(NumberTable *t)
{
    size_t cursor = 0;
    uint64_t key;
    void *value;
    while (number_table_next(t, &cursor, &key, &value))
        free(value);
    number_table_done(t);
}

static void deaths_known(Engine *e, PageBatch *b)
{
    for (size_t i = 0; i < b->died_count; i++) {
        BlobRef *ref = NEW(BlobRef);
        *ref = b->died[i];
        free(number_table_put(&e->dead, ref->at, ref));
    }
    size_t cursor = 0;
    uint64_t at;
    void *value;
    while (number_table_next(&b->shared, &cursor, &at, &value))
        if (((Shared *)value)->count) free(number_table_take(&e->dead, at));
    for (size_t i = 0; i < b->marked_count; i++)
        number_table_take(&e->marked, b->marked[i]);
}

static void batch_is_durable(Engine *e, PageBatch *b)
{
    mutex_lock(&e->lock);
    deaths_known(e, b);
    number_table_clear(&e->moved);
    pins_release(e);
    e->checkpoint_lsn = b->position.lsn;
    e->counters.checkpoints++;
    mutex_unlock(&e->lock);
}

static void gather_here(void *arg)
{
    PageBatch *b = (PageBatch *)arg;
    b->e->host.gather(b->e->host.ctx, b);
}

static void folded_here(void *arg)
{
    PageBatch *b = (PageBatch *)arg;
    b->e->host.folded(b->e->host.ctx, !b->err);
}

static void batch_done(PageBatch *b)
{
    number_table_done(&b->shared);
    free(b->changes);
    free(b->drops);
    free(b->died);
    number_table_done(&b->big);
    arena_done(&b->arena);
}

/* What was taken from the engine's tables is taken again by the next checkpoint. */
static void batch_failed(Engine *e, PageBatch *b)
{
    size_t cursor = 0;
    uint64_t at;
    void *value;
    mutex_lock(&e->lock);
    while (number_table_next(&b->big, &cursor, &at, &value))
        number_table_put(&e->big_refs, at, value);
    for (size_t i = 0; i < e->segment_count; i++)
        e->segments[i]->changed = true;
    mutex_unlock(&e->lock);
    if (b->err != e->fold_err) engine_trouble(e, b->err, "checkpoint: %s", b->story);
    /* A full disk will have room again; after anything else nobody knows what the index holds. */
    if (b->err != ERR_DISK_FULL) engine_read_only(e, b->err, b->story);
    e->index_failed = b->err != ERR_DISK_FULL;
}

PARKS Err checkpoint_run(Engine *e)
{
    if (e->index_failed) return fail(ERR_READ_ONLY, "the index failed before");
    PageBatch b = {0};
    begin_batch(e, &b);
    for (unsigned i = 0; i < loop_count(); i++)
        loop_call(loop_at(i), gather_here, &b);
    aside(write_aside, &b);
    if (b.err)
        batch_failed(e, &b);
    else
        batch_is_durable(e, &b);
    e->fold_err = b.err;
    for (unsigned i = 0; i < loop_count(); i++)
        loop_call(loop_at(i), folded_here, &b);
    Err err = b.err ? fail(b.err, "%s", b.story) : OK;
    batch_done(&b);
    return err;
}
