#include "store/engine_fake.h"

#include "store/local.h"

#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>

static const EngineOptions small = {
    .segment_bytes = 256 * 1024, .map_bytes = 256 * 1024 * 1024, .checkpoint_ms = 20};

/* Commits are handed over on the home loop of their account; tests run on loop 0, so they use even
 * accounts. */
TEST(what_was_committed_is_there_after_reopening)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    for (int round = 0; round < 4; round++) {
        check_ok(fake_open(&h, slice_of(d.path), &small));
        for (uint32_t acct = 2; acct <= FAKE_ACCOUNTS; acct += 2)
            fake_account(&h, acct);
        for (int i = 0; i < 50; i++)
            check_ok(fake_step(&h, (uint32_t)(i % 4 * 2 + 2)));
        fake_check_all(&h);
        check_u64(h.troubles, 0);
        fake_close(&h);
    }
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(fake_account(&h, 2)->seq, 52);
    fake_check_all(&h);
    fake_close(&h);
}

TEST(nobody_else_opens_a_store_in_use)
{
    FAKE_DIR(d);
    FakeHost h = {0}, other = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_err(fake_open(&other, slice_of(d.path), &small), ERR_IN_USE);
    check(!other.engine);
    fake_close(&h);
    check_ok(fake_open(&other, slice_of(d.path), &small));
    fake_close(&other);
}

TEST(a_format_of_the_future_is_left_alone)
{
    const struct {
        const char *format;
        Err err;
    } rows[] = {
        {"echo posthouse store 2 > $DIR/format",                           ERR_UNSUPPORTED},
        {"echo something else > $DIR/format",                              ERR_CORRUPT    },
        {"echo posthouse store 1 > $DIR/format; echo xy >> $DIR/format",   ERR_CORRUPT    },
        {"printf 'posthouse store 1' > $DIR/format",                       ERR_CORRUPT    },
        {"echo posthouse store one > $DIR/format",                         ERR_CORRUPT    },
        {"echo posthouse store 1 > $DIR/format; echo aabb >> $DIR/format", ERR_CORRUPT    },
        {"rm $DIR/format; touch $DIR/log/another",                         ERR_CORRUPT    }, /* a log without it */
    };
    FAKE_DIR(d);
    FakeHost h = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_close(&h);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fake_shell(&d, rows[i].format);
        check_err(fake_open(&h, slice_of(d.path), &small), rows[i].err);
    }
}

/* ---- group commit ---- */
enum { WRITERS = 64, EACH = 10 };

typedef struct {
    FakeHost *h;
    unsigned left;
    Cond ended;
} Crowd;

PARKS static void one_of_many(void *arg)
{
    Crowd *c = (Crowd *)arg;
    for (int i = 0; i < EACH; i++)
        check_ok(fake_step(c->h, 2));
    if (!--c->left) cond_signal(&c->ended);
}

TEST(those_who_wait_share_a_flush)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    Crowd crowd = {.h = &h, .left = WRITERS};
    EngineStatus s;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int i = 0; i < WRITERS; i++)
        fiber_start("writer", one_of_many, &crowd);
    while (crowd.left)
        cond_wait(&crowd.ended, NEVER);
    engine_status(h.engine, &s);
    check_u64(s.commits, WRITERS * EACH);
    check(s.flushes <= s.commits / 8);
    check_u64(fake_account(&h, 2)->seq, WRITERS * EACH);
    fake_check_all(&h);
    fake_close(&h);
}

/* ---- pages ---- */
static bool count_pages(void *arg, Slice key, Slice value)
{
    unsigned *count = (unsigned *)arg;
    (void)value;
    check(key.len == 5 && key.at[0] == 'e');
    return ++*count < 3;
}

TEST(pages_are_there_after_a_checkpoint_and_belong_to_one_account)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    Arena arena_scoped a = {0};
    Slice value;
    uint32_t eid;
    unsigned count = 0;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 5; i++)
        check_ok(fake_add(&h, 2, 100, false, &eid));
    check_ok(engine_checkpoint(h.engine));
    check_ok(engine_get(h.engine, 2, S("h"), &a, &value));
    check_err(engine_get(h.engine, 4, S("h"), &a, &value), ERR_NOT_FOUND);
    check_ok(engine_scan(h.engine, 2, S("e"), (Slice){0}, count_pages, &count));
    check_u64(count, 3);
    count = 0;
    check_ok(engine_scan(h.engine, 2, S("e"), S("e\5"), count_pages, &count));
    check_u64(count, 1);
    count = 0;
    check_ok(engine_scan(h.engine, 4, S("e"), (Slice){0}, count_pages, &count));
    check_u64(count, 0);
    fake_close(&h);
}

/* ---- big bodies ---- */
PARKS static BlobRef write_big(FakeHost *h, uint32_t eid, size_t len, size_t piece)
{
    BlobWriter *w;
    BlobRef ref = {0};
    Buf buf_scoped body = {0};
    fake_body(&body, 2, eid, len);
    check_ok(blob_begin(h->engine, &w));
    for (Slice rest = buf_slice(&body); rest.len; rest = slice_from(rest, piece))
        check_ok(blob_write(w, slice_first(rest, piece)));
    check_ok(blob_end(w, &ref));
    blob_abort(w);
    return ref;
}

static uint64_t big_files(const FakeDir *d)
{
    Arena arena_scoped a = {0};
    Slice text;
    uint64_t n = 99;
    fake_shell(d, "find $DIR/big -type f | wc -l > $DIR/count");
    check_ok(path_read(arena_printf(&a, "%s/count", d->path), 100, &a, &text));
    check(slice_to_u64(slice_trim(text), &n));
    return n;
}

TEST(any_range_of_a_big_body_reads_right)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    enum { LEN = 3 * 1024 * 1024 + 1234 };
    Buf buf_scoped body = {0};
    char *got = (char *)mem_new(LEN);
    fake_body(&body, 2, 1, LEN);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    BlobRef ref = write_big(&h, 1, LEN, 5000);
    const struct {
        uint64_t offset;
        size_t len;
    } rows[] = {
        {0,           LEN    },
        {0,           1      },
        {LEN - 1,     1      },
        {65535,       2      },
        {65536,       4096   },
        {100,         65536  },
        {1000000,     1000000},
        {LEN - 70000, 70000  }
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_ok(blob_read(h.engine, ref, rows[i].offset, got, rows[i].len));
        check(!memcmp(got, body.at + rows[i].offset, rows[i].len));
    }
    check_err(blob_read(h.engine, ref, LEN, got, 1), ERR_LIMIT);
    check_err(blob_read(h.engine, ref, 1, got, LEN), ERR_LIMIT);
    free(got);
    fake_close(&h);
}

TEST(big_bodies_live_as_long_as_a_record_refers_to_them)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eid;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    FakeEmail kept = {.origin = 2, .origin_eid = 1, .ref = write_big(&h, 1, 1500000, 100000)};
    write_big(&h, 2, 1200000, 100000); /* nobody takes it */
    BlobWriter *w;
    check_ok(blob_begin(h.engine, &w));
    check_ok(blob_write(w, S("given up")));
    blob_abort(w);
    check_u64(big_files(&d), 2);
    check_ok(fake_link(&h, 2, &kept, &eid));
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(big_files(&d), 1);
    fake_close(&h);
    fake_shell(&d, "rm $DIR/idx/*"); /* found again by reading the log */
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(big_files(&d), 1);
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eid)));
    check_ok(fake_drop(&h, 2, eid));
    uint64_t freed;
    check_ok(engine_compact(h.engine, &freed));
    check_u64(big_files(&d), 0);
    fake_close(&h);
}

TEST(a_damaged_block_of_a_big_body_shows)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    char got[100];
    check_ok(fake_open(&h, slice_of(d.path), &small));
    BlobRef ref = write_big(&h, 1, 300000, 100000);
    fake_shell(&d, "f=$(find $DIR/big -type f); printf X | dd of=$f bs=1 seek=140000 conv=notrunc "
                   "status=none");
    check_ok(blob_read(h.engine, ref, 0, got, sizeof got));
    check_err(blob_read(h.engine, ref, 135000, got, sizeof got), ERR_CORRUPT);
    check_ok(blob_read(h.engine, ref, 250000, got, sizeof got));
    fake_close(&h);
}

/* What is in its directory and is no file of its, and a directory that is gone. */
TEST(the_status_of_a_store_is_told_whatever_is_there)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineStatus s;
    EngineOptions o = small;
    o.checkpoint_octets = 1 << 20;
    check_ok(fake_open(&h, slice_of(d.path), &o));
    fake_shell(&d, "mkdir $DIR/log/dir; ln -s /nowhere/at/all $DIR/log/link");
    engine_status(h.engine, &s);
    check(s.disk_octets > 0 && s.free_octets > 0);
    fake_shell(&d, "mv $DIR $DIR.away");
    engine_status(h.engine, &s);
    check(s.disk_octets == 0 && s.free_octets == 0);
    fake_shell(&d, "mv $DIR.away $DIR");
    fake_close(&h);
    engine_close(NULL);
}

TEST(a_store_that_takes_no_changes_says_the_first_reason)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    EngineOptions o = small;
    check_ok(fake_open(&h, slice_of(d.path), &o));
    fake_account(&h, 1);
    check_ok(fake_step(&h, 1));
    engine_read_only(h.engine, ERR_IO, "the first");
    engine_read_only(h.engine, ERR_DISK_FULL, "the second");
    check_err(engine_health(h.engine), ERR_READ_ONLY);
    check(strstr(err_story(), "the first"));
    check(fake_step(&h, 1) != OK);
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &o));
    fake_close(&h);
}
