#include "base/test.h"
#include "run/ring_world.h"
#include "run/sim_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELPERS = 4, HELPER_LATENCY_US = 50 };

_Thread_local Sim *sim_now;

/* ---- chance ---- */

uint64_t sim_next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t sim_random(void)
{
    must(sim_now);
    return sim_next(&sim_now->random);
}

uint64_t sim_below(uint64_t n)
{
    return n ? sim_random() % n : 0;
}

bool sim_one_in(unsigned n)
{
    return sim_below(n) == 0;
}

int64_t sim_spread(int64_t mean_us)
{
    return (int64_t)sim_below((uint64_t)mean_us * 2 + 1);
}

static void sim_random_bytes(void *out, size_t len)
{
    for (char *at = out; len;) {
        uint64_t n = sim_random();
        size_t part = MIN(len, sizeof n);
        memcpy(at, &n, part);
        at += part;
        len -= part;
    }
}

/* ---- time ---- */

static int64_t sim_now_us(void)
{
    return sim_now->now_us;
}

static int64_t sim_wall_ms(void)
{
    return sim_now->config.start_wall_ms + (sim_now->now_us - sim_now->started_us) / 1000;
}

void sim_wall_jump(int64_t ms)
{
    must(sim_now);
    sim_now->config.start_wall_ms += ms;
}

/* All loops of all processes that are there: of the first one first. NULL: the last was seen. */
static Loop *next_loop(const Sim *s, Loop *loop)
{
    SimProcess *p = loop ? loop->run->of_world : s->processes;
    if (loop && loop->index < p->run.count) return loop + 1;
    if (loop) p = p->next;
    while (p && p->gone)
        p = p->next;
    return p ? p->loops : NULL;
}

#define loops_each(loop, s) for (Loop *loop = next_loop(s, NULL); loop; loop = next_loop(s, loop))

static void turn_of(Loop *loop)
{
    loop_now = loop;
    if (loop) run_now = loop->run;
}

static int64_t next_moment(const Sim *s)
{
    int64_t next = timers_next(&s->timers);
    loops_each(loop, s)
    {
        int64_t ms = timers_next(&loop->timers);
        if (ms < NEVER / 1000) next = MIN(next, ms * 1000);
    }
    return next;
}

/* Only when nobody can go on does the clock: to the next moment something is due. */
static bool time_passes(Sim *s)
{
    int64_t next = next_moment(s);
    if (next == NEVER) return false;
    s->now_us = MAX(s->now_us, next);
    loops_each(loop, s)
    {
        turn_of(loop);
        loop->now_ms = s->now_us / 1000;
        loop_fire_timers(loop);
    }
    turn_of(NULL);
    for (Timer *t; (t = timer_take_due(&s->timers, s->now_us));)
        t->fire(t);
    return true;
}

typedef struct {
    Timer timer;
    Fiber *fiber;
} Pause;

static void pause_is_over(Timer *t)
{
    fiber_wake(CONTAINER(t, Pause, timer)->fiber, WOKEN_READY);
}

/* A mutex held meanwhile would be met by others; the real helper sleeps with it, this one does not.
 */
PARKS_UNCHECKED void sim_takes(int64_t mean_us)
{
    Fiber *f = loop_now ? loop_now->current : NULL;
    if (!f || !loop_now->is_helper || f->held) return;
    Pause p = {.timer = {.fire = pause_is_over}, .fiber = f};
    timer_set(&sim_now->timers, &p.timer, sim_now->now_us + sim_spread(mean_us));
    fiber_wait("disk", NEVER, 0);
}

/* ---- helpers ---- */

static void help(void *arg)
{
    SimProcess *p = arg;
    while (p->first_job) {
        sim_takes(HELPER_LATENCY_US);
        Job *job = p->first_job;
        if (!job) break; /* another one was quicker */
        p->first_job = job->next;
        if (!p->first_job) p->last_job = &p->first_job;
        job_run(job);
    }
    p->helpers_busy--;
}

static void sim_job_queue(Job *job)
{
    SimProcess *p = sim_process_now();
    job->next = NULL;
    *p->last_job = job;
    p->last_job = &job->next;
    if (p->helpers_busy == HELPERS) return;
    p->helpers_busy++;
    fiber_new(&p->loops[p->run.count], "helper", help, p);
}

/* Between two waits nobody else runs, so a mutex found locked was held across one. */
static void sim_mutex_lock(Mutex *m)
{
    must(!m->opaque[0]);
    m->opaque[0] = m;
}

static void sim_mutex_unlock(Mutex *m)
{
    must(m->opaque[0] == m);
    m->opaque[0] = NULL;
}

static void sim_loop_wake(Loop *loop)
{
    (void)loop; /* step looks at every loop */
}

static bool sim_breath_is_due(Loop *loop)
{
    (void)loop;
    return sim_one_in(4);
}

/* ---- whose turn it is ---- */

static Fiber *any_ready(Loop *loop)
{
    enum { LOOK_AT = 32 }; /* enough disorder, and no long walks */
    uint64_t n = sim_below(MIN(loop->ready_count, (size_t)LOOK_AT));
    Link *link = loop->ready.next;
    while (n--)
        link = link->next;
    return CONTAINER(link, Fiber, turn);
}

static bool step(Sim *s)
{
    enum { MOST_LOOPS = 64 };
    Loop *able[MOST_LOOPS + 1];
    unsigned n = 0;
    loops_each(loop, s) if ((loop->ready_count || loop_has_tasks(loop)) && n <= MOST_LOOPS)
        able[n++] = loop;
    if (!n) return time_passes(s);
    Loop *loop = able[sim_below(n)];
    turn_of(loop);
    if (loop_has_tasks(loop) && (!loop->ready_count || sim_one_in(2)))
        loop_run_task(loop);
    else
        fiber_resume(any_ready(loop));
    loop_end_turn(loop);
    turn_of(NULL);
    return true;
}

static bool is_over(const Sim *s)
{
    if (!s->processes->run.main_returned) return false;
    loops_each(loop, s)
    {
        const SimProcess *p = loop->run->of_world;
        if (p->helpers_busy || (!loop->is_helper && !loop_is_idle(loop))) return false;
    }
    return true;
}

static _Noreturn void everybody_waits(const Sim *s)
{
    fprintf(stderr, "simulation: everybody waits for ever (seed %llu)\n",
            (unsigned long long)s->config.seed);
    loops_each(loop, s) list_each (link, &loop->fibers)
    {
        const Fiber *f = CONTAINER(link, Fiber, of_loop);
        fprintf(stderr, "    loop %u: %s waits for %s\n", loop->index, f->name, f->waits_for);
    }
    abort();
}

typedef struct {
    Sim *sim;
    void (*fn)(void *);
    void *arg;
} Main;

static void main_fiber(void *arg)
{
    Main *m = arg;
    m->fn(m->arg);
    run_cancel();
    m->sim->processes->run.main_returned = true;
}

/* ---- starting ---- */

const World sim_world = {
    .name = "simulated",
    .now_us = sim_now_us,
    .wall_ms = sim_wall_ms,
    .random_bytes = sim_random_bytes,
    .loop_wake = sim_loop_wake,
    .breath_is_due = sim_breath_is_due,
    .job_queue = sim_job_queue,
    .mutex_lock = sim_mutex_lock,
    .mutex_unlock = sim_mutex_unlock,
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .file_size = sim_file_size,
    .file_read_some = sim_file_read_some,
    .file_read_cached = sim_file_read_cached,
    .file_write_some = sim_file_write_some,
    .file_sync = sim_file_sync,
    .file_allocate = sim_file_allocate,
    .file_punch = sim_file_punch,
    .file_truncate = sim_file_truncate,
    .file_lock = sim_file_lock,
    .path_rename = sim_path_rename,
    .path_unlink = sim_path_unlink,
    .path_mkdir = sim_path_mkdir,
    .path_sync_dir = sim_path_sync_dir,
    .path_info = sim_path_info,
    .path_list = sim_path_list,
    .path_free_space = sim_path_free_space,
    .path_is_network = sim_path_is_network,
    .path_overwrites = sim_path_overwrites,
    .sock_listen = sim_sock_listen,
    .sock_try_accept = sim_sock_try_accept,
    .sock_connect_begin = sim_sock_connect_begin,
    .sock_connect_end = sim_sock_connect_end,
    .sock_close = sim_sock_close,
    .sock_peer = sim_sock_peer,
    .sock_local = sim_sock_local,
    .sock_try_read = sim_sock_try_read,
    .sock_try_write = sim_sock_try_write,
    .sock_shutdown = sim_sock_shutdown,
    .sock_cut = sim_sock_cut,
    .sock_detach = sim_sock_detach,
    .sock_attach = sim_sock_attach,
    .sock_pair = sim_sock_pair,
    .ring_pair = sim_ring_pair,
    .ring_attach = sim_ring_attach,
    .ring_close = sim_ring_close,
    .ring_show = sim_ring_show,
    .ring_turn_ends = sim_ring_turn_ends,
};

static void set_up(Sim *s, const SimConfig *config)
{
    static const int64_t new_year_2026_ms = 1767225600000;
    *s = (Sim){.config = *config, .random = config->seed, .now_us = 1000000, .next_port = 40000};
    s->started_us = s->now_us;
    if (!s->config.start_wall_ms) s->config.start_wall_ms = new_year_2026_ms;
    s->processes = sim_process_new(s, config->loops ? config->loops : 2);
    s->disk = config->disk;
    s->disk_is_ours = !config->disk;
    if (s->disk_is_ours) s->disk = sim_disk_new((size_t)1 << 30);
    for (size_t i = 0; i < 5; i++)
        list_init((Link *[]){&s->listeners, &s->socks, &s->files, &s->rings, &s->ring_showings}[i]);
}

/* Packets that nobody waited for. */
static void let_arrive(Sim *s)
{
    for (Timer *t; (t = timer_take_due(&s->timers, NEVER));)
        t->fire(t);
}

static void take_down(Sim *s)
{
    for (SimProcess *p = s->processes, *next; p; p = next) {
        next = p->next;
        for (unsigned i = 0; i <= p->run.count; i++)
            loop_end_fibers(&p->loops[i]);
        for (unsigned i = 0; i <= p->run.count; i++)
            loop_done(&p->loops[i]);
        free(p->loops);
        free(p);
    }
    timers_done(&s->timers);
    if (s->disk_is_ours) sim_disk_free(s->disk);
}

Err sim_run(const SimConfig *config, void (*main_fn)(void *), void *arg)
{
    must(!sim_now);
    const World *world_before = world;
    Loop *loop_before = loop_now;
    Run *run_before = run_now, *latest_before = run_latest;
    Sim s;
    set_up(&s, config);
    sim_now = &s;
    world = &sim_world;
    run_now = run_latest = &s.processes->run;
    Main m = {&s, main_fn, arg};
    fiber_new(&s.processes->loops[0], "main", main_fiber, &m);
    while (!is_over(&s))
        if (!step(&s)) everybody_waits(&s);
    let_arrive(&s);
    sim_now = NULL;
    world = world_before;
    loop_now = loop_before;
    run_now = run_before;
    run_latest = latest_before;
    take_down(&s);
    return OK;
}

Err sim_run_child(const SimConfig *config, void (*main_fn)(void *), void *arg, int *exit_code)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return fail(ERR_LIMIT, "fork: %s", strerror(errno));
    if (pid == 0) {
        Err err = sim_run(config, main_fn, arg);
        fflush(NULL);
        _exit(err || test_complaints() ? 1 : 0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return fail(ERR_IO, "waitpid: %s", strerror(errno));
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return OK;
}
