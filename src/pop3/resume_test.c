/* A session with its maildrop goes on in the next house. */
#include "auth/handover.h"
#include "net/script_test.h"
#include "net/tunnel_world.h"
#include "pop3/record.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    Store *store;
    Auth *auth;
    Pop3Config config;
    GrantKey key;
    TunnelWorld *tunnel;
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
    if (slice_eq(service, S("pop2")))
        pop2_resume(stream, &w->config, record, has_ended, w);
    else
        pop3_resume(stream, &w->config, record, has_ended, w);
}

/* Three messages in INBOX. */
PARKS_UNCHECKED static void fill(void *arg)
{
    World *w = arg;
    uint32_t acct, uid;
    check_ok(store_find_account(w->store, S("u00001"), &acct));
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(w->store, acct, &account));
    check_ok(mailbox_open(account, acct, S("INBOX"), &box));
    for (int i = 0; i < 3; i++) {
        Draft *draft scoped(draft) = NULL;
        DraftPlace place = {.flags = 0};
        check_ok(draft_begin(w->store, 0, &draft));
        check_ok(draft_write(draft, S("Subject: x\r\n\r\nbody\r\n")));
        check_ok(draft_commit(draft, box, &place, &uid));
    }
}

/* The first of the messages goes, by another way than this session. */
PARKS_UNCHECKED static void expunge_first(void *arg)
{
    World *w = arg;
    uint32_t acct;
    Arena arena arena_scoped = {0};
    UidSet first = {0};
    uidset_add(&arena, &first, 1, 1);
    check_ok(store_find_account(w->store, S("u00001"), &acct));
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(w->store, acct, &account));
    check_ok(mailbox_open(account, acct, S("INBOX"), &box));
    check_ok(mailbox_expunge(box, &first, true, &arena, NULL));
}

PARKS static void at_home(World *w, void (*work)(void *arg))
{
    uint32_t acct;
    check_ok(auth_account(w->auth, S("u00001"), &acct));
    loop_call(store_home(w->store, acct), work, w);
}

PARKS static void world_open(World *w)
{
    Arena arena arena_scoped = {0};
    *w = (World){.dir = "/tmp/pop3_test.XXXXXX", .key = {.octets = "what keeper and house know"}};
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
    w->config = (Pop3Config){
        .auth = w->auth, .store = w->store, .hostname = S("pop.example.org"), .grant_key = &w->key};
    at_home(w, fill);
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
    auth_close(w->auth);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

/* Whom the front let in, with the keeper's word. */
PARKS static Stream *enter(World *w, Slice service)
{
    AuthUser user = {.login = "u00001", .has_grant = true};
    Buf text buf_scoped = {0}, body buf_scoped = {0}, record buf_scoped = {0};
    grant_login_text(&text, service, S("u00001"), false);
    grant_make(&w->key, GRANT_LOGIN, buf_slice(&text), user.grant);
    pop3_record_write(&body, HANDOVER_LOGGED_IN, &(Pop3Record){.timestamp = S("<1@x>")});
    handover_write(&record, HANDOVER_LOGGED_IN, service, &user, buf_slice(&body));
    return tunnel_world_call(w->tunnel, service, buf_slice(&record), S("-ERR gone\r\n"));
}

PARKS static void die(World *w, int sessions)
{
    int before = __atomic_load_n(&w->ended, __ATOMIC_SEQ_CST);
    fiber_sleep(20); /* until all is at rest */
    tunnel_world_kill_house(w->tunnel);
    wait_for_ends(w, before + sessions);
}

TEST(a_maildrop_outlives_its_house)
{
    World w;
    world_open(&w);
    Stream *c = enter(&w, S("pop3"));
    script(c, "S: +OK 3 messages *\nC: DELE 2\nS: +OK *\nC: LANG en\nS: +OK *\n");
    die(&w, 1);
    at_home(&w, expunge_first);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: STAT\nS: +OK 2 40\nC: LIST 3\nS: +OK 3 20\nC: DELE 2\nS: -ERR *\n");
    Stream *other = enter(&w, S("pop3")); /* the maildrop is locked again */
    script(other, "S: -ERR [IN-USE] *\nC: NOOP\nS: -ERR *\n");
    script(c, "C: RETR 3\nS: +OK *\nS: ...\nS: .\n");
    die(&w, 2);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: QUIT\nS: +OK Bye, 2 messages left\nS: -\n");
    stream_free(c);
    stream_free(other);
    tunnel_world_kill_house(w.tunnel);
    tunnel_world_new_house(w.tunnel);
    c = enter(&w, S("pop3"));
    script(c, "S: +OK 1 messages *\nC: QUIT\nS: +OK *\nS: -\n");
    stream_free(c);
    world_close(&w);
}

TEST(a_maildrop_of_pop2_outlives_its_house)
{
    World w;
    world_open(&w);
    Stream *c = enter(&w, S("pop2"));
    script(c, "S: #3 messages\nC: READ 2\nS: =20 *\n");
    die(&w, 1);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: RETR\nS: Subject: x\nS: \nS: body\nC: ACKD\nS: =20 characters in message 3\n");
    die(&w, 1);
    tunnel_world_new_house(w.tunnel);
    script(c, "C: QUIT\nS: + Bye\nS: -\n");
    stream_free(c);
    c = enter(&w, S("pop3"));
    script(c, "S: +OK 2 messages *\nC: QUIT\nS: +OK *\nS: -\n");
    stream_free(c);
    world_close(&w);
}
