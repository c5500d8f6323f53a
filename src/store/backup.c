#include "store/local.h"

#include "run/file.h"

#include <stdlib.h>

/* What the engine does for a backup: the log only grows at its end, so files can be copied while
 * the store serves, if nobody marks, punches or recycles what is still to be copied. The index is
 * copied by us; the log up to `end`, which is read after it, brings that copy up to date as it does
 * at any recovery. backup_set.c copies the files.
 *
 * Between two backups what was expunged is kept, too, if a setting says so: else nobody could go
 * back to a moment between them. It ends with the time it was given, or when the disk is full. */

enum { HELD_LOOK_MS = 30000 };

/* ---- what may not change yet; with the lock ---- */
static bool window_is_open(const Engine *e)
{
    return e->backed.end && e->options.backup_window &&
           wall_seconds() < e->backed.moment + e->options.backup_window;
}

bool backup_holds_body(const Engine *e, uint64_t at)
{
    bool big = at & BLOB_BIG;
    if (e->backup && (big ? e->backup->big_held : lsn_segment(at) >= e->backup->held_from))
        return true;
    if (!window_is_open(e)) return false;
    return big ? !number_table_get(&e->backed.big_dead, at) : at >= e->backed.end;
}

bool backup_holds_segment(const Engine *e, uint32_t number)
{
    if (e->backup && number >= e->backup->held_from) return true;
    return window_is_open(e) && number >= lsn_segment(e->backed.position);
}

/* Thousands of bodies that may not go yet are not looked through every second. */
bool backup_rests(Engine *e)
{
    return now_ms() < e->backed.look_ms;
}

void backup_found_none(Engine *e)
{
    if (e->dead.count > 1000 && window_is_open(e)) e->backed.look_ms = now_ms() + HELD_LOOK_MS;
}

/* ---- remembered of the last one, in DIR/backed-up ---- */
static Slice backed_path(const Engine *e, Arena *a)
{
    return engine_path(e, a, "log/backed-up"); /* the top is not the house's to write */
}

/* Nothing depends on it but how far back one can go, so what cannot be read is passed over. */
void backup_load(Engine *e)
{
    Arena arena_scoped a = {0};
    Slice text, line;
    uint64_t position, end, moment;
    if (path_read(backed_path(e, &a), 1000, &a, &text)) return;
    if (!slice_cut(&text, ' ', &line) || !slice_to_u64(line, &position)) return;
    if (!slice_cut(&text, ' ', &line) || !slice_to_u64(line, &end)) return;
    if (!slice_cut(&text, '\n', &line) || !slice_to_u64(line, &moment)) return;
    e->backed.position = position;
    e->backed.end = end;
    e->backed.moment = (int64_t)MIN(moment, (uint64_t)UINT32_MAX);
}

static Err backed_write(Engine *e, const EngineBackup *b)
{
    Arena arena_scoped a = {0};
    Slice text = arena_printf(&a, "%llu %llu %lld\n", (unsigned long long)b->position,
                              (unsigned long long)b->end, (long long)b->moment);
    return path_replace(backed_path(e, &a), text);
}

/* ---- begin ---- */
static void note_dead_big(Engine *e, NumberTable *to)
{
    size_t cursor = 0;
    uint64_t at;
    void *value;
    while (number_table_next(&e->dead, &cursor, &at, &value))
        if (at & BLOB_BIG) number_table_put(to, at, e);
}

static void note_segments(Engine *e, EngineBackup *b)
{
    b->segments = arena_array(b->arena, BackupSegment, e->segment_count + 1);
    for (size_t i = 0; i < e->segment_count; i++) {
        const Segment *s = e->segments[i];
        b->segments[b->segment_count++] = (BackupSegment){s->number, s->end};
    }
}

/* Everything that has been flushed: an acknowledgement never comes before. */
static void note_end(Engine *e, EngineBackup *b)
{
    mutex_lock(&e->lock);
    note_segments(e, b);
    const Segment *tail = e->segments[e->segment_count - 1];
    LogPosition last = e->applied;
    for (const LogBatch *batch = e->log.batches; batch; batch = batch->next)
        last = batch->after;
    b->end = lsn_make(tail->number, tail->end);
    b->last = last.last;
    b->chain = last.chain;
    b->moment = wall_seconds();
    mutex_unlock(&e->lock);
    if (b->noted) b->noted(b->noted_arg);
}

typedef struct {
    Request request;
    EngineBackup *backup;
    Err err;
    char story[STORY_ROOM];
} Begin;

static void copy_index_aside(void *arg)
{
    Begin *g = (Begin *)arg;
    Engine *e = g->request.engine;
    Arena arena_scoped a = {0};
    Slice path = engine_path(e, &a, "idx/%.*s", SP(g->backup->index));
    Err err = path_unlink(path);
    if (!err || err == ERR_NOT_FOUND) err = index_copy_to(e->index, path);
    g->err = err;
    if (err) story_keep(g->story, err_story());
}

PARKS static Err begin(Engine *e, Request *r)
{
    Begin *g = CONTAINER(r, Begin, request);
    EngineBackup *b = g->backup;
    if (e->backup) return fail(ERR_IN_USE, "another backup is being made");
    TRY(engine_health(e));
    mutex_lock(&e->lock);
    e->backup = b;
    note_dead_big(e, &b->big_dead);
    mutex_unlock(&e->lock);
    Err err = checkpoint_run(e);
    if (!err) aside(copy_index_aside, g);
    if (!err && g->err) err = fail(g->err, "%s", g->story);
    b->position = e->checkpoint_lsn;
    if (!err) note_end(e, b);
    return err;
}

Err engine_backup_begin(Engine *e, Arena *a, EngineBackup *b)
{
    Begin g = {.request.run = begin, .backup = b};
    b->arena = a;
    b->index = S("backup");
    b->held_from = 1;
    b->big_held = true;
    Err err = maintenance_ask(e, &g.request);
    if (!err || err == ERR_IN_USE) return err;
    char story[STORY_ROOM];
    story_keep(story, err_story());
    engine_backup_end(e, b, false);
    return fail(err, "%s", story);
}

void engine_backup_passed(Engine *e, EngineBackup *b, uint32_t segment)
{
    mutex_lock(&e->lock);
    b->big_held = false;
    b->held_from = MAX(b->held_from, segment + 1);
    mutex_unlock(&e->lock);
}

/* ---- end ---- */
typedef struct {
    Request request;
    EngineBackup *backup;
    bool complete;
    Err err;
    char story[STORY_ROOM];
} End;

static void end_aside(void *arg)
{
    End *n = (End *)arg;
    Engine *e = n->request.engine;
    Arena arena_scoped a = {0};
    Err err = path_unlink(engine_path(e, &a, "idx/%.*s", SP(n->backup->index)));
    n->err = n->complete ? backed_write(e, n->backup) : OK;
    if (!n->err && err != ERR_NOT_FOUND) n->err = err;
    if (n->err) story_keep(n->story, err_story());
}

PARKS static Err end(Engine *e, Request *r)
{
    End *n = CONTAINER(r, End, request);
    EngineBackup *b = n->backup;
    if (e->backup != b) return OK;
    aside(end_aside, n);
    mutex_lock(&e->lock);
    e->backup = NULL;
    if (n->complete) {
        number_table_done(&e->backed.big_dead);
        e->backed = (Backed){b->position, b->end, b->moment, 0, b->big_dead};
        b->big_dead = (NumberTable){0};
    }
    mutex_unlock(&e->lock);
    return n->err ? fail(n->err, "%s", n->story) : OK;
}

void engine_backup_end(Engine *e, EngineBackup *b, bool complete)
{
    End n = {.request.run = end, .backup = b, .complete = complete};
    Err err = maintenance_ask(e, &n.request);
    if (err) engine_trouble(e, err, "backup: %s", err_story());
    number_table_done(&b->big_dead);
}
