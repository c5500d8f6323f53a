#pragma once
/* Internal to run/: how loops and fibers are made; the same in both worlds. A world drives its
 * loops with loop_fire_timers, loop_run_tasks and fiber_resume. */
#include "run/context.h"
#include "run/run.h"
#include "run/stack.h"
#include "run/timer.h"

typedef struct World World;
typedef struct Run Run;

typedef enum { FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_MOVING, FIBER_ENDED } FiberState;
enum { HEARS_NUDGES = 1, HEARS_CANCEL = 2 };

/* Lies at the top of its own stack, so that a fiber at rest costs one page. */
struct Fiber {
    Context context;
    Loop *loop;
    Loop *born; /* whose stack it runs on, wherever it runs */
    Loop *goes_to;
    Task task; /* on its way to another loop; its stack on the way back */
    const char *name, *waits_for;
    char *stack;
    char *folded; /* what its stack held, while the stack's pages are given back; malloc */
    void (*fn)(void *);
    void *arg;
    int64_t parked_at_ms;
    Timer timer;
    Link of_loop;  /* loop->fibers */
    Link turn;     /* loop->ready */
    Link waiting;  /* Cond */
    Link fresh;    /* loop->fresh: its stack was not trimmed since it ran */
    unsigned held; /* mutexes */
    uint8_t state, hears, woken;
    bool nudged;
    bool rests; /* nobody points into its stack now */
};

struct Loop {
    Run *run;
    unsigned index;
    bool is_helper; /* a stand-in for helper threads in the simulated world */
    bool trims;     /* gives stack pages of resting fibers back */
    Link fibers, ready, fresh;
    size_t ready_count;
    Fiber *current;
    Context context; /* the loop itself, while a fiber runs */
    Timers timers;
    Timer trim_timer;
    Stacks stacks;
    int64_t now_ms;
    int64_t polled_us; /* when this turn began */
    bool poll_soon;    /* somebody takes a breath */
    size_t asides;     /* fibers that wait for a helper */
    Task cancel_task;
    Task *posted; /* newest first; any thread pushes */
    Task *tasks;  /* taken from posted, oldest first */
    Link touched; /* rings whose other end has to be told at the end of the turn */
    void *of_world;
};

struct Run {
    const World *world;
    Loop *loops; /* `count`, and in the simulated world one more for the helpers */
    unsigned count;
    bool cancelled, main_returned;
    Fiber *signal_waiter;
    unsigned signals; /* bits */
    void *of_world;
};

extern _Thread_local Loop *loop_now; /* whose turn it is on this thread */
extern _Thread_local Run *run_now;   /* whose loop or helper this thread is */
extern Run *run_latest;              /* for the debugger */

void loop_init(Loop *loop, Run *run, unsigned index);
/* First of all loops, then the other of each: stacks of one loop may be in use on another. */
void loop_end_fibers(Loop *loop);
void loop_done(Loop *loop);
bool loop_has_tasks(Loop *loop);
bool loop_run_task(Loop *loop); /* one; false: there was none */
void loop_run_tasks(Loop *loop);
void loop_fire_timers(Loop *loop);
void loop_end_turn(Loop *loop);
bool loop_is_idle(Loop *loop); /* nothing to run, nobody waits for a helper */

Fiber *fiber_new(Loop *loop, const char *name, void (*fn)(void *), void *arg); /* any loop of this
                                                                    thread */
void fiber_resume(Fiber *f);
/* Parks until fiber_wake, the deadline or, if it hears them, a nudge or run_cancel. */
PARKS Wake fiber_wait(const char *waits_for, int64_t deadline_ms, unsigned hears);
PARKS void fiber_yield(void);
void fiber_wake(Fiber *f, Wake why); /* no effect unless parked */

/* Stories of errors are kept per thread; this one travels. */
typedef struct {
    char text[400];
} RunStory;
void run_story_keep(RunStory *s);
void run_story_tell(const RunStory *s); /* an empty one: what is known here stays */

void run_signal(Run *run, int number); /* on loop 0 */
void job_run(Job *job);                /* on a helper */
