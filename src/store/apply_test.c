#include "store/test_world.h"

/* Records that the log may hold and that no session writes: of mailboxes and emails that are not
 * there, twice the same, with operations that older versions wrote. They change what they can, and
 * the account goes on. */

PARKS static Err commit_ops(Account *a, const Op *ops, size_t count, const UidSet *uids)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(a, &c));
    for (size_t i = 0; i < count; i++)
        change_op(&c, &ops[i], &(OpLists){.uids = uids});
    return change_commit(&c);
}

PARKS static Err commit_op(Account *a, Op op, const UidSet *uids)
{
    return commit_ops(a, &op, 1, uids);
}

TEST(operations_on_what_is_not_there_change_nothing)
{
    enum { NONE = 9999 };
    static const OpKind kinds[] = {OP_LINK, OP_COPY,     OP_MOVE,    OP_UNLINK,
                                   OP_FLAG, OP_ANNOTATE, OP_RENAME,  OP_DELETE,
                                   OP_ROLE, OP_ACL,      OP_VALIDITY};
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    UidSet some = world_uids(&w.arena, 1, 3);
    uint32_t boxes = w.account->box_count, id = mailbox_status(box).id;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        Op op = {.kind = kinds[i], .mailbox = NONE, .to = id, .uid = 7, .eid = 1, .name = S("x")};
        op.date = op.uid_validity = op.rights = 1;
        check_ok(commit_op(w.account, op, &some));
        op.mailbox = id;
        op.to = NONE;
        if (kinds[i] == OP_COPY || kinds[i] == OP_MOVE) check_ok(commit_op(w.account, op, &some));
    }
    Op link = {.kind = OP_LINK, .mailbox = id, .uid = 8, .eid = NONE, .date = 1};
    check_ok(commit_op(w.account, link, NULL));
    check_u64(w.account->box_count, boxes);
    check_slice(world_show(&w, box), S("1"));
    mailbox_close(box);
    world_reopen(&w);
    box = world_box(&w, "INBOX");
    check_slice(world_show(&w, box), S("1"));
    mailbox_close(box);
    world_close(&w);
}

TEST(operations_done_twice_are_done_once)
{
    World w;
    Quota q;
    world_open(&w, NULL);
    Account *a = w.account;
    Mailbox *box = world_box(&w, "Archive");
    uint32_t id = mailbox_status(box).id, boxes = a->box_count;
    Op again = {.kind = OP_CREATE, .mailbox = id, .name = S("Other"), .uid_validity = 5};
    check_ok(commit_op(a, again, NULL));
    again = (Op){.kind = OP_CREATE, .mailbox = 77, .name = S("Archive"), .uid_validity = 5};
    check_ok(commit_op(a, again, NULL));
    check_ok(commit_op(a, (Op){.kind = OP_RENAME, .mailbox = id, .name = S("Sent")}, NULL));
    check_u64(a->box_count, boxes);
    check_slice(mailbox_name(box), S("Archive"));
    uint64_t names = account_names_seq(a);
    check_ok(commit_op(a, (Op){.kind = OP_SUBSCRIBE, .on = true, .name = S("INBOX")}, NULL));
    check_u64(account_names_seq(a), names);
    check_ok(commit_op(a, (Op){.kind = OP_OBJECT, .name = S("annotation"), .id = S("x")}, NULL));
    check_ok(commit_op(a,
                       (Op){
                           .kind = OP_QUOTA, .limit = {5000, 7}
    },
                       NULL));
    q = account_quota(a);
    check_u64(q.limit[QUOTA_STORAGE], 5000);
    uint32_t next = a->next_eid;
    check_ok(commit_op(a, (Op){.kind = OP_SKIP, .eid = 500}, NULL));
    check_u64(a->next_eid, MAX(next, 500u));
    mailbox_close(box);
    world_close(&w);
}

/* Damage: then the account takes nothing more until it has been read again. */
TEST(an_email_that_is_added_twice_is_damage)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    uint32_t eid = mailbox_message(box, 1)->eid;
    mailbox_close(box);
    check_err(commit_op(w.account, (Op){.kind = OP_ADD, .eid = eid}, NULL), ERR_CORRUPT);
    check_err(commit_op(w.account, (Op){.kind = OP_SKIP, .eid = 5}, NULL), ERR_CORRUPT);
    box = NULL;
    check_err(mailbox_open(w.account, w.acct, S("INBOX"), &box), ERR_CORRUPT);
    world_close(&w);
}

typedef struct {
    Listener listener;
    uint32_t told, whole;
} Told;

static void changed(Listener *l, uint32_t mailbox_id)
{
    Told *t = CONTAINER(l, Told, listener);
    t->told++;
    t->whole += !mailbox_id;
}

/* More mailboxes in one record than are noted one by one: all are told. */
TEST(a_record_of_many_mailboxes_is_told_to_all)
{
    World w;
    Told t = {.listener = {.changed = changed}};
    Op ops[40];
    char names[40][8];
    world_open(&w, NULL);
    account_listen(w.account, &t.listener);
    for (uint32_t i = 0; i < COUNT(ops); i++) {
        names[i][0] = 'm';
        names[i][1] = (char)('a' + i / 26);
        names[i][2] = (char)('a' + i % 26);
        ops[i] = (Op){.kind = OP_CREATE,
                      .mailbox = 100 + i,
                      .name = slice(names[i], 3),
                      .uid_validity = 50 + i};
    }
    check_ok(commit_ops(w.account, ops, COUNT(ops), NULL));
    check(t.told > COUNT(ops) && t.whole == 1);
    account_unlisten(&t.listener);
    world_close(&w);
}

TEST(a_record_that_has_no_sense_is_damage)
{
    World w;
    Buf record buf_scoped = {0};
    world_open(&w, NULL);
    check_err(apply_record(w.account, 999, S("\377\377"), (BlobRef){0}), ERR_CORRUPT);
    record_begin(&record, 1);
    buf_char(&record, (char)250);
    check_err(apply_record(w.account, 999, buf_slice(&record), (BlobRef){0}), ERR_CORRUPT);
    world_close(&w);
}

/* Damage took the email of a message: the rest of the record is done. */
TEST(messages_without_an_email_go_their_way)
{
    World w;
    CopyResult r;
    EmailPage *p;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX"), *to = world_box(&w, "Archive");
    world_append_many(&w, box, 4);
    uint32_t eid = mailbox_message(box, 2)->eid;
    check_ok(email_page(w.account, eid / EMAILS, &p));
    p->emails[eid % EMAILS].thread = 0;
    UidSet all = world_uids(&w.arena, 1, 3), two = world_uids(&w.arena, 2, 2);
    check_ok(mailbox_copy(box, &all, to, &w.arena, &r));
    check_u64(mailbox_status(to).exists, 2);
    check_ok(mailbox_move(box, &two, to, &w.arena, &r));
    check_u64(mailbox_status(to).exists, 3);
    world_expunge(to, 1, 9);
    world_expunge(box, 1, 9);
    check_u64(mailbox_status(box).exists + mailbox_status(to).exists, 0);
    mailbox_close(to);
    mailbox_close(box);
    world_close(&w);
}

TEST(a_body_that_has_moved_is_told_once)
{
    World w;
    EmailPage *p;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 2);
    uint32_t eid = mailbox_message(box, 1)->eid;
    check_ok(email_page(w.account, eid / EMAILS, &p));
    BlobRef was = p->emails[eid % EMAILS].ref, now = was;
    now.at += 64;
    check_ok(apply_relocation(w.account, eid, was.at + 1, now)); /* another body */
    check_ok(apply_relocation(w.account, 9999, was.at, now));
    check_u64(p->emails[eid % EMAILS].ref.at, was.at);
    check_ok(apply_relocation(w.account, eid, was.at, now));
    check_u64(p->emails[eid % EMAILS].ref.at, now.at);
    check_ok(apply_relocation(w.account, eid, now.at, was));
    world_expunge(box, 1, 1);
    dead_purge(w.account); /* it waits to be dropped, by the place it was */
    check_u64(w.account->drop_count, 1);
    check_ok(apply_relocation(w.account, eid, 12345, now));
    check_u64(w.account->drops[0].ref.at, was.at);
    check_ok(apply_relocation(w.account, eid, was.at, now));
    check_u64(w.account->drops[0].ref.at, now.at);
    check_ok(apply_relocation(w.account, eid, now.at, was));
    mailbox_close(box);
    world_close(&w);
}

/* ---- what applying needs cannot be read ---- */

/* A record as recovery meets it: nothing is in memory, and the at-th look at the index fails. */
PARKS static bool apply_unread(Op op, unsigned at)
{
    World w;
    Buf record buf_scoped = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX"), *to = world_box(&w, "Archive");
    world_append_many(&w, box, 40);
    world_append_many(&w, to, 3);
    UidSet some = world_uids(&w.arena, 2, 38);
    op.mailbox = mailbox_status(box).id;
    op.to = mailbox_status(to).id;
    op.uid = mailbox_status(to).uid_next;
    if (op.kind == OP_LINK) op.mailbox = op.to;
    mailbox_close(box);
    mailbox_close(to);
    check_ok(engine_checkpoint(store_engine(w.store)));
    world_reopen(&w);
    record_begin(&record, 1);
    record_op(&record, &op, &(OpLists){.uids = &some});
    fault_set("index.read", at);
    Err err = apply_record(w.account, account_seq(w.account) + 1, buf_slice(&record), (BlobRef){0});
    bool came = !fault_left("index.read");
    fault_set("index.read", 0);
    check(came ? !err || err == ERR_CORRUPT : !err);
    w.account->broken = err;
    world_close(&w);
    return came;
}

TEST(a_record_may_need_what_cannot_be_read)
{
    const Op ops[] = {
        {.kind = OP_UNLINK  },
        {                   .kind = OP_COPY,           .who = 1, .on = true},
        {         .kind = OP_MOVE    },
        {          .kind = OP_FLAG, .flags = FLAG_SEEN, .who = 77},
        {          .kind = OP_FLAG,     .clear = FLAG_SEEN, .who = 77},
        {.kind = OP_DELETE                  },
        {                              .kind = OP_LINK,     .eid = 5, .date = 7},
        {.kind = OP_ADD,                   .eid = 50},
    };
    for (size_t i = 0; i < COUNT(ops); i++)
        for (unsigned at = 1; at < 12 && apply_unread(ops[i], at); at++) {
        }
}
