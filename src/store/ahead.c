#include "store/local.h"

#include <stdlib.h>

/* Room ahead of the tail is allocated before it is written, so a full disk shows at allocation,
 * where nothing is lost. Then commits with bodies are refused, and small ones (flags, expunges:
 * what makes room again) go on in log/reserve, which becomes the next segment. */

enum {
    RESERVE_BYTES = 4 * 1024 * 1024, /* of log/reserve */
    GROW_LEAST = 64 * 1024,
    AHEAD_LEAST = 4 * 1024 * 1024, /* of a new segment */
    ZEROS = 64 * 1024,
    BLOCK = 4096,
    ZEROS_LEAST = 64 * 1024, /* ahead of the tail, before more are written */
    ZEROS_AT_ONCE = 512 * 1024,
    FEW = 16 * 1024, /* octets of a flush: so few that writing them twice is no matter */
};

/* ---- room ahead ---- */
static uint64_t reserve_bytes(const Engine *e)
{
    return MIN((uint64_t)RESERVE_BYTES, e->options.segment_bytes);
}

Err log_reserve(Engine *e)
{
    Arena arena_scoped a = {0};
    Slice path = engine_path(e, &a, "log/reserve");
    File *file = NULL;
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &file));
    Err err = file_allocate(file, 0, reserve_bytes(e));
    file_close(file);
    if (err) {
        (void)!path_unlink(path); /* what it takes is missing elsewhere */
        return err;
    }
    e->log.has_reserve = true;
    e->log.in_reserve = false;
    return OK;
}

static Err write_zeros(File *file, uint64_t at, uint64_t len)
{
    char *zeros = (char *)mem_zero(ZEROS);
    Err err = OK;
    for (uint64_t n = 0; n < len && !err; n += ZEROS) {
        Slice part = slice(zeros, MIN(len - n, (uint64_t)ZEROS));
        err = file_write_at(file, at + n, &part, 1);
    }
    free(zeros);
    return err;
}

static Err log_allocate(Engine *e, uint64_t len)
{
    Log *l = &e->log;
    len = MIN(len, e->options.segment_bytes - l->allocated);
    TRY(file_allocate(l->file, l->allocated, len));
    if (e->options.zero_ahead) {
        TRY(write_zeros(l->file, l->allocated, len));
        TRY(file_sync(l->file));
        l->zeroed = l->allocated + len;
    }
    l->allocated += len;
    return OK;
}

/* Flushing into blocks that are allocated and were never written costs the file system a change of
 * its own each time, which is as much to write and to wait for as the commit (with a journal,
 * more). Where flushes are small, blocks are written before their time; where they are large they
 * share that cost, and twice the writing would be felt. Where all that is written is written
 * elsewhere, it would use up the room that was allocated. */
static uint64_t zeros_from(const Log *l)
{
    uint64_t tail = (lsn_offset(l->position.lsn) + BLOCK - 1) / BLOCK * BLOCK;
    return MAX(l->zeroed, tail);
}

bool log_wants_zeros(const Engine *e)
{
    const Log *l = &e->log;
    uint64_t from = zeros_from(l);
    if (!e->overwrites || l->in_reserve || l->usual >= FEW) return false;
    return from < l->allocated && from < lsn_offset(l->position.lsn) + ZEROS_LEAST;
}

Err log_zero_some(Engine *e)
{
    Log *l = &e->log;
    uint64_t from = zeros_from(l);
    uint64_t len = MIN(l->allocated - from, (uint64_t)ZEROS_AT_ONCE);
    l->zeroed = from + len;
    Err err = write_zeros(l->file, from, len);
    if (!err) err = file_sync(l->file);
    return err == ERR_DISK_FULL ? OK : err; /* zeros are no loss */
}

Err log_grow(Engine *e, uint64_t need)
{
    Log *l = &e->log;
    uint64_t end = lsn_offset(l->position.lsn) + need;
    if (end <= l->allocated) return OK;
    uint64_t missing = end - l->allocated;
    Err err = log_allocate(e, MAX(missing, (uint64_t)AHEAD));
    if (err != ERR_DISK_FULL) return err;
    return log_allocate(e, (missing + GROW_LEAST - 1) / GROW_LEAST * GROW_LEAST);
}

/* ---- the next segment ---- */
static bool take_free_segment(Engine *e, Arena *a, Slice *path)
{
    Slice *names;
    size_t count;
    if (path_list(engine_path(e, a, "log"), a, &names, &count)) return false;
    for (size_t i = 0; i < count; i++) {
        if (!slice_starts(names[i], S("free-"))) continue;
        *path = engine_path(e, a, "log/%.*s", SP(names[i]));
        return true;
    }
    return false;
}

/* Opened and with some room; nothing in the log knows of it yet. A dead segment first: its blocks
 * have been written before, and flushing such costs the file system less. */
static Err next_file(Engine *e, Arena *a, bool small, File **file, uint64_t *allocated)
{
    Slice path;
    bool is_free = take_free_segment(e, a, &path);
    e->log.zeroed = is_free ? UINT64_MAX : 0;
    if (!is_free) path = engine_path(e, a, "log/next");
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | (is_free ? 0 : FILE_EMPTY), file));
    *allocated = MIN((uint64_t)AHEAD, e->options.segment_bytes);
    Err err = file_allocate(*file, 0, *allocated);
    while (err == ERR_DISK_FULL && *allocated > AHEAD_LEAST)
        err = file_allocate(*file, 0, *allocated /= 4);
    if (!err) return OK;
    file_close(*file);
    *file = NULL;
    (void)!path_unlink(path); /* a free one, too: somebody needs the room */
    if (err != ERR_DISK_FULL || !small || !e->log.has_reserve) return err;

    path = engine_path(e, a, "log/reserve");
    TRY(file_open(path, FILE_WRITE, file));
    *allocated = reserve_bytes(e);
    e->log.has_reserve = false;
    e->log.in_reserve = true;
    return OK;
}

/* The header is on the disk before the name is, so a file with a segment's name has one. */
static Err name_segment(Engine *e, Arena *a, File *file, uint32_t number)
{
    const LogPosition *p = &e->log.position;
    SegmentHeader h = {
        .number = number,
        .epoch = e->log.epoch,
        .previous_chain = p->chain,
        .previous_end = lsn_offset(p->lsn),
        .previous_lsn = p->last,
    };
    memcpy(h.uuid, e->uuid, sizeof h.uuid);
    uint8_t *header = (uint8_t *)mem_new(SEGMENT_HEADER);
    segment_header_encode(&h, header);
    Slice part = slice(header, SEGMENT_HEADER);
    Err err = file_write_at(file, 0, &part, 1);
    free(header);
    TRY(err);
    TRY(file_sync(file));
    TRY(path_rename(file_path(file), segment_path(e, a, number)));
    return path_sync_dir(engine_path(e, a, "log"));
}

/* What was allocated ahead of a segment that ends early (a full disk, a huge record) goes back. */
static void leave_segment(Engine *e)
{
    Log *l = &e->log;
    if (!l->file) return; /* the first of a store */
    uint64_t end = (lsn_offset(l->position.lsn) + 4095) / 4096 * 4096;
    if (l->allocated > end + GROW_LEAST && file_truncate(l->file, end))
        engine_trouble(e, ERR_IO, "%s", err_story());
    mutex_lock(&e->lock);
    segment_find(e, lsn_segment(l->position.lsn))->users--;
    mutex_unlock(&e->lock);
}

static void enter_segment(Engine *e, uint32_t number, File *file, uint64_t allocated)
{
    Log *l = &e->log;
    mutex_lock(&e->lock);
    Segment *s = segment_add(e, number);
    s->file = file;
    s->users = 1;
    e->segment_open++;
    mutex_unlock(&e->lock);
    l->file = file;
    l->allocated = allocated;
    l->position.lsn = lsn_make(number, SEGMENT_HEADER);
}

Err log_roll(Engine *e, bool small)
{
    Arena arena_scoped a = {0};
    File *file = NULL;
    uint64_t allocated;
    uint32_t number = lsn_segment(e->log.position.lsn) + 1;
    TRY(next_file(e, &a, small, &file, &allocated));
    Err err = name_segment(e, &a, file, number);
    /* The handle remembers the name it was opened by; the next user opens the new one. */
    file_close(file);
    TRY(err);
    TRY(file_open(segment_path(e, &a, number), FILE_WRITE, &file));
    leave_segment(e);
    enter_segment(e, number, file, allocated);
    return OK;
}
