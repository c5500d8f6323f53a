/* Conversations over a pair of streams, with a real store behind them: what talks/ cannot show,
 * because it is about time. */
#include "base/text.h"
#include "imap/imap.h"
#include "net/script_test.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Store *store;
    Auth *auth;
    ImapConfig config;
    int ended;
    char dir[40];
} World;

PARKS static void world_open(World *w)
{
    Arena arena arena_scoped = {0};
    *w = (World){.dir = "/tmp/imap_test.XXXXXX"};
    check(mkdtemp(w->dir));
    StoreOptions options = {0};
    check_ok(store_open(slice_of(w->dir), &options, &w->store));
    AuthConfig config = {.dir = arena_printf(&arena, "%s/keeper", w->dir),
                         .plain_without_tls = true,
                         .demo_accounts = 9,
                         .demo_password = S("secret"),
                         .argon2_memory_kib = 64,
                         .argon2_passes = 1,
                         .scram_iterations = 16};
    check_ok(auth_open(&config, w->store, &w->auth));
    w->config = (ImapConfig){.auth = w->auth, .store = w->store, .hostname = S("imap.example.org")};
}

PARKS static void world_close(World *w)
{
    char command[80];
    auth_close(w->auth);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

/* ---- conversations ---- */

static void has_ended(void *arg)
{
    __atomic_add_fetch(&((World *)arg)->ended, 1, __ATOMIC_SEQ_CST);
}

typedef struct {
    World *w;
    Stream *stream;
    const AuthUser *user; /* who is known already; NULL: a stranger */
} Serving;

PARKS_UNCHECKED static void serve(void *arg)
{
    Serving v = *(Serving *)arg;
    free(arg);
    if (v.user)
        imap_serve_known(v.stream, &v.w->config, v.user, has_ended, v.w);
    else
        imap_serve(v.stream, &v.w->config, has_ended, v.w);
}

PARKS static Stream *connect_as(World *w, const AuthUser *user)
{
    Stream *client;
    Serving *v = NEW(Serving);
    v->w = w, v->user = user;
    check_ok(stream_pair(&client, &v->stream));
    fiber_start("imap", serve, v);
    return client;
}

PARKS static Stream *connect_to(World *w)
{
    Stream *client = connect_as(w, NULL);
    script(client, "S: * OK *\nC: a LOGIN u00001 secret\nS: a OK *\n");
    return client;
}

PARKS static void hang_up(World *w, Stream *client, int sessions)
{
    stream_free(client);
    while (__atomic_load_n(&w->ended, __ATOMIC_SEQ_CST) < sessions)
        fiber_sleep(1);
}

TEST(idle_says_that_it_is_still_there)
{
    World w;
    world_open(&w);
    w.config.still_here_ms = 30;
    w.config.idle_ms = 20; /* for those that do nothing */
    Stream *c = connect_to(&w);
    script(c, "C: b SELECT INBOX\nC: c IDLE\nS: ...\nS: + idling\nS: * OK Still here\n"
              "S: * OK Still here\nC: DONE\nS: ...\nS: c OK *\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

TEST(who_does_nothing_is_sent_away)
{
    World w;
    world_open(&w);
    w.config.idle_ms = 20;
    Stream *c = connect_to(&w);
    script(c, "S: * BYE *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* RFC 9585: a client that reads slowly hears how far a long FETCH is. */
TEST(a_long_fetch_says_how_far_it_is)
{
    World w;
    world_open(&w);
    w.config.progress_ms = 5;
    Stream *c = connect_to(&w);
    script(c, "C: a APPEND INBOX {20+}\nC: Subject: x\nC: \nC: yes\nC: \nS: a OK *\n");
    script(c, "C: b SELECT INBOX\nS: ...\nS: b OK *\n");
    for (int i = 0; i < 12; i++)
        script(c, "C: c COPY 1:* INBOX\nS: ...\nS: c OK *\n");
    script(c, "C: d FETCH 1:4096 (ENVELOPE BODYSTRUCTURE ENVELOPE BODYSTRUCTURE ENVELOPE)\n");
    fiber_sleep(50);
    script(c, "S: ...\nS: * OK [INPROGRESS (\"d\" *\nS: ...\nS: d OK *\n");
    script(c, "C: e]x FETCH 1:4096 (ENVELOPE BODYSTRUCTURE ENVELOPE BODYSTRUCTURE ENVELOPE)\n");
    fiber_sleep(50);
    script(c, "S: ...\nS: * OK [INPROGRESS (NIL *\nS: ...\nS: e]x OK *\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* What a reader who does not read would have to be told is bounded (RFC 5465 5.8). */
TEST(who_does_not_read_hears_that_notify_has_overflowed)
{
    World w;
    world_open(&w);
    Stream *deaf = connect_to(&w), *busy = connect_to(&w);
    char name[900];
    memset(name, 'n', sizeof name);
    script(deaf, "C: b NOTIFY SET (personal (MailboxName))\nS: b OK *\n");
    for (int i = 0; i < 1200; i++) {
        stream_printf(busy, "c %s %.*s\r\n", i % 2 ? "DELETE" : "CREATE", (int)sizeof name, name);
        if (i % 50 == 49) (void)stream_flush(busy);
        if (i % 50 == 49) script(busy, "C: d NOOP\nS: ...\nS: d OK *\n");
    }
    script(deaf, "S: ...\nS: * OK [NOTIFICATIONOVERFLOW] *\n");
    script(busy, "C: e CREATE other\nS: e OK *\n");
    script(deaf, "C: f NOOP\nS: f OK *\n"); /* as after NOTIFY NONE */
    script(deaf, "C: g NOTIFY SET (personal (MailboxName))\nS: g OK *\n");
    script(busy, "C: h CREATE another\nS: h OK *\n");
    script(deaf, "S: * LIST (*\n");
    stream_free(busy);
    hang_up(&w, deaf, 2);
    world_close(&w);
}

/* Whoever is silent, and whoever sends half of something. */
TEST(who_is_too_slow_hears_of_it)
{
    static const struct {
        const char *sent, *heard;
        bool stranger;
    } rows[] = {
        {"",          "S: * BYE Too slow to log in\nS: -\n",                  true },
        {"a NOO",     "S: * BYE Too slow to log in\nS: -\n",                  true },
        {"b NOOP {1", "S: * BYE Too slow in the middle of a command\nS: -\n", false},
    };
    World w;
    world_open(&w);
    w.config.login_ms = 40;
    w.config.idle_ms = 40;
    for (size_t i = 0; i < COUNT(rows); i++) {
        Stream *c = rows[i].stranger ? connect_as(&w, NULL) : connect_to(&w);
        if (rows[i].stranger) script(c, "S: * OK *\n");
        stream_put(c, slice_of(rows[i].sent));
        script_run(c, __FILE__, __LINE__, slice_of(rows[i].heard));
        hang_up(&w, c, (int)i + 1);
    }
    world_close(&w);
}

TEST(who_hangs_up_in_the_middle_of_a_login)
{
    static const char *const last[] = {"", "a AUTHENTICATE PLAIN\r\n", "a LOGIN u00001 secret\r\n"};
    World w;
    world_open(&w);
    for (size_t i = 0; i < COUNT(last); i++) {
        Stream *c = connect_as(&w, NULL);
        if (i) script(c, "S: * OK *\n");
        stream_put(c, slice_of(last[i]));
        (void)stream_flush(c);
        if (i == 1) script(c, "S: + \n");
        hang_up(&w, c, (int)i + 1);
    }
    world_close(&w);
}

TEST(a_stranger_makes_mistakes)
{
    World w;
    world_open(&w);
    Stream *c = connect_as(&w, NULL);
    script(c, "S: * OK *\nC: a STARTTLS\nS: a BAD STARTTLS is not offered\n"
              "C: b AUTHENTICATE PLAIN !!!\nS: b BAD *\nC: c AUTHENTICATE PLAIN\nS: + \nC: *\n"
              "S: c BAD *\nC: d AUTHENTICATE PLAIN\nS: + \nC: !!!\nS: d BAD *\n"
              "C: e LOGOUT\nS: * BYE *\nS: e OK *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* Two reasons to end, and one goodbye. */
TEST(the_last_mistake_may_be_too_large_as_well)
{
    World w;
    world_open(&w);
    w.config.limits.mistakes = 1;
    w.config.message_most = 1000;
    Stream *c = connect_to(&w);
    script(c, "C: b FOO {99999999+}\nS: b BAD *\nS: * BYE [TOOBIG] *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

TEST(who_is_known_may_have_no_account)
{
    World w;
    AuthUser user = {.login = "nobody", .acct = 4711};
    world_open(&w);
    Stream *c = connect_as(&w, &user);
    script(c, "S: ...\nS: * BYE [UNAVAILABLE] *\nS: -\n");
    hang_up(&w, c, 1);
    world_close(&w);
}

/* ---- too little memory ---- */

/* Each question for memory answered with no, one after the other: the command is refused, nothing
 * of it is done, and the next one is understood. */
PARKS static void deny_each(Stream *c, Slice command, unsigned least)
{
    Slice line;
    unsigned refused = 0, at = 1;
    for (bool more = true; more; at++) {
        mem_deny(at);
        stream_put(c, command);
        (void)stream_flush(c);
        do
            if (!script_line(c, &line)) line = (Slice){0};
        while (line.at && !slice_starts(line, S("a ")));
        more = mem_asked() >= at;
        mem_deny(0);
        bool no = slice_starts(line, S("a NO [LIMIT]"));
        refused += no;
        if (!no && !slice_starts(line, S("a OK")))
            test_failed(__FILE__, __LINE__, "%.*s", SP(line));
        if (!line.len) return;
        script(c, "C: b NOOP\nS: ...\nS: b OK *\n");
    }
    check(refused >= least);
}

TEST(too_little_memory_is_a_limit)
{
    World w;
    Buf append buf_scoped = {0}, search buf_scoped = {0};
    world_open(&w);
    Stream *c = connect_to(&w);
    buf_add(&append, S("a APPEND INBOX {200026+}\r\nSubject: x\r\nX: y\r\n\r\n"));
    while (append.len < 26 + 200026)
        buf_char(&append, 'z');
    buf_add(&append, S("\r\n"));
    deny_each(c, buf_slice(&append), 3);
    script(c, "C: s SELECT INBOX\nS: ...\nS: s OK *\n");
    buf_add(&search, S("a SEARCH SUBJECT {60000+}\r\n"));
    for (int i = 0; i < 60000; i++)
        buf_char(&search, 'x');
    buf_add(&search, S("\r\n"));
    deny_each(c, buf_slice(&search), 2);
    deny_each(c, S("a FETCH 1 BODY.PEEK[HEADER.FIELDS (X)]\r\n"), 2);
    hang_up(&w, c, 1);
    world_close(&w);
}
