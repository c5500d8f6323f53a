#include "store/local.h"

#include <stdio.h>

/* One fiber on loop 0 does everything that is not a commit or a read, one thing after the other:
 * checkpoints, dead marks, compaction, copies of the index. So none of them needs to think of
 * another. */

enum { MARKS_EVERY_MS = 1000, COMPACT_EVERY_MS = 5000, TOUCH_EVERY_MS = 60000 };

/* Posted by the log when something was written. */
void maintenance_wake(Task *task)
{
    Engine *e = CONTAINER(task, Engine, wake_task);
    mutex_lock(&e->lock);
    e->wake_posted = false;
    mutex_unlock(&e->lock);
    e->dirty = true;
    cond_broadcast(&e->wake);
}

void maintenance_clean(Engine *e)
{
    mutex_lock(&e->lock);
    e->told = false;
    e->dirty = e->log.batches != NULL;
    mutex_unlock(&e->lock);
}

static bool log_is_long(Engine *e)
{
    mutex_lock(&e->lock);
    bool is = e->octets_unfolded >= e->options.checkpoint_octets;
    mutex_unlock(&e->lock);
    return is;
}

static bool somebody_asks(const Engine *e)
{
    return e->closing || !list_is_empty(&e->requests);
}

/* Returns when a checkpoint is due or somebody asks for something. cond_wait, not fiber_sleep: when
 * the program is told to stop, the store still has work to do. */
PARKS static void wait_for_work(Engine *e)
{
    while (!e->dirty && !somebody_asks(e))
        cond_wait(&e->wake, NEVER);
    int64_t due = now_ms() + e->options.checkpoint_ms;
    while (!somebody_asks(e) && !log_is_long(e))
        if (!cond_wait(&e->wake, due)) return;
}

static bool is_due(int64_t *last_ms, int64_t every_ms)
{
    if (now_ms() - *last_ms < every_ms) return false;
    *last_ms = now_ms();
    return true;
}

static void tell(Engine *e, Err err)
{
    if (err && err != ERR_DISK_FULL) engine_trouble(e, err, "%s", err_story());
}

static bool has_dead(Engine *e)
{
    mutex_lock(&e->lock);
    bool has = e->dead.count > 0;
    mutex_unlock(&e->lock);
    return has;
}

PARKS static void work_that_is_due(Engine *e)
{
    if (e->fold_err || engine_health(e) || e->options.look_only) return;
    if (e->hold.lsn && is_due(&e->touch_ms, TOUCH_EVERY_MS)) tails_touch(e);
    bool marks = is_due(&e->marks_ms, MARKS_EVERY_MS);
    if (marks) {
        e->gives_space |= has_dead(e);
        tell(e, space_mark(e));
    }
    if (copies_are_due(e)) tell(e, copies_make(e));
    /* On a full disk nothing is written until there is room again: we must not wait for it. */
    if ((!marks && has_dead(e)) || e->gives_space) e->dirty = !e->closing;
    if (!is_due(&e->compact_ms, COMPACT_EVERY_MS)) return;
    e->gives_space = false;
    tell(e, compact_round(e, false));
    tell(e, space_recycle(e));
}

PARKS static void answer(Engine *e)
{
    list_each (link, &e->requests) {
        Request *r = CONTAINER(link, Request, link);
        list_remove(link);
        r->err = r->run(e, r);
        if (r->err) story_keep(r->story, err_story());
        r->done = true;
    }
    cond_broadcast(&e->finished);
}

PARKS void maintenance_fiber(void *engine)
{
    Engine *e = (Engine *)engine;
    for (;;) {
        wait_for_work(e);
        if (!list_is_empty(&e->requests)) {
            answer(e);
            continue;
        }
        bool last = e->closing;
        maintenance_clean(e);
        Err err = checkpoint_run(e);
        if (err) maintenance_clean(e);
        if (err == ERR_DISK_FULL) e->dirty = !last;
        if (last) break;
        work_that_is_due(e);
    }
    e->running = false;
    cond_broadcast(&e->finished);
}

PARKS static void ask_here(void *arg)
{
    Request *r = (Request *)arg;
    Engine *e = r->engine;
    list_add(&e->requests, &r->link);
    cond_broadcast(&e->wake);
    while (!r->done)
        cond_wait(&e->finished, NEVER);
}

Err maintenance_ask(Engine *e, Request *r)
{
    r->engine = e;
    loop_call(loop_at(0), ask_here, r);
    return r->err ? fail(r->err, "%s", r->story) : OK;
}
