#include "store/engine_fake.h"

#include "run/sim.h"

#include <stdlib.h>

/* The disk says no: full, or failing at each of its operations in turn. */

enum { DISK = 64 << 20 };

static const EngineOptions small = {
    .segment_bytes = 4 << 20, .checkpoint_ms = 20, .index_in_memory = true};

static void disk_done(SimDisk **d)
{
    sim_disk_free(*d);
}
#define DISK_SCOPED SimDisk *disk __attribute__((cleanup(disk_done))) = sim_disk_new(DISK)

static SimDiskPlan *plan_of_test;

static void on_disk(SimDisk *d, void (*fn)(void *), void *arg)
{
    plan_of_test = sim_disk_plan(d);
    check_ok(
        sim_run(&(SimConfig){.seed = 1, .disk = d, .disk_latency_us = 100, .loops = 1}, fn, arg));
}

/* ---- a full disk ---- */
PARKS static Err fill(FakeHost *h)
{
    uint32_t eid;
    Err err = OK;
    for (int i = 0; i < 2000 && !err; i++)
        err = fake_add(h, 2, 20000, false, &eid);
    return err;
}

PARKS static void small_things_go_on(FakeHost *h)
{
    uint32_t eid;
    for (int i = 0; i < 500; i++)
        check_ok(fake_note(h, 2, 100));
    check_err(fake_note(h, 2, 5000), ERR_DISK_FULL);
    check_err(fake_add(h, 2, 100, false, &eid), ERR_DISK_FULL);
    check_ok(engine_health(h->engine));
}

PARKS static void run_out_of_space(void *arg)
{
    FakeHost h = {0};
    uint32_t eid;
    (void)arg;
    plan_of_test->capacity_bytes = 24 << 20;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    check_err(fill(&h), ERR_DISK_FULL);
    small_things_go_on(&h);
    plan_of_test->capacity_bytes = 48 << 20;
    check_ok(fake_add(&h, 2, 20000, false, &eid));
    check_ok(engine_checkpoint(h.engine));
    uint64_t seq = fake_account(&h, 2)->seq;
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &small));
    check_u64(fake_account(&h, 2)->seq, seq);
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eid)));
    fake_close(&h);
}

TEST(a_full_disk_refuses_mail_and_takes_flags_until_there_is_room)
{
    DISK_SCOPED;
    on_disk(disk, run_out_of_space, NULL);
}

PARKS static void expunge_on_a_full_disk(void *arg)
{
    FakeHost h = {0};
    uint32_t eid;
    uint64_t freed;
    (void)arg;
    plan_of_test->capacity_bytes = 24 << 20;
    check_ok(fake_open(&h, S("store"), &small));
    FakeAccount *a = fake_account(&h, 2);
    check_err(fill(&h), ERR_DISK_FULL);
    size_t count = a->count;
    check(count > 100);
    for (size_t i = 0; i < count; i++)
        check_ok(fake_drop(&h, 2, a->emails[i].eid));
    check_ok(engine_compact(h.engine, &freed));
    check(freed > 0);
    check_ok(fake_add(&h, 2, 20000, false, &eid));
    fake_close(&h);
}

TEST(expunging_makes_room_on_a_full_disk)
{
    DISK_SCOPED;
    on_disk(disk, expunge_on_a_full_disk, NULL);
}

PARKS static void followers(void *arg)
{
    FakeHost h = {0};
    FakeCommit add[3] = {0}, other = {0};
    (void)arg;
    plan_of_test->capacity_bytes = 24 << 20;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    fake_account(&h, 4);
    check_err(fill(&h), ERR_DISK_FULL);
    /* handed over together: the first cannot be stored, so the small ones behind it must fail as
     * well, or seq would have a hole; another account does not care */
    FakeAccount *a = fake_account(&h, 2);
    uint64_t seq = a->seq;
    for (int i = 0; i < 3; i++) {
        buf_add(&add[i].record, S("N\0\0\0\0"));
        if (!i) fake_body(&add[i].body, 2, 1, 10000);
        fake_hand_over(&h, 2, &add[i]);
    }
    buf_add(&other.record, S("N\0\0\0\0"));
    fake_hand_over(&h, 4, &other);
    for (int i = 0; i < 3; i++) {
        check_err(fake_wait(&add[i]), ERR_DISK_FULL);
        fake_commit_done(&add[i]);
    }
    check_ok(fake_wait(&other));
    fake_commit_done(&other);
    check_u64(a->seq, seq);
    check_ok(fake_note(&h, 2, 10));
    check_u64(a->seq, seq + 1);
    fake_close(&h);
}

TEST(what_follows_a_failed_record_fails_too)
{
    DISK_SCOPED;
    on_disk(disk, followers, NULL);
}

/* ---- a failing disk ---- */
PARKS static void fail_at(void *arg)
{
    const char *where = (const char *)arg;
    FakeHost h = {0};
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 10; i++)
        check_ok(fake_step(&h, 2));
    fault_set(where, 1);
    check_err(fake_step(&h, 2), ERR_IO);
    check_err(engine_health(h.engine), ERR_READ_ONLY);
    check_err(fake_step(&h, 2), ERR_READ_ONLY);
    BlobWriter *w;
    check_err(blob_begin(h.engine, &w), ERR_READ_ONLY);
    fake_check_all(&h); /* reading goes on */
    fiber_sleep(1);
    check_u64(h.troubles, 1);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &small)); /* the next start may go on */
    check(fake_account(&h, 2)->seq >= 10);
    check_ok(fake_step(&h, 2));
    fake_check_all(&h);
    fake_close(&h);
}

TEST(after_a_failed_write_or_sync_nothing_changes_any_more)
{
    static char write_fault[] = "log.write", sync_fault[] = "log.sync";
    DISK_SCOPED;
    on_disk(disk, fail_at, write_fault);
    on_disk(disk, fail_at, sync_fault);
}

PARKS static void fail_checkpoint(void *arg)
{
    static char where[] = "checkpoint.write";
    FakeHost h = {0};
    (void)arg;
    check_ok(fake_open(&h, S("store"), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 10; i++)
        check_ok(fake_step(&h, 2));
    fault_set(where, 1);
    check_err(engine_checkpoint(h.engine), ERR_IO);
    check_err(engine_health(h.engine), ERR_READ_ONLY);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &small));
    check_u64(fake_account(&h, 2)->seq, 10);
    fake_check_all(&h);
    fake_close(&h);
}

TEST(a_failed_checkpoint_loses_nothing)
{
    DISK_SCOPED;
    on_disk(disk, fail_checkpoint, NULL);
}

/* Every operation of the disk fails once, with each error. Whatever was acknowledged is there at
 * the next start. */
typedef struct {
    uint64_t acked, operations;
    Err failure;
} Ordeal;

PARKS static void go_through(void *arg)
{
    Ordeal *o = (Ordeal *)arg;
    FakeHost h = {0};
    uint64_t freed;
    Err err = fake_open(&h, S("store"), &small);
    if (err) return;
    if (h.accounts[2].loaded || !engine_health(h.engine)) {
        FakeAccount *a = fake_account(&h, 2);
        check(a->seq >= o->acked);
        for (int i = 0; i < 12; i++)
            if (!fake_step(&h, 2)) o->acked = a->seq;
    }
    Err worked = engine_copy_index(h.engine);
    if (!worked) worked = engine_compact(h.engine, &freed);
    check(!worked || worked == ERR_IO || worked == ERR_DISK_FULL || worked == ERR_READ_ONLY);
    fake_close(&h);
}

PARKS static void look(void *arg)
{
    Ordeal *o = (Ordeal *)arg;
    FakeHost h = {0};
    check_ok(fake_open(&h, S("store"), &small));
    check(fake_account(&h, 2)->seq >= o->acked);
    fake_check_all(&h);
    fake_close(&h);
}

TEST(each_operation_of_the_disk_may_fail)
{
    const Err failures[] = {ERR_IO, ERR_DISK_FULL};
    for (size_t f = 0; f < COUNT(failures); f++) {
        DISK_SCOPED;
        Ordeal o = {.failure = failures[f]};
        bool over = false;
        for (uint64_t at = 1; !over && at < 1000; at += at < 60 ? 1 : 3) {
            SimDiskPlan *plan = sim_disk_plan(disk);
            uint64_t before = plan->operations;
            plan->fail_at = before + at;
            plan->failure = failures[f];
            on_disk(disk, go_through, &o);
            over = plan->operations < before + at;
            plan->fail_at = 0;
            on_disk(disk, look, &o);
        }
        check(over);
        check(o.acked > 100);
    }
}
