#include "base/test.h"
#include "mail/casemap.h"
#include "mail/mail.h"
#include "run/file.h"
#include "store/model.h"
#include "store/signature.h"

#include <ctype.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    char at[64];
    Store *store;
    Account *account;
    Mailbox *box;
} Place;

/* The usual map of 1 TiB is more than the thread sanitizer leaves. */
static const StoreOptions options = {.engine = {.map_bytes = 1 << 30}};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static PARKS void come(Place *p)
{
    uint32_t acct = 0;
    check_ok(store_open(slice_of(p->at), &options, &p->store));
    Err err = store_find_account(p->store, S("u"), &acct);
    if (err) check_ok(store_create_account(p->store, S("u"), &acct));
    check_ok(account_open(p->store, acct, &p->account));
    check_ok(mailbox_open(p->account, acct, S("INBOX"), &p->box));
}

static PARKS void leave(Place *p)
{
    mailbox_close(p->box);
    account_close(p->account);
    store_close(p->store);
}

/* The account must be at home here: the tests run on one loop of two, so take one that is. */
static PARKS void place_with(void (*test)(void *), const char *name)
{
    Place p = {.at = "/tmp/posthouse-text-XXXXXX"};
    (void)name;
    must(mkdtemp(p.at));
    Store *store = NULL;
    uint32_t acct = 0;
    check_ok(store_open(slice_of(p.at), &options, &store));
    check_ok(store_create_account(store, S("u"), &acct));
    Loop *home = store_home(store, acct);
    store_close(store);
    loop_call(home, test, &p);
    check(nftw(p.at, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static PARKS uint32_t add(Place *p, Slice message, Slice prefix)
{
    Draft *d scoped(draft) = NULL;
    uint32_t uid = 0;
    check_ok(draft_begin(p->store, message.len, &d));
    check_ok(draft_write(d, message));
    check_ok(draft_commit(d, p->box, &(DraftPlace){.prefix = prefix}, &uid));
    const Message *m = mailbox_message(p->box, uid);
    return m ? m->eid : 0;
}

static bool count_asked(void *count, size_t asked)
{
    (void)asked;
    ++*(size_t *)count;
    return true;
}

/* As SEARCH does it: candidates, then the truth: of all at once, and of each. */
static PARKS size_t search(Place *p, const char *text, bool body_only, uint32_t *eids, size_t room)
{
    Buf needle buf_scoped = {0};
    size_t n = 0, found = 0;
    casemap(&needle, slice_of(text));
    for (const Message *m = mailbox_next(p->box, 1); m && n < room;
         m = mailbox_next(p->box, m->uid + 1))
        eids[n++] = m->eid;
    n = text_candidates(p->account, buf_slice(&needle), eids, n);
    TextQuestion question = {.needle = buf_slice(&needle), .body_only = body_only};
    bool *all = mem_new(n + 1);
    size_t asked = 0;
    emails_contain(p->account, &question, eids, n, all, count_asked, &asked);
    check(!n || asked);
    for (size_t i = 0; i < n; i++) {
        bool has = false;
        check_ok(email_contains(p->account, eids[i], buf_slice(&needle), body_only, &has));
        check(has == all[i]);
        if (has) eids[found++] = eids[i];
    }
    free(all);
    return found;
}

typedef struct {
    const char *message, *prefix;
} Sample;
static const Sample samples[] = {
    {"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Wien\r\n\r\nplain body one\r\n",                        ""                                     },
    {"Subject: two\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
     "base64\r\n\r\n"
     "QmFzZTY0IENvbnRlbnQgaGVyZQ==\r\n",                                                          "Delivered-To: someone@example.org\r\n"},
    {"Subject: three\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: "
     "quoted-printable\r\n\r\n"
     "<p>split<b>te</b>d wor=\r\nd &amp; more</p>\r\n",                                           ""                                     },
    {"Subject: four\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
     "8bit\r\n\r\n"
     "\xe4\xb8\xad\xe6\x96\x87 \xd0\x9f\xd0\xa0\xd0\x98\xd0\x92\xd0\x95\xd0\xa2\r\n",             ""                                     },
    {"Subject: five\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfirst "
     "part\r\n--x\r\n"
     "Content-Type: message/rfc822\r\n\r\nSubject: inner subject\r\n\r\ninner text\r\n--x--\r\n", ""                                     },
};
static const struct {
    const char *needle;
    bool body_only;
    unsigned wanted; /* a bit for each sample */
} questions[] = {
    {"gr\xc3\xbc\xc3\x9f"
     "e",                   false, 1 },
    {"GR\xc3\x9c\xc3\x9f"
     "E",                   true,  0 },
    {"Subject",                  false, 31},
    {"subject",                  true,  0 },
    {"subject: three",           false, 4 },
    {"BODY",                     true,  1 },
    {"base64 content",           true,  2 },
    {"QmFzZTY0",                 true,  0 },
    {"someone@example",          false, 2 },
    {"someone@example",          true,  0 },
    {"splitted word & more",     true,  4 },
    {"<b>",                      true,  0 },
    {"\xe4\xb8\xad",             true,  8 },
    {"\xd0\xbf\xd1\x80\xd0\xb8", true,  8 },
    {"inner subject",            true,  0 },
    {"inner subject",            false, 16},
    {"message/rfc822",           false, 16},
    {"message/rfc822",           true,  0 },
    {"inner text",               true,  16},
    {"e",                        false, 31},
    {"zz",                       false, 0 },
    {"not in any of them",       false, 0 },
};

static PARKS void ask_all(Place *p, const uint32_t *eids)
{
    for (size_t i = 0; i < COUNT(questions); i++) {
        uint32_t found[16];
        unsigned got = 0;
        size_t n = search(p, questions[i].needle, questions[i].body_only, found, COUNT(found));
        for (size_t k = 0; k < n; k++)
            for (unsigned j = 0; j < COUNT(samples); j++)
                if (found[k] == eids[j]) got |= 1u << j;
        if (got != questions[i].wanted)
            test_failed(__FILE__, __LINE__, "\"%s\" in %x, not %x", questions[i].needle, got,
                        questions[i].wanted);
    }
}

static PARKS void lose_file(Place *p)
{
    Arena a arena_scoped = {0};
    check_ok(path_unlink(arena_printf(&a, "%s/search/%u.sig", p->at, account_number(p->account))));
}

static PARKS void finds_what_is_there(void *arg)
{
    Place *p = arg;
    uint32_t eids[COUNT(samples)];
    come(p);
    for (size_t i = 0; i < COUNT(samples); i++)
        eids[i] = add(p, slice_of(samples[i].message), slice_of(samples[i].prefix));
    ask_all(p, eids);
    leave(p);
    come(p);
    ask_all(p, eids);
    lose_file(p);
    leave(p);
    come(p);
    ask_all(p, eids); /* reads them all, and learns */
    ask_all(p, eids);
    leave(p);
}

TEST(text_is_found_where_it_is)
{
    place_with(finds_what_is_there, "found");
}

static PARKS size_t candidates(Place *p, const char *needle, uint32_t count)
{
    Buf folded buf_scoped = {0};
    uint32_t *eids = mem_new(count * sizeof *eids);
    size_t n = 0;
    for (const Message *m = mailbox_next(p->box, 1); m && n < count;
         m = mailbox_next(p->box, m->uid + 1))
        eids[n++] = m->eid;
    casemap(&folded, slice_of(needle));
    n = text_candidates(p->account, buf_slice(&folded), eids, n);
    free(eids);
    return n;
}

/* Few are read for a rare word: from memory, from single signatures, from blocks, after a loss. */
static PARKS void rules_out_most(void *arg)
{
    enum { MANY = 700 };
    Place *p = arg;
    come(p);
    for (uint32_t i = 0; i < MANY; i++) {
        Buf text buf_scoped = {0};
        buf_printf(&text, "Subject: message\r\n\r\nsome words and rare%uword\r\n", i * 7919);
        add(p, buf_slice(&text), (Slice){0});
    }
    check(candidates(p, "rare7919word", MANY) <= 5);
    check_u64(candidates(p, "some words", MANY), MANY);
    leave(p);
    come(p);
    check(candidates(p, "rare7919word", MANY) <= 5);
    lose_file(p);
    leave(p);
    come(p);
    uint32_t *eids = mem_new(MANY * sizeof *eids);
    check_u64(candidates(p, "rare7919word", MANY), MANY);
    check_u64(search(p, "rare7919word", true, eids, MANY), 1); /* reads everything once */
    check(candidates(p, "rare7919word", MANY) <= 5);
    free(eids);
    leave(p);
}

/* A search that reads all answers first and learns afterwards. */
static PARKS void learns_afterwards(void *arg)
{
    enum { MANY = 600 };
    Place *p = arg;
    uint32_t eids[MANY];
    bool found[MANY];
    size_t n = 0, asked = 0;
    come(p);
    for (uint32_t i = 0; i < MANY; i++) {
        Buf text buf_scoped = {0};
        buf_printf(&text, "Subject: message\r\n\r\nsome words and rare%uword\r\n", i * 7919);
        eids[i] = add(p, buf_slice(&text), i % 2 ? S("Delivered-To: a\r\n") : (Slice){0});
    }
    leave(p);
    come(p);
    check(candidates(p, "not at all", MANY) == 0);
    lose_file(p);
    leave(p);
    come(p);
    TextQuestion question = {.needle = S("RARE7919WORD"), .body_only = true};
    check_u64(candidates(p, "rare7919word", MANY), MANY);
    emails_contain(p->account, &question, eids, MANY, found, count_asked, &asked);
    for (uint32_t i = 0; i < MANY; i++)
        n += found[i];
    check(n == 1 && found[1] && asked > 1);
    size_t left = MANY;
    for (unsigned i = 0; i < 500 && left > 5; i++) {
        fiber_sleep(20);
        left = candidates(p, "rare7919word", MANY);
    }
    check(left <= 5);
    leave(p);
}

TEST(what_a_search_had_to_read_is_learnt)
{
    place_with(learns_afterwards, "learns");
}

static bool never(void *count, size_t asked)
{
    (void)asked;
    ++*(size_t *)count;
    return false;
}

/* Nobody waits for the answer any more; the store closes while it is learnt. */
static PARKS void ends_early(void *arg)
{
    enum { MANY = 2000 };
    Place *p = arg;
    uint32_t *eids = mem_new(MANY * sizeof *eids);
    bool *found = mem_new(MANY);
    size_t asked = 0;
    come(p);
    for (uint32_t i = 0; i < MANY; i++)
        eids[i] = 1 + i % 3;
    for (unsigned i = 0; i < 3; i++)
        add(p, S("Subject: message\r\n\r\nsome words\r\n"), (Slice){0});
    leave(p);
    come(p);
    check(candidates(p, "not at all", MANY) == 0);
    lose_file(p);
    leave(p);
    come(p);
    check_u64(candidates(p, "some words", MANY), 3);
    TextQuestion question = {.needle = S("SOME WORDS"), .body_only = true};
    emails_contain(p->account, &question, eids, MANY, found, never, &asked);
    check_u64(asked, 1);
    check(found[0] && !found[MANY - 1]);
    free(eids);
    free(found);
    leave(p);
}

TEST(a_search_of_many_ends_when_told)
{
    place_with(ends_early, "ends early");
}

TEST(most_messages_are_ruled_out_unread)
{
    place_with(rules_out_most, "ruled out");
}

/* More text than is kept for the index: always a candidate, and looked at to the end. */
static PARKS void looks_at_long_ones(void *arg)
{
    Place *p = arg;
    Buf text buf_scoped = {0};
    uint32_t found[4];
    come(p);
    buf_printf(&text, "Subject: long\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n");
    for (unsigned part = 0; part < 4; part++) {
        buf_printf(&text, "--x\r\n\r\nbegin of part %u\r\n", part);
        for (unsigned i = 0; i < 8000; i++)
            buf_printf(&text, "a line of the long part that goes on and on, number %u\r\n", i);
        buf_printf(&text, "end of part %u\r\n", part);
    }
    must(text.len > MAIL_TEXT_MOST);
    uint32_t eid = add(p, buf_slice(&text), S("Delivered-To: a\r\n"));
    check_u64(candidates(p, "certainly not", 4), 1);
    check_u64(search(p, "end of part 3", true, found, 4), 1);
    check_u64(found[0], eid);
    check_u64(search(p, "subject: long", false, found, 4), 1);
    check_u64(search(p, "delivered-to: a", false, found, 4), 1);
    check_u64(search(p, "certainly not", false, found, 4), 0);
    leave(p);
}

TEST(long_messages_are_looked_at_to_the_end)
{
    place_with(looks_at_long_ones, "long");
}

/* ---- the file is not to be had, or somebody is at it ---- */

static PARKS void put_text(Place *p, uint32_t eid, size_t len)
{
    char *text = mem_new(len);
    uint32_t random = eid; /* so that no two parts are alike */
    for (size_t i = 0; i < len; i++) {
        random = random * 1664525u + 1013904223u;
        text[i] = (char)('!' + (random >> 16) % 90);
    }
    signature_add(p->account, eid, (Slice){0}, slice(text, len), true);
    free(text);
}

/* What waits is more than is kept in memory: a helper writes it, and others wait for him. */
static PARKS void keep_writing(Place *p)
{
    for (uint32_t eid = 1000; eid < 1004; eid++)
        put_text(p, eid, 200000);
}

static PARKS void path_taken(Place *p, bool taken)
{
    Arena a arena_scoped = {0};
    Slice path = arena_printf(&a, "%s/search/%u.sig", p->at, account_number(p->account));
    (void)!path_unlink(path);
    if (taken)
        check_ok(path_mkdir(path));
    else
        (void)!remove(arena_cstr(&a, path));
}

static PARKS void goes_on_without_file(void *arg)
{
    Place *p = arg;
    uint32_t eids[] = {1, 2, 3};
    come(p);
    check(!signature_is_missing(p->account, 1)); /* nobody has asked for anything */
    check_u64(text_candidates(p->account, S("words"), eids, 0), 0);
    add(p, S("Subject: one\r\n\r\nsome words\r\n"), (Slice){0});
    path_taken(p, true); /* a folder of that name */
    check_u64(candidates(p, "nothing at all", 4), 1);
    check_u64(candidates(p, "nothing at all", 4), 1); /* not tried again */
    check(!signature_is_missing(p->account, 1));
    add(p, S("Subject: two\r\n\r\nsome words\r\n"), (Slice){0});
    check_u64(candidates(p, "nothing at all", 4), 2);
    leave(p);
    come(p);
    path_taken(p, false);
    check_u64(candidates(p, "nothing at all", 4), 2); /* unknown */
    check_u64(search(p, "some words", true, eids, 3), 2);
    check_u64(candidates(p, "nothing at all", 4), 0);
    leave(p);
}

TEST(a_search_without_its_file_looks_at_all)
{
    place_with(goes_on_without_file, "without file");
}

typedef struct {
    Place *p;
    unsigned left;
} Asking;

static PARKS void ask_once(void *arg)
{
    Asking *a = arg;
    check_u64(candidates(a->p, "nothing at all", 4), 0);
    a->left--;
}

static PARKS void waits_for_the_writer(void *arg)
{
    Place *p = arg;
    Asking asking = {p, 3};
    come(p);
    add(p, S("Subject: one\r\n\r\nsome words\r\n"), (Slice){0});
    check_u64(candidates(p, "nothing at all", 4), 0);
    keep_writing(p);                                /* the file stays open: it was asked */
    check(!signature_is_missing(p->account, 1001)); /* nobody can know while it is written */
    for (int i = 0; i < 3; i++)
        fiber_start("asking", ask_once, &asking);
    while (asking.left)
        fiber_sleep(1);
    check(!signature_is_missing(p->account, 1001));
    check(signature_is_missing(p->account, 999));
    keep_writing(p);
    signature_remove(p->account);
    check(!signature_is_missing(p->account, 999));
    leave(p);
}

TEST(who_searches_waits_for_who_writes)
{
    place_with(waits_for_the_writer, "waits");
}

/* The account goes while a helper writes: what has come since is written by a last one. */
static PARKS void is_left_behind(void *arg)
{
    Place *p = arg;
    for (int taken = 0; taken < 2; taken++) {
        come(p);
        path_taken(p, taken);
        keep_writing(p);
        put_text(p, 2000, 100);
        p->account->search_free(p->account->search);
        p->account->search = NULL, p->account->search_free = NULL;
        signature_settle(p->store);
        leave(p);
        come(p);
        check_u64(candidates(p, "nothing at all", 4), 0);
        if (!taken) check(!signature_is_missing(p->account, 2000));
        path_taken(p, false);
        leave(p);
    }
}

TEST(what_an_account_leaves_behind_is_written)
{
    place_with(is_left_behind, "left behind");
}

/* The disk does not keep up: what comes then is not remembered. */
static PARKS void stops_remembering(void *arg)
{
    Place *p = arg;
    uint32_t last = 3000;
    come(p);
    for (int i = 0; i < 100; i++)
        put_text(p, last++, 300000);
    put_text(p, last, 100);
    check_u64(text_candidates(p->account, S("nothing at all"), &last, 1), 1);
    check(signature_is_missing(p->account, last) && !signature_is_missing(p->account, 3001));
    leave(p);
}

TEST(what_is_too_much_to_remember_is_forgotten)
{
    place_with(stops_remembering, "forgets");
}

static void whisper(Buf *out, Slice utf8)
{
    for (size_t i = 0; i < utf8.len; i++)
        buf_char(out, (char)tolower((unsigned char)utf8.at[i]));
}

TEST(header_texts_are_folded_as_told)
{
    Buf plain buf_scoped = {0}, soft buf_scoped = {0};
    Slice header = S("Subject: Tea\r\nTo: a@b\r\n\r\n");
    signature_header_text(&plain, header, NULL);
    signature_header_text(&soft, header, whisper);
    check_slice(buf_slice(&soft), S("subject: tea\nto: a@b\n"));
    check(plain.len == soft.len && !slice_eq(buf_slice(&plain), buf_slice(&soft)));
}

static void count_findings(void *arg, Slice line)
{
    Buf *all = arg;
    buf_add(all, line);
    buf_char(all, '\n');
}

/* Whatever derived numbers are wrong, check says so, puts them right, and finds nothing then. */
static PARKS void repairs(void *arg)
{
    Place *p = arg;
    Buf lines buf_scoped = {0};
    CheckResult r;
    come(p);
    uint32_t eid = add(p, S("Subject: x\r\n\r\ny\r\n"), (Slice){0});
    add(p, S("Subject: z\r\n\r\ny\r\n"), (Slice){0});
    check_ok(store_check(p->store, false, count_findings, &lines, &r));
    check_u64(r.findings, 0);
    check_slice(buf_slice(&lines), S(""));
    check_u64(r.accounts, 1);
    check_u64(r.messages, 2);
    BoxState *s = &p->box->box->s;
    s->exists = 5, s->unseen = 0, s->deleted = 1, s->size_octets++;
    p->account->h.used[QUOTA_STORAGE] = 1;
    Email *e;
    check_ok(email_entry(p->account, eid, &e));
    e->link.uid = 77;
    check_ok(store_check(p->store, true, count_findings, &lines, &r));
    check_u64(r.findings, 4 + 1 + 2); /* the link is wrong seen from both ends */
    check_ok(store_check(p->store, false, count_findings, &lines, &r));
    check_u64(r.findings, 0);
    check_u64(mailbox_status(p->box).exists, 2);
    check_u64(mailbox_status(p->box).unseen, 2);
    leave(p);
}

TEST(check_puts_right_what_is_derived)
{
    place_with(repairs, "repairs");
}
