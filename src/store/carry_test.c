#include "store/test_world.h"

/* Messages that go from one account into another, and flags that go along as far as the rights
 * allow. */

typedef struct {
    World w;
    uint32_t bob;
    Account *bobs; /* at home where the test runs, unless `far` */
} Pair;

PARKS static void pair_open(Pair *p)
{
    *p = (Pair){0};
    world_open(&p->w, NULL);
    for (char name[] = "bob"; !p->bobs; name[0]++) {
        check_ok(store_create_account(p->w.store, slice_of(name), &p->bob));
        if (store_home(p->w.store, p->bob) == loop_current())
            check_ok(account_open(p->w.store, p->bob, &p->bobs));
    }
}

PARKS static void pair_close(Pair *p)
{
    account_close(p->bobs);
    world_close(&p->w);
}

/* Three messages with flags and keywords in the first account's Archive. */
PARKS static Mailbox *three(Pair *p)
{
    Mailbox *box = world_box(&p->w, "Archive");
    world_append_many(&p->w, box, 3);
    world_flag(box, 1, 1, CHANGE_ADD, FLAG_SEEN | FLAG_FLAGGED);
    world_flag(box, 3, 3, CHANGE_ADD, FLAG_DELETED | FLAG_ANSWERED);
    world_keyword(box, 1, CHANGE_ADD, "$Forwarded");
    world_keyword(box, 1, CHANGE_ADD, "work");
    return box;
}

PARKS static Mailbox *bobs_inbox(Pair *p, uint32_t who)
{
    Mailbox *box = NULL;
    check_ok(mailbox_open(p->bobs, who, S("INBOX"), &box));
    return box;
}

TEST(a_copy_into_another_account_is_whole)
{
    Pair p;
    CopyResult r = {0};
    pair_open(&p);
    Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHTS_ALL));
    Mailbox *to = bobs_inbox(&p, p.w.acct);
    UidSet uids = world_uids(&p.w.arena, 1, 5);
    check_ok(mailbox_copy(from, &uids, to, &p.w.arena, &r));
    check_slice(world_print(&p.w, &r.source), S("1:3"));
    check_slice(world_print(&p.w, &r.copies), S("1:3"));
    check_u64(r.uid_validity, mailbox_status(to).uid_validity);
    check_slice(world_show(&p.w, to), S("1SF$Forwarded work 2 3AD"));
    check_slice(world_show(&p.w, inbox), S("1F$Forwarded work 2 3AD")); /* bob has seen nothing */
    for (uint32_t uid = 1; uid <= 3; uid++) {
        const Message *old = mailbox_message(from, uid), *new = mailbox_message(inbox, uid);
        char a[4096], b[4096];
        uint32_t size = old->size, old_eid = old->eid, new_eid = new->eid;
        check(size == new->size && old->date == new->date &&size < sizeof a);
        check_ok(email_read(p.w.account, old_eid, 0, a, size));
        check_ok(email_read(p.bobs, new_eid, 0, b, size));
        check(!memcmp(a, b, size));
    }
    check_u64(account_quota(p.bobs).used[QUOTA_MESSAGE], 3);
    mailbox_close(to);
    mailbox_close(inbox);
    mailbox_close(from);
    pair_close(&p);
}

TEST(a_move_into_another_account_leaves_nothing)
{
    Pair p;
    CopyResult r = {0};
    pair_open(&p);
    Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHT_INSERT));
    Mailbox *to = bobs_inbox(&p, p.w.acct);
    UidSet uids = world_uids(&p.w.arena, 2, 3);
    check_ok(mailbox_move(from, &uids, to, &p.w.arena, &r));
    check_slice(world_print(&p.w, &r.source), S("2:3"));
    check_slice(world_show(&p.w, from), S("1SF$Forwarded work"));
    check_slice(world_show(&p.w, inbox), S("1 2")); /* no right to set a flag */
    mailbox_close(to);
    mailbox_close(inbox);
    mailbox_close(from);
    account_close(p.bobs);
    world_reopen(&p.w);
    check_ok(account_open(p.w.store, p.bob, &p.bobs));
    inbox = bobs_inbox(&p, p.bob);
    check_slice(world_show(&p.w, inbox), S("1 2"));
    mailbox_close(inbox);
    pair_close(&p);
}

TEST(a_copy_that_does_not_fit_leaves_nothing)
{
    Pair p;
    CopyResult r = {0};
    pair_open(&p);
    Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
    UidSet uids = world_uids(&p.w.arena, 1, 3);
    uint64_t limit[QUOTA_RESOURCES];
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        limit[i] = QUOTA_NONE;
    limit[QUOTA_MESSAGE] = 2;
    Mailbox *to = NULL;
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHT_LOOKUP));
    to = bobs_inbox(&p, p.w.acct);
    check_err(mailbox_copy(from, &uids, to, &p.w.arena, &r), ERR_FORBIDDEN);
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_ADD, RIGHT_INSERT));
    check_ok(account_set_quota(p.bobs, limit));
    check_err(mailbox_move(from, &uids, to, &p.w.arena, &r), ERR_OVER_QUOTA);
    check_slice(world_show(&p.w, inbox), S(""));
    check_slice(world_show(&p.w, from), S("1SF$Forwarded work 2 3AD"));
    mailbox_close(to);
    mailbox_close(inbox);
    mailbox_close(from);
    pair_close(&p);
}

/* RFC 4314 4: "the server MUST NOT fail a COPY/APPEND if the user has no rights to set a flag". */
TEST(a_copy_has_the_flags_that_the_rights_allow)
{
    static const struct {
        Rights rights;
        const char *his, *mine;
    } rows[] = {
        {RIGHT_INSERT,                        "1 2 3",                  "1S 2 3"                 },
        {RIGHT_INSERT | RIGHT_WRITE,          "1F$Forwarded work 2 3A", "1SF$Forwarded work 2 3A"},
        {RIGHT_INSERT | RIGHT_DELETE_MESSAGE, "1 2 3D",                 "1S 2 3D"                },
        {RIGHT_INSERT | RIGHT_SEEN,           "1 2S 3",                 "1S 2 3"                 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Pair p;
        CopyResult r = {0};
        pair_open(&p);
        Slice bob = account_login(p.bobs);
        Mailbox *mine = three(&p), *target = world_box(&p.w, "Sent"), *from = NULL, *to = NULL;
        check_ok(mailbox_set_acl(mine, bob, ACL_REPLACE, RIGHT_READ | RIGHT_SEEN));
        check_ok(mailbox_set_acl(target, bob, ACL_REPLACE, rows[i].rights | RIGHT_READ));
        check_ok(mailbox_open(p.w.account, p.bob, S("Archive"), &from));
        check_ok(mailbox_open(p.w.account, p.bob, S("Sent"), &to));
        world_flag(from, 2, 2, CHANGE_ADD, FLAG_SEEN); /* what bob has seen */
        UidSet uids = world_uids(&p.w.arena, 1, 3);
        check_ok(mailbox_copy(from, &uids, to, &p.w.arena, &r));
        check_slice(world_show(&p.w, to), slice_of(rows[i].his));
        check_slice(world_show(&p.w, target), slice_of(rows[i].mine));
        mailbox_close(to);
        mailbox_close(from);
        mailbox_close(target);
        mailbox_close(mine);
        pair_close(&p);
    }
}

/* Shared annotations go where there is the right to set them, private ones where it can be read. */
TEST(annotations_go_along_as_the_rights_allow)
{
    static const struct {
        Rights rights;
        size_t count;
    } rows[] = {
        {RIGHT_INSERT,                               2},
        {RIGHT_INSERT | RIGHT_READ,                  2},
        {RIGHT_INSERT | RIGHT_READ | RIGHT_ANNOTATE, 2},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Pair p;
        CopyResult r = {0};
        Annotations got;
        uint64_t modseq;
        pair_open(&p);
        Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
        Annotation notes[] = {
            {S("/comment"), S("mine"), false},
            {S("/comment"), S("ours"), true }
        };
        UidSet two = world_uids(&p.w.arena, 2, 2), some = world_uids(&p.w.arena, 1, 1);
        uidset_add(&p.w.arena, &some, 3, 3);
        check_ok(mailbox_annotate_messages(from, &some, &(Annotations){notes, 2}, NULL, &p.w.arena,
                                           NULL, &modseq));
        check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, rows[i].rights));
        Mailbox *to = bobs_inbox(&p, p.w.acct);
        check_ok(mailbox_copy(from, &some, to, &p.w.arena, &r));
        check_slice(world_print(&p.w, &r.source), S("1,3"));
        const Message *m = mailbox_message(inbox, 1);
        Message copy = *m;
        check_ok(message_annotations(inbox, &copy, &p.w.arena, &got));
        bool reads = rows[i].rights & RIGHT_READ, sets = rows[i].rights & RIGHT_ANNOTATE;
        check_u64(got.count, sets); /* his private one is not bob's */
        if (reads) check_ok(message_annotations(to, &copy, &p.w.arena, &got));
        if (reads) check_u64(got.count, 1u + sets);
        check_ok(mailbox_copy(from, &two, to, &p.w.arena, &r));
        mailbox_close(to);
        mailbox_close(inbox);
        mailbox_close(from);
        pair_close(&p);
    }
}

/* Handles that are good for nothing, a body that cannot be read, no message at all. */
TEST(what_cannot_be_carried_leaves_nothing)
{
    Pair p;
    CopyResult r = {0};
    EmailPage *page;
    pair_open(&p);
    Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob), *gone = NULL, *guest = NULL;
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHTS_ALL));
    Mailbox *to = bobs_inbox(&p, p.w.acct);
    UidSet all = world_uids(&p.w.arena, 1, 3), none = world_uids(&p.w.arena, 7, 9);
    check_ok(mailbox_copy(from, &none, to, &p.w.arena, &r));
    uint32_t eid = mailbox_message(from, 2)->eid;
    check_ok(email_page(p.w.account, eid / EMAILS, &page));
    page->emails[eid % EMAILS].ref.at += UINT64_C(90) << 32;
    check(mailbox_move(from, &all, to, &p.w.arena, &r) != OK);
    page->emails[eid % EMAILS].ref.at -= UINT64_C(90) << 32;
    p.bobs->broken = ERR_CORRUPT;
    check_err(mailbox_move(from, &all, to, &p.w.arena, &r), ERR_CORRUPT);
    p.bobs->broken = OK;
    check_slice(world_show(&p.w, inbox), S(""));
    to->box->s.role = ROLE_KEPT; /* as the mailbox of what is kept */
    check_err(mailbox_copy(from, &all, to, &p.w.arena, &r), ERR_CANNOT);
    to->box->s.role = ROLE_INBOX;
    check_ok(mailbox_set_acl(from, account_login(p.bobs), ACL_REPLACE, RIGHT_LOOKUP));
    check_ok(mailbox_open(p.w.account, p.bob, S("Archive"), &guest));
    check_err(mailbox_copy(guest, &all, to, &p.w.arena, &r), ERR_FORBIDDEN);
    check_ok(mailbox_set_acl(from, account_login(p.bobs), ACL_ADD, RIGHT_READ));
    check_err(mailbox_move(guest, &all, to, &p.w.arena, &r), ERR_FORBIDDEN);
    check_ok(mailbox_open(p.bobs, p.bob, S("Sent"), &gone));
    check_ok(mailbox_delete(p.bobs, S("Sent")));
    check_err(mailbox_copy(from, &all, gone, &p.w.arena, &r), ERR_NOT_FOUND);
    check_ok(mailbox_delete(p.w.account, S("Archive")));
    check_err(mailbox_copy(from, &all, to, &p.w.arena, &r), ERR_NOT_FOUND);
    mailbox_close(gone);
    mailbox_close(guest);
    mailbox_close(to);
    mailbox_close(inbox);
    mailbox_close(from);
    pair_close(&p);
}

typedef struct {
    Mailbox *inbox;
    Account *owner;
    bool is_over, breaks;
} Meanwhile;

/* Waits until the messages have come, then takes away what they came from. */
PARKS static void take_away(void *arg)
{
    Meanwhile *m = arg;
    while (!mailbox_status(m->inbox).exists)
        fiber_sleep(0);
    if (m->breaks)
        m->owner->broken = ERR_CORRUPT;
    else
        check_ok(mailbox_delete(m->owner, S("Archive")));
    m->is_over = true;
}

/* Copied, and not removed: in both, never in none. */
TEST(a_mailbox_that_goes_while_its_messages_move)
{
    for (int breaks = 0; breaks < 2; breaks++) {
        Pair p;
        CopyResult r = {0};
        pair_open(&p);
        Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
        check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHTS_ALL));
        Mailbox *to = bobs_inbox(&p, p.w.acct);
        UidSet all = world_uids(&p.w.arena, 1, 3);
        Meanwhile m = {.inbox = inbox, .owner = p.w.account, .breaks = breaks};
        fiber_start("meanwhile", take_away, &m);
        Err err = mailbox_move(from, &all, to, &p.w.arena, &r);
        while (!m.is_over)
            fiber_sleep(1);
        p.w.account->broken = OK;
        check(!err || err == ERR_NOT_FOUND || err == ERR_CORRUPT);
        check_u64(mailbox_status(inbox).exists, 3);
        mailbox_close(to);
        mailbox_close(inbox);
        mailbox_close(from);
        pair_close(&p);
    }
}

/* What is kept after an expunge has no rights to take it from; what has become too large for a
 * message stays. */
TEST(what_is_kept_is_carried_and_what_is_too_large_stays)
{
    Pair p;
    CopyResult r = {0};
    pair_open(&p);
    Mailbox *from = three(&p), *inbox = bobs_inbox(&p, p.bob);
    check_ok(mailbox_set_acl(inbox, account_login(p.w.account), ACL_REPLACE, RIGHTS_ALL));
    Mailbox *to = bobs_inbox(&p, p.w.acct);
    UidSet all = world_uids(&p.w.arena, 1, 3), one = world_uids(&p.w.arena, 1, 1);
    uint64_t most = p.w.store->options.message_most;
    p.w.store->options.message_most = 5;
    check_err(mailbox_move(from, &all, to, &p.w.arena, &r), ERR_TOO_BIG);
    p.w.store->options.message_most = most;
    check_u64(mailbox_status(inbox).exists, 0);
    check_u64(mailbox_status(from).exists, 3);
    from->box->s.role = ROLE_KEPT;
    check_ok(mailbox_move(from, &one, to, &p.w.arena, &r));
    from->box->s.role = ROLE_ARCHIVE;
    check_u64(mailbox_status(inbox).exists, 1);
    mailbox_close(to);
    mailbox_close(inbox);
    mailbox_close(from);
    pair_close(&p);
}
