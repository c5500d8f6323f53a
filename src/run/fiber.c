#include "run/loop.h"
#include "run/world.h"

#include <stdlib.h>

enum { TRIM_AFTER_MS = 2000, TRIM_EVERY_MS = 1000 };

static void fiber_main(void *arg)
{
    Fiber *f = arg;
    context_entered(&f->loop->context);
    f->fn(f->arg);
    f->state = FIBER_ENDED;
    context_leave(&f->context, &f->loop->context);
}

static void make_ready(Fiber *f)
{
    f->state = FIBER_READY;
    f->waits_for = "turn";
    list_add(&f->loop->ready, &f->turn);
    f->loop->ready_count++;
}

Fiber *fiber_new(Loop *loop, const char *name, void (*fn)(void *), void *arg)
{
    char *stack = stack_take(&loop->stacks);
    Fiber *f = NEW(Fiber);
    *f = (Fiber){.loop = loop, .born = loop, .name = name, .stack = stack, .fn = fn, .arg = arg};
    size_t guard = stack_guard_bytes();
    context_make(&f->context, stack + guard, STACK_BYTES - guard, fiber_main, f);
    f->parked_at_ms = loop->now_ms;
    list_add(&loop->fibers, &f->of_loop);
    make_ready(f);
    return f;
}

/* A stack on its way back to the loop it was taken from; written where nothing else is any more, on
 * the stack itself. */
typedef struct {
    Task task;
    Loop *born;
    char *stack;
} Homing;

static void stack_is_home(Task *t)
{
    Homing *h = CONTAINER(t, Homing, task);
    stack_give(&h->born->stacks, h->stack);
}

/* A loop that only accepts would take new stacks for ever. */
static void give_stack(const Fiber *f)
{
    if (f->born == f->loop) {
        stack_give(&f->loop->stacks, f->stack);
        return;
    }
    Homing *h = (Homing *)(void *)(f->stack + STACK_BYTES - 64);
    *h = (Homing){.task = {.run = stack_is_home}, .born = f->born, .stack = f->stack};
    loop_post(f->born, &h->task);
}

static void fiber_free(Fiber *f)
{
    list_remove(&f->of_loop);
    list_remove(&f->fresh);
    context_done(&f->context);
    give_stack(f);
    free(f);
}

static void arrive(Task *t)
{
    Fiber *f = CONTAINER(t, Fiber, task);
    list_add(&f->loop->fibers, &f->of_loop);
    f->parked_at_ms = f->loop->now_ms;
    make_ready(f);
}

/* Only now that its registers are saved may another thread take it up. */
static void depart(Fiber *f)
{
    list_remove(&f->of_loop);
    list_remove(&f->fresh);
    f->loop = f->goes_to;
    f->task.run = arrive;
    loop_post(f->loop, &f->task);
}

/* A session at rest needs less than a kilobyte of its stack, which is a page: that is kept on the
 * heap, and put back where it was before the fiber runs on, so that pointers of its own stay good.
 */
static void fold(Fiber *f)
{
    size_t live = (size_t)(f->stack + STACK_BYTES - (char *)f->context.sp);
    f->folded = mem_new(live);
    memcpy(f->folded, f->context.sp, live);
    stack_trim(f->stack, f->stack + STACK_BYTES);
}

static void unfold(Fiber *f)
{
    if (!f->folded) return;
    memcpy(f->context.sp, f->folded, (size_t)(f->stack + STACK_BYTES - (char *)f->context.sp));
    free(f->folded);
    f->folded = NULL;
}

/* Only fibers that have run since the last look are looked at, so a loop at rest has no timer. */
static void trim_stacks(Timer *t)
{
    Loop *loop = CONTAINER(t, Loop, trim_timer);
    list_each (link, &loop->fresh) {
        Fiber *f = CONTAINER(link, Fiber, fresh);
        if (f->state != FIBER_PARKED || loop->now_ms - f->parked_at_ms < TRIM_AFTER_MS) continue;
        if (CONTEXT_CAN_FOLD && f->rests && !f->context.valgrind)
            fold(f);
        else
            stack_trim(f->stack, f->context.sp);
        list_remove(&f->fresh);
    }
    if (!list_is_empty(&loop->fresh)) timer_set(&loop->timers, t, loop->now_ms + TRIM_EVERY_MS);
}

static void mark_fresh(Loop *loop, Fiber *f)
{
    list_add(&loop->fresh, &f->fresh);
    loop->trim_timer.fire = trim_stacks;
    if (!loop->trim_timer.place)
        timer_set(&loop->timers, &loop->trim_timer, loop->now_ms + TRIM_AFTER_MS);
}

static void deadline_passed(Timer *t)
{
    fiber_wake(CONTAINER(t, Fiber, timer), WOKEN_TIMEOUT);
}

void fiber_wake(Fiber *f, Wake why)
{
    if (f->state != FIBER_PARKED) return;
    timer_clear(&f->loop->timers, &f->timer);
    list_remove(&f->waiting); /* or a signal meant for the next waiter would be spent on us */
    f->woken = (uint8_t)why;
    make_ready(f);
}

void fiber_resume(Fiber *f)
{
    Loop *loop = f->loop;
    list_remove(&f->turn);
    loop->ready_count--;
    loop->current = f;
    f->state = FIBER_RUNNING;
    unfold(f);
    context_switch(&loop->context, &f->context);
    loop->current = NULL;
    if (f->state == FIBER_MOVING)
        depart(f);
    else if (f->state == FIBER_ENDED)
        fiber_free(f);
}

Wake fiber_wait(const char *waits_for, int64_t deadline_ms, unsigned hears)
{
    Loop *loop = loop_now;
    must(loop && loop->current);
    Fiber *f = loop->current;
    must(!f->held);
    if (hears & HEARS_CANCEL && run_is_cancelled()) return WOKEN_CANCELLED;
    if (hears & HEARS_NUDGES && f->nudged) {
        f->nudged = false;
        return WOKEN_NUDGED;
    }
    f->state = FIBER_PARKED;
    f->hears = (uint8_t)hears;
    f->waits_for = waits_for;
    f->parked_at_ms = loop->now_ms;
    if (deadline_ms != NEVER) {
        f->timer.fire = deadline_passed;
        timer_set(&loop->timers, &f->timer, deadline_ms);
    }
    if (loop->trims && !f->fresh.next) mark_fresh(loop, f);
    context_switch(&f->context, &loop->context);
    return f->woken;
}

void fiber_yield(void)
{
    Fiber *f = fiber_current();
    must(f && !f->held);
    f->parked_at_ms = f->loop->now_ms;
    make_ready(f);
    f->loop->poll_soon = true;
    context_switch(&f->context, &f->loop->context);
}

/* Not inlined, nor is anything that looks at thread-local variables before and behind it: they are
 * others then. */
__attribute__((noinline)) void fiber_move(Loop *loop)
{
    Fiber *f = fiber_current();
    must(f && !f->held && !loop->is_helper);
    if (loop == f->loop) return;
    RunStory story;
    run_story_keep(&story);
    f->goes_to = loop;
    f->state = FIBER_MOVING;
    f->waits_for = "loop";
    context_switch(&f->context, &f->loop->context);
    context_moved(&f->context, &f->loop->context);
    run_story_tell(&story);
}

/* ---- what run.h promises ---- */

Fiber *fiber_start(const char *name, void (*fn)(void *), void *arg)
{
    must(loop_now && !loop_now->is_helper);
    return fiber_new(loop_now, name, fn, arg);
}

Fiber *fiber_current(void)
{
    return loop_now && !loop_now->is_helper ? loop_now->current : NULL;
}

static Fiber *me(void)
{
    Fiber *f = fiber_current();
    must(f);
    return f;
}

void fiber_rename(const char *name)
{
    me()->name = name;
}

void fiber_rests(bool rests)
{
    me()->rests = rests;
}

Wake fiber_park(int64_t deadline_ms)
{
    return fiber_wait("nudge", deadline_ms, HEARS_NUDGES | HEARS_CANCEL);
}

Wake fiber_sleep(int64_t ms)
{
    return fiber_wait("timer", ms == NEVER ? NEVER : now_ms() + ms, HEARS_CANCEL);
}

void fiber_nudge(Fiber *f)
{
    must(f->loop == loop_now);
    if (f->state == FIBER_PARKED && f->hears & HEARS_NUDGES)
        fiber_wake(f, WOKEN_NUDGED);
    else
        f->nudged = true;
}

void breathe(void)
{
    if (fiber_current() && world->breath_is_due(loop_now)) fiber_yield();
}

/* ---- conditions ---- */

bool cond_wait(Cond *c, int64_t deadline_ms)
{
    Fiber *f = fiber_current();
    must(f);
    if (!c->waiters.next) list_init(&c->waiters);
    list_add(&c->waiters, &f->waiting);
    return fiber_wait("condition", deadline_ms, 0) == WOKEN_READY;
}

void cond_signal(Cond *c)
{
    if (list_is_empty(&c->waiters)) return;
    Fiber *f = CONTAINER(c->waiters.next, Fiber, waiting);
    must(f->loop == loop_now);
    fiber_wake(f, WOKEN_READY);
}

void cond_broadcast(Cond *c)
{
    while (!list_is_empty(&c->waiters))
        cond_signal(c);
}
