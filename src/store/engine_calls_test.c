#include "run/file.h"
#include "store/engine_fake.h"
#include "store/fault_each.h"
#include "store/local.h"

/* Each call of small operations of the engine fails: what was acknowledged is there afterwards, and
 * the operation succeeds the next time. */

static uint64_t prepared, acknowledged; /* seq of account 2 */

static void well(const Trial *t, Err err)
{
    if (!t->fails) check_ok(err);
}

PARKS static void open_again(FakeHost *h, const EngineOptions *o, const Trial *t)
{
    if (!t->again) acknowledged = prepared;
    check_ok(fake_open(h, S("store"), o));
    fake_account(h, 2);
}

PARKS static void all_is_there(FakeHost *h)
{
    const FakeAccount *a = fake_account(h, 2);
    check(a->seq >= acknowledged);
    for (size_t i = 0; i < a->count; i++)
        if (a->emails[i].live) check_ok(fake_read(h, &a->emails[i]));
}

/* ---- the next segment ---- */

enum { BODY = 90000 };
static const EngineOptions rolling = {
    .segment_bytes = 256 * 1024, .checkpoint_ms = 3600000, .index_in_memory = true};

/* Segments in which nothing lives any more are kept for the next ones. */
PARKS static void with_free_segments(void *arg)
{
    enum { BODIES = 12 };
    FakeHost h = {0};
    uint32_t eids[BODIES];
    uint64_t freed;
    Slice *names;
    size_t count, found = 0;
    Arena arena_scoped a = {0};
    (void)arg;
    check_ok(fake_open(&h, S("store"), &rolling));
    fake_account(&h, 2);
    for (int i = 0; i < BODIES; i++)
        check_ok(fake_add(&h, 2, BODY, false, &eids[i]));
    for (int i = 0; i < BODIES; i++)
        check_ok(fake_drop(&h, 2, eids[i]));
    for (int i = 0; i < 3; i++) {
        check_ok(fake_note(&h, 2, 10));
        check_ok(engine_copy_index(h.engine));
        check_ok(engine_compact(h.engine, &freed));
    }
    check_ok(path_list(S("store/log"), &a, &names, &count));
    for (size_t i = 0; i < count; i++)
        found += slice_starts(names[i], S("free-"));
    check(found > 0);
    prepared = fake_account(&h, 2)->seq;
    fake_close(&h);
}

PARKS static Err add_some(FakeHost *h, int count)
{
    uint32_t eid;
    for (int i = 0; i < count; i++) {
        TRY(fake_add(h, 2, BODY, false, &eid));
        acknowledged = fake_account(h, 2)->seq;
    }
    return OK;
}

PARKS static void roll(void *arg)
{
    Trial *t = arg;
    FakeHost h = {0};
    open_again(&h, &rolling, t);
    all_is_there(&h);
    trial_begin(t);
    Err err = add_some(&h, 8);
    trial_end(t);
    well(t, err);
    all_is_there(&h);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &rolling));
    all_is_there(&h);
    fake_close(&h);
}

TEST(the_next_segment_on_a_failing_disk)
{
    each_call_fails(with_free_segments, roll, ERR_IO);
    each_call_of_kind_fails(with_free_segments, roll, ERR_DISK_FULL, CALL_OPERATION);
}

/* Small things go on in the reserve; when that is full, too, they are refused, and go on as soon as
 * there is room. */
PARKS static void fill_all(void *arg)
{
    Trial *t = arg;
    FakeHost h = {0};
    SimDiskPlan *plan = trial_plan();
    Err err = OK;
    int notes = 0;
    open_again(&h, &rolling, t);
    plan->capacity_bytes = 1; /* nothing more fits */
    trial_begin(t);
    for (; notes < 500 && !err; notes++)
        err = fake_note(&h, 2, 3000);
    trial_end(t);
    check(err != OK && notes > 20 - 20 * t->fails);
    if (!t->fails) check_err(err, ERR_DISK_FULL);
    plan->capacity_bytes = 0;
    acknowledged = fake_account(&h, 2)->seq;
    if (!engine_health(h.engine)) check_ok(fake_note(&h, 2, 3000));
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &rolling));
    all_is_there(&h);
    fake_close(&h);
}

TEST(a_full_disk_that_fails_too)
{
    each_call_of_kind_fails(with_free_segments, fill_all, ERR_IO, CALL_LOOKUP);
    each_call_of_kind_fails(with_free_segments, fill_all, ERR_IO, CALL_OPERATION);
}

/* ---- bodies that move, with their owners ---- */

static const EngineOptions moving = {
    .segment_bytes = 128 * 1024, .checkpoint_ms = 3600000, .index_in_memory = true};

PARKS static void add_without_digest(FakeHost *h, size_t len)
{
    FakeCommit c = {.has_no_digest = true};
    uint32_t eid = (uint32_t)h->accounts[2].next_seq;
    buf_u8(&c.record, 'A');
    for (size_t i = 0; i < 3; i++)
        buf_u32(&c.record, i == 1 ? 2 : eid);
    buf_u8(&c.record, false);
    c.commit.eid = eid;
    fake_body(&c.body, 2, eid, len);
    fake_hand_over(h, 2, &c);
    check_ok(fake_wait(&c));
    fake_commit_done(&c);
}

/* One body of many owners, one of two accounts, one without a digest, among many that are dead. */
PARKS static void with_shared_bodies(void *arg)
{
    enum { BODIES = 12, OWNERS = 6 };
    FakeHost h = {0};
    uint32_t eids[BODIES], eid;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &moving));
    fake_account(&h, 2);
    fake_account(&h, 4);
    add_without_digest(&h, 8000);
    for (int i = 0; i < BODIES; i++)
        check_ok(fake_add(&h, 2, 8500, i % 6 == 0, &eids[i]));
    FakeEmail first = *fake_email(fake_account(&h, 2), eids[0]);
    FakeEmail second = *fake_email(fake_account(&h, 2), eids[6]);
    for (int i = 0; i < OWNERS; i++)
        check_ok(fake_link(&h, 2, &first, &eid));
    check_ok(fake_link(&h, 4, &second, &eid));
    for (int i = 0; i < BODIES; i++)
        if (i != 0 && i != 6) check_ok(fake_drop(&h, 2, eids[i]));
    check_ok(fake_add(&h, 2, 100000, false, &eid)); /* the next segment */
    prepared = fake_account(&h, 2)->seq;
    fake_close(&h);
}

PARKS static void move_them(void *arg)
{
    Trial *t = arg;
    FakeHost h = {0};
    uint64_t freed;
    open_again(&h, &moving, t);
    check_ok(fake_note(&h, 2, 10));
    all_is_there(&h);
    trial_begin(t);
    Err err = engine_compact(h.engine, &freed);
    trial_end(t);
    well(t, err);
    if (!t->fails && !t->again) check(h.relocations > 0);
    all_is_there(&h);
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &moving));
    all_is_there(&h);
    const FakeAccount *other = fake_account(&h, 4);
    check_u64(other->count, 1);
    check_ok(fake_read(&h, &other->emails[0]));
    fake_close(&h);
}

TEST(bodies_of_many_move_on_a_failing_disk)
{
    each_call_fails(with_shared_bodies, move_them, ERR_IO);
}

/* ---- what compaction passes over ---- */

enum { SMALL_BODY = 10000, SMALL_BODIES = 300, LARGE_BODY = 1000000, LARGE_BODIES = 24 };

/* More than one group of them, by count and by octets. */
TEST(bodies_move_in_groups)
{
    static const struct {
        size_t octets;
        int count, every;
    } rows[] = {
        {SMALL_BODY, SMALL_BODIES, 3},
        {LARGE_BODY, LARGE_BODIES, 4},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        FAKE_DIR(d);
        FakeHost h = {0};
        uint32_t eids[SMALL_BODIES], eid;
        uint64_t freed;
        EngineOptions o = {
            .segment_bytes = 24 << 20, .map_bytes = 256 << 20, .checkpoint_ms = 3600000};
        if (rows[i].octets == SMALL_BODY) o.segment_bytes = 3400 << 10;
        check_ok(fake_open(&h, slice_of(d.path), &o));
        fake_account(&h, 2);
        for (int k = 0; k < rows[i].count; k++)
            check_ok(fake_add(&h, 2, rows[i].octets, false, &eids[k]));
        check_ok(fake_add(&h, 2, BLOB_INLINE_MOST, false, &eid));
        check_ok(fake_add(&h, 2, BLOB_INLINE_MOST, false, &eid)); /* in the next segment */
        for (int k = 0; k < rows[i].count; k++)
            if (k % rows[i].every) check_ok(fake_drop(&h, 2, eids[k]));
        check_ok(engine_checkpoint(h.engine));
        for (int k = 0; k < 2; k++) /* the first marks what is dead */
            check_ok(engine_compact(h.engine, &freed));
        check(h.relocations >= (unsigned)(rows[i].count / rows[i].every));
        acknowledged = fake_account(&h, 2)->seq;
        all_is_there(&h);
        fake_close(&h);
    }
}

/* A body that is pinned stays, and so does one that is damaged: it is told, the others move. Keys
 * of owners that nobody writes are nobody. */
TEST(what_cannot_move_stays)
{
    enum { BODIES = 10 };
    FAKE_DIR(d);
    FakeHost h = {0};
    Arena arena_scoped a = {0};
    uint32_t eids[BODIES], eid;
    uint64_t freed;
    EngineOptions o = {
        .segment_bytes = 128 * 1024, .map_bytes = 256 << 20, .checkpoint_ms = 3600000};
    check_ok(fake_open(&h, slice_of(d.path), &o));
    fake_account(&h, 2);
    for (int i = 0; i < BODIES; i++)
        check_ok(fake_add(&h, 2, 10000, i == 0, &eids[i]));
    check_ok(fake_add(&h, 2, 100000, false, &eid));
    for (int i = 3; i < BODIES; i++)
        check_ok(fake_drop(&h, 2, eids[i]));
    check_ok(engine_checkpoint(h.engine));
    BlobRef refs[3];
    for (int i = 0; i < 3; i++)
        refs[i] = fake_email(fake_account(&h, 2), eids[i])->ref;
    Buf strange buf_scoped = {0};
    buf_add(&strange, key_u64(&a, 's', refs[0].at));
    buf_add(&strange, S("x"));
    IndexChange c = {.key = buf_slice(&strange)};
    check_ok(index_write(h.engine->index, &c, 1));
    blob_pin(h.engine, refs[1].at);
    Buf damage buf_scoped = {0};
    buf_printf(&damage, "printf X | dd of=$DIR/log/%08u.seg bs=1 seek=%u conv=notrunc status=none",
               lsn_segment(refs[2].at), lsn_offset(refs[2].at) + 5000);
    fake_shell(&d, buf_cstr(&damage));
    check_ok(engine_compact(h.engine, &freed));
    check(h.relocations >= 1 && h.troubles >= 1 && h.last_trouble == ERR_CORRUPT);
    const FakeAccount *acct = fake_account(&h, 2);
    for (size_t i = 0; i < acct->count; i++)
        for (int k = 0; k < 3; k++)
            if (acct->emails[i].eid == eids[k] && acct->emails[i].live)
                check((acct->emails[i].ref.at == refs[k].at) == (k > 0));
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eids[0])));
    check_ok(fake_read(&h, fake_email(fake_account(&h, 2), eids[1])));
    blob_unpin(h.engine, refs[1].at);
    check_ok(fake_drop(&h, 2, eids[0])); /* its owners are looked up once more */
    check_ok(engine_checkpoint(h.engine));
    fake_close(&h);
}

/* ---- an index that cannot grow ---- */

enum { PAGES = 400 };

PARKS static void with_pages(void *arg)
{
    FakeHost h = {0};
    uint32_t eid;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &moving));
    fake_account(&h, 2);
    for (int i = 0; i < PAGES; i++)
        check_ok(fake_add(&h, 2, 10, false, &eid));
    prepared = fake_account(&h, 2)->seq;
    fake_close(&h);
}

/* Checkpoints take what is kept aside for them, then fail, and work again as soon as there is room.
 */
PARKS static void checkpoints_without_room(void *arg)
{
    Trial *t = arg;
    FakeHost h = {0};
    Err err = OK;
    unsigned failed = 0;
    open_again(&h, &moving, t);
    trial_plan()->capacity_bytes = 1;
    trial_begin(t);
    for (int i = 0; i < 40 && failed < 2 && err != ERR_IO && err != ERR_READ_ONLY; i++) {
        FakeAccount *a = fake_account(&h, 2);
        for (size_t k = 0; k < a->count; k++)
            a->emails[k].dirty = a->dirty = true;
        err = engine_checkpoint(h.engine);
        failed += err == ERR_DISK_FULL;
    }
    trial_end(t);
    trial_plan()->capacity_bytes = 0;
    if (!t->fails) check_u64(failed, 2);
    if (!t->fails) check_ok(engine_health(h.engine));
    if (!engine_health(h.engine)) check_ok(engine_checkpoint(h.engine));
    fake_close(&h);
    check_ok(fake_open(&h, S("store"), &moving));
    all_is_there(&h);
    fake_close(&h);
}

TEST(an_index_that_cannot_grow_waits_for_room)
{
    each_call_of_kind_fails(with_pages, checkpoints_without_room, ERR_IO, CALL_LOOKUP);
}
