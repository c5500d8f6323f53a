/* A change of many messages comes into memory in pieces (of two, in the simulated world): who opens
 * a mailbox meanwhile finds all of it or nothing. */
#include "base/test.h"
#include "run/loop.h"
#include "run/sim.h"
#include "store/model.h"

#include <stdio.h>

enum { MANY = 40, DISK = 16 << 20 };

typedef struct {
    Mailbox *from, *to;
    Arena arena;
    bool moved;
} Moving;

PARKS static void append_many(Store *store, Mailbox *box, int count)
{
    for (int i = 0; i < count; i++) {
        Draft *d scoped(draft) = NULL;
        uint32_t uid;
        check_ok(draft_begin(store, 17, &d));
        check_ok(draft_write(d, S("Subject: x\r\n\r\nx\r\n")));
        check_ok(draft_commit(d, box, &(DraftPlace){0}, &uid));
    }
}

PARKS static void move_all(void *arg)
{
    Moving *m = arg;
    UidSet all = {0};
    CopyResult r;
    uidset_add(&m->arena, &all, 1, MANY);
    check_ok(mailbox_move(m->from, &all, m->to, &m->arena, &r));
    m->moved = true;
}

PARKS static uint32_t count_in(Account *a, Slice name)
{
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(mailbox_open(a, account_number(a), name, &box));
    return mailbox_status(box).exists;
}

PARKS static void open_while_moving(void *arg)
{
    static const StoreOptions options = {.engine = {.index_in_memory = true}};
    Store *store = NULL;
    Account *a = NULL;
    Moving m = {0};
    uint32_t acct, other_acct, in_pieces = 0;
    Account *other = NULL;
    Mailbox *inbox = NULL;
    (void)arg;
    check_ok(store_open(S("store"), &options, &store));
    check_ok(store_create_account(store, S("one"), &acct));
    check_ok(account_open(store, acct, &a));
    check_ok(mailbox_open(a, acct, S("INBOX"), &m.from));
    check_ok(mailbox_open(a, acct, S("Trash"), &m.to));
    check_ok(store_create_account(store, S("two"), &other_acct));
    check_ok(account_open(store, other_acct, &other));
    check_ok(mailbox_open(other, other_acct, S("INBOX"), &inbox));
    append_many(store, m.from, MANY);
    fiber_start("mover", move_all, &m);
    while (!m.moved) { /* what shares the flush of the move goes on when that is applied */
        append_many(store, inbox, 1);
        for (int i = 0; i < MANY; i++, fiber_yield()) {
            in_pieces += a->in_pieces;
            uint32_t there = count_in(a, S("Trash"));
            check(there == 0 || there == MANY);
        }
    }
    check(in_pieces); /* it was opened in the middle */
    mailbox_close(inbox);
    account_close(other);
    mailbox_close(m.from);
    mailbox_close(m.to);
    account_close(a);
    store_close(store);
    arena_done(&m.arena);
}

TEST(who_opens_a_mailbox_finds_no_half_of_a_move)
{
    SimDisk *disk = sim_disk_new(DISK);
    SimConfig config = {.seed = 1, .loops = 1, .disk = disk, .disk_latency_us = 100};
    check_ok(sim_run(&config, open_while_moving, NULL));
    sim_disk_free(disk);
}
