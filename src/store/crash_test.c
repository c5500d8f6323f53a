/* Crashes by the thousand: several clients work on several accounts in the simulated world until it
 * ends at a random operation of the disk, by kill -9 or by power cut. The next life recovers,
 * compares everything with what was acknowledged, and works on, until it is ended again. In
 * some worlds the disk fails once a life, too.
 *
 * POSTHOUSE_SEED=n runs that one world only, POSTHOUSE_CRASHES=n so many crashes instead of 1,000.
 */
#include "run/sim.h"
#include "store/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LIVES = 20, STEPS = 60, DISK_BYTES = 1024 * 1024 * 1024 };

typedef struct {
    WorkWorld world;
    SimDisk *disk;
    uint64_t fail_after; /* operations of the work; 0: none fails */
    unsigned life;
    char doing[32];
} SharedMemory;

static void doing(SharedMemory *s, const char *what)
{
    snprintf(s->doing, sizeof s->doing, "%s", what);
}

static StoreOptions options_of(const SharedMemory *s)
{
    uint64_t r = s->world.seed * 131 + s->life / 4;
    return (StoreOptions){
        .engine = {.index_in_memory = true,
                   .zero_ahead = r % 3 == 0,
                   .segment_bytes = s->world.big ? 4u << 20 : 128u << 10,
                   .checkpoint_ms = r % 2 ? 20 : 500,
                   .checkpoint_octets = r % 5 ? 0 : 64 * 1024},
    };
}

static bool something_failed(const WorkWorld *w)
{
    for (unsigned i = 0; i < WORK_CLIENTS; i++)
        if (w->clients[i].stopped) return true;
    return false;
}

static PARKS void compact_and_verify(SharedMemory *s, Store *store)
{
    uint64_t freed;
    doing(s, "compact");
    Err err = engine_compact(store_engine(store), &freed);
    if (err && !s->world.may_fail)
        work_failed(&s->world, "life %u: compact: %s (%s)", s->life, err_name(err), err_story());
    doing(s, "verify again");
    world_verify(&s->world, store);
}

static PARKS void live(void *arg)
{
    SharedMemory *s = arg;
    WorkWorld *w = &s->world;
    SimDiskPlan *plan = sim_disk_plan(s->disk);
    Store *store = NULL;
    StoreOptions options = options_of(s);
    doing(s, "open");
    Err err = store_open(S("store"), &options, &store);
    if (err) work_failed(w, "life %u: open: %s (%s)", s->life, err_name(err), err_story());
    doing(s, "prepare");
    world_prepare(w, store);
    doing(s, "verify");
    world_verify(w, store);
    doing(s, "work");
    plan->fail_at = s->fail_after ? plan->operations + s->fail_after : 0;
    world_work(w, store, STEPS, w->seed % 3 == 0);
    if (!something_failed(w)) compact_and_verify(s, store);
    doing(s, "close");
    store_close(store);
    plan->fail_at = 0;
}

/* The last life of a world is left alone. */
static bool one_life(SharedMemory *s, SimDisk *disk, uint64_t *random, bool *crashed)
{
    static const uint32_t spans[] = {15, 100, 400, 1500};
    SimDiskPlan *plan = sim_disk_plan(disk);
    uint32_t span = spans[work_random(random) % COUNT(spans)];
    bool last = s->life == LIVES - 1, power = work_random(random) % 2;
    plan->crash_at = last ? 0 : plan->operations + 1 + work_random(random) % span;
    s->fail_after = last || !s->world.may_fail ? 0 : 1 + work_random(random) % 200;
    plan->failure = work_random(random) % 2 ? ERR_IO : ERR_DISK_FULL;
    SimConfig c = {.seed = work_random(random), .disk = disk, .disk_latency_us = 200};
    c.loops = 2;
    int code;
    Err err = sim_run_child(&c, live, s, &code);
    *crashed = code == SIM_CRASHED;
    if (err || (code && !*crashed)) {
        printf("seed %llu, life %u (%s): exit %d\n", (unsigned long long)s->world.seed, s->life,
               s->doing, code);
        return false;
    }
    if (getenv("POSTHOUSE_SEED"))
        printf("life %u: %s at operation %llu, %s\n", s->life, *crashed ? "crashed" : "ended",
               (unsigned long long)plan->operations, s->doing);
    plan->crash_at = plan->fail_at = 0;
    if (power)
        sim_disk_power_cut(disk, work_random(random));
    else
        sim_disk_kill(disk);
    return true;
}

static bool one_world(SharedMemory *s, uint64_t seed, unsigned *crashes)
{
    uint64_t random = seed;
    SimDisk *disk = sim_disk_new(DISK_BYTES);
    bool good = true;
    world_init(&s->world, seed);
    s->world.big = seed % 8 == 0 ? 200 : 0;
    s->world.may_fail = seed % 8 == 4;
    s->disk = disk;
    for (s->life = 0; s->life < LIVES && good; s->life++) {
        bool crashed;
        good = one_life(s, disk, &random, &crashed);
        *crashes += crashed;
    }
    sim_disk_free(disk);
    return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    uint64_t value;
    const char *text = getenv(name);
    return text && slice_to_u64(slice_of(text), &value) ? value : otherwise;
}

int main(void)
{
    SharedMemory *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(s != MAP_FAILED);
    uint64_t only = number_of("POSTHOUSE_SEED", 0), wanted = number_of("POSTHOUSE_CRASHES", 1000);
    unsigned crashes = 0, passed = 0, failed = 0;
    for (uint64_t seed = only ? only : 1; crashes < wanted && failed < 5; seed++) {
        if (one_world(s, seed, &crashes))
            passed++;
        else
            failed++;
        if (only) break;
    }
    printf("%u crashes\n%u passed, %u failed\n", crashes, passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
