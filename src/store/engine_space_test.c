#include "store/engine_fake.h"

#include "run/file.h"

#include <stdlib.h>

static const EngineOptions small = {
    .segment_bytes = 1 << 20, .map_bytes = 256 << 20, .checkpoint_ms = 20};

PARKS static void fold_and_mark(FakeHost *h)
{
    uint64_t freed;
    check_ok(engine_compact(h->engine, &freed));
}

static uint64_t disk_octets(FakeHost *h)
{
    EngineStatus s;
    engine_status(h->engine, &s);
    return s.disk_octets;
}

/* One loop is enough for these: fibers of loop 0, even accounts. */
TEST(the_space_of_a_dropped_body_returns_at_once)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eids[20];
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 20; i++)
        check_ok(fake_add(&h, 2, 40000, false, &eids[i]));
    uint64_t before = disk_octets(&h);
    for (int i = 0; i < 18; i++)
        check_ok(fake_drop(&h, 2, eids[i]));
    fold_and_mark(&h);
    check(disk_octets(&h) + (uint64_t)18 * 32768 <= before);
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eids[18])));
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eids[18])));
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eids[19])));
    fake_close(&h);
}

TEST(marks_that_a_crash_prevented_are_made_after_the_next_start)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineStatus s;
    uint32_t eid, other;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    check_ok(fake_add(&h, 2, 40000, false, &eid));
    check_ok(fake_add(&h, 2, 40000, false, &other));
    BlobRef ref = fake_email(fake_account(&h, 2), eid)->ref;
    blob_pin(h.engine, ref.at); /* holds the mark back */
    check_ok(fake_drop(&h, 2, eid));
    fold_and_mark(&h);
    engine_status(h.engine, &s);
    check_u64(s.dead_octets, 0);
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fold_and_mark(&h);
    engine_status(h.engine, &s);
    check_u64(s.dead_octets, 40000);
    check_u64(s.live_octets, 40000);
    fake_close(&h);
}

TEST(a_shared_body_lives_until_its_last_owner_drops_it)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t first, second, third;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    for (uint32_t acct = 2; acct <= 6; acct += 2)
        fake_account(&h, acct);
    check_ok(fake_add(&h, 2, 30000, true, &first));
    FakeEmail copy = *fake_email(fake_account(&h, 2), first);
    check_ok(fake_link(&h, 4, &copy, &second));
    check_ok(fake_drop(&h, 2, first));
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    /* dropped by all, but pinned by a delivery that then takes it again */
    blob_pin(h.engine, copy.ref.at);
    check_ok(fake_drop(&h, 4, second));
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    check_ok(fake_link(&h, 6, &copy, &third));
    blob_unpin(h.engine, copy.ref.at);
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    fake_account(&h, 6);
    check_ok(fake_drop(&h, 6, third));
    fold_and_mark(&h);
    check_err(fake_read(&h, &copy), ERR_CORRUPT); /* punched */
    fake_close(&h);
}

TEST(two_emails_of_one_account_may_share_a_body)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t first, second;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    check_ok(fake_add(&h, 2, 30000, true, &first));
    FakeEmail copy = *fake_email(fake_account(&h, 2), first);
    check_ok(fake_link(&h, 2, &copy, &second));
    fold_and_mark(&h);
    check_ok(fake_drop(&h, 2, second));
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    check_ok(fake_drop(&h, 2, first));
    fold_and_mark(&h);
    check_err(fake_read(&h, &copy), ERR_CORRUPT);
    fake_close(&h);
}

TEST(pins_of_readers_leave_nothing_behind)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eid;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    check_ok(fake_add(&h, 2, 30000, false, &eid));
    FakeEmail copy = *fake_email(fake_account(&h, 2), eid);
    blob_pin(h.engine, copy.ref.at);
    blob_pin(h.engine, copy.ref.at);
    blob_unpin(h.engine, copy.ref.at);
    check_ok(fake_drop(&h, 2, eid));
    fold_and_mark(&h);
    check_ok(fake_read(&h, &copy));
    blob_unpin(h.engine, copy.ref.at);
    fold_and_mark(&h);
    check_err(fake_read(&h, &copy), ERR_CORRUPT);
    fake_close(&h);
}

/* ---- compaction ---- */
enum { MANY = 200 };

/* Four of five mails go; every tenth is shared, with two emails of another account. */
PARKS static void fill_and_thin(FakeHost *h, uint32_t *eids)
{
    uint32_t linked;
    for (int i = 0; i < MANY; i++) {
        bool shared = i % 10 == 0;
        check_ok(fake_add(h, 2, 20000, shared, &eids[i]));
        for (int k = 0; shared && k < 2; k++)
            check_ok(fake_link(h, 4, fake_email(&h->accounts[2], eids[i]), &linked));
    }
    for (int i = 0; i < MANY; i++)
        if (i % 5) check_ok(fake_drop(h, 2, eids[i]));
}

PARKS static void all_that_stays_is_there(FakeHost *h, const uint32_t *eids)
{
    for (int i = 0; i < MANY; i++) {
        FakeEmail *m = fake_email(fake_account(h, 2), eids[i]);
        check((m != NULL) == (i % 5 == 0));
        if (m) check_ok(fake_read(h, m));
    }
    FakeAccount *a = fake_account(h, 4);
    check_u64(a->count, MANY / 10 * 2);
    for (size_t i = 0; i < a->count; i++)
        check_ok(fake_read(h, &a->emails[i]));
}

TEST(compaction_keeps_what_lives_and_frees_the_rest)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineStatus before, after;
    uint32_t eids[MANY];
    uint64_t freed, checked, bad;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    fake_account(&h, 4);
    fill_and_thin(&h, eids);
    engine_status(h.engine, &before);
    for (int i = 0; i < 8; i++)
        check_ok(engine_compact(h.engine, &freed));
    check(h.relocations > 20);
    all_that_stays_is_there(&h, eids);
    /* segments go when two copies of the index are newer than they */
    for (int i = 0; i < 2; i++) {
        check_ok(fake_note(&h, 2, 10));
        check_ok(engine_copy_index(h.engine));
    }
    for (int i = 0; i < 2; i++)
        check_ok(engine_compact(h.engine, &freed));
    engine_status(h.engine, &after);
    check(after.segments < before.segments);
    check(after.log_octets < before.log_octets / 2);
    check_u64(after.live_octets, (uint64_t)MANY / 5 * 20000);
    all_that_stays_is_there(&h, eids);
    check_ok(engine_scrub(h.engine, NULL, NULL, &checked, &bad));
    check_u64(bad, 0);
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    all_that_stays_is_there(&h, eids);
    check_u64(h.troubles, 0);
    fake_close(&h);
    fake_shell(&d, "rm $DIR/idx/data.mdb"); /* a copy and the log since know the new places */
    check_ok(fake_open(&h, slice_of(d.path), &small));
    all_that_stays_is_there(&h, eids);
    fake_close(&h);
}

TEST(recycled_segments_are_written_again_and_nothing_old_shows)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint64_t freed;
    uint32_t eid;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int round = 0; round < 6; round++) {
        uint32_t eids[60];
        for (int i = 0; i < 60; i++)
            check_ok(fake_add(&h, 2, 40000, false, &eids[i]));
        for (int i = 0; i < 60; i++)
            check_ok(fake_drop(&h, 2, eids[i]));
        check_ok(engine_copy_index(h.engine));
        check_ok(engine_compact(h.engine, &freed));
    }
    fake_shell(&d, "test $(ls $DIR/log | wc -l) -le 9");
    check_ok(fake_add(&h, 2, 1000, false, &eid));
    uint64_t seq = fake_account(&h, 2)->seq;
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(h.troubles, 0);
    check_u64(fake_account(&h, 2)->seq, seq);
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eid)));
    fake_close(&h);
}

/* ---- accounts that cannot be loaded ---- */
TEST(a_tail_nobody_can_take_waits_and_is_not_lost)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 10; i++)
        check_ok(fake_step(&h, 2));
    fake_shell(&d, "cp -r $DIR/log $DIR/log.now");
    fake_close(&h);
    fake_shell(&d, "rm -r $DIR/log $DIR/idx/*; mv $DIR/log.now $DIR/log");
    h.refuse_touch = ERR_IO;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_ok(engine_checkpoint(h.engine));
    fake_close(&h);
    h.refuse_touch = OK;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(fake_account(&h, 2)->seq, 10);
    fake_check_all(&h);
    fake_close(&h);
}
