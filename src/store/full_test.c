#include "run/sim.h"
#include "store/test_world.h"

/* A full disk refuses mail. Numbers that refused records had taken are given out again, and what
 * was in flight behind them is refused too: no hole, nothing half done. */

enum { WRITERS = 8, MESSAGE = 60000 };

static SimDisk *disk;

typedef struct {
    Store *store;
    Account *account;
    Mailbox *box;
    int left;
    uint32_t stored, refused;
} Writers;

static PARKS void write_until_full(void *arg)
{
    Writers *w = arg;
    Buf message buf_scoped = {0};
    buf_add(&message, S("Subject: filler\r\n\r\n"));
    while (message.len < MESSAGE)
        buf_add(&message, S("as much as fits, and then one more line of it\r\n"));
    for (Err err = OK; !err;) {
        Draft *d scoped(draft) = NULL;
        uint32_t uid;
        char name[16] = "keyword-";
        name[8] = (char)('a' + w->stored % 20);
        Slice keyword = slice(name, 9);
        DraftPlace place = {
            .keywords = {&keyword, 1}
        };
        check_ok(draft_begin(w->store, 0, &d));
        check_ok(draft_write(d, buf_slice(&message)));
        err = draft_commit(d, w->box, &place, &uid);
        check(!err || err == ERR_DISK_FULL);
        *(err ? &w->refused : &w->stored) += 1;
    }
    w->left--;
}

static PARKS void write_by_many(Writers *w)
{
    w->left = WRITERS;
    for (int i = 0; i < WRITERS; i++)
        fiber_start("writer", write_until_full, w);
    while (w->left)
        fiber_sleep(5);
}

/* Uids 1 to n, each with one keyword; counters and quota agree. */
static PARKS void check_whole(Writers *w)
{
    uint32_t n = 0;
    for (const Message *m = mailbox_next(w->box, 1); m; m = mailbox_next(w->box, m->uid + 1)) {
        check_u64(m->uid, ++n);
        check(slice_starts(account_keywords(w->account, m->kwset), S("keyword-")));
    }
    check_u64(n, w->stored);
    check_u64(mailbox_status(w->box).exists, n);
    check_u64(mailbox_status(w->box).uid_next, n + 1);
    check_u64(account_quota(w->account).used[QUOTA_MESSAGE], n);
    check_u64(w->account->pending[QUOTA_STORAGE], 0);
    check_u64(w->account->keywords.count, w->account->keywords.visible);
}

static PARKS void open_all(Writers *w, uint32_t acct)
{
    StoreOptions options = {
        .engine = {.segment_bytes = 4 << 20, .index_in_memory = true}
    };
    check_ok(store_open(S("store"), &options, &w->store));
    if (!acct) check_ok(store_create_account(w->store, S("anna"), &acct));
    check_ok(account_open(w->store, acct, &w->account));
    check_ok(mailbox_open(w->account, acct, S("INBOX"), &w->box));
}

static PARKS void close_all(Writers *w)
{
    mailbox_close(w->box);
    account_close(w->account);
    store_close(w->store);
}

static PARKS void fill_the_disk(void *arg)
{
    Writers w = {0};
    (void)arg;
    sim_disk_plan(disk)->capacity_bytes = 16 << 20;
    open_all(&w, 0);
    write_by_many(&w);
    check(w.stored > 50);
    check_u64(w.refused, WRITERS);
    check_whole(&w);
    uint32_t unseen = mailbox_status(w.box).unseen;
    world_flag(w.box, 1, 10, CHANGE_ADD, FLAG_SEEN); /* small things go on */
    check_u64(mailbox_status(w.box).unseen, unseen - 10);
    sim_disk_plan(disk)->capacity_bytes = 32 << 20;
    uint32_t before = w.stored, acct = account_number(w.account);
    write_by_many(&w);
    check(w.stored > before + 50);
    check_whole(&w);
    sim_disk_plan(disk)->capacity_bytes = 0;
    close_all(&w);
    open_all(&w, acct);
    check_whole(&w);
    close_all(&w);
}

TEST(a_full_disk_leaves_no_holes)
{
    disk = sim_disk_new(128 << 20);
    SimConfig config = {.seed = 3, .disk = disk, .disk_latency_us = 100, .loops = 1};
    check_ok(sim_run(&config, fill_the_disk, NULL));
    sim_disk_free(disk);
}
