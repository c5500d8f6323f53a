#include "store/engine_fake.h"

#include "run/file.h"
#include "store/local.h"

#include <stdlib.h>

/* An index whose numbers lie, and what a scrub tells of big bodies and of damage at the end. */

static const EngineOptions small = {
    .segment_bytes = 128 * 1024, .map_bytes = 256 << 20, .checkpoint_ms = 60000};

static void ignore_line(void *arg, Slice line)
{
    *(unsigned *)arg += line.len > 0;
}

PARKS static uint64_t findings(FakeHost *h)
{
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(engine_scrub(h->engine, ignore_line, &lines, &checked, &bad));
    check_u64(lines, bad);
    return bad;
}

static void put(FakeHost *h, Slice key, Slice value)
{
    IndexChange c = {.key = key, .value = value};
    check_ok(index_write(h->engine->index, &c, 1));
}

PARKS static void add_many(FakeHost *h, uint32_t *eids, int n)
{
    fake_account(h, 2);
    for (int i = 0; i < n; i++)
        check_ok(fake_add(h, 2, 20000, false, &eids[i]));
}

PARKS static void read_all(FakeHost *h, const uint32_t *eids, int n)
{
    for (int i = 0; i < n; i++)
        check_ok(fake_read(h, fake_email(fake_account(h, 2), eids[i])));
}

/* The numbers say that nothing lives in any segment: the records know better. */
TEST(a_segment_is_not_recycled_because_a_number_says_so)
{
    enum { MANY = 40 };
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eids[MANY];
    uint64_t freed;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    add_many(&h, eids, MANY);
    check_ok(engine_checkpoint(h.engine));
    check(h.engine->segment_count > 5);
    for (size_t i = 0; i + 1 < h.engine->segment_count; i++) {
        Arena arena_scoped a = {0};
        Buf buf_scoped value = {0};
        const Segment *s = h.engine->segments[i];
        buf_u32(&value, s->end), buf_u64(&value, s->bodies), buf_u64(&value, 0);
        put(&h, key_u32(&a, 'g', s->number), buf_slice(&value));
    }
    fake_close(&h);
    fake_shell(&d, "printf XX | dd of=$DIR/log/00000002.seg bs=1 seek=20 conv=notrunc status=none;"
                   "head -c 60000 /dev/zero | dd of=$DIR/log/00000003.seg bs=1 seek=30000 "
                   "conv=notrunc status=none");
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (int i = 0; i < 3; i++) {
        check_ok(fake_note(&h, 2, 10));
        check_ok(engine_copy_index(h.engine));
        (void)!engine_compact(h.engine, &freed);
        check_ok(space_recycle(h.engine));
    }
    fake_shell(&d, "test -f $DIR/log/00000001.seg -a -f $DIR/log/00000002.seg -a -f "
                   "$DIR/log/00000003.seg");
    uint32_t lost = 0;
    for (int i = 0; i < MANY; i++)
        lost += fake_read(&h, fake_email(fake_account(&h, 2), eids[i])) != OK;
    check(lost <= 4); /* those whose octets are zeros */
    fake_close(&h);
}

static void put_dead(FakeHost *h, uint64_t at, uint32_t len, uint32_t crc)
{
    Arena arena_scoped a = {0};
    Buf buf_scoped value = {0};
    buf_u32(&value, len), buf_u32(&value, crc);
    put(h, key_u64(&a, 'd', at), buf_slice(&value));
}

/* Bodies that the index calls dead and that no record knows by that length and sum stay. */
TEST(a_body_is_not_punched_because_a_number_says_so)
{
    enum { MANY = 12 };
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eids[MANY];
    uint64_t freed;
    BlobRef ref[MANY];
    check_ok(fake_open(&h, slice_of(d.path), &small));
    add_many(&h, eids, MANY);
    for (int i = 0; i < MANY; i++)
        ref[i] = fake_email(fake_account(&h, 2), eids[i])->ref;
    put_dead(&h, ref[0].at, ref[0].len - 1, ref[0].crc);
    put_dead(&h, ref[1].at, ref[1].len, ref[1].crc + 1);
    put_dead(&h, ref[2].at + 64, ref[2].len, ref[2].crc);
    put_dead(&h, lsn_make(1, 40), 8, 1);    /* inside of the segment's header */
    put_dead(&h, lsn_make(77, 5000), 8, 1); /* of a segment that is not there */
    fake_close(&h);
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    check_ok(fake_note(&h, 2, 10));
    check_ok(engine_compact(h.engine, &freed));
    check_u64(h.troubles > 0, 1);
    read_all(&h, eids, MANY);
    /* one whose record is damaged: its space stays taken */
    Segment *s;
    char locator[LOCATOR];
    check_ok(segment_use(h.engine, lsn_segment(ref[4].at), &s));
    check_ok(file_read_at(s->file, lsn_offset(ref[4].at) - LOCATOR, locator, sizeof locator));
    uint64_t lsn = locator_decode(slice(locator, sizeof locator), ref[4].at);
    check(lsn != 0);
    Slice zeros = slice("\0\0\0\0\0\0\0\0", 8);
    check_ok(file_write_at(s->file, lsn_offset(lsn), &zeros, 1));
    segment_release(h.engine, s);
    unsigned before = h.troubles;
    check_ok(fake_drop(&h, 2, eids[4]));
    check_ok(fake_drop(&h, 2, eids[5]));
    check_ok(engine_compact(h.engine, &freed));
    fiber_sleep(1);
    check(h.troubles > before);
    fake_close(&h);
}

/* ---- scrub ---- */

PARKS static BlobRef write_big(FakeHost *h, uint32_t eid)
{
    Buf buf_scoped body = {0};
    BlobWriter *w;
    BlobRef ref;
    fake_body(&body, 2, eid, 1200000);
    check_ok(blob_begin(h->engine, &w));
    check_ok(blob_write(w, buf_slice(&body)));
    check_ok(blob_end(w, &ref));
    blob_abort(w);
    return ref;
}

TEST(a_scrub_reads_big_bodies_that_live)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint64_t freed;
    uint32_t eids[3];
    check_ok(fake_open(&h, slice_of(d.path), &small));
    fake_account(&h, 2);
    for (uint32_t i = 0; i < 3; i++) {
        FakeEmail m = {.origin = 2, .origin_eid = i, .ref = write_big(&h, i)};
        check_ok(fake_link(&h, 2, &m, &eids[i]));
    }
    check_ok(engine_checkpoint(h.engine));
    put(&h, S("b-odd"), S("1"));
    check_u64(findings(&h), 0);
    fake_shell(&d, "for f in $(find $DIR/big -type f); do printf X | dd of=$f bs=1 seek=140000 "
                   "conv=notrunc status=none; done");
    check_u64(findings(&h), 3);
    uint64_t at = fake_email(fake_account(&h, 2), eids[0])->ref.at;
    blob_pin(h.engine, at); /* given up, and not marked while somebody may want it */
    check_ok(fake_drop(&h, 2, eids[0]));
    check_ok(fake_drop(&h, 2, eids[1]));
    check_ok(engine_checkpoint(h.engine));
    check_u64(findings(&h), 1);
    check_ok(space_mark(h.engine));
    check_u64(findings(&h), 1);
    blob_unpin(h.engine, at);
    check_ok(engine_compact(h.engine, &freed));
    for (uint64_t i = 0; i < 70; i++) { /* files that are not there */
        Arena arena_scoped a = {0};
        put(&h, key_u64(&a, 'b', BLOB_BIG | (i + 1000)), S(""));
    }
    check_u64(findings(&h), 71);
    fault_set("index.read", 1);
    uint64_t checked, bad;
    check_err(engine_scrub(h.engine, ignore_line, &(unsigned){0}, &checked, &bad), ERR_CORRUPT);
    fake_close(&h);
}

/* Nothing stands behind the damage: all of it is told. A body without a known sum is believed. */
TEST(a_scrub_tells_of_damage_at_the_end)
{
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eids[8];
    FakeCommit c = {0};
    check_ok(fake_open(&h, slice_of(d.path), &small));
    add_many(&h, eids, 8);
    buf_add(&c.record, S("N\0\0\0\0"));
    fake_body(&c.body, 2, 99, 3000);
    c.commit.eid = 99;
    c.has_no_digest = true;
    fake_hand_over(&h, 2, &c);
    check_ok(fake_wait(&c));
    fake_commit_done(&c);
    check_u64(findings(&h), 0);
    const Segment *first = h.engine->segments[0];
    Buf buf_scoped command = {0};
    buf_printf(&command,
               "head -c 22000 /dev/zero | dd of=$DIR/log/00000001.seg bs=1 seek=%u "
               "conv=notrunc status=none",
               first->end - 22000);
    fake_shell(&d, buf_cstr(&command));
    check(findings(&h) >= 1);
    fake_close(&h);
    fake_shell(&d, "rm $DIR/idx/*"); /* the log is read again: what stands behind it counts */
    h.holes = true;
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(fake_account(&h, 2)->seq, 9);
    fiber_sleep(1);
    check(h.troubles > 0);
    fake_close(&h);
}

/* Files of that name that are none. */
TEST(a_segment_that_is_no_file_is_said)
{
    static const char *const ways[] = {"mkdir $DIR/log/00000099.seg", "mkdir $DIR/log/$n.seg",
                                       "ln -s nowhere $DIR/log/$n.seg"};
    FAKE_DIR(d);
    FakeHost h = {0};
    uint32_t eids[8];
    check_ok(fake_open(&h, slice_of(d.path), &small));
    add_many(&h, eids, 8);
    fake_close(&h);
    for (size_t i = 0; i < COUNT(ways); i++) {
        Buf buf_scoped command = {0};
        buf_printf(&command, "n=$(ls $DIR/log/*.seg | wc -l); n=$(printf %%08d $((n + 1))); %s",
                   ways[i]);
        fake_shell(&d, buf_cstr(&command));
        check(fake_open(&h, slice_of(d.path), &small) != OK);
        fake_shell(&d, "find $DIR/log -type d -name '*.seg' -exec rmdir {} +; find $DIR/log -type "
                       "l -exec rm {} +");
    }
    check_ok(fake_open(&h, slice_of(d.path), &small));
    read_all(&h, eids, 8);
    fake_close(&h);
}
