#include "store/engine_fake.h"

#include "run/file.h"

#include <stdlib.h>

/* What the disk did to us: flipped bits, lost and strange indexes, missing segments. */

static const EngineOptions small = {.segment_bytes = 128 * 1024,
                                    .map_bytes = 256 * 1024 * 1024,
                                    .checkpoint_ms = 20,
                                    .index_in_memory = true};
static const EngineOptions with_lmdb = {
    .segment_bytes = 128 * 1024, .map_bytes = 256 * 1024 * 1024, .checkpoint_ms = 20};

PARKS static void do_some(FakeHost *h, int n)
{
    for (uint32_t acct = 2; acct <= FAKE_ACCOUNTS; acct += 2)
        fake_account(h, acct);
    for (int i = 0; i < n; i++)
        check_ok(fake_step(h, (uint32_t)(i % 4 * 2 + 2)));
}

PARKS static void make_store(FakeDir *d, const EngineOptions *options, int n)
{
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d->path), options));
    do_some(&h, n);
    fake_close(&h);
}

PARKS static uint64_t all_seqs(FakeHost *h)
{
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++)
        sum += fake_account(h, i)->seq;
    return sum;
}

/* Opens, checks everything, closes; *troubles may be NULL. */
PARKS static void check_store(FakeDir *d, const EngineOptions *options, uint64_t seqs,
                              bool expect_trouble)
{
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d->path), options));
    if (!h.engine) return;
    check_u64(all_seqs(&h), seqs);
    fake_check_all(&h);
    check((h.troubles > 0) == expect_trouble);
    fake_close(&h);
}

TEST(a_lost_index_is_made_again_from_the_log)
{
    const EngineOptions *const both[] = {&small, &with_lmdb};
    for (size_t i = 0; i < COUNT(both); i++) {
        FAKE_DIR(d);
        make_store(&d, both[i], 200);
        fake_shell(&d, "rm $DIR/idx/*");
        check_store(&d, both[i], 200, false);
        fake_shell(&d, "printf rubbish > $DIR/idx/data.mdb; printf rubbish > $DIR/idx/data.tab");
        check_store(&d, both[i], 200, both[i] == &with_lmdb);
    }
}

TEST(a_lost_index_is_put_back_from_its_copy)
{
    const EngineOptions *const both[] = {&small, &with_lmdb};
    for (size_t i = 0; i < COUNT(both); i++) {
        FAKE_DIR(d);
        FakeHost h = {0};
        EngineStatus s;
        check_ok(fake_open(&h, slice_of(d.path), both[i]));
        do_some(&h, 100);
        check_ok(engine_copy_index(h.engine));
        do_some(&h, 40);
        fake_close(&h);
        fake_shell(&d, "rm $DIR/idx/data.*");
        check_ok(fake_open(&h, slice_of(d.path), both[i]));
        engine_status(h.engine, &s);
        check(s.recovered_records && s.recovered_records < 140); /* a copy may be made in between */
        check_u64(all_seqs(&h), 140);
        fake_check_all(&h);
        fake_close(&h);
    }
}

TEST(two_copies_of_the_index_are_kept)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d.path), &with_lmdb));
    for (int i = 0; i < 4; i++) {
        do_some(&h, 4);
        check_ok(engine_copy_index(h.engine));
    }
    fake_close(&h);
    fake_shell(&d, "test $(ls $DIR/idx/copy-*.mdb | wc -l) = 2");
}

TEST(an_index_from_the_future_is_not_believed)
{
    FAKE_DIR(d);
    make_store(&d, &small, 100);
    fake_shell(&d, "cp -r $DIR/log $DIR/log.old");
    make_store(&d, &small, 100);
    fake_shell(&d, "rm -r $DIR/log; mv $DIR/log.old $DIR/log");
    check_store(&d, &small, 100, true);
}

TEST(an_index_of_another_store_is_not_believed)
{
    FAKE_DIR(d);
    FAKE_DIR(other);
    make_store(&d, &small, 100);
    make_store(&other, &small, 60);
    Arena arena_scoped a = {0};
    fake_shell(&d, arena_cstr(&a, arena_printf(&a, "cp %s/idx/data.tab $DIR/idx/", other.path)));
    check_store(&d, &small, 100, true);
}

TEST(a_missing_segment_is_not_passed_over)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    make_store(&d, &small, 400);
    fake_shell(&d, "test -f $DIR/log/00000003.seg; rm $DIR/log/00000002.seg $DIR/idx/*");
    check_err(fake_open(&h, slice_of(d.path), &small), ERR_CORRUPT);
    fake_shell(&d, "rm -r $DIR/log/*");
    make_store(&d, &small, 10); /* no index, no log: nobody can know that there was one */
    fake_shell(&d, "rm -r $DIR/log/*");
    check_err(fake_open(&h, slice_of(d.path), &small), ERR_CORRUPT);
}

/* ---- flipped bits ---- */
static void flip_bit(FakeDir *d, uint32_t segment, uint64_t bit)
{
    Arena arena_scoped a = {0};
    File *f scoped(file) = NULL;
    uint8_t octet;
    check_ok(file_open(arena_printf(&a, "%s/log/%08u.seg", d->path, segment), FILE_WRITE, &f));
    check_ok(file_read_at(f, bit / 8, &octet, 1));
    octet ^= (uint8_t)(1 << bit % 8);
    Slice part = slice(&octet, 1);
    check_ok(file_write_at(f, bit / 8, &part, 1));
}

/* Right to the last octet, or ERR_CORRUPT. Returns how many are lost. */
PARKS static unsigned read_all(FakeHost *h)
{
    unsigned corrupt = 0;
    for (uint32_t i = 1; i <= FAKE_ACCOUNTS; i++) {
        FakeAccount *a = fake_account(h, i);
        for (size_t k = 0; k < a->count; k++) {
            if (!a->emails[k].live) continue;
            Err err = fake_read(h, &a->emails[k]);
            check(err == OK || err == ERR_CORRUPT);
            corrupt += err == ERR_CORRUPT;
        }
    }
    return corrupt;
}

static void ignore_line(void *arg, Slice line)
{
    check(line.len > 10);
    ++*(unsigned *)arg;
}

TEST(a_flipped_bit_never_delivers_a_wrong_octet)
{
    FAKE_DIR(d);
    make_store(&d, &small, 160);
    fake_shell(&d, "cp -r $DIR $DIR.keep");
    unsigned seen = 0;
    uint64_t random = 1;
    for (int i = 0; i < 60; i++) {
        FakeHost h = {.holes = true};
        uint64_t checked, bad, seqs;
        unsigned lines = 0;
        fake_shell(&d, "rm -r $DIR/* && cp -r $DIR.keep/* $DIR/");
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        flip_bit(&d, 1, random % ((uint64_t)128 * 1024 * 8));
        if (i % 2) fake_shell(&d, "rm $DIR/idx/*"); /* the log is read again from its beginning */
        check_ok(fake_open(&h, slice_of(d.path), &small));
        if (!h.engine) continue;
        seqs = all_seqs(&h);
        check_u64(seqs, 160);
        unsigned corrupt = read_all(&h);
        check_ok(engine_scrub(h.engine, ignore_line, &lines, &checked, &bad));
        check_u64(lines, bad);
        check(corrupt <= 1 && bad <= 1 && checked > 0);
        if (corrupt) check(bad == 1);
        if (i % 2 && bad) check(h.troubles > 0);
        seen += bad > 0;
        fake_close(&h);
    }
    check(seen > 8);
    fake_shell(&d, "rm -r $DIR.keep");
}

/* ---- torn tails ---- */
TEST(a_torn_tail_is_cut_at_the_last_good_record)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineStatus s;
    Arena arena_scoped a = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    do_some(&h, 12);
    engine_status(h.engine, &s);
    fake_close(&h);
    fake_shell(&d, "rm -r $DIR/idx/*; cp -r $DIR $DIR.keep");
    uint64_t before = 12, end = (uint32_t)s.lsn, first = 4096;
    Slice path = arena_printf(&a, "%s/log/00000001.seg", d.path);
    for (uint64_t len = end; len >= first; len -= len > end - 40 ? 1 : 797) {
        File *f scoped(file) = NULL;
        fake_shell(&d, "rm -r $DIR/*; cp -r $DIR.keep/* $DIR/");
        check_ok(file_open(path, FILE_WRITE, &f));
        check_ok(file_truncate(f, len));
        check_ok(fake_open(&h, slice_of(d.path), &small));
        uint64_t seqs = all_seqs(&h);
        check(seqs <= before && (seqs == 12) == (len == end));
        before = seqs;
        fake_check_all(&h);
        check_u64(h.troubles, 0);
        do_some(&h, 4); /* and it goes on from there */
        fake_check_all(&h);
        fake_close(&h);
    }
    check(before <= 1);
    fake_shell(&d, "rm -r $DIR.keep");
}
