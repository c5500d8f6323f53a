/* Conversations over a pair of streams, with a real store behind them. */
#include "base/text.h"
#include "net/script_test.h"
#include "pop3/pop3.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Store *store;
    Auth *auth;
    Pop3Config config;
    uint32_t acct;
    int ended;
    char dir[40];
} World;

PARKS static void world_open(World *w)
{
    AuthUser user;
    Stream *a, *b;
    Arena arena arena_scoped = {0};
    *w = (World){.dir = "/tmp/pop3_test.XXXXXX"};
    check(mkdtemp(w->dir));
    StoreOptions options = {0};
    check_ok(store_open(slice_of(w->dir), &options, &w->store));
    AuthConfig config = {.dir = arena_printf(&arena, "%s/keeper", w->dir),
                         .plain_without_tls = true,
                         .device_separator = S("+device="),
                         .demo_accounts = 9,
                         .demo_password = S("secret"),
                         .argon2_memory_kib = 64,
                         .argon2_passes = 1,
                         .scram_iterations = 16};
    check_ok(auth_open(&config, w->store, &w->auth));
    w->config = (Pop3Config){.auth = w->auth, .store = w->store, .hostname = S("pop.example.org")};
    check_ok(stream_pair(&a, &b)); /* the account exists from its first login on */
    check_ok(auth_login(w->auth, "pop3", a, S("u00001"), S("secret"), &user));
    check_ok(auth_find_account(w->auth, "pop3", a, &user));
    stream_free(a);
    stream_free(b);
    w->acct = user.acct;
}

PARKS static void world_close(World *w)
{
    char command[80];
    auth_close(w->auth);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

/* ---- what others do with the account, at its home ---- */

typedef struct {
    World *w;
    Slice text, mailbox;
    MailboxStatus status; /* out */
    int64_t date;
    uint32_t seen; /* out */
} Errand;

PARKS_UNCHECKED static void do_append(void *arg)
{
    Errand *e = arg;
    uint32_t uid;
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    Draft *draft scoped(draft) = NULL;
    DraftPlace place = {.date = e->date};
    check_ok(account_open(e->w->store, e->w->acct, &account));
    check_ok(mailbox_open(account, e->w->acct, S("INBOX"), &box));
    check_ok(draft_begin(e->w->store, e->text.len, &draft));
    check_ok(draft_write(draft, e->text));
    check_ok(draft_commit(draft, box, &place, &uid));
}

PARKS static void append(World *w, Slice text)
{
    Errand e = {.w = w, .text = text};
    loop_call(store_home(w->store, w->acct), do_append, &e);
}

PARKS_UNCHECKED static void do_look(void *arg)
{
    Errand *e = arg;
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(e->w->store, e->w->acct, &account));
    check_ok(mailbox_open(account, e->w->acct, e->mailbox, &box));
    e->status = mailbox_status(box);
}

PARKS static MailboxStatus look(World *w, Slice mailbox)
{
    Errand e = {.w = w, .mailbox = mailbox};
    loop_call(store_home(w->store, w->acct), do_look, &e);
    return e.status;
}

PARKS_UNCHECKED static void do_expunge(void *arg)
{
    Errand *e = arg;
    Arena a arena_scoped = {0};
    UidSet all = {0};
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(e->w->store, e->w->acct, &account));
    check_ok(mailbox_open(account, e->w->acct, S("INBOX"), &box));
    uidset_add(&a, &all, 1, 1);
    check_ok(mailbox_expunge(box, &all, true, &a, NULL));
}

PARKS_UNCHECKED static void do_prefer(void *arg)
{
    Errand *e = arg;
    Account *account scoped(account) = NULL;
    check_ok(account_open(e->w->store, e->w->acct, &account));
    check_ok(object_put(account, S("pref"), S("pop3"), e->text, NULL));
}

PARKS static void prefer(World *w, Slice text)
{
    Errand e = {.w = w, .text = text};
    loop_call(store_home(w->store, w->acct), do_prefer, &e);
}

/* ---- conversations ---- */

static void has_ended(void *arg)
{
    __atomic_add_fetch(&((World *)arg)->ended, 1, __ATOMIC_SEQ_CST);
}

typedef struct {
    World *w;
    Stream *stream;
} Serving;

PARKS_UNCHECKED static void serve(void *arg)
{
    Serving *v = arg;
    Stream *stream = v->stream;
    World *w = v->w;
    free(v);
    pop3_serve(stream, &w->config, has_ended, w);
}

PARKS static Stream *connect_to(World *w)
{
    Stream *client;
    Serving *v = NEW(Serving);
    v->w = w;
    check_ok(stream_pair(&client, &v->stream));
    fiber_start("pop3", serve, v);
    return client;
}

/* Waits until `sessions` have ended in all. */
PARKS static void hang_up(World *w, Stream *client, int sessions)
{
    stream_free(client);
    while (__atomic_load_n(&w->ended, __ATOMIC_SEQ_CST) < sessions)
        fiber_sleep(1);
}

#define LOGIN  "S: +OK pop.example.org *\nC: USER u00001\nS: +OK *\nC: PASS secret\n"
#define FIRST  S("Subject: one\r\n\r\n.dot\r\nline\r\n") /* 28 octets */
#define SECOND S("Subject: two\r\n\r\nsecond\r\n")       /* 24 */

TEST(a_session_of_rfc_1939)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    append(&w, SECOND);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK 2 messages (52 octets)\n"
                    "C: STAT\nS: +OK 2 52\n"
                    "C: LIST\nS: +OK 2 messages (52 octets)\nS: 1 28\nS: 2 24\nS: .\n"
                    "C: LIST 2\nS: +OK 2 24\nC: LIST 3\nS: -ERR *\nC: LIST 0\nS: -ERR *\n"
                    "C: UIDL 2\nS: +OK 2 *\nC: UIDL\nS: +OK *\nS: 1 *\nS: 2 *\nS: .\n"
                    "C: RETR 1\nS: +OK 28 octets\nS: Subject: one\nS: \nS: ..dot\nS: line\nS: .\n"
                    "C: TOP 1 1\nS: +OK *\nS: Subject: one\nS: \nS: ..dot\nS: .\n"
                    "C: TOP 2 0\nS: +OK *\nS: Subject: two\nS: \nS: .\n"
                    "C: TOP 2\nS: -ERR *\nC: TOP 2 x\nS: -ERR *\nC: TOP x 2\nS: -ERR *\n"
                    "C: DELE 1\nS: +OK *\nC: DELE 1\nS: -ERR *\nC: RETR 1\nS: -ERR *\n"
                    "C: STAT\nS: +OK 1 24\nC: LIST\nS: +OK *\nS: 2 24\nS: .\n"
                    "C: RSET\nS: +OK 2 messages (52 octets)\nC: STAT\nS: +OK 2 52\n"
                    "C: NOOP\nS: +OK *\nC: NOOP x\nS: -ERR *\nC: LAST\nS: -ERR *\n"
                    "C: DELE 2\nS: +OK *\nC: QUIT\nS: +OK Bye, 1 messages left\nS: -\n");
    hang_up(&w, c, 1);
    MailboxStatus inbox = look(&w, S("INBOX"));
    check_u64(inbox.exists, 1);
    check_u64(inbox.unseen, 0); /* the one that is left was retrieved */
    world_close(&w);
}

TEST(nothing_is_deleted_without_quit)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    append(&w, SECOND);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: DELE 1\nS: +OK *\nC: RETR 2\nS: +OK *\nS: ...\nS: .\n");
    hang_up(&w, c, 1);
    MailboxStatus inbox = look(&w, S("INBOX"));
    check_u64(inbox.exists, 2);
    check_u64(inbox.unseen, 1);
    world_close(&w);
}

TEST(the_maildrop_is_exclusive)
{
    World w;
    world_open(&w);
    Stream *a = connect_to(&w), *b = connect_to(&w);
    script(a, LOGIN "S: +OK 0 messages (0 octets)\n");
    script(b, LOGIN "S: -ERR [IN-USE] *\n");
    script(a, "C: QUIT\nS: +OK *\nS: -\n");
    script(b, "C: USER u00001\nS: +OK *\nC: PASS secret\nS: +OK *\nC: QUIT\nS: +OK *\nS: -\n");
    stream_free(a);
    hang_up(&w, b, 2);
    w.config.shared_maildrop = true;
    a = connect_to(&w), b = connect_to(&w);
    script(a, LOGIN "S: +OK *\n");
    script(b, LOGIN "S: +OK *\n");
    stream_free(a);
    hang_up(&w, b, 4);
    world_close(&w);
}

TEST(the_maildrop_stays_what_it_was)
{
    World w;
    Errand e = {.w = &w};
    world_open(&w);
    append(&w, FIRST);
    append(&w, SECOND);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK 2 messages*\n");
    append(&w, S("Subject: three\r\n\r\n"));
    loop_call(store_home(w.store, w.acct), do_expunge, &e);
    script(c, "C: STAT\nS: +OK 2 52\nC: LIST\nS: +OK *\nS: 1 28\nS: 2 24\nS: .\n"
              "C: RETR 1\nS: +OK *\nS: Subject: one\nS: ...\nS: .\n"
              "C: RETR 2\nS: +OK *\nS: Subject: two\nS: ...\nS: .\n"
              "C: RETR 3\nS: -ERR *\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 2);
    world_close(&w);
}

TEST(unique_ids_stay)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    append(&w, SECOND);
    Slice line = {0};
    char first[80] = "";
    for (int session = 1; session <= 2; session++) {
        Stream *c = connect_to(&w);
        script(c, LOGIN "S: +OK *\nC: UIDL 2\n");
        check(script_line(c, &line) && line.len < 80 && line.len > 10);
        if (session == 1) memcpy(first, line.at, line.len);
        check_slice(line, slice_of(first));
        script(c, "C: QUIT\nS: +OK *\nS: -\n");
        hang_up(&w, c, session);
    }
    world_close(&w);
}

TEST(pipelined_commands_are_answered_in_turn)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    Stream *c = connect_to(&w);
    script(c, "C: USER u00001\nC: PASS secret\nC: STAT\nC: LIST\nC: RETR 1\nC: DELE 1\nC: QUIT\n"
              "S: +OK pop*\nS: +OK *\nS: +OK 1 messages (28 octets)\nS: +OK 1 28\nS: +OK *\n"
              "S: 1 28\nS: .\nS: +OK 28 octets\nS: ...\nS: .\nS: +OK *\nS: +OK Bye, 0 *\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 0);
    world_close(&w);
}

TEST(preferences_are_followed)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    append(&w, SECOND);
    prefer(&w, S("delete=trash"));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: CAPA\nS: +OK *\nS: ...\nS: EXPIRE NEVER\nS: ...\nS: .\n"
                    "C: DELE 1\nS: +OK *\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 1);
    check_u64(look(&w, S("Trash")).exists, 1);
    prefer(&w, S("leave=no"));
    c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: CAPA\nS: +OK *\nS: ...\nS: EXPIRE 0\nS: ...\nS: .\n"
                    "C: RETR 1\nS: +OK *\nS: ...\nS: .\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 2);
    check_u64(look(&w, S("INBOX")).exists, 0);
    world_close(&w);
}

/* A date of long ago is not a long time here. */
TEST(mail_that_just_came_does_not_expire)
{
    World w;
    world_open(&w);
    Errand e = {.w = &w, .text = FIRST, .date = 86400};
    loop_call(store_home(w.store, w.acct), do_append, &e);
    prefer(&w, S("expire=1"));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: CAPA\nS: +OK *\nS: ...\nS: EXPIRE 1\nS: ...\nS: .\n"
                    "C: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 1);
    world_close(&w);
}

TEST(strangers_may_do_little)
{
    World w;
    world_open(&w);
    w.config.apop = true;
    Stream *c = connect_to(&w);
    script(c, "S: +OK pop.example.org POP3 posthouse <*\n"
              "C: STAT\nS: -ERR *\nC: PASS x\nS: -ERR USER *\nC: FOO\nS: -ERR *\nC: \nS: -ERR *\n"
              "C: USER\nS: -ERR *\nC: USER nobody\nS: +OK *\nC: PASS x\nS: -ERR [AUTH] *\n"
              "C: USER u00001\nS: +OK *\nC: PASS  secret\nS: -ERR [AUTH] *\n"
              "C: USER \377\nS: -ERR *\nC: APOP u00001 00\nS: -ERR *\nC: STLS\nS: -ERR *\n"
              "C: STLS x\nS: -ERR *\nC: LANG\nS: +OK *\nS: i-default *\nS: en English\n"
              "S: de *\nS: es *\nS: fr *\nS: ru *\nS: zh *\nS: .\n"
              "C: LANG en-GB\nS: +OK en *\nC: LANG *\nS: +OK i-default *\nC: LANG i-default\n"
              "S: +OK i-default *\nC: LANG MUL\nS: -ERR *\nC: UTF8\nS: +OK *\nC: CAPA\nS: +OK *\n"
              "S: ...\nS: EXPIRE 0 USER\nS: ...\nS: .\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    for (int i = 0; i < 31; i++)
        stream_put(c, S("\001\002\003\r\n"));
    script(c, "S: ...\nS: -ERR [SYS/PERM] Too many mistakes\nS: -\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

TEST(sasl_logs_in)
{
    World w;
    world_open(&w);
    Stream *c = connect_to(&w);
    script(c, "S: +OK *\nC: AUTH\nS: +OK *\nS: ...\nS: PLAIN\nS: ...\nS: .\n"
              "C: AUTH FOO\nS: -ERR *\nC: AUTH PLAIN =AAA\nS: -ERR *\n"
              "C: AUTH PLAIN\nS: + \nC: *\nS: -ERR *\nC: AUTH PLAIN\nS: + \nC: !!\nS: -ERR *\n"
              "C: AUTH PLAIN AHUwMDAwMQB3cm9uZw==\nS: -ERR [AUTH] *\n"
              "C: AUTH PLAIN\nS: + \nC: AHUwMDAwMQBzZWNyZXQ=\nS: +OK 0 messages (0 octets)\n"
              "C: AUTH PLAIN AHUwMDAwMQBzZWNyZXQ=\nS: -ERR *\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    script(c, "S: +OK *\nC: AUTH PLAIN AHUwMDAwMQBzZWNyZXQ=\nS: +OK 0 messages (0 octets)\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

TEST(logins_have_to_wait)
{
    World w;
    world_open(&w);
    w.config.login_delay_s = 3600;
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: CAPA\nS: +OK *\nS: ...\nS: LOGIN-DELAY 3600\nS: ...\nS: .\n"
                    "C: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    script(c, LOGIN "S: -ERR [LOGIN-DELAY] *\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

TEST(last_is_what_was_retrieved)
{
    World w;
    world_open(&w);
    w.config.last = true;
    append(&w, FIRST);
    append(&w, SECOND);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: LAST\nS: +OK 0\nC: RETR 1\nS: +OK *\nS: ...\nS: .\n"
                    "C: LAST\nS: +OK 1\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: LAST\nS: +OK 1\nC: RETR 2\nS: +OK *\nS: ...\nS: .\n"
                    "C: LAST\nS: +OK 2\nC: RSET\nS: +OK *\nC: LAST\nS: +OK 1\nC: QUIT\nS: +OK *\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

/* RFC 1939 7: TOP always has the blank line, RETR is the message as it is. */
TEST(top_ends_a_header_that_has_no_end)
{
    World w;
    world_open(&w);
    append(&w, S("Subject: all there is\r\n"));
    append(&w, S("Subject: cut off"));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: TOP 1 0\nS: +OK *\nS: Subject: all there is\nS: \nS: .\n"
                    "C: TOP 2 9\nS: +OK *\nS: Subject: cut off\nS: \nS: .\n"
                    "C: RETR 1\nS: +OK *\nS: Subject: all there is\nS: .\n"
                    "C: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

TEST(a_header_in_utf8_is_sent_to_those_who_asked)
{
    World w;
    world_open(&w);
    append(&w, S("Subject: M\303\274ll\r\n\r\n\303\274\r\n"));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: RETR 1\nS: +OK *\nS: Subject: =?utf-8?B?TcO8bGw=?=\nS: \n"
                    "S: \303\274\nS: .\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    script(c, "S: +OK *\nC: UTF8\nS: +OK *\nC: USER u00001\nS: +OK *\nC: PASS secret\nS: +OK *\n"
              "C: TOP 1 0\nS: +OK *\nS: Subject: M\303\274ll\nS: \nS: .\nC: QUIT\nS: +OK *\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

/* Larger than a block, with dots at every line, and not ended by a line end. */
TEST(a_large_message_comes_whole)
{
    World w;
    Buf text buf_scoped = {0}, got buf_scoped = {0};
    Slice line = {0};
    world_open(&w);
    buf_add(&text, S("Subject: large\r\n\r\n"));
    for (int i = 0; i < 50000; i++)
        buf_printf(&text, ".%d.\r\n", i);
    append(&w, buf_slice(&text));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: RETR 1\nS: +OK *\n");
    while (script_line(c, &line) && !slice_eq(line, S("."))) {
        buf_add(&got, slice_from(line, line.len && line.at[0] == '.'));
        buf_add(&got, S("\r\n"));
    }
    check(slice_eq(buf_slice(&got), buf_slice(&text)));
    script(c, "C: TOP 1 3\nS: +OK *\nS: Subject: large\nS: \nS: ..0.\nS: ..1.\nS: ..2.\nS: .\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* RFC 1939 3: without a word, and without deleting anything. */
TEST(who_is_silent_is_logged_out)
{
    World w;
    world_open(&w);
    w.config.idle_ms = 30;
    append(&w, FIRST);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: DELE 1\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 1);
    world_close(&w);
}

/* Without the words of RFC 2449: a client that is gone hears nothing. */
TEST(who_hangs_up_in_the_middle_leaves_nothing_behind)
{
    static const char *const last[] = {"C: AUTH PLAIN\nS: + \n", "C: NOOP\n"};
    World w;
    world_open(&w);
    hang_up(&w, connect_to(&w), 1); /* before the greeting was read */
    for (size_t i = 0; i < COUNT(last); i++) {
        Stream *c = connect_to(&w);
        script(c, "S: +OK *\n");
        script_run(c, __FILE__, __LINE__, slice_of(last[i]));
        hang_up(&w, c, (int)i + 2);
    }
    world_close(&w);
}

TEST(a_response_has_a_limit)
{
    World w;
    world_open(&w);
    w.config.limits.line_before_login = 600;
    Stream *c = connect_to(&w);
    script(c, "S: +OK *\nC: AUTH PLAIN\nS: + \n");
    for (int i = 0; i < 20; i++)
        stream_put(c, S("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"));
    script(c,
           "C: \nS: -ERR Bad response\nC: USER u00001\nS: +OK *\nC: PASS \377\nS: -ERR [AUTH] *\n");
    stream_put(c, S("QUIT\n")); /* typed by hand */
    script(c, "S: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* RFC 2449 6.7: what a device has retrieved the others may still want. */
TEST(nothing_expires_for_a_device)
{
    World w;
    world_open(&w);
    prefer(&w, S("delete=expunge expire=never leave=no"));
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: CAPA\nS: +OK *\nS: ...\nS: EXPIRE 0\nS: ...\nS: .\n"
                    "C: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 1);
    c = connect_to(&w);
    script(c,
           "S: +OK *\nC: USER u00001+device=phone\nS: +OK *\nC: PASS secret\nS: +OK *\n"
           "C: CAPA\nS: +OK *\nS: ...\nS: EXPIRE NEVER\nS: ...\nS: .\nC: QUIT\nS: +OK *\nS: -\n");
    hang_up(&w, c, 2);
    world_close(&w);
}

/* That it was read is lost, not the message: the log says so. The store takes no changes then. */
TEST(what_was_read_may_be_forgotten)
{
    World w;
    world_open(&w);
    append(&w, FIRST);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK *\nC: RETR 1\nS: +OK *\nS: ...\nS: .\n");
    fault_set("log.write", 1);
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).unseen, 1);
    world_close(&w);
}

PARKS_UNCHECKED static void do_lose_trash(void *arg)
{
    Errand *e = arg;
    Account *account scoped(account) = NULL;
    check_ok(account_open(e->w->store, e->w->acct, &account));
    check_ok(mailbox_delete(account, S("Trash")));
    if (e->text.len) check_ok(mailbox_create(account, e->text, ROLE_NONE));
}

/* A mailbox that is called so will do; where there is none, one is made. */
TEST(what_is_deleted_finds_a_trash)
{
    static const char *const others[] = {"", "Trash"};
    for (size_t i = 0; i < COUNT(others); i++) {
        World w;
        Errand e = {.w = &w, .text = slice_of(others[i])};
        world_open(&w);
        loop_call(store_home(w.store, w.acct), do_lose_trash, &e);
        prefer(&w, S("delete=trash expire=never leave=yes"));
        append(&w, FIRST);
        append(&w, SECOND);
        Stream *c = connect_to(&w);
        script(c, LOGIN "S: +OK 2 *\nC: DELE 1\nS: +OK *\nC: QUIT\nS: +OK Bye, 1 messages left\n");
        hang_up(&w, c, 1);
        check_u64(look(&w, S("INBOX")).exists, 1);
        check_u64(look(&w, S("Trash")).exists, 1);
        world_close(&w);
    }
}

/* More than the loop does in one turn. */
TEST(a_large_maildrop_is_sorted_out)
{
    World w;
    Slice line = {0};
    world_open(&w);
    for (int i = 0; i < 600; i++)
        append(&w, SECOND);
    Stream *c = connect_to(&w);
    script(c, LOGIN "S: +OK 600 messages (14400 octets)\n");
    for (int i = 1; i < 600; i++)
        stream_printf(c, "DELE %d\r\n", i);
    (void)stream_flush(c);
    for (int i = 1; i < 600; i++)
        check(script_line(c, &line) && slice_starts(line, S("+OK")));
    script(c, "C: QUIT\nS: +OK Bye, 1 messages left\nS: -\n");
    hang_up(&w, c, 1);
    check_u64(look(&w, S("INBOX")).exists, 1);
    world_close(&w);
}
