#include "store/draft.h"
#include "store/test_world.h"

#include <stdio.h>
#include <stdlib.h>

#define HELLO S("From: a@example.com\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n\r\nHi.\r\n")

static PARKS void check_body(World *w, uint32_t eid, Slice wanted)
{
    char got[512];
    check_ok(email_read(w->account, eid, 0, got, wanted.len));
    check_slice(slice(got, wanted.len), wanted);
    check_err(email_read(w->account, eid, 0, got, wanted.len + 1), ERR_LIMIT);
    check_ok(email_read(w->account, eid, 3, got, wanted.len - 5));
    check_slice(slice(got, wanted.len - 5), slice(wanted.at + 3, wanted.len - 5));
}

static PARKS void check_hello(World *w, Mailbox *box)
{
    const Message *m = mailbox_next(box, 1);
    check(m);
    Message hello = *m;
    check_u64(hello.uid, 1);
    check_u64(hello.size, HELLO.len);
    check_u64(hello.flags, FLAG_SEEN);
    check_u64(hello.date, 7);
    check(!mailbox_next(box, 2));
    check_body(w, hello.eid, HELLO);
    Slice stored, header;
    MailSummary summary;
    check_ok(email_summary(w->account, hello.eid, &stored));
    check_ok(mail_summary_decode(stored, &w->arena, &summary));
    check_slice(summary.subject, S("HELLO"));
    check_ok(email_header(w->account, hello.eid, &w->arena, &header));
    check_u64(header.len, HELLO.len - 5);
}

TEST(a_message_comes_in_and_is_there_after_a_restart)
{
    World w;
    world_open(&w, NULL);
    for (int life = 0; life < 3; life++) {
        Mailbox *box scoped(mailbox) = world_box(&w, "inbox");
        DraftPlace place = {.flags = FLAG_SEEN, .date = 7};
        if (!life) check_u64(world_append_octets(&w, box, HELLO, &place), 1);
        check_hello(&w, box);
        MailboxStatus s = mailbox_status(box);
        check_u64(s.exists, 1);
        check_u64(s.unseen, 0);
        check_u64(s.recent, 1);
        check_u64(s.uid_next, 2);
        check_u64(s.size_octets, HELLO.len);
        check_u64(account_quota(w.account).used[QUOTA_STORAGE], HELLO.len);
        check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 1);
        mailbox_close(box), box = NULL;
        world_reopen(&w);
    }
    world_close(&w);
}

static const struct {
    const char *in, *stored;
} line_ends[] = {
    {"a\r\nb\r\n",   "a\r\nb\r\n"          },
    {"a\nb\n",       "a\r\nb\r\n"          },
    {"a\rb\r",       "a\r\nb\r\n"          },
    {"a\r\r\nb",     "a\r\n\r\nb"          },
    {"\n\n\r\n\r\r", "\r\n\r\n\r\n\r\n\r\n"},
    {"",             ""                    },
    {"no end",       "no end"              },
    {"a\n\rb",       "a\r\n\r\nb"          },
};

static PARKS void check_line_ends(World *w, size_t row, size_t step)
{
    Draft *d scoped(draft) = NULL;
    Slice in = slice_of(line_ends[row].in);
    check_ok(draft_begin(w->store, 0, &d));
    for (size_t at = 0; at < in.len; at += step)
        check_ok(draft_write(d, slice_first(slice_from(in, at), step)));
    check_ok(draft_end(d));
    check_slice(draft_peek(d), slice_of(line_ends[row].stored));
    check_u64(draft_size(d), slice_of(line_ends[row].stored).len);
}

TEST(line_ends_become_crlf_however_they_are_cut)
{
    World w;
    world_open(&w, NULL);
    for (size_t row = 0; row < COUNT(line_ends); row++)
        for (size_t step = 1; step < 9; step++)
            check_line_ends(&w, row, step);
    world_close(&w);
}

TEST(a_large_message_is_streamed_and_read_in_ranges)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Draft *d = NULL;
    uint32_t uid;
    check_ok(draft_begin(w.store, 0, &d));
    check_ok(draft_write(d, S("Subject: big\r\n\r\n")));
    for (int i = 0; i < 50000; i++)
        check_ok(draft_write(d, arena_printf(&w.arena, "%077d\r\n", i)));
    check_u64(draft_peek(d).len, 0);
    check_ok(draft_commit(d, box, &(DraftPlace){.prefix = S("X-For: me\r\n")}, &uid));
    draft_free(d);
    for (int life = 0; life < 2; life++) {
        const Message *m = mailbox_message(box, uid);
        uint32_t eid = m->eid;
        check_u64(m->size, 11 + 16 + 79 * 50000);
        char got[32];
        check_ok(email_read(w.account, eid, 27 + 79 * 40000 + 70, got, 7));
        check_slice(slice(got, 7), S("0040000"));
        check_ok(email_read(w.account, eid, 5, got, 10));
        check_slice(slice(got, 10), S(": me\r\nSubj"));
        mailbox_close(box);
        world_reopen(&w);
        box = world_box(&w, "INBOX");
    }
    mailbox_close(box);
    world_close(&w);
}

TEST(a_message_that_is_too_big_is_refused)
{
    World w;
    world_open(&w, &(StoreOptions){.message_most = 1000});
    Draft *d = NULL;
    check_err(draft_begin(w.store, 1001, &d), ERR_TOO_BIG);
    check_ok(draft_begin(w.store, 1000, &d));
    Err err = OK;
    for (int i = 0; i < 20; i++)
        err = draft_write(d, arena_printf(&w.arena, "%099d\n", i));
    check(err == ERR_TOO_BIG);
    uint32_t uid;
    Mailbox *box = world_box(&w, "INBOX");
    check_err(draft_commit(d, box, &(DraftPlace){0}, &uid), ERR_TOO_BIG);
    check_u64(mailbox_status(box).exists, 0);
    draft_free(d);
    mailbox_close(box);
    world_close(&w);
}

TEST(a_prefix_is_read_as_the_first_octets)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Slice prefix = S("Delivered-To: a@b\r\n");
    uint32_t uid = world_append_octets(&w, box, HELLO, &(DraftPlace){.prefix = prefix});
    uint32_t eid = mailbox_message(box, uid)->eid;
    Slice whole = arena_printf(&w.arena, "%.*s%.*s", SP(prefix), SP(HELLO));
    check_body(&w, eid, whole);
    Slice stored, header;
    MailSummary plain, shifted;
    check_ok(email_summary(w.account, eid, &stored));
    check_ok(mail_summary_decode(stored, &w.arena, &shifted));
    mail_summarise(whole, &w.arena, NULL, &plain);
    check_u64(shifted.size, plain.size);
    check_u64(shifted.header_len, plain.header_len);
    check_u64(shifted.lines, plain.lines);
    check_u64(shifted.parts[0].body_at, plain.parts[0].body_at);
    check_u64(shifted.parts[0].header_len, plain.parts[0].header_len);
    check_ok(email_header(w.account, eid, &w.arena, &header));
    check_u64(header.len, plain.header_len);
    check_u64(w.account->prefixes.count, 1);
    world_append_octets(&w, box, HELLO, &(DraftPlace){.prefix = prefix});
    check_u64(w.account->prefixes.count, 1);
    mailbox_close(box);
    world_close(&w);
}

TEST(too_many_prefixes_are_stored_with_the_body)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    for (int i = 0; i < 1024; i++)
        text_table_add(&w.account->prefixes, arena_printf(&w.arena, "X-%d: y\r\n", i));
    uint32_t uid = world_append_octets(&w, box, HELLO, &(DraftPlace){.prefix = S("X-A: b\r\n")});
    uint32_t eid = mailbox_message(box, uid)->eid;
    check_body(&w, eid, arena_printf(&w.arena, "X-A: b\r\n%.*s", SP(HELLO)));
    check_u64(mailbox_message(box, uid)->size, HELLO.len + 8);
    mailbox_close(box);
    world_close(&w);
}

TEST(many_drafts_are_committed_together)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 250);
    check_u64(mailbox_status(box).exists, 250);
    check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 250);
    mailbox_close(box);
    world_reopen(&w);
    box = world_box(&w, "INBOX");
    check_u64(mailbox_status(box).exists, 250);
    for (uint32_t uid = 1; uid <= 250; uid++) {
        Slice stored;
        MailSummary m;
        check_ok(email_summary(w.account, mailbox_message(box, uid)->eid, &stored));
        check_ok(mail_summary_peek(stored, &m));
        check_slice(m.subject, arena_printf(&w.arena, "NUMBER %u", uid - 1));
    }
    mailbox_close(box);
    world_close(&w);
}

TEST(many_drafts_over_quota_change_nothing)
{
    World w;
    world_open(&w, NULL);
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, 3, QUOTA_NONE, QUOTA_NONE};
    check_ok(account_set_quota(w.account, limit));
    Mailbox *box = world_box(&w, "INBOX");
    Draft *drafts[4];
    DraftPlace places[4] = {0};
    uint32_t uids[4];
    for (int i = 0; i < 4; i++) {
        check_ok(draft_begin(w.store, 0, &drafts[i]));
        check_ok(draft_write(drafts[i], HELLO));
    }
    check_err(draft_commit_many(drafts, 4, box, places, uids), ERR_OVER_QUOTA);
    check_u64(mailbox_status(box).exists, 0);
    check_ok(draft_commit_many(drafts, 3, box, places, uids));
    check_u64(mailbox_status(box).exists, 3);
    check_err(account_has_room(w.account, 1), ERR_OVER_QUOTA);
    uint32_t uid;
    check_err(draft_commit(drafts[3], box, &places[3], &uid), ERR_OVER_QUOTA);
    for (int i = 0; i < 4; i++)
        draft_free(drafts[i]);
    mailbox_close(box);
    world_close(&w);
}

static PARKS Draft *hello(World *w)
{
    Draft *d = NULL;
    check_ok(draft_begin(w->store, 0, &d));
    check_ok(draft_write(d, HELLO));
    return d;
}

TEST(drafts_given_one_by_one_come_together)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Drafts *drafts = NULL;
    Slice word = S("$Forwarded");
    uint32_t uids[150];
    check_ok(drafts_begin(box, &drafts));
    for (int i = 0; i < 150; i++) {
        DraftPlace place = {
            .flags = FLAG_SEEN, .keywords = {&word, 1},
                 .date = 100 + i
        };
        check_ok(drafts_add(drafts, hello(&w), &place));
    }
    check_u64(mailbox_status(box).exists, 0); /* bodies are in the log, nothing is visible */
    check_ok(engine_checkpoint(store_engine(w.store))); /* and nothing is dropped */
    check_ok(drafts_commit(drafts, uids));
    drafts_free(drafts);
    check_u64(mailbox_status(box).exists, 150);
    for (uint32_t i = 0; i < 150; i++) {
        const Message *m = mailbox_message(box, uids[i]);
        check_u64(uids[i], i + 1);
        check_u64(m->date, 100 + i);
        check_slice(account_keywords(w.account, m->kwset), word);
    }
    mailbox_close(box);
    world_close(&w);
}

TEST(drafts_given_up_leave_nothing)
{
    World w;
    world_open(&w, &(StoreOptions){.quota_octets = 100 * HELLO.len, .undelete_days = 7});
    Mailbox *box = world_box(&w, "INBOX");
    Drafts *drafts = NULL;
    check_ok(drafts_begin(box, &drafts));
    for (int i = 0; i < 100; i++)
        check_ok(drafts_add(drafts, hello(&w), &(DraftPlace){0}));
    check_err(drafts_add(drafts, hello(&w), &(DraftPlace){0}), ERR_OVER_QUOTA);
    check_err(account_has_room(w.account, 1), ERR_OVER_QUOTA); /* it is kept for them */
    drafts_free(drafts);
    check_ok(account_has_room(w.account, 100 * HELLO.len));
    check_ok(engine_checkpoint(store_engine(w.store)));
    Slice stored;
    check_err(email_summary(w.account, 1, &stored),
              ERR_EXPUNGED); /* no window for what never was */
    mailbox_close(box);
    world_close(&w);
}

TEST(a_draft_takes_the_place_of_a_message)
{
    World w;
    world_open(&w, &(StoreOptions){.quota_octets = HELLO.len});
    Mailbox *box = world_box(&w, "INBOX"), *other = world_box(&w, "Sent");
    uint32_t uid;
    world_append_octets(&w, box, HELLO, &(DraftPlace){0});
    Draft *d = hello(&w), *again = hello(&w);
    check_ok(draft_replace(d, other, &(DraftPlace){.flags = FLAG_SEEN}, box, 1, &uid));
    check_u64(mailbox_status(box).exists, 0);
    check_u64(mailbox_status(other).exists, 1);
    check_u64(account_quota(w.account).used[QUOTA_STORAGE], HELLO.len);
    check_err(draft_replace(again, box, &(DraftPlace){0}, box, 1, &uid), ERR_EXPUNGED);
    check_u64(mailbox_status(box).exists, 0);
    draft_free(d);
    draft_free(again);
    mailbox_close(box);
    mailbox_close(other);
    world_close(&w);
}

TEST(quota_counts_octets_and_copies)
{
    World w;
    world_open(&w, &(StoreOptions){.quota_octets = 2 * HELLO.len});
    Arena a arena_scoped = {0};
    Mailbox *box = world_box(&w, "INBOX"), *other = world_box(&w, "Archive");
    world_append_octets(&w, box, HELLO, &(DraftPlace){0});
    UidSet one = world_uids(&a, 1, 1);
    CopyResult r;
    check_ok(mailbox_copy(box, &one, other, &a, &r));
    check_err(mailbox_copy(box, &one, other, &a, &r), ERR_OVER_QUOTA);
    check_ok(mailbox_move(box, &one, other, &a, &r)); /* needs no room */
    check_u64(account_quota(w.account).used[QUOTA_STORAGE], 2 * HELLO.len);
    world_expunge(other, 1, 2);
    check_u64(account_quota(w.account).used[QUOTA_STORAGE], 0);
    check_u64(account_quota(w.account).used[QUOTA_MESSAGE], 0);
    mailbox_close(box);
    mailbox_close(other);
    world_close(&w);
}

/* RFC 9208 5.3: parents made on the way count. */
TEST(mailboxes_have_a_limit)
{
    World w;
    world_open(&w, NULL);
    uint64_t has = account_quota(w.account).used[QUOTA_MAILBOX];
    const uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, has + 2, QUOTA_NONE};
    check_ok(account_set_quota(w.account, limit));
    check_err(mailbox_create(w.account, S("a/b/c"), ROLE_NONE), ERR_OVER_QUOTA);
    check_u64(account_quota(w.account).used[QUOTA_MAILBOX], has);
    check_ok(mailbox_create(w.account, S("a/b"), ROLE_NONE));
    check_err(mailbox_create(w.account, S("c"), ROLE_NONE), ERR_OVER_QUOTA);
    check_ok(mailbox_rename(w.account, S("a/b"), S("a/c")));
    check_err(mailbox_rename(w.account, S("a/c"), S("b/c")), ERR_OVER_QUOTA);
    check_ok(mailbox_delete(w.account, S("a/c")));
    check_ok(mailbox_create(w.account, S("c"), ROLE_NONE));
    world_reopen(&w);
    check_u64(account_quota(w.account).limit[QUOTA_MAILBOX], has + 2);
    check_err(mailbox_create(w.account, S("d"), ROLE_NONE), ERR_OVER_QUOTA);
    world_close(&w);
}

TEST(imports_keep_their_uids)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    check_u64(world_append_octets(&w, box, HELLO, &(DraftPlace){.uid = 1000}), 1000);
    check_u64(world_append_octets(&w, box, HELLO, &(DraftPlace){.uid = 5}), 1001);
    check_u64(world_append_octets(&w, box, HELLO, &(DraftPlace){0}), 1002);
    check_slice(world_show(&w, box), S("1000 1001 1002"));
    mailbox_close(box);
    world_close(&w);
}

/* ---- delivery ---- */

static PARKS uint32_t deliver_to(World *w, uint32_t acct, Slice mailbox, bool create)
{
    Draft *d scoped(draft) = NULL;
    Delivery to = {.acct = acct, .mailbox = mailbox, .create = create};
    check_ok(draft_begin(w->store, 0, &d));
    check_ok(draft_write(d, HELLO));
    draft_deliver(d, &to, 1);
    check_ok(to.err);
    return to.uid;
}

TEST(delivery_creates_a_folder_or_falls_back)
{
    World w;
    world_open(&w, NULL);
    check_u64(deliver_to(&w, w.acct, S("INBOX"), false), 1);
    check_u64(deliver_to(&w, w.acct, S("lists/tuhs"), true), 1);
    check_u64(deliver_to(&w, w.acct, S("missing"), false), 2);
    check_u64(deliver_to(&w, w.acct, S("bad//name"), true), 3);
    Mailbox *box = world_box(&w, "lists/tuhs");
    check_slice(world_show(&w, box), S("1"));
    mailbox_close(box);
    world_close(&w);
}

TEST(one_body_for_many_recipients)
{
    World w;
    world_open(&w, NULL);
    enum { MANY = 20 };
    Delivery *to = arena_array(&w.arena, Delivery, MANY + 2);
    for (int i = 0; i < MANY; i++) {
        Slice login = arena_printf(&w.arena, "many%d", i);
        check_ok(store_create_account(w.store, login, &to[i].acct));
        to[i].mailbox = S("INBOX");
        to[i].place.prefix = arena_printf(&w.arena, "Delivered-To: %.*s\r\n", SP(login));
    }
    to[MANY] = to[3]; /* twice the same */
    to[MANY + 1] = (Delivery){.acct = 99999, .mailbox = S("INBOX")};
    EngineStatus before, after;
    engine_status(w.store->engine, &before);
    Draft *d = NULL;
    Buf body = {0};
    buf_add(&body, HELLO);
    for (int i = 0; i < 2000; i++)
        buf_add(&body, S("0123456789012345678901234567890123456789\r\n"));
    check_ok(draft_begin(w.store, 0, &d));
    check_ok(draft_write(d, buf_slice(&body)));
    draft_deliver(d, to, MANY + 2);
    draft_free(d);
    engine_status(w.store->engine, &after);
    check(after.octets_written - before.octets_written < 2 * body.len);
    for (int i = 0; i <= MANY; i++) {
        check_ok(to[i].err);
        check_u64(to[i].uid, i == MANY ? 2 : 1);
    }
    check_err(to[MANY + 1].err, ERR_NOT_FOUND);
    check(to[MANY + 1].story.len > 0);
    buf_done(&body);
    world_close(&w);
}

/* ---- emails ---- */

TEST(emails_know_their_thread_and_mailboxes)
{
    World w;
    world_open(&w, NULL);
    Arena a arena_scoped = {0};
    Mailbox *box = world_box(&w, "INBOX"), *other = world_box(&w, "Archive");
    static const char *const messages[] = {
        "Message-ID: <1@x>\r\nSubject: tea\r\n\r\n",
        "Message-ID: <2@x>\r\nSubject: Re: tea\r\nIn-Reply-To: <1@x>\r\n\r\n",
        "Message-ID: <3@x>\r\nSubject: coffee\r\nReferences: <1@x> <2@x>\r\n\r\n",
        "Message-ID: <5@x>\r\nSubject: Re: tea\r\nReferences: <0@x> <4@x>\r\n\r\n",
        "Message-ID: <4@x>\r\nSubject: tea\r\nReferences: <0@x>\r\n\r\n",
        "Subject: tea\r\n\r\n",
    };
    static const uint32_t thread_of[] = {1, 1, 3, 4, 4, 6};
    for (size_t i = 0; i < COUNT(messages); i++)
        world_append_octets(&w, box, slice_of(messages[i]), &(DraftPlace){0});
    UidSet one = world_uids(&a, 2, 2);
    CopyResult r;
    check_ok(mailbox_copy(box, &one, other, &a, &r));
    for (uint32_t uid = 1; uid <= COUNT(messages); uid++) {
        EmailDetails d;
        check_ok(email_details(w.account, mailbox_message(box, uid)->eid, &a, &d));
        check_u64(d.thread_id, thread_of[uid - 1]);
        check_u64(d.link_count, uid == 2 ? 2 : 1);
        check_u64(d.links[0].mailbox_id, mailbox_status(box).id);
        check(d.links[0].saved > 0);
    }
    mailbox_close(box);
    mailbox_close(other);
    world_close(&w);
}

TEST(thousands_of_threads_split_their_table)
{
    World w;
    world_open(&w, NULL);
    Account *a = w.account;
    for (uint32_t eid = 1; eid <= 3000; eid++) {
        uint32_t hash = eid * 2654435761u, thread;
        check_ok(thread_join(a, eid, &hash, 1, &thread));
        check_u64(thread, eid);
    }
    check(a->h.thread_buckets > 20);
    for (uint32_t eid = 1; eid <= 3000; eid++) {
        uint32_t hash = eid * 2654435761u, thread;
        check_ok(thread_join(a, 9999, &hash, 1, &thread));
        check_u64(thread, eid);
    }
    world_close(&w);
}

/* Somebody sends us hashes that fall into one place: no more than so many are kept. */
TEST(hashes_that_collide_fill_one_page_only)
{
    World w;
    world_open(&w, NULL);
    Account *a = w.account;
    for (uint32_t i = 1; i <= 2100; i++) {
        uint32_t hash = i << 20, thread;
        check_ok(thread_join(a, i, &hash, 1, &thread));
    }
    check_u64(a->h.thread_entries, 2000);
    world_close(&w);
}

/* A page that cannot be read, at each of the places that need one. */
TEST(threads_whose_pages_cannot_be_read)
{
    World w;
    unsigned failed = 0;
    world_open(&w, NULL);
    Account *a = w.account;
    for (uint32_t eid = 1; eid <= 800; eid++) {
        uint32_t hashes[] = {eid * 2654435761u, eid * 2246822519u}, thread;
        if (eid % 40 == 0) {
            account_touch(a);
            check_ok(engine_checkpoint(store_engine(w.store)));
            thread_pages_trim(a, 0);
        }
        fault_set("index.read", 1 + eid % 4);
        Err err = thread_join(a, eid, hashes, 2, &thread);
        check(!err || err == ERR_CORRUPT);
        failed += err == ERR_CORRUPT;
        fault_set("index.read", 0);
        if (err) check_ok(thread_join(a, eid, hashes, 2, &thread));
        check_u64(thread, eid);
    }
    check(failed > 20);
    world_close(&w);
}

TEST(an_expunged_body_goes_when_nobody_sees_it)
{
    World w;
    world_open(&w, NULL);
    Arena a arena_scoped = {0};
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    uint32_t eid = mailbox_next(box, 1)->eid;
    View *view = NULL;
    check_ok(view_open(box, true, &view));
    world_expunge(box, 1, 1);
    check_ok(engine_checkpoint(w.store->engine));
    char got[4];
    check_ok(email_read(w.account, eid, 0, got, 4));
    check_slice(slice(got, 4), S("From"));
    ViewNews news;
    view_sync(view, false, &a, &news);
    check_ok(engine_checkpoint(w.store->engine));
    check_ok(email_read(w.account, eid, 0, got, 4));
    view_sync(view, true, &a, &news);
    world_append(&w, box, "two", 0);
    check_ok(engine_checkpoint(w.store->engine));
    check_err(email_read(w.account, eid, 0, got, 4), ERR_EXPUNGED);
    view_close(view);
    mailbox_close(box);
    world_close(&w);
}

TEST(the_undelete_window_keeps_bodies)
{
    World w;
    world_open(&w, &(StoreOptions){.undelete_days = 7});
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    uint32_t eid = mailbox_next(box, 1)->eid;
    world_expunge(box, 1, 1);
    mailbox_close(box);
    world_reopen(&w);
    check_ok(engine_checkpoint(w.store->engine));
    char got[4];
    check_ok(email_read(w.account, eid, 0, got, 4));
    w.options.undelete_days = 0;
    world_reopen(&w);
    kept_sweep(w.account->home);
    check_ok(engine_checkpoint(w.store->engine));
    world_reopen(&w);
    check_err(email_read(w.account, eid, 0, got, 4), ERR_EXPUNGED);
    world_close(&w);
}

/* ---- accounts and objects ---- */

TEST(accounts_are_found_listed_and_removed)
{
    World w;
    world_open(&w, NULL);
    uint32_t acct, again;
    check_ok(store_create_account(w.store, S("zoe"), &acct));
    check_err(store_create_account(w.store, S("zoe"), &again), ERR_EXISTS);
    check_ok(store_find_account(w.store, S("zoe"), &again));
    check_u64(again, acct);
    check_err(store_find_account(w.store, S("nobody"), &again), ERR_NOT_FOUND);
    for (int life = 0; life < 2; life++) {
        Slice *logins;
        uint32_t *accts;
        size_t count;
        check_ok(store_list_accounts(w.store, S("u"), 1000, &w.arena, &logins, &accts, &count));
        check(count >= 2);
        check_slice(logins[count - 1], S("zoe"));
        check_u64(accts[count - 1], acct);
        check_ok(store_list_accounts(w.store, S("zoe"), 9, &w.arena, &logins, &accts, &count));
        check_u64(count, 0);
        world_reopen(&w);
    }
    check_ok(store_remove_account(w.store, S("zoe")));
    check_err(store_find_account(w.store, S("zoe"), &again), ERR_NOT_FOUND);
    check_err(store_remove_account(w.store, S("zoe")), ERR_NOT_FOUND);
    check_ok(store_create_account(w.store, S("zoe"), &again));
    check(again != acct);
    world_close(&w);
}

/* ---- many at once ---- */

enum { FOUNDERS = 32 };

typedef struct {
    Store *store;
    char login[16];
    uint32_t acct;
    Err err;
    unsigned *left;
} Founder;

PARKS static void found_one(void *arg)
{
    Founder *f = arg;
    f->err = store_create_account(f->store, slice_of(f->login), &f->acct);
    --*f->left;
}

/* The last two want the same login. */
PARKS static void found_many(World *w, Founder founders[FOUNDERS])
{
    unsigned left = FOUNDERS;
    for (int i = 0; i < FOUNDERS; i++) {
        founders[i] = (Founder){.store = w->store, .left = &left};
        snprintf(founders[i].login, sizeof founders[i].login, "many%d", MIN(i, FOUNDERS - 2));
        fiber_start("founder", found_one, &founders[i]);
    }
    while (left)
        fiber_sleep(1);
}

TEST(accounts_made_at_once_share_flushes)
{
    World w;
    Founder founders[FOUNDERS];
    EngineStatus before, after;
    uint32_t acct;
    world_open(&w, NULL);
    engine_status(w.store->engine, &before);
    found_many(&w, founders);
    engine_status(w.store->engine, &after);
    check(after.flushes - before.flushes < FOUNDERS); /* one after the other: two for each */
    Founder *last = &founders[FOUNDERS - 1];
    check(last[-1].err + last->err == ERR_EXISTS);
    if (last->err)
        last->acct = last[-1].acct;
    else
        last[-1].acct = last->acct;
    world_reopen(&w);
    for (int i = 0; i < FOUNDERS; i++) {
        check_ok(store_find_account(w.store, slice_of(founders[i].login), &acct));
        check_u64(acct, founders[i].acct);
        for (int j = 0; j < i && i < FOUNDERS - 1 && j < FOUNDERS - 2; j++)
            check(founders[j].acct != acct);
    }
    check_ok(store_create_account(w.store, S("one more"), &acct));
    for (int i = 0; i < FOUNDERS; i++)
        check(acct > founders[i].acct);
    world_close(&w);
}

typedef struct {
    Store *store;
    uint32_t acct, validity; /* of its INBOX; 0: there is none */
    uint64_t mailboxes;
} Seen;

PARKS static void see(void *arg)
{
    Seen *s = arg;
    Account *a scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    Err err = account_load(s->store, s->acct, &a);
    check_ok(err);
    if (err) return;
    account_ref(a);
    s->mailboxes = account_quota(a).used[QUOTA_MAILBOX];
    if (!mailbox_open(a, s->acct, S("INBOX"), &box)) s->validity = mailbox_status(box).uid_validity;
}

PARKS static Seen seen(World *w, uint32_t acct)
{
    Seen s = {.store = w->store, .acct = acct};
    loop_call(store_home(w->store, acct), see, &s);
    return s;
}

/* An offline client of the one before must not take the new mailboxes for his. */
TEST(whoever_gets_a_removed_name_gets_higher_uid_validities)
{
    World w;
    world_open(&w, NULL);
    uint32_t acct, before = 0;
    for (int i = 0; i < 4; i++) { /* in one second */
        check_ok(store_create_account(w.store, S("zoe"), &acct));
        uint32_t validity = seen(&w, acct).validity;
        check(validity > before);
        before = validity;
        check_ok(store_remove_account(w.store, S("zoe")));
        if (i == 1) world_reopen(&w);
    }
    world_close(&w);
}

TEST(a_removal_that_was_cut_off_is_finished)
{
    World w;
    world_open(&w, NULL);
    uint32_t acct;
    check_ok(store_create_account(w.store, S("zoe"), &acct));
    fault_set("store.remove", 1);
    check_err(store_remove_account(w.store, S("zoe")), ERR_IO);
    check_err(store_find_account(w.store, S("zoe"), &(uint32_t){0}), ERR_NOT_FOUND);
    check_u64(seen(&w, acct).mailboxes, 6);
    world_reopen(&w);
    check_u64(seen(&w, acct).mailboxes, 0);
    world_close(&w);
}

TEST(an_account_that_is_removed_takes_nothing_more)
{
    World w;
    world_open(&w, NULL);
    uint32_t acct;
    check_ok(store_create_account(w.store, S("zoe"), &acct));
    while (store_home(w.store, acct) != loop_current()) {
        check_ok(store_remove_account(w.store, S("zoe")));
        check_ok(store_create_account(w.store, S("zoe"), &acct));
    }
    Account *a = NULL;
    check_ok(account_open(w.store, acct, &a));
    check_ok(mailbox_create(a, S("before"), ROLE_NONE));
    check_ok(store_remove_account(w.store, S("zoe")));
    check_err(mailbox_create(a, S("behind"), ROLE_NONE), ERR_NOT_FOUND);
    account_close(a);
    world_close(&w);
}

TEST(an_account_starts_with_its_mailboxes)
{
    World w;
    world_open(&w, NULL);
    MailboxEntry *list;
    size_t count;
    Buf text = {0};
    account_mailboxes(w.account, &w.arena, &list, &count);
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%.*s%s%d ", SP(list[i].name), list[i].subscribed ? "+" : "-",
                   (int)list[i].status.role);
    check_slice(buf_slice(&text), S("INBOX+1 Archive+2 Drafts+3 Junk+5 Sent+6 Trash+7 "));
    check(account_login(w.account).len > 0);
    check_err(account_open(w.store, 4242, &(Account *){0}), ERR_NOT_FOUND);
    buf_done(&text);
    world_close(&w);
}

TEST(a_maildrop_has_one_holder)
{
    World w;
    world_open(&w, NULL);
    check_ok(maildrop_lock(w.account));
    check_err(maildrop_lock(w.account), ERR_IN_USE);
    maildrop_unlock(w.account);
    check_ok(maildrop_lock(w.account));
    maildrop_unlock(w.account);
    world_close(&w);
}

TEST(an_idle_account_is_small)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 300);
    world_expunge(box, 10, 20);
    Slice stored;
    for (uint32_t uid = 30; uid < 300; uid++)
        check_ok(email_summary(w.account, mailbox_message(box, uid)->eid, &stored));
    check_ok(engine_checkpoint(w.store->engine));
    check(w.account->email_page_count > 0);
    w.account->emails_used -= 60 * 1000;
    home_slim(w.account->home);
    check_u64(w.account->email_page_count, 0);
    check_u64(w.account->thread_pages.count, 0);
    check_u64(w.account->dead_pages.count, 0);
    check_u64(w.account->summaries.count, 0);
    check_u64(box->box->vanished_count, 0);
    check_u64(mailbox_status(box).exists, 289);
    check(sizeof(Account) + 6 * sizeof(Box) < 4096);
    mailbox_close(box);
    world_close(&w);
}

TEST(an_account_nobody_uses_is_unloaded_and_comes_back)
{
    World w;
    world_open(&w, NULL);
    Home *home = w.account->home;
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "x", FLAG_FLAGGED);
    mailbox_close(box);
    account_close(w.account);
    list_each (l, &home->accounts)
        CONTAINER(l, Account, link)->idle_since -= 120 * 1000;
    home_slim(home);
    check(number_table_get(&home->table, w.acct)); /* not clean: it stays */
    check_ok(engine_checkpoint(w.store->engine));
    check(!number_table_get(&home->table, w.acct));
    check_ok(account_open(w.store, w.acct, &w.account));
    box = world_box(&w, "INBOX");
    check_slice(world_show(&w, box), S("1F"));
    mailbox_close(box);
    world_close(&w);
}

/* The cache holds about three pages: slices stay good until we wait all the same. */
TEST(summaries_stay_until_the_next_wait)
{
    World w;
    world_open(&w, &(StoreOptions){.cache_octets = 30000});
    Mailbox *box = world_box(&w, "INBOX");
    enum { MANY = 400 };
    Slice *stored = arena_array(&w.arena, Slice, MANY);
    world_append_many(&w, box, MANY);
    check_ok(engine_checkpoint(w.store->engine));
    for (uint32_t i = 0; i < MANY; i++)
        check_ok(email_summary(w.account, mailbox_message(box, i + 1)->eid, &stored[i]));
    for (uint32_t i = 0; i < MANY; i++) {
        MailSummary m;
        check_ok(mail_summary_peek(stored[i], &m));
        check_slice(m.subject, arena_printf(&w.arena, "NUMBER %u", i));
    }
    fiber_sleep(1);
    check(w.account->home->summary_octets <= 40000);
    check(list_is_empty(&w.account->home->evicted));
    mailbox_close(box);
    world_close(&w);
}

TEST(octets_beyond_an_email_are_refused)
{
    World w;
    char out[64];
    EmailDetails details;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", 0);
    const Message *m = mailbox_message(box, 1);
    uint32_t eid = m->eid, size = m->size;
    check_ok(email_read(w.account, eid, size, out, 0));
    check_err(email_read(w.account, eid, size + 1, out, 0), ERR_LIMIT);
    check_err(email_read(w.account, eid, size - 1, out, 2), ERR_LIMIT);
    check_err(email_read(w.account, 999, 0, out, 1), ERR_EXPUNGED);
    check_err(email_details(w.account, 999, &w.arena, &details), ERR_EXPUNGED);
    world_expunge(box, 1, 1);
    check_ok(email_details(w.account, eid, &w.arena, &details)); /* until it is purged */
    check(!details.link_count && !details.created_modseq);
    EmailPage *p;
    check_ok(email_page(w.account, eid / EMAILS, &p));
    p->emails[eid % EMAILS].prefix = 50; /* one that nobody has defined */
    check_ok(email_read(w.account, eid, 0, out, 1));
    mailbox_close(box);
    world_close(&w);
}

/* Emails of more pages than are kept, some of them changed. */
TEST(pages_of_emails_are_given_back)
{
    enum { PAGES = 700 };
    World w;
    EmailPage *p;
    world_open(&w, NULL);
    for (uint32_t number = 0; number < PAGES; number++) {
        check_ok(email_page(w.account, number, &p));
        if (number < 3) p->state = PAGE_DIRTY;
    }
    check(w.account->email_page_count < 520);
    check_ok(email_page(w.account, 0, &p));
    check(p->state == PAGE_DIRTY);
    for (uint32_t number = 0; number < 3; number++)
        if (!email_page(w.account, number, &p)) p->state = 0;
    email_pages_trim(w.account, 10);
    check_u64(w.account->email_page_count, 10);
    world_close(&w);
}

TEST(a_cache_smaller_than_a_page_holds_one)
{
    World w;
    Slice stored;
    world_open(&w, &(StoreOptions){.cache_octets = 1});
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 40);
    check_ok(engine_checkpoint(w.store->engine));
    for (uint32_t uid = 1; uid <= 40; uid++)
        check_ok(email_summary(w.account, mailbox_message(box, uid)->eid, &stored));
    check_u64(w.account->home->summary_table.count, 1);
    mailbox_close(box);
    world_close(&w);
}

/* One without octets is nobody's body; numbers go on far behind those that were given out. */
TEST(a_store_put_back_has_new_numbers)
{
    World w;
    uint64_t given_up;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    uint32_t validity = mailbox_status(box).uid_validity;
    world_append_octets(&w, box, S(""), &(DraftPlace){0});
    world_append(&w, box, "one", 0);
    w.account->broken = ERR_CORRUPT;
    check_err(store_renew(w.store, &given_up), ERR_CORRUPT);
    w.account->broken = OK;
    check_ok(store_renew(w.store, &given_up));
    check_u64(given_up, 0);
    check(mailbox_status(box).uid_validity > validity);
    world_append(&w, box, "two", 0);
    check(mailbox_message(box, 3)->eid > 1 << 20);
    mailbox_close(box);
    world_close(&w);
    store_close(NULL);
}
