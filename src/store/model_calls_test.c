#include "base/test.h"
#include "run/file.h"
#include "store/fault_each.h"
#include "store/model.h"

#include <stdio.h>

/* Each call of what is done with accounts, and between them, fails: what was acknowledged is there,
 * nothing is lost, check finds nothing wrong afterwards, and it succeeds the next time. */

enum { LETTERS = 3, BIG = BLOB_INLINE_MOST + 70000 };

static const StoreOptions options = {
    .engine = {.index_in_memory = true, .segment_bytes = 4 << 20, .checkpoint_ms = 3600000}
};

typedef struct {
    Store *store;
    uint32_t accts[2]; /* "one", "two" */
    Account *a[2];
    Mailbox *inbox[2]; /* of both, as "one" sees them */
    Arena arena;
} Pair;

PARKS static void pair_open(Pair *p)
{
    static const char *const logins[] = {"one", "two"};
    *p = (Pair){0};
    check_ok(store_open(S("store"), &options, &p->store));
    for (int i = 0; i < 2; i++) {
        check_ok(store_find_account(p->store, slice_of(logins[i]), &p->accts[i]));
        check_ok(account_open(p->store, p->accts[i], &p->a[i]));
        check_ok(mailbox_open(p->a[i], p->accts[0], S("INBOX"), &p->inbox[i]));
    }
}

PARKS static void pair_close(Pair *p)
{
    for (int i = 0; i < 2; i++) {
        mailbox_close(p->inbox[i]);
        account_close(p->a[i]);
    }
    store_close(p->store);
    arena_done(&p->arena);
}

PARKS static void append(Store *store, Mailbox *box, size_t octets)
{
    Draft *d scoped(draft) = NULL;
    Buf body buf_scoped = {0};
    uint32_t uid;
    buf_printf(&body, "Subject: one of many\r\n\r\n");
    while (body.len < octets)
        buf_printf(&body, "%0100zu\r\n", body.len);
    check_ok(draft_begin(store, body.len, &d));
    check_ok(draft_write(d, buf_slice(&body)));
    check_ok(draft_commit(d, box, &(DraftPlace){0}, &uid));
}

/* "one" has some messages, one of which is big, and may do anything with the INBOX of "two";
 * "three" has a message and objects. */
PARKS static void furnish(void *arg)
{
    Store *store = NULL;
    uint32_t acct;
    Pair p;
    Mailbox *box = NULL;
    Account *a = NULL;
    (void)arg;
    check_ok(store_open(S("store"), &options, &store));
    check_ok(store_create_account(store, S("one"), &acct));
    check_ok(store_create_account(store, S("two"), &acct));
    check_ok(account_open(store, acct, &a));
    check_ok(mailbox_open(a, acct, S("INBOX"), &box));
    check_ok(mailbox_set_acl(box, S("one"), ACL_REPLACE, RIGHTS_ALL));
    mailbox_close(box);
    account_close(a);
    check_ok(store_create_account(store, S("three"), &acct));
    check_ok(account_open(store, acct, &a));
    check_ok(mailbox_open(a, acct, S("INBOX"), &box));
    append(store, box, 0);
    check_ok(object_put(a, S("pref"), S("x"), S("y"), NULL));
    mailbox_close(box);
    account_close(a);
    store_close(store);
    pair_open(&p);
    for (int i = 0; i < LETTERS; i++)
        append(p.store, p.inbox[0], i ? 0 : BIG);
    pair_close(&p);
}

static void print_line(void *arg, Slice line)
{
    (void)arg;
    test_failed(__FILE__, __LINE__, "check says %.*s", SP(line));
}

PARKS static void is_sound(Store *store)
{
    CheckResult result;
    check_ok(store_check(store, false, print_line, NULL, &result));
    check_u64(result.findings, 0);
}

/* What was done is looked at by those who open the store next. */
PARKS static void look_again(uint32_t least, uint32_t most)
{
    Pair p;
    pair_open(&p);
    uint32_t exists = mailbox_status(p.inbox[0]).exists + mailbox_status(p.inbox[1]).exists;
    check(exists >= least && exists <= most);
    is_sound(p.store);
    pair_close(&p);
}

/* ---- between accounts ---- */

PARKS static void move_them(void *arg)
{
    Trial *t = arg;
    Pair p;
    UidSet all = {0};
    CopyResult r;
    pair_open(&p);
    uint32_t here = mailbox_status(p.inbox[0]).exists, there = mailbox_status(p.inbox[1]).exists;
    uidset_add(&p.arena, &all, 1, LETTERS);
    trial_begin(t);
    Err err = mailbox_move(p.inbox[0], &all, p.inbox[1], &p.arena, &r);
    trial_end(t);
    if (!t->fails) check_ok(err);
    if (!err) {
        check_u64(mailbox_status(p.inbox[0]).exists, 0);
        check_u64(mailbox_status(p.inbox[1]).exists, there + here);
    }
    pair_close(&p);
    look_again(LETTERS, 2 * here + there); /* in both perhaps, never in none */
}

TEST(each_call_of_a_move_into_another_account_fails)
{
    each_call_of_kind_fails(furnish, move_them, ERR_DISK_FULL, CALL_OPERATION);
}

/* ---- deliveries ---- */

PARKS static void deliver(void *arg)
{
    Trial *t = arg;
    Pair p;
    Draft *d = NULL;
    Buf body buf_scoped = {0};
    Delivery to[2] = {{.mailbox = S("INBOX")}, {.mailbox = S("INBOX")}};
    uint32_t before[2], delivered = 0;
    pair_open(&p);
    for (int i = 0; i < 2; i++) {
        to[i].acct = p.accts[i];
        before[i] = mailbox_status(p.inbox[i]).exists;
    }
    while (body.len < BIG)
        buf_printf(&body, "Subject: %0100zu\r\n", body.len);
    trial_begin(t);
    Err err = draft_begin(p.store, body.len, &d);
    if (!err) err = draft_write(d, buf_slice(&body));
    if (d) draft_deliver(d, to, 2); /* who has not written all of it learns it here */
    trial_end(t);
    for (int i = 0; i < 2; i++) {
        if (!t->fails) check_ok(to[i].err);
        if (err && d) check(to[i].err != OK);
        check(!to[i].err == !to[i].story.len || !d);
        bool came = d && !to[i].err;
        delivered += came;
        check_u64(mailbox_status(p.inbox[i]).exists, before[i] + came);
    }
    draft_free(d);
    pair_close(&p);
    look_again(before[0] + before[1] + delivered, before[0] + before[1] + 2);
}

TEST(each_call_of_a_delivery_fails)
{
    each_call_of_kind_fails(furnish, deliver, ERR_IO, CALL_OPERATION);
}

/* ---- accounts that come and go ---- */

PARKS static Err come_and_go(Store *store, Arena *arena)
{
    Slice *logins;
    uint32_t *accts, acct;
    size_t count;
    Err err = store_remove_account(store, S("three"));
    if (err && err != ERR_NOT_FOUND) return err;
    err = store_create_account(store, S("four"), &acct);
    if (err && err != ERR_EXISTS) return err;
    TRY(store_find_account(store, S("four"), &acct));
    TRY(store_list_accounts(store, S(""), 10, arena, &logins, &accts, &count));
    check_u64(count, 3);
    check(count == 3 && accts[0] == acct && slice_eq(logins[0], S("four")));
    return OK;
}

PARKS static void directory_changes(void *arg)
{
    Trial *t = arg;
    Store *store = NULL;
    Arena arena arena_scoped = {0};
    uint32_t acct;
    check_ok(store_open(S("store"), &options, &store));
    trial_begin(t);
    Err err = come_and_go(store, &arena);
    trial_end(t);
    if (!t->fails) check_ok(err);
    store_close(store);
    check_ok(store_open(S("store"), &options, &store));
    if (!err) check_err(store_find_account(store, S("three"), &acct), ERR_NOT_FOUND);
    if (!err) check_ok(store_find_account(store, S("four"), &acct));
    is_sound(store);
    store_close(store);
    look_again(LETTERS, LETTERS);
}

TEST(accounts_come_and_go_on_a_failing_disk)
{
    each_call_of_kind_fails(furnish, directory_changes, ERR_IO, CALL_OPERATION);
    each_call_of_kind_fails(furnish, directory_changes, ERR_IO, CALL_INDEX);
}

/* ---- check ---- */

static void any_line(void *arg, Slice line)
{
    *(unsigned *)arg += line.len > 10;
}

/* What cannot be read is told, and is not taken for what is not there. */
PARKS static void check_and_repair(void *arg)
{
    Trial *t = arg;
    Store *store = NULL;
    CheckResult result;
    unsigned lines = 0;
    check_ok(store_open(S("store"), &options, &store));
    trial_begin(t);
    Err err = store_check(store, true, any_line, &lines, &result);
    trial_end(t);
    check_u64(lines, result.findings);
    if (!t->fails) check_ok(err);
    if (!t->fails) check_u64(result.findings, 0);
    if (t->fails && t->kind == CALL_INDEX) check(err || result.findings);
    store_close(store);
    look_again(LETTERS, LETTERS);
}

TEST(a_check_whose_reads_fail_damages_nothing)
{
    each_call_of_kind_fails(furnish, check_and_repair, ERR_IO, CALL_INDEX);
    each_call_of_kind_fails(furnish, check_and_repair, ERR_IO, CALL_READ);
}
