/* What needs the simulated world: days that pass, and a disk that fails at QUIT. */
#include "base/test.h"
#include "pop3/session.h"
#include "run/sim.h"

typedef struct {
    Pop3 s;
    Pop3Config config;
    Store *store;
    SimDisk *disk;
} World;

PARKS static void append(World *w, int64_t date)
{
    uint32_t uid;
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    Draft *draft scoped(draft) = NULL;
    DraftPlace place = {.date = date};
    check_ok(account_open(w->store, w->s.who.acct, &account));
    check_ok(mailbox_open(account, w->s.who.acct, S("INBOX"), &box));
    check_ok(draft_begin(w->store, 0, &draft));
    check_ok(draft_write(draft, S("Subject: x\r\n\r\ny\r\n")));
    check_ok(draft_commit(draft, box, &place, &uid));
}

PARKS static uint32_t exists(World *w)
{
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(w->store, w->s.who.acct, &account));
    check_ok(mailbox_open(account, w->s.who.acct, S("INBOX"), &box));
    return mailbox_status(box).exists;
}

PARKS static void prefer(World *w, Slice words)
{
    Account *account scoped(account) = NULL;
    check_ok(account_open(w->store, w->s.who.acct, &account));
    check_ok(object_put(account, S("pref"), S("pop3"), words, NULL));
}

/* A session that retrieves nothing and quits. */
PARKS static Err look_in(World *w)
{
    check_ok(maildrop_open(&w->s));
    Err err = maildrop_update(&w->s);
    maildrop_close(&w->s);
    return err;
}

PARKS static void open_world(World *w)
{
    StoreOptions options = {.engine = {.index_in_memory = true}};
    check_ok(store_open(S("store"), &options, &w->store));
    check_ok(store_create_account(w->store, S("anna"), &w->s.who.acct));
    w->config.store = w->store;
    w->s.config = &w->config;
}

PARKS static void close_world(World *w)
{
    arena_done(&w->s.arena);
    store_close(w->store);
}

PARKS_UNCHECKED static void days_pass(void *arg)
{
    World *w = arg;
    open_world(w);
    prefer(w, S("expire=2"));
    append(w, 0);
    append(w, 86400); /* a date of long ago */
    check_ok(look_in(w));
    check_u64(exists(w), 2);
    fiber_sleep(25 * 3600 * 1000);
    append(w, 0);
    check_ok(look_in(w));
    check_u64(exists(w), 3);
    fiber_sleep(25 * 3600 * 1000);
    check_ok(look_in(w));
    check_u64(exists(w), 1);
    prefer(w, S("expire=never"));
    fiber_sleep(100 * 3600 * 1000);
    check_ok(look_in(w));
    check_u64(exists(w), 1);
    close_world(w);
}

TEST(mail_expires_when_its_days_are_over)
{
    World w = {.disk = sim_disk_new(64 << 20)};
    check_ok(sim_run(&(SimConfig){.seed = 1, .disk = w.disk, .loops = 1}, days_pass, &w));
    sim_disk_free(w.disk);
}

PARKS_UNCHECKED static void disk_fails(void *arg)
{
    World *w = arg;
    open_world(w);
    append(w, 0);
    append(w, 0);
    check_ok(maildrop_open(&w->s));
    maildrop_mark(&w->s, 1, MARK_DELETED);
    maildrop_mark(&w->s, 2, MARK_DELETED);
    SimDiskPlan *plan = sim_disk_plan(w->disk);
    plan->failure = ERR_IO;
    plan->fail_at = plan->operations + 1;
    check(maildrop_update(&w->s) != OK);
    maildrop_close(&w->s);
    check_u64(exists(w), 2); /* all or none */
    close_world(w);
}

TEST(a_quit_that_fails_deletes_nothing)
{
    World w = {.disk = sim_disk_new(64 << 20)};
    check_ok(sim_run(&(SimConfig){.seed = 1, .disk = w.disk, .loops = 1}, disk_fails, &w));
    sim_disk_free(w.disk);
}
