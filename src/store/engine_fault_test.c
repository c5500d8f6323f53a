#include "store/engine_fake.h"

#include "run/file.h"
#include "run/sim.h"
#include "store/local.h"

#include <stdlib.h>

/* The simulated disk fails where something has gone wrong already: while damage is looked at, while
 * segments are recycled, in the background; and what cannot be loaded waits. */

enum { DISK = 256 << 20 };

static SimDisk *disk, *base;
static SimDiskPlan *plan;

static void run_on_disk(void (*fn)(void *), void *arg)
{
    SimConfig c = {.seed = 1, .disk = disk, .disk_latency_us = 100, .loops = 1};
    check_ok(sim_run(&c, fn, arg));
}

static void disks_make(void)
{
    disk = sim_disk_new(DISK);
    base = sim_disk_new(DISK);
    plan = sim_disk_plan(disk);
}

static void disks_free(void)
{
    sim_disk_free(disk);
    sim_disk_free(base);
}

/* From what `make` has left on the disk, `use` with each of its reads and operations failing. */
static void with_each_failing(void (*make)(void *), void (*use)(void *), bool operations)
{
    bool look = false;
    disks_make();
    run_on_disk(make, NULL);
    sim_disk_kill(disk);
    sim_disk_copy(base, disk);
    *plan = (SimDiskPlan){0};
    run_on_disk(use, &look);
    uint64_t reads = plan->reads, all = plan->operations;
    for (uint64_t at = 1; at <= (operations ? all : reads); at += at < 30 ? 1 : 5) {
        sim_disk_copy(disk, base);
        *plan = operations ? (SimDiskPlan){.fail_at = at, .failure = ERR_IO}
                           : (SimDiskPlan){.fail_read_at = at};
        look = false;
        run_on_disk(use, &look);
        *plan = (SimDiskPlan){0};
        look = true;
        run_on_disk(use, &look);
    }
    disks_free();
}

static void ignore_line(void *arg, Slice line)
{
    (void)arg;
    check(line.len > 10);
}

/* ---- a damaged log ---- */

static const EngineOptions large = {
    .segment_bytes = 4 << 20, .checkpoint_ms = 60000, .index_in_memory = true};

enum { NOTES = 16, NOTE = 300000 };

/* A bit of the content of one record, of the headers of two, and of the body of one. */
PARKS static void damaged_log(void *arg)
{
    static const int flipped[] = {2, 5, 6, 9};
    FakeHost h = {0};
    uint64_t at[NOTES];
    uint32_t eid;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &large));
    fake_account(&h, 2);
    for (int i = 0; i < NOTES; i++) {
        EngineStatus s;
        engine_status(h.engine, &s);
        at[i] = s.lsn;
        if (i == 9)
            check_ok(fake_add(&h, 2, BLOB_INLINE_MOST, false, &eid)); /* a whole window */
        else
            check_ok(fake_note(&h, 2, NOTE));
    }
    for (size_t i = 0; i < COUNT(flipped); i++) {
        uint64_t octet = lsn_offset(at[flipped[i]]) + (flipped[i] == 9 ? NOTE / 2 : i ? 8 : 2000);
        sim_disk_flip_bit(disk, S("store/log/00000001.seg"), octet * 8);
    }
    fake_close(&h);
}

/* As after a salvage: nothing is known of the segments. */
PARKS static void uncounted_segments(void *arg)
{
    FakeHost h = {0};
    Arena arena_scoped a = {0};
    damaged_log(arg);
    check_ok(fake_open(&h, S("store"), &large));
    for (uint32_t number = 1; number <= 2; number++) {
        IndexChange c = {.key = key_u32(&a, 'g', number), .remove = true};
        check_ok(index_write(h.engine->index, &c, 1));
    }
    fake_close(&h);
}

/* Findings, or an error; the next time, without a fault, all of them. */
PARKS static void scrub_damaged(void *arg)
{
    bool look = *(bool *)arg;
    FakeHost h = {.holes = true};
    uint64_t checked, bad = 0;
    Err err = fake_open(&h, S("store"), &large);
    check(!err || (!look && err == ERR_IO));
    if (err) return;
    check_ok(engine_scrub(h.engine, ignore_line, NULL, &checked, &bad));
    check(bad >= 1 && (!look || bad >= 3));
    fake_close(&h);
}

TEST(a_scrub_of_a_damaged_log_on_a_failing_disk)
{
    with_each_failing(uncounted_segments, scrub_damaged, false);
    with_each_failing(damaged_log, scrub_damaged, false);
}

PARKS static void damaged_log_alone(void *arg)
{
    damaged_log(arg);
    check_ok(path_unlink(S("store/idx/data.tab")));
}

PARKS static void recover_damaged(void *arg)
{
    bool look = *(bool *)arg;
    FakeHost h = {.holes = true};
    Err err = fake_open(&h, S("store"), &large);
    check(!err || (!look && err == ERR_IO));
    if (err) return;
    check(look || h.troubles > 0);
    check_u64(fake_account(&h, 2)->seq, NOTES);
    fake_close(&h);
}

TEST(a_recovery_of_a_damaged_log_on_a_failing_disk)
{
    with_each_failing(damaged_log_alone, recover_damaged, false);
}

/* ---- recycling ---- */

enum { BODIES = 40 };
static const EngineOptions small = {
    .segment_bytes = 128 * 1024, .checkpoint_ms = 60000, .index_in_memory = true};

PARKS static void emptied_segments(void *arg)
{
    FakeHost h = {0};
    uint32_t eids[BODIES];
    (void)arg;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    for (int i = 0; i < BODIES; i++)
        check_ok(fake_add(&h, 2, 20000, false, &eids[i]));
    for (int i = 0; i < BODIES; i++)
        if (i % 8) check_ok(fake_drop(&h, 2, eids[i]));
    fake_close(&h);
}

PARKS static void recycle_them(void *arg)
{
    bool look = *(bool *)arg;
    FakeHost h = {0};
    uint64_t freed;
    Err err = fake_open(&h, S("store"), &small);
    check(!err || (!look && err == ERR_IO));
    if (err) return;
    for (int i = 0; i < 3 && !err; i++) {
        fake_account(&h, 2);
        err = fake_note(&h, 2, 10);
        if (!err) err = engine_compact(h.engine, &freed);
        if (!err) err = engine_copy_index(h.engine);
    }
    if (!err) err = engine_compact(h.engine, &freed);
    check(!err || (!look && (err == ERR_IO || err == ERR_READ_ONLY || err == ERR_CORRUPT)));
    const FakeAccount *a = fake_account(&h, 2);
    unsigned live = 0, lost = 0;
    for (size_t i = 0; i < a->count; i++)
        if (a->emails[i].live && ++live) lost += fake_read(&h, &a->emails[i]) != OK;
    check_u64(live, BODIES / 8);
    check(!lost || (!look && lost == 1)); /* the read that fails may be this one */
    fake_close(&h);
}

TEST(recycling_on_a_failing_disk_loses_nothing)
{
    with_each_failing(emptied_segments, recycle_them, true);
    with_each_failing(emptied_segments, recycle_them, false);
}

/* ---- in the background ---- */

/* A checkpoint that is due fails: for want of room it is made later, else nothing changes any more.
 */
PARKS static void checkpoint_when_due(void *arg)
{
    EngineOptions often = small;
    Err failure = *(Err *)arg;
    often.checkpoint_ms = 20;
    for (uint64_t at = 1; at < 8; at++) {
        FakeHost h = {0};
        check_ok(fake_open(&h, S("store"), &often));
        fake_account(&h, 2);
        uint64_t seq = fake_account(&h, 2)->seq;
        check_ok(fake_note(&h, 2, 100));
        plan->failure = failure;
        plan->fail_at = plan->operations + at;
        fiber_sleep(200);
        plan->fail_at = 0;
        Err health = engine_health(h.engine);
        check(!health || (failure == ERR_IO && health == ERR_READ_ONLY));
        if (!health) check_ok(engine_checkpoint(h.engine));
        fake_close(&h);
        check_ok(fake_open(&h, S("store"), &often));
        check_u64(fake_account(&h, 2)->seq, seq + 1);
        fake_close(&h);
    }
}

TEST(a_checkpoint_that_is_due_fails)
{
    static Err failures[] = {ERR_DISK_FULL, ERR_IO};
    for (size_t i = 0; i < COUNT(failures); i++) {
        disks_make();
        run_on_disk(checkpoint_when_due, &failures[i]);
        disks_free();
    }
}

/* ---- tails that nobody takes ---- */

PARKS static void leave_tails(FakeHost *h)
{
    check_ok(fake_open(h, S("store"), &small));
    for (int i = 0; i < 5; i++)
        for (uint32_t acct = 2; acct <= 6; acct += 2) {
            fake_account(h, acct);
            check_ok(fake_step(h, acct));
        }
    fault_set("checkpoint.write", 1);
    check_err(engine_checkpoint(h->engine), ERR_IO);
    fake_close(h);
}

/* It is tried again every minute, while others go on. */
PARKS static void tails_wait(void *arg)
{
    FakeHost h = {0};
    EngineOptions often = small;
    (void)arg;
    often.checkpoint_ms = 20;
    leave_tails(&h);
    h.refuse_touch = ERR_CORRUPT;
    check_ok(fake_open(&h, S("store"), &often));
    check(h.engine->hold.lsn != 0);
    fake_account(&h, 8);
    for (int i = 0; i < 8; i++) {
        check_ok(fake_step(&h, 8));
        fiber_sleep(i < 2 ? 1000 : 61000);
        if (i == 5) h.refuse_touch = OK;
    }
    check(!h.engine->hold.lsn);
    fake_close(&h);
    leave_tails(&h);
    h.ignores_touch = true;
    check_ok(fake_open(&h, S("store"), &often));
    check(h.engine->hold.lsn && h.troubles >= 3);
    fake_close(&h);
    h.ignores_touch = false;
    check_ok(fake_open(&h, S("store"), &often));
    check_u64(fake_account(&h, 4)->seq, 10);
    fake_check_all(&h);
    fake_close(&h);
}

TEST(tails_that_nobody_takes_wait_and_are_offered_again)
{
    disks_make();
    run_on_disk(tails_wait, NULL);
    disks_free();
}

/* ---- commits at odd moments ---- */

PARKS static void close_at_once(void *arg)
{
    enum { MANY = 20 };
    FakeHost h = {0};
    FakeCommit many[MANY] = {0};
    (void)arg;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    for (int i = 0; i < MANY; i++)
        fake_begin(&h, 2, &many[i]);
    engine_close(h.engine); /* waits for them */
    h.engine = NULL;
    for (int i = 0; i < MANY; i++) {
        check(many[i].is_over);
        check_ok(many[i].commit.err);
        fake_commit_done(&many[i]);
    }
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &small));
    check_u64(fake_account(&h, 2)->seq, MANY);
    fake_close(&h);
}

TEST(closing_waits_for_commits_in_flight)
{
    disks_make();
    run_on_disk(close_at_once, NULL);
    disks_free();
}

/* One is refused before the writing fails: each has its own error. */
PARKS static void fail_among_others(void *arg)
{
    FakeHost h = {0};
    FakeCommit big = {0}, plain = {0};
    (void)arg;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    fake_account(&h, 4);
    fake_body(&big.record, 2, 1, 200000);
    buf_add(&plain.record, S("N\0\0\0\0"));
    fault_set("log.write", 1);
    fake_hand_over(&h, 2, &big);
    fake_hand_over(&h, 4, &plain);
    check_err(fake_wait(&big), ERR_TOO_BIG);
    check_err(fake_wait(&plain), ERR_IO);
    fake_commit_done(&big);
    fake_commit_done(&plain);
    fake_close(&h);
}

TEST(each_commit_has_its_own_error)
{
    disks_make();
    run_on_disk(fail_among_others, NULL);
    disks_free();
}

typedef struct {
    FakeHost *h;
    FakeCommit commit;
    bool over;
} Early;

PARKS static void commit_early(void *arg)
{
    Early *e = (Early *)arg;
    FakeAccount *a = &e->h->accounts[8];
    while (!e->h->engine)
        fiber_sleep(1);
    *a = (FakeAccount){.number = 8, .loaded = true, .next_seq = 1};
    buf_add(&e->commit.record, S("N\0\0\0\0"));
    fake_hand_over(e->h, 8, &e->commit);
    check_ok(fake_wait(&e->commit));
    fake_commit_done(&e->commit);
    e->over = true;
}

/* So much is written again, and no more. */
PARKS static void recover_some(void *arg)
{
    enum { MANY = 40, EACH = 1000 * 1000 };
    EngineOptions options = {
        .segment_bytes = 16 << 20, .checkpoint_ms = 3600000, .index_in_memory = true};
    FakeHost h = {0};
    (void)arg;
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < MANY; i++)
        check_ok(fake_note(&h, 2, EACH));
    fault_set("checkpoint.write", 1);
    check_err(engine_checkpoint(h.engine), ERR_IO);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &options));
    check_u64(fake_account(&h, 2)->seq, MANY);
    fake_close(&h);
}

/* More than is kept in memory is folded in steps; who commits meanwhile waits until it is over. */
PARKS static void recover_much(void *arg)
{
    enum { MANY = 72, EACH = 1000 * 1000 };
    EngineOptions options = {
        .segment_bytes = 16 << 20, .checkpoint_ms = 3600000, .index_in_memory = true};
    FakeHost h = {0};
    Early early = {.h = &h};
    EngineStatus s;
    (void)arg;
    options.checkpoint_octets = UINT64_C(1) << 30;
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < MANY; i++)
        check_ok(fake_note(&h, 2, EACH));
    fault_set("checkpoint.write", 1);
    check_err(engine_checkpoint(h.engine), ERR_IO);
    fake_close(&h);
    fault_set("checkpoint.write", 1);
    check_err(fake_open(&h, S("store"), &options), ERR_IO);
    fiber_start("early", commit_early, &early);
    check_ok(fake_open(&h, S("store"), &options));
    engine_status(h.engine, &s);
    check_u64(s.recovered_records, MANY);
    while (!early.over)
        fiber_sleep(1);
    check_u64(fake_account(&h, 2)->seq, MANY);
    check_u64(fake_account(&h, 8)->seq, 1);
    fake_close(&h);
}

TEST(a_long_log_is_recovered_in_steps)
{
    disks_make();
    run_on_disk(recover_much, NULL);
    disks_free();
    disks_make();
    run_on_disk(recover_some, NULL);
    disks_free();
}

/* The disk gets full in the middle of a segment: small records go on in the reserve. */
PARKS static void fill_large_segment(void *arg)
{
    EngineOptions options = {
        .segment_bytes = 200 << 20, .checkpoint_ms = 20, .index_in_memory = true};
    FakeHost h = {0};
    uint32_t eid;
    Err err = OK;
    (void)arg;
    plan->capacity_bytes = 90 << 20;
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < 120 && !err; i++)
        err = fake_add(&h, 2, 1000 * 1000, false, &eid);
    check(err == ERR_DISK_FULL);
    for (int i = 0; i < 3000 && !fake_note(&h, 2, 4000); i++)
        ;
    check_err(fake_note(&h, 2, 4000), ERR_DISK_FULL);
    plan->capacity_bytes = 0;
    check_ok(fake_note(&h, 2, 4000));
    check_ok(fake_add(&h, 2, 1000 * 1000, false, &eid));
    check_ok(engine_health(h.engine));
    fake_close(&h);
}

TEST(a_disk_gets_full_in_the_middle_of_a_segment)
{
    disks_make();
    run_on_disk(fill_large_segment, NULL);
    disks_free();
}

PARKS static void open_without_room(void *arg)
{
    FakeHost h = {0};
    (void)arg;
    plan->capacity_bytes = 100 * 1000;
    check_err(fake_open(&h, S("store"), &small), ERR_DISK_FULL);
    plan->capacity_bytes = 0;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    check_ok(fake_step(&h, 2));
    fake_close(&h);
}

TEST(a_store_is_not_made_without_room)
{
    disks_make();
    run_on_disk(open_without_room, NULL);
    disks_free();
}

/* ---- a scrub while mail goes ---- */

typedef struct {
    FakeHost *h;
    uint64_t bad;
    bool over;
} Scrubbing;

PARKS static void scrub_again_and_again(void *arg)
{
    Scrubbing *s = (Scrubbing *)arg;
    for (int i = 0; i < 6; i++) {
        uint64_t checked, bad;
        check_ok(engine_scrub(s->h->engine, ignore_line, NULL, &checked, &bad));
        s->bad += bad;
    }
    s->over = true;
}

PARKS static void drop_while_scrubbed(void *arg)
{
    enum { MANY = 40 };
    EngineOptions options = {
        .segment_bytes = 2 << 20, .checkpoint_ms = 3600000, .index_in_memory = true};
    FakeHost h = {0};
    Scrubbing s = {.h = &h};
    uint32_t eids[MANY];
    uint64_t freed;
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < MANY; i++)
        check_ok(fake_add(&h, 2, 400000, false, &eids[i]));
    for (int i = 0; i < 2; i++) {
        check_ok(fake_note(&h, 2, 10));
        check_ok(engine_copy_index(h.engine));
    }
    for (int i = 0; i < MANY; i++)
        check_ok(fake_drop(&h, 2, eids[i]));
    fiber_start("scrub", scrub_again_and_again, &s);
    for (int i = 0; i < 3; i++) {
        fiber_sleep(*(int *)arg);
        check_ok(engine_compact(h.engine, &freed));
    }
    while (!s.over)
        fiber_sleep(1);
    check_u64(s.bad, 0);
    fake_close(&h);
}

/* What goes between two reads is not damage. */
TEST(a_scrub_while_mail_goes_finds_nothing)
{
    for (int delay = 0; delay < 12; delay++) {
        disks_make();
        SimConfig c = {
            .seed = 1 + (uint64_t)delay, .disk = disk, .disk_latency_us = 20000, .loops = 1};
        check_ok(sim_run(&c, drop_while_scrubbed, &delay));
        disks_free();
    }
}
