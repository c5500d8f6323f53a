#include "base/text.h"
#include "store/local.h"

#include <stdlib.h>

/* Group commit. Whoever hands over a commit puts it on the queue; if nobody is writing, a job goes
 * to a helper thread. It takes the whole queue, writes it with one call, flushes once, and goes on
 * while there is more: batches grow with the load, without a timer or an artificial delay.
 *
 * A failed write or fsync is the end of all changes: after it nobody knows what the disk holds, and
 * a second fsync would say OK about pages the kernel has dropped. Only the next start, reading it
 * all again, may go on. */

enum {
    SMALL_RECORD = 4096, /* longer ones do not get the reserve */
    COPY_MOST = 2048,    /* shorter bodies are copied beside their record */
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
    if (err == ERR_DISK_FULL) e->backed.end = 0; /* room is needed more than the way back */
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
    if (!PLANTED("no_sync")) TRY(file_sync(e->log.file));
    e->log.usual = (7 * e->log.usual + f->octets) / 8;
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

/* With the lock. Who is waiting for the time of the next checkpoint need not be woken again, only
 * when there is too much for that. */
static bool has_to_wake(const Engine *e)
{
    return !e->wake_posted && (!e->told || e->octets_unfolded >= e->options.checkpoint_octets);
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
    bool wake = has_to_wake(e);
    e->told = true;
    e->wake_posted |= wake;
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

static Err make_room(Engine *e, Flush *f, uint64_t need, bool small)
{
    Log *l = &e->log;
    if (need > e->options.segment_bytes - SEGMENT_HEADER)
        return fail(ERR_TOO_BIG, "a record of %llu octets", (unsigned long long)need);
    if (!small && l->in_reserve) TRY(log_reserve(e));
    if (!small) TRY(index_reserve(e));
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

static void prepare_room(Engine *e)
{
    Err err = log_zero_some(e);
    if (err) engine_read_only(e, err, err_story());
}

void log_work(Job *job)
{
    Engine *e = CONTAINER(job, Engine, log.job);
    Log *l = &e->log;
    for (;;) {
        size_t count = 0;
        uint64_t staged = 0;
        bool prepares = log_wants_zeros(e) && !engine_health(e);
        mutex_lock(&e->lock);
        Commit *list = take_queue(l, &count, &staged);
        if (!list && !prepares) l->writing = false;
        mutex_unlock(&e->lock);
        if (list)
            write_commits(e, list, count, staged);
        else if (prepares)
            prepare_room(e);
        else
            return;
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
    Err err = log_reserve(e);
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
