#include "base/test.h"
#include "run/file.h"
#include "store/backup.h"
#include "store/fault_each.h"
#include "store/model.h"

/* Each call of a backup, of one put back, verified, pruned fails: what was sound stays sound, what
 * counts as finished is whole, and the next attempt succeeds. */

enum { LETTER = 40000, BIG = BLOB_INLINE_MOST + 300000 };

static int64_t between; /* the two backups of `backed_up`; Unix seconds */

typedef struct {
    Store *store;
    Account *a;
    Mailbox *inbox;
    Arena arena;
} Shop;

static const StoreOptions options = {
    .engine = {.index_in_memory = true, .segment_bytes = 128 << 10, .checkpoint_ms = 3600000}
};

PARKS static Err shop_open(Shop *s, Slice dir)
{
    uint32_t acct;
    *s = (Shop){0};
    TRY(store_open(dir, &options, &s->store));
    if (store_find_account(s->store, S("one"), &acct))
        TRY(store_create_account(s->store, S("one"), &acct));
    TRY(account_open(s->store, acct, &s->a));
    return mailbox_open(s->a, acct, S("INBOX"), &s->inbox);
}

PARKS static void shop_close(Shop *s)
{
    mailbox_close(s->inbox);
    account_close(s->a);
    store_close(s->store);
    arena_done(&s->arena);
}

PARKS static void append(Shop *s, size_t octets)
{
    Draft *d scoped(draft) = NULL;
    Buf body buf_scoped = {0};
    uint32_t uid;
    buf_printf(&body, "Subject: one of many\r\n\r\n");
    while (body.len < octets)
        buf_printf(&body, "%0100zu\r\n", body.len);
    check_ok(draft_begin(s->store, body.len, &d));
    check_ok(draft_write(d, buf_slice(&body)));
    check_ok(draft_commit(d, s->inbox, &(DraftPlace){0}, &uid));
}

PARKS static Err copy_all(BackupJob *j, EngineBackup *plan)
{
    TRY(job_begin(j, plan));
    TRY(job_index(j));
    TRY(job_big(j));
    for (size_t i = 0; i < plan->segment_count; i++)
        TRY(job_segment(j, i));
    return job_finish(j);
}

PARKS static Err back_up(Shop *s, Slice dir)
{
    BackupJob j = {.store = S("store"), .dir = dir, .keeper = S("keeper-state")};
    EngineBackup plan = {0};
    Engine *e = store_engine(s->store);
    Err err = job_open(&j);
    if (!err) err = engine_backup_begin(e, &s->arena, &plan);
    bool begun = !err;
    if (!err) err = copy_all(&j, &plan);
    if (begun) engine_backup_end(e, &plan, !err);
    job_close(&j);
    return err;
}

PARKS static void furnish(Shop *s)
{
    check_ok(path_replace(S("keeper-state"), S("what the keeper knows")));
    check_ok(shop_open(s, S("store")));
    for (int i = 0; i < 4; i++)
        append(s, LETTER);
    append(s, BIG);
}

PARKS static void furnished(void *arg)
{
    Shop s;
    (void)arg;
    furnish(&s);
    shop_close(&s);
    check_ok(path_replace(S("store/idx/backup"), S("left by one that was cut off")));
}

/* The one of furnish() over BLOB_INLINE_MOST; its file, too. */
PARKS static void drop_big(Shop *s)
{
    UidSet one = {0}, gone;
    uint64_t freed;
    uidset_add(&s->arena, &one, 5, 5);
    check_ok(mailbox_expunge(s->inbox, &one, true, &s->arena, &gone));
    check_ok(engine_compact(store_engine(s->store), &freed));
}

/* 5 messages, a backup, 1 more, `between`, 2 more, of which one is big, and one goes, another
 * backup. */
PARKS static void backed_up(void *arg)
{
    Shop s;
    (void)arg;
    furnish(&s);
    check_ok(back_up(&s, S("backup")));
    fiber_sleep(2000);
    append(&s, LETTER);
    fiber_sleep(2000);
    between = wall_seconds();
    fiber_sleep(2000);
    append(&s, LETTER);
    append(&s, BIG);
    drop_big(&s);
    check_ok(back_up(&s, S("backup")));
    shop_close(&s);
}

/* Whether a call has failed: then an error is as good as none, but what is said must be so. */
static void well(const Trial *t, Err err)
{
    check(!err || t->fails);
    if (!t->fails) check_ok(err);
}

static void count_line(void *arg, Slice line)
{
    *(unsigned *)arg += line.len > 0;
}

static size_t backups_in(Slice dir)
{
    Generations g = {0};
    Err err = generations_read(dir, &g);
    size_t count = g.count;
    check(!err || !count);
    generations_done(&g);
    return count;
}

static void is_sound(Slice dir)
{
    unsigned lines = 0;
    uint64_t files, bad;
    check_ok(backup_verify(dir, count_line, &lines, NULL, NULL, &files, &bad));
    check_u64(bad, 0);
    check_u64(lines, 0);
}

/* A store that was put back: every message of it can be read to its last octet. */
PARKS static void holds(Slice dir, unsigned messages)
{
    Shop s;
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(shop_open(&s, dir));
    check_u64(mailbox_status(s.inbox).exists, messages);
    check_ok(engine_scrub(store_engine(s.store), count_line, &lines, &checked, &bad));
    check_u64(bad, 0);
    for (const Message *m = mailbox_next(s.inbox, 1); m;) {
        char last[2];
        uint32_t uid = m->uid;
        check_ok(email_read(s.a, m->eid, m->size - 2, last, 2));
        check(last[0] == '\r' && last[1] == '\n');
        m = mailbox_next(s.inbox, uid + 1);
    }
    shop_close(&s);
}

static Slice fresh(const Trial *t)
{
    return t->fails ? S("first") : S("second");
}

PARKS static void put_back(Trial *t, Slice from, int64_t at, unsigned messages)
{
    Restoring r = {.dir = from, .store = fresh(t), .at = at};
    Arena arena arena_scoped = {0};
    PathInfo info;
    trial_begin(t);
    Err err = backup_restore(&r);
    trial_end(t);
    well(t, err);
    if (!path_info(arena_printf(&arena, "%.*s/format", SP(r.store)), &info))
        holds(r.store, messages);
    else
        check(err != OK); /* without it there is no store */
}

/* ---- making one ---- */

PARKS static void back_up_into(Trial *t, Slice dir, unsigned messages)
{
    Shop s;
    size_t before = backups_in(dir);
    check_ok(shop_open(&s, S("store")));
    trial_begin(t);
    Err err = back_up(&s, dir);
    trial_end(t);
    well(t, err);
    shop_close(&s);
    size_t now = backups_in(dir);
    check(now == before + !err || (err && now == before + 1));
    if (now) is_sound(dir);
    if (t->fails) return;
    Restoring r = {.dir = dir, .store = S("newest")};
    check_ok(backup_restore(&r));
    holds(r.store, messages);
}

PARKS static void back_up_anew(void *arg)
{
    back_up_into(arg, S("deep/backup"), 5);
}

PARKS static void back_up_more(void *arg)
{
    back_up_into(arg, S("backup"), 7);
}

TEST(a_backup_whose_calls_fail_is_made_again)
{
    each_call_fails(backed_up, back_up_more, ERR_IO);
}

TEST(a_first_backup_whose_calls_fail_is_made_again)
{
    each_call_of_kind_fails(furnished, back_up_anew, ERR_DISK_FULL, CALL_OPERATION);
}

/* ---- putting back, verifying, pruning ---- */

PARKS static void put_back_between(void *arg)
{
    put_back(arg, S("backup"), between, 6);
    is_sound(S("backup"));
    check_u64(backups_in(S("backup")), 2);
}

TEST(a_restore_whose_calls_fail_makes_no_store)
{
    each_call_fails(backed_up, put_back_between, ERR_IO);
}

PARKS static void verify(void *arg)
{
    Trial *t = arg;
    unsigned lines = 0;
    uint64_t files, bad;
    trial_begin(t);
    Err err = backup_verify(S("backup"), count_line, &lines, NULL, NULL, &files, &bad);
    trial_end(t);
    well(t, err);
    check_u64(lines, bad);
    check(t->fails == (err || bad)); /* it says so */
}

TEST(a_verification_whose_calls_fail_says_so)
{
    each_call_fails(backed_up, verify, ERR_IO);
}

PARKS static void prune(void *arg)
{
    Trial *t = arg;
    unsigned gone;
    trial_begin(t);
    Err err = backup_prune(S("backup"), wall_seconds() + 10, &gone);
    trial_end(t);
    well(t, err);
    check(gone <= 1);
    put_back(&(Trial){.fails = t->fails}, S("backup"), 0, 7);
    is_sound(S("backup"));
    if (!err) check_u64(backups_in(S("backup")), 1);
}

TEST(a_pruning_whose_calls_fail_takes_nothing_that_is_needed)
{
    each_call_fails(backed_up, prune, ERR_IO);
}

/* ---- what is kept while a backup is made, and between two ---- */

static const StoreOptions windowed = {
    .engine = {.index_in_memory = true,
               .segment_bytes = 128 << 10,
               .checkpoint_ms = 3600000,
               .backup_window = 1000}
};

PARKS static void shop_new(Shop *s)
{
    uint32_t acct;
    check_ok(store_open(S("store"), &windowed, &s->store));
    check_ok(store_create_account(s->store, S("one"), &acct));
    check_ok(account_open(s->store, acct, &s->a));
    check_ok(mailbox_open(s->a, acct, S("INBOX"), &s->inbox));
}

static size_t big_files(void)
{
    Arena arena arena_scoped = {0};
    Slice *dirs, *names;
    size_t dir_count, count, sum = 0;
    check_ok(path_list(S("store/big"), &arena, &dirs, &dir_count));
    for (size_t i = 0; i < dir_count; i++) {
        check_ok(
            path_list(arena_printf(&arena, "store/big/%.*s", SP(dirs[i])), &arena, &names, &count));
        sum += count;
    }
    return sum;
}

/* Two copies of the index: segments before the older one could be recycled. */
PARKS static void go_on(Shop *s)
{
    for (int i = 0; i < 8; i++) {
        append(s, LETTER);
        if (i % 4 == 3) check_ok(engine_copy_index(store_engine(s->store)));
    }
}

static bool has_segment(unsigned number)
{
    Arena arena arena_scoped = {0};
    PathInfo info;
    return !path_info(arena_printf(&arena, "store/log/%08u.seg", number), &info);
}

PARKS static void expunge(Shop *s, uint32_t first, uint32_t last)
{
    UidSet some = {0}, gone;
    uidset_add(&s->arena, &some, first, last);
    check_ok(mailbox_expunge(s->inbox, &some, true, &s->arena, &gone));
}

/* Segments in which nothing lives stay, too. */
PARKS static void keep_segments(void *arg)
{
    Shop s = {0};
    EngineBackup plan = {0};
    uint64_t freed;
    (void)arg;
    shop_new(&s);
    Engine *e = store_engine(s.store);
    go_on(&s);
    expunge(&s, 1, 7);
    check_ok(engine_checkpoint(e)); /* they are dead and not marked */
    check_ok(engine_backup_begin(e, &s.arena, &plan));
    go_on(&s);
    check_ok(engine_compact(e, &freed));
    check(has_segment(1));
    for (uint32_t number = 1; number < 4; number++) {
        engine_backup_passed(e, &plan, number);
        for (int i = 0; i < 2; i++)
            check_ok(engine_compact(e, &freed));
        check(!has_segment(number) || number > 1);
    }
    unsigned last = plan.segments[plan.segment_count - 1].number;
    engine_backup_end(e, &plan, true);
    check(has_segment(last + 1));
    uint32_t next = mailbox_status(s.inbox).uid_next;
    expunge(&s, 8, next - 1);
    go_on(&s);
    go_on(&s);
    for (int i = 0; i < 2; i++)
        check_ok(engine_compact(e, &freed));
    check(has_segment(last) && has_segment(last + 1)); /* the next backup is to have them */
    sim_wall_jump(2000 * 1000);
    for (int i = 0; i < 3; i++)
        check_ok(engine_compact(e, &freed));
    check(!has_segment(last + 1));
    shop_close(&s);
}

PARKS static uint64_t live_after_expunge(Shop *s, uint32_t first, uint32_t last)
{
    EngineStatus now;
    uint64_t freed;
    if (first) expunge(s, first, last);
    check_ok(engine_compact(store_engine(s->store), &freed));
    engine_status(store_engine(s->store), &now);
    return now.live_octets;
}

/* uid 1 is big and in the store when the backup begins; behind it come another big one and more
 * than a thousand. */
PARKS static void keep_for_a_while(void *arg)
{
    enum { MANY = 1100 };
    Shop s = {0};
    EngineBackup plan = {0};
    (void)arg;
    shop_new(&s);
    Engine *e = store_engine(s.store);
    append(&s, BIG);
    for (int i = 0; i < 5; i++)
        append(&s, LETTER);
    check_ok(engine_backup_begin(e, &s.arena, &plan));
    live_after_expunge(&s, 1, 1);
    check_u64(big_files(), 1); /* nobody has copied it yet */
    engine_backup_passed(e, &plan, 1);
    live_after_expunge(&s, 0, 0);
    check_u64(big_files(), 0);
    engine_backup_end(e, &plan, true);
    append(&s, BIG);
    uint32_t first = mailbox_status(s.inbox).uid_next;
    for (int i = 0; i < MANY; i++)
        append(&s, 0);
    uint64_t live = live_after_expunge(&s, first - 1, first + MANY - 1);
    check_u64(big_files(), 1); /* the next backup is to have it */
    check_u64(live_after_expunge(&s, 0, 0), live);
    sim_wall_jump(2000 * 1000);
    check_u64(live_after_expunge(&s, 0, 0), live); /* not looked at for a while */
    fiber_sleep(31000);
    check(live_after_expunge(&s, 0, 0) < live);
    check_u64(big_files(), 0);
    check_ok(engine_health(e));
    fault_set("log.write", 1);
    uint64_t seq = account_seq(s.a);
    check_err(mailbox_create(s.a, S("Broken"), ROLE_NONE), ERR_IO);
    check_u64(account_seq(s.a), seq);
    plan = (EngineBackup){0};
    check(engine_backup_begin(e, &s.arena, &plan) != OK); /* of a store that takes no changes */
    shop_close(&s);
}

static void on_new_disk(void (*fn)(void *))
{
    SimDisk *disk = sim_disk_new(192 << 20);
    SimConfig c = {.seed = 1, .disk = disk, .disk_latency_us = 100, .loops = 1};
    check_ok(sim_run(&c, fn, NULL));
    sim_disk_free(disk);
}

TEST(what_goes_is_kept_for_the_next_backup)
{
    on_new_disk(keep_for_a_while);
    on_new_disk(keep_segments);
}
