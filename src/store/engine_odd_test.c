#include "store/engine_fake.h"

#include "run/file.h"
#include "run/sim.h"
#include "store/local.h"

#include <stdlib.h>

/* What is odd without anything having failed: entries in the index that nobody writes, records that
 * fit nowhere, more segments than may be open, a store that is only looked at. */

static const EngineOptions small = {
    .segment_bytes = 128 * 1024, .map_bytes = 256 << 20, .checkpoint_ms = 20};

PARKS static void do_some(FakeHost *h, int n)
{
    for (uint32_t acct = 2; acct <= FAKE_ACCOUNTS; acct += 2)
        fake_account(h, acct);
    for (int i = 0; i < n; i++)
        check_ok(fake_step(h, (uint32_t)(i % 4 * 2 + 2)));
}

static void ignore_line(void *arg, Slice line)
{
    *(unsigned *)arg += line.len > 0;
}

TEST(a_new_store_has_nothing_set_aside)
{
    FAKE_DIR(d);
    Arena a arena_scoped = {0};
    FakeHost h = {0};
    Slice *names;
    size_t count;
    for (int life = 0; life < 2; life++) {
        check_ok(fake_open(&h, slice_of(d.path), &small));
        check_ok(path_list(arena_printf(&a, "%s/idx", d.path), &a, &names, &count));
        for (size_t i = 0; i < count; i++)
            check(!slice_ends(names[i], S(".bad")));
        check(count);
        fake_close(&h);
    }
}

/* ---- entries of the index ---- */

static const IndexChange strange[] = {
    {.key = {"d12345678x", 10}, .value = {"12345678", 8}             },
    {.key = {"d12345678", 9},   .value = {"1", 1}                    },
    {.key = {"b12", 3},         .value = {"1", 1}                    },
    {.key = {"g\0\0\0\1x", 6},  .value = {"12345678901234567890", 20}},
    {.key = {"g\0\0\0\1", 5},   .value = {"1", 1}                    },
    {.key = {"g\0\0\1\1", 5},   .value = {"12345678901234567890", 20}},
    {.key = {"s1234567", 8},    .value = {"1", 1}                    },
};

TEST(entries_of_the_index_that_nobody_writes_are_passed_over)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint64_t freed, checked, bad;
    unsigned lines = 0;
    uint32_t acct, eid;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 100);
    check_ok(engine_checkpoint(h.engine));
    check_ok(index_write(h.engine->index, strange, COUNT(strange)));
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 20);
    check_ok(engine_compact(h.engine, &freed));
    check_ok(engine_scrub(h.engine, ignore_line, &lines, &checked, &bad));
    check_u64(bad, 0);
    fake_check_all(&h);
    check(!key_share_owner(S("s1234567"), &acct, &eid));
    check_u64(h.troubles, 0);
    fake_close(&h);
}

/* As after a salvage that found no whole page with them. */
TEST(a_segment_the_index_says_nothing_of_is_not_taken_for_empty)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineStatus before, after;
    uint64_t freed;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 300);
    check_ok(engine_compact(h.engine, &freed));
    check_ok(engine_checkpoint(h.engine));
    engine_status(h.engine, &before);
    check(before.segments > 4 && before.dead_octets > 0);
    uint32_t last = lsn_segment(before.lsn);
    for (uint32_t number = 1; number <= last; number++) {
        Arena arena_scoped a = {0};
        IndexChange c = {.key = key_u32(&a, 'g', number), .remove = true};
        check_ok(index_write(h.engine->index, &c, 1));
    }
    fake_close(&h);
    fake_shell(&d, "printf X | dd of=$DIR/log/00000003.seg bs=1 seek=20 conv=notrunc status=none");
    check_ok(fake_open(&h, slice_of(d.path), &small));
    engine_status(h.engine, &after);
    check(after.live_octets <= before.live_octets); /* but for the one without a header */
    check(after.live_octets + small.segment_bytes > before.live_octets);
    for (int i = 0; i < 3; i++) {
        do_some(&h, 4);
        check_ok(engine_copy_index(h.engine));
        check_err(engine_compact(h.engine, &freed), ERR_CORRUPT); /* that one is not moved */
    }
    fake_check_all(&h);
    fake_close(&h);
}

/* The log says more: the index is made anew from it. */
TEST(an_index_with_a_strange_position_is_not_believed)
{
    static const Slice positions[] = {S("\3cut"), S("\2, 16 octets of it, and then some numbers")};
    FAKE_DIR(d);
    for (size_t i = 0; i < COUNT(positions); i++) {
        FakeHost h = {0};
        IndexChange c = {.key = S("m"), .value = positions[i]};
        check_ok(fake_open(&h, slice_of(d.path), &small));
        do_some(&h, 40);
        fake_close(&h);
        Index *x = NULL;
        Arena arena_scoped a = {0};
        Slice path = arena_printf(&a, "%s/idx/data.mdb", d.path);
        check_ok(index_open(&index_lmdb, path, small.map_bytes, &x));
        check_ok(index_write(x, &c, 1));
        index_close(x);
        check_ok(fake_open(&h, slice_of(d.path), &small));
        check(h.troubles >= 1);
        check_u64(fake_account(&h, 2)->seq, 10 * (i + 1));
        fake_check_all(&h);
        fake_close(&h);
    }
}

/* ---- records that fit nowhere ---- */

TEST(what_is_too_big_for_the_log_is_refused)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eid;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    check_err(fake_add(&h, 2, 130000, false, &eid), ERR_TOO_BIG); /* for a segment of this size */
    check_err(fake_add(&h, 2, BLOB_INLINE_MOST + 1, false, &eid), ERR_TOO_BIG);
    check_err(fake_note(&h, 2, RECORD_MOST + 1), ERR_TOO_BIG);
    check_ok(fake_add(&h, 2, 100000, false, &eid));
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eid)));
    check_ok(engine_health(h.engine));
    fake_close(&h);
}

/* More than one writing takes, handed over at once. */
TEST(a_long_queue_is_written_in_turns)
{
    enum { MANY = 40, EACH = 1000 * 1000 };
    EngineOptions large = small;
    large.segment_bytes = 64 << 20;
    FAKE_DIR(d);
    FakeHost h = {0};
    FakeCommit *all = (FakeCommit *)mem_zero(MANY * sizeof *all);
    check_ok(fake_open(&h, slice_of(d.path), &large));
    fake_account(&h, 2);
    for (int i = 0; i < MANY; i++) {
        fake_body(&all[i].record, 2, (uint32_t)i, EACH);
        all[i].record.at[0] = 'N';
    }
    for (int i = 0; i < MANY; i++)
        fake_hand_over(&h, 2, &all[i]);
    for (int i = 0; i < MANY; i++) {
        check_ok(fake_wait(&all[i]));
        fake_commit_done(&all[i]);
    }
    check_u64(fake_account(&h, 2)->seq, MANY);
    fake_close(&h);
    free(all);
}

/* ---- more segments than may be open ---- */

enum { SEGMENTS = 300 };

typedef struct {
    FakeHost *h;
    const FakeEmail *email;
    unsigned left;
} Reading;

PARKS static void read_one(void *arg)
{
    Reading *r = (Reading *)arg;
    check_ok(fake_read(r->h, r->email));
    r->left--;
}

PARKS static void use_many_segments(void *arg)
{
    static const EngineOptions options = {
        .segment_bytes = 64 * 1024, .checkpoint_ms = 60000, .index_in_memory = true};
    FakeHost h = {0};
    Arena arena_scoped a = {0};
    uint32_t eids[SEGMENTS];
    EngineStatus s;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &options));
    fake_account(&h, 2);
    for (int i = 0; i < SEGMENTS; i++)
        check_ok(fake_add(&h, 2, 40000, false, &eids[i]));
    engine_status(h.engine, &s);
    check(s.segments >= SEGMENTS);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &options));
    FakeAccount *acct = fake_account(&h, 2);
    for (int i = 0; i < SEGMENTS; i++)
        check_ok(fake_read(&h, fake_email(acct, eids[i])));
    check(h.engine->segment_open <= 257);
    /* several at once want one that is closed */
    Reading r = {.h = &h, .email = fake_email(acct, eids[0]), .left = 8};
    for (unsigned i = 0; i < 8; i++)
        fiber_start("reader", read_one, &r);
    while (r.left)
        fiber_sleep(1);
    /* one whose file is gone, and one that never was */
    FakeEmail gone = *fake_email(acct, eids[1]), never = gone;
    check_ok(path_unlink(segment_path(h.engine, &a, lsn_segment(gone.ref.at))));
    check_err(fake_read(&h, &gone), ERR_NOT_FOUND);
    never.ref.at += (uint64_t)1000 << 32;
    check_err(fake_read(&h, &never), ERR_CORRUPT);
    check_ok(fake_read(&h, fake_email(acct, eids[2])));
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(engine_scrub(h.engine, ignore_line, &lines, &checked, &bad));
    check_u64(bad, 1);
    fake_close(&h);
}

TEST(more_segments_than_may_be_open)
{
    SimDisk *disk = sim_disk_new(256 << 20);
    SimConfig config = {.seed = 1, .disk = disk, .disk_latency_us = 100, .loops = 1};
    check_ok(sim_run(&config, use_many_segments, NULL));
    sim_disk_free(disk);
}

/* ---- only to be looked at ---- */

TEST(a_store_that_is_looked_at_stays_as_it_is)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineOptions look = small;
    look.look_only = true;
    uint64_t freed;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 200);
    for (int i = 0; i < 4; i++)
        check_ok(fake_step(&h, 2));
    fake_close(&h);
    fake_shell(&d, "cd $DIR/log; sha256sum $(ls *.seg | head -n -1) > ../sums");
    check_ok(fake_open(&h, slice_of(d.path), &look));
    fake_check_all(&h);
    do_some(&h, 8); /* into the last segment */
    fiber_sleep(1100);
    check_ok(engine_compact(h.engine, &freed));
    fake_check_all(&h);
    fake_close(&h);
    fake_shell(&d, "cd $DIR/log; sha256sum -c --quiet ../sums");
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_check_all(&h);
    fake_close(&h);
}

/* ---- damage that shows in a scrub ---- */

PARKS static unsigned findings(FakeHost *h)
{
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(engine_scrub(h->engine, ignore_line, &lines, &checked, &bad));
    check_u64(lines, bad);
    return lines;
}

/* A segment's header, the last record of a segment, a header that stands alone: each is told once,
 * and what is behind is read. */
TEST(each_damage_is_told_once)
{
    static const char *const damages[] = {
        "printf X | dd of=$DIR/log/00000002.seg bs=1 seek=20 conv=notrunc status=none",
        "printf XXXXXXXX | dd of=$DIR/log/00000001.seg bs=1 seek=4104 conv=notrunc status=none",
        /* the records of another place: their numbers fit nothing here */
        "dd if=$DIR/log/00000002.seg of=$DIR/log/00000001.seg bs=4096 skip=1 seek=3 count=4 "
        "conv=notrunc status=none",
        /* several records in the middle */
        "yes 2>/dev/null | head -c 8192 | dd of=$DIR/log/00000001.seg bs=4096 seek=3 conv=notrunc "
        "status=none",
    };
    FAKE_DIR(d);
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 200);
    fake_close(&h);
    fake_shell(&d, "cp -r $DIR $DIR.keep");
    unsigned found = 0;
    for (size_t i = 0; i < COUNT(damages); i++) {
        uint64_t freed;
        fake_shell(&d, "rm -r $DIR/*; cp -r $DIR.keep/* $DIR/");
        fake_shell(&d, damages[i]);
        check_ok(fake_open(&h, slice_of(d.path), &small));
        found += findings(&h) > 0; /* compaction may have been there before the scrub */
        for (int k = 0; k < 3; k++)
            check_ok(engine_compact(h.engine, &freed));
        do_some(&h, 4);
        fake_close(&h);
    }
    check(found >= 2);
    fake_shell(&d, "rm -r $DIR.keep");
}
