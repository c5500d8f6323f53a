/* Users at home on different loops act at random on mailboxes of each other, in the simulated
 * world: sessions go to and fro between loops while rights are given and taken, mailboxes come and
 * go, and others write. Every command has to be answered, or the session said goodbye; at the end
 * the store agrees with its recount. */
#include "base/test.h"
#include "imap/session.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { USERS = 4, SESSIONS = 8, STEPS = 100, LOOPS = 3, SEEDS = 12 };

typedef struct {
    uint64_t seed;
    Store *store;
    ImapConfig config;
    AuthUser users[USERS];
    int serving, running;
    unsigned answered, refused, byes;
} World;

typedef struct {
    World *w;
    unsigned user;
    Stream *stream; /* the client's end */
    bool idling;
} Session;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(sim_random() % n);
}

/* ---- connections ---- */

typedef struct {
    World *w;
    Stream *stream;
    const AuthUser *user;
} Serving;

static void has_ended(void *arg)
{
    ((World *)arg)->serving--;
}

PARKS_UNCHECKED static void serve(void *arg)
{
    Serving v = *(Serving *)arg;
    free(arg);
    imap_serve_known(v.stream, &v.w->config, v.user, has_ended, v.w);
}

PARKS static bool next_line(Session *s, Slice *line)
{
    stream_set_deadline(s->stream, now_ms() + 600 * 1000);
    return stream_line(s->stream, 1 << 20, line) == LINE_CRLF;
}

PARKS static void connect_session(Session *s)
{
    Slice greeting;
    Serving *v = NEW(Serving);
    *v = (Serving){.w = s->w, .user = &s->w->users[s->user]};
    check_ok(stream_pair(&s->stream, &v->stream));
    s->w->serving++;
    fiber_start("imap", serve, v);
    check(next_line(s, &greeting) && slice_starts(greeting, S("* PREAUTH")));
    s->idling = false;
}

PARKS static void hang_up(Session *s)
{
    stream_free(s->stream);
    s->stream = NULL;
}

/* ---- asking ---- */

static void note(World *w, Slice answer)
{
    bool ok = slice_starts(answer, S("OK")), bad = slice_starts(answer, S("BAD"));
    w->answered += ok;
    w->refused += !ok;
    if (bad && !slice_eq(answer, S("BAD not in this state")) &&
        !slice_starts(answer, S("BAD there is no message")))
        check_slice(answer, S("no BAD"));
}

/* False: BYE, and the connection is over. */
PARKS static bool answered(Session *s, const char *tag)
{
    Slice line;
    bool bye = false;
    while (next_line(s, &line)) {
        if (slice_starts(line, S("* BYE"))) bye = true;
        if (!slice_starts(line, slice_of(tag))) continue;
        note(s->w, slice_from(line, strlen(tag)));
        if (!bye) return true;
    }
    check(bye); /* no session ends without a word */
    s->w->byes++;
    return false;
}

PARKS static void send_text(Session *s, Slice text)
{
    stream_put(s->stream, text);
    (void)stream_flush(s->stream);
}

/* Any mailbox of anybody, as this user calls it. */
static Slice any_mailbox(const Session *s, Arena *a)
{
    static const char *const names[] = {"INBOX", "Team", "Team/one", "Team/two", "Sent"};
    unsigned owner = below(USERS);
    const char *name = names[below(COUNT(names))];
    if (owner == s->user) return slice_of(name);
    return arena_printf(a, "Shared/%s/%s", s->w->users[owner].login, name);
}

static Slice any_rights(Arena *a)
{
    static const char letters[] = "lrswipkxtea";
    static const char *const good[] = {"lrswite", "lr", "lrs", "lrswipkxte", "+r", "-r", ""};
    if (below(2)) return slice_of(good[below(COUNT(good))]);
    Buf out buf_scoped = {0};
    for (const char *c = letters; *c; c++)
        if (below(2)) buf_char(&out, *c);
    return arena_copy(a, buf_slice(&out));
}

static Slice any_command(const Session *s, Arena *a)
{
    Slice m = any_mailbox(s, a), other = any_mailbox(s, a), rights = any_rights(a);
    const char *who = below(5) ? s->w->users[below(USERS)].login : "anyone";
    switch (below(23)) {
    case 0:
    case 1:
    case 2:
        return arena_printf(a, "SELECT %.*s", SP(m));
    case 3:
        return arena_printf(a, "EXAMINE %.*s", SP(m));
    case 4:
        return arena_printf(a, "STATUS %.*s (MESSAGES UNSEEN SIZE)", SP(m));
    case 5:
    case 6:
        return arena_printf(a, "APPEND %.*s (\\Seen $x) {12+}\r\nSubject: y\r\n", SP(m));
    case 7:
        return arena_printf(a, "UID COPY 1:* %.*s", SP(m));
    case 8:
        return arena_printf(a, "UID MOVE 1:5 %.*s", SP(m));
    case 9:
        return arena_printf(a, "UID STORE 1:* %cFLAGS (\\Seen \\Flagged \\Deleted $y)",
                            below(2) ? '+' : '-');
    case 10:
        return S("EXPUNGE");
    case 11:
        return S("UID FETCH 1:* (FLAGS BODY[])");
    case 12:
        return S("UID SEARCH UNSEEN TEXT y");
    case 13:
        return arena_printf(a, "SETACL %.*s %s \"%.*s\"", SP(m), who, SP(rights));
    case 14:
        return arena_printf(a, "CREATE %.*s", SP(m));
    case 15:
        return arena_printf(a, "DELETE %.*s", SP(m));
    case 16:
        return arena_printf(a, "RENAME %.*s %.*s", SP(m), SP(other));
    case 17:
        return S("LIST \"\" * RETURN (MYRIGHTS STATUS (UNSEEN))");
    case 18:
        return arena_printf(a, "GETACL %.*s", SP(m));
    case 19:
        return S(
            "NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) (subtree (Shared Team) "
            "(MessageNew MessageExpunge FlagChange MailboxName))");
    case 20:
        return S("NOTIFY NONE");
    case 21:
        return arena_printf(a, "ESEARCH IN (subtree Shared) TEXT y");
    default:
        return S("NOOP");
    }
}

PARKS static bool step(Session *s)
{
    Arena a arena_scoped = {0};
    if (s->idling) {
        send_text(s, S("DONE\r\n"));
        s->idling = false;
        return answered(s, "i ");
    }
    if (!below(8)) {
        send_text(s, S("i IDLE\r\n"));
        s->idling = true;
        return true;
    }
    Slice command = any_command(s, &a);
    send_text(s, arena_printf(&a, "t %.*s\r\n", SP(command)));
    return answered(s, "t ");
}

PARKS static void client(void *arg)
{
    Session *s = arg;
    connect_session(s);
    send_text(s, S("t CREATE Team/one\r\n"));
    (void)answered(s, "t ");
    send_text(s, S("t SETACL Team anyone lrswitek\r\n"));
    (void)answered(s, "t ");
    for (unsigned i = 0; i < STEPS; i++) {
        fiber_sleep(below(20));
        if (step(s) && below(50)) continue;
        hang_up(s);
        connect_session(s);
    }
    hang_up(s);
    s->w->running--;
    free(s);
}

/* ---- one world ---- */

static void finding(void *arg, Slice line)
{
    (void)arg;
    check_slice(line, S("no finding"));
}

PARKS static void create_users(World *w)
{
    for (unsigned i = 0; i < USERS; i++) {
        AuthUser *u = &w->users[i];
        snprintf(u->login, sizeof u->login, "user%u", i);
        check_ok(store_create_account(w->store, slice_of(u->login), &u->acct));
    }
}

PARKS static void live(void *arg)
{
    World *w = arg;
    StoreOptions options = {
        .engine = {.index_in_memory = true, .segment_bytes = 1 << 20}
    };
    CheckResult result;
    check_ok(store_open(S("store"), &options, &w->store));
    w->config =
        (ImapConfig){.store = w->store, .hostname = S("sim.example.org"), .shared_namespace = true};
    create_users(w);
    for (unsigned i = 0; i < SESSIONS; i++) {
        Session *s = NEW(Session);
        s->w = w;
        s->user = i % USERS;
        w->running++;
        fiber_start_on(loop_at(i % LOOPS), "client", client, s);
    }
    while (w->running || w->serving)
        fiber_sleep(10);
    check_ok(store_check(w->store, false, finding, w, &result));
    check_u64(result.findings, 0);
    store_close(w->store);
}

TEST(users_share_at_random)
{
    unsigned done = 0, refused = 0, byes = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        World *w = NEW(World);
        w->seed = seed;
        SimConfig config = {
            .seed = seed, .loops = LOOPS, .net_latency_us = 20, .disk_latency_us = 100};
        check_ok(sim_run(&config, live, w));
        done += w->answered, refused += w->refused, byes += w->byes;
        free(w);
    }
    printf("   %u commands done, %u refused, %u sessions sent away\n", done, refused, byes);
    check(done > 2000 && refused > 1000 && byes > 0);
}

/* ---- shared with somebody who has not been here yet ---- */

/* All that is answered to one command. */
PARKS static Slice ask(Session *s, Arena *a, const char *command)
{
    Buf all buf_scoped = {0};
    Slice line;
    send_text(s, arena_printf(a, "t %s\r\n", command));
    while (next_line(s, &line)) {
        buf_printf(&all, "%.*s\n", SP(line));
        if (slice_starts(line, S("t "))) break;
    }
    return arena_copy(a, buf_slice(&all));
}

static bool says(Slice answer, const char *what)
{
    return slice_find_slice(answer, slice_of(what)) < answer.len;
}

PARKS static void open_world(World *w, const char *login)
{
    StoreOptions options = {
        .engine = {.index_in_memory = true, .segment_bytes = 1 << 20}
    };
    check_ok(store_open(S("store"), &options, &w->store));
    w->config =
        (ImapConfig){.store = w->store, .hostname = S("sim.example.org"), .shared_namespace = true};
    AuthUser *u = &w->users[1];
    if (!login) return;
    snprintf(u->login, sizeof u->login, "%s", login);
    check_ok(store_create_account(w->store, slice_of(login), &u->acct));
}

PARKS static void close_world(World *w)
{
    while (w->serving)
        fiber_sleep(10);
    store_close(w->store);
}

PARKS static void give(World *w, Arena *a)
{
    AuthUser *u = &w->users[0];
    Session s = {.w = w};
    snprintf(u->login, sizeof u->login, "owner");
    check_ok(store_create_account(w->store, S("owner"), &u->acct));
    connect_session(&s);
    check(says(ask(&s, a, "CREATE Team"), "t OK"));
    check(says(ask(&s, a, "APPEND Team {12+}\r\nSubject: y\r\n"), "t OK"));
    check(says(ask(&s, a, "SETACL Team late lr"), "t OK"));
    check(says(ask(&s, a, "SETACL Team never lr"), "t OK"));
    check(says(ask(&s, a, "DELETEACL Team never"), "t OK"));
    hang_up(&s);
}

PARKS static void look_at_shared(World *w, Arena *a, bool there)
{
    Session s = {.w = w, .user = 1};
    connect_session(&s);
    check(says(ask(&s, a, "LIST \"\" Shared/*"), "Shared/owner/Team") == there);
    check(says(ask(&s, a, "SELECT Shared/owner/Team"), "* 1 EXISTS") == there);
    check(says(ask(&s, a, "FETCH 1 BODY[]"), "Subject: y") == there);
    hang_up(&s);
}

PARKS static void share_early(void *arg)
{
    World *w = arg;
    Arena a arena_scoped = {0};
    open_world(w, NULL);
    give(w, &a);
    close_world(w);
    open_world(w, "never");
    look_at_shared(w, &a, false);
    close_world(w);
    open_world(w, "late");
    look_at_shared(w, &a, true);
    close_world(w);
    open_world(w, NULL);
    look_at_shared(w, &a, true);
    close_world(w);
}

TEST(what_is_shared_with_a_login_waits_for_its_account)
{
    World *w = NEW(World);
    SimConfig config = {.seed = 3, .loops = LOOPS, .net_latency_us = 20, .disk_latency_us = 100};
    check_ok(sim_run(&config, share_early, w));
    free(w);
}
