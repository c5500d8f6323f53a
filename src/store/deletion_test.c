#include "store/test_world.h"

static PARKS void rules(World *w, const char *words)
{
    Deletion d = {0};
    check(deletion_parse(slice_of(words), &d));
    check_ok(account_set_deletion(w->account, &d));
}

static PARKS size_t kept(World *w, KeptMessage **list)
{
    size_t count;
    check_ok(account_kept(w->account, 0, 1000, &w->arena, list, &count));
    return count;
}

static PARKS size_t bring_back(World *w)
{
    UidSet all = world_uids(&w->arena, 1, 1000);
    size_t back;
    check_ok(account_undelete(w->account, &all, &w->arena, &back));
    return back;
}

static PARKS void no_findings(World *w)
{
    CheckResult r;
    check_ok(store_check(w->store, false, NULL, NULL, &r));
    check_u64(r.findings, 0);
}

TEST(words_of_a_deletion)
{
    static const struct {
        const char *text, *printed;
        bool good;
    } rows[] = {
        {"",                                    "expunge=gone keep=7 deleted=mark",    true },
        {"expunge=trash",                       "expunge=trash keep=7 deleted=mark",   true },
        {" keep=0  deleted=trash ",             "expunge=gone keep=0 deleted=trash",   true },
        {"keep=3650",                           "expunge=gone keep=3650 deleted=mark", true },
        {"keep=3651",                           "expunge=gone keep=7 deleted=mark",    false},
        {"keep=-1",                             "expunge=gone keep=7 deleted=mark",    false},
        {"keep=",                               "expunge=gone keep=7 deleted=mark",    false},
        {"later=yes expunge=trash",             "expunge=trash keep=7 deleted=mark",   false},
        {"expunge=trash expunge=gone",          "expunge=gone keep=7 deleted=mark",    true },
        {"deleted=trash deleted=mark keep=007", "expunge=gone keep=7 deleted=mark",    true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Deletion d = {.keep_days = 7};
        Buf printed buf_scoped = {0};
        check(deletion_parse(slice_of(rows[i].text), &d) == rows[i].good);
        deletion_print(&printed, &d);
        check_slice(buf_slice(&printed), slice_of(rows[i].printed));
    }
}

TEST(what_is_kept_goes_back_where_it_was)
{
    World w;
    KeptMessage *list;
    world_open(&w, &(StoreOptions){.undelete_days = 7});
    check_ok(mailbox_create(w.account, S("Work"), ROLE_NONE));
    check_ok(mailbox_create(w.account, S("Gone"), ROLE_NONE));
    check_ok(mailbox_create(w.account, S("Back"), ROLE_NONE));
    Mailbox *inbox = world_box(&w, "INBOX"), *work = world_box(&w, "Work");
    Mailbox *gone = world_box(&w, "Gone"), *back = world_box(&w, "Back");
    world_append(&w, inbox, "one", FLAG_SEEN | FLAG_DELETED);
    world_append(&w, work, "two", 0);
    world_append(&w, gone, "three", 0);
    world_append(&w, back, "four", FLAG_FLAGGED);
    world_expunge(inbox, 1, 1);
    world_expunge(work, 1, 1);
    world_expunge(back, 1, 1);
    check_ok(mailbox_rename(w.account, S("Work"), S("Play")));
    check_ok(mailbox_delete(w.account, S("Gone")));
    check_ok(mailbox_delete(w.account, S("Back")));
    check_ok(mailbox_create(w.account, S("Back"), ROLE_NONE));
    mailbox_close(gone);
    mailbox_close(back);
    check_u64(kept(&w, &list), 4);
    check_slice(list[0].folder, S("INBOX"));
    check_slice(list[1].folder, S("Play"));
    check_slice(list[2].folder, S("Back"));
    check_slice(list[3].folder, S("Gone"));
    check(!list[1].folder_is_gone && list[2].folder_is_gone && list[3].folder_is_gone);
    check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 0);
    no_findings(&w);
    check_u64(bring_back(&w), 4);
    check_slice(world_show(&w, inbox), S("2S 3"));
    check_slice(world_show(&w, work), S("2"));
    back = world_box(&w, "Back");
    check_slice(world_show(&w, back), S("1F"));
    check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 4);
    check_u64(kept(&w, &list), 0);
    mailbox_close(back);
    mailbox_close(work);
    mailbox_close(inbox);
    no_findings(&w);
    world_reopen(&w);
    check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 4);
    no_findings(&w);
    world_close(&w);
}

TEST(the_last_copy_is_kept_and_only_that)
{
    World w;
    KeptMessage *list;
    Arena a arena_scoped = {0};
    CopyResult r;
    world_open(&w, &(StoreOptions){.undelete_days = 7});
    Mailbox *inbox = world_box(&w, "INBOX"), *archive = world_box(&w, "Archive");
    world_append(&w, inbox, "one", 0);
    UidSet one = world_uids(&a, 1, 1);
    check_ok(mailbox_copy(inbox, &one, archive, &a, &r));
    check_ok(mailbox_copy(inbox, &one, inbox, &a, &r));
    world_expunge(archive, 1, 1); /* there are two more */
    check_u64(kept(&w, &list), 0);
    world_expunge(inbox, 1, 2); /* both at once */
    check_u64(kept(&w, &list), 1);
    check_u64(bring_back(&w), 1);
    check_slice(world_show(&w, inbox), S("3"));
    check_u64(bring_back(&w), 0);
    /* copied out of the view it is back, and does not come twice */
    world_expunge(inbox, 3, 3);
    w.store->options.deleted_view = S("Deleted");
    Mailbox *view = world_box(&w, "Deleted");
    UidSet all = world_uids(&a, 1, 100);
    check_ok(mailbox_copy(view, &all, inbox, &a, &r));
    check_u64(bring_back(&w), 0);
    check_err(mailbox_copy(inbox, &all, view, &a, &r), ERR_CANNOT);
    check_err(mailbox_expunge(view, NULL, true, &a, NULL), ERR_FORBIDDEN);
    mailbox_close(view);
    mailbox_close(archive);
    mailbox_close(inbox);
    no_findings(&w);
    world_close(&w);
}

TEST(what_is_kept_is_beside_the_quota)
{
    World w;
    KeptMessage *list;
    Arena a arena_scoped = {0};
    size_t back;
    world_open(&w, &(StoreOptions){.undelete_days = 7, .quota_messages = 2});
    Mailbox *inbox = world_box(&w, "INBOX");
    world_append(&w, inbox, "one", 0);
    world_append(&w, inbox, "two", 0);
    world_expunge(inbox, 1, 2);
    world_append(&w, inbox, "three", 0);
    UidSet all = world_uids(&a, 1, 100);
    check_err(account_undelete(w.account, &all, &a, &back), ERR_OVER_QUOTA);
    check_u64(kept(&w, &list), 2);
    world_expunge(inbox, 3, 3);
    check_u64(kept(&w, &list), 3);
    /* no more is kept than the quota allows: the oldest goes */
    const uint64_t limit[QUOTA_RESOURCES] = {[QUOTA_STORAGE] = list[1].size + list[2].size,
                                             [QUOTA_MESSAGE] = QUOTA_NONE,
                                             [QUOTA_MAILBOX] = QUOTA_NONE,
                                             [QUOTA_ANNOTATION] = QUOTA_NONE};
    check_ok(account_set_quota(w.account, limit));
    w.account->home->sweep_at_ms = 0;
    kept_sweep(w.account->home);
    check_u64(kept(&w, &list), 2);
    check_u64(list[0].uid, 2);
    rules(&w, "keep=0");
    w.account->home->sweep_at_ms = 0;
    kept_sweep(w.account->home);
    check_u64(kept(&w, &list), 0);
    mailbox_close(inbox);
    no_findings(&w);
    world_close(&w);
}

TEST(a_real_mailbox_hides_the_view)
{
    World w;
    MailboxEntry *entries;
    size_t count, found = 0;
    Mailbox *box = NULL;
    world_open(&w, &(StoreOptions){.deleted_view = S("Deleted")});
    check_err(mailbox_open(w.account, w.acct, S("Deleted"), &box), ERR_NOT_FOUND);
    check_ok(mailbox_create(w.account, S("Deleted"), ROLE_NONE));
    rules(&w, "keep=7");
    account_mailboxes(w.account, &w.arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        found += slice_eq(entries[i].name, S("Deleted")) && !entries[i].status.kept;
    check_u64(found, 1);
    check_u64(account_quota(w.account).used[QUOTA_MAILBOX], count);
    check_ok(mailbox_rename(w.account, S("Deleted"), S("Mine")));
    check_ok(mailbox_open(w.account, w.acct, S("Deleted"), &box));
    check(mailbox_status(box).kept);
    check_slice(mailbox_name(box), S("Deleted"));
    MailboxEntry entry;
    check(account_mailbox_id(w.account, mailbox_status(box).id, &entry));
    check_slice(entry.name, S("Deleted"));
    rules(&w, "keep=0");
    check(!account_mailbox_id(w.account, mailbox_status(box).id, &entry));
    rules(&w, "keep=7");
    check_u64(mailbox_rights(box), RIGHT_LOOKUP | RIGHT_READ);
    mailbox_close(box);
    check_err(mailbox_open(w.account, w.acct + 1, S("Deleted"), &box), ERR_NOT_FOUND);
    check_err(mailbox_delete(w.account, S("Deleted")), ERR_CANNOT);
    check_err(mailbox_create(w.account, S("Deleted/a/b"), ROLE_NONE), ERR_CANNOT);
    world_close(&w);
}
