#include "house/transfer.h"

#include "house/house_world.h"

#include <stdio.h>
#include <sys/time.h>

/* ---- the codec ---- */

static const TransferMeta some_meta = {
    .mailbox = {"Work/2025",    9 },
    .keywords = {"$Forwarded a", 12},
    .key = {"1.a",          3 },
    .date = 1234567890,
    .size = UINT64_C(1) << 40,
    .uid = 7,
    .uid_validity = 0xfffffffe,
    .uid_next = 42,
    .flags = 31
};

TEST(a_meta_comes_back_whole_or_not_at_all)
{
    Buf frame buf_scoped = {0}, again buf_scoped = {0};
    TransferMeta m;
    transfer_meta_encode(&frame, &some_meta);
    check_ok(transfer_meta_decode(buf_slice(&frame), &m));
    transfer_meta_encode(&again, &m);
    check_slice(buf_slice(&again), buf_slice(&frame));
    check_u64(m.uid_next, 42);
    check_slice(m.keywords, S("$Forwarded a"));
    for (size_t len = 0; len < frame.len; len++)
        check_err(transfer_meta_decode(slice(frame.at, len), &m), ERR_SYNTAX);
    buf_char(&frame, 'x');
    check_err(transfer_meta_decode(buf_slice(&frame), &m), ERR_SYNTAX);
}

TEST(marks_differ_by_mailbox_and_key)
{
    check(transfer_mark(S("a"), S("b")) == transfer_mark(S("a"), S("b")));
    check(transfer_mark(S("a"), S("b")) != transfer_mark(S("ab"), S("")));
    check(transfer_mark(S("a"), S("b")) != transfer_mark(S("b"), S("a")));
}

TEST(a_thing_comes_back_whole_or_not_at_all)
{
    Buf frame buf_scoped = {0}, value buf_scoped = {0};
    Quota q =
              {
                  .limit = {1, 2, 3, QUOTA_NONE},
                    .used = {5, 6, 7, 8         }
    },
          now;
    Thing t, sent = {.kind = THING_WHOLE,
                     .mailbox = S("Work"),
                     .name = S("/comment"),
                     .login = S("bert"),
                     .acct = 7,
                     .number = THING_LIMITED};
    thing_put_quota(&value, &q);
    sent.value = buf_slice(&value);
    thing_encode(&frame, &sent);
    check_ok(thing_decode(buf_slice(&frame), &t));
    check(t.kind == THING_WHOLE && t.acct == 7 && t.number == THING_LIMITED);
    check_slice(t.login, S("bert"));
    check_ok(thing_quota(t.value, &now));
    check(q.own == now.own && !memcmp(q.limit, now.limit, sizeof q.limit) &&
          !memcmp(q.used, now.used, sizeof q.used));
    check_err(thing_quota(slice_from(t.value, 1), &now), ERR_SYNTAX);
    for (size_t len = 0; len < frame.len; len++)
        check_err(thing_decode(slice(frame.at, len), &t), ERR_SYNTAX);
    frame.at[1] = THING_END;
    check_err(thing_decode(buf_slice(&frame), &t), ERR_SYNTAX);
}

TEST(rights_come_back_one_by_one)
{
    Buf value buf_scoped = {0};
    Slice identifier;
    uint32_t acct;
    Rights rights;
    bool more;
    thing_put_right(&value, S("bert"), 7, RIGHT_READ | RIGHT_LOOKUP);
    thing_put_right(&value, S("-anyone"), 0, RIGHTS_ALL);
    Reader in = reader(buf_slice(&value));
    check_ok(thing_right(&in, &identifier, &acct, &rights, &more));
    check(more && acct == 7 && rights == (RIGHT_READ | RIGHT_LOOKUP));
    check_ok(thing_right(&in, &identifier, &acct, &rights, &more));
    check_slice(identifier, S("-anyone"));
    check_ok(thing_right(&in, &identifier, &acct, &rights, &more));
    check(!more);
    in = reader(slice(value.at, value.len - 1));
    check_ok(thing_right(&in, &identifier, &acct, &rights, &more));
    check_err(thing_right(&in, &identifier, &acct, &rights, &more), ERR_SYNTAX);
}

/* ---- verbs at the terminal, with the house opened for each ---- */

PARKS static void open_again(HouseWorld *w)
{
    if (!w->house) check_ok(house_open(&(HouseStart){.config = &w->config}, &w->house));
}

PARKS static void shut(HouseWorld *w)
{
    house_close(w->house);
    w->house = NULL;
}

PARKS static int run_line(HouseWorld *w, const char *const *words, int count)
{
    CommandLine line = {.config = &w->config, .argv = (char **)words, .argc = count};
    shut(w);
    verb_find(slice_of(words[0]))->at_terminal(&line);
    open_again(w);
    return line.exit_code;
}
#define RUN(w, ...)                                                                                \
    run_line((w), (const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})))

PARKS static void place_open(HouseWorld *w)
{
    Answer a = {0};
    house_world_open(w);
    ASK(w, &a, S("user"), S("add"), S("anna"), S("pw"));
    ASK(w, &a, S("user"), S("add"), S("bert"), S("pw"));
    check_u64((unsigned)a.exit_code, 0);
    answer_done(&a);
}

static const char *at(HouseWorld *w, const char *name)
{
    return arena_cstr(&w->arena, house_world_path(w, name));
}

static void put(HouseWorld *w, const char *name, const char *text, int64_t date)
{
    struct timeval times[2] = {{.tv_sec = date}, {.tv_sec = date}};
    house_world_write(w, name, slice_of(text));
    check(!utimes(at(w, name), times));
}

/* ---- what a user has ---- */

typedef struct {
    HouseWorld *w;
    const char *login;
    Buf *out;
    bool numbers;
    uint32_t acct;
    void (*work)(Account *account, void *arg);
    void *arg;
} Visit;

PARKS static void tell_message(Account *account, const Message *m, bool numbers, Buf *out)
{
    Buf octets buf_scoped = {0};
    Message copy = *m;
    buf_printf(out, "  %u %u %x %.*s|", numbers ? copy.uid : 0, copy.date, copy.flags,
               SP(account_keywords(account, copy.kwset)));
    check_ok(email_read(account, copy.eid, 0, buf_reserve(&octets, copy.size + 1), copy.size));
    octets.len = copy.size;
    buf_add(out, buf_slice(&octets));
    buf_add(out, S("|\n"));
}

PARKS static void tell_account(Account *account, void *arg)
{
    Visit *v = arg;
    Arena a arena_scoped = {0};
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(account, &a, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        Mailbox *box scoped(mailbox) = NULL;
        if (!entries[i].exists || !entries[i].status.exists) continue;
        check_ok(mailbox_open(account, account_number(account), entries[i].name, &box));
        MailboxStatus s = mailbox_status(box);
        buf_printf(v->out, "%.*s %u %u\n", SP(entries[i].name), v->numbers ? s.uid_validity : 0,
                   v->numbers ? s.uid_next : 0);
        for (uint32_t uid = 1; mailbox_next(box, uid); uid++) {
            const Message *m = mailbox_next(box, uid);
            uid = m->uid;
            tell_message(account, m, v->numbers, v->out);
        }
    }
}

PARKS static void visit_at_home(void *arg)
{
    Visit *v = arg;
    Account *account scoped(account) = NULL;
    check_ok(account_open(v->w->house->store, v->acct, &account));
    v->work(account, v->arg);
}

PARKS static void visit(HouseWorld *w, const char *login, void (*work)(Account *, void *),
                        void *arg)
{
    Visit v = {.w = w, .work = work, .arg = arg};
    check_ok(auth_account(w->house->auth, slice_of(login), &v.acct));
    loop_call(store_home(w->house->store, v.acct), visit_at_home, &v);
}

PARKS static Slice mail_of(HouseWorld *w, const char *login, bool numbers)
{
    Buf out buf_scoped = {0};
    Visit v = {.out = &out, .numbers = numbers};
    visit(w, login, tell_account, &v);
    return arena_copy(&w->arena, buf_slice(&out));
}

static size_t count_of(Slice text, const char *what)
{
    size_t n = 0;
    for (Slice rest = text; rest.len; n++) {
        size_t found = slice_find_slice(rest, slice_of(what));
        if (found == rest.len) break;
        rest = slice_from(rest, found + 1);
    }
    return n;
}

/* ---- there and back ---- */

static void put_maildir(HouseWorld *w)
{
    put(w, "m/dovecot-uidlist", "3 V1234567890 N500 Gx\n7 :b\n11 :a\n", 1);
    put(w, "m/dovecot-keywords", "0 $Junk\n1 Work\n", 1);
    put(w, "m/cur/a:2,FSab", "Subject: a\n\nFrom here\n>From there\n\n", 1000000001);
    put(w, "m/cur/b:2,DRT", "Subject: b\nStatus: RO\n\nx\n", 1000000002);
    put(w, "m/new/c", "Subject: c\n\nbehind those that have a number\n", 1000000003);
    put(w, "m/.Entw&APw-rfe.a&AC4-b/cur/d:2,P", "Subject: d\n\n\n\n", 1000000004);
    put(w, "m/.Entw&APw-rfe.a&AC4-b/cur/e", "Subject: e\n\nno newline", 1000000005);
    put(w, "m/.Empty/cur/.keep", "", 1);
}

static const char all_of_it[] =
    "INBOX 1234567890 501\n"
    "  7 1000000002 1a |Subject: b\r\nStatus: RO\r\n\r\nx\r\n|\n"
    "  11 1000000001 5 $Junk Work|Subject: a\r\n\r\nFrom here\r\n>From there\r\n\r\n|\n"
    "  500 1000000003 0 |Subject: c\r\n\r\nbehind those that have a number\r\n|\n";

TEST(a_maildir_goes_in_and_comes_out_as_it_was)
{
    HouseWorld w;
    Answer a = {0};
    place_open(&w);
    put_maildir(&w);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    Slice had = mail_of(&w, "anna", true);
    check(slice_starts(had, slice_of(all_of_it)));
    check_u64(count_of(had, "Subject: "), 5);
    ASK(&w, &a, S("mailbox"), S("list"), S("anna"));
    check_u64(count_of(buf_slice(&a.out), "  Empty\n"), 1);
    check_u64(count_of(buf_slice(&a.out), "  Entw\u00fcrfe/a.b\n"), 1);
    check_u64((unsigned)RUN(&w, "export", "anna", at(&w, "out")), 0);
    check_u64((unsigned)RUN(&w, "import", "bert", at(&w, "out")), 0);
    check_slice(mail_of(&w, "bert", true), had);
    ASK(&w, &a, S("mailbox"), S("list"), S("bert"));
    check_u64(count_of(buf_slice(&a.out), "  Empty\n"), 1);
    answer_done(&a);
    house_world_close(&w);
}

TEST(an_mbox_goes_in_and_comes_out_as_it_was)
{
    HouseWorld w;
    place_open(&w);
    put(&w, "in/INBOX.mbox",
        "From a Sat Jan  3 01:05:34 1996\nX-IMAPbase: 1234567890 0000000499\nStatus: RO\n"
        "X-Status: F\nX-UID: 7\nX-Keywords: $Junk Work\nSubject: a\n\n>From here\n>>From "
        "there\n\n\n"
        "From a Sat Jan  3 01:05:35 1996\nStatus: O\nX-UID: 11\nSubject: b\n\nx\n",
        1);
    put(&w, "in/Deep/&AC4-er.mbox", "From a Sat Jan  3 01:05:36 1996\nSubject: c\n\nx\n", 1);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "in")), 0);
    Slice had = mail_of(&w, "anna", true);
    check(slice_starts(had, S("INBOX 1234567890 500\n"
                              "  7 820631134 5 $Junk Work|Subject: a\r\n\r\nFrom here\r\n"
                              ">From there\r\n\r\n|\n"
                              "  11 820631135 0 |Subject: b\r\n\r\nx\r\n|\n")));
    check_u64(count_of(had, "Deep/.er "), 1);
    check_u64((unsigned)RUN(&w, "export", "anna", at(&w, "out"), "--format", "mbox"), 0);
    check_u64((unsigned)RUN(&w, "import", "bert", at(&w, "out")), 0);
    check_slice(mail_of(&w, "bert", true), had);
    house_world_close(&w);
}

TEST(numbers_are_kept_only_where_nothing_was_before)
{
    HouseWorld w;
    place_open(&w);
    put(&w, "one/x.eml", "Subject: x\n\nx\n", 1);
    put_maildir(&w);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "one")), 0);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    Slice has = mail_of(&w, "anna", true);
    check_u64(count_of(has, "INBOX 1234567890"), 0);
    check_u64(count_of(has, "  2 1000000002 1a "), 1);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m"), "--mailbox", "Old"), 0);
    has = mail_of(&w, "anna", true);
    check_u64(count_of(has, "\nOld 1234567890 501\n"), 1);
    check_u64(count_of(has, "\nOld/Entw\u00fcrfe/a.b "), 1);
    house_world_close(&w);
}

/* ---- again ---- */

TEST(a_second_import_brings_only_what_is_new)
{
    HouseWorld w;
    place_open(&w);
    put_maildir(&w);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    Slice before = mail_of(&w, "anna", true);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    check_slice(mail_of(&w, "anna", true), before);
    put(&w, "m/cur/A:2,", "Subject: sorts before all others\n\nx\n", 5);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    Slice after = mail_of(&w, "anna", true);
    check_u64(count_of(after, "Subject: "), count_of(before, "Subject: ") + 1);
    check_u64(count_of(after, "  501 5 0 |Subject: sorts"), 1);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m"), "--again"), 0);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 2 * 6);
    house_world_close(&w);
}

PARKS static void empty_inbox(Account *account, void *arg)
{
    (void)arg;
    Arena a arena_scoped = {0};
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(mailbox_open(account, account_number(account), S("INBOX"), &box));
    check_ok(mailbox_expunge(box, NULL, true, &a, NULL));
}

TEST(an_emptied_mailbox_is_filled_again)
{
    HouseWorld w;
    place_open(&w);
    put_maildir(&w);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    visit(&w, "anna", empty_inbox, NULL);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 2);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 5);
    house_world_close(&w);
}

/* A server killed between the two writes leaves a batch that says pending: whether its messages are
 * in, the mailbox knows. */
PARKS static void make_pending(Account *account, void *arg)
{
    const bool *lost = arg;
    Arena a arena_scoped = {0};
    Slice *ids, value;
    size_t count;
    check_ok(object_list(account, S("import"), (Slice){0}, 100, &a, &ids, &count));
    for (size_t i = 0; i < count; i++) {
        Buf changed buf_scoped = {0};
        check_ok(object_get(account, S("import"), ids[i], &a, &value, NULL));
        if (value.len < 2) continue; /* not a batch */
        buf_add(&changed, value);
        changed.at[0] = 1;
        if (*lost) memset(changed.at + 1, 0x7f, 4); /* as if nothing had come since */
        check_ok(object_put(account, S("import"), ids[i], buf_slice(&changed), NULL));
    }
}

TEST(a_batch_that_was_cut_short_is_settled)
{
    HouseWorld w;
    bool lost = false;
    place_open(&w);
    put_maildir(&w);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    visit(&w, "anna", make_pending, &lost);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 5);
    lost = true;
    visit(&w, "anna", make_pending, &lost);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "m")), 0);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 10);
    house_world_close(&w);
}

TEST(a_message_that_is_too_large_keeps_no_other_out)
{
    HouseWorld w;
    Buf big buf_scoped = {0};
    place_open(&w);
    check_ok(config_set(&w.config, S("message_most"), S("1000")));
    buf_add(&big, S("Subject: big\n\n"));
    memset(buf_reserve(&big, 3000), 'x', 3000);
    big.len += 3000;
    house_world_write(&w, "t/b.eml", buf_slice(&big));
    put(&w, "t/a.eml", "Subject: a\n\nx\n", 1);
    put(&w, "t/c.eml", "Subject: c\n\nx\n", 1);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "t")), EXIT_DATA);
    check_u64(count_of(mail_of(&w, "anna", true), "Subject: "), 2);
    house_world_close(&w);
}

TEST(what_the_terminal_answers)
{
    HouseWorld w;
    place_open(&w);
    put(&w, "t/a.eml", "Subject: a\n\nx\n", 1);
    check_u64((unsigned)RUN(&w, "import", "anna"), EXIT_USAGE);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "t"), "--mailbox"), EXIT_USAGE);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "t"), "--format", "pst"), EXIT_USAGE);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "t"), "more"), EXIT_USAGE);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "nowhere")), EXIT_NO_INPUT);
    check_u64((unsigned)RUN(&w, "import", "nobody", at(&w, "t")), EXIT_NO_USER);
    check_u64((unsigned)RUN(&w, "export", "nobody", at(&w, "out")), EXIT_NO_USER);
    check_u64((unsigned)RUN(&w, "export", "anna"), EXIT_USAGE);
    check_u64((unsigned)RUN(&w, "export", "anna", at(&w, "out"), "--mailbox", "Nope"),
              EXIT_NO_INPUT);
    check_u64((unsigned)RUN(&w, "export", "anna", at(&w, "out"), "--format", "pst"), EXIT_USAGE);
    house_world_close(&w);
}

/* Batches of 200: several of them, with all that can be between two. */
TEST(many_messages_in_several_batches)
{
    HouseWorld w;
    Buf file buf_scoped = {0};
    place_open(&w);
    for (unsigned i = 0; i < 950; i++)
        buf_printf(&file, "From a Sat Jan  3 01:05:34 1996\nSubject: %u\nX-UID: %u\n\nx\n\n", i,
                   2 * i + 1);
    house_world_write(&w, "box", buf_slice(&file));
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "box"), "--mailbox", "Many"), 0);
    Slice has = mail_of(&w, "anna", true);
    check_u64(count_of(has, "Subject: "), 950);
    check_u64(count_of(has, "  1899 820631134 0 |Subject: 949\r"), 1);
    check_u64((unsigned)RUN(&w, "import", "anna", at(&w, "box"), "--mailbox", "Many"), 0);
    check_slice(mail_of(&w, "anna", true), has);
    house_world_close(&w);
}
