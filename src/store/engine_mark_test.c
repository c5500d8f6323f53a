/* Space comes back, where a call to the disk fails or the process is killed at it; the next process
 * goes on from what the page cache says, and then the power is cut. */
#include "run/sim.h"
#include "store/engine_fake.h"

#include <stdio.h>
#include <unistd.h>

enum { DISK = 16 << 20, BODY = 20000, CALLS = 60, CUTS = 3, BODIES = 16 };

static const EngineOptions options = {
    .segment_bytes = 128 * 1024, .index_in_memory = true, .checkpoint_ms = 1000000};

typedef struct {
    SimDisk *disk;
    uint64_t call; /* which one, from the drop on */
    bool dies;     /* at it; else it fails */
} Trial;

static _Noreturn void die(void)
{
    fflush(NULL);
    _exit(test_complaints() ? 1 : SIM_CRASHED);
}

PARKS static void drop_some(void *arg)
{
    const Trial *t = (const Trial *)arg;
    FakeHost h = {0};
    uint32_t eids[BODIES];
    uint64_t freed;
    SimDiskPlan *plan = sim_disk_plan(t->disk);
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < BODIES; i++) /* some segments */
        check_ok(fake_add(&h, 2, BODY, false, &eids[i]));
    for (int i = 0; i < BODIES; i++)
        if (i % 5) check_ok(fake_drop(&h, 2, eids[i]));
    plan->failure = ERR_IO;
    *(t->dies ? &plan->crash_at : &plan->fail_at) = plan->operations + t->call;
    for (int i = 0; i < 4; i++)
        (void)!engine_compact(h.engine, &freed);
    die();
}

PARKS static void go_on(void *arg)
{
    FakeHost h = {0};
    uint64_t freed;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &options));
    for (int i = 0; i < 4; i++)
        check_ok(engine_compact(h.engine, &freed));
    die();
}

static void tell(void *arg, Slice line)
{
    (void)arg;
    test_failed(__FILE__, __LINE__, "%.*s", SP(line));
}

PARKS static void look(void *arg)
{
    FakeHost h = {0};
    uint64_t checked = 0, bad = 0;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &options));
    check_ok(engine_scrub(h.engine, tell, NULL, &checked, &bad));
    check(checked && !bad);
    const FakeAccount *a = fake_account(&h, 2);
    for (size_t i = 0; i < a->count; i++)
        if (a->emails[i].live) check_ok(fake_read(&h, &a->emails[i]));
    fake_close(&h);
}

static void run(SimDisk *disk, uint64_t seed, void (*life)(void *), Trial *t, int wanted)
{
    int code = 1;
    SimConfig config = {.seed = seed, .disk = disk, .disk_latency_us = 100};
    check_ok(sim_run_child(&config, life, t, &code));
    if (code != wanted)
        test_failed(__FILE__, __LINE__, "call %llu, cut %llu: the child ended with %d",
                    (unsigned long long)t->call, (unsigned long long)seed, code);
}

static void try_each(bool dies)
{
    for (uint64_t call = 1; call <= CALLS; call++) {
        Trial t = {sim_disk_new(DISK), call, dies};
        SimDisk *cut = sim_disk_new(DISK);
        run(t.disk, 1, drop_some, &t, SIM_CRASHED);
        SimDiskPlan *plan = sim_disk_plan(t.disk);
        plan->fail_at = plan->crash_at = 0;
        sim_disk_kill(t.disk);
        run(t.disk, 1, go_on, &t, SIM_CRASHED);
        for (uint64_t seed = 1; seed <= CUTS; seed++) {
            sim_disk_copy(cut, t.disk);
            sim_disk_power_cut(cut, seed);
            run(cut, seed, look, &t, 0);
        }
        sim_disk_free(cut);
        sim_disk_free(t.disk);
    }
}

TEST(a_mark_whose_sync_failed_is_written_again)
{
    try_each(false);
}

TEST(space_comes_back_behind_who_was_killed)
{
    try_each(true);
}
