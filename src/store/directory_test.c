#include "store/local.h"
#include "store/test_world.h"

/* The directory of accounts when it is damaged, or an account is, while somebody waits for it. */

typedef struct {
    World w;
    Account *directory;
    uint32_t bob; /* at home where the test runs */
} Town;

PARKS static void town_open(Town *t)
{
    *t = (Town){0};
    world_open(&t->w, NULL);
    check_ok(account_load(t->w.store, 0, &t->directory));
    account_ref(t->directory);
    for (;;) {
        check_ok(store_create_account(t->w.store, S("bob"), &t->bob));
        if (store_home(t->w.store, t->bob) == loop_current()) return;
        check_ok(store_remove_account(t->w.store, S("bob")));
    }
}

PARKS static void town_close(Town *t)
{
    if (t->directory) account_close(t->directory);
    world_close(&t->w);
}

PARKS static Err create_late(Store *store)
{
    uint32_t acct;
    return store_create_account(store, S("late"), &acct);
}

PARKS static Err remove_bob(Store *store)
{
    return store_remove_account(store, S("bob"));
}

typedef struct {
    Store *store;
    Err (*run)(Store *store);
    Err err;
    bool is_over;
} Late;

PARKS static void run_late(void *arg)
{
    Late *l = arg;
    l->err = l->run(l->store);
    l->is_over = true;
}

/* It waits for its turn at that account, which is damaged when it comes. */
PARKS static Err while_it_waits(Town *t, Account *a, Err (*run)(Store *store))
{
    Late l = {.store = t->w.store, .run = run};
    Change c = {0};
    check_ok(change_begin_alone(a, &c));
    fiber_start("late", run_late, &l);
    fiber_sleep(20);
    check(!l.is_over);
    a->broken = ERR_CORRUPT;
    change_done(&c);
    while (!l.is_over)
        fiber_sleep(1);
    a->broken = OK;
    return l.err;
}

TEST(a_directory_that_breaks_while_somebody_waits)
{
    Town t;
    uint32_t acct;
    town_open(&t);
    check_err(while_it_waits(&t, t.directory, create_late), ERR_CORRUPT);
    check_err(while_it_waits(&t, t.directory, remove_bob), ERR_CORRUPT);
    check_ok(store_find_account(t.w.store, S("bob"), &acct));
    check_u64(acct, t.bob);
    Account *bobs = NULL; /* nothing has happened to it */
    check_ok(account_open(t.w.store, t.bob, &bobs));
    check_ok(mailbox_create(bobs, S("Still here"), ROLE_NONE));
    account_close(bobs);
    check_err(store_find_account(t.w.store, S("late"), &acct), ERR_NOT_FOUND);
    check_ok(create_late(t.w.store));
    town_close(&t);
}

PARKS static size_t removed_left(Town *t)
{
    Slice *ids;
    size_t count;
    Account *a scoped(account) = NULL;
    check_ok(account_load(t->w.store, 0, &a));
    account_ref(a);
    check_ok(object_list(a, S("removed"), (Slice){0}, 10, &t->w.arena, &ids, &count));
    return count;
}

/* It cannot be found any more; the rest goes when the store is opened. */
TEST(an_account_that_breaks_while_it_is_removed)
{
    Town t;
    uint32_t acct;
    Account *bobs = NULL;
    town_open(&t);
    check_ok(account_load(t.w.store, t.bob, &bobs));
    account_ref(bobs);
    check_err(while_it_waits(&t, bobs, remove_bob), ERR_CORRUPT);
    account_close(bobs);
    check_err(store_find_account(t.w.store, S("bob"), &acct), ERR_NOT_FOUND);
    check_u64(removed_left(&t), 1);
    account_close(t.directory);
    t.directory = NULL;
    world_reopen(&t.w);
    check_u64(removed_left(&t), 0);
    check_ok(store_create_account(t.w.store, S("bob"), &acct));
    check(acct != t.bob);
    town_close(&t);
}

TEST(a_damaged_directory_is_not_an_empty_one)
{
    Town t;
    Slice login, *logins;
    uint32_t *accts, acct;
    size_t count;
    Arena arena arena_scoped = {0};
    town_open(&t);
    t.directory->broken = ERR_CORRUPT;
    check_err(directory_login(t.w.store, t.bob, &arena, &login), ERR_CORRUPT);
    check_err(store_list_accounts(t.w.store, S(""), 10, &arena, &logins, &accts, &count),
              ERR_CORRUPT);
    check_err(store_find_account(t.w.store, S("carol"), &acct), ERR_CORRUPT);
    check_err(create_late(t.w.store), ERR_CORRUPT);
    t.directory->broken = OK;
    check_ok(directory_login(t.w.store, t.bob, &arena, &login));
    check_slice(login, S("bob"));
    town_close(&t);
}

/* Keys of objects as nobody writes them. */
TEST(an_account_with_strange_keys_can_be_removed)
{
    static const Slice keys[] = {S("onothing"), S("o\0id"), S("ocollection\0")};
    Town t;
    uint32_t acct;
    town_open(&t);
    check_ok(engine_checkpoint(t.w.store->engine));
    for (size_t i = 0; i < COUNT(keys); i++) {
        IndexChange c = {.key = key_page(&t.w.arena, t.bob, keys[i]), .value = S("x")};
        check_ok(index_write(t.w.store->engine->index, &c, 1));
    }
    check_ok(remove_bob(t.w.store));
    check_err(store_find_account(t.w.store, S("bob"), &acct), ERR_NOT_FOUND);
    check_u64(removed_left(&t), 0);
    town_close(&t);
}
