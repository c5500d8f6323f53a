#include "store/test_world.h"

/* What changes of messages refuse, and what becomes of those that are expunged, at the edges. */

PARKS static Err keyword(Mailbox *box, Slice name, ChangeHow how)
{
    Arena arena arena_scoped = {0};
    UidSet all = world_uids(&arena, 1, 100);
    FlagChange change = {
        .how = how, .keywords = {&name, 1}
    };
    uint64_t modseq;
    return mailbox_change(box, &all, &change, &arena, NULL, &modseq);
}

TEST(keywords_are_bounded)
{
    World w;
    char name[KEYWORD_MOST + 1];
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    memset(name, 'k', sizeof name);
    check_err(keyword(box, S(""), CHANGE_ADD), ERR_LIMIT);
    check_err(keyword(box, slice(name, sizeof name), CHANGE_ADD), ERR_LIMIT);
    check_ok(keyword(box, slice(name, sizeof name - 1), CHANGE_ADD));
    check_ok(keyword(box, S("one"), CHANGE_REPLACE));
    check_ok(keyword(box, S("one"), CHANGE_REPLACE)); /* nothing to do */
    for (uint32_t i = w.account->keywords.count; i < 4096; i++)
        text_table_add(&w.account->keywords, arena_printf(&w.arena, "fill%u", i));
    check_err(keyword(box, S("one too many"), CHANGE_ADD), ERR_LIMIT);
    mailbox_close(box);
    world_close(&w);
}

TEST(combinations_of_keywords_are_bounded)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    check_ok(keyword(box, S("one"), CHANGE_ADD));
    uint32_t count = w.account->kwset_count;
    w.account->kwset_count = 60001;
    check_err(keyword(box, S("new"), CHANGE_ADD), ERR_LIMIT);
    w.account->kwset_count = count;
    check_ok(keyword(box, S("new"), CHANGE_ADD));
    check_slice(world_show(&w, box), S("1one new"));
    mailbox_close(box);
    world_close(&w);
}

/* Of a damaged page: numbers that stand for nothing. */
TEST(keywords_that_nobody_has_defined_are_none)
{
    World w;
    OpNumbers none = {0};
    world_open(&w, NULL);
    Account *a = w.account;
    check_slice(account_keywords(a, 999), S(""));
    check(!kwset_has(a, 999, 1));
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    check_ok(keyword(box, S("one"), CHANGE_ADD));
    check_u64(kwset_change(a, 999, none, none, true), 0);
    check_u64(kwset_change(a, 1, none, none, false), 1);
    text_table_define(&a->keywords, 77, S("behind a gap"));
    check_u64(a->keywords.count, 1);
    check_u64(a->keywords.visible, 1);
    mailbox_close(box);
    world_close(&w);
}

/* RFC 4314 4: of a STORE the rights leave what they allow; of one that replaces, too. */
TEST(a_guest_replaces_what_he_may)
{
    World w;
    uint32_t guest;
    Mailbox *box = NULL;
    uint64_t modseq, none = 0;
    Deletion d = {.deleted_to_trash = true};
    FlagChange replace = {.how = CHANGE_REPLACE, .flags = FLAG_DELETED},
               mark = {.how = CHANGE_ADD, .flags = FLAG_DELETED, .unchanged_since = &none};
    world_open(&w, NULL);
    Mailbox *own = world_box(&w, "Archive");
    world_append(&w, own, "one", FLAG_FLAGGED | FLAG_ANSWERED);
    UidSet all = world_uids(&w.arena, 1, 9);
    check_ok(store_create_account(w.store, S("guest"), &guest));
    check_ok(
        mailbox_set_acl(own, S("guest"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ | RIGHT_WRITE));
    check_ok(mailbox_open(w.account, guest, S("Archive"), &box));
    check_ok(mailbox_change(box, &all, &replace, &w.arena, NULL, &modseq));
    check_slice(world_show(&w, own), S("1"));
    check_ok(mailbox_set_acl(own, S("guest"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    check_err(mailbox_change(box, &all, &replace, &w.arena, NULL, &modseq), ERR_FORBIDDEN);
    check_ok(account_set_deletion(w.account, &d)); /* who may not expunge only marks */
    check_ok(mailbox_set_acl(own, S("guest"), ACL_REPLACE,
                             RIGHT_LOOKUP | RIGHT_READ | RIGHT_DELETE_MESSAGE));
    check_ok(mailbox_change(box, &all, &mark, &w.arena, NULL, &modseq)); /* too late: nothing */
    check_slice(world_show(&w, own), S("1"));
    mark.unchanged_since = NULL;
    check_ok(mailbox_change(box, &all, &mark, &w.arena, NULL, &modseq));
    check_slice(world_show(&w, own), S("1D"));
    mailbox_close(box);
    mailbox_close(own);
    world_close(&w);
}

/* A mailbox that is Trash by its name only. */
TEST(what_is_marked_in_trash_stays_there)
{
    World w;
    Deletion d = {.deleted_to_trash = true};
    world_open(&w, NULL);
    check_ok(account_set_deletion(w.account, &d));
    Mailbox *trash = world_box(&w, "Trash");
    if (mailbox_status(trash).role != ROLE_NONE)
        check_ok(mailbox_set_role(w.account, S("Trash"), ROLE_NONE));
    world_append_many(&w, trash, 2);
    world_flag(trash, 1, 1, CHANGE_ADD, FLAG_DELETED);
    check_slice(world_show(&w, trash), S("1D 2"));
    mailbox_close(trash);
    world_close(&w);
}

TEST(uids_that_are_used_up_are_not_given)
{
    World w;
    CopyResult r;
    uint32_t uid;
    world_open(&w, NULL);
    Mailbox *from = world_box(&w, "INBOX"), *to = world_box(&w, "Archive"),
            *trash = world_box(&w, "Trash");
    world_append_many(&w, from, 3);
    UidSet all = world_uids(&w.arena, 1, 3);
    to->box->next_uid = trash->box->next_uid = UINT32_MAX - 2;
    check_err(mailbox_copy(from, &all, to, &w.arena, &r), ERR_LIMIT);
    check_err(mailbox_move(from, &all, to, &w.arena, &r), ERR_LIMIT);
    Deletion d = {.expunge_to_trash = true};
    check_ok(account_set_deletion(w.account, &d));
    check_err(mailbox_expunge(from, &all, true, &w.arena, NULL), ERR_LIMIT);
    Draft *draft scoped(draft) = NULL;
    DraftPlace place = {.uid = UINT32_MAX - 1};
    check_ok(draft_begin(w.store, 0, &draft));
    check_ok(draft_write(draft, S("x\r\n\r\n")));
    check_err(draft_commit(draft, from, &place, &uid), ERR_LIMIT);
    w.account->next_eid = UINT32_MAX - 1;
    check_err(draft_commit(draft, from, &(DraftPlace){0}, &uid), ERR_LIMIT);
    w.account->next_eid = w.account->h.next_eid;
    to->box->next_uid = trash->box->next_uid = 1;
    check_ok(mailbox_copy(from, &all, to, &w.arena, &r));
    UidSet none = world_uids(&w.arena, 50, 60);
    check_ok(mailbox_copy(from, &none, to, &w.arena, &r));
    check(!r.source.count);
    check_ok(mailbox_expunge(from, &none, true, &w.arena, NULL));
    check_ok(mailbox_expunge(from, NULL, false, &w.arena, NULL)); /* none is \Deleted */
    world_flag(from, 2, 2, CHANGE_ADD, FLAG_DELETED);
    check_ok(mailbox_expunge(from, &none, false, &w.arena, NULL));
    mailbox_close(from);
    mailbox_close(to);
    mailbox_close(trash);
    world_close(&w);
}

/* Without a Trash one is made, also when a client only marks. */
TEST(trash_is_made_when_it_is_missing)
{
    World w;
    Deletion d = {.expunge_to_trash = true, .deleted_to_trash = true};
    world_open(&w, NULL);
    check_ok(account_set_deletion(w.account, &d));
    check_ok(mailbox_delete(w.account, S("Trash")));
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 4);
    world_flag(box, 1, 1, CHANGE_ADD, FLAG_DELETED);
    Mailbox *trash = world_box(&w, "Trash");
    check_u64(mailbox_status(trash).exists, 1);
    world_flag(trash, 1, 1, CHANGE_ADD, FLAG_DELETED); /* there it is only marked */
    check_u64(mailbox_status(trash).deleted, 1);
    mailbox_close(trash);
    check_ok(mailbox_delete(w.account, S("Trash"))); /* its messages go for good */
    world_expunge(box, 2, 2);
    trash = world_box(&w, "Trash");
    check_u64(mailbox_status(trash).exists, 1);
    check_ok(mailbox_set_role(w.account, S("Trash"), ROLE_NONE)); /* it is still called so */
    world_expunge(box, 3, 3);
    check_u64(mailbox_status(trash).exists, 2);
    mailbox_close(trash);
    mailbox_close(box);
    world_close(&w);
}

/* More of them than one checkpoint takes, some still shown by a view. */
TEST(the_dead_are_purged_when_no_view_shows_them)
{
    World w;
    View *v = NULL;
    ViewNews news;
    Email *e;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 5);
    uint32_t eid = mailbox_message(box, 3)->eid;
    check_ok(view_open(box, false, &v));
    world_expunge(box, 1, 5);
    check(dead_is_due(w.account));
    check_ok(engine_checkpoint(store_engine(w.store)));
    check_ok(email_entry(w.account, eid, &e)); /* the view shows it */
    check(!dead_is_due(w.account));
    check_ok(engine_checkpoint(store_engine(w.store)));
    dead_clear(w.account, 4000000); /* of a page that there is not */
    dead_mark(w.account, 77777, 5); /* of an email that there is not: it goes */
    view_sync(v, true, &w.arena, &news);
    check_ok(engine_checkpoint(store_engine(w.store)));
    check_err(email_entry(w.account, eid, &e), ERR_EXPUNGED);
    dead_pages_trim(w.account);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

/* One that is in a mailbox after all is not purged. */
TEST(who_is_back_is_not_dead)
{
    World w;
    Email *e;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    uint32_t eid = mailbox_message(box, 1)->eid;
    dead_mark(w.account, eid, 5);
    check_ok(engine_checkpoint(store_engine(w.store)));
    check_ok(email_entry(w.account, eid, &e));
    mailbox_close(box);
    world_close(&w);
}

/* As many at once as one checkpoint takes, and the rest the next time. */
TEST(many_dead_are_purged_in_turns)
{
    enum { MANY = 9000, FIRST = 100000 };
    World w;
    world_open(&w, NULL);
    for (uint32_t i = 0; i < MANY; i++)
        dead_mark(w.account, FIRST + i, 5);
    dead_purge(w.account);
    check(dead_is_due(w.account));
    dead_purge(w.account);
    check(!dead_is_due(w.account));
    dead_purge(w.account);
    world_close(&w);
}
