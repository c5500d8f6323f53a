#include "run/loop.h"
#include "run/world.h"

#include <stdlib.h>

_Thread_local const World *world = &real_world;
_Thread_local Loop *loop_now;
_Thread_local Run *run_now;
Run *run_latest;

static void cancel_fibers(Task *t)
{
    Loop *loop = CONTAINER(t, Loop, cancel_task);
    list_each (link, &loop->fibers) {
        Fiber *f = CONTAINER(link, Fiber, of_loop);
        if (f->hears & HEARS_CANCEL) fiber_wake(f, WOKEN_CANCELLED);
    }
}

void loop_init(Loop *loop, Run *run, unsigned index)
{
    *loop = (Loop){.run = run, .index = index, .cancel_task = {.run = cancel_fibers}};
    list_init(&loop->fibers);
    list_init(&loop->ready);
    list_init(&loop->fresh);
    list_init(&loop->touched);
}

/* Fibers that main_fn did not wait for end here, wherever they stood. */
void loop_end_fibers(Loop *loop)
{
    list_each (link, &loop->fibers) {
        Fiber *f = CONTAINER(link, Fiber, of_loop);
        context_done(&f->context);
        free(f->folded);
        free(f);
    }
    list_init(&loop->fibers);
}

void loop_done(Loop *loop)
{
    context_done(&loop->context);
    timers_done(&loop->timers);
    stacks_done(&loop->stacks);
}

/* ---- posted tasks: a stack that any thread pushes to, turned round when the loop takes it ---- */

static void take_posted(Loop *loop)
{
    Task *newest = __atomic_exchange_n(&loop->posted, NULL, __ATOMIC_ACQUIRE);
    Task *oldest = NULL;
    while (newest) {
        Task *t = newest;
        newest = t->next;
        t->next = oldest;
        oldest = t;
    }
    loop->tasks = oldest;
}

bool loop_has_tasks(Loop *loop)
{
    return loop->tasks || __atomic_load_n(&loop->posted, __ATOMIC_SEQ_CST);
}

bool loop_run_task(Loop *loop)
{
    if (!loop->tasks) take_posted(loop);
    Task *t = loop->tasks;
    if (!t) return false;
    loop->tasks = t->next;
    t->run(t);
    return true;
}

void loop_run_tasks(Loop *loop)
{
    if (!loop_has_tasks(loop)) return;
    if (!loop->tasks) take_posted(loop);
    while (loop->tasks) /* those posted meanwhile wait for the next turn */
        loop_run_task(loop);
}

void loop_post(Loop *loop, Task *task)
{
    task->next = __atomic_load_n(&loop->posted, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&loop->posted, &task->next, task, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
        ;
    loop->run->world->loop_wake(loop);
}

void loop_fire_timers(Loop *loop)
{
    for (Timer *t; (t = timer_take_due(&loop->timers, loop->now_ms));)
        t->fire(t);
}

bool loop_is_idle(Loop *loop)
{
    return !loop->ready_count && !loop->asides && !loop_has_tasks(loop);
}

/* ---- what run.h promises ---- */

int64_t now_ms(void)
{
    return loop_now ? loop_now->now_ms : world->now_us() / 1000;
}

int64_t now_us(void)
{
    return world->now_us();
}

int64_t wall_ms(void)
{
    return world->wall_ms();
}

int64_t wall_seconds(void)
{
    return world->wall_ms() / 1000;
}

void random_bytes(void *out, size_t len)
{
    world->random_bytes(out, len);
}

bool run_is_simulated(void)
{
    return world != &real_world;
}

uint64_t random_u64(void)
{
    uint64_t n;
    world->random_bytes(&n, sizeof n);
    return n;
}

unsigned loop_count(void)
{
    return run_now ? run_now->count : 0;
}

Loop *loop_at(unsigned index)
{
    must(run_now && index < run_now->count);
    return &run_now->loops[index];
}

Loop *loop_current(void)
{
    return loop_now && !loop_now->is_helper ? loop_now : NULL;
}

unsigned loop_index(const Loop *loop)
{
    return loop->index;
}

void run_cancel(void)
{
    Run *run = run_now;
    must(run);
    if (__atomic_exchange_n(&run->cancelled, true, __ATOMIC_SEQ_CST)) return;
    for (unsigned i = 0; i < run->count; i++)
        loop_post(&run->loops[i], &run->loops[i].cancel_task);
}

bool run_is_cancelled(void)
{
    return run_now && __atomic_load_n(&run_now->cancelled, __ATOMIC_SEQ_CST);
}

void run_signal(Run *run, int number)
{
    run->signals |= 1u << number;
    if (run->signal_waiter) fiber_wake(run->signal_waiter, WOKEN_READY);
}

int signal_wait(void)
{
    Run *run = run_now;
    must(loop_now && loop_now->index == 0 && !run->signal_waiter);
    run->signal_waiter = fiber_current();
    while (!run->signals && fiber_wait("signal", NEVER, HEARS_CANCEL) != WOKEN_CANCELLED)
        ;
    run->signal_waiter = NULL;
    if (!run->signals) return 0;
    int number = __builtin_ctz(run->signals);
    run->signals &= run->signals - 1;
    return number;
}
