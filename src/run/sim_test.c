#include "base/test.h"
#include "run/context.h"
#include "run/file.h"
#include "run/ring.h"
#include "run/sim.h"
#include "run/sock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the same seed, the same run ---- */

typedef struct {
    Buf trace;
    Cond ended;
    int running;
    Sock *ends[2];
    Mutex lock;
} Play;

static void note(Play *p, const char *what, uint64_t n)
{
    mutex_lock(&p->lock);
    buf_printf(&p->trace, "%lld %s %llu\n", (long long)now_us(), what, (unsigned long long)n);
    mutex_unlock(&p->lock);
}

PARKS static void leave(Play *p)
{
    if (--p->running == 0) cond_signal(&p->ended);
}

static void write_aside(void *arg)
{
    File *f scoped(file) = NULL;
    check_ok(file_open(S("played"), FILE_WRITE | FILE_CREATE, &f));
    Slice part = S("some bytes");
    note(arg, "write", random_u64() % 100);
    check_ok(file_write_at(f, 0, &part, 1));
    note(arg, "sync", 0);
    check_ok(file_sync(f));
}

PARKS static void play_worker(void *arg)
{
    Play *p = arg;
    for (uint64_t i = 0; i < 5; i++) {
        aside(write_aside, p);
        note(p, "worked", i);
    }
    leave(p);
}

PARKS static void play_sleeper(void *arg)
{
    Play *p = arg;
    for (uint64_t i = 0; i < 10; i++) {
        fiber_sleep((int64_t)sim_random() % 5 + 5);
        note(p, "slept", i);
        breathe();
    }
    leave(p);
}

PARKS static void play_writer(void *arg)
{
    Play *p = arg;
    for (uint64_t i = 0; i < 30; i++) {
        Slice text = S("hello");
        size_t sent;
        check_ok(sock_try_write(p->ends[0], &text, 1, &sent));
        note(p, "sent", sent);
        fiber_sleep(1);
    }
    sock_shutdown(p->ends[0]);
    leave(p);
}

PARKS static void play_reader(void *arg)
{
    Play *p = arg;
    char text[4];
    for (Err err = OK; !err;) {
        size_t got;
        err = sock_try_read(p->ends[1], text, sizeof text, &got);
        note(p, "read", got);
        if (!err && !got) sock_wait(p->ends[1], SOCK_READABLE, NEVER, false);
    }
    leave(p);
}

static void there(void *arg)
{
    note(arg, "there", loop_index(loop_current()));
}

PARKS static void play(void *arg)
{
    Play *p = arg;
    check_ok(sock_pair(&p->ends[0], &p->ends[1]));
    void (*parts[])(void *) = {play_worker, play_worker, play_sleeper, play_writer, play_reader};
    for (size_t i = 0; i < COUNT(parts); i++, p->running++)
        fiber_start("part", parts[i], p);
    loop_call(loop_at(1), there, p);
    while (p->running)
        cond_wait(&p->ended, NEVER);
    sock_close(p->ends[0]);
    sock_close(p->ends[1]);
}

static Buf trace_of(uint64_t seed)
{
    Play p = {0};
    SimConfig c = {.seed = seed, .disk_latency_us = 400, .net_latency_us = 300};
    check_ok(sim_run(&c, play, &p));
    return p.trace;
}

TEST(sim_the_same_seed_gives_the_same_run)
{
    Buf first buf_scoped = trace_of(1);
    int others = 0;
    for (uint64_t seed = 1; seed < 20; seed++) {
        Buf a buf_scoped = trace_of(seed), b buf_scoped = trace_of(seed);
        check(a.len > 1000);
        check(slice_eq(buf_slice(&a), buf_slice(&b)));
        if (!slice_eq(buf_slice(&a), buf_slice(&first))) others++;
    }
    check(others == 18);
}

/* ---- time ---- */

PARKS static void sleep_a_day(void *arg)
{
    int64_t wall = wall_ms(), before = now_ms();
    check(wall == 1767225600000);
    fiber_sleep(24 * 3600 * 1000);
    check(now_ms() - before == 24 * 3600 * 1000);
    check(wall_ms() - wall == 24 * 3600 * 1000);
    check(loop_count() == 2 && loop_index(loop_current()) == 0);
    *(bool *)arg = true;
}

TEST(sim_a_day_passes_in_no_time)
{
    bool done = false;
    int64_t before = now_us();
    check_ok(sim_run(&(SimConfig){.seed = 7}, sleep_a_day, &done));
    check(done && now_us() - before < 5 * 1000 * 1000);
    check(loop_current() == loop_at(0)); /* back in the real world */
}

PARKS static void wait_for_ever(void *arg)
{
    (void)arg;
    signal(SIGABRT, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) return;
    Cond c = {0};
    cond_wait(&c, NEVER);
}

TEST(sim_says_when_everybody_waits)
{
    int code = 0;
    check_ok(sim_run_child(&(SimConfig){.seed = 1}, wait_for_ever, NULL, &code));
    check(code == 128 + SIGABRT);
}

static void complain(void *arg)
{
    (void)arg;
    if (!freopen("/dev/null", "w", stdout)) return;
    check(loop_count() == 77);
}

static void do_nothing(void *arg)
{
    (void)arg;
}

TEST(sim_a_child_tells_of_failed_checks)
{
    int code = 0;
    check_ok(sim_run_child(&(SimConfig){.seed = 1}, complain, NULL, &code));
    check(code == 1);
    check_ok(sim_run_child(&(SimConfig){.seed = 1}, do_nothing, NULL, &code));
    check(code == 0);
}

/* ---- cancel ---- */

PARKS static void sleep_long(void *arg)
{
    *(Wake *)arg = fiber_sleep(1000 * 1000);
}

PARKS static void cancel_soon(void *arg)
{
    fiber_start("sleeps", sleep_long, arg);
    fiber_sleep(3);
    run_cancel();
    check(fiber_park(NEVER) == WOKEN_CANCELLED);
    check(signal_wait() == 0);
}

TEST(sim_cancel)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        Wake woken = WOKEN_READY;
        check_ok(sim_run(&(SimConfig){.seed = seed}, cancel_soon, &woken));
        check(woken == WOKEN_CANCELLED);
    }
}

/* ---- the network ---- */

enum { POURED = 200 * 1000 };

typedef struct {
    Address at;
    Sock *listener;
    uint64_t seen;
    bool ended;
} Pour;

PARKS static void pour(void *arg)
{
    Pour *p = arg;
    Sock *s scoped(sock) = NULL;
    check_ok(sock_connect(&p->at, now_ms() + 5000, &s));
    if (!s) return;
    char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t sum = 0, sent = 0; sum < POURED; sum += sent) {
        size_t at = sum % sizeof bytes;
        Slice all = slice(bytes + at, MIN(sizeof bytes - at, POURED - sum));
        Slice parts[2] = {slice_first(all, all.len / 2), slice_from(all, all.len / 2)};
        check_ok(sock_try_write(s, parts, 2, &sent));
        check(sum + sent <= POURED);
        if (!sent) check(sock_wait(s, SOCK_WRITABLE, NEVER, false) == WOKEN_READY);
    }
}

PARKS static void drink(void *arg)
{
    Pour *p = arg;
    Sock *s scoped(sock) = NULL;
    check_ok(sock_accept(p->listener, &s));
    if (!s) return;
    check(sock_peer(s).port > 40000 && !strcmp(sock_peer(s).host, "127.0.0.1"));
    for (;;) {
        char bytes[777];
        size_t got;
        Err err = sock_try_read(s, bytes, sizeof bytes, &got);
        if (err == ERR_END) break;
        check_ok(err);
        for (size_t i = 0; i < got; i++)
            check(bytes[i] == (char)((p->seen + i) % 1000));
        p->seen += got;
        if (!got) check(sock_wait(s, SOCK_READABLE, NEVER, false) == WOKEN_READY);
    }
    p->ended = true;
}

PARKS static void talk(void *arg)
{
    Pour *p = arg;
    check_ok(address_parse(S("10.0.0.1:25"), &p->at));
    Sock *none = NULL;
    check_err(sock_connect(&p->at, NEVER, &none), ERR_IO); /* nobody listens */
    Address any;
    check_ok(address_parse(S("*:25"), &any));
    check_ok(sock_listen(&any, &p->listener));
    fiber_start("drink", drink, p);
    fiber_start_on(loop_at(1), "pour", pour, p);
    while (!p->ended)
        fiber_sleep(10);
    sock_close(p->listener);
}

TEST(sim_streams_arrive_in_order)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        Pour p = {0};
        check_ok(sim_run(&(SimConfig){.seed = seed, .net_latency_us = 200}, talk, &p));
        check_u64(p.seen, POURED);
    }
}

PARKS static void move_there(void *arg)
{
    Sock *s scoped(sock) = arg;
    check_ok(sock_attach(s));
    char c;
    size_t got = 0;
    while (!got) {
        check_ok(sock_try_read(s, &c, 1, &got));
        if (!got) sock_wait(s, SOCK_READABLE, NEVER, false);
    }
    check(c == 'x');
}

PARKS static void move(void *arg)
{
    Sock *a scoped(sock) = NULL, *b = NULL;
    check_ok(sock_pair(&a, &b));
    sock_detach(b);
    Slice x = S("x");
    size_t sent;
    check_ok(sock_try_write(a, &x, 1, &sent));
    fiber_sleep(sim_random() % 2);
    loop_call(loop_at(1), move_there, b);
    char c;
    Err err;
    while (!(err = sock_try_read(a, &c, 1, &sent)))
        if (sock_wait(a, SOCK_READABLE, now_ms() + 1000, false) != WOKEN_READY) break;
    check(err == ERR_END);
    *(bool *)arg = true;
}

TEST(sim_connections_move_between_loops)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        bool done = false;
        check_ok(sim_run(&(SimConfig){.seed = seed, .net_latency_us = 500}, move, &done));
        check(done);
    }
}

typedef struct {
    unsigned moved, ended;
    bool left_behind;
} Movers;

PARKS static void sim_mover(void *arg)
{
    Movers *m = arg;
    for (unsigned i = 0; i < 10; i++) {
        Loop *to = loop_at((unsigned)(random_u64() % loop_count()));
        fiber_move(to);
        if (loop_current() == to) m->moved++;
        fiber_sleep((int64_t)(random_u64() % 3));
    }
    m->ended++;
    while (m->left_behind) /* ends with the run */
        cond_wait(&(Cond){0}, NEVER);
}

PARKS static void sim_movers(void *arg)
{
    Movers *m = arg;
    for (unsigned i = 0; i < 8; i++)
        fiber_start("mover", sim_mover, m);
    while (m->ended < 8)
        fiber_sleep(1);
}

TEST(sim_fibers_move_between_loops)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        Movers m = {.left_behind = seed % 2};
        check_ok(sim_run(&(SimConfig){.seed = seed, .loops = 3}, sim_movers, &m));
        check(m.moved == 80 && m.ended == 8);
    }
}

/* ---- interleaving: helpers and loops meet in every order ---- */

typedef struct {
    bool *order; /* of two asides: the second ended first */
    int ended;
    Cond cond;
} Race;

static void sync_aside(void *arg)
{
    File *f scoped(file) = NULL;
    check_ok(file_open(slice_of(arg), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_sync(f));
}

PARKS static void race_one(void *arg)
{
    Race *r = arg;
    aside(sync_aside, "one");
    if (r->ended++) *r->order = true;
    cond_signal(&r->cond);
}

PARKS static void race_two(void *arg)
{
    Race *r = arg;
    aside(sync_aside, "two");
    r->ended++;
    cond_signal(&r->cond);
}

PARKS static void race(void *arg)
{
    Race r = {.order = arg};
    fiber_start("one", race_one, &r);
    fiber_start("two", race_two, &r);
    while (r.ended < 2)
        cond_wait(&r.cond, NEVER);
}

TEST(sim_helpers_finish_in_any_order)
{
    int swapped = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        bool order = false;
        check_ok(sim_run(&(SimConfig){.seed = seed, .disk_latency_us = 100}, race, &order));
        swapped += order;
    }
    check(swapped > 5 && swapped < 35);
}

/* ---- a process dies ---- */

typedef struct {
    SimProcess *process;
    Sock *ours, *theirs;
    Ring *near, *far;
    unsigned steps;
    bool waits;
} Dying;

static void write_and_hold(void *arg)
{
    Dying *d = arg;
    File *f;
    check_ok(file_open(S("log"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_lock(f));
    Slice text = S("written");
    check_ok(file_write_at(f, 0, &text, 1));
    d->steps++;
    while (!file_sync(f)) /* for ever */
        d->steps++;
}

PARKS static void tick(void *arg)
{
    Dying *d = arg;
    while (fiber_sleep(1) != WOKEN_CANCELLED)
        d->steps++;
}

PARKS static void live(void *arg)
{
    Dying *d = arg;
    Slice message = S("last words");
    check_ok(sock_attach(d->theirs));
    check_ok(ring_attach(d->far));
    check_u64(loop_count(), 1);
    fiber_start("tick", tick, d);
    check(ring_put(d->far, &message, 1));
    d->waits = true;
    aside(write_and_hold, d);
}

/* A file can be locked and read by the next, the peer sees the end, and nothing goes on. */
PARKS static void look_behind(Dying *d)
{
    char text[8] = "";
    size_t got = 0;
    Slice message;
    File *f scoped(file) = NULL;
    check(ring_next(d->near, &message)); /* also what was just put */
    check_slice(message, S("last words"));
    ring_took(d->near);
    check_ok(file_open(S("log"), FILE_WRITE, &f));
    check_ok(file_lock(f));
    check_ok(file_read_at(f, 0, text, 7));
    check(!strcmp(text, "written"));
    Err err = OK;
    while (!err && sock_wait(d->ours, SOCK_READABLE, now_ms() + 1000, false) == WOKEN_READY)
        err = sock_try_read(d->ours, text, 1, &got);
    check_err(err, ERR_END);
    unsigned steps = d->steps;
    fiber_sleep(1000);
    check_u64(d->steps, steps);
}

PARKS static void outlive(void *arg)
{
    Dying *d = arg;
    check_ok(sock_pair(&d->ours, &d->theirs));
    check_ok(ring_pair(&d->near, &d->far));
    check_ok(ring_attach(d->near));
    d->process = sim_process(1);
    sock_detach(d->theirs);
    sim_process_give(d->process, d->theirs);
    sim_process_run(d->process, "live", live, d);
    while (!d->waits || d->steps < 20)
        fiber_sleep(1);
    check_u64(loop_count(), 2);
    sim_process_kill(d->process);
    look_behind(d);
    sock_close(d->ours);
    ring_close(d->near);
}

TEST(sim_a_process_that_is_killed_leaves_what_it_wrote)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        Dying d = {0};
        SimConfig config = {.seed = seed, .net_latency_us = 100, .disk_latency_us = 100};
        int code;
        check_ok(sim_run_child(&config, outlive, &d, &code)); /* whose memory goes with it */
        check_u64((uint64_t)code, 0);
    }
}
