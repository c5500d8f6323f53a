#pragma once
/* run: the only door to the world. The loop, fibers, timers, helper threads, clock, randomness;
 * files and sockets are in run/file.h and run/sock.h; run/sim.h replaces the world behind all of
 * them for tests.
 *
 * Vocabulary: a Fiber is a conversation with its own stack, on the Loop that started it until it
 * asks to be moved (fiber_move). A Loop is one thread with one epoll; there is one per core. A
 * fiber waits by parking; what wakes it is a Wake. A nudge is a sticky wake-up from a neighbour on
 * the same loop. Blocking work goes aside, to a helper thread. Times are milliseconds; a deadline
 * is a moment of now_ms(), NEVER for none. Begin reading with run_start, then fiber_park. */
#include "base/base.h"

#define NEVER INT64_MAX

typedef struct Loop Loop;
typedef struct Fiber Fiber;

/* ---- clock and randomness ---- */
int64_t now_ms(void); /* monotonic; the loop's cached time, at most one turn of the loop old */
int64_t now_us(void); /* monotonic, exact: for measuring */
int64_t wall_seconds(void); /* since 1970, UTC */
int64_t wall_ms(void);
void random_bytes(void *out, size_t len); /* cryptographic (seeded in the simulated world) */
uint64_t random_u64(void);
bool run_is_simulated(void); /* run/sim.h: there are no files but those of the simulated disk */

/* ---- starting and stopping ---- */
typedef struct {
    unsigned loops;   /* 0: one per core */
    unsigned helpers; /* helper threads; 0: a sensible number */
} RunConfig;
/* Runs main_fn(arg) as the first fiber, on loop 0; returns when it has returned and every loop has
 * ended. Signals SIGTERM, SIGINT, SIGHUP and SIGUSR2 are taken over, SIGPIPE is ignored. Call once
 * per process (the simulated world: once per sim_run). */
Err run_start(const RunConfig *config, void (*main_fn)(void *), void *arg);
/* The next of SIGTERM, SIGINT, SIGHUP, SIGUSR2; 0 after run_cancel; loop 0 only. */
PARKS int signal_wait(void);
/* From now on every wait on a socket and every fiber_sleep returns WOKEN_CANCELLED / ERR_CANCELLED
 * at once; waits for commits, conditions and helper threads go on to their end. main_fn then waits
 * for its fibers and returns. Any loop. */
void run_cancel(void);
bool run_is_cancelled(void);

/* ---- loops ---- */
unsigned loop_count(void);
Loop *loop_at(unsigned index);
Loop *loop_current(void); /* NULL on a helper thread */
unsigned loop_index(const Loop *loop);

typedef struct Task { /* embed it; must live until run is called */
    void (*run)(struct Task *);
    struct Task *next;
} Task;
/* Runs task->run on that loop, outside any fiber (it must not park), in the order posted by each
 * poster. Any thread. */
void loop_post(Loop *loop, Task *task);
/* Runs fn(arg) as a fiber on that loop and waits for it to end; called directly when it is our own
 * loop. Not cancelled. */
PARKS void loop_call(Loop *loop, void (*fn)(void *), void *arg);

/* ---- fibers ---- */
typedef enum {
    WOKEN_READY, /* what was waited for is there */
    WOKEN_NUDGED,
    WOKEN_TIMEOUT,
    WOKEN_CANCELLED, /* run_cancel was called */
} Wake;

/* A new fiber on this loop, or (fiber_start_on) on another; it runs at the loop's next turn. name
 * is for status and gdb: a literal or something that outlives the fiber. Stacks are 256 KiB of
 * address space with a guard page; pages below the stack pointer of a fiber parked for more than
 * two seconds are given back to the kernel (fiber_rests: all of them). */
Fiber *fiber_start(const char *name, void (*fn)(void *), void *arg);
void fiber_start_on(Loop *loop, const char *name, void (*fn)(void *), void *arg);
/* The running fiber goes on on that loop, after those who wait there already; nothing to do when it
 * is its own. It takes its story (err_story), its stack and a nudge not yet heard along. What it
 * holds of the old loop (accounts, conditions, sockets not detached) it must not touch there, and
 * fibers of the old loop may no longer nudge it: stop listening first. */
PARKS void fiber_move(Loop *loop);
Fiber *fiber_current(void); /* NULL outside a fiber */
void fiber_rename(const char *name);
/* From now on nobody else points into this fiber's stack while it waits (or, false, somebody may):
 * after two seconds of waiting all of it is given back, and less than a kilobyte kept instead. */
void fiber_rests(bool rests);
PARKS Wake fiber_park(int64_t deadline_ms); /* until nudged, the deadline, or run_cancel */
PARKS Wake fiber_sleep(int64_t ms);         /* a nudge does not end it, run_cancel does */
/* Same loop only. Sticky: if the fiber is not in a wait that listens to nudges, its next such wait
 * returns at once. */
void fiber_nudge(Fiber *f);
PARKS void breathe(
    void); /* lets the others run if we have had more than a millisecond; call it in long loops */

typedef struct {
    const char *name;
    const char *
        waits_for; /* "socket", "timer", "condition", "helper", "loop", "nudge", "signal", "turn" */
    unsigned loop;
    int64_t parked_ms; /* how long */
} FiberInfo;
/* All fibers of all loops, for the status command. */
PARKS size_t fiber_list(Arena *a, FiberInfo **list);

/* ---- condition: fibers of one loop wait for something that code on that loop announces. {0} is
 * valid. ---- */
typedef struct {
    Link waiters;
} Cond;
PARKS bool
cond_wait(Cond *c,
          int64_t deadline_ms); /* false: the deadline passed. Not cancelled, not nudged. */
void cond_signal(Cond *c);      /* wakes one */
void cond_broadcast(Cond *c);   /* wakes all */

/* ---- helper threads ---- */
/* Runs work(arg) on a helper thread and parks until it has returned. Not cancelled. On a helper
 * thread already: calls it. The story of an error (err_story) comes back with it; so it does from
 * loop_call. */
PARKS void aside(void (*work)(void *), void *arg);
/* The same without waiting; done, if not NULL, is posted to `loop` afterwards. The job must live
 * until done has run (or, without done, until work has returned). Any thread. */
typedef struct Job {
    void (*work)(struct Job *);
    void (*done)(struct Job *);
    Loop *loop;
    Task task;
    struct Job *next;
} Job;
void aside_post(Job *job);

/* ---- mutex: only for what loops and helper threads share (the queue of a log, a cache); never
 * held across a wait ---- */
typedef struct {
    void *opaque[8];
} Mutex; /* {0} is valid */
void mutex_lock(Mutex *m);
void mutex_unlock(Mutex *m);

/* ---- faults: code says FAULT("store.commit") where a test may make it fail. Off outside tests and
 * the simulated world. ---- */
bool fault_hit(const char *name);
#define FAULT(name) __builtin_expect(fault_is_on &&fault_hit(name), 0)
extern bool fault_is_on;
void fault_set(
    const char *name,
    unsigned after); /* fails at the after-th time from now (1: the next), then never again */
#define FAULT_ALWAYS UINT32_MAX
unsigned fault_left(const char *name); /* how many more times until it fails; 0: it has */
/* A mistake made on purpose, for the test of the tests (src/sim/plants.def): it has to be found. */
#define PLANTED(name) FAULT("plant." name)
