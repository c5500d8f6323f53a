#include "store/local.h"

#include <stdlib.h>

/* A store of 10 TB has 40,000 segments; descriptors are for those in use. */
enum { OPEN_MOST = 256 };

Slice segment_path(const Engine *e, Arena *a, uint32_t number)
{
    return engine_path(e, a, "log/%08u.seg", number);
}

Segment *segment_add(Engine *e, uint32_t number)
{
    must(!e->segment_count || e->segments[e->segment_count - 1]->number < number);
    if (e->segment_count == e->segment_room) {
        e->segment_room = MAX(16, e->segment_room * 2);
        e->segments =
            (Segment **)mem_grow(e->segments, array_bytes(e->segment_room, sizeof(Segment *)));
    }
    Segment *s = NEW(Segment);
    s->number = number;
    s->end = SEGMENT_HEADER;
    e->segments[e->segment_count++] = s;
    return s;
}

/* Index of the first segment whose number is not below. */
static size_t segment_place(const Engine *e, uint32_t number)
{
    size_t low = 0, high = e->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->segments[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

Segment *segment_find(Engine *e, uint32_t number)
{
    size_t at = segment_place(e, number);
    return at < e->segment_count && e->segments[at]->number == number ? e->segments[at] : NULL;
}

static void segment_free(Engine *e, Segment *s)
{
    if (s->file) e->segment_open--;
    file_close(s->file);
    free(s);
}

void segment_remove(Engine *e, uint32_t number)
{
    size_t at = segment_place(e, number);
    must(at < e->segment_count && e->segments[at]->number == number && !e->segments[at]->users);
    segment_free(e, e->segments[at]);
    e->segment_count--;
    memmove(&e->segments[at], &e->segments[at + 1],
            array_bytes(e->segment_count - at, sizeof(Segment *)));
}

static void close_longest_unused(Engine *e)
{
    Segment *oldest = NULL;
    for (size_t i = 0; i < e->segment_count; i++) {
        Segment *s = e->segments[i];
        if (s->file && !s->users && (!oldest || s->used_at < oldest->used_at)) oldest = s;
    }
    if (!oldest) return;
    file_close(oldest->file);
    oldest->file = NULL;
    e->segment_open--;
}

int segment_mode(Engine *e, uint32_t number)
{
    if (!e->options.look_only) return FILE_WRITE;
    mutex_lock(&e->lock);
    bool last = e->segments[e->segment_count - 1]->number == number;
    mutex_unlock(&e->lock);
    return last ? FILE_WRITE : FILE_READ;
}

static Err segment_open(Engine *e, Segment *s)
{
    Arena arena_scoped a = {0};
    File *file = NULL;
    TRY(file_open(segment_path(e, &a, s->number), segment_mode(e, s->number), &file));
    mutex_lock(&e->lock);
    if (s->file) { /* somebody was faster */
        mutex_unlock(&e->lock);
        file_close(file);
        return OK;
    }
    if (e->segment_open >= OPEN_MOST) close_longest_unused(e);
    s->file = file;
    e->segment_open++;
    mutex_unlock(&e->lock);
    return OK;
}

Err segment_use(Engine *e, uint32_t number, Segment **segment)
{
    mutex_lock(&e->lock);
    Segment *s = segment_find(e, number);
    bool is_open = s && s->file;
    if (s) {
        s->users++;
        s->used_at = ++e->segment_tick;
    }
    mutex_unlock(&e->lock);
    if (!s) return fail(ERR_CORRUPT, "segment %u is not there", number);
    if (!is_open) {
        Err err = segment_open(e, s);
        if (err) {
            segment_release(e, s);
            return err;
        }
    }
    *segment = s;
    return OK;
}

void segment_release(Engine *e, Segment *segment)
{
    mutex_lock(&e->lock);
    must(segment->users > 0);
    segment->users--;
    mutex_unlock(&e->lock);
}

void segments_done(Engine *e)
{
    for (size_t i = 0; i < e->segment_count; i++)
        segment_free(e, e->segments[i]);
    free(e->segments);
    e->segments = NULL;
    e->segment_count = e->segment_room = 0;
}

/* ---- numbers that the index has lost ---- */

/* Where a segment ends says the header of the next one; else its records have to. */
static uint64_t end_of(Engine *e, uint32_t number)
{
    Arena arena_scoped a = {0};
    File *next scoped(file) = NULL;
    char bytes[64];
    SegmentHeader h;
    PathInfo info = {0};
    bool known = !file_open(segment_path(e, &a, number + 1), FILE_READ, &next) &&
                 !file_read_at(next, 0, bytes, sizeof bytes) &&
                 segment_header_decode(slice(bytes, sizeof bytes), &h);
    if (known) return h.previous_end;
    (void)!path_info(segment_path(e, &a, number), &info);
    return info.size;
}

static Err count_records(Walk *walk, Segment *s)
{
    for (bool more = true; more;) {
        LogRecord rec;
        Verdict verdict;
        TRY(walk_next(walk, &rec, &verdict, &more));
        if (more) {
            s->bodies += rec.head.body_len;
            s->live += rec.head.dead ? 0 : rec.head.body_len;
        } else if (lsn_offset(walk->place.lsn) < walk->end) {
            TRY(walk_resume(walk, &more));
        }
    }
    return OK;
}

static void recount(Engine *e, Segment *s, uint64_t end)
{
    Walk walk;
    s->end = (uint32_t)end;
    Err err = walk_begin(e, s->number, &walk);
    if (!err) err = count_records(&walk, s);
    walk_end(&walk);
    if (err) s->live = MAX(s->live, (uint64_t)1); /* it is not taken for empty */
    s->changed = true;
}

void segments_recount(Engine *e, uint64_t position)
{
    for (size_t i = 0; i < e->segment_count; i++) {
        Segment *s = e->segments[i];
        if (s->counted || s->number > lsn_segment(position)) continue;
        bool last = s->number == lsn_segment(position);
        recount(e, s, last ? lsn_offset(position) : end_of(e, s->number));
    }
}
