#include "store/test_world.h"

/* What mailboxes may be called, who may make, rename and delete them, and what they are for. */

/* ---- names ---- */

static const struct {
    const char *name, *normal; /* NULL: refused */
} names[] = {
    {"inbox",              "INBOX"            },
    {"Inbox/x",            "INBOX/x"          },
    {"x/inbox",            "x/inbox"          },
    {"inboxes",            "inboxes"          },
    {"a/b c/d",            "a/b c/d"          },
    {"E\xcc\x81t\xc3\xa9", "\xc3\x89t\xc3\xa9"},
    {"",                   NULL               },
    {"/a",                 NULL               },
    {"a/",                 NULL               },
    {"a//b",               NULL               },
    {"a\x01",              NULL               },
    {"a\x7f",              NULL               },
    {"a\xc2\x85",          NULL               },
    {"a\xff",              NULL               },
    {"a\n",                NULL               },
};

TEST(names_are_checked_and_normal)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        Arena a arena_scoped = {0};
        Slice out;
        Err err = name_normal(&a, slice_of(names[i].name), &out);
        if (names[i].normal)
            check_slice(out, slice_of(names[i].normal));
        else
            check(err == ERR_SYNTAX);
    }
}

TEST(names_have_limits)
{
    Arena a arena_scoped = {0};
    Buf name buf_scoped = {0};
    Slice out;
    for (int i = 0; i < 50; i++)
        buf_printf(&name, "%sa", i ? "/" : "");
    check_ok(name_normal(&a, buf_slice(&name), &out));
    buf_add(&name, S("/a"));
    check_err(name_normal(&a, buf_slice(&name), &out), ERR_SYNTAX);
    buf_clear(&name);
    while (name.len < NAME_MOST)
        buf_char(&name, 'x');
    check_ok(name_normal(&a, buf_slice(&name), &out));
    buf_char(&name, 'x');
    check_err(name_normal(&a, buf_slice(&name), &out), ERR_SYNTAX);
}

/* "a! a/b+" : ! exists not, + subscribed, > has children. Without those every account starts with.
 */
static Slice list(World *w)
{
    MailboxEntry *entries;
    size_t count;
    Buf text buf_scoped = {0};
    account_mailboxes(w->account, &w->arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        MailboxEntry *e = &entries[i];
        if (e->exists && e->status.role) continue;
        buf_printf(&text, "%s%.*s%s%s%s", text.len ? " " : "", SP(e->name), e->exists ? "" : "!",
                   e->subscribed ? "+" : "", e->has_children ? ">" : "");
    }
    return arena_copy(&w->arena, buf_slice(&text));
}

TEST(mailboxes_are_created_with_their_parents)
{
    World w;
    world_open(&w, NULL);
    Account *a = w.account;
    check_ok(mailbox_create(a, S("x/y/z"), ROLE_NONE));
    check_slice(list(&w), S("x> x/y> x/y/z"));
    check_err(mailbox_create(a, S("x/y"), ROLE_NONE), ERR_EXISTS);
    check_err(mailbox_create(a, S("inbox"), ROLE_NONE), ERR_EXISTS);
    check_err(mailbox_create(a, S("x//y"), ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_create(a, S("sent too"), ROLE_SENT), ERR_EXISTS);
    check_ok(mailbox_delete(a, S("x/y")));
    check_slice(list(&w), S("x> x/y!> x/y/z"));
    check_ok(mailbox_delete(a, S("x/y/z")));
    check_slice(list(&w), S("x"));
    check_err(mailbox_delete(a, S("x/y/z")), ERR_NOT_FOUND);
    check_err(mailbox_delete(a, S("INBOX")), ERR_FORBIDDEN);
    world_reopen(&w);
    check_slice(list(&w), S("x"));
    world_close(&w);
}

TEST(subscriptions_are_names)
{
    World w;
    world_open(&w, NULL);
    for (int life = 0; life < 2; life++) {
        if (!life) {
            check_ok(mailbox_create(w.account, S("a"), ROLE_NONE));
            check_ok(mailbox_subscribe(w.account, S("a"), true));
            check_ok(mailbox_subscribe(w.account, S("ghost/b"), true));
            check_ok(mailbox_delete(w.account, S("a")));
        }
        check_slice(list(&w), S("a!+ ghost/b!+"));
        world_reopen(&w);
    }
    check_ok(mailbox_subscribe(w.account, S("a"), false));
    check_ok(mailbox_subscribe(w.account, S("a"), false));
    check_slice(list(&w), S("ghost/b!+"));
    world_close(&w);
}

TEST(rename_takes_the_children_along)
{
    World w;
    world_open(&w, NULL);
    Account *a = w.account;
    check_ok(mailbox_create(a, S("a/b/c"), ROLE_NONE));
    check_ok(mailbox_create(a, S("ab"), ROLE_NONE));
    Mailbox *c = world_box(&w, "a/b/c");
    uint32_t id = mailbox_status(c).id, validity = mailbox_status(c).uid_validity;
    world_append(&w, c, "stays", 0);
    check_ok(mailbox_subscribe(a, S("a/b/c"), true));
    check_err(mailbox_rename(a, S("a"), S("a/x")), ERR_CANNOT);
    check_err(mailbox_rename(a, S("a"), S("ab")), ERR_EXISTS);
    check_err(mailbox_rename(a, S("nobody"), S("x")), ERR_NOT_FOUND);
    check_ok(mailbox_rename(a, S("a"), S("new/a")));
    check_slice(list(&w), S("a/b/c!+ ab new> new/a> new/a/b> new/a/b/c+"));
    check_slice(mailbox_name(c), S("new/a/b/c"));
    world_append(&w, c, "goes on", 0);
    mailbox_close(c);
    world_reopen(&w);
    c = world_box(&w, "new/a/b/c");
    check_u64(mailbox_status(c).id, id);
    check_u64(mailbox_status(c).uid_validity, validity);
    check_slice(world_show(&w, c), S("1 2"));
    mailbox_close(c);
    world_close(&w);
}

TEST(renaming_inbox_moves_its_mail)
{
    World w;
    world_open(&w, NULL);
    Mailbox *inbox = world_box(&w, "INBOX");
    world_append_many(&w, inbox, 5);
    world_flag(inbox, 2, 3, CHANGE_ADD, FLAG_SEEN);
    world_expunge(inbox, 1, 1);
    check_ok(mailbox_rename(w.account, S("INBOX"), S("old/mail")));
    check_u64(mailbox_status(inbox).exists, 0);
    Mailbox *old = world_box(&w, "old/mail");
    check_slice(world_show(&w, old), S("2S 3S 4 5"));
    check_u64(world_append(&w, inbox, "more", 0), 6);
    mailbox_close(inbox);
    mailbox_close(old);
    world_close(&w);
}

TEST(a_mailbox_made_again_is_another_one)
{
    World w;
    world_open(&w, NULL);
    Mailbox *first = world_box(&w, "x");
    MailboxStatus was = mailbox_status(first);
    world_append(&w, first, "old", 0);
    mailbox_close(first);
    check_ok(mailbox_delete(w.account, S("x")));
    Mailbox *second = world_box(&w, "x");
    check(mailbox_status(second).id != was.id);
    check(mailbox_status(second).uid_validity > was.uid_validity);
    check_u64(mailbox_status(second).exists, 0);
    mailbox_close(second);
    world_close(&w);
}

TEST(roles_belong_to_one_mailbox)
{
    World w;
    world_open(&w, NULL);
    check_ok(mailbox_create(w.account, S("Spam"), ROLE_NONE));
    check_err(mailbox_set_role(w.account, S("Spam"), ROLE_JUNK), ERR_EXISTS);
    check_ok(mailbox_set_role(w.account, S("Junk"), ROLE_NONE));
    check_ok(mailbox_set_role(w.account, S("Spam"), ROLE_JUNK));
    check_err(mailbox_set_role(w.account, S("Spam"), ROLE_INBOX), ERR_FORBIDDEN);
    check_err(mailbox_set_role(w.account, S("INBOX"), ROLE_NONE), ERR_FORBIDDEN);
    Mailbox *box = world_box(&w, "Spam");
    check_u64(mailbox_status(box).role, ROLE_JUNK);
    mailbox_close(box);
    world_close(&w);
}

TEST(roles_can_be_combined_and_taken_apart)
{
    Role both = role_with(role_with(ROLE_NONE, ROLE_SENT), ROLE_DRAFTS);
    check(role_has(both, ROLE_SENT) && role_has(both, ROLE_DRAFTS));
    check(!role_has(both, ROLE_TRASH) && !role_has(both, ROLE_NONE));
    check(role_without(both, ROLE_SENT) == ROLE_DRAFTS);
    check(role_without(both, role_with(both, ROLE_JUNK)) == ROLE_NONE);
    check(role_without(ROLE_INBOX, both) == ROLE_INBOX);
    check(!role_can_combine(ROLE_ALL) && !role_can_combine(ROLE_INBOX));
}

TEST(a_role_moves_to_the_mailbox_it_is_given_to)
{
    World w;
    world_open(&w, NULL);
    Mailbox *sent = world_box(&w, "Sent"), *both = NULL;
    check_ok(mailbox_create_for(w.account, S("Both"), role_with(ROLE_SENT, ROLE_JUNK)));
    check(mailbox_status(sent).role == ROLE_NONE);
    mailbox_close(sent);
    world_reopen(&w);
    both = world_box(&w, "Both");
    check(mailbox_status(both).role == role_with(ROLE_SENT, ROLE_JUNK));
    check_ok(mailbox_set_uses(w.account, S("Sent"), ROLE_SENT));
    check(mailbox_status(both).role == ROLE_JUNK);
    check_err(mailbox_create_for(w.account, S("All"), ROLE_ALL), ERR_FORBIDDEN);
    check_err(mailbox_set_uses(w.account, S("INBOX"), ROLE_SENT), ERR_FORBIDDEN);
    check_err(mailbox_create(w.account, S("x"), ROLE_JUNK), ERR_EXISTS);
    mailbox_close(both);
    world_close(&w);
}

/* NFC may make a name longer: U+0958 has no composed form and becomes two characters. */
TEST(a_name_that_grows_beyond_the_limit_is_refused)
{
    Arena a arena_scoped = {0};
    Buf name buf_scoped = {0};
    Slice out;
    for (int i = 0; i < 160; i++)
        buf_add(&name, S("\xe0\xa5\x98"));
    check_ok(name_normal(&a, buf_slice(&name), &out));
    check_u64(out.len, 960);
    for (int i = 0; i < 20; i++)
        buf_add(&name, S("\xe0\xa5\x98"));
    check_err(name_normal(&a, buf_slice(&name), &out), ERR_SYNTAX);
}

TEST(bad_names_are_refused_by_every_verb)
{
    World w;
    Mailbox *box = NULL;
    world_open(&w, NULL);
    Account *a = w.account;
    Slice bad = S("a//b");
    check_err(mailbox_create(a, bad, ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_create_for(a, bad, ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_delete(a, bad), ERR_SYNTAX);
    check_err(mailbox_rename(a, bad, S("x")), ERR_SYNTAX);
    check_err(mailbox_rename(a, S("Sent"), bad), ERR_SYNTAX);
    check_err(mailbox_subscribe(a, bad, true), ERR_SYNTAX);
    check_err(mailbox_set_role(a, bad, ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_set_uses(a, bad, ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_open(a, w.acct, bad, &box), ERR_NOT_FOUND);
    world_close(&w);
}

/* Somebody who has been removed meanwhile, or never was. */
TEST(nobody_can_do_nothing)
{
    World w;
    Mailbox *box = NULL;
    world_open(&w, NULL);
    Account *a = w.account;
    uint32_t nobody = 4242, id = a->boxes[0]->s.id;
    check_err(mailbox_create_as(a, nobody, S("x"), ROLE_NONE), ERR_NOT_FOUND);
    check_err(mailbox_delete_as(a, nobody, S("Sent")), ERR_NOT_FOUND);
    check_err(mailbox_rename_as(a, nobody, S("Sent"), S("x")), ERR_NOT_FOUND);
    check_err(mailbox_open(a, nobody, S("Sent"), &box), ERR_NOT_FOUND);
    check_err(mailbox_open_id(a, nobody, id, &box), ERR_NOT_FOUND);
    check_err(mailbox_open_id(a, w.acct, 4242, &box), ERR_NOT_FOUND);
    check_ok(mailbox_open_id(a, w.acct, id, &box));
    mailbox_close(box);
    world_close(&w);
}

TEST(a_guest_makes_and_moves_what_the_acl_lets_him)
{
    World w;
    uint32_t bob;
    world_open(&w, NULL);
    Account *a = w.account;
    check_ok(store_create_account(w.store, S("bob"), &bob));
    check_ok(mailbox_create(a, S("his/x"), ROLE_NONE));
    Mailbox *his = world_box(&w, "his"), *inbox = world_box(&w, "INBOX");
    check_err(mailbox_create_as(a, bob, S("top"), ROLE_NONE), ERR_NOT_FOUND);
    check_err(mailbox_create_as(a, bob, S("his/y"), ROLE_NONE), ERR_NOT_FOUND);
    check_ok(mailbox_set_acl(his, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_CREATE));
    check_ok(mailbox_create_as(a, bob, S("his/y"), ROLE_NONE));
    check_err(mailbox_rename_as(a, bob, S("his/x"), S("his/z")), ERR_NOT_FOUND);
    Mailbox *x = world_box(&w, "his/x");
    check_ok(mailbox_set_acl(x, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_DELETE_MAILBOX));
    check_ok(mailbox_rename_as(a, bob, S("his/x"), S("his/z")));
    check_err(mailbox_rename_as(a, bob, S("his/z"), S("z")), ERR_NOT_FOUND);
    check_ok(mailbox_set_acl(inbox, S("bob"), ACL_REPLACE, RIGHTS_ALL));
    check_err(mailbox_rename_as(a, bob, S("INBOX"), S("his/inbox")), ERR_FORBIDDEN);
    /* a level that is no mailbox: only its owner renames what is below */
    check_ok(mailbox_delete(a, S("his")));
    check_err(mailbox_rename_as(a, bob, S("his"), S("INBOX/his")), ERR_NOT_FOUND);
    check_ok(mailbox_rename(a, S("his"), S("mine")));
    check_slice(list(&w), S("mine!> mine/y mine/z"));
    mailbox_close(x);
    mailbox_close(his);
    mailbox_close(inbox);
    world_close(&w);
}

/* What a child would be called is too long, too deep, or taken. */
TEST(a_rename_must_fit_the_children_too)
{
    World w;
    Buf child buf_scoped = {0}, to buf_scoped = {0};
    world_open(&w, NULL);
    Account *a = w.account;
    buf_add(&child, S("a/"));
    while (child.len < NAME_MOST - 10)
        buf_char(&child, 'x');
    check_ok(mailbox_create(a, buf_slice(&child), ROLE_NONE));
    check_err(mailbox_rename(a, S("a"), S("a name that is longer")), ERR_SYNTAX);
    check_ok(mailbox_create(a, S("b/1/2/3/4/5/6/7/8/9/10"), ROLE_NONE));
    for (int i = 0; i < 42; i++)
        buf_printf(&to, "%sc", i ? "/" : "");
    check_err(mailbox_rename(a, S("b"), buf_slice(&to)), ERR_SYNTAX);
    check_ok(mailbox_create(a, S("c/1"), ROLE_NONE));
    check_ok(mailbox_delete(a, S("c")));
    check_err(mailbox_rename(a, S("b"), S("c")), ERR_EXISTS);
    check_ok(mailbox_rename(a, S("b"), S("d")));
    world_close(&w);
}

TEST(an_inbox_that_never_had_mail_is_renamed)
{
    World w;
    world_open(&w, NULL);
    check_ok(mailbox_rename(w.account, S("INBOX"), S("old")));
    Mailbox *inbox = world_box(&w, "INBOX"), *old = world_box(&w, "old");
    check_u64(mailbox_status(inbox).uid_next, 1);
    check_u64(mailbox_status(old).exists, 0);
    mailbox_close(inbox);
    mailbox_close(old);
    world_close(&w);
}

/* ---- two fibers ---- */

typedef struct {
    Account *account;
    bool on;
    unsigned left;
} Subscribing;

static PARKS void subscribe(void *arg)
{
    Subscribing *s = arg;
    check_ok(mailbox_subscribe(s->account, S("both"), s->on));
    s->left--;
}

/* What the first has asked for is not visible when the second asks for the same. */
TEST(two_subscribe_to_one_name_at_once)
{
    World w;
    world_open(&w, NULL);
    for (int on = 1; on >= 0; on--) {
        Subscribing s = {w.account, on, 2};
        fiber_start("one", subscribe, &s);
        fiber_start("other", subscribe, &s);
        while (s.left)
            fiber_sleep(1);
        check_slice(list(&w), on ? S("both!+") : S(""));
    }
    world_close(&w);
}

/* ---- one mailbox of the list ---- */

TEST(one_entry_says_what_the_list_says)
{
    World w;
    MailboxEntry e;
    world_open(&w, NULL);
    Account *a = w.account;
    check_ok(mailbox_create(a, S("a/b"), ROLE_NONE));
    check_ok(mailbox_subscribe(a, S("ghost"), true));
    check(account_mailbox(a, S("a/b"), &e));
    check(e.exists && !e.subscribed && !e.has_children);
    check_u64(e.status.uid_next, 1);
    check(account_mailbox_id(a, e.status.id, &e));
    check_slice(e.name, S("a/b"));
    check(account_mailbox(a, S("ghost"), &e));
    check(!e.exists && e.subscribed);
    check_ok(mailbox_delete(a, S("a")));
    check(account_mailbox(a, S("a"), &e));
    check(!e.exists && e.has_children);
    check(!account_mailbox(a, S("nothing"), &e));
    check(!account_mailbox_id(a, 4242, &e));
    world_close(&w);
}

/* The directory is an account without mailboxes. */
static PARKS void list_directory(void *arg)
{
    World *w = arg;
    MailboxEntry *entries;
    Account *directory;
    size_t count = 1;
    check_ok(account_load(w->store, 0, &directory));
    account_mailboxes(directory, &w->arena, &entries, &count);
    check_u64(count, 0);
}

TEST(a_list_may_be_empty)
{
    World w;
    world_open(&w, NULL);
    loop_call(store_home(w.store, 0), list_directory, &w);
    world_close(&w);
}

TEST(roles_that_cannot_be_had)
{
    World w;
    world_open(&w, &(StoreOptions){.undelete_days = 7});
    Account *a = w.account;
    check_err(mailbox_create(a, S("x"), ROLE_INBOX), ERR_FORBIDDEN);
    check_err(mailbox_create(a, S("x"), ROLE_KEPT), ERR_FORBIDDEN);
    check_err(mailbox_set_role(a, S("nothing"), ROLE_SENT), ERR_NOT_FOUND);
    check_err(mailbox_set_uses(a, S("nothing"), ROLE_SENT), ERR_NOT_FOUND);
    check_err(mailbox_set_uses(a, S("Sent"), ROLE_FLAGGED), ERR_FORBIDDEN);
    check_ok(mailbox_set_uses(a, S("Sent"), ROLE_NONE));
    check_ok(mailbox_create_for(a, S("plain"), ROLE_NONE));
    check_err(mailbox_create_for(a, S("plain"), ROLE_SENT), ERR_EXISTS);
    world_close(&w);
}
