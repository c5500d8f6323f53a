/* Conversations that change hands: from a front without a store to a house, and from a house that
 * has died to the next. */
#include "auth/handover.h"
#include "imap/imap.h"
#include "net/script_test.h"
#include "net/tunnel_world.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Store *store;
    Auth *auth, *front_auth;
    ImapConfig house, front;
    GrantKey key;
    TunnelWorld *tunnel;
    Buf handed;
    int ended;
    char dir[40];
} World;

static void has_ended(void *arg)
{
    __atomic_add_fetch(&((World *)arg)->ended, 1, __ATOMIC_SEQ_CST);
}

PARKS_UNCHECKED static void serve_in_house(void *arg, Stream *stream, Slice service, Slice record)
{
    World *w = arg;
    check_slice(service, S("imap"));
    imap_resume(stream, &w->house, record, has_ended, w);
}

PARKS_UNCHECKED static void hand_over(void *arg, Stream *stream, Slice record)
{
    World *w = arg;
    buf_add(&w->handed, record);
    check_ok(stream_flush(stream)); /* what was answered before */
    stream_free(stream);
    has_ended(w);
}

PARKS static void world_open(World *w)
{
    Arena arena arena_scoped = {0};
    *w = (World){.dir = "/tmp/imap_test.XXXXXX", .key = {.octets = "what keeper and house know"}};
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
    config.dir = arena_printf(&arena, "%s/front", w->dir);
    check_ok(auth_open(&config, NULL, &w->front_auth));
    w->house = (ImapConfig){.auth = w->auth,
                            .store = w->store,
                            .hostname = S("imap.example.org"),
                            .unauthenticate = true,
                            .grant_key = &w->key};
    w->front = (ImapConfig){
        .auth = w->front_auth, .hostname = S("imap.example.org"), .hand_over = hand_over};
    w->tunnel = tunnel_world_open(&(TunnelWorldConfig){.serve = serve_in_house, .arg = w});
}

PARKS static void wait_for_ends(World *w, int sessions)
{
    while (__atomic_load_n(&w->ended, __ATOMIC_SEQ_CST) < sessions)
        fiber_sleep(1);
}

PARKS static void world_close(World *w)
{
    char command[80];
    tunnel_world_close(w->tunnel);
    auth_close(w->front_auth);
    auth_close(w->auth);
    store_close(w->store);
    buf_done(&w->handed);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

/* What the keeper would have said. */
static void vouch(const World *w, AuthUser *user)
{
    Buf text buf_scoped = {0};
    grant_login_text(&text, S("imap"), slice_of(user->login), user->guest);
    grant_make(&w->key, GRANT_LOGIN, buf_slice(&text), user->grant);
    user->has_grant = true;
}

/* The front's client logs in; the record as it is, or with the keeper's word. */
PARKS static void log_in(World *w, bool vouched)
{
    Stream *client, *server;
    Handover h;
    buf_clear(&w->handed);
    check_ok(stream_pair(&client, &server));
    stream_put(client, S("a LANGUAGE de\r\nb LOGIN u00001 secret\r\n"));
    check_ok(stream_flush(client));
    int before = __atomic_load_n(&w->ended, __ATOMIC_SEQ_CST);
    imap_serve(server, &w->front, has_ended, w);
    check_u64((uint64_t)w->ended, (uint64_t)before + 1);
    script(client, "S: * OK *\nS: * LANGUAGE (de)\nS: a OK *\nS: -\n");
    stream_free(client);
    check_ok(handover_read(buf_slice(&w->handed), S("imap"), NULL, &h));
    check_u64(h.kind, HANDOVER_LOGGED_IN);
    check_slice(h.login, S("u00001"));
    if (!vouched) return;
    AuthUser user = {.login = "u00001"};
    Buf record buf_scoped = {0};
    vouch(w, &user);
    handover_write(&record, HANDOVER_LOGGED_IN, S("imap"), &user, h.body);
    buf_clear(&w->handed);
    buf_add(&w->handed, buf_slice(&record));
}

PARKS static Stream *enter(World *w)
{
    return tunnel_world_call(w->tunnel, S("imap"), buf_slice(&w->handed), S("* BYE gone\r\n"));
}

TEST(a_front_needs_no_store)
{
    World w;
    world_open(&w);
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK [CAPABILITY *\n");
    script(c, "C: c SELECT INBOX\nS: ...\nS: c OK *\nC: d XYZ\nS: d BAD *\n");
    stream_free(c);
    wait_for_ends(&w, 2);
    world_close(&w);
}

TEST(nobody_comes_in_by_the_front_s_word_alone)
{
    World w;
    world_open(&w);
    log_in(&w, false);
    Stream *c = enter(&w);
    script(c, "S: * BYE [UNAVAILABLE] *\nS: -\n");
    stream_free(c);
    buf_clear(&w.handed);
    buf_add(&w.handed, S("\1\2\0\4imap"));
    c = enter(&w);
    script(c, "S: * BYE [UNAVAILABLE] *\nS: -\n");
    stream_free(c);
    wait_for_ends(&w, 3);
    world_close(&w);
}

/* The house dies, and there is nobody left of it. */
PARKS static void die(World *w, int sessions)
{
    int before = __atomic_load_n(&w->ended, __ATOMIC_SEQ_CST);
    tunnel_world_kill_house(w->tunnel);
    wait_for_ends(w, before + sessions);
}

PARKS_UNCHECKED static void serve_directly(void *arg)
{
    void **both = arg;
    World *w = both[0];
    imap_serve(both[1], &(ImapConfig){.auth = w->auth, .store = w->store, .hostname = S("x")},
               has_ended, w);
    free(both);
}

/* Somebody else, whose connection does not go through the front. */
PARKS static Stream *other_client(World *w)
{
    Stream *client, *server;
    void **both = mem_new(2 * sizeof *both);
    check_ok(stream_pair(&client, &server));
    both[0] = w, both[1] = server;
    fiber_start("imap", serve_directly, both);
    script(client, "S: * OK *\nC: a LOGIN u00001 secret\nS: a OK *\n");
    return client;
}

PARKS static void append(Stream *c, int count)
{
    for (int i = 0; i < count; i++)
        script(c, "C: p APPEND INBOX {13+}\nC: Subject: x\nC: \nS: ...\nS: p OK *\n");
}

TEST(a_session_goes_on_in_the_next_house)
{
    World w;
    world_open(&w);
    Stream *other = other_client(&w);
    append(other, 5);
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK *\nC: c SELECT INBOX\nS: ...\nS: c OK *\n"
              "C: d SEARCH RETURN (SAVE) 2:3\nS: d OK *\n");
    die(&w, 1);
    script(other, "C: q SELECT INBOX\nS: ...\nS: q OK *\n"
                  "C: r STORE 2 +FLAGS.SILENT (\\Deleted)\nS: r OK *\nC: s EXPUNGE\nS: ...\n"
                  "S: s OK *\nC: t STORE 4 +FLAGS.SILENT (\\Flagged)\nS: t OK *\n");
    append(other, 1);
    tunnel_world_new_house(w.tunnel);
    /* Numbers are as they were until it may be told otherwise; the language is kept, too. */
    script(c, "C: e FETCH 3 UID\nS: * 3 FETCH (UID 3)\nS: * 6 EXISTS\nS: ...\nS: e OK *\n"
              "C: f NOOP\nS: * 2 EXPUNGE\nS: ...\nS: f OK *\n"
              "C: g SEARCH RETURN (ALL) $\nS: * ESEARCH (TAG \"g\") ALL 2\nS: g OK *\n");
    die(&w, 1);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: h LOGOUT\nS: ...\nS: h OK *\nS: -\n");
    stream_free(c);
    stream_free(other);
    wait_for_ends(&w, 5);
    world_close(&w);
}

TEST(who_idles_hears_what_he_missed)
{
    World w;
    world_open(&w);
    Stream *other = other_client(&w);
    append(other, 3);
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK *\nC: c SELECT INBOX\nS: ...\nS: c OK *\nC: d IDLE\nS: + idling\n");
    fiber_sleep(20);
    die(&w, 1);
    append(other, 1);
    tunnel_world_new_house(w.tunnel);
    script(c, "S: * 4 EXISTS\n");
    append(other, 1);
    script(c, "S: ...\nS: * 5 EXISTS\nC: DONE\nS: ...\nS: d OK IDLE *\n");
    stream_free(c);
    stream_free(other);
    wait_for_ends(&w, 4);
    world_close(&w);
}

TEST(who_is_notified_hears_what_he_missed)
{
    World w;
    world_open(&w);
    Stream *other = other_client(&w);
    script(other, "C: b CREATE misc\nS: b OK *\n");
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK *\n"
              "C: c NOTIFY SET (personal (MessageNew MessageExpunge))\nS: c OK *\n");
    die(&w, 1);
    script(other, "C: p APPEND misc {13+}\nC: Subject: x\nC: \nS: ...\nS: p OK *\n");
    tunnel_world_new_house(w.tunnel);
    script(c, "S: * STATUS misc (MESSAGES 1 *\nC: d NOOP\nS: d OK *\n");
    die(&w, 1);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: e NOOP\nS: e OK *\n"); /* nothing new, nothing twice */
    die(&w, 1);
    script(other, "C: q APPEND misc {13+}\nC: Subject: x\nC: \nS: ...\nS: q OK *\n");
    tunnel_world_new_house(w.tunnel);
    script(c, "S: * STATUS misc (MESSAGES 2 *\n");
    stream_free(c);
    stream_free(other);
    wait_for_ends(&w, 6);
    world_close(&w);
}

TEST(a_session_whose_mailbox_is_gone_is_sent_away)
{
    World w;
    world_open(&w);
    Stream *other = other_client(&w);
    script(other, "C: b CREATE misc\nS: b OK *\n");
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK *\nC: c SELECT misc\nS: ...\nS: c OK *\n");
    fiber_sleep(20);
    die(&w, 1);
    script(other, "C: d DELETE misc\nS: d OK *\n");
    tunnel_world_new_house(w.tunnel);
    script(c, "S: * BYE [UNAVAILABLE] *\nS: -\n");
    stream_free(c);
    stream_free(other);
    wait_for_ends(&w, 4);
    world_close(&w);
}

TEST(unauthenticate_gives_the_connection_back)
{
    World w;
    world_open(&w);
    log_in(&w, true);
    Stream *c = enter(&w);
    script(c, "S: b OK *\nC: c UNAUTHENTICATE\nC: d SELECT INBOX\nS: c OK *\nS: d BAD *\n");
    stream_free(c);
    wait_for_ends(&w, 3);
    world_close(&w);
}
