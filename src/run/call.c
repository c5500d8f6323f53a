/* Asking another loop, and asking a helper thread: in both cases the question lies on the stack of
 * the fiber that waits for the answer. */
#include "run/loop.h"
#include "run/world.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Task task;
    const char *name;
    void (*fn)(void *);
    void *arg;
} Start;

static void start_here(Task *t)
{
    Start *s = CONTAINER(t, Start, task);
    fiber_start(s->name, s->fn, s->arg);
    free(s);
}

void fiber_start_on(Loop *loop, const char *name, void (*fn)(void *), void *arg)
{
    if (loop == loop_current()) {
        fiber_start(name, fn, arg);
        return;
    }
    Start *s = NEW(Start);
    *s = (Start){.task = {.run = start_here}, .name = name, .fn = fn, .arg = arg};
    loop_post(loop, &s->task);
}

static void run_story_forget(void)
{
    (void)fail(OK, "%s", "");
}

void run_story_keep(RunStory *s)
{
    (void)snprintf(s->text, sizeof s->text, "%s", err_story());
}

void run_story_tell(const RunStory *s)
{
    if (s->text[0]) (void)fail(OK, "%s", s->text);
}

typedef struct {
    Task task;
    void (*fn)(void *);
    void *arg;
    Loop *home;
    Fiber *caller;
    bool ended;
    RunStory story;
} Call;

static void call_ends(Task *t)
{
    Call *c = CONTAINER(t, Call, task);
    c->ended = true;
    fiber_wake(c->caller, WOKEN_READY);
}

static void call_runs(void *arg)
{
    Call *c = arg;
    run_story_forget();
    c->fn(c->arg);
    run_story_keep(&c->story);
    c->task.run = call_ends;
    loop_post(c->home, &c->task);
}

static void call_begins(Task *t)
{
    Call *c = CONTAINER(t, Call, task);
    fiber_start("call", call_runs, c);
}

void loop_call(Loop *loop, void (*fn)(void *), void *arg)
{
    if (loop == loop_current()) {
        fn(arg);
        return;
    }
    Call c = {{.run = call_begins}, fn, arg, loop_now, fiber_current(), false, {""}};
    must(c.caller);
    loop_post(loop, &c.task);
    while (!c.ended)
        fiber_wait("loop", NEVER, 0);
    run_story_tell(&c.story);
}

/* ---- helpers ---- */

static void job_is_done(Task *t)
{
    Job *job = CONTAINER(t, Job, task);
    job->done(job);
}

void job_run(Job *job)
{
    bool wants_word = job->done != NULL; /* without done the job may be gone after work */
    job->work(job);
    if (!wants_word) return;
    job->task.run = job_is_done;
    loop_post(job->loop, &job->task);
}

void aside_post(Job *job)
{
    if (!job->loop) job->loop = loop_current();
    must(job->loop || !job->done);
    world->job_queue(job);
}

typedef struct {
    Job job;
    void (*work)(void *);
    void *arg;
    Fiber *caller;
    bool ended;
    RunStory story;
} Aside;

static void aside_work(Job *job)
{
    Aside *a = CONTAINER(job, Aside, job);
    run_story_forget();
    a->work(a->arg);
    run_story_keep(&a->story);
}

static void aside_done(Job *job)
{
    Aside *a = CONTAINER(job, Aside, job);
    a->ended = true;
    fiber_wake(a->caller, WOKEN_READY);
}

void aside(void (*work)(void *), void *arg)
{
    Fiber *f = fiber_current();
    if (!f) { /* a helper already, or before the loops run */
        must(!loop_current());
        work(arg);
        return;
    }
    Aside a = {
        .job = {.work = aside_work, .done = aside_done},
          work, arg, f, false
    };
    f->loop->asides++;
    aside_post(&a.job);
    while (!a.ended)
        fiber_wait("helper", NEVER, 0);
    f->loop->asides--;
    run_story_tell(&a.story);
}

/* ---- the list of fibers ---- */

typedef struct {
    Arena *arena;
    FiberInfo *list;
    size_t count, room;
} Listing;

static FiberInfo *listing_add(Listing *l)
{
    if (l->count == l->room) {
        l->room = MAX(l->room * 2, (size_t)64);
        FiberInfo *larger = arena_array(l->arena, FiberInfo, l->room);
        if (l->count) memcpy(larger, l->list, l->count * sizeof *larger);
        l->list = larger;
    }
    return &l->list[l->count++];
}

static void list_fibers_here(void *arg)
{
    Loop *loop = loop_now;
    list_each (link, &loop->fibers) {
        const Fiber *f = CONTAINER(link, Fiber, of_loop);
        *listing_add(arg) = (FiberInfo){
            .name = f->name,
            .waits_for = f->state == FIBER_PARKED ? f->waits_for : "turn",
            .loop = loop->index,
            .parked_ms = loop->now_ms - f->parked_at_ms,
        };
    }
}

size_t fiber_list(Arena *a, FiberInfo **list)
{
    Listing l = {.arena = a};
    for (unsigned i = 0; i < loop_count(); i++)
        loop_call(loop_at(i), list_fibers_here, &l);
    *list = l.list;
    return l.count;
}
