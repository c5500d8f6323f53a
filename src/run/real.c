#include "run/real.h"
#include "base/text.h"
#include "run/ring_world.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* ---- clock, randomness, mutexes ---- */

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t real_now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

static int64_t real_wall_ms(void)
{
    return clock_us(CLOCK_REALTIME) / 1000;
}

static void ask_for_random(char *at, size_t len)
{
    while (len) {
        ssize_t got = getrandom(at, len, 0);
        must(got > 0 || errno == EINTR);
        if (got <= 0) continue;
        at += got;
        len -= (size_t)got;
    }
}

static unsigned forks;

static void has_forked(void)
{
    forks++;
}

static void watch_forks(void)
{
    must(pthread_atfork(NULL, NULL, has_forked) == 0);
}

/* A few octets at a time are taken from a supply, and wiped there. A child of fork (in tests:
 * nothing else goes on without exec) has one of its own. */
static void real_random_bytes(void *out, size_t len)
{
    enum { SUPPLY = 512, FEW = 32 };
    static _Thread_local char supply[SUPPLY];
    static _Thread_local size_t left;
    static _Thread_local unsigned filled_at;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (len > FEW) {
        ask_for_random(out, len);
        return;
    }
    if (left < len || filled_at != forks) {
        pthread_once(&once, watch_forks);
        ask_for_random(supply, SUPPLY);
        left = SUPPLY;
        filled_at = forks;
    }
    left -= len;
    memcpy(out, supply + left, len);
    wipe(supply + left, len);
}

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(Mutex), "a Mutex holds a pthread_mutex_t");

/* On Linux a zeroed pthread_mutex_t is PTHREAD_MUTEX_INITIALIZER. */
static void real_mutex_lock(Mutex *m)
{
    must(pthread_mutex_lock((pthread_mutex_t *)(void *)m) == 0);
}

static void real_mutex_unlock(Mutex *m)
{
    must(pthread_mutex_unlock((pthread_mutex_t *)(void *)m) == 0);
}

/* ---- the loop ---- */

static void real_loop_wake(Loop *loop)
{
    RealLoop *r = loop->of_world;
    /* Its sleep and our look at it are both sequentially consistent: either it sees the task before
     * it waits, or we see it asleep. */
    if (!__atomic_load_n(&r->asleep, __ATOMIC_SEQ_CST)) return;
    if (!__atomic_exchange_n(&r->asleep, false, __ATOMIC_SEQ_CST)) return;
    uint64_t one = 1;
    must(write(r->wake, &one, sizeof one) == sizeof one);
}

static bool real_breath_is_due(Loop *loop)
{
    return real_now_us() - loop->polled_us > 1000;
}

static void real_job_queue(Job *job)
{
    must(run_now);
    RealRun *r = run_now->of_world;
    helpers_queue(r->helpers, job);
}

static void drain(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}

static void take_signals(Run *run)
{
    struct signalfd_siginfo info;
    RealRun *r = run->of_world;
    while (read(r->signals, &info, sizeof info) == sizeof info)
        run_signal(run, (int)info.ssi_signo);
}

static int how_long(Loop *loop)
{
    int64_t next = timers_next(&loop->timers);
    if (next == NEVER) return -1;
    int64_t us = next * 1000 - real_now_us();
    if (us <= 0) return 0;
    return (int)MIN((us + 999) / 1000, (int64_t)3600 * 1000);
}

static void poll_events(Loop *loop)
{
    enum { AT_ONCE = 64 };
    struct epoll_event events[AT_ONCE];
    RealLoop *r = loop->of_world;
    int timeout = 0;
    loop_end_turn(loop);
    if (!loop->ready_count) {
        __atomic_store_n(&r->asleep, true, __ATOMIC_SEQ_CST);
        timeout = loop_has_tasks(loop) ? 0 : how_long(loop);
    }
    int n = epoll_wait(r->epoll, events, AT_ONCE, timeout);
    __atomic_store_n(&r->asleep, false, __ATOMIC_SEQ_CST);
    loop->polled_us = real_now_us();
    loop->now_ms = loop->polled_us / 1000;
    /* Nothing but marking and waking happens in here, so no Sock named by an event can go. */
    for (int i = 0; i < n; i++) {
        void *of = events[i].data.ptr;
        if (of == loop)
            drain(r->wake);
        else if (of == loop->run)
            take_signals(loop->run);
        else
            real_sock_event(of, events[i].events);
    }
}

static void run_ready(Loop *loop)
{
    enum { BETWEEN_POLLS = 64, BETWEEN_WAKES = 8 };
    loop->poll_soon = false;
    for (unsigned i = 1; i <= BETWEEN_POLLS && loop->ready_count && !loop->poll_soon; i++) {
        fiber_resume(CONTAINER(loop->ready.next, Fiber, turn));
        if (i % BETWEEN_WAKES == 0) loop_end_turn(loop);
    }
}

static void *loop_main(void *arg)
{
    Loop *loop = arg;
    Run *run = loop->run;
    loop_now = loop;
    run_now = run;
    while (!__atomic_load_n(&run->main_returned, __ATOMIC_SEQ_CST) || !loop_is_idle(loop)) {
        poll_events(loop);
        loop_fire_timers(loop);
        loop_run_tasks(loop);
        run_ready(loop);
    }
    loop_end_turn(loop);
    loop_now = NULL;
    run_now = NULL;
    return NULL;
}

/* ---- starting and stopping ---- */

static void watch(RealLoop *r, int fd, void *whose)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = whose};
    must(epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) == 0);
}

static Err open_loop(Loop *loop, RealLoop *r)
{
    loop->of_world = r;
    loop->trims = true;
    loop->polled_us = real_now_us();
    loop->now_ms = loop->polled_us / 1000;
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->epoll < 0 || r->wake < 0)
        return fail(ERR_LIMIT, "epoll_create, eventfd: %s", strerror(errno));
    watch(r, r->wake, loop);
    return OK;
}

typedef struct {
    Run *run;
    void (*fn)(void *);
    void *arg;
} Main;

static void nothing(Task *t)
{
    (void)t;
}

static void main_fiber(void *arg)
{
    Main *m = arg;
    m->fn(m->arg);
    Run *run = m->run;
    run_cancel(); /* whoever still waits for a peer is told */
    __atomic_store_n(&run->main_returned, true, __ATOMIC_SEQ_CST);
    RealRun *r = run->of_world;
    for (unsigned i = 0; i < run->count; i++) {
        r->loops[i].end_task.run = nothing;
        loop_post(&run->loops[i], &r->loops[i].end_task);
    }
}

static Err open_loops(Run *run, RealRun *r, const sigset_t *taken)
{
    for (unsigned i = 0; i < run->count; i++) {
        loop_init(&run->loops[i], run, i);
        r->loops[i] = (RealLoop){.epoll = -1, .wake = -1};
    }
    for (unsigned i = 0; i < run->count; i++)
        TRY(open_loop(&run->loops[i], &r->loops[i]));
    r->signals = signalfd(-1, taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signals < 0) return fail(ERR_LIMIT, "signalfd: %s", strerror(errno));
    watch(&r->loops[0], r->signals, run);
    return OK;
}

static void run_loops(Run *run, RealRun *r, Main *m)
{
    loop_now = &run->loops[0]; /* fiber_start wants to know where */
    fiber_start("main", main_fiber, m);
    for (unsigned i = 1; i < run->count; i++)
        must(pthread_create(&r->loops[i].thread, NULL, loop_main, &run->loops[i]) == 0);
    loop_main(&run->loops[0]);
    for (unsigned i = 1; i < run->count; i++)
        must(pthread_join(r->loops[i].thread, NULL) == 0);
}

static void close_loops(Run *run, RealRun *r)
{
    helpers_free(r->helpers);
    run_now = run;
    for (unsigned i = 0; i < run->count; i++) {
        Loop *loop = &run->loops[i];
        loop_now = loop;
        loop_run_tasks(loop); /* jobs that nobody waited for want to be freed */
        loop_end_fibers(loop);
    }
    for (unsigned i = 0; i < run->count; i++) {
        loop_done(&run->loops[i]);
        if (r->loops[i].epoll >= 0) close(r->loops[i].epoll);
        if (r->loops[i].wake >= 0) close(r->loops[i].wake);
    }
    loop_now = NULL;
    run_now = NULL;
    if (r->signals >= 0) close(r->signals);
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static Err run_real(const RunConfig *config, Main *m, const sigset_t *taken)
{
    unsigned count = config->loops ? config->loops : cores();
    unsigned helpers = config->helpers ? config->helpers : MIN(8 + cores() * 2, 64u);
    Run run = {.world = &real_world, .count = count};
    RealRun r = {.signals = -1};
    run.loops = mem_zero(array_bytes(count, sizeof *run.loops));
    r.loops = mem_zero(array_bytes(count, sizeof *r.loops));
    r.helpers = helpers_new(&run, helpers);
    run.of_world = &r;
    /* cppcheck-suppress autoVariables ; main_fiber ends before we return */
    m->run = &run;
    Run *before = run_latest;
    Err err = open_loops(&run, &r, taken);
    if (!err) {
        run_latest = &run;
        run_loops(&run, &r, m);
        run_latest = before;
    }
    close_loops(&run, &r);
    free(run.loops);
    free(r.loops);
    return err;
}

Err run_start(const RunConfig *config, void (*main_fn)(void *), void *arg)
{
    must(!run_now);
    sigset_t taken, before;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGUSR2);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &taken, &before);
    Main m = {.fn = main_fn, .arg = arg};
    Err err = run_real(config, &m, &taken);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

const World real_world = {
    .name = "real",
    .now_us = real_now_us,
    .wall_ms = real_wall_ms,
    .random_bytes = real_random_bytes,
    .loop_wake = real_loop_wake,
    .breath_is_due = real_breath_is_due,
    .job_queue = real_job_queue,
    .mutex_lock = real_mutex_lock,
    .mutex_unlock = real_mutex_unlock,
    .file_open = real_file_open,
    .file_close = real_file_close,
    .file_size = real_file_size,
    .file_read_some = real_file_read_some,
    .file_read_cached = real_file_read_cached,
    .file_write_some = real_file_write_some,
    .file_sync = real_file_sync,
    .file_allocate = real_file_allocate,
    .file_punch = real_file_punch,
    .file_truncate = real_file_truncate,
    .file_lock = real_file_lock,
    .path_rename = real_path_rename,
    .path_unlink = real_path_unlink,
    .path_mkdir = real_path_mkdir,
    .path_sync_dir = real_path_sync_dir,
    .path_info = real_path_info,
    .path_list = real_path_list,
    .path_free_space = real_path_free_space,
    .path_is_network = real_path_is_network,
    .path_overwrites = real_path_overwrites,
    .sock_listen = real_sock_listen,
    .sock_try_accept = real_sock_try_accept,
    .sock_connect_begin = real_sock_connect_begin,
    .sock_connect_end = real_sock_connect_end,
    .sock_close = real_sock_close,
    .sock_peer = real_sock_peer,
    .sock_local = real_sock_local,
    .sock_try_read = real_sock_try_read,
    .sock_try_write = real_sock_try_write,
    .sock_shutdown = real_sock_shutdown,
    .sock_cut = real_sock_cut,
    .sock_detach = real_sock_detach,
    .sock_attach = real_sock_attach,
    .sock_will_wait = real_sock_will_wait,
    .sock_pair = real_sock_pair,
    .ring_pair = real_ring_pair,
    .ring_attach = real_ring_attach,
    .ring_close = real_ring_close,
    .ring_show = real_ring_show,
    .ring_turn_ends = real_ring_turn_ends,
};
