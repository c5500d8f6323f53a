#include "store/test_world.h"

/* What is asked of an account of which nothing is in memory yet: each look at the index failing in
 * turn, and each question for memory answered with no. The call says so and has changed nothing;
 * asked again it does what it should. */

typedef struct {
    World *w;
    Account *a;
    Mailbox *inbox, *other;
    UidSet some; /* of the inbox */
    uint32_t eid;
    Arena arena;
} Unread;

static PARKS Err rename_inbox(Unread *u)
{
    Slice name = arena_printf(&u->arena, "In/%llu", (unsigned long long)account_seq(u->a));
    return mailbox_rename(u->a, S("INBOX"), name);
}

static PARKS Err delete_noted(Unread *u)
{
    return mailbox_delete(u->a, S("Noted"));
}

static PARKS Err mark(Unread *u)
{
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_DELETED};
    uint64_t modseq;
    return mailbox_change(u->inbox, &u->some, &change, &u->arena, NULL, &modseq);
}

static PARKS Err copy(Unread *u)
{
    CopyResult r;
    return mailbox_copy(u->inbox, &u->some, u->other, &u->arena, &r);
}

static PARKS Err move(Unread *u)
{
    CopyResult r;
    return mailbox_move(u->inbox, &u->some, u->other, &u->arena, &r);
}

static PARKS Err expunge(Unread *u)
{
    return mailbox_expunge(u->inbox, &u->some, true, &u->arena, NULL);
}

static PARKS Err annotate(Unread *u)
{
    Annotation note = {S("/other"), S("y"), false};
    return mailbox_annotate(u->inbox, &(Annotations){&note, 1}, NULL);
}

static PARKS Err read_header(Unread *u)
{
    Slice header;
    return email_header(u->a, u->eid, &u->arena, &header);
}

static PARKS Err read_text(Unread *u)
{
    Buf text buf_scoped = {0};
    return email_text(u->a, u->eid, MAIL_TEXT_ALL, &text);
}

static PARKS Err append(Unread *u)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid;
    Buf body buf_scoped = {0};
    buf_printf(&body, "Subject: x\r\n\r\n");
    while (body.len < 300000)
        buf_printf(&body, "line %zu of many\r\n", body.len);
    TRY(draft_begin(u->w->store, body.len, &d));
    TRY(draft_write(d, buf_slice(&body)));
    return draft_commit(d, u->inbox, &(DraftPlace){0}, &uid);
}

/* What is granted to a login without an account waits in the directory. */
static PARKS Err grant_later(Unread *u)
{
    TRY(mailbox_set_acl(u->other, S("nobody"), ACL_REPLACE, RIGHT_READ));
    return mailbox_set_acl(u->other, S("nobody"), ACL_DELETE, 0);
}

static PARKS Err be_born(Unread *u)
{
    uint32_t acct;
    TRY(mailbox_set_acl(u->other, S("born"), ACL_REPLACE, RIGHT_READ));
    Err err = store_create_account(u->w->store, S("born"), &acct);
    if (err && err != ERR_EXISTS) return err;
    return store_remove_account(u->w->store, S("born"));
}

static PARKS Err renew(Unread *u)
{
    uint64_t given_up;
    return store_renew(u->w->store, &given_up);
}

static const struct {
    const char *name;
    Err (*call)(Unread *u);
    bool steps; /* the first may have been done */
} calls[] = {
    {"rename INBOX", rename_inbox, false},
    {"delete",       delete_noted, false},
    {"mark",         mark,         false},
    {"copy",         copy,         false},
    {"move",         move,         false},
    {"expunge",      expunge,      false},
    {"annotate",     annotate,     false},
    {"header",       read_header,  false},
    {"text",         read_text,    false},
    {"append",       append,       false},
    {"grant later",  grant_later,  true },
    {"be born",      be_born,      true },
    {"renew",        renew,        true },
};

/* Whatever the last call has done: there is something for each. */
static PARKS void furnish(World *w)
{
    Annotation note = {S("/comment"), S("x"), true};
    const Annotations notes = {&note, 1};
    Deletion d = {.expunge_to_trash = true, .deleted_to_trash = true};
    Mailbox *inbox = world_box(w, "INBOX"), *noted = world_box(w, "Noted");
    check_ok(account_set_deletion(w->account, &d));
    world_append_many(w, inbox, 4);
    world_append_many(w, noted, 2);
    check_ok(mailbox_annotate(inbox, &notes, NULL));
    check_ok(mailbox_annotate(noted, &notes, NULL));
    mailbox_close(inbox);
    mailbox_close(noted);
}

static PARKS Unread forget(World *w)
{
    furnish(w);
    check_ok(engine_checkpoint(store_engine(w->store)));
    account_close(w->account);
    account_unload(w->account);
    check_ok(account_open(w->store, w->acct, &w->account));
    Unread u = {.w = w, .a = w->account};
    u.inbox = world_box(w, "INBOX");
    u.other = world_box(w, "Archive");
    uint32_t last = mailbox_status(u.inbox).uid_next - 1;
    u.some = world_uids(&u.arena, last - 2, last);
    u.eid = mailbox_message(u.inbox, last)->eid;
    return u;
}

static void forgotten(Unread *u)
{
    mailbox_close(u->inbox);
    mailbox_close(u->other);
    arena_done(&u->arena);
}

static PARKS void load_again(World *w)
{
    account_close(w->account);
    check_ok(account_open(w->store, w->acct, &w->account));
}

/* False: it does not come to it so often. */
static PARKS bool refuse(World *w, size_t i, unsigned at, bool memory)
{
    Unread u = forget(w);
    uint64_t seq = account_seq(u.a);
    if (memory)
        mem_deny(at);
    else
        fault_set("index.read", at);
    Err err = calls[i].call(&u);
    bool came = memory ? mem_asked() >= at : !fault_left("index.read");
    mem_deny(0);
    fault_set("index.read", 0);
    if (err && err != (memory ? ERR_NO_MEMORY : ERR_CORRUPT))
        test_failed(__FILE__, __LINE__, "%s, %u: %s", calls[i].name, at, err_name(err));
    check(came || !err);
    bool applied = u.a->broken != OK; /* it is in the log, and counts once it is read again */
    if (err && !applied && !calls[i].steps) check_u64(account_seq(u.a), seq);
    if (err && !applied) check_ok(calls[i].call(&u));
    forgotten(&u);
    if (applied) load_again(w);
    return came;
}

TEST(what_cannot_be_read_is_said_and_changes_nothing)
{
    World w;
    unsigned refused = 0;
    world_open(&w, NULL);
    for (size_t i = 0; i < COUNT(calls); i++)
        for (int memory = 0; memory < 2; memory++)
            for (unsigned at = 1; at < 20 && refuse(&w, i, at, memory); at++)
                refused++;
    check(refused > COUNT(calls));
    world_close(&w);
}

/* More ancestors than are looked for: the root and the nearest ones are. */
TEST(a_reply_with_many_references_finds_its_thread)
{
    World w;
    Buf reply buf_scoped = {0};
    EmailDetails one, other;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    uint32_t root = world_append_octets(&w, box, S("Message-ID: <r@x>\r\nSubject: s\r\n\r\n"),
                                        &(DraftPlace){0});
    buf_printf(&reply, "Message-ID: <b@x>\r\nSubject: Re: s\r\nReferences: <r@x>");
    for (int i = 0; i < 12; i++)
        buf_printf(&reply, " <%d@x>", i);
    buf_add(&reply, S("\r\n\r\n"));
    uint32_t last = world_append_octets(&w, box, buf_slice(&reply), &(DraftPlace){0});
    check_ok(email_details(w.account, mailbox_message(box, root)->eid, &w.arena, &one));
    check_ok(email_details(w.account, mailbox_message(box, last)->eid, &w.arena, &other));
    check_u64(one.thread_id, other.thread_id);
    mailbox_close(box);
    world_close(&w);
}

/* ---- accounts ---- */

/* The number of nobody, looked at while somebody else does. */
TEST(an_account_that_is_not_there_is_looked_at_twice)
{
    World w;
    Account *a = NULL, *again = NULL;
    uint32_t number = 4000000;
    world_open(&w, NULL);
    while (store_home(w.store, number) != loop_current())
        number++;
    check_ok(account_load(w.store, number, &a));
    account_ref(a);
    check_err(account_open(w.store, number, &again), ERR_NOT_FOUND);
    account_touch(a); /* something is to be written of it */
    account_close(a);
    check_err(account_open(w.store, number, &again), ERR_NOT_FOUND);
    check_ok(engine_checkpoint(store_engine(w.store)));
    check_err(account_open(w.store, number, &again), ERR_NOT_FOUND);
    world_close(&w);
}

static void close_it(void *arg)
{
    account_close(arg);
}

TEST(an_account_is_closed_from_another_loop)
{
    World w;
    Account *a = NULL;
    world_open(&w, NULL);
    check_ok(account_open(w.store, w.acct, &a));
    check_u64(a->refs, 2);
    loop_call(loop_at(loop_current() == loop_at(0) ? 1 : 0), close_it, a);
    for (int i = 0; i < 1000 && a->refs > 1; i++)
        fiber_sleep(1);
    check_u64(a->refs, 1);
    world_close(&w);
}

TEST(a_store_without_accounts_is_renewed)
{
    World w;
    uint64_t given_up;
    world_open(&w, NULL);
    account_close(w.account);
    Slice *logins;
    uint32_t *accts;
    size_t count;
    check_ok(store_list_accounts(w.store, S(""), 100, &w.arena, &logins, &accts, &count));
    for (size_t i = 0; i < count; i++)
        check_ok(store_remove_account(w.store, logins[i]));
    check_ok(store_renew(w.store, &given_up));
    check_ok(store_create_account(w.store, S("u"), &w.acct));
    w.account = NULL;
    world_close(&w);
}

TEST(an_account_that_is_damaged_is_not_renewed)
{
    World w;
    uint64_t given_up;
    world_open(&w, NULL);
    w.account->broken = ERR_CORRUPT;
    check_err(store_renew(w.store, &given_up), ERR_CORRUPT);
    w.account->broken = OK;
    check_ok(store_renew(w.store, &given_up));
    world_close(&w);
}
