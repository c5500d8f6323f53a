/* The keeper as it is asked by whoever speaks its language, also a role that has been taken over;
 * and what it keeps, damaged. */
#include "auth/keeper.h"

#include "auth/credential.h"
#include "auth/keeper_copy.h"
#include "auth/keeping.h"
#include "auth/throttle.h"
#include "base/test.h"
#include "base/text.h"
#include "run/file.h"
#include "run/sim.h"

#include <lmdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- a keeper in a directory of its own ---- */

typedef struct {
    char dir[48], own[64], data[80];
    AuthConfig config;
    Keeper *keeper;
} World;

static void world_new(World *w)
{
    static const Slice domains[] = {S("example.org")};
    *w = (World){.dir = "/tmp/keeper_test.XXXXXX"};
    must(mkdtemp(w->dir));
    snprintf(w->own, sizeof w->own, "%s/keeper", w->dir);
    snprintf(w->data, sizeof w->data, "%s/data.mdb", w->own);
    w->config = (AuthConfig){.dir = slice_of(w->own),
                             .domains = domains,
                             .domain_count = COUNT(domains),
                             .anonymous = S("guest"),
                             .argon2_memory_kib = 64,
                             .argon2_passes = 1,
                             .scram_iterations = 16,
                             .reversible = true,
                             .demo_accounts = 100000,
                             .demo_password = S("secret")};
}

PARKS static void world_done(World *w)
{
    char command[80];
    keeper_close(w->keeper);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

PARKS static Err ask(const World *w, Memo question, Memo *answer)
{
    static Buf memory;
    Memo nothing;
    buf_clear(&memory);
    return keeper_answer(w->keeper, &question, answer ? answer : &nothing, &memory);
}

PARKS static Err sets(const World *w, Slice login, Slice password)
{
    return ask(w,
               (Memo){
                   .kind = MEMO_SET, .text = {login, password}
    },
               NULL);
}

/* What the verdict says; ERR_SYNTAX where there is none. */
PARKS static Err verdict(const World *w, Memo question)
{
    Memo answer = {0};
    TRY(ask(w, question, &answer));
    return answer.kind == MEMO_VERDICT ? (Err)answer.number[0] : ERR_SYNTAX;
}

/* Writes into the database behind its back. */
static void plant(const World *w, Slice name, Slice value)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi = 0;
    MDB_val key = {name.len, (void *)(uintptr_t)name.at},
            data = {value.len, (void *)(uintptr_t)value.at};
    check(!mdb_env_create(&env) && !mdb_env_open(env, w->own, MDB_NOTLS, 0600));
    check(!mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, NULL, 0, &dbi));
    check(!mdb_put(txn, dbi, &key, &data, 0) && !mdb_txn_commit(txn));
    mdb_env_close(env);
}

/* ---- questions ---- */

static char long_text[2000];
#define LONG(octets) slice(memset(long_text, 'x', sizeof long_text), (octets))

TEST(questions_that_only_the_taken_over_ask)
{
    static const char zeros[32];
    const struct {
        Memo question;
        Err err, verdict;
    } rows[] = {
        {{.kind = MEMO_SCRAM_BEGIN, .text = {S("")}},                                               ERR_SYNTAX,      0              },
        {{.kind = MEMO_SCRAM_BEGIN, .text = {S("\1secret")}},                                       ERR_SYNTAX,      0              },
        {{.kind = MEMO_SET, .text = {S("\1secret"), S("pw")}},                                      ERR_SYNTAX,      0              },
        {{.kind = MEMO_SET, .text = {slice("a\0b", 3), S("pw")}},                                   ERR_SYNTAX,      0              },
        {{.kind = MEMO_SET, .text = {S("anna"), LONG(KEEPER_PASSWORD_MOST + 1)}},                   ERR_SYNTAX,      0              },
        {{.kind = MEMO_REMOVE, .text = {S("\1secret")}},                                            ERR_SYNTAX,      0              },
        {{.kind = MEMO_HAS, .text = {S("\1secret")}},                                               ERR_NOT_FOUND,   0              },
        {{.kind = MEMO_HAS, .text = {S("nobody")}},                                                 ERR_NOT_FOUND,   0              },
        {{.kind = MEMO_DONE},                                                                       ERR_UNSUPPORTED, 0              },
        {{.kind = MEMO_VERIFY, .text = {S("\1secret"), [3] = S("pw")}},                             OK,              ERR_AUTH       },
        {{.kind = MEMO_VERIFY, .text = {S("anna"), [3] = LONG(KEEPER_PASSWORD_MOST + 1)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_VERIFY, .text = {S("anna"), [3] = S("pw")}},                                 OK,              OK             },
        {{.kind = MEMO_VERIFY, .text = {S("anna@example.org"), [3] = S("pw")}},                     OK,              OK             },
        {{.kind = MEMO_VERIFY, .text = {S("berta@example.org"), [3] = S("pw")}},                    OK,              OK             },
        {{.kind = MEMO_VERIFY, .text = {S("berta"), [3] = S("pw")}},                                OK,              ERR_AUTH       },
        {{.kind = MEMO_VERIFY, .text = {S("u00001"), [3] = S("secret")}},                           OK,              OK             },
        {{.kind = MEMO_VERIFY, .text = {S("u100000"), [3] = S("secret")}},                          OK,              OK             },
        {{.kind = MEMO_VERIFY, .text = {S("u100001"), [3] = S("secret")}},                          OK,              ERR_AUTH       },
        {{.kind = MEMO_VERIFY, .text = {S("u0000x"), [3] = S("secret")}},                           OK,              ERR_AUTH       },
        {{.kind = MEMO_SCRAM_END, .number = {2}, .text = {S("anna"), [4] = slice(zeros, 32)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_SCRAM_END,
          .number = {SCRAM_SHA256},
          .text = {S("anna"), [4] = slice(zeros, 20)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_SCRAM_END,
          .number = {SCRAM_SHA256},
          .text = {S("anna"), [4] = slice(zeros, 32)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_SCRAM_END,
          .number = {SCRAM_SHA1},
          .text = {S("nobody"), [4] = slice(zeros, 20)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_SCRAM_END, .number = {SCRAM_SHA1}, .text = {S(""), [4] = slice(zeros, 20)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_APOP, .text = {S("anna"), [3] = S("<1@x>"), [4] = slice(zeros, 15)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_APOP, .text = {S("anna"), [3] = S("<1@x>"), [4] = slice(zeros, 16)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_APOP, .text = {S("nobody"), [3] = S("<1@x>"), [4] = slice(zeros, 16)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_APOP, .text = {S(""), [3] = S("<1@x>"), [4] = slice(zeros, 16)}},
         OK,                                                                                                         ERR_AUTH       },
        {{.kind = MEMO_TOKEN, .text = {S("\1secret"), [3] = S("token")}},                           OK,              ERR_AUTH       },
        {{.kind = MEMO_TOKEN, .text = {S("anna"), [3] = S("token")}},                               OK,              ERR_UNSUPPORTED},
        {{.kind = MEMO_VOUCH, .number = {VOUCH_CERTIFICATE}, .text = {S("anna")}},
         ERR_FORBIDDEN,                                                                                              0              },
        {{.kind = MEMO_VOUCH, .number = {2 /* none */}, .text = {S("anna")}},                       ERR_FORBIDDEN,   0              },
        {{.kind = MEMO_VOUCH, .number = {VOUCH_ANONYMOUS}, .text = {S("anna")}},                    ERR_FORBIDDEN,   0              },
        {{.kind = MEMO_VOUCH, .number = {VOUCH_ANONYMOUS}, .text = {S("guest")}},                   OK,              OK             },
        {{.kind = MEMO_VOUCH, .number = {VOUCH_ANONYMOUS}, .text = {S("")}},                        ERR_FORBIDDEN,   0              },
        {{.kind = MEMO_VOUCH, .number = {9}, .text = {S("guest")}},                                 ERR_FORBIDDEN,   0              },
        {{.kind = MEMO_WRONG, .text = {S("anna")}},                                                 OK,              ERR_AUTH       },
    };
    World w;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(sets(&w, S("anna"), S("pw")));
    check_ok(sets(&w, S("berta@example.org"), S("pw")));
    for (size_t i = 0; i < COUNT(rows); i++) {
        Memo answer = {0};
        Err err = ask(&w, rows[i].question, &answer);
        bool as_wanted = err == rows[i].err && (err || rows[i].question.kind == MEMO_HAS ||
                                                answer.number[0] == (uint64_t)rows[i].verdict);
        if (!as_wanted)
            test_failed(__FILE__, __LINE__, "row %zu: %s, %llu", i, err_name(err),
                        (unsigned long long)answer.number[0]);
    }
    w.config.anonymous = (Slice){0};
    keeper_reload(w.keeper, &w.config);
    check_err(
        verdict(&w, (Memo){.kind = MEMO_VOUCH, .number = {VOUCH_ANONYMOUS}, .text = {S("guest")}}),
        ERR_FORBIDDEN);
    world_done(&w);
}

/* ---- many at once ---- */

typedef struct {
    const World *w;
    unsigned *left, *sent_away;
    unsigned n;
} Guess;

PARKS_UNCHECKED static void guesses(void *arg)
{
    Guess *g = arg;
    Buf memory buf_scoped = {0};
    char login[32], address[32];
    snprintf(login, sizeof login, "u%05u", 1 + g->n % 50);
    snprintf(address, sizeof address, "192.0.2.%u", g->n % 7);
    Memo answer =
             {
                 0
    },
         q = {.kind = MEMO_VERIFY,
              .text = {slice_of(login), slice_of(address), S("imap"), S("wrong")}};
    if (g->n % 9 == 0)
        q = (Memo){
            .kind = MEMO_SET, .text = {S("anna"), S("pw")}
        };
    Err err = keeper_answer(g->w->keeper, &q, &answer, &memory);
    if (err == ERR_TEMPORARY || answer.number[0] == ERR_TEMPORARY) ++*g->sent_away;
    --*g->left;
}

TEST(no_more_passwords_wait_than_may)
{
    enum { GUESSES = 400 };
    World w;
    Guess list[GUESSES];
    unsigned left = GUESSES, sent_away = 0;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    for (unsigned i = 0; i < GUESSES; i++) {
        list[i] = (Guess){&w, &left, &sent_away, i};
        fiber_start("guess", guesses, &list[i]);
    }
    for (int i = 0; i < 20000 && left; i++)
        fiber_sleep(1);
    check_u64(left, 0);
    check(sent_away >= GUESSES - 256 - 2 - 100 && sent_away <= GUESSES - 256);
    world_done(&w);
}

/* ---- what it keeps, damaged ---- */

TEST(a_damaged_credential_is_nobodys)
{
    static const char zeros[32];
    static const MemoKind kinds[] = {MEMO_VERIFY, MEMO_APOP, MEMO_SCRAM_END};
    World w;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(sets(&w, S("anna"), S("pw")));
    keeper_close(w.keeper);
    plant(&w, S("anna"), S("this is no credential"));
    check_ok(keeper_open(&w.config, &w.keeper));
    for (size_t i = 0; i < COUNT(kinds); i++)
        check_err(verdict(&w,
                          (Memo){
                              .kind = kinds[i],
                              .number = {SCRAM_SHA256                     },
                              .text = { S("anna"), [3] = S("pw"),
                                         [4] = slice(zeros, kinds[i] == MEMO_APOP ? 16 : 32)}
        }),
                  ERR_TEMPORARY);
    check_err(ask(&w, (Memo){.kind = MEMO_SCRAM_BEGIN, .text = {S("anna")}}, NULL), ERR_TEMPORARY);
    check_err(ask(&w, (Memo){.kind = MEMO_HAS, .text = {S("anna")}}, NULL), ERR_CORRUPT);
    check_ok(sets(&w, S("anna"), S("pw"))); /* and the next password mends it */
    check_ok(verdict(&w, (Memo){
                             .kind = MEMO_VERIFY, .text = {S("anna"), [3] = S("pw")}
    }));
    world_done(&w);
}

TEST(a_damaged_keeper_does_not_open)
{
    World w;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    keeper_close(w.keeper);
    w.keeper = NULL;
    plant(&w, S("\1secret"), S("short"));
    check_err(keeper_open(&w.config, &w.keeper), ERR_CORRUPT);
    check_ok(path_replace(slice_of(w.data), S("this is no database")));
    check_err(keeper_open(&w.config, &w.keeper), ERR_IO);
    w.config.dir = slice_of(w.data); /* a file */
    check(keeper_open(&w.config, &w.keeper) != OK);
    w.config.dir = (Slice){0};
    w.config.argon2_memory_kib = UINT32_MAX; /* 4 TiB */
    check_err(keeper_open(&w.config, &w.keeper), ERR_TEMPORARY);
    w.config.argon2_memory_kib = 64;
    w.config.oauth.keys_path = S("/nowhere/keys.json");
    check_err(keeper_open(&w.config, &w.keeper), ERR_CONFIG); /* and no issuer */
    w.config.oauth = (OauthConfig){0};
    check_ok(keeper_open(&w.config, &w.keeper)); /* one that keeps nothing */
    check_err(sets(&w, S("anna"), S("pw")), ERR_UNSUPPORTED);
    check_ok(verdict(&w, (Memo){
                             .kind = MEMO_VERIFY, .text = {S("u00001"), [3] = S("secret")}
    }));
    world_done(&w);
}

/* No room for a page more, as on a full disk. */
TEST(a_password_that_cannot_be_kept_is_not)
{
    struct rlimit before, none;
    World w;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(sets(&w, S("anna"), S("pw")));
    signal(SIGXFSZ, SIG_IGN);
    check(getrlimit(RLIMIT_FSIZE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    check(setrlimit(RLIMIT_FSIZE, &none) == 0);
    Err err = sets(&w, S("anna"), S("other"));
    Err removed = ask(&w, (Memo){.kind = MEMO_REMOVE, .text = {S("anna")}}, NULL);
    check(setrlimit(RLIMIT_FSIZE, &before) == 0);
    check_err(err, ERR_IO);
    check_err(removed, ERR_IO);
    check_ok(verdict(&w, (Memo){
                             .kind = MEMO_VERIFY, .text = {S("anna"), [3] = S("pw")}
    }));
    check_err(ask(&w, (Memo){.kind = MEMO_REMOVE, .text = {S("nobody")}}, NULL), ERR_NOT_FOUND);
    world_done(&w);
}

/* LMDB's own limits: who reads, and how much there is. */
TEST(a_full_database_says_so)
{
    enum { READERS = 126 };
    MDB_txn *txn[READERS];
    int begun = 0;
    World w;
    Err err = OK;
    world_new(&w);
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(sets(&w, S("anna"), S("pw")));
    while (begun < READERS && !mdb_txn_begin(w.keeper->env, NULL, MDB_RDONLY, &txn[begun]))
        begun++;
    check_err(ask(&w, (Memo){.kind = MEMO_HAS, .text = {S("anna")}}, NULL), ERR_IO);
    while (begun)
        mdb_txn_abort(txn[--begun]);
    check_ok(ask(&w, (Memo){.kind = MEMO_HAS, .text = {S("anna")}}, NULL));
    check(!mdb_env_set_mapsize(w.keeper->env, 64 * 1024));
    for (int i = 0; i < 1000 && !err; i++) {
        char login[16];
        snprintf(login, sizeof login, "user%d", i);
        err = sets(&w, slice_of(login), S("pw"));
    }
    check_err(err, ERR_DISK_FULL);
    check_ok(verdict(&w, (Memo){
                             .kind = MEMO_VERIFY, .text = {S("anna"), [3] = S("pw")}
    }));
    world_done(&w);
}

/* ---- copies ---- */

TEST(a_copy_is_a_keeper)
{
    Arena a arena_scoped = {0};
    World w;
    world_new(&w);
    Slice own = slice_of(w.own), to = arena_printf(&a, "%s/copy", w.dir);
    check_err(keeper_copy(own, to), ERR_NOT_FOUND);
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(sets(&w, S("anna"), S("pw")));
    check_ok(keeper_copy(own, to));
    check_err(keeper_copy(own, S("/dev/full")), ERR_DISK_FULL);
    check_err(keeper_copy(own, arena_printf(&a, "%s/nowhere/copy", w.dir)), ERR_IO);
    check_ok(ask(&w, (Memo){.kind = MEMO_REMOVE, .text = {S("anna")}}, NULL));
    keeper_close(w.keeper);
    check_ok(path_rename(to, slice_of(w.data)));
    check_ok(keeper_open(&w.config, &w.keeper));
    check_ok(verdict(&w, (Memo){
                             .kind = MEMO_VERIFY, .text = {S("anna"), [3] = S("pw")}
    }));
    keeper_close(w.keeper);
    w.keeper = NULL;
    check_ok(path_replace(slice_of(w.data), S("this is no database")));
    check_err(keeper_copy(own, to), ERR_IO);
    world_done(&w);
}

/* ---- credentials ---- */

TEST(credentials_of_odd_passwords)
{
    static Credential c;
    AuthConfig config = {.argon2_memory_kib = 64, .argon2_passes = 1, .reversible = true};
    check_ok(credential_make(&c, (Slice){0}, &config));
    check(credential_verify(&c, S("")) && !credential_verify(&c, S("x")));
    check_u64(c.iterations, 4096);
    check_ok(credential_make(&c, LONG(1500), &config)); /* too long to be kept as it is */
    check(!c.secret[0] && credential_verify(&c, LONG(1500)));
    config.reversible = false;
    check_ok(credential_make(&c, S("pw"), &config));
    check(!c.secret[0]);
}

/* Else it would take another time than a real one to say no. */
TEST(an_invented_credential_looks_like_a_real_one)
{
    static Credential real, invented;
    AuthConfig config = {.argon2_memory_kib = 64, .argon2_passes = 3};
    check_ok(credential_make(&real, S("pw"), &config));
    check_ok(credential_invent(&invented, &config));
    check_u64(strlen(invented.argon2), strlen(real.argon2));
    check_u64(invented.iterations, real.iterations);
    Slice prefix = S("$argon2id$v=19$m=64,t=3,p=1$");
    check(slice_starts(slice_of(real.argon2), prefix));
    check(slice_starts(slice_of(invented.argon2), prefix));
    check_u64(crypto_pwhash_str_needs_rehash(invented.argon2, 3, 64 * 1024), 0); /* it is read */
    check(!credential_verify(&invented, S("pw")) && !credential_verify(&invented, S("")));
    check(crypto_pwhash_str_needs_rehash(invented.argon2, 2, 64 * 1024) == 1);
}

/* ---- the memory of failures ---- */

/* Beyond so many strangers the oldest are forgotten, and who came meanwhile is not. */
TEST(a_flood_of_strangers_is_forgotten)
{
    Throttle *t = throttle_new();
    Slice mine = S("198.51.100.1"), anna = S("anna");
    bool told;
    for (int i = 0; i < 5; i++)
        throttle_failed(t, mine, anna, &told);
    check_u64(throttle_rank(t, mine, anna), 2);
    for (unsigned i = 0; i < 70000; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        check(throttle_rank(t, slice_of(address), anna) <= 1);
        if (i == 40000) check_u64(throttle_rank(t, mine, anna), 2); /* from the old table */
    }
    check_u64(throttle_rank(t, mine, anna), 2);
    for (unsigned i = 0; i < 70000; i++) {
        char address[32];
        snprintf(address, sizeof address, "11.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        check(throttle_rank(t, slice_of(address), anna) <= 1);
    }
    check_u64(throttle_rank(t, mine, anna), 1);
    throttle_free(t);
    throttle_free(NULL);
    check_ok(throttle_admits(NULL, mine, anna));
    check(throttle_still_admits(NULL, mine, anna) && throttle_rank(NULL, mine, anna) == 1);
    throttle_succeeded(NULL, mine, anna);
    check_u64(throttle_failed(NULL, mine, anna, &told), 0);
}

/* Behind an address that guesses: a friend comes in, a newcomer every few seconds, a guesser not;
 * and after a month without a word a friend is a stranger. */
PARKS_UNCHECKED static void months_pass(void *arg)
{
    (void)arg;
    Throttle *t = throttle_new();
    Slice nat = S("192.0.2.1"), friend = S("friend"), guesser = S("guesser");
    bool told;
    fiber_sleep(10000);
    throttle_succeeded(t, nat, friend);
    check_u64(throttle_rank(t, nat, friend), 0);
    for (int i = 0; i < 100; i++)
        throttle_failed(t, nat, guesser, &told);
    check_err(throttle_admits(t, nat, guesser), ERR_THROTTLED);
    check(!throttle_still_admits(t, nat, guesser));
    check_ok(throttle_admits(t, nat, friend));
    check_ok(throttle_admits(t, nat, S("newcomer")));
    check_err(throttle_admits(t, nat, S("another")), ERR_THROTTLED); /* not so fast */
    check(throttle_still_admits(t, nat, S("another")));
    fiber_sleep(3500);
    check_ok(throttle_admits(t, nat, S("another")));
    fiber_sleep((int64_t)31 * 24 * 3600 * 1000);
    check_u64(throttle_rank(t, nat, friend), 1);
    throttle_free(t);
}

TEST(friends_are_friends_for_a_month)
{
    SimConfig config = {.seed = 1, .loops = 1};
    int code = 1;
    check_ok(sim_run_child(&config, months_pass, NULL, &code));
    check(code == 0);
}

/* The plain file of the simulated disk, cut: nobody is in it, and it is written anew. */
PARKS_UNCHECKED static void open_a_cut_file(void *arg)
{
    (void)arg;
    AuthConfig config = {.dir = S("/nowhere/keeper"), .argon2_memory_kib = 64, .argon2_passes = 1};
    World w = {0};
    check(keeper_open(&config, &w.keeper) != OK);
    config.dir = S("/keeper");
    check_ok(path_mkdir(config.dir));
    check_ok(path_replace(S("/keeper/logins"), S("\x7f\x7f cut")));
    check_ok(keeper_open(&config, &w.keeper));
    check_err(ask(&w, (Memo){.kind = MEMO_HAS, .text = {S("anna")}}, NULL), ERR_NOT_FOUND);
    check_ok(sets(&w, S("anna"), S("pw")));
    keeper_close(w.keeper);
}

TEST(a_cut_file_is_empty)
{
    SimConfig config = {.seed = 1, .loops = 1, .disk = sim_disk_new(1 << 20)};
    int code = 1;
    check_ok(sim_run_child(&config, open_a_cut_file, NULL, &code));
    check(code == 0);
    sim_disk_free(config.disk);
}
