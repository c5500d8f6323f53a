#include "store/engine_fake.h"

#include "run/sim.h"
#include "store/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Crashes at any operation of the disk, by power cut (what was not synced is there or not, sector
 * by sector) or kill, with several accounts writing, checkpoints, compaction and copies going on.
 * After each, recovery must show exactly a prefix of what each account did, and in it everything
 * that was acknowledged; and every body to the last octet.
 *
 *   ENGINE_CRASHES=1000  how many       ENGINE_SEED=7  where to begin */

enum { DISK = 96 << 20, LIVES = 40 /* crashes one disk goes through */ };

typedef struct { /* shared with the children */
    uint64_t acked[FAKE_ACCOUNTS + 1], handed[FAKE_ACCOUNTS + 1];
    uint64_t seed;
    uint64_t commits, recovered, relocations, segments, crashes; /* what has been going on */
} Ledger;

typedef struct {
    FakeHost host;
    Ledger *ledger;
    unsigned writers;
    Cond ended;
} Life;

typedef struct {
    Life *life;
    uint32_t acct;
    unsigned count;
} Writer;

/* Several of one account in flight at once; each is noted as acknowledged when its turn comes. */
enum { IN_FLIGHT = 4 };

typedef struct {
    FakeCommit commit;
    Life *life;
} Step;

static void note_acked(void *arg)
{
    Step *s = (Step *)arg;
    Ledger *l = s->life->ledger;
    const Commit *c = &s->commit.commit;
    check_ok(c->err);
    l->acked[c->acct] = c->seq;
    l->commits++;
}

PARKS static void write_some(void *arg)
{
    Writer *w = (Writer *)arg;
    Life *life = w->life;
    for (unsigned i = 0; i < w->count; i++) {
        Step steps[IN_FLIGHT] = {0};
        for (int k = 0; k < IN_FLIGHT; k++) {
            steps[k].life = life;
            steps[k].commit.then = note_acked;
            steps[k].commit.arg = &steps[k];
            life->ledger->handed[w->acct] = life->host.accounts[w->acct].next_seq;
            fake_begin(&life->host, w->acct, &steps[k].commit);
        }
        for (int k = 0; k < IN_FLIGHT; k++) {
            check_ok(fake_wait(&steps[k].commit));
            fake_commit_done(&steps[k].commit);
        }
    }
    life->writers--;
    cond_signal(&life->ended);
}

PARKS static void look_after(Life *life)
{
    const Ledger *l = life->ledger;
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++) {
        uint64_t seq = fake_account(&life->host, i)->seq;
        if (seq < l->acked[i] || seq > l->handed[i])
            test_failed(__FILE__, __LINE__, "account %u: seq %llu, acknowledged %llu, handed %llu",
                        i, (unsigned long long)seq, (unsigned long long)l->acked[i],
                        (unsigned long long)l->handed[i]);
    }
    fake_check_all(&life->host);
}

PARKS static void disturb(Life *life)
{
    uint64_t freed;
    for (int i = 0; i < 6; i++) {
        uint64_t what = sim_random() % 6;
        unsigned before = life->host.relocations;
        if (what == 0) check_ok(engine_compact(life->host.engine, &freed));
        life->ledger->relocations += life->host.relocations - before;
        if (what == 1) check_ok(engine_copy_index(life->host.engine));
        if (what == 2) check_ok(engine_checkpoint(life->host.engine));
        fiber_sleep((int64_t)(sim_random() % 20));
    }
}

/* c->loop is loop_current(): the writers run at home, all on one loop or the other. */
PARKS static void live(void *arg)
{
    Ledger *ledger = (Ledger *)arg;
    Life *life = NEW(Life);
    life->ledger = ledger;
    EngineOptions options = {.segment_bytes = 128 * 1024,
                             .index_in_memory = true,
                             .checkpoint_ms = 1 + (int64_t)(sim_random() % 20)};
    check_ok(fake_open(&life->host, S("store"), &options));
    if (!life->host.engine) exit(1);
    look_after(life);
    EngineStatus status;
    engine_status(life->host.engine, &status);
    ledger->recovered += status.recovered_records;
    ledger->segments = MAX(ledger->segments, lsn_segment(status.lsn));
    Writer writers[FAKE_ACCOUNTS];
    for (uint32_t i = 0; i < FAKE_ACCOUNTS; i++) {
        writers[i] = (Writer){life, i + 1, (unsigned)(sim_random() % 12)};
        life->writers++;
        fiber_start_on(loop_at((i + 1) % loop_count()), "writer", write_some, &writers[i]);
    }
    disturb(life);
    while (life->writers)
        cond_wait(&life->ended, now_ms() + 5);
    look_after(life);
    fake_close(&life->host);
    free(life);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 29;
}

static void one_life(SimDisk *disk, Ledger *ledger, uint64_t *random)
{
    SimDiskPlan *plan = sim_disk_plan(disk);
    uint64_t seed = next_random(random);
    plan->crash_at =
        plan->operations + 1 + next_random(random) % (next_random(random) % 2 ? 150 : 600);
    int code = 0;
    check_ok(sim_run_child(&(SimConfig){.seed = seed, .disk = disk, .disk_latency_us = 200}, live,
                           ledger, &code));
    if (code != 0 && code != SIM_CRASHED)
        test_failed(__FILE__, __LINE__, "ENGINE_SEED=%llu: the child ended with %d",
                    (unsigned long long)ledger->seed, code);
    ledger->crashes += code == SIM_CRASHED;
    if (next_random(random) % 4)
        sim_disk_power_cut(disk, next_random(random));
    else
        sim_disk_kill(disk);
}

static uint64_t one_disk(uint64_t seed)
{
    Ledger *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(ledger != MAP_FAILED);
    ledger->seed = seed;
    SimDisk *disk = sim_disk_new(DISK);
    uint64_t random = seed;
    for (uint64_t i = 0; i < LIVES; i++)
        one_life(disk, ledger, &random);
    check(ledger->commits > 0 && ledger->crashes > 0);
    if (getenv("ENGINE_CRASHES"))
        printf("  seed %llu: %llu commits, %llu crashes, %llu records recovered, %llu relocated, "
               "%llu segments\n",
               (unsigned long long)seed, (unsigned long long)ledger->commits,
               (unsigned long long)ledger->crashes, (unsigned long long)ledger->recovered,
               (unsigned long long)ledger->relocations, (unsigned long long)ledger->segments);
    uint64_t crashes = ledger->crashes;
    sim_disk_free(disk);
    munmap(ledger, sizeof *ledger);
    return crashes;
}

/* A thousand, or what 15 seconds allow (sanitizers). */
TEST(nothing_acknowledged_is_lost_in_crashes)
{
    uint64_t wanted = from_environment("ENGINE_CRASHES", 0), done = 0;
    uint64_t seed = from_environment("ENGINE_SEED", 1);
    int64_t until = now_us() + 15 * 1000000;
    while (done < (wanted ? wanted : 1000) && (wanted || now_us() < until))
        done += one_disk(seed++);
    printf("  %llu crashes\n", (unsigned long long)done);
}
