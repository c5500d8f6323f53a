#include "base/test.h"
#include "run/context.h"
#include "run/run.h"
#include "run/stack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- nudges ---- */

typedef struct {
    Wake woken[4];
    int count;
    Fiber *fiber;
    Cond ended;
    bool has_ended;
} Sleeper;

PARKS static void park_twice(void *arg)
{
    Sleeper *s = arg;
    s->woken[s->count++] = fiber_sleep(10);
    s->woken[s->count++] = fiber_park(now_ms() + 5000);
    s->woken[s->count++] = fiber_park(now_ms() + 5);
    s->has_ended = true;
    cond_signal(&s->ended);
}

PARKS static void wait_for(Sleeper *s)
{
    while (!s->has_ended)
        cond_wait(&s->ended, NEVER);
}

TEST(a_nudge_is_sticky)
{
    Sleeper s = {0};
    s.fiber = fiber_start("sleeper", park_twice, &s);
    fiber_sleep(1);
    fiber_nudge(s.fiber); /* it sleeps, so this is for the park that follows */
    fiber_nudge(s.fiber); /* two are as good as one */
    wait_for(&s);
    check(s.woken[0] == WOKEN_TIMEOUT);
    check(s.woken[1] == WOKEN_NUDGED);
    check(s.woken[2] == WOKEN_TIMEOUT);
}

TEST(a_nudge_ends_a_park)
{
    Sleeper s = {0};
    s.fiber = fiber_start("sleeper", park_twice, &s);
    fiber_sleep(20); /* now it parks */
    int64_t before = now_us();
    fiber_nudge(s.fiber);
    wait_for(&s);
    check(s.woken[1] == WOKEN_NUDGED);
    check(now_us() - before < 1000 * 1000);
}

/* ---- timers ---- */

typedef struct {
    int *order, *next;
    int number, ms;
    Cond *ended;
} Timed;

PARKS static void sleep_and_note(void *arg)
{
    Timed *t = arg;
    fiber_sleep(t->ms);
    t->order[(*t->next)++] = t->number;
    cond_signal(t->ended);
}

TEST(timers_fire_in_order)
{
    enum { MANY = 40 }; /* they all start in one turn, at the same now_ms */
    static int order[MANY];
    int next = 0;
    Cond ended = {0};
    static Timed timed[MANY];
    for (int i = 0; i < MANY; i++) {
        timed[i] = (Timed){order, &next, i, (i * 37 % MANY) / 2, &ended};
        fiber_start("timed", sleep_and_note, &timed[i]);
    }
    while (next < MANY)
        cond_wait(&ended, NEVER);
    for (int i = 1; i < MANY; i++) {
        const Timed *a = &timed[order[i - 1]], *b = &timed[order[i]];
        check(a->ms < b->ms || (a->ms == b->ms && a->number < b->number));
    }
}

/* ---- conditions ---- */

typedef struct {
    Cond *cond;
    int *woken, *timed_out;
    int64_t deadline_ms;
} Waiter;

PARKS static void wait_on_cond(void *arg)
{
    Waiter *w = arg;
    if (cond_wait(w->cond, w->deadline_ms))
        ++*w->woken;
    else
        ++*w->timed_out;
}

TEST(a_condition_wakes_one_or_all)
{
    Cond cond = {0};
    int woken = 0, timed_out = 0;
    Waiter w = {&cond, &woken, &timed_out, NEVER};
    for (int i = 0; i < 5; i++)
        fiber_start("waiter", wait_on_cond, &w);
    fiber_sleep(1);
    cond_signal(&cond);
    fiber_sleep(1);
    check(woken == 1);
    cond_signal(&cond);
    cond_signal(&cond);
    fiber_sleep(1);
    check(woken == 3);
    cond_broadcast(&cond);
    fiber_sleep(1);
    check(woken == 5 && timed_out == 0);
    cond_signal(&cond); /* nobody: no effect, not kept */
    check(!cond_wait(&cond, now_ms() + 1));
}

TEST(a_signal_is_not_lost_on_a_waiter_whose_time_is_up)
{
    Cond cond = {0};
    int woken = 0, timed_out = 0;
    Waiter first = {&cond, &woken, &timed_out, now_ms() + 3}, second = first;
    second.deadline_ms = NEVER;
    fiber_start("first", wait_on_cond, &first);
    fiber_start("second", wait_on_cond, &second);
    while (!timed_out)
        fiber_sleep(1);
    cond_signal(&cond);
    fiber_sleep(1);
    check(woken == 1);
}

/* ---- other loops ---- */

typedef struct {
    unsigned loop;
    Fiber *fiber;
} Where;

PARKS static void note_where(void *arg)
{
    Where *w = arg;
    w->loop = loop_index(loop_current());
    w->fiber = fiber_current();
    fiber_sleep(2);
}

TEST(loop_call_runs_there_and_waits)
{
    Where w = {99, NULL};
    loop_call(loop_at(1), note_where, &w);
    check(w.loop == 1 && w.fiber != fiber_current());
    loop_call(loop_at(0), note_where, &w);
    check(w.loop == 0 && w.fiber == fiber_current());
    check(loop_count() == 2 && loop_index(loop_current()) == 0);
}

typedef struct {
    Task task;
    int number, *last;
    bool *in_order;
} Numbered;

static void note_number(Task *t)
{
    Numbered *n = CONTAINER(t, Numbered, task);
    if (*n->last != n->number - 1) *n->in_order = false;
    *n->last = n->number;
}

static void nothing(void *arg)
{
    (void)arg;
}

TEST(posted_tasks_run_in_order)
{
    enum { MANY = 1000 };
    static Numbered tasks[MANY];
    int last = -1;
    bool in_order = true;
    for (int i = 0; i < MANY; i++) {
        tasks[i] = (Numbered){{.run = note_number}, i, &last, &in_order};
        loop_post(loop_at(1), &tasks[i].task);
        if (i % 100 == 0) fiber_sleep(0);
    }
    loop_call(loop_at(1), nothing, NULL);
    check(in_order && last == MANY - 1);
}

static void count_up(void *arg)
{
    int *count = arg;
    ++*count;
}

typedef struct {
    Loop *home;
    Task task;
    int count;
    Cond cond;
} Crossing;

static void one_crossed(Task *t)
{
    Crossing *c = CONTAINER(t, Crossing, task);
    c->count++;
    cond_signal(&c->cond);
}

static void come_back(void *arg)
{
    Crossing *c = arg;
    loop_post(c->home, &c->task);
}

TEST(fibers_start_on_other_loops)
{
    Crossing c = {.home = loop_current(), .task = {.run = one_crossed}};
    for (int i = 0; i < 50; i++) {
        fiber_start_on(loop_at(i % 2), "crossing", come_back, &c);
        while (c.count <= i)
            cond_wait(&c.cond, NEVER);
    }
    check(c.count == 50);
    int direct = 0;
    fiber_start_on(loop_current(), "direct", count_up, &direct);
    fiber_sleep(1);
    check(direct == 1);
}

typedef struct {
    Loop *home;
    Task task;
    Cond cond;
    bool ended, right;
} Mover;

static void mover_is_home(Task *t)
{
    Mover *m = CONTAINER(t, Mover, task);
    m->ended = true;
    cond_signal(&m->cond);
}

/* To and fro, on whatever stack depth, and ends far from where it was born. */
PARKS static void move_about(void *arg)
{
    Mover *m = arg;
    Fiber *self = fiber_current();
    pid_t born = gettid(); /* pthread_self would be asked once only: the compiler knows no moves */
    m->right = true;
    fiber_nudge(self);
    for (unsigned i = 1; i < 100; i++) {
        (void)fail(ERR_IO, "story %u", i);
        fiber_move(loop_at(i % 2));
        char expected[16];
        snprintf(expected, sizeof expected, "story %u", i);
        if (loop_current() != loop_at(i % 2) || fiber_current() != self) m->right = false;
        if (strcmp(err_story(), expected) != 0) m->right = false;
        if ((born == gettid()) != (i % 2 == 0)) m->right = false;
        if (i == 1 && fiber_park(now_ms() + 5000) != WOKEN_NUDGED) m->right = false;
        if (i % 10 == 0 && fiber_sleep(1) != WOKEN_TIMEOUT) m->right = false;
    }
    loop_post(m->home, &m->task);
}

TEST(a_fiber_moves_to_another_loop)
{
    Mover m = {.home = loop_current(), .task = {.run = mover_is_home}};
    fiber_start("mover", move_about, &m);
    while (!m.ended)
        cond_wait(&m.cond, NEVER);
    check(m.right);
    fiber_move(loop_current());
    check(loop_current() == m.home);
}

static char *stack_at;

PARKS static void end_elsewhere(void *arg)
{
    Mover *m = arg;
    char here;
    stack_at = &here;
    fiber_move(loop_at(1));
    loop_post(m->home, &m->task);
}

/* Else a loop that only accepts would take new stacks for ever. */
TEST(the_stack_of_a_moved_fiber_comes_home)
{
    enum { MANY = 20 };
    char *seen[MANY];
    unsigned distinct = 0;
    for (unsigned i = 0; i < MANY; i++) {
        Mover m = {.home = loop_current(), .task = {.run = mover_is_home}};
        fiber_start("ends elsewhere", end_elsewhere, &m);
        while (!m.ended)
            cond_wait(&m.cond, NEVER);
        fiber_sleep(2); /* until the stack is here */
        bool is_new = true;
        for (unsigned k = 0; k < distinct; k++)
            if (seen[k] == stack_at) is_new = false;
        if (is_new) seen[distinct++] = stack_at;
    }
    check(distinct < MANY / 2);
}

/* ---- helpers ---- */

typedef struct {
    pthread_t thread;
    Loop *loop;
    Fiber *fiber;
    int depth;
} Aside;

PARKS static void go_aside(void *arg)
{
    Aside *a = arg;
    a->thread = pthread_self();
    a->loop = loop_current();
    a->fiber = fiber_current();
    usleep(1000);
    if (a->depth++ == 0) aside(go_aside, a); /* a helper already: a plain call */
}

TEST(aside_runs_on_a_helper_thread)
{
    Aside a = {.fiber = fiber_current(), .loop = loop_current()};
    pthread_t mine = pthread_self();
    aside(go_aside, &a);
    check(!pthread_equal(a.thread, mine));
    check(!a.loop && !a.fiber && a.depth == 2);
}

static void fail_aside(void *arg)
{
    *(Err *)arg = fail(ERR_IO, "what the helper saw");
}

TEST(the_story_comes_back_from_aside_and_from_other_loops)
{
    Err err = OK;
    (void)fail(ERR_IO, "an older one");
    aside(fail_aside, &err);
    check(err == ERR_IO);
    check_slice(slice_of(err_story()), S("what the helper saw"));
    (void)fail(ERR_IO, "an older one");
    loop_call(loop_at(1), fail_aside, &err);
    check_slice(slice_of(err_story()), S("what the helper saw"));
}

typedef struct {
    Job job;
    int *running, *most, *ended;
    Mutex *lock;
    Cond *cond;
} Counted;

static void work(Job *job)
{
    Counted *c = CONTAINER(job, Counted, job);
    mutex_lock(c->lock);
    if (++*c->running > *c->most) *c->most = *c->running;
    mutex_unlock(c->lock);
    usleep(5000);
    mutex_lock(c->lock);
    --*c->running;
    mutex_unlock(c->lock);
}

static void worked(Job *job)
{
    Counted *c = CONTAINER(job, Counted, job);
    ++*c->ended;
    check(loop_current() == c->job.loop && !fiber_current());
    cond_signal(c->cond);
}

TEST(jobs_run_side_by_side)
{
    enum { MANY = 40 };
    static Counted jobs[MANY];
    int running = 0, most = 0, ended = 0;
    Mutex lock = {0};
    Cond cond = {0};
    for (int i = 0; i < MANY; i++) {
        jobs[i] = (Counted){
            {.work = work, .done = worked},
            &running, &most, &ended, &lock, &cond
        };
        aside_post(&jobs[i].job);
    }
    while (ended < MANY)
        cond_wait(&cond, NEVER);
    check(most > 1 && running == 0);
}

/* ---- breathe ---- */

PARKS static void hog(void *arg)
{
    bool *stop = arg;
    int64_t until = now_us() + 500 * 1000;
    while (!*stop && now_us() < until)
        breathe();
}

TEST(breathe_lets_the_others_run)
{
    bool stop = false;
    fiber_start("hog", hog, &stop);
    int64_t before = now_us();
    fiber_sleep(5);
    check(now_us() - before < 300 * 1000);
    stop = true;
    fiber_sleep(3);
}

/* ---- the list ---- */

TEST(the_list_names_every_fiber)
{
    Arena a arena_scoped = {0};
    Cond cond = {0};
    int woken = 0, timed_out = 0;
    Waiter w = {&cond, &woken, &timed_out, NEVER};
    fiber_start("listed", wait_on_cond, &w);
    fiber_sleep(20);
    FiberInfo *list;
    size_t n = fiber_list(&a, &list), found = 0, tests = 0;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i].name, "test")) tests++;
        if (strcmp(list[i].name, "listed") != 0) continue;
        found++;
        check(!strcmp(list[i].waits_for, "condition"));
        check(list[i].loop == 0 && list[i].parked_ms >= 15);
    }
    check(found == 1 && tests == 1);
    cond_signal(&cond);
    fiber_sleep(1);
}

/* ---- faults ---- */

TEST(a_fault_fails_once)
{
    fault_set("fiber_test.third", 3);
    unsigned hits = 0, at = 0;
    for (unsigned i = 1; i <= 5; i++)
        if (FAULT("fiber_test.third")) hits++, at = i;
    check(hits == 1 && at == 3);
    check(!FAULT("fiber_test.other"));
}

/* ---- runs of their own: run_start on a thread that has none yet ---- */

typedef struct {
    void (*fn)(void *);
    void *arg;
    unsigned loops;
} Own;

static void *run_own(void *arg)
{
    Own *o = arg;
    check_ok(run_start(&(RunConfig){.loops = o->loops}, o->fn, o->arg));
    return NULL;
}

static void join(void *thread)
{
    pthread_join(*(pthread_t *)thread, NULL);
}

PARKS static void in_own_run(unsigned loops, void (*fn)(void *), void *arg)
{
    Own o = {fn, arg, loops};
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_own, &o) == 0);
    aside(join, &thread);
}

typedef struct {
    Wake slept, parked, after;
    bool cond, worked;
    int signal, ended;
} Cancelled;

PARKS static void sleeps(void *arg)
{
    Cancelled *c = arg;
    c->slept = fiber_sleep(1000 * 1000);
    c->after = fiber_sleep(1000 * 1000);
    c->ended++;
}

PARKS static void parks(void *arg)
{
    Cancelled *c = arg;
    c->parked = fiber_park(NEVER);
    c->ended++;
}

static void nap(void *arg)
{
    usleep(20000);
    *(bool *)arg = true;
}

PARKS static void works(void *arg)
{
    Cancelled *c = arg;
    aside(nap, &c->worked);
    c->ended += c->worked;
}

static void cancels(void *arg)
{
    (void)arg;
    run_cancel();
    run_cancel();
}

PARKS static void cancel_main(void *arg)
{
    Cancelled *c = arg;
    fiber_start("sleeps", sleeps, c);
    fiber_start("parks", parks, c);
    fiber_start("works", works, c);
    fiber_sleep(2);
    loop_call(loop_at(1), cancels, NULL);
    c->signal = signal_wait();
    Cond cond = {0};
    c->cond = cond_wait(&cond, now_ms() + 40); /* not cancelled */
    check(run_is_cancelled());
}

TEST(cancel_ends_sleeps_and_parks_only)
{
    Cancelled c = {0};
    int64_t before = now_us();
    in_own_run(2, cancel_main, &c);
    check(c.slept == WOKEN_CANCELLED && c.after == WOKEN_CANCELLED);
    check(c.parked == WOKEN_CANCELLED);
    check(c.worked && c.ended == 3 && !c.cond && c.signal == 0);
    check(now_us() - before >= 40 * 1000);
}

PARKS static void signal_main(void *arg)
{
    int *got = arg;
    kill(getpid(), SIGHUP);
    *got = signal_wait();
}

/* Every thread of this process has SIGHUP blocked; whichever run reads it first has it, so this one
 * is tried in a child of its own. */
static void in_child(void (*fn)(void), int *status)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        _exit(0);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
}

static void *signal_thread(void *arg)
{
    int got = 0;
    Own o = {signal_main, &got, 1};
    run_own(&o);
    *(int *)arg = got;
    return NULL;
}

static void wait_for_hangup(void)
{
    int got = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, signal_thread, &got) || pthread_join(thread, NULL)) _exit(2);
    _exit(got == SIGHUP ? 0 : 1);
}

TEST(signals_are_waited_for)
{
    if (RUN_TSAN) return; /* no threads after a fork there */
    int status = -1;
    in_child(wait_for_hangup, &status);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- stacks ---- */

static volatile char sink;
static int dig(int depth) /* NOLINT(misc-no-recursion): this is what the test is about */
{
    volatile char room[500];
    room[depth % 500] = (char)depth;
    sink = room[(depth + 1) % 500];
    return depth ? dig(depth - 1) + room[1] : 0;
}

static volatile bool came_back;

/* Half a stack too deep: without the guard page this ends well, in a neighbour's stack. */
static __attribute__((noinline)) int dig_down_to(const char *end)
{
    volatile char room[500];
    room[(uintptr_t)end % 500] = 1;
    const char *here = __builtin_frame_address(0);
    return here > end ? dig_down_to(end) + room[1] : 0;
}

static void dig_too_deep(void *arg)
{
    (void)arg;
    dig_down_to((const char *)__builtin_frame_address(0) - STACK_BYTES / 2 * 3);
    came_back = true;
}

PARKS static void fill_the_gap(void *arg)
{
    (void)arg;
    fiber_park(NEVER);
}

PARKS_UNCHECKED static void overflow(void)
{
    signal(SIGSEGV, SIG_DFL);
    close(STDERR_FILENO);
    for (int i = 0; i < 100; i++)
        fiber_start("neighbour", fill_the_gap, NULL);
    fiber_start("deep", dig_too_deep, NULL);
    while (!came_back)
        fiber_sleep(1);
}

TEST(a_stack_overflow_hits_the_guard_page)
{
    int status = 0;
    in_child(overflow, &status);
    check(RUN_ASAN || RUN_TSAN ? status != 0 : WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

typedef struct {
    int parked, ended;
    bool leave;
    Cond cond;
} Crowd;

PARKS static void rest(void *arg)
{
    Crowd *c = arg;
    c->parked++;
    while (!c->leave)
        cond_wait(&c->cond, NEVER);
    c->ended++;
}

static size_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%lu %lu", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

TEST(forty_thousand_fibers_cost_a_page_each)
{
    const int many = RUN_TSAN ? 200 : RUN_ASAN ? 2000 : 40000;
    Crowd c = {0};
    size_t before = resident_bytes();
    for (int i = 0; i < many; i++)
        fiber_start("resting", rest, &c);
    while (c.parked < many)
        fiber_sleep(1);
    size_t each = (resident_bytes() - before) / (size_t)many;
    if (!RUN_ASAN && !RUN_TSAN) {
        check(each < 6000); /* a page, and with ucontext another KB */
        printf("   %d resting fibers: %zu bytes each\n", many, each);
    }
    c.leave = true;
    cond_broadcast(&c.cond);
    while (c.ended < many)
        fiber_sleep(1);
}

PARKS static void dig_and_rest(void *arg)
{
    dig(220);
    rest(arg);
}

TEST(resting_stacks_are_given_back)
{
    if (RUN_ASAN || RUN_TSAN) return; /* shadow memory would be counted too */
    enum { MANY = 1000 };
    Crowd c = {0};
    for (int i = 0; i < MANY; i++)
        fiber_start("dug", dig_and_rest, &c);
    fiber_sleep(10);
    size_t before = resident_bytes();
    fiber_sleep(3500);
    check(c.parked == MANY);
    check(before - resident_bytes() > MANY * (size_t)90 * 1000 && before > resident_bytes());
    c.leave = true;
    cond_broadcast(&c.cond);
    while (c.ended < MANY)
        fiber_sleep(1);
}

/* What is on the stack is the same before and after, though its pages were away. */
PARKS static void rest_folded(void *arg)
{
    Crowd *c = arg;
    char kept[500];
    char *volatile at = kept;
    memset(at, 0, sizeof kept);
    for (size_t i = 0; i < sizeof kept; i++)
        at[i] = (char)(i * 7);
    fiber_rests(true);
    rest(c);
    fiber_rests(false);
    for (size_t i = 0; i < sizeof kept; i++)
        check(at[i] == (char)(i * 7));
}

TEST(a_fiber_that_rests_needs_no_page)
{
    enum { MANY = 1000 };
    Crowd c = {0};
    for (int i = 0; i < MANY; i++)
        fiber_start("resting", rest_folded, &c);
    fiber_sleep(10);
    size_t before = resident_bytes();
    fiber_sleep(3500);
    if (CONTEXT_CAN_FOLD) {
        printf("   %d folded fibers: %zu bytes less each\n", MANY,
               (before - resident_bytes()) / MANY);
        check(before > resident_bytes() && before - resident_bytes() > (size_t)MANY * 2500);
    }
    c.leave = true;
    cond_broadcast(&c.cond);
    while (c.ended < MANY)
        fiber_sleep(1);
}

/* ---- speed ---- */

typedef struct {
    Fiber *other;
    int left;
    bool ended;
} Pong;

PARKS static void pong(void *arg)
{
    Pong *p = arg;
    while (p->left-- > 0) {
        fiber_nudge(p->other);
        fiber_park(NEVER);
    }
    p->ended = true;
    fiber_nudge(p->other);
}

TEST(switching_is_cheap)
{
    const int rounds = RUN_ASAN || RUN_TSAN ? 10000 : 1000000;
    Pong p = {fiber_current(), rounds, false};
    Fiber *other = fiber_start("pong", pong, &p);
    int64_t before = now_us();
    while (!p.ended) {
        fiber_park(NEVER);
        if (!p.ended) fiber_nudge(other);
    }
    double ns = (double)(now_us() - before) * 1000 / rounds / 2;
    printf("   nudge, park and resume: %.1f ns\n", ns);
    check(ns < 100000);
}
