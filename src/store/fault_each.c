#include "store/fault_each.h"

#include "base/test.h"

enum { DISK = 192 << 20, INDEX_MOST = 1 << 30 };

static SimDisk *disk, *base;

SimDiskPlan *trial_plan(void)
{
    return sim_disk_plan(disk);
}

static void count(uint64_t calls[CALL_KINDS])
{
    const SimDiskPlan *plan = trial_plan();
    calls[CALL_OPERATION] = plan->operations;
    calls[CALL_READ] = plan->reads;
    calls[CALL_LOOKUP] = plan->lookups;
    calls[CALL_INDEX] = INDEX_MOST - fault_left("index.read");
}

void trial_begin(Trial *t)
{
    SimDiskPlan *plan = trial_plan();
    fault_set("index.read", t->fails && t->kind == CALL_INDEX ? (unsigned)t->at : INDEX_MOST);
    count(t->before);
    t->before[CALL_INDEX] = 0;
    if (!t->fails) return;
    uint64_t at = t->before[t->kind] + t->at;
    plan->failure = t->failure;
    if (t->kind == CALL_OPERATION) plan->fail_at = at;
    if (t->kind == CALL_READ) plan->fail_read_at = at;
    if (t->kind == CALL_LOOKUP) plan->fail_lookup_at = at;
}

void trial_end(Trial *t)
{
    SimDiskPlan *plan = trial_plan();
    count(t->calls);
    for (int i = 0; i < CALL_KINDS; i++)
        t->calls[i] -= t->before[i];
    fault_set("index.read", 0);
    plan->fail_at = plan->fail_read_at = plan->fail_lookup_at = 0;
}

/* Another seed for each life: the names of big bodies are random. */
static void run(uint64_t seed, void (*fn)(void *), void *arg)
{
    SimConfig c = {.seed = seed, .disk = disk, .disk_latency_us = 100, .loops = 1};
    check_ok(sim_run(&c, fn, arg));
}

static void one_trial(void (*use)(void *), Trial *t)
{
    Trial well = {.again = true};
    unsigned complaints = test_complaints();
    sim_disk_copy(disk, base);
    run(2, use, t);
    *trial_plan() = (SimDiskPlan){0};
    if (t->fails) run(3, use, &well);
    if (test_complaints() > complaints)
        test_failed(__FILE__, __LINE__, "this was call %llu of kind %d failing",
                    (unsigned long long)t->at, (int)t->kind);
}

static void walk(void (*use)(void *), Err failure, CallKind kind, uint64_t calls)
{
    for (uint64_t at = 1; at <= calls; at++)
        one_trial(use, &(Trial){.fails = true, .kind = kind, .at = at, .failure = failure});
}

static void each(void (*make)(void *), void (*use)(void *), Err failure, unsigned kinds)
{
    Trial none = {0};
    disk = sim_disk_new(DISK);
    base = sim_disk_new(DISK);
    run(1, make, NULL);
    sim_disk_kill(disk);
    sim_disk_copy(base, disk);
    one_trial(use, &none);
    for (int kind = 0; kind < CALL_KINDS; kind++)
        if (kinds >> kind & 1) walk(use, failure, (CallKind)kind, none.calls[kind]);
    sim_disk_free(disk);
    sim_disk_free(base);
}

void each_call_fails(void (*make)(void *), void (*use)(void *), Err failure)
{
    each(make, use, failure, (1u << CALL_KINDS) - 1);
}

void each_call_of_kind_fails(void (*make)(void *), void (*use)(void *), Err failure, CallKind kind)
{
    each(make, use, failure, 1u << kind);
}
