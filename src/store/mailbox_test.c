#include "store/test_world.h"

/* ---- flags and keywords ---- */

TEST(flags_are_set_added_and_removed)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    for (int i = 0; i < 4; i++)
        world_append(&w, box, "x", i == 3 ? FLAG_SEEN : 0);
    world_flag(box, 1, 2, CHANGE_ADD, FLAG_SEEN | FLAG_DELETED);
    world_flag(box, 2, 9, CHANGE_REMOVE, FLAG_SEEN);
    world_flag(box, 3, 3, CHANGE_REPLACE, FLAG_ANSWERED | FLAG_DRAFT);
    for (int life = 0; life < 3; life++) {
        check_slice(world_show(&w, box), S("1SD 2D 3AT 4"));
        MailboxStatus s = mailbox_status(box);
        check_u64(s.unseen, 3);
        check_u64(s.deleted, 2);
        mailbox_close(box);
        world_reopen(&w);
        box = world_box(&w, "INBOX");
    }
    mailbox_close(box);
    world_close(&w);
}

TEST(keywords_are_one_whatever_their_case)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 4);
    world_keyword(box, 1, CHANGE_ADD, "$Forwarded");
    world_keyword(box, 1, CHANGE_ADD, "Work");
    world_keyword(box, 2, CHANGE_ADD, "WORK");
    world_keyword(box, 2, CHANGE_ADD, "$forwarded");
    world_keyword(box, 3, CHANGE_REPLACE, "x");
    world_keyword(box, 3, CHANGE_REPLACE, "y");
    world_keyword(box, 1, CHANGE_REMOVE, "$FORWARDED");
    world_keyword(box, 4, CHANGE_ADD, "z");
    world_keyword(box, 4, CHANGE_REPLACE, "");
    for (int life = 0; life < 3; life++) {
        check_slice(world_show(&w, box), S("1Work 2$Forwarded Work 3y 4"));
        if (life == 2) check_slice(mailbox_keywords(box, &w.arena), S("$Forwarded Work y"));
        mailbox_close(box);
        world_reopen(&w);
        box = world_box(&w, "INBOX");
    }
    mailbox_close(box);
    world_close(&w);
}

TEST(appended_keywords_are_kept)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Slice names_[] = {S("b"), S("a")};
    DraftPlace place = {
        .keywords = {names_, 2},
          .flags = FLAG_FLAGGED
    };
    world_append_octets(&w, box, S("Subject: x\r\n\r\n"), &place);
    check_slice(world_show(&w, box), S("1Fb a"));
    mailbox_close(box);
    world_close(&w);
}

TEST(unchanged_since_tells_what_changed)
{
    World w;
    world_open(&w, NULL);
    Arena *a = &w.arena;
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 3);
    uint64_t before = account_seq(w.account), modseq;
    world_flag(box, 2, 2, CHANGE_ADD, FLAG_SEEN);
    UidSet all = world_uids(a, 1, 99), modified = {0};
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_FLAGGED, .unchanged_since = &before};
    check_ok(mailbox_change(box, &all, &change, a, &modified, &modseq));
    check_u64(modseq, account_seq(w.account));
    check_slice(world_print(&w, &modified), S("2"));
    check_slice(world_show(&w, box), S("1F 2S 3F"));
    check_u64(mailbox_next_changed(box, 1, before)->uid, 1);
    check_u64(mailbox_next_changed(box, 1, modseq - 1)->uid, 1);
    check_u64(mailbox_next_changed(box, 2, modseq - 1)->uid, 3);
    check(!mailbox_next_changed(box, 1, modseq));
    mailbox_close(box);
    world_close(&w);
}

/* ---- copy, move, expunge ---- */

TEST(copies_are_contiguous_and_share_their_email)
{
    World w;
    world_open(&w, NULL);
    Arena *a = &w.arena;
    Mailbox *box = world_box(&w, "INBOX"), *to = world_box(&w, "Archive");
    world_append_many(&w, box, 6);
    world_flag(box, 4, 4, CHANGE_ADD, FLAG_FLAGGED);
    world_keyword(box, 4, CHANGE_ADD, "k");
    world_expunge(box, 3, 3);
    world_append(&w, to, "first", 0);
    UidSet some = world_uids(a, 2, 5);
    CopyResult r;
    check_ok(mailbox_copy(box, &some, to, a, &r));
    check_slice(world_print(&w, &r.source), S("2,4:5"));
    check_slice(world_print(&w, &r.copies), S("2:4"));
    check_u64(r.uid_validity, mailbox_status(to).uid_validity);
    check_slice(world_show(&w, to), S("1 2 3Fk 4"));
    check_u64(mailbox_message(to, 3)->eid, mailbox_message(box, 4)->eid);
    uint32_t eid = mailbox_message(box, 4)->eid;
    world_expunge(box, 1, 99);
    world_append(&w, box, "later", 0);
    mailbox_close(box);
    mailbox_close(to);
    world_reopen(&w);
    char got[7];
    check_ok(email_read(w.account, eid, 0, got, 7));
    check_slice(slice(got, 7), S("Subject"));
    world_close(&w);
}

TEST(copy_into_the_same_mailbox)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 2);
    UidSet all = world_uids(&w.arena, 1, 2);
    CopyResult r;
    check_ok(mailbox_copy(box, &all, box, &w.arena, &r));
    check_slice(world_show(&w, box), S("1 2 3 4"));
    check_ok(mailbox_move(box, &all, box, &w.arena, &r));
    check_slice(world_show(&w, box), S("3 4 5 6"));
    mailbox_close(box);
    world_close(&w);
}

TEST(moves_leave_tombstones)
{
    World w;
    world_open(&w, NULL);
    Arena *a = &w.arena;
    Mailbox *box = world_box(&w, "INBOX"), *to = world_box(&w, "Trash");
    world_append_many(&w, box, 300);
    uint64_t before = account_seq(w.account);
    UidSet some = world_uids(a, 100, 249), gone = {0};
    CopyResult r;
    check_ok(mailbox_move(box, &some, to, a, &r));
    check_slice(world_print(&w, &r.copies), S("1:150"));
    check_u64(mailbox_status(to).exists, 150);
    check_u64(mailbox_status(box).exists, 150);
    uint64_t between = account_seq(w.account);
    world_expunge(box, 1, 1);
    for (int life = 0; life < 2; life++) {
        bool complete = false;
        gone = (UidSet){0};
        check_ok(mailbox_vanished(box, before, a, &gone, &complete));
        check(complete);
        check_slice(world_print(&w, &gone), S("1,100:249"));
        gone = (UidSet){0};
        check_ok(mailbox_vanished(box, between, a, &gone, &complete));
        check_slice(world_print(&w, &gone), S("1"));
        mailbox_close(box);
        mailbox_close(to);
        world_reopen(&w);
        box = world_box(&w, "INBOX"), to = world_box(&w, "Trash");
    }
    mailbox_close(box);
    mailbox_close(to);
    world_close(&w);
}

TEST(old_tombstones_are_answered_from_gaps)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 10);
    world_expunge(box, 3, 4);
    box->box->s.vanished_floor = account_seq(w.account);
    world_expunge(box, 10, 10);
    UidSet gone = {0};
    bool complete = true;
    check_ok(mailbox_vanished(box, 1, &w.arena, &gone, &complete));
    check(!complete);
    check_slice(world_print(&w, &gone), S("3:4,10"));
    mailbox_close(box);
    world_close(&w);
}

TEST(many_tombstones_fill_pages_and_the_oldest_go)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Box *b = box->box;
    enum { MANY = 80000 };
    for (uint32_t i = 1; i <= MANY; i++) {
        Message m = {.uid = 2 * i, .eid = 2 * i};
        check_ok(vanished_add(b, 1000 + i, &m, 1));
        check_ok(vanished_forget(b));
        if (i % 10000 == 0) check_ok(engine_checkpoint(w.store->engine));
    }
    check(b->s.vanished_next - b->s.vanished_first <= 365);
    check(b->s.vanished_floor > 1000);
    UidSet gone = {0};
    bool complete = false;
    check_ok(mailbox_vanished(box, 1000 + MANY - 500, &w.arena, &gone, &complete));
    check(complete);
    check_u64(uidset_size(&gone), 500);
    mailbox_close(box);
    world_close(&w);
}

TEST(expunge_takes_the_deleted_or_those_told)
{
    World w;
    world_open(&w, NULL);
    Arena *a = &w.arena;
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 8);
    world_flag(box, 2, 5, CHANGE_ADD, FLAG_DELETED);
    UidSet some = world_uids(a, 4, 7), gone;
    check_ok(mailbox_expunge(box, &some, false, a, &gone));
    check_slice(world_print(&w, &gone), S("4:5"));
    check_ok(mailbox_expunge(box, &some, true, a, &gone));
    check_slice(world_print(&w, &gone), S("6:7"));
    check_ok(mailbox_expunge(box, NULL, false, a, &gone));
    check_slice(world_print(&w, &gone), S("2:3"));
    check_ok(mailbox_expunge(box, NULL, false, a, &gone));
    check_u64(gone.count, 0);
    check_slice(world_show(&w, box), S("1 8"));
    check_u64(mailbox_status(box).uid_next, 9);
    mailbox_close(box);
    world_close(&w);
}

/* ---- shared mailboxes ---- */

TEST(others_see_what_the_acl_grants)
{
    World w;
    world_open(&w, NULL);
    uint32_t bob;
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *mine = world_box(&w, "Archive"), *his = NULL;
    world_append_many(&w, mine, 3);
    check_err(mailbox_open(w.account, bob, S("Archive"), &his), ERR_NOT_FOUND);
    check_ok(mailbox_set_acl(mine, S("bob"), ACL_REPLACE, RIGHT_SEEN | RIGHT_POST));
    check_err(mailbox_open(w.account, bob, S("Archive"), &his), ERR_NOT_FOUND);
    check_ok(mailbox_set_acl(mine, S("bob"), ACL_REPLACE, RIGHT_READ));
    check_ok(mailbox_open(w.account, bob, S("Archive"), &his));
    check_err(mailbox_set_acl(his, S("bob"), ACL_REPLACE, RIGHTS_ALL), ERR_NOT_FOUND);
    check_ok(mailbox_set_acl(mine, S("anyone"), ACL_REPLACE, RIGHT_LOOKUP));
    check_u64(mailbox_rights(his), RIGHT_LOOKUP | RIGHT_READ); /* while it is open */
    check_err(mailbox_set_acl(his, S("bob"), ACL_REPLACE, RIGHTS_ALL), ERR_FORBIDDEN);
    mailbox_close(his);
    mailbox_close(mine);
    world_reopen(&w);
    check_ok(mailbox_open(w.account, bob, S("Archive"), &his));
    check_u64(mailbox_rights(his), RIGHT_LOOKUP | RIGHT_READ);
    mailbox_close(his);
    mine = world_box(&w, "Archive");
    check_ok(mailbox_set_acl(mine, S("anyone"), ACL_DELETE, 0));
    check_ok(mailbox_set_acl(mine, S("bob"), ACL_REMOVE, RIGHT_READ));
    check_err(mailbox_open(w.account, bob, S("Archive"), &his), ERR_NOT_FOUND);
    mailbox_close(mine);
    world_close(&w);
}

TEST(each_has_his_own_seen)
{
    World w;
    world_open(&w, NULL);
    uint32_t bob;
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *mine = world_box(&w, "Archive"), *his = NULL;
    world_append_many(&w, mine, 3);
    check_ok(mailbox_set_acl(mine, S("bob"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN));
    check_ok(mailbox_open(w.account, bob, S("Archive"), &his));
    world_flag(mine, 1, 1, CHANGE_ADD, FLAG_SEEN);
    world_flag(his, 2, 3, CHANGE_ADD, FLAG_SEEN);
    world_flag(his, 3, 3, CHANGE_REMOVE, FLAG_SEEN);
    UidSet one = world_uids(&w.arena, 1, 1);
    uint64_t modseq;
    check_err(mailbox_change(his, &one, &(FlagChange){.how = CHANGE_ADD, .flags = FLAG_FLAGGED},
                             &w.arena, NULL, &modseq),
              ERR_FORBIDDEN);
    check_err(mailbox_expunge(his, NULL, true, &w.arena, NULL), ERR_FORBIDDEN);
    for (int life = 0; life < 2; life++) {
        check_slice(world_show(&w, mine), S("1S 2 3"));
        check_slice(world_show(&w, his), S("1 2S 3"));
        check_u64(mailbox_status(mine).unseen, 2);
        check_u64(mailbox_status(his).unseen, 2);
        mailbox_close(mine);
        mailbox_close(his);
        world_reopen(&w);
        mine = world_box(&w, "Archive");
        check_ok(mailbox_open(w.account, bob, S("Archive"), &his));
    }
    mailbox_close(mine);
    mailbox_close(his);
    world_close(&w);
}

/* ---- several at once ---- */

typedef struct {
    World *w;
    Mailbox *box;
    int left;
    uint32_t uids[64];
    int count;
} Crowd;

static PARKS void crowd_append(void *arg)
{
    Crowd *c = arg;
    uint32_t uid = world_append_octets(c->w, c->box, S("Subject: x\r\n\r\n"), &(DraftPlace){0});
    c->uids[c->count++] = uid;
    world_flag(c->box, 1, 99, CHANGE_ADD, FLAG_FLAGGED);
    c->left--;
}

static PARKS void crowd_conditional(void *arg)
{
    Crowd *c = arg;
    Arena a arena_scoped = {0};
    UidSet one = world_uids(&a, 1, 5), modified = {0};
    uint64_t modseq, zero = 0;
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_SEEN, .unchanged_since = &zero};
    check_ok(mailbox_change(c->box, &one, &change, &a, &modified, &modseq));
    check_u64(modseq, 0);
    c->left--;
}

TEST(many_fibers_change_one_mailbox)
{
    World w;
    world_open(&w, NULL);
    Crowd c = {.w = &w, .box = world_box(&w, "INBOX"), .left = 60};
    for (int i = 0; i < c.left; i++)
        fiber_start("crowd", i % 6 == 5 ? crowd_conditional : crowd_append, &c);
    while (c.left)
        fiber_sleep(1);
    check_u64(mailbox_status(c.box).exists, 50);
    uint64_t seen = 0;
    for (int i = 0; i < c.count; i++)
        seen |= UINT64_C(1) << c.uids[i];
    check_u64(seen, (UINT64_C(1) << 51) - 2);
    mailbox_close(c.box);
    world_reopen(&w);
    c.box = world_box(&w, "INBOX");
    check_u64(mailbox_status(c.box).exists, 50);
    mailbox_close(c.box);
    world_close(&w);
}

typedef struct {
    Listener listener;
    uint32_t last, count;
} Counter;

static void count_news(Listener *l, uint32_t mailbox)
{
    Counter *c = CONTAINER(l, Counter, listener);
    c->last = mailbox;
    c->count++;
}

typedef struct {
    Listener listener;
    Buf story;
    const Fiber *self;
} Historian;

static void write_down(Listener *l, const Happening *h)
{
    static const char *const words[] = {
        [HAPPENED_NEW] = "new",         [HAPPENED_EXPUNGED] = "expunged",
        [HAPPENED_FLAGS] = "flags",     [HAPPENED_ANNOTATION] = "annotation",
        [HAPPENED_CREATED] = "created", [HAPPENED_UIDVALIDITY] = "validity",
        [HAPPENED_DELETED] = "deleted", [HAPPENED_RENAMED] = "renamed",
        [HAPPENED_RIGHTS] = "rights",   [HAPPENED_SUBSCRIBED] = "subscribed",
        [HAPPENED_OBJECT] = "object",
    };
    Historian *w = CONTAINER(l, Historian, listener);
    check(h->by == w->self);
    buf_printf(&w->story, "%s %.*s", words[h->kind], SP(h->name));
    if (h->old_name.len) buf_printf(&w->story, " from %.*s", SP(h->old_name));
    if (h->uids.first) buf_printf(&w->story, " %u:%u", h->uids.first, h->uids.last);
    if (h->seen) buf_add(&w->story, S(" seen"));
    if (h->kind == HAPPENED_SUBSCRIBED) buf_printf(&w->story, " %d", h->on);
    if (h->identifier.len) buf_printf(&w->story, " %.*s", SP(h->identifier));
    if (h->rights || h->old_rights)
        buf_printf(&w->story, " %x %x", (unsigned)h->old_rights, (unsigned)h->rights);
    buf_char(&w->story, ';');
}

TEST(listeners_hear_what_happened)
{
    World w;
    world_open(&w, NULL);
    Historian h = {.listener = {.happened = write_down}, .self = fiber_current()};
    Mailbox *box = world_box(&w, "INBOX");
    Arena arena arena_scoped = {0};
    UidSet one = {0};
    uidset_add(&arena, &one, 1, 1);
    account_listen(w.account, &h.listener);
    world_append(&w, box, "x", 0);
    FlagChange seen = {.how = CHANGE_ADD, .flags = FLAG_SEEN | FLAG_DELETED};
    uint64_t modseq;
    check_ok(mailbox_change(box, &one, &seen, &arena, NULL, &modseq));
    check_ok(mailbox_expunge(box, &one, false, &arena, NULL));
    check_ok(mailbox_create(w.account, S("a"), ROLE_NONE));
    check_ok(mailbox_rename(w.account, S("a"), S("b")));
    check_ok(mailbox_subscribe(w.account, S("b"), true));
    check_ok(mailbox_subscribe(w.account, S("b"), true));
    check_ok(mailbox_set_acl(box, S("joe"), ACL_REPLACE, RIGHT_LOOKUP | RIGHT_READ));
    check_ok(mailbox_set_acl(box, S("joe"), ACL_DELETE, 0));
    check_ok(mailbox_delete(w.account, S("b")));
    check_ok(object_put(w.account, S("c"), S("i"), S("v"), NULL));
    account_unlisten(&h.listener);
    check_slice(
        buf_slice(&h.story),
        S("new INBOX 1:1;flags INBOX seen;expunged INBOX;created a;renamed b from a;"
          "subscribed b 1;rights INBOX joe 0 3;rights INBOX joe 3 0;deleted b;object c i;"));
    buf_done(&h.story);
    mailbox_close(box);
    world_close(&w);
}

TEST(listeners_hear_of_changes)
{
    World w;
    world_open(&w, NULL);
    Counter c = {.listener = {.changed = count_news}};
    Mailbox *box = world_box(&w, "INBOX");
    account_listen(w.account, &c.listener);
    world_append(&w, box, "x", 0);
    check_u64(c.last, mailbox_status(box).id);
    check_u64(c.count, 1);
    check_ok(object_put(w.account, S("c"), S("i"), S("v"), NULL));
    check_u64(c.last, 0);
    check_u64(c.count, 2);
    account_unlisten(&c.listener);
    world_append(&w, box, "y", 0);
    check_u64(c.count, 2);
    mailbox_close(box);
    world_close(&w);
}

TEST(an_import_goes_on_under_the_uidvalidity_of_the_source)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "Old");
    uint32_t own = mailbox_status(box).uid_validity;
    check_err(mailbox_set_uid_validity(box, 0, 5), ERR_SYNTAX);
    check_err(mailbox_set_uid_validity(box, UINT32_MAX, 5), ERR_SYNTAX);
    check_err(mailbox_set_uid_validity(box, 7, UINT32_MAX), ERR_SYNTAX);
    check_ok(mailbox_set_uid_validity(box, 1234567890, 0)); /* smaller: no message was seen */
    check_u64(mailbox_status(box).uid_validity, 1234567890);
    check_u64(mailbox_status(box).uid_next, 1);
    check_ok(mailbox_set_uid_validity(box, own + 1000, 500));
    check_u64(mailbox_status(box).uid_next, 500);
    check_err(mailbox_set_uid_validity(box, own + 2000, 0), ERR_CONFLICT);
    check_u64(world_append(&w, box, "first", 0), 500);
    check_ok(mailbox_set_uid_validity(box, own + 1000, 700));
    check_ok(mailbox_set_uid_validity(box, own + 1000, 600)); /* never lowered */
    mailbox_close(box);
    world_reopen(&w);
    box = world_box(&w, "Old");
    check_u64(mailbox_status(box).uid_validity, own + 1000);
    check_u64(mailbox_status(box).uid_next, 700);
    check_u64(world_append(&w, box, "second", 0), 700);
    mailbox_close(box);
    check_ok(mailbox_delete(w.account, S("Old")));
    box = world_box(&w, "Old"); /* a new one never goes back */
    check(mailbox_status(box).uid_validity > own + 1000);
    mailbox_close(box);
    world_close(&w);
}
