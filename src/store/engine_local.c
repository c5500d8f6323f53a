#include "store/local.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { FORMAT_VERSION = 1 };

/* ---- small things the others use ---- */
Slice engine_path(const Engine *e, Arena *a, const char *fmt, ...)
{
    Buf buf_scoped path = {0};
    buf_add(&path, e->dir);
    buf_char(&path, '/');
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&path, fmt, args);
    va_end(args);
    return arena_copy(a, buf_slice(&path));
}

void story_keep(char to[STORY_ROOM], const char *story)
{
    snprintf(to, STORY_ROOM, "%s", story);
}

/* The host hears of trouble on loop 0, whoever met it. */
typedef struct {
    Task task;
    Engine *e;
    Err err;
    char story[STORY_ROOM];
} Trouble;

static void tell_host(Task *task)
{
    Trouble *t = CONTAINER(task, Trouble, task);
    t->e->host.trouble(t->e->host.ctx, t->err, slice_of(t->story));
    mutex_lock(&t->e->lock);
    t->e->troubles--;
    mutex_unlock(&t->e->lock);
    free(t);
}

void engine_trouble(Engine *e, Err err, const char *fmt, ...)
{
    Trouble *t = NEW(Trouble);
    va_list args;
    va_start(args, fmt);
    vsnprintf(t->story, sizeof t->story, fmt, args);
    va_end(args);
    t->e = e;
    t->err = err;
    t->task.run = tell_host;
    mutex_lock(&e->lock);
    e->troubles++;
    mutex_unlock(&e->lock);
    loop_post(loop_at(0), &t->task);
}

void engine_read_only(Engine *e, Err err, const char *story)
{
    mutex_lock(&e->lock);
    bool first = !e->health;
    if (first) {
        e->health = ERR_READ_ONLY;
        story_keep(e->health_story, story);
    }
    mutex_unlock(&e->lock);
    if (first) engine_trouble(e, err, "no more changes: %s", e->health_story);
}

Err engine_health(const Engine *e)
{
    Mutex *lock = (Mutex *)(uintptr_t)&e->lock;
    mutex_lock(lock);
    Err err = e->health;
    mutex_unlock(lock);
    return err ? fail(err, "%s", e->health_story) : OK;
}

/* ---- pages ---- */
Err engine_get(Engine *e, uint32_t acct, Slice key, Arena *a, Slice *value)
{
    Arena arena_scoped scratch = {0};
    return index_get(e->index, key_page(&scratch, acct, key), a, value);
}

typedef struct {
    bool (*each)(void *arg, Slice key, Slice value);
    void *arg;
} PageScan;

static bool each_page(void *arg, Slice key, Slice value)
{
    PageScan *s = (PageScan *)arg;
    return s->each(s->arg, slice_from(key, 5), value);
}

Err engine_scan(Engine *e, uint32_t acct, Slice prefix, Slice from,
                bool (*each)(void *arg, Slice key, Slice value), void *arg)
{
    Arena arena_scoped a = {0};
    PageScan s = {each, arg};
    Slice start = from.len ? key_page(&a, acct, from) : (Slice){0};
    return index_scan(e->index, key_page(&a, acct, prefix), start, each_page, &s);
}

/* ---- opening ---- */
static Err make_dirs(Engine *e)
{
    Arena arena_scoped a = {0};
    PathInfo info;
    bool was_there = !path_info(e->dir, &info);
    TRY(path_mkdir(e->dir));
    if (path_is_network(e->dir) && !e->options.force_network_fs) /* OUT_OF_REACH: needs NFS */
        return fail(ERR_CONFIG,
                    "%.*s is on a network file system: its locks and syncs are not to be trusted",
                    SP(e->dir));
    e->overwrites = path_overwrites(e->dir);
    TRY(path_mkdir(engine_path(e, &a, "log")));
    TRY(path_mkdir(engine_path(e, &a, "big")));
    TRY(path_mkdir(engine_path(e, &a, "idx")));
    TRY(path_sync_dir(e->dir));
    Err err = path_sync_dir(path_parent(e->dir));
    return err == ERR_FORBIDDEN && was_there ? OK : err; /* who made it has synced it */
}

static Err take_lock(Engine *e)
{
    Arena arena_scoped a = {0};
    TRY(file_open(engine_path(e, &a, "LOCK"), FILE_WRITE | FILE_CREATE, &e->lock_file));
    return file_lock(e->lock_file);
}

static Err write_format(Engine *e, Slice path)
{
    Buf buf_scoped text = {0};
    random_bytes(e->uuid, sizeof e->uuid);
    buf_printf(&text, "posthouse store %d\n", FORMAT_VERSION);
    hex_encode(&text, slice(e->uuid, sizeof e->uuid));
    buf_char(&text, '\n');
    return path_replace(path, buf_slice(&text));
}

static Err parse_format(Engine *e, Slice text)
{
    Slice line;
    uint64_t version;
    if (!slice_starts(text, S("posthouse store ")) || !slice_cut(&text, '\n', &line) ||
        !slice_to_u64(slice_from(line, 16), &version))
        return fail(ERR_CORRUPT, "%.*s/format is not a store's", SP(e->dir));
    if (version != FORMAT_VERSION)
        return fail(ERR_UNSUPPORTED, "%.*s has format %llu, this program knows %d", SP(e->dir),
                    (unsigned long long)version, FORMAT_VERSION);
    Buf buf_scoped uuid = {0};
    if (!hex_decode(&uuid, slice_trim(text)) || uuid.len != sizeof e->uuid)
        return fail(ERR_CORRUPT, "%.*s/format has no uuid", SP(e->dir));
    memcpy(e->uuid, uuid.at, uuid.len);
    return OK;
}

static Err log_is_empty(Engine *e, Arena *a)
{
    Slice *names;
    size_t count;
    TRY(path_list(engine_path(e, a, "log"), a, &names, &count));
    for (size_t i = 0; i < count; i++)
        if (slice_ends(names[i], S(".seg")))
            return fail(ERR_CORRUPT, "%.*s has a log but no file \"format\"", SP(e->dir));
    return OK;
}

static Err read_format(Engine *e)
{
    Arena arena_scoped a = {0};
    Slice path = engine_path(e, &a, "format"), text;
    Err err = path_read(path, 1000, &a, &text);
    if (err == ERR_NOT_FOUND) {
        TRY(log_is_empty(e, &a));
        err = write_format(e, path);
    } else if (!err) {
        err = parse_format(e, text);
    }
    e->salt = store_salt(e->uuid);
    return err;
}

static void defaults(EngineOptions *o)
{
    if (!o->segment_bytes) o->segment_bytes = 256 * 1024 * 1024;
    o->segment_bytes = MAX(o->segment_bytes, (uint32_t)64 * 1024) & ~(uint32_t)4095;
    if (o->checkpoint_ms <= 0) o->checkpoint_ms = 500;
    if (!o->checkpoint_octets) o->checkpoint_octets = 64 * 1024 * 1024;
}

static Engine *engine_new(Slice dir, const EngineOptions *options, const EngineHost *host)
{
    Engine *e = NEW(Engine);
    e->dir = arena_copy(&e->memory, dir);
    e->options = *options;
    defaults(&e->options);
    e->host = *host;
    e->log.last = &e->log.first;
    e->log.batches_last = &e->log.batches;
    e->log.job.work = log_work;
    e->wake_task.run = maintenance_wake;
    list_init(&e->requests);
    return e;
}

static void engine_free(Engine *e)
{
    index_close(e->index);
    log_done(e);
    segments_done(e);
    tails_done(e);
    number_table_clear(&e->pins);
    number_table_clear(&e->moved);
    number_table_clear(&e->dead);
    number_table_done(&e->marked);
    number_table_done(&e->reading);
    number_table_done(&e->gone);
    number_table_done(&e->big_refs);
    number_table_done(&e->backed.big_dead);
    file_close(e->lock_file);
    arena_done(&e->memory);
    free(e);
}

PARKS static Err start_up(Engine *e)
{
    LogPosition end;
    TRY(make_dirs(e));
    TRY(take_lock(e));
    TRY(read_format(e));
    TRY(recovery_run(e, &end));
    TRY(log_start(e, &end));
    TRY(space_load(e));
    backup_load(e);
    tails_touch(e);
    Err err =
        checkpoint_run(e); /* what recovery brought is clean now, and the index has a position */
    if (err && err != ERR_DISK_FULL) return err;
    return e->options.look_only ? OK : big_sweep(e);
}

/* Things posted to loops that point to us: completions, troubles, the wake-up of maintenance. */
static bool is_quiet(Engine *e)
{
    mutex_lock(&e->lock);
    bool quiet = !e->troubles && !e->wake_posted;
    mutex_unlock(&e->lock);
    return quiet && log_is_idle(e);
}

PARKS static void wait_until_quiet(Engine *e)
{
    Cond never = {0};
    while (!is_quiet(e))
        cond_wait(&never, now_ms() + 1);
}

Err engine_open(Slice dir, const EngineOptions *options, const EngineHost *host, Engine **engine)
{
    Engine *e = engine_new(dir, options, host);
    *engine = e;
    Err err = start_up(e);
    if (err) {
        char story[STORY_ROOM];
        story_keep(story, err_story());
        *engine = NULL;
        wait_until_quiet(e);
        engine_free(e);
        return fail(err, "%s", story);
    }
    e->running = true;
    fiber_start_on(loop_at(0), "store", maintenance_fiber, e);
    return OK;
}

PARKS static void close_here(void *arg)
{
    Engine *e = (Engine *)arg;
    wait_until_quiet(e);
    e->closing = true;
    cond_broadcast(&e->wake);
    while (e->running)
        cond_wait(&e->finished, NEVER);
    wait_until_quiet(e);
}

void engine_close(Engine *e)
{
    if (!e) return;
    loop_call(loop_at(0), close_here, e);
    engine_free(e);
}

/* ---- asking the maintenance fiber ---- */
PARKS static Err run_checkpoint(Engine *e, Request *r)
{
    (void)r;
    maintenance_clean(e);
    return checkpoint_run(e);
}

Err engine_checkpoint(Engine *e)
{
    return maintenance_ask(e, &(Request){.run = run_checkpoint});
}

PARKS static Err run_compact(Engine *e, Request *r)
{
    EngineStatus before, after;
    engine_status(e, &before);
    TRY(checkpoint_run(e));
    TRY(space_mark(e));
    TRY(compact_round(e, true));
    TRY(checkpoint_run(e));
    TRY(space_mark(e));
    TRY(space_recycle(e));
    engine_status(e, &after);
    r->freed = before.disk_octets > after.disk_octets ? before.disk_octets - after.disk_octets : 0;
    return OK;
}

Err engine_compact(Engine *e, uint64_t *freed_octets)
{
    Request r = {.run = run_compact};
    TRY(maintenance_ask(e, &r));
    *freed_octets = r.freed;
    return OK;
}

PARKS static Err run_copy(Engine *e, Request *r)
{
    (void)r;
    TRY(checkpoint_run(e));
    return copies_make(e);
}

Err engine_copy_index(Engine *e)
{
    return maintenance_ask(e, &(Request){.run = run_copy});
}

/* ---- status ---- */
static uint64_t disk_octets(Engine *e, const char *dir)
{
    Arena arena_scoped a = {0};
    Slice *names;
    size_t count;
    uint64_t sum = 0;
    if (path_list(engine_path(e, &a, "%s", dir), &a, &names, &count)) return 0;
    for (size_t i = 0; i < count; i++) {
        PathInfo info;
        if (!path_info(engine_path(e, &a, "%s/%.*s", dir, SP(names[i])), &info) && !info.is_dir)
            sum += info.blocks_bytes;
    }
    return sum;
}

static void rest_aside(void *engine)
{
    index_rest(((Engine *)engine)->index);
}

PARKS void engine_rest(Engine *e)
{
    aside(rest_aside, e);
}

void engine_status(Engine *e, EngineStatus *out)
{
    mutex_lock(&e->lock);
    *out = e->counters;
    out->segments = e->segment_count;
    out->lsn = e->applied.lsn;
    out->checkpoint_lsn = e->checkpoint_lsn;
    for (size_t i = 0; i < e->segment_count; i++) {
        const Segment *s = e->segments[i];
        out->log_octets += s->end;
        out->live_octets += s->live;
        out->dead_octets += s->bodies - MIN(s->live, s->bodies);
    }
    mutex_unlock(&e->lock);
    out->disk_octets = disk_octets(e, "log") + disk_octets(e, "idx");
    if (path_free_space(e->dir, &out->free_octets)) out->free_octets = 0;
}
