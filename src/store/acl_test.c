#include "store/test_world.h"

/* What a mailbox lets others do, and how they learn that it does. */

typedef struct {
    World w;
    uint32_t bob, eve;
    Account *bobs;
} Town;

/* Only accounts that are at home where the test runs may be asked directly. */
PARKS static void town_open(Town *t)
{
    *t = (Town){0};
    world_open(&t->w, NULL);
    for (char name[] = "bob"; !t->bobs; name[0]++) {
        check_ok(store_create_account(t->w.store, slice_of(name), &t->bob));
        if (store_home(t->w.store, t->bob) == loop_current())
            check_ok(account_open(t->w.store, t->bob, &t->bobs));
    }
    check_ok(store_create_account(t->w.store, S("eve"), &t->eve));
}

PARKS static void town_close(Town *t)
{
    account_close(t->bobs);
    world_close(&t->w);
}

PARKS static void grant(Town *t, const char *mailbox, Slice identifier, AclHow how, Rights rights)
{
    Mailbox *box scoped(mailbox) = world_box(&t->w, mailbox);
    check_ok(mailbox_set_acl(box, identifier, how, rights));
}

PARKS static Rights rights_of(Town *t, uint32_t who, const char *mailbox)
{
    Mailbox *box scoped(mailbox) = NULL;
    if (mailbox_open(t->w.account, who, slice_of(mailbox), &box)) return 0;
    return mailbox_rights(box);
}

TEST(rights_add_up_and_are_taken_away)
{
    Town t;
    town_open(&t);
    Slice bob = account_login(t.bobs);
    Buf minus buf_scoped = {0};
    buf_printf(&minus, "-%.*s", SP(bob));
    grant(&t, "Archive", bob, ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ);
    grant(&t, "Archive", bob, ACL_ADD, RIGHT_SEEN | RIGHT_WRITE);
    grant(&t, "Archive", bob, ACL_REMOVE, RIGHT_WRITE);
    grant(&t, "Archive", S("authenticated"), ACL_REPLACE, RIGHT_INSERT);
    grant(&t, "Archive", S("$team"), ACL_REPLACE, RIGHTS_ALL); /* means nothing to us */
    check_u64(rights_of(&t, t.bob, "Archive"),
              RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN | RIGHT_INSERT);
    grant(&t, "Archive", buf_slice(&minus), ACL_REPLACE, RIGHT_READ | RIGHT_INSERT);
    check_u64(rights_of(&t, t.bob, "Archive"), RIGHT_LOOKUP | RIGHT_SEEN);
    check_u64(rights_of(&t, t.eve, "Archive"), RIGHT_INSERT);
    grant(&t, "Archive", buf_slice(&minus), ACL_DELETE, 0);
    check_u64(rights_of(&t, t.bob, "Archive"),
              RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN | RIGHT_INSERT);
    town_close(&t);
}

TEST(the_owner_cannot_lock_himself_out)
{
    Town t;
    AclEntry *entries;
    size_t count;
    town_open(&t);
    Slice own = account_login(t.w.account);
    check_u64(rights_of(&t, t.w.acct, "Archive"), RIGHTS_ALL);
    grant(&t, "Archive", own, ACL_REPLACE, 0);
    grant(&t, "Archive", S("-anyone"), ACL_REPLACE, RIGHTS_ALL);
    check_u64(rights_of(&t, t.w.acct, "Archive"), RIGHT_LOOKUP | RIGHT_ADMIN);
    grant(&t, "Archive", S("-anyone"), ACL_DELETE, 0);
    Mailbox *box = world_box(&t.w, "Archive");
    check_ok(mailbox_acl(box, &t.w.arena, &entries, &count));
    check_u64(count, 1);
    check_slice(entries[0].identifier, own);
    check_u64(entries[0].rights, RIGHT_LOOKUP | RIGHT_ADMIN);
    mailbox_close(box);
    grant(&t, "Archive", own, ACL_DELETE, 0);
    check_u64(rights_of(&t, t.w.acct, "Archive"), RIGHTS_ALL);
    town_close(&t);
}

TEST(an_acl_is_inherited_and_moves_along)
{
    Town t;
    town_open(&t);
    Account *a = t.w.account;
    Slice bob = account_login(t.bobs);
    Rights few = RIGHT_LOOKUP | RIGHT_READ, more = few | RIGHT_CREATE | RIGHT_DELETE_MAILBOX;
    check_ok(mailbox_create(a, S("team"), ROLE_NONE));
    check_err(mailbox_create_as(a, t.bob, S("team/new"), ROLE_NONE), ERR_NOT_FOUND);
    check_err(mailbox_create_as(a, t.bob, S("top"), ROLE_NONE), ERR_NOT_FOUND);
    grant(&t, "team", bob, ACL_REPLACE, few);
    check_err(mailbox_create_as(a, t.bob, S("team/new"), ROLE_NONE), ERR_FORBIDDEN);
    check_err(mailbox_delete_as(a, t.bob, S("team")), ERR_FORBIDDEN);
    grant(&t, "team", bob, ACL_REPLACE, more);
    check_ok(mailbox_create_as(a, t.bob, S("team/new/deep"), ROLE_NONE));
    check_u64(rights_of(&t, t.bob, "team/new"), more);
    check_u64(rights_of(&t, t.bob, "team/new/deep"), more);
    check_err(mailbox_create_as(a, t.bob, S("team/new"), ROLE_NONE), ERR_EXISTS);
    check_err(mailbox_rename_as(a, t.bob, S("team/new"), S("elsewhere")), ERR_NOT_FOUND);
    check_ok(mailbox_rename_as(a, t.bob, S("team/new"), S("team/old")));
    account_close(t.bobs);
    world_reopen(&t.w);
    a = t.w.account;
    check_ok(account_open(t.w.store, t.bob, &t.bobs));
    check_u64(rights_of(&t, t.bob, "team/old/deep"), more);
    check_u64(rights_of(&t, t.eve, "team/old/deep"), 0);
    check_err(mailbox_delete_as(a, t.eve, S("team/old/deep")), ERR_NOT_FOUND);
    check_ok(mailbox_delete_as(a, t.bob, S("team/old/deep")));
    check_ok(mailbox_create(a, S("team/old/deep"), ROLE_NONE));
    town_close(&t);
}

PARKS static size_t shared_with_bob(Town *t, Slice *names)
{
    Shared *list;
    size_t count, n = 0;
    check_ok(account_shared(t->bobs, true, &t->w.arena, &list, &count));
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++, n++)
            *names = arena_printf(&t->w.arena, "%.*s %.*s:%.*s", SP(*names), SP(list[i].login),
                                  SP(list[i].entries[k].name));
    return n;
}

TEST(who_is_granted_something_is_told)
{
    Town t;
    town_open(&t);
    Slice bob = account_login(t.bobs), own = account_login(t.w.account), names = {0};
    uint32_t acct = 0;
    check_u64(shared_with_bob(&t, &names), 0);
    check_err(account_granted_by(t.bobs, own, &acct), ERR_NOT_FOUND);
    check_err(account_granted_by(t.bobs, S("nobody"), &acct), ERR_NOT_FOUND);
    grant(&t, "Archive", bob, ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Sent", S("anyone"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ);
    grant(&t, "Junk", bob, ACL_REPLACE, RIGHT_READ); /* to be used, not to be looked up */
    check_ok(account_granted_by(t.bobs, own, &acct));
    check_u64(acct, t.w.acct);
    check_u64(shared_with_bob(&t, &names), 2);
    check_slice(names, arena_printf(&t.w.arena, " %.*s:Archive %.*s:Sent", SP(own), SP(own)));
    account_close(t.bobs);
    world_reopen(&t.w);
    check_ok(account_open(t.w.store, t.bob, &t.bobs));
    own = account_login(t.w.account);
    check_u64(shared_with_bob(&t, &names), 2);
    grant(&t, "Sent", S("anyone"), ACL_DELETE, 0);
    grant(&t, "Junk", account_login(t.bobs), ACL_DELETE, 0);
    check_u64(shared_with_bob(&t, &names), 1);
    check_ok(mailbox_delete(t.w.account, S("Archive")));
    check_err(account_granted_by(t.bobs, own, &acct), ERR_NOT_FOUND);
    town_close(&t);
}

/* Somebody who has not logged in for the first time. */
PARKS static uint32_t born(Town *t, Slice login)
{
    uint32_t acct;
    do { /* numbers are given in turn: the next is at home here */
        check_ok(store_create_account(t->w.store, S("filler"), &acct));
        check_ok(store_remove_account(t->w.store, S("filler")));
    } while (store_home(t->w.store, acct + 1) != loop_current());
    check_ok(store_create_account(t->w.store, login, &acct));
    must(store_home(t->w.store, acct) == loop_current());
    return acct;
}

PARKS static size_t shared_with(Town *t, uint32_t acct)
{
    Account *a scoped(account) = NULL;
    Shared *list;
    size_t count, n = 0;
    check_ok(account_open(t->w.store, acct, &a));
    check_ok(account_shared(a, false, &t->w.arena, &list, &count));
    for (size_t i = 0; i < count; i++)
        n += list[i].count;
    return n;
}

/* Objects of the directory. */
PARKS static size_t waiting(Town *t, Slice collection)
{
    Account *a scoped(account) = NULL;
    Slice *ids;
    size_t count;
    must(store_home(t->w.store, 0) == loop_current());
    check_ok(account_load(t->w.store, 0, &a));
    account_ref(a);
    check_ok(object_list(a, collection, (Slice){0}, 10000, &t->w.arena, &ids, &count));
    return count;
}

TEST(a_grant_waits_for_an_account)
{
    Town t;
    uint32_t acct, by;
    town_open(&t);
    grant(&t, "Archive", S("late"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ);
    grant(&t, "Sent", S("late"), ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Junk", S("-later"), ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Archive", S("later"), ACL_REPLACE, RIGHT_LOOKUP);
    check_u64(waiting(&t, S("later")), 2);
    account_close(t.bobs);
    t.bobs = NULL;
    world_reopen(&t.w);
    acct = born(&t, S("late"));
    check_u64(waiting(&t, S("later")), 1);
    check_u64(waiting(&t, S("later by")), 1);
    check_u64(shared_with(&t, acct), 2);
    check_u64(rights_of(&t, acct, "Archive"), RIGHT_LOOKUP | RIGHT_READ);
    world_reopen(&t.w);
    check_u64(shared_with(&t, acct), 2);
    Account *late = NULL;
    check_ok(account_open(t.w.store, acct, &late));
    check_ok(account_granted_by(late, account_login(t.w.account), &by));
    account_close(late);
    check_u64(by, t.w.acct);
    town_close(&t);
}

/* From one of two mailboxes it still comes; given again the login inherits nothing. */
TEST(a_grant_that_waits_can_be_taken_back)
{
    Town t;
    town_open(&t);
    grant(&t, "Archive", S("late"), ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Sent", S("late"), ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Archive", S("late"), ACL_DELETE, 0);
    check_u64(waiting(&t, S("later")), 1);
    check_u64(shared_with(&t, born(&t, S("late"))), 1);
    check_ok(store_remove_account(t.w.store, S("late")));
    check_u64(shared_with(&t, born(&t, S("late"))), 0);
    check_ok(store_remove_account(t.w.store, S("late")));
    grant(&t, "Sent", S("late"), ACL_ADD, RIGHT_READ);
    check_u64(waiting(&t, S("later")), 1);
    check_ok(mailbox_delete(t.w.account, S("Sent")));
    check_u64(waiting(&t, S("later")), 0);
    check_u64(waiting(&t, S("later by")), 0);
    check_u64(shared_with(&t, born(&t, S("late"))), 0);
    town_close(&t);
}

TEST(what_waits_is_bounded_and_goes_with_its_owner)
{
    Town t;
    town_open(&t);
    Mailbox *box = NULL;
    check_ok(mailbox_open(t.bobs, t.bob, S("Archive"), &box));
    for (unsigned i = 0; i < 100; i++)
        check_ok(
            mailbox_set_acl(box, arena_printf(&t.w.arena, "late%u", i), ACL_REPLACE, RIGHT_LOOKUP));
    check_ok(mailbox_set_acl(box, S("late7"), ACL_ADD, RIGHT_READ));
    check_err(mailbox_set_acl(box, S("one more"), ACL_REPLACE, RIGHT_LOOKUP), ERR_LIMIT);
    check_ok(mailbox_set_acl(box, S("late7"), ACL_DELETE, 0));
    check_ok(mailbox_set_acl(box, S("one more"), ACL_REPLACE, RIGHT_LOOKUP));
    char name[256];
    memset(name, 'n', sizeof name); /* longer than a login can be, and nearly */
    check_ok(mailbox_set_acl(box, slice(name, 256), ACL_REPLACE, RIGHT_LOOKUP));
    check_ok(mailbox_set_acl(box, S("late8"), ACL_DELETE, 0));
    check_err(mailbox_set_acl(box, slice(name, 255), ACL_REPLACE, RIGHT_LOOKUP), ERR_LIMIT);
    mailbox_close(box);
    Slice bob = arena_copy(&t.w.arena, account_login(t.bobs));
    account_close(t.bobs);
    t.bobs = NULL;
    grant(&t, "Archive", S("late9"), ACL_REPLACE, RIGHT_LOOKUP);
    check_ok(store_remove_account(t.w.store, bob));
    check_u64(waiting(&t, S("later")), 1);
    check_u64(waiting(&t, S("later by")), 1);
    town_close(&t);
}

/* As a crash between hint and right leaves it, or an account that is gone. */
TEST(a_hint_that_leads_nowhere_is_removed)
{
    Town t;
    town_open(&t);
    Slice own = account_login(t.w.account), names = {0};
    Slice number = arena_printf(&t.w.arena, "%u", t.w.acct);
    uint32_t acct = 0;
    check_ok(object_put(t.bobs, S("granted"), own, number, NULL));
    check_ok(object_put(t.bobs, S("granted"), S("gone"), S("12345"), NULL));
    check_ok(account_granted_by(t.bobs, own, &acct));
    check_u64(shared_with_bob(&t, &names), 0);
    check_err(account_granted_by(t.bobs, own, &acct), ERR_NOT_FOUND);
    check_err(account_granted_by(t.bobs, S("gone"), &acct), ERR_NOT_FOUND);
    town_close(&t);
}

/* A login that is given again must not open what its last bearer was let into. */
TEST(a_login_given_again_inherits_nothing)
{
    Town t;
    uint32_t again, acct;
    town_open(&t);
    Slice bob = arena_copy(&t.w.arena, account_login(t.bobs)), own = account_login(t.w.account);
    grant(&t, "Archive", bob, ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ);
    account_close(t.bobs);
    t.bobs = NULL;
    check_ok(store_remove_account(t.w.store, bob));
    do
        check_ok(store_create_account(t.w.store, bob, &again));
    while (store_home(t.w.store, again) != loop_current() && !store_remove_account(t.w.store, bob));
    check_ok(account_open(t.w.store, again, &t.bobs));
    check_err(account_granted_by(t.bobs, own, &acct), ERR_NOT_FOUND);
    grant(&t, "Archive", bob, ACL_ADD, RIGHT_SEEN);
    check_ok(account_granted_by(t.bobs, own, &acct));
    town_close(&t);
}

/* Objects that say something else than hints and numbers do. */
TEST(hints_that_make_no_sense_are_passed_over)
{
    Town t;
    Account *directory = NULL;
    uint32_t acct;
    Slice names = {0};
    town_open(&t);
    Slice own = account_login(t.w.account);
    must(store_home(t.w.store, 0) == loop_current());
    check_ok(account_load(t.w.store, 0, &directory));
    account_ref(directory);
    static const char *const wrong[] = {"x", "99999999999", "0"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        Slice value = slice_of(wrong[i]);
        check_ok(object_put(t.bobs, S("granted"), own, value, NULL));
        check_ok(object_put(directory, S("granted"), own, value, NULL));
        if (i < 2) check_err(account_granted_by(t.bobs, own, &acct), ERR_NOT_FOUND);
        check_u64(shared_with_bob(&t, &names), 0);
        check_ok(object_put(directory, S("login"), S("late"), value, NULL));
        check_err(store_find_account(t.w.store, S("late"), &acct), ERR_CORRUPT);
        Mailbox *box = world_box(&t.w, "Archive");
        check_err(mailbox_set_acl(box, S("late"), ACL_REPLACE, RIGHT_READ), ERR_CORRUPT);
        mailbox_close(box);
    }
    check_ok(object_delete(directory, S("login"), S("late")));
    grant(&t, "Archive", account_login(t.bobs), ACL_REPLACE,
          RIGHT_LOOKUP); /* the hint is another's: anew */
    check_ok(account_granted_by(t.bobs, own, &acct));
    check_ok(object_put(directory, S("later"), S("late\0x"), S(""), NULL));
    check_ok(object_put(directory, S("later"), S("late\00099999999999"), S(""), NULL));
    check_ok(object_put(directory, S("later"), S("late\00077"), S(""), NULL)); /* who is gone */
    check_u64(shared_with(&t, born(&t, S("late"))), 0);
    check_err(store_create_account(t.w.store, S(""), &acct), ERR_SYNTAX);
    check_err(store_create_account(t.w.store, S("a\nb"), &acct), ERR_SYNTAX);
    char name[300];
    memset(name, 'n', sizeof name);
    check_err(store_create_account(t.w.store, slice(name, sizeof name), &acct), ERR_SYNTAX);
    account_close(directory);
    town_close(&t);
}

/* A directory that takes nothing. */
TEST(a_damaged_directory_makes_nobody)
{
    Town t;
    Account *directory = NULL;
    uint32_t acct;
    Annotations got;
    Shared *list;
    size_t count;
    town_open(&t);
    check_ok(account_load(t.w.store, 0, &directory));
    account_ref(directory);
    directory->broken = ERR_CORRUPT;
    check_err(store_create_account(t.w.store, S("new"), &acct), ERR_CORRUPT);
    check_err(store_find_account(t.w.store, S("new"), &acct), ERR_CORRUPT);
    check_err(store_remove_account(t.w.store, S("eve")), ERR_CORRUPT);
    check_err(store_annotations(t.w.store, &t.w.arena, &got), ERR_CORRUPT);
    check_err(account_shared(t.bobs, false, &t.w.arena, &list, &count), ERR_CORRUPT);
    Mailbox *box = world_box(&t.w, "Archive");
    check_err(mailbox_set_acl(box, S("new"), ACL_REPLACE, RIGHT_READ), ERR_CORRUPT);
    check_err(mailbox_set_acl(box, S("anyone"), ACL_REPLACE, RIGHT_READ), ERR_CORRUPT);
    mailbox_close(box);
    directory->broken = OK;
    account_close(directory);
    town_close(&t);
}

/* What lies below is told, own mailboxes are not, and a hint must fit who it names. */
TEST(who_shares_with_everybody_does_not_share_with_himself)
{
    Town t;
    Shared *list, one;
    size_t count;
    Slice names = {0};
    char name[NAME_MOST + 1];
    town_open(&t);
    Slice bob = account_login(t.bobs), own = account_login(t.w.account);
    check_ok(mailbox_create(t.w.account, S("Archive/kid"), ROLE_NONE));
    check_ok(mailbox_create(t.w.account, S("Archive/other"), ROLE_NONE));
    grant(&t, "Archive", S("anyone"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ);
    grant(&t, "Archive/other", bob, ACL_REPLACE, RIGHT_LOOKUP);
    grant(&t, "Archive/kid", own, ACL_REPLACE, RIGHT_READ);
    check_ok(account_shared(t.w.account, true, &t.w.arena, &list, &count));
    check_u64(count, 0);
    check_ok(account_shared_by(t.w.store, t.w.acct, t.w.acct, true, &t.w.arena, &one));
    check(one.count > 6);
    check_ok(account_shared_by(t.w.store, t.bob, t.bob, true, &t.w.arena, &one));
    check_u64(shared_with_bob(&t, &names), 2);
    check_ok(account_shared(t.bobs, true, &t.w.arena, &list, &count));
    check(count == 1 && list[0].entries[0].has_children);
    check_ok(object_put(t.bobs, S("granted"), S("somebody else"), /* a number that is another's */
                        arena_printf(&t.w.arena, "%u", t.w.acct), NULL));
    check_ok(object_put(t.bobs, S("granted"), S("a"), S("1"), NULL));
    (void)shared_with_bob(&t, &names);
    Mailbox *box = world_box(&t.w, "Archive");
    memset(name, 'n', sizeof name);
    check_err(mailbox_set_acl(box, slice(name, sizeof name), ACL_REPLACE, RIGHT_READ), ERR_SYNTAX);
    mailbox_close(box);
    town_close(&t);
}

/* Removals that the directory, or the account, stands in the way of. */
TEST(an_account_that_cannot_be_removed_stays)
{
    Town t;
    Account *directory = NULL;
    uint32_t acct;
    Slice value, number;
    town_open(&t);
    check_ok(account_load(t.w.store, 0, &directory));
    account_ref(directory);
    Slice bob = arena_copy(&t.w.arena, account_login(t.bobs));
    t.bobs->broken = ERR_CORRUPT;
    check_err(store_remove_account(t.w.store, bob), ERR_CORRUPT);
    t.bobs->broken = OK;
    number = arena_printf(&t.w.arena, "%u", t.bob + 1000);
    check_ok(object_put(directory, S("login"), bob, number, NULL));
    check_err(store_remove_account(t.w.store, bob), ERR_CONFLICT);
    number = arena_printf(&t.w.arena, "%u", t.bob);
    check_ok(object_put(directory, S("login"), bob, number, NULL));
    check_ok(account_set_deletion(t.bobs, &(Deletion){0})); /* it goes on */
    static const char *const counts[] = {"next", "validity"};
    for (size_t i = 0; i < COUNT(counts); i++) {
        Slice id = slice_of(counts[i]);
        Err err = object_get(directory, S("directory"), id, &t.w.arena, &value, NULL);
        check_ok(object_put(directory, S("directory"), id, S("x"), NULL));
        check_err(store_create_account(t.w.store, S("new"), &acct), ERR_CORRUPT);
        if (i) check_err(store_remove_account(t.w.store, bob), ERR_CORRUPT);
        if (err)
            check_ok(object_delete(directory, S("directory"), id));
        else
            check_ok(object_put(directory, S("directory"), id, value, NULL));
    }
    check_ok(object_put(directory, S("removed"), S("x"), S("who"), NULL));
    check_ok(object_put(directory, S("removed"), S("4000000"), S("who"), NULL));
    account_close(directory);
    account_close(t.bobs);
    t.bobs = NULL;
    world_reopen(&t.w); /* removals are finished */
    check_ok(store_remove_account(t.w.store, bob));
    check_err(store_remove_account(t.w.store, bob), ERR_NOT_FOUND);
    town_close(&t);
}

typedef struct {
    Town *t;
    uint32_t acct;
    bool is_over;
} Making;

PARKS static void make_late(void *arg)
{
    Making *m = arg;
    check_ok(store_create_account(m->t->w.store, S("late"), &m->acct));
    m->is_over = true;
}

/* It is unknown when it is looked for, and there when the hint is to wait for it. */
TEST(an_account_that_comes_while_it_is_granted_something)
{
    Town t;
    Making m = {.t = &t};
    bool known;
    town_open(&t);
    check_ok(store_remove_account(t.w.store, S("eve")));
    (void)born(&t, S("before"));
    do { /* the next number is at home here */
        check_ok(store_create_account(t.w.store, S("filler"), &m.acct));
        check_ok(store_remove_account(t.w.store, S("filler")));
    } while (store_home(t.w.store, m.acct + 1) != loop_current());
    fiber_start("maker", make_late, &m);
    fiber_sleep(0);
    check(!m.is_over);
    grant(&t, "Archive", S("late"), ACL_REPLACE, RIGHT_LOOKUP);
    while (!m.is_over)
        fiber_sleep(1);
    check_u64(waiting(&t, S("later")), 0);
    check_u64(shared_with(&t, m.acct), 1);
    check_ok(later_tell(t.w.store, S("late"), t.w.acct, true, &known));
    check(known);
    town_close(&t);
}

TEST(a_login_can_wait_for_so_many_only)
{
    Town t;
    Account *directory = NULL;
    bool known;
    town_open(&t);
    check_ok(account_load(t.w.store, 0, &directory));
    account_ref(directory);
    Change c = {0};
    check_ok(change_begin_alone(directory, &c));
    for (unsigned i = 0; i < 1000; i++)
        change_op(&c,
                  &(Op){.kind = OP_OBJECT,
                        .on = true,
                        .name = S("later"),
                        .id = arena_printf(&t.w.arena, "late%c%u", 0, 5000 + i),
                        .value = S("")},
                  NULL);
    check_ok(change_commit(&c));
    change_done(&c);
    check_err(later_tell(t.w.store, S("late"), t.w.acct, true, &known), ERR_LIMIT);
    check_ok(later_tell(t.w.store, S("lat"), t.w.acct, true, &known));
    directory->broken = ERR_CORRUPT;
    check_err(later_tell(t.w.store, S("la"), t.w.acct, true, &known), ERR_CORRUPT);
    directory->broken = OK;
    account_close(directory);
    town_close(&t);
}
