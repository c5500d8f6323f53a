#pragma once
/* The simulated world: virtual time, seeded scheduling, a disk that tears and loses, a slow
 * network. One thread, no epoll, no real file: the same seed gives the same run to the last byte.
 *
 * The disk lives in memory shared with the parent (mmap MAP_SHARED), so a crash is `_exit` of a
 * forked child and the parent goes on with what the disk would hold: everything that was synced,
 * and of everything written later a random subset of 512-byte sectors. */
#include "run/run.h"

typedef struct SimDisk SimDisk;
SimDisk *
sim_disk_new(size_t bytes); /* address space to use at most; shared with children forked later */
void sim_disk_free(SimDisk *d);
void sim_disk_copy(SimDisk *to, const SimDisk *from); /* of the same size, nobody uses them */
/* What a power cut leaves: for each sector written since the last sync of its file, the old or the
 * new content by seed; names created or renamed since the last directory sync appear or not by
 * seed. */
void sim_disk_power_cut(SimDisk *d, uint64_t seed);
void sim_disk_kill(SimDisk *d); /* what kill -9 leaves: everything written */
void sim_disk_flip_bit(SimDisk *d, Slice path, uint64_t bit);
typedef enum { SIM_CRASH_HALF, SIM_CRASH_BEFORE, SIM_CRASH_AFTER } SimCrash;
/* Short and interrupted are for those who go on: a write does the rest, any other call is made
 * again (that is inside the world, nobody sees it). */
typedef enum { SIM_FAILS, SIM_SHORT, SIM_INTERRUPTED } SimFailing;
typedef struct {
    uint64_t operations; /* writes, syncs, truncates, renames ... so far */
    uint64_t reads;      /* that had to ask the disk */
    uint64_t lookups;    /* of files opened or asked for their size, paths looked at, lists */
    uint64_t crash_at;   /* _exit(SIM_CRASHED) at this operation; how much of it is done, `crash`
                            says (half: by seed). 0: never */
    SimCrash crash;
    uint64_t fail_at;        /* this operation fails once with `failure`, or as `failing` says */
    uint64_t fail_read_at;   /* this read does, with ERR_IO */
    uint64_t fail_lookup_at; /* this lookup fails, with ERR_IO */
    SimFailing failing;
    Err failure;
    uint64_t capacity_bytes; /* ERR_DISK_FULL beyond; 0: none */
} SimDiskPlan;
SimDiskPlan *sim_disk_plan(SimDisk *d); /* change it freely; shared */
enum { SIM_CRASHED = 42 };

typedef struct {
    uint64_t seed;
    SimDisk *disk;
    unsigned loops;          /* 0: 2 */
    int64_t disk_latency_us; /* mean of a sync; others are a tenth */
    int64_t net_latency_us;
    int64_t start_wall_ms; /* 0: 2026-01-01 */
} SimConfig;
/* Like run_start, in the simulated world. The program ends with a message when everybody waits for
 * ever. */
Err sim_run(const SimConfig *config, void (*main_fn)(void *), void *arg);
/* Forks, runs sim_run in the child and waits. *exit_code: 0 main_fn returned, SIM_CRASHED, or what
 * a check left. */
Err sim_run_child(const SimConfig *config, void (*main_fn)(void *), void *arg, int *exit_code);
/* Another process in the same world, with loops and helpers of its own: loop_count, loop_at and
 * run_cancel are about the process of whoever calls them. */
typedef struct SimProcess SimProcess;
SimProcess *sim_process(unsigned loops);
/* fn(arg) as a fiber on its first loop; nothing when it is gone. */
void sim_process_run(SimProcess *p, const char *name, void (*fn)(void *), void *arg);
struct Sock;
void sim_process_give(SimProcess *p, struct Sock *s); /* detached; it is to attach it */
/* As kill -9, between two of its steps, by another one: nothing of it runs any more. What it had
 * open is closed, what it wrote stays written, its memory is not freed. */
void sim_process_kill(SimProcess *p);
/* Memory is memory: all that was done in rings is seen now, as by whoever hears that a process has
 * ended. */
void sim_rings_settle(void);
void sim_wall_jump(int64_t ms); /* somebody sets the wall clock; the monotonic one goes on */
uint64_t sim_random(void);      /* from the seed; for the test's own decisions */
