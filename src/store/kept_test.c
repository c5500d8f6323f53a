#include "store/test_world.h"

/* What is kept, when its mailbox, its name or its email is not what it was; and who may see it. */

static const StoreOptions keeping = {
    .undelete_days = 7, .deleted_view = {"Deleted", 7}
};

static PARKS size_t kept(World *w, KeptMessage **list)
{
    size_t count;
    check_ok(account_kept(w->account, 0, 1000, &w->arena, list, &count));
    return count;
}

static PARKS size_t bring_back(World *w, uint32_t first, uint32_t last)
{
    UidSet uids = world_uids(&w->arena, first, last);
    size_t back;
    check_ok(account_undelete(w->account, &uids, &w->arena, &back));
    return back;
}

static PARKS void sweep(World *w)
{
    w->account->home->sweep_at_ms = 0;
    kept_sweep(w->account->home);
}

/* One message each of mailboxes x1 .. xn, which are deleted then. */
static PARKS void lose_mailboxes(World *w, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        Slice name = arena_printf(&w->arena, "x%u", i);
        Mailbox *box = world_box(w, arena_cstr(&w->arena, name));
        world_append(w, box, "kept", 0);
        mailbox_close(box);
        check_ok(mailbox_delete(w->account, name));
    }
}

static Slice id_of_name(World *w, uint32_t kept_uid)
{
    Box *b = box_by_name(w->account, KEPT_NAME);
    Email *e;
    check_ok(email_entry(w->account, box_message(b, kept_uid)->eid, &e));
    return arena_printf(&w->arena, "%08x", e->link.origin);
}

TEST(a_name_that_is_forgotten_or_unreadable_is_none)
{
    World w;
    KeptMessage *list;
    world_open(&w, &keeping);
    lose_mailboxes(&w, 3);
    check_u64(kept(&w, &list), 3);
    check_slice(list[2].folder, S("x3"));
    check_ok(object_delete(w.account, S("kept"), id_of_name(&w, 1)));
    check_ok(object_put(w.account, S("kept"), id_of_name(&w, 2), S("unreadable"), NULL));
    check_u64(kept(&w, &list), 3);
    for (int i = 0; i < 3; i++) {
        check(list[i].folder_is_gone);
        check_slice(list[i].folder, i == 2 ? S("x3") : S(""));
    }
    sweep(&w); /* the one that cannot be read is of no use */
    Slice value;
    check_err(object_get(w.account, S("kept"), id_of_name(&w, 2), &w.arena, &value, NULL),
              ERR_NOT_FOUND);
    check_ok(object_get(w.account, S("kept"), id_of_name(&w, 3), &w.arena, &value, NULL));
    check_ok(object_put(w.account, S("kept"), id_of_name(&w, 3), S("when x3"), NULL));
    sweep(&w);
    check_err(object_get(w.account, S("kept"), id_of_name(&w, 3), &w.arena, &value, NULL),
              ERR_NOT_FOUND);
    check_u64(bring_back(&w, 1, 3), 3);
    Mailbox *inbox = world_box(&w, "INBOX");
    check_slice(world_show(&w, inbox), S("1 2 3"));
    mailbox_close(inbox);
    world_close(&w);
}

/* An email whose link to the kept mailbox is not there: damage. It is shown, comes back to INBOX,
 * and goes with the first sweep. */
TEST(a_kept_message_that_its_email_does_not_know)
{
    World w;
    KeptMessage *list;
    world_open(&w, &keeping);
    lose_mailboxes(&w, 3);
    Box *b = box_by_name(w.account, KEPT_NAME);
    for (uint32_t uid = 1; uid <= 3; uid++) {
        Email *e;
        check_ok(email_entry(w.account, box_message(b, uid)->eid, &e));
        if (uid == 1) e->link.uid = 99;   /* another one of the kept */
        if (uid == 2) e->link.origin = 0; /* from nowhere */
        if (uid == 3) e->link_count = 0;
    }
    check_u64(kept(&w, &list), 3);
    check_u64(list[0].deleted, 0);
    check(list[1].deleted > 0 && list[1].folder_is_gone);
    check_slice(list[2].folder, S(""));
    check_u64(bring_back(&w, 1, 2), 2);
    Mailbox *inbox = world_box(&w, "INBOX");
    check_slice(world_show(&w, inbox), S("1 2"));
    mailbox_close(inbox);
    sweep(&w);
    check_u64(kept(&w, &list), 0);
    world_close(&w);
}

TEST(a_list_of_what_is_kept_goes_on_where_it_ended)
{
    World w;
    KeptMessage *list;
    size_t count;
    world_open(&w, &keeping);
    check_u64(bring_back(&w, 1, 9), 0);
    lose_mailboxes(&w, 3);
    check_ok(account_kept(w.account, 0, 2, &w.arena, &list, &count));
    check_u64(count, 2);
    check_ok(account_kept(w.account, list[1].uid, 2, &w.arena, &list, &count));
    check_u64(count, 1);
    check_ok(account_kept(w.account, UINT32_MAX, 2, &w.arena, &list, &count));
    check_u64(count, 0);
    Box *inbox = box_by_name(w.account, S("INBOX"));
    inbox->next_uid = UINT32_MAX - 2; /* as after a strange import */
    for (unsigned i = 1; i <= 3; i++)
        check_ok(object_delete(w.account, S("kept"), id_of_name(&w, i)));
    UidSet all = world_uids(&w.arena, 1, 9);
    check_err(account_undelete(w.account, &all, &w.arena, &count), ERR_LIMIT);
    inbox->next_uid = 1;
    check_u64(bring_back(&w, 1, 9), 3);
    world_close(&w);
    world_open(&w, NULL); /* an account that never kept anything */
    check_u64(bring_back(&w, 1, 9), 0);
    check_u64(kept(&w, &list), 0);
    world_close(&w);
}

/* Copied out of what is kept and expunged again: the same email is kept twice, and comes once. */
TEST(an_email_kept_twice_comes_back_once)
{
    World w;
    KeptMessage *list;
    CopyResult r;
    world_open(&w, &keeping);
    Mailbox *inbox = world_box(&w, "INBOX"), *view = NULL;
    world_append(&w, inbox, "one", 0);
    world_expunge(inbox, 1, 1);
    check_ok(mailbox_open(w.account, w.acct, S("Deleted"), &view));
    UidSet one = world_uids(&w.arena, 1, 1);
    check_ok(mailbox_copy(view, &one, inbox, &w.arena, &r));
    check_u64(kept(&w, &list), 1);
    world_expunge(inbox, 2, 2);
    check_u64(kept(&w, &list), 2);
    check_u64(list[0].eid, list[1].eid);
    check_slice(list[1].folder, S("INBOX"));
    check_u64(bring_back(&w, 1, 2), 1);
    check_slice(world_show(&w, inbox), S("3"));
    mailbox_close(view);
    mailbox_close(inbox);
    world_close(&w);
}

/* ---- the view among the mailboxes ---- */

static Slice list(World *w)
{
    MailboxEntry *entries;
    size_t count;
    Buf text buf_scoped = {0};
    account_mailboxes(w->account, &w->arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if (!entries[i].status.role || !entries[i].exists)
            buf_printf(&text, "%s%.*s%s", text.len ? " " : "", SP(entries[i].name),
                       entries[i].status.kept ? "*" : "");
    return arena_copy(&w->arena, buf_slice(&text));
}

TEST(the_view_is_listed_and_is_not_to_be_changed)
{
    World w;
    MailboxEntry e;
    Mailbox *box = NULL;
    Delivery to = {.mailbox = S("Deleted"), .create = true};
    Draft *d scoped(draft) = NULL;
    world_open(&w, &keeping);
    Account *a = w.account;
    check_slice(list(&w), S("Deleted*"));
    check(account_mailbox(a, S("Deleted"), &e));
    check(e.exists && e.status.kept);
    check_err(mailbox_rename(a, S("Deleted"), S("x")), ERR_CANNOT);
    check_err(mailbox_rename(a, S("Junk"), S("Deleted")), ERR_CANNOT);
    check_err(mailbox_set_role(a, S("Deleted"), ROLE_NONE), ERR_CANNOT);
    check_err(mailbox_set_role(a, KEPT_NAME, ROLE_NONE), ERR_SYNTAX);
    check_err(mailbox_set_uses(a, S("Deleted"), ROLE_NONE), ERR_NOT_FOUND);
    check_ok(mailbox_create(a, S("Deletedx"), ROLE_NONE)); /* not below it */
    check_ok(mailbox_create(a, S("Del"), ROLE_NONE));
    check_slice(list(&w), S("Del Deleted* Deletedx"));
    check_err(mailbox_open_lightly(a, S("Deleted"), &box), ERR_CANNOT);
    check_ok(draft_begin(w.store, 0, &d));
    check_ok(draft_write(d, S("Subject: x\r\n\r\n")));
    to.acct = w.acct;
    draft_deliver(d, &to, 1);
    check_ok(to.err); /* to INBOX instead */
    box = world_box(&w, "INBOX");
    check_slice(world_show(&w, box), S("1"));
    mailbox_close(box);
    world_close(&w);
}

/* ---- the sweep ---- */

TEST(more_than_one_record_holds_is_purged)
{
    World w;
    KeptMessage *list;
    world_open(&w, &keeping);
    Mailbox *inbox = world_box(&w, "INBOX");
    world_append_many(&w, inbox, 1003);
    world_expunge(inbox, 1, 1003);
    check_u64(kept(&w, &list), 1000);
    w.options.undelete_days = 0;
    mailbox_close(inbox);
    world_reopen(&w);
    sweep(&w);
    check_u64(kept(&w, &list), 0);
    check(w.account->home->sweep_at_ms > now_ms());
    sweep(&w);
    world_close(&w);
}

typedef struct {
    World *w;
    bool over;
} Sweeping;

static PARKS void sweep_meanwhile(void *arg)
{
    Sweeping *s = arg;
    sweep(s->w);
    s->over = true;
}

/* The sweep waits for its turn while somebody removes the account. */
TEST(an_account_is_emptied_while_it_is_to_be_swept)
{
    World w;
    world_open(&w, &keeping);
    lose_mailboxes(&w, 1);
    Sweeping s = {&w, false};
    Change c change_scoped = {0};
    check_ok(change_begin_alone(w.account, &c));
    fiber_start("sweep", sweep_meanwhile, &s);
    fiber_sleep(5);
    check(!s.over);
    uint32_t id = box_by_name(w.account, KEPT_NAME)->s.id;
    change_op(&c, &(Op){.kind = OP_DELETE, .mailbox = id}, NULL);
    check_ok(change_commit(&c));
    change_done(&c);
    while (!s.over)
        fiber_sleep(1);
    check(!box_by_name(w.account, KEPT_NAME));
    world_close(&w);
}

/* Each turn of the sweep is about a hundred accounts; the next goes on behind them. */
TEST(the_sweep_comes_to_all_accounts_in_turns)
{
    World w;
    uint32_t acct;
    world_open(&w, &keeping);
    Home *home = w.account->home;
    for (int i = 0; i < 100; i++)
        check_ok(store_create_account(w.store, arena_printf(&w.arena, "a%03d", i), &acct));
    sweep(&w);
    check_slice(home->swept, S("a099"));
    check(home->sweep_at_ms <= now_ms()); /* the keeper may have been there in between */
    sweep(&w);
    check_u64(home->swept.len, 0);
    home->stopping = true;
    sweep(&w); /* touches nobody */
    home->stopping = false;
    world_close(&w);
}
