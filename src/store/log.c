#include "base/text.h"
#include "store/local.h"

#include <stdlib.h>

/* Group commit. Whoever hands over a commit puts it on the queue; if nobody is writing, a job goes
 * to a helper thread. It takes the whole queue, writes it with one call, flushes once, and goes on
 * while there is more: batches grow with the load, without a timer or an artificial delay.
 *
 * A failed write or fsync is the end of all changes: after it nobody knows what the disk holds, and
 * a second fsync would say OK about pages the kernel has dropped. Only the next start, reading it
 * all again, may go on.
 *
 * Room ahead of the tail is allocated before it is written, so a full disk shows at allocation,
 * where nothing is lost. Then commits with bodies are refused, and small ones (flags, expunges:
 * what makes room again) go on in log/reserve, which becomes the next segment. */

enum {
    SMALL_RECORD = 4096,             /* longer ones do not get the reserve */
    COPY_MOST = 2048,                /* shorter bodies are copied beside their record */
    RESERVE_BYTES = 4 * 1024 * 1024, /* of log/reserve */
    GROW_LEAST = 64 * 1024,
    ZEROS = 64 * 1024,
};

typedef struct {
    Commit *first, **last;
    uint32_t written; /* of them, those that are not failed */
    uint64_t at, octets, body_octets;
    Slice *parts;
    size_t part_count, run; /* run: where in staging the open part began */
} Flush;

/* ---- commits that fail ---- */
static void *failed_value(unsigned count, Err err)
{
    return (void *)((uintptr_t)count << 8 | (uintptr_t)err);
}

static unsigned failed_count(Engine *e, uint32_t acct, Err *err)
{
    uintptr_t v = (uintptr_t)number_table_get(&e->log.failed, acct);
    *err = (Err)(v & 0xFF);
    return (unsigned)(v >> 8);
}

static void commit_fails(Engine *e, Commit *c, Err err)
{
    c->err = err;
    if (c->kind) return;
    Err before;
    mutex_lock(&e->lock);
    unsigned count = failed_count(e, c->acct, &before);
    number_table_put(&e->log.failed, c->acct, failed_value(count + 1, err));
    mutex_unlock(&e->lock);
}

static void doom_list(Commit *list, const Commit *cause)
{
    for (Commit *c = list; c; c = c->next)
        if (c->acct == cause->acct && !c->kind && !c->err) c->err = cause->err;
}

/* Whatever of this account was handed over after it, and what will be until its done has run, was
 * made in the belief that it would succeed. */
static void doom_followers(Engine *e, Commit *cause)
{
    if (cause->kind) return;
    doom_list(cause->next, cause);
    mutex_lock(&e->lock);
    doom_list(e->log.first, cause);
    mutex_unlock(&e->lock);
}

static void commit_failed(Engine *e, uint32_t acct)
{
    Err err;
    mutex_lock(&e->lock);
    unsigned count = failed_count(e, acct, &err);
    must(count > 0);
    if (count > 1)
        number_table_put(&e->log.failed, acct, failed_value(count - 1, err));
    else
        number_table_take(&e->log.failed, acct);
    mutex_unlock(&e->lock);
}

/* ---- completions ---- */
void log_applied(Engine *e, LogBatch *batch)
{
    mutex_lock(&e->lock);
    must(batch->pending > 0);
    batch->pending--;
    LogBatch *b;
    while ((b = e->log.batches) && !b->pending) {
        e->applied = b->after;
        Segment *s = segment_find(e, lsn_segment(b->after.lsn));
        if (s) s->bodies += b->body_octets, s->live += b->body_octets, s->changed = true;
        e->log.batches = b->next;
        if (!b->next) e->log.batches_last = &e->log.batches;
        free(b);
    }
    mutex_unlock(&e->lock);
}

static void complete(Task *task)
{
    Commit *c = CONTAINER(task, Commit, task);
    Engine *e = c->engine;
    LogBatch *batch = (LogBatch *)c->batch;
    bool own = c->kind != 0;
    if (c->err && !own) commit_failed(e, c->acct);
    c->done(c);
    if (batch && !own) log_applied(e, batch);
}

static void post_completions(Engine *e, Commit *list, LogBatch *batch)
{
    for (Commit *c = list, *next; c; c = next) {
        next = c->next;
        c->engine = e;
        c->batch = c->err ? NULL : batch;
        c->task.run = complete;
        loop_post(c->loop, &c->task);
    }
}

/* ---- one flush ---- */
static void flush_init(Flush *f, Engine *e, Slice *parts)
{
    *f = (Flush){.parts = parts, .at = lsn_offset(e->log.position.lsn), .run = e->log.staging.len};
    f->last = &f->first;
}

static void stage_zeros(Buf *staging, uint64_t len)
{
    static const char zeros[8];
    buf_add(staging, slice(zeros, len));
}

static void end_run(Flush *f, const Buf *staging)
{
    if (staging->len > f->run)
        f->parts[f->part_count++] = slice(staging->at + f->run, staging->len - f->run);
    f->run = staging->len;
}

static void stage_body(Flush *f, Buf *staging, uint64_t lsn, const Commit *c)
{
    uint8_t locator[LOCATOR];
    locator_encode(lsn, (uint32_t)record_body_offset((uint32_t)c->record.len), locator);
    buf_add(staging, slice(locator, sizeof locator));
    if (c->body.len <= COPY_MOST) {
        buf_add(staging, c->body);
    } else {
        end_run(f, staging);
        f->parts[f->part_count++] = c->body;
    }
    stage_zeros(staging, -c->body.len & 7);
}

static RecordHeader header_of(const Engine *e, const Flush *f, const Commit *c)
{
    RecordHeader h = {
        .lsn = e->log.position.lsn,
        .seq = c->seq,
        .epoch = e->log.epoch,
        .acct = c->acct,
        .eid = c->eid,
        .record_len = (uint32_t)c->record.len,
        .body_len = (uint32_t)c->body.len,
        .body_crc = c->body.len ? crc32c(0, c->body) : 0,
        .type = c->kind ? (RecordType)c->kind : RECORD_COMMIT,
        .flags = (uint8_t)((c->shared ? FLAG_SHARED : 0) | (f->written ? 0 : FLAG_FLUSH)),
    };
    if (c->body.len)
        memcpy(h.sha256, c->body_sha256, sizeof h.sha256);
    else if (c->ref.at & BLOB_BIG)
        record_set_big(&h, c->ref);
    return h;
}

static void stage_record(Engine *e, Flush *f, Commit *c)
{
    Buf *staging = &e->log.staging;
    LogPosition *p = &e->log.position;
    RecordHeader h = header_of(e, f, c);
    uint8_t header[RECORD_HEADER];
    record_encode(&h, c->record, e->salt, p->chain, header);
    buf_add(staging, slice(header, sizeof header));
    buf_add(staging, c->record);
    stage_zeros(staging, -c->record.len & 7);
    if (c->body.len) {
        stage_body(f, staging, h.lsn, c);
        uint64_t at = h.lsn + record_body_offset(h.record_len);
        c->ref = (BlobRef){.at = at, .len = h.body_len, .crc = h.body_crc};
    }
    uint64_t size = record_size(h.record_len, h.body_len);
    *p = (LogPosition){.lsn = p->lsn + size, .last = h.lsn, .chain = h.chain, .epoch = h.epoch};
    f->written++;
    f->octets += size;
    f->body_octets += h.body_len;
}

static Err write_and_sync(Engine *e, Flush *f)
{
    int64_t began = now_us();
    if (FAULT("log.write")) return fail(ERR_IO, "log.write: a fault was asked for");
    TRY(file_write_at(e->log.file, f->at, f->parts, f->part_count));
    if (FAULT("log.sync")) return fail(ERR_IO, "log.sync: a fault was asked for");
    TRY(file_sync(e->log.file));
    mutex_lock(&e->lock);
    e->counters.flushes++;
    e->counters.flush_us_total += (uint64_t)(now_us() - began);
    e->counters.octets_written += f->octets;
    e->counters.commits += f->written;
    mutex_unlock(&e->lock);
    return OK;
}

static void note_big_refs(Engine *e, const Commit *list)
{
    for (const Commit *c = list; c; c = c->next)
        if (!c->err && !c->body.len && c->ref.at & BLOB_BIG)
            number_table_put(&e->big_refs, c->ref.at, e);
}

/* The batch is known before the first completion can run, and the maintenance fiber after. */
static LogBatch *flush_is_durable(Engine *e, const Flush *f)
{
    Log *l = &e->log;
    LogBatch *b = NEW(LogBatch);
    *b = (LogBatch){.after = l->position, .pending = f->written, .body_octets = f->body_octets};
    mutex_lock(&e->lock);
    *l->batches_last = b;
    l->batches_last = &b->next;
    note_big_refs(e, f->first);
    Segment *s = segment_find(e, lsn_segment(l->position.lsn));
    s->end = lsn_offset(l->position.lsn);
    e->octets_unfolded += f->octets;
    bool wake = !e->wake_posted;
    e->wake_posted = true;
    mutex_unlock(&e->lock);
    if (wake) loop_post(loop_at(0), &e->wake_task);
    return b;
}

static void flush_now(Engine *e, Flush *f)
{
    Buf *staging = &e->log.staging;
    end_run(f, staging);
    LogBatch *batch = NULL;
    if (f->written) {
        Err err = write_and_sync(e, f);
        if (err) {
            engine_read_only(e, err, err_story());
            for (Commit *c = f->first; c; c = c->next)
                if (!c->err) commit_fails(e, c, err);
        } else {
            batch = flush_is_durable(e, f);
        }
    }
    post_completions(e, f->first, batch);
    flush_init(f, e, f->parts);
}

/* ---- room ahead ---- */
static uint64_t reserve_bytes(const Engine *e)
{
    return MIN((uint64_t)RESERVE_BYTES, e->options.segment_bytes);
}

/* log/reserve, if there is room for it. */
static Err reserve_restore(Engine *e)
{
    if (e->log.has_reserve) return OK;
    Arena arena_scoped a = {0};
    Slice path = engine_path(e, &a, "log/reserve");
    File *file = NULL;
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &file));
    Err err = file_allocate(file, 0, reserve_bytes(e));
    file_close(file);
    if (err) {
        Err gone = path_unlink(path);
        return gone ? gone : err;
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
    }
    l->allocated += len;
    return OK;
}

static Err log_grow(Engine *e, uint64_t need)
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
    if (!is_free) path = engine_path(e, a, "log/next");
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | (is_free ? 0 : FILE_EMPTY), file));
    *allocated = MIN((uint64_t)AHEAD, e->options.segment_bytes);
    Err err = file_allocate(*file, 0, *allocated);
    if (!err) return OK;
    file_close(*file);
    *file = NULL;
    Err gone = is_free ? OK : path_unlink(path);
    if (gone) return gone;
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
    uint64_t end = (lsn_offset(l->position.lsn) + 4095) / 4096 * 4096;
    if (l->file && l->allocated > end + GROW_LEAST && file_truncate(l->file, end))
        engine_trouble(e, ERR_IO, "%s", err_story());
    mutex_lock(&e->lock);
    Segment *s = segment_find(e, lsn_segment(l->position.lsn));
    if (s && l->file) s->users--;
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

static Err log_roll(Engine *e, bool small)
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

static Err make_room(Engine *e, Flush *f, uint64_t need, bool small)
{
    Log *l = &e->log;
    if (need > e->options.segment_bytes - SEGMENT_HEADER)
        return fail(ERR_TOO_BIG, "a record of %llu octets", (unsigned long long)need);
    if (!small && l->in_reserve) TRY(reserve_restore(e));
    if (lsn_offset(l->position.lsn) + need <= e->options.segment_bytes) {
        Err err = log_grow(e, need);
        if (err != ERR_DISK_FULL || !small || !l->has_reserve) return err;
    }
    flush_now(e, f);
    if (engine_health(e)) return ERR_READ_ONLY;
    TRY(log_roll(e, small));
    f->at = SEGMENT_HEADER;
    return log_grow(e, need);
}

/* ---- the writer ---- */
static uint64_t commit_size(const Commit *c)
{
    return record_size((uint32_t)c->record.len, (uint32_t)c->body.len);
}

static Err admit(Engine *e, Flush *f, const Commit *c)
{
    if (c->err) return c->err;
    if (engine_health(e)) return ERR_READ_ONLY;
    if (c->record.len > RECORD_MOST || c->body.len > BLOB_INLINE_MOST)
        return fail(ERR_TOO_BIG, "record %zu, body %zu octets", c->record.len, c->body.len);
    bool small = !c->body.len && c->record.len <= SMALL_RECORD;
    Err err = make_room(e, f, commit_size(c), small);
    if (!err || err == ERR_DISK_FULL || err == ERR_TOO_BIG || err == ERR_READ_ONLY) return err;
    engine_read_only(e, err, err_story());
    return err;
}

static void write_commits(Engine *e, Commit *list, size_t count, uint64_t octets)
{
    Log *l = &e->log;
    Flush f;
    Slice *parts = (Slice *)mem_new(array_bytes(count * 2 + 1, sizeof(Slice)));
    buf_clear(&l->staging);
    buf_reserve(&l->staging, octets); /* its address must not change from here on */
    const char *at = l->staging.at;
    flush_init(&f, e, parts);
    for (Commit *c = list, *next; c; c = next) {
        next = c->next;
        Err err = admit(e, &f, c);
        if (err) {
            commit_fails(e, c, err);
            doom_followers(e, c);
        } else {
            stage_record(e, &f, c);
        }
        c->next = NULL;
        *f.last = c;
        f.last = &c->next;
    }
    flush_now(e, &f);
    must(l->staging.at == at);
    free(parts);
}

static uint64_t staged_most(const Commit *c)
{
    return RECORD_HEADER + c->record.len + LOCATOR + 16 + MIN(c->body.len, (size_t)COPY_MOST);
}

static Commit *take_queue(Log *l, size_t *count, uint64_t *staged)
{
    Commit *list = l->first, **end = &l->first;
    uint64_t octets = 0;
    for (Commit *c; (c = *end); end = &c->next) {
        octets += c->record.len + c->body.len;
        if (*count && octets > COMMIT_TAKE_MOST) break;
        *staged += staged_most(c);
        ++*count;
    }
    l->first = *end;
    if (!l->first) l->last = &l->first;
    if (list != l->first) *end = NULL;
    return list;
}

void log_work(Job *job)
{
    Engine *e = CONTAINER(job, Engine, log.job);
    Log *l = &e->log;
    for (;;) {
        size_t count = 0;
        uint64_t staged = 0;
        mutex_lock(&e->lock);
        Commit *list = take_queue(l, &count, &staged);
        if (!list) l->writing = false;
        mutex_unlock(&e->lock);
        if (!list) return;
        write_commits(e, list, count, staged);
    }
}

void engine_commit(Engine *e, Commit *c)
{
    Log *l = &e->log;
    c->next = NULL;
    mutex_lock(&e->lock);
    Err err = OK;
    if (!c->kind) failed_count(e, c->acct, &err);
    c->err = err;
    e->commits_begun++;
    *l->last = c;
    l->last = &c->next;
    bool start = l->started && !l->writing;
    if (start) l->writing = true;
    mutex_unlock(&e->lock);
    if (start) aside_post(&l->job);
}

/* ---- beginning and end ---- */
static Err log_continue(Engine *e, const LogPosition *at)
{
    Log *l = &e->log;
    uint32_t number = lsn_segment(at->lsn);
    if (lsn_offset(at->lsn) == 0) { /* an empty store */
        l->position.lsn = lsn_make(number - 1, SEGMENT_HEADER);
        return log_roll(e, false);
    }
    Segment *s;
    TRY(segment_use(e, number, &s)); /* the writer's use, until it leaves the segment */
    l->file = s->file;
    return file_size(l->file, &l->allocated);
}

Err log_start(Engine *e, const LogPosition *at)
{
    Log *l = &e->log;
    l->position = *at;
    l->epoch = MAX(at->epoch, e->epoch) + 1;
    Err err = reserve_restore(e);
    if (err == ERR_DISK_FULL) l->in_reserve = true;
    if (err && err != ERR_DISK_FULL) return err;
    TRY(log_continue(e, at));
    mutex_lock(&e->lock);
    e->applied = l->position;
    l->started = true;
    bool start = l->first && !l->writing;
    if (start) l->writing = true;
    mutex_unlock(&e->lock);
    if (start) aside_post(&l->job);
    return OK;
}

bool log_is_idle(Engine *e)
{
    mutex_lock(&e->lock);
    bool idle = !e->log.writing && !e->log.first && !e->log.batches && !e->log.failed.count;
    mutex_unlock(&e->lock);
    return idle;
}

void log_done(Engine *e)
{
    buf_done(&e->log.staging);
    number_table_done(&e->log.failed);
}
