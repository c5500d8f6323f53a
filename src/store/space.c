#include "store/local.h"

#include <stdlib.h>

/* Space comes back in three steps. A checkpoint gives a body up ('d' key). Its record is marked
 * dead and the 4 KiB-aligned inside of the body is punched out of the file: nine tenths of the
 * space, for a hundredth of the writing that moving what lives would cost. When little lives in a
 * segment, that is moved (compact.c), and a segment in which nothing lives is written again as a
 * new one.
 *
 * Order on disk: the mark is synced before the punch. A body that reads as zeros while its record
 * says alive would be taken for damage by the next recovery. */

enum { PUNCH_UNIT = 4096, MARKS_MOST = 2000, FREE_SEGMENTS_KEPT = 4 };

/* ---- pins ---- */
/* An unpinned body stays pinned until a checkpoint that began later is durable: only there the last
 * account that took it during the pin says so (batch_blob_share). If nobody has committed anything
 * meanwhile, nobody has taken it; so those who only read leave nothing behind. */
typedef struct {
    unsigned count;
    uint64_t commits; /* handed over when it was pinned first */
    uint64_t until;   /* when count is 0: number of the checkpoint that ends it */
} Pin;

void blob_pin(Engine *e, uint64_t at)
{
    mutex_lock(&e->lock);
    Pin *p = (Pin *)number_table_get(&e->pins, at);
    if (!p) {
        p = NEW(Pin);
        p->commits = e->commits_begun;
        number_table_put(&e->pins, at, p);
    }
    p->count++;
    mutex_unlock(&e->lock);
}

void blob_unpin(Engine *e, uint64_t at)
{
    mutex_lock(&e->lock);
    Pin *p = (Pin *)number_table_get(&e->pins, at);
    must(p && p->count > 0);
    p->count--;
    if (!p->count && p->commits == e->commits_begun) {
        free(number_table_take(&e->pins, at));
    } else if (!p->count) {
        p->until = e->checkpoints_begun + 1;
        e->pins_ending++;
    }
    mutex_unlock(&e->lock);
}

void pins_release(Engine *e)
{
    if (!e->pins_ending) return;
    size_t cursor = 0, over_count = 0;
    uint64_t at, *over = (uint64_t *)mem_new(array_bytes(e->pins.count + 1, sizeof *over));
    void *value;
    e->pins_ending = 0;
    while (number_table_next(&e->pins, &cursor, &at, &value)) {
        const Pin *p = (const Pin *)value;
        if (p->count) continue;
        if (p->until <= e->checkpoints_begun)
            over[over_count++] = at;
        else
            e->pins_ending++;
    }
    for (size_t i = 0; i < over_count; i++)
        free(number_table_take(&e->pins, over[i]));
    free(over);
}

bool blob_is_busy(Engine *e, uint64_t at)
{
    return number_table_get(&e->pins, at) || number_table_get(&e->reading, at);
}

/* ---- dead marks ---- */
static bool dead_entry(void *arg, Slice key, Slice value)
{
    Engine *e = (Engine *)arg;
    Reader v = reader(value);
    BlobRef ref = {.at = be_u64(key.at + 1), .len = read_u32(&v), .crc = read_u32(&v)};
    if (key.len != 9 || v.bad) return true;
    BlobRef *copy = NEW(BlobRef);
    *copy = ref;
    free(number_table_put(&e->dead, ref.at, copy));
    return true;
}

Err space_load(Engine *e)
{
    return index_scan(e->index, S("d"), (Slice){0}, dead_entry, e);
}

typedef struct {
    Engine *e;
    BlobRef *refs;
    size_t count;
    bool *done;
    Err err;
    char story[STORY_ROOM];
} Marks;

static int by_place(const void *a, const void *b)
{
    const BlobRef *x = (const BlobRef *)a, *y = (const BlobRef *)b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Those before the durable position (recovery must not meet a mark where it checks bodies), that
 * nobody reads or may still take. */
static void choose(Engine *e, Marks *m, Arena *a)
{
    size_t cursor = 0;
    uint64_t at;
    void *value;
    mutex_lock(&e->lock);
    m->refs = arena_array(a, BlobRef, MIN(e->dead.count, (size_t)MARKS_MOST) + 1);
    while (m->count < MARKS_MOST && number_table_next(&e->dead, &cursor, &at, &value)) {
        bool folded = at & BLOB_BIG || at < e->checkpoint_lsn;
        if (!folded || blob_is_busy(e, at) || backup_holds_body(e, at)) continue;
        m->refs[m->count++] = *(const BlobRef *)value;
    }
    if (!m->count) backup_found_none(e);
    mutex_unlock(&e->lock);
    m->done = arena_array(a, bool, m->count + 1);
    qsort(m->refs, m->count, sizeof *m->refs, by_place);
}

/* *lsn 0: there is no record of that body (any more). */
static Err record_of(Segment *s, BlobRef ref, uint32_t salt, uint64_t *lsn, RecordHeader *h)
{
    char locator[LOCATOR];
    *lsn = 0;
    if (lsn_offset(ref.at) < SEGMENT_HEADER + RECORD_HEADER + LOCATOR) return OK;
    TRY(file_read_at(s->file, lsn_offset(ref.at) - LOCATOR, locator, sizeof locator));
    uint64_t at = locator_decode(slice(locator, sizeof locator), ref.at);
    if (!at) return OK;
    char header[RECORD_HEADER];
    TRY(file_read_at(s->file, lsn_offset(at), header, sizeof header));
    if (!record_header_decode(slice(header, sizeof header), at, h)) return OK;
    Buf buf_scoped record = {0};
    buf_add(&record, slice(header, sizeof header));
    TRY(file_read_at(s->file, lsn_offset(at) + RECORD_HEADER, buf_reserve(&record, h->record_len),
                     h->record_len));
    record.len += h->record_len;
    bool same = record_holds(h, buf_slice(&record), salt) && h->body_len == ref.len &&
                h->body_crc == ref.crc;
    if (same) *lsn = at;
    return OK;
}

/* What cannot be marked is not punched either: ref->len becomes 0. One that is dead already is
 * written again: it may be so in the page cache only, of one before us whose sync failed, and the
 * kernel would not write it. */
static Err mark_one(Engine *e, Segment *s, BlobRef *ref)
{
    uint64_t lsn;
    RecordHeader h;
    TRY(record_of(s, *ref, e->salt, &lsn, &h));
    if (!lsn) {
        engine_trouble(e, ERR_CORRUPT, "no record leads to the body at %llx; its space stays taken",
                       (unsigned long long)ref->at);
        ref->len = 0;
        return OK;
    }
    uint8_t type = (uint8_t)(h.type | RECORD_DEAD);
    Slice octet = slice(&type, 1);
    TRY(file_write_at(s->file, lsn_offset(lsn) + 20, &octet, 1));
    if (h.dead) return OK;
    mutex_lock(&e->lock);
    s->live -= MIN(s->live, (uint64_t)ref->len);
    s->changed = true;
    mutex_unlock(&e->lock);
    return OK;
}

static Err punch_one(Segment *s, BlobRef ref)
{
    uint64_t from = ((uint64_t)lsn_offset(ref.at) + PUNCH_UNIT - 1) / PUNCH_UNIT * PUNCH_UNIT;
    uint64_t to = ((uint64_t)lsn_offset(ref.at) + ref.len) / PUNCH_UNIT * PUNCH_UNIT;
    return to > from ? file_punch(s->file, from, to - from) : OK;
}

static Err mark_segment(Marks *m, size_t first, size_t count)
{
    Engine *e = m->e;
    Segment *s;
    if (segment_use(e, lsn_segment(m->refs[first].at), &s)) return OK; /* recycled meanwhile */
    Err err = OK;
    for (size_t i = first; i < first + count && !err; i++)
        err = mark_one(e, s, &m->refs[i]);
    if (!err) err = file_sync(s->file);
    for (size_t i = first; i < first + count && !err; i++)
        if (punch_one(s, m->refs[i])) e->punch_failures++;
    if (e->punch_failures == 1) /* not every file system can; compaction still frees the space */
        engine_trouble(e, ERR_IO, "no holes in segments: %s", err_story());
    segment_release(e, s);
    return err;
}

static Err big_unlink(Engine *e, uint64_t at)
{
    Arena arena_scoped a = {0};
    Err err = path_unlink(big_path(e, &a, at));
    return err == ERR_NOT_FOUND ? OK : err;
}

static void mark_aside(void *arg)
{
    Marks *m = (Marks *)arg;
    for (size_t i = 0, n; i < m->count && !m->err; i += n) {
        bool big = m->refs[i].at & BLOB_BIG;
        uint32_t number = lsn_segment(m->refs[i].at);
        for (n = 1; !big && i + n < m->count && lsn_segment(m->refs[i + n].at) == number;)
            n++;
        m->err = big ? big_unlink(m->e, m->refs[i].at) : mark_segment(m, i, n);
        for (size_t k = i; k < i + n && !m->err; k++)
            m->done[k] = true;
    }
    if (m->err) story_keep(m->story, err_story());
}

/* A failed sync here says nothing about the log, whose records were synced before; but the medium
 * is not to be trusted any more. */
Err space_mark(Engine *e)
{
    Arena arena_scoped a = {0};
    Marks m = {.e = e};
    if (e->options.look_only || backup_rests(e)) return OK;
    choose(e, &m, &a);
    if (!m.count) return OK;
    aside(mark_aside, &m);
    mutex_lock(&e->lock);
    for (size_t i = 0; i < m.count; i++) {
        if (!m.done[i]) continue;
        free(number_table_take(&e->dead, m.refs[i].at));
        number_table_put(&e->marked, m.refs[i].at, e);
    }
    mutex_unlock(&e->lock);
    e->dirty = true; /* the next checkpoint forgets the keys */
    cond_broadcast(&e->wake);
    if (!m.err) return OK;
    if (m.err != ERR_DISK_FULL) engine_read_only(e, m.err, m.story);
    return fail(m.err, "%s", m.story);
}

/* ---- recycling ---- */
typedef struct {
    Engine *e;
    uint64_t oldest_copy; /* lsn */
    Err err;
    char story[STORY_ROOM];
} Recycling;

/* The numbers say that nothing lives there; before the file goes the records have to say so too. */
static bool nothing_lives(Engine *e, uint32_t number, uint64_t *live)
{
    Walk walk;
    LogRecord rec;
    Verdict verdict = VERDICT_GOOD;
    bool more = true;
    *live = 0;
    if (walk_begin(e, number, &walk)) return false;
    Err err;
    while (!(err = walk_next(&walk, &rec, &verdict, &more)) && more)
        if (rec.head.body_len && !rec.head.dead) *live += rec.head.body_len;
    bool whole = !err && lsn_offset(walk.place.lsn) == walk.end;
    walk_end(&walk);
    return whole && !*live;
}

static uint32_t next_empty(Recycling *r, uint32_t after)
{
    Engine *e = r->e;
    uint32_t number = 0;
    mutex_lock(&e->lock);
    for (size_t i = 0; i + 1 < e->segment_count && !number; i++) {
        const Segment *s = e->segments[i];
        /* A position at its very end still looks for its last record there. */
        bool needed =
            s->number >= lsn_segment(r->oldest_copy) || s->number >= lsn_segment(e->checkpoint_lsn);
        needed = needed || backup_holds_segment(e, s->number);
        if (s->number > after && !s->live && !s->users && !needed) number = s->number;
    }
    mutex_unlock(&e->lock);
    return number;
}

static size_t free_segments(Engine *e, Arena *a)
{
    Slice *names;
    size_t count, found = 0;
    if (path_list(engine_path(e, a, "log"), a, &names, &count)) return 0;
    for (size_t i = 0; i < count; i++)
        found += slice_starts(names[i], S("free-"));
    return found;
}

/* From here on nobody finds it. */
static bool take_out(Engine *e, uint32_t number)
{
    mutex_lock(&e->lock);
    Segment *s = segment_find(e, number);
    bool unused = !s->users; /* it is there: only we take segments out */
    if (unused) {
        segment_remove(e, number);
        number_table_put(&e->gone, number, e);
    }
    mutex_unlock(&e->lock);
    return unused;
}

static Err recycle(Engine *e, uint32_t number)
{
    Arena arena_scoped a = {0};
    uint64_t live;
    if (!nothing_lives(e, number, &live)) {
        mutex_lock(&e->lock);
        Segment *s = segment_find(e, number);
        s->live = MAX(live, 1); /* not asked again before the next start */
        mutex_unlock(&e->lock);
        return OK;
    }
    if (!take_out(e, number)) return OK;
    Slice path = segment_path(e, &a, number);
    if (free_segments(e, &a) >= FREE_SEGMENTS_KEPT) return path_unlink(path);
    TRY(path_rename(path, engine_path(e, &a, "log/free-%08u", number)));
    return path_sync_dir(engine_path(e, &a, "log")); /* before anything new is written to it */
}

static Err oldest_copy(Engine *e, uint64_t *lsn)
{
    Arena arena_scoped a = {0};
    Slice *names;
    uint64_t *lsns;
    size_t count;
    TRY(copies_list(e, &a, &names, &lsns, &count));
    *lsn = count ? lsns[count - 1] : 0;
    return OK;
}

static void recycle_aside(void *arg)
{
    Recycling *r = (Recycling *)arg;
    r->err = oldest_copy(r->e, &r->oldest_copy);
    uint32_t number = 0;
    while (!r->err && (number = next_empty(r, number)))
        r->err = recycle(r->e, number);
    if (r->err) story_keep(r->story, err_story());
}

Err space_recycle(Engine *e)
{
    Recycling r = {.e = e};
    aside(recycle_aside, &r);
    return r.err ? fail(r.err, "%s", r.story) : OK;
}
