#include "auth/keeper.h"
#include "base/metric.h"
#include "base/test.h"
#include "base/text.h"
#include "net/caller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

typedef struct {
    Store *store;
    Auth *auth;
    Stream *client, *server;
    char dir[40];
    Keeper *real, *remote;
    Caller *caller;
    Answerer answerer;
    Sock *sock;
    bool ended;
} World;

static bool keeper_is_elsewhere; /* asked over a Caller, as in another process */
static int64_t remember_ms;      /* password_remember_ms of the next world */

PARKS static void keeper_serves(void *arg)
{
    World *w = arg;
    check_ok(answerer_serve(&w->answerer, w->sock));
    w->ended = true;
}

PARKS static void keeper_elsewhere(World *w, AuthConfig *config)
{
    Sock *ours;
    check_ok(keeper_open(config, &w->real));
    check_ok(sock_pair(&ours, &w->sock));
    w->answerer = (Answerer){CAST_KEEPER, CAST_HOUSE, 16, keeper_answer, w->real};
    fiber_start("keeper", keeper_serves, w);
    w->caller = caller_new(CAST_HOUSE, CAST_KEEPER, 16);
    caller_replace(w->caller, ours);
    config->keeper = w->remote = keeper_remote(w->caller);
}

PARKS static void keeper_ends(World *w)
{
    if (!w->remote) return;
    keeper_close(w->remote);
    caller_free(w->caller);
    while (!w->ended)
        fiber_sleep(1);
    keeper_close(w->real);
}

PARKS static void world_open(World *w, bool plain, uint32_t demo)
{
    static const Slice domains[] = {S("example.org"), S("xn--e1afmkfd.example")};
    *w = (World){0};
    strcpy(w->dir, "/tmp/auth_test.XXXXXX");
    check(mkdtemp(w->dir));
    StoreOptions options = {0};
    Arena a arena_scoped = {0};
    check_ok(store_open(slice_of(w->dir), &options, &w->store));
    AuthConfig config = {.dir = arena_printf(&a, "%s/keeper", w->dir),
                         .plain_without_tls = plain,
                         .domains = domains,
                         .domain_count = COUNT(domains),
                         .subaddress_separator = '+',
                         .demo_accounts = demo,
                         .demo_password = S("secret"),
                         .reversible = true,
                         .argon2_memory_kib = 64,
                         .argon2_passes = 1,
                         .scram_iterations = 16,
                         .password_remember_ms = remember_ms};
    if (keeper_is_elsewhere) keeper_elsewhere(w, &config);
    check_ok(auth_open(&config, w->store, &w->auth));
    check_ok(stream_pair(&w->client, &w->server));
}

PARKS static void world_close(World *w)
{
    char command[80];
    stream_free(w->client);
    stream_free(w->server);
    auth_close(w->auth);
    keeper_ends(w);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

TEST(users_come_log_in_and_go)
{
    World w;
    AuthUser user;
    world_open(&w, true, 0);
    check_ok(user_add(w.auth, S("Anna"), S("pw")));
    check_err(user_add(w.auth, S("anna"), S("other")), ERR_EXISTS);
    check_ok(auth_login(w.auth, "imap", w.server, S("ANNA"), S("pw"), &user));
    check_slice(slice_of(user.login), S("anna"));
    check_ok(auth_login(w.auth, "imap", w.server, S("anna@example.org"), S("pw"), &user));
    check_err(auth_login(w.auth, "imap", w.server, S("anna"), S("PW"), &user), ERR_AUTH);
    check_err(auth_login(w.auth, "imap", w.server, S("nobody"), S("pw"), &user), ERR_AUTH);
    check_ok(user_set_password(w.auth, S("anna"), S("new")));
    check_err(auth_login(w.auth, "imap", w.server, S("anna"), S("pw"), &user), ERR_AUTH);
    check_ok(auth_login(w.auth, "imap", w.server, S("anna"), S("new"), &user));
    check_ok(user_remove(w.auth, S("anna")));
    check_err(auth_login(w.auth, "imap", w.server, S("anna"), S("new"), &user), ERR_AUTH);
    world_close(&w);
}

TEST(a_right_password_is_hashed_again_when_it_is_not_remembered)
{
    static const struct {
        int64_t remember_ms;
        uint64_t hashed;
    } rows[] = {
        {0,       1},
        {3600000, 1},
        {-1,      3}
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        World w;
        AuthUser user;
        remember_ms = rows[i].remember_ms;
        world_open(&w, true, 0);
        check_ok(user_add(w.auth, S("anna"), S("pw")));
        uint64_t before = metric_of(metrics_now, METRIC_PASSWORDS_CHECKED);
        for (int n = 0; n < 3; n++)
            check_ok(auth_login(w.auth, "imap", w.server, S("anna"), S("pw"), &user));
        check_u64(metric_of(metrics_now, METRIC_PASSWORDS_CHECKED) - before, rows[i].hashed);
        world_close(&w);
    }
    remember_ms = 0;
}

TEST(no_plain_password_without_tls)
{
    World w;
    AuthUser user;
    Buf mechanisms buf_scoped = {0};
    world_open(&w, false, 3);
    /* The pair has no port, like a Unix socket, so ask with a TCP connection's rules. */
    sasl_mechanisms(w.auth, "imap", w.server, "AUTH=", ' ', &mechanisms);
    bool plain = slice_find_slice(buf_slice(&mechanisms), S("PLAIN")) < mechanisms.len;
    check(plain == auth_plain_allowed(w.auth, w.server));
    Err err = auth_login(w.auth, "imap", w.server, S("u00001"), S("secret"), &user);
    check(err == (plain ? OK : ERR_NEEDS_TLS));
    world_close(&w);
}

TEST(demo_accounts_are_exactly_those)
{
    static const struct {
        const char *login;
        Err err;
    } rows[] = {
        {"u00001",  OK      },
        {"u00003",  OK      },
        {"u00004",  ERR_AUTH},
        {"u00000",  ERR_AUTH},
        {"u1",      ERR_AUTH},
        {"u000001", ERR_AUTH},
        {"v00001",  ERR_AUTH}
    };
    World w;
    AuthUser user;
    world_open(&w, true, 3);
    for (size_t i = 0; i < COUNT(rows); i++)
        check_err(auth_login(w.auth, "imap", w.server, slice_of(rows[i].login), S("secret"), &user),
                  rows[i].err);
    world_close(&w);
}

TEST(sasl_plain_and_login)
{
    World w;
    Err err;
    world_open(&w, true, 3);
    static const struct {
        const char *message;
        size_t len;
        SaslState state;
        Err err;
    } rows[] = {
        {"\0u00001\0secret",       14, SASL_DONE,   OK        },
        {"u00001\0u00001\0secret", 20, SASL_DONE,   OK        },
        {"u00002\0u00001\0secret", 20, SASL_FAILED, ERR_AUTH  },
        {"\0u00001\0wrong",        13, SASL_FAILED, ERR_AUTH  },
        {"u00001",                 6,  SASL_FAILED, ERR_SYNTAX},
        {"\0u00001\0",             8,  SASL_FAILED, ERR_SYNTAX},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Sasl *s scoped(sasl) = sasl_new(w.auth, "imap", w.server);
        Buf challenge buf_scoped = {0};
        Slice message = slice(rows[i].message, rows[i].len);
        check(sasl_start(s, S("plain"), &message, &challenge, &err) == rows[i].state);
        check_err(err, rows[i].err);
    }
    Sasl *s = sasl_new(w.auth, "imap", w.server);
    Buf challenge buf_scoped = {0};
    check(sasl_start(s, S("LOGIN"), NULL, &challenge, &err) == SASL_CONTINUE);
    check_slice(buf_slice(&challenge), S("Username:"));
    buf_clear(&challenge);
    check(sasl_step(s, S("u00002"), &challenge, &err) == SASL_CONTINUE);
    check(sasl_step(s, S("secret"), &challenge, &err) == SASL_DONE);
    check_slice(slice_of(sasl_user(s)->login), S("u00002"));
    check(sasl_start(s, S("CRAM-MD5"), NULL, &challenge, &err) == SASL_FAILED &&
          err == ERR_UNSUPPORTED);
    sasl_free(s);
    world_close(&w);
}

TEST(scram_salts_of_strangers_stay_the_same)
{
    World w;
    Err err;
    Buf one buf_scoped = {0}, two buf_scoped = {0};
    Slice first = S("n,,n=stranger,r=abc");
    world_open(&w, true, 1);
    Sasl *a = sasl_new(w.auth, "imap", w.server), *b = sasl_new(w.auth, "imap", w.server);
    check(sasl_start(a, S("SCRAM-SHA-256"), &first, &one, &err) == SASL_CONTINUE);
    check(sasl_start(b, S("SCRAM-SHA-256"), &first, &two, &err) == SASL_CONTINUE);
    size_t salt = slice_find_slice(buf_slice(&one), S(",s="));
    check_slice(slice_from(buf_slice(&one), salt), slice_from(buf_slice(&two), salt));
    check(sasl_step(a, S("c=biws,r=wrong,p=AAAA"), &one, &err) == SASL_FAILED && err == ERR_AUTH);
    sasl_free(a);
    sasl_free(b);
    world_close(&w);
}

TEST(addresses_find_their_people)
{
    static const struct {
        const char *address;
        Err err;
        const char *login, *detail;
    } rows[] = {
        {"anna@example.org",                                              OK,            "anna", ""     },
        {"ANNA@EXAMPLE.ORG",                                              OK,            "anna", ""     },
        {"anna",                                                          OK,            "anna", ""     },
        {"anna+lists@example.org",                                        OK,            "anna", "lists"},
        {"\"anna\"@example.org",                                          OK,            "anna", ""     },
        {"anna@\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.example", OK,            "anna", ""     },
        {"postmaster@example.org",                                        OK,            "anna", ""     },
        {"nobody@example.org",                                            ERR_NOT_FOUND, "",     ""     },
        {"anna@example.net",                                              ERR_FORBIDDEN, "",     ""     },
        {"@example.org",                                                  ERR_NOT_FOUND, "",     ""     },
        {"\"anna@example.org",                                            ERR_NOT_FOUND, "",     ""     },
        {"\"@example.org",                                                ERR_NOT_FOUND, "",     ""     },
        {"\"an\\na\"@example.org",                                        OK,            "anna", ""     },
        {"\"anna\\\"@example.org",                                        ERR_NOT_FOUND, "",     ""     },
        {"\"an\\ na\"@example.org",                                       ERR_NOT_FOUND, "",     ""     },
        {"+lists@example.org",                                            ERR_NOT_FOUND, "",     ""     },
        {"nobody+lists@example.org",                                      ERR_NOT_FOUND, "",     ""     },
        {"anna@a\xe2\x80\xa8.example",                                    ERR_NOT_FOUND, "",     ""     },
        {"stale@example.org",                                             ERR_NOT_FOUND, "",     ""     },
    };
    World w;
    Slice anna = S("anna");
    world_open(&w, true, 0);
    check_ok(user_add(w.auth, anna, S("pw")));
    check_ok(alias_put(w.auth, S("Postmaster@example.org"), &anna, 1));
    Slice gone = S("gone");
    check_ok(user_add(w.auth, gone, S("pw")));
    check_ok(alias_put(w.auth, S("stale"), &gone, 1));
    check_ok(user_remove(w.auth, gone));
    for (size_t i = 0; i < COUNT(rows); i++) {
        Arena a arena_scoped = {0};
        Recipient *list;
        size_t count;
        Err err = auth_resolve(w.auth, slice_of(rows[i].address), &a, &list, &count);
        check_err(err, rows[i].err);
        if (err) continue;
        check_u64(count, 1);
        check_slice(list[0].login, slice_of(rows[i].login));
        check_slice(list[0].detail, slice_of(rows[i].detail));
    }
    world_close(&w);
}

TEST(empty_logins_are_wrong_not_fatal)
{
    World w;
    AuthUser user;
    world_open(&w, true, 1);
    check_err(auth_login(w.auth, "imap", w.server, S(""), S(""), &user), ERR_AUTH);
    check_err(auth_login(w.auth, "imap", w.server, (Slice){0}, (Slice){0}, &user), ERR_AUTH);
    world_close(&w);
}

TEST(apop_is_a_login)
{
    World w;
    AuthUser user;
    Slice timestamp = S("<1896.697170952@dbc.mtview.ca.us>");
    world_open(&w, false, 0);
    check_ok(user_add(w.auth, S("mrose"), S("tanstaaf")));
    check_ok(auth_apop(w.auth, w.server, S("mrose"), timestamp,
                       S("c4c9334bac560ecc979e58001b3e22fb"), &user));
    check_slice(slice_of(user.login), S("mrose"));
    check_err(auth_apop(w.auth, w.server, S("mrose"), timestamp,
                        S("c4c9334bac560ecc979e58001b3e22fc"), &user),
              ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("nobody"), timestamp,
                        S("c4c9334bac560ecc979e58001b3e22fb"), &user),
              ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("mrose"), timestamp, S("00"), &user), ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, (Slice){0}, timestamp, (Slice){0}, &user), ERR_AUTH);
    world_close(&w);
}

TEST(all_the_same_with_a_keeper_elsewhere)
{
    keeper_is_elsewhere = true;
    test_users_come_log_in_and_go();
    test_no_plain_password_without_tls();
    test_demo_accounts_are_exactly_those();
    test_sasl_plain_and_login();
    test_scram_salts_of_strangers_stay_the_same();
    test_addresses_find_their_people();
    test_empty_logins_are_wrong_not_fatal();
    test_apop_is_a_login();
    keeper_is_elsewhere = false;
}

/* ---- users and aliases ---- */

TEST(users_that_cannot_be)
{
    World w;
    uint32_t acct;
    char text[1100];
    memset(text, 'x', sizeof text);
    world_open(&w, true, 3);
    Slice good[] = {S("anna"), S("berta")}, bad[] = {S("anna"), S("\1")};
    check_err(user_add(w.auth, S("\1"), S("pw")), ERR_SYNTAX);
    check_err(user_add(w.auth, S("anna"), S("")), ERR_SYNTAX);
    check_err(user_add(w.auth, S("anna"), S("\1")), ERR_SYNTAX);
    check_err(user_add(w.auth, S("anna"), slice(text, sizeof text)), ERR_SYNTAX);
    check_ok(
        user_add(w.auth, S("anna"), S("pw"))); /* there is an account already, and no password */
    check_err(user_set_password(w.auth, S("\1"), S("pw")), ERR_SYNTAX);
    check_err(user_set_password(w.auth, S("nobody"), S("pw")), ERR_NOT_FOUND);
    check_err(user_remove(w.auth, S("\1")), ERR_SYNTAX);
    check_err(user_remove(w.auth, S("nobody")), ERR_NOT_FOUND);
    check_ok(store_create_account(w.store, S("half"), &acct));
    check_ok(user_remove(w.auth, S("half")));
    check_err(alias_put(w.auth, S("\1"), good, 2), ERR_SYNTAX);
    check_err(alias_put(w.auth, S("both"), bad, 2), ERR_SYNTAX);
    check_err(alias_put(w.auth, S("both"), good, 0), ERR_SYNTAX);
    check_err(alias_put(w.auth, S("bo th"), good, 2), ERR_SYNTAX);
    check_ok(alias_put(w.auth, S("both"), good, 2));
    check_err(alias_remove(w.auth, S("\1")), ERR_SYNTAX);
    Arena a arena_scoped = {0};
    Slice *lines;
    size_t count;
    check_ok(alias_list(w.auth, &a, &lines, &count));
    check_u64(count, 1);
    check_slice(lines[0], S("both anna berta"));
    check_ok(alias_remove(w.auth, S("both")));
    check(alias_remove(w.auth, S("both")) != OK);
    check_ok(alias_list(w.auth, &a, &lines, &count));
    check_u64(count, 0);
    check_ok(auth_account(w.auth, S("u00001"), &acct)); /* made on first use */
    check_ok(auth_account(w.auth, S("u00001"), &acct));
    check_err(auth_account(w.auth, S("u00004"), &acct), ERR_NOT_FOUND);
    world_close(&w);
}

/* Nothing can be written any more. */
TEST(users_of_a_full_disk)
{
    struct rlimit before, none;
    World w;
    Arena a arena_scoped = {0};
    Slice *lines, anna = S("anna");
    size_t count;
    world_open(&w, true, 0);
    signal(SIGXFSZ, SIG_IGN);
    check(getrlimit(RLIMIT_FSIZE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    check(setrlimit(RLIMIT_FSIZE, &none) == 0);
    Err added = user_add(w.auth, anna, S("pw"));
    Err put = alias_put(w.auth, S("anybody"), &anna, 1);
    Err listed = alias_list(w.auth, &a, &lines, &count);
    check(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check(added && added != ERR_EXISTS && put);
    check(listed || !count);
    world_close(&w);
}

/* Nobody to ask: nothing is changed, nobody is told that somebody is not there. */
TEST(users_without_a_keeper)
{
    World w;
    AuthUser user = {.login = "\1"};
    world_open(&w, true, 0);
    Caller *nobody = caller_new(CAST_HOUSE, CAST_KEEPER, 0); /* as many may wait */
    Auth *auth;
    AuthConfig config = {.keeper = keeper_remote(nobody), .plain_without_tls = true};
    check_ok(auth_open(&config, w.store, &auth));
    check_err(user_add(auth, S("anna"), S("pw")), ERR_TEMPORARY);
    check_err(user_remove(auth, S("anna")), ERR_TEMPORARY);
    check_err(auth_login(auth, "imap", w.server, S("anna"), S("pw"), &user), ERR_TEMPORARY);
    strcpy(user.login, "nobody");
    check_err(auth_find_account(auth, "imap", w.server, &user), ERR_AUTH);
    strcpy(user.login, "");
    check_err(auth_find_account(auth, "imap", w.server, &user), ERR_AUTH);
    auth_close(auth);
    keeper_close(config.keeper);
    caller_free(nobody);
    config = (AuthConfig){.dir = S("/nowhere/at/all")};
    check(auth_open(&config, w.store, &auth) != OK);
    world_close(&w);
}
