/* Whole exchanges, right and wrong, by people and by programs, with a keeper that is honest and
 * with one that is not. */
#include "auth/auth.h"
#include "auth/credential.h"
#include "auth/jose.h"
#include "auth/keeper.h"
#include "auth/oauth.h"
#include "auth/sasl.h"
#include "auth/state.h"
#include "base/test.h"
#include "base/text.h"
#include "net/caller.h"
#include "run/file.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the world ---- */

typedef struct {
    char dir[48];
    Arena a;
    AuthConfig config;
    Keeper *keeper;
    Auth *auth;
    Stream *client, *server;
} World;

PARKS static Err make_keeper(World *w)
{
    static const Slice domains[] = {S("example.org"), S("bad..\xff")};
    *w = (World){.dir = "/tmp/login_test.XXXXXX"};
    must(mkdtemp(w->dir));
    w->config = (AuthConfig){.dir = arena_printf(&w->a, "%s/keeper", w->dir),
                             .plain_without_tls = true,
                             .domains = domains,
                             .domain_count = COUNT(domains),
                             .anonymous = S("guest"),
                             .argon2_memory_kib = 64,
                             .argon2_passes = 1,
                             .scram_iterations = 16,
                             .reversible = true};
    return keeper_open(&w->config, &w->keeper);
}

PARKS static void sets(World *w, Slice login, Slice password)
{
    Buf memory buf_scoped = {0};
    Memo answer, q = {
                     .kind = MEMO_SET, .text = {login, password}
    };
    check_ok(keeper_ask(w->keeper, &q, &answer, &memory));
}

PARKS static void world_open(World *w)
{
    check_ok(make_keeper(w));
    sets(w, S("anna"), S("pencil"));
    w->config.keeper = w->keeper;
    check_ok(auth_open(&w->config, NULL, &w->auth));
    check_ok(stream_pair(&w->client, &w->server));
}

PARKS static void world_close(World *w)
{
    char command[80];
    stream_free(w->client);
    stream_free(w->server);
    auth_close(w->auth);
    keeper_close(w->keeper);
    arena_done(&w->a);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

typedef struct {
    Stream *stream;
    bool ended;
} Client;

PARKS_UNCHECKED static void client_shakes(void *arg)
{
    Client *c = arg;
    TlsContext *ctx scoped(tls) = tls_client_new(false);
    check_ok(stream_start_tls_client(c->stream, ctx, (Slice){0}));
    c->ended = true;
}

PARKS static void add_tls(World *w)
{
    TlsContext *ctx scoped(tls) = NULL;
    Slice names[] = {S("localhost")};
    Slice certificate = arena_printf(&w->a, "%s/c.pem", w->dir);
    Slice key = arena_printf(&w->a, "%s/k.pem", w->dir);
    check_ok(tls_make_self_signed(certificate, key, names, 1));
    check_ok(tls_server_new(certificate, key, &ctx));
    Client c = {w->client, false};
    fiber_start("client", client_shakes, &c);
    check_ok(stream_start_tls(w->server, ctx));
    while (!c.ended)
        fiber_sleep(1);
}

/* ---- SCRAM, the client's side ---- */

typedef struct {
    const char *mechanism, *header, *name, *password;
    const char *spoils; /* "data", "nonce", "short", "long", "grammar", "behind" */
    bool binds;         /* with the data of the stream's binding */
    ChannelBinding binding;
    Err err;
} Scram;

static void prove(ScramHash hash, const Scram *row, Slice salt, int iterations, Slice message,
                  uint8_t proof[32])
{
    uint8_t salted[32], key[32], stored[32], signature[32];
    size_t len = scram_hash_len(hash);
    const EVP_MD *md = hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
    check(PKCS5_PBKDF2_HMAC(row->password, -1, (const unsigned char *)salt.at, (int)salt.len,
                            iterations, md, (int)len, salted) == 1);
    scram_hmac(hash, slice(salted, len), S("Client Key"), key);
    scram_digest(hash, slice(key, len), stored);
    scram_hmac(hash, slice(stored, len), message, signature);
    for (size_t i = 0; i < len; i++)
        proof[i] = key[i] ^ signature[i];
}

static bool spoils(const Scram *row, const char *what)
{
    return row->spoils && !strcmp(row->spoils, what);
}

/* The last message, for the server's first. */
PARKS static Slice final_for(World *w, const Scram *row, Slice bare, Slice server_first)
{
    uint8_t proof[32];
    Slice rest = server_first, nonce = {0}, salt64 = {0};
    Buf salt buf_scoped = {0}, channel buf_scoped = {0}, c64 buf_scoped = {0}, p64 buf_scoped = {0};
    check(slice_cut(&rest, ',', &nonce) && slice_cut(&rest, ',', &salt64));
    uint64_t iterations = 0;
    check(base64_decode(&salt, slice_from(salt64, 2)) &&
          slice_to_u64(slice_from(rest, 2), &iterations));
    ScramHash hash = strstr(row->mechanism, "256") ? SCRAM_SHA256 : SCRAM_SHA1;
    buf_add(&channel, slice_of(row->header));
    if (row->binds) check_ok(stream_channel_binding(w->client, row->binding, &channel));
    if (spoils(row, "data")) buf_char(&channel, 'x');
    base64_encode(&c64, buf_slice(&channel));
    Slice without = arena_printf(&w->a, "c=%.*s,%.*s%s", (int)c64.len, c64.at, SP(nonce),
                                 spoils(row, "nonce") ? "x" : "");
    Slice message = arena_printf(&w->a, "%.*s,%.*s,%.*s", SP(bare), SP(server_first), SP(without));
    prove(hash, row, buf_slice(&salt), (int)iterations, message, proof);
    base64_encode(&p64, slice(proof, scram_hash_len(hash) - spoils(row, "short")));
    if (spoils(row, "grammar")) return S("c=!,r=,p=");
    return arena_printf(&w->a, "%.*s,p=%.*s", SP(without), (int)p64.len, p64.at);
}

PARKS static Err exchange(World *w, const Scram *row)
{
    Err err = OK;
    Sasl *s scoped(sasl) = sasl_new(w->auth, "imap", w->server);
    Buf first buf_scoped = {0}, challenge buf_scoped = {0};
    buf_printf(&first, "%sn=%s,r=abc", row->header, row->name);
    if (spoils(row, "long"))
        for (int i = 0; i < 2000; i++)
            buf_add(&first, i ? S("x") : S(",x="));
    Slice bare = slice_from(buf_slice(&first), strlen(row->header)), initial = buf_slice(&first);
    if (sasl_start(s, slice_of(row->mechanism), &initial, &challenge, &err) != SASL_CONTINUE)
        return err;
    Slice server_first = arena_copy(&w->a, buf_slice(&challenge));
    buf_clear(&challenge);
    Slice final = final_for(w, row, bare, server_first);
    if (sasl_step(s, final, &challenge, &err) != SASL_CONTINUE) return err;
    check(slice_starts(buf_slice(&challenge), S("v=")));
    SaslState end = sasl_step(s, spoils(row, "behind") ? S("x") : S(""), &challenge, &err);
    check((end == SASL_DONE) == (err == OK));
    if (!err) check_slice(slice_of(sasl_user(s)->login), S("anna"));
    return err;
}

PARKS static void exchange_all(World *w, const Scram *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Err err = exchange(w, &rows[i]);
        if (err != rows[i].err)
            test_failed(__FILE__, __LINE__, "row %zu: %s (%s)", i, err_name(err), err_story());
    }
}

TEST(scram_from_end_to_end)
{
    static const Scram plain[] = {
        {"SCRAM-SHA-1",        "n,,",              "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER, OK             },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER, OK             },
        {"SCRAM-SHA-256",      "y,,",              "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER, OK             },
        {"SCRAM-SHA-256",      "n,a=anna,",        "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER, OK             },
        {"SCRAM-SHA-256",      "n,,",              "anna@example.org", "pencil", NULL,      false, BINDING_TLS_EXPORTER,
         OK                                                                                                                             },
        {"SCRAM-SHA-256",      "n,a=berta,",       "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER,
         ERR_AUTH                                                                                                                       },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "wrong",  NULL,      false, BINDING_TLS_EXPORTER, ERR_AUTH       },
        {"SCRAM-SHA-256",      "n,,",              "nobody",           "pencil", NULL,      false, BINDING_TLS_EXPORTER, ERR_AUTH       },
        {"SCRAM-SHA-256",      "n,,",              "\1",               "pencil", NULL,      false, BINDING_TLS_EXPORTER, ERR_SYNTAX     },
        {"SCRAM-SHA-256",      "x,,",              "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER, ERR_SYNTAX     },
        {"SCRAM-SHA-256",      "p=tls-exporter,,", "anna",             "pencil", NULL,      false, BINDING_TLS_EXPORTER,
         ERR_AUTH                                                                                                                       },
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "anna",             "pencil", NULL,      false,
         BINDING_TLS_EXPORTER,                                                                                           ERR_UNSUPPORTED},
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "data",    false, BINDING_TLS_EXPORTER, ERR_AUTH       },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "nonce",   false, BINDING_TLS_EXPORTER, ERR_AUTH       },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "short",   false, BINDING_TLS_EXPORTER, ERR_AUTH       },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "long",    false, BINDING_TLS_EXPORTER, ERR_SYNTAX     },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "grammar", false, BINDING_TLS_EXPORTER,
         ERR_SYNTAX                                                                                                                     },
        {"SCRAM-SHA-256",      "n,,",              "anna",             "pencil", "behind",  false, BINDING_TLS_EXPORTER,
         ERR_SYNTAX                                                                                                                     },
    };
    static const Scram bound[] = {
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,",         "anna", "pencil", NULL, true,
         BINDING_TLS_EXPORTER,                                                                                  OK      },
        {"SCRAM-SHA-1-PLUS",   "p=tls-server-end-point,,", "anna", "pencil", NULL, true,
         BINDING_TLS_SERVER_END_POINT,                                                                          OK      },
        {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,",         "anna", "pencil", NULL, true,
         BINDING_TLS_SERVER_END_POINT,                                                                          ERR_AUTH},
        {"SCRAM-SHA-256-PLUS", "p=tls-unique,,",           "anna", "pencil", NULL, false,
         BINDING_TLS_EXPORTER,                                                                                  ERR_AUTH}, /* not in TLS 1.3 */
        {"SCRAM-SHA-256-PLUS", "p=tls-magic,,",            "anna", "pencil", NULL, false, BINDING_TLS_EXPORTER,
         ERR_AUTH                                                                                                       },
        {"SCRAM-SHA-256-PLUS", "n,,",                      "anna", "pencil", NULL, false, BINDING_TLS_EXPORTER,
         ERR_AUTH                                                                                                       },
        {"SCRAM-SHA-256",      "n,,",                      "anna", "pencil", NULL, false, BINDING_TLS_EXPORTER, OK      },
        {"SCRAM-SHA-256",      "y,,",                      "anna", "pencil", NULL, false, BINDING_TLS_EXPORTER,
         ERR_AUTH                                                                                                       }, /* somebody took -PLUS away */
    };
    World w;
    world_open(&w);
    exchange_all(&w, plain, COUNT(plain));
    add_tls(&w);
    exchange_all(&w, bound, COUNT(bound));
    world_close(&w);
}

/* ---- the others ---- */

PARKS static Err tries(World *w, const char *mechanism, Slice message)
{
    Err err = OK;
    Buf challenge buf_scoped = {0};
    Sasl *s scoped(sasl) = sasl_new(w->auth, "imap", w->server);
    SaslState state = sasl_start(s, slice_of(mechanism), &message, &challenge, &err);
    if (state == SASL_CONTINUE) state = sasl_step(s, S("\1"), &challenge, &err);
    check((state == SASL_DONE) == (err == OK));
    return err;
}

TEST(messages_that_are_none)
{
    World w;
    char trace[1100];
    memset(trace, 'x', sizeof trace);
    world_open(&w);
    check_err(tries(&w, "PLAIN", slice("\0anna\0pen\0cil", 13)), ERR_SYNTAX);
    check_ok(tries(&w, "PLAIN", slice("\0anna\0pencil", 12)));
    check_ok(tries(&w, "ANONYMOUS", S("somebody")));
    check_err(tries(&w, "ANONYMOUS", slice(trace, sizeof trace)), ERR_SYNTAX);
    check_err(tries(&w, "ANONYMOUS", S("\xff")), ERR_SYNTAX);
    check_err(tries(&w, "ANONYMOUS", S("a\1")), ERR_SYNTAX);
    check_err(tries(&w, "XOAUTH2", S("x")), ERR_UNSUPPORTED);
    check_err(tries(&w, "EXTERNAL", S("")), ERR_UNSUPPORTED);
    sasl_free(NULL);
    world_close(&w);
}

/* What people type that nobody has. */
TEST(logins_that_cannot_be)
{
    World w;
    AuthUser user;
    char text[1300];
    memset(text, 'x', sizeof text);
    world_open(&w);
    Slice timestamp = S("<1@x>"), digest = S("c4c9334bac560ecc979e58001b3e22fb");
    check_err(auth_login(w.auth, "imap", w.server, S("anna"), S("\1"), &user), ERR_AUTH);
    check_err(auth_login(w.auth, "imap", w.server, S("anna"), slice(text, sizeof text), &user),
              ERR_AUTH);
    check_err(auth_login(w.auth, "imap", w.server, slice(text, 256), S("x"), &user), ERR_AUTH);
    check_err(auth_login(w.auth, "imap", w.server, S("anna@example.net"), S("pencil"), &user),
              ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("\1"), timestamp, digest, &user), ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("anna"), timestamp, S("no hex"), &user), ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("anna"), timestamp, S("c4c9"), &user), ERR_AUTH);
    check_err(auth_apop(w.auth, w.server, S("anna"), slice(text, 513), digest, &user), ERR_AUTH);
    check_ok(auth_login(w.auth, "imap", w.server, S("Anna@Example.org"), S("pencil"), &user));
    auth_close(NULL);
    world_close(&w);
}

/* ---- a keeper that is not honest ---- */

static Memo lie;
static Err lie_err;

PARKS static Err lies(void *arg, const Memo *question, Memo *answer, Buf *memory)
{
    (void)arg, (void)question, (void)memory;
    *answer = lie;
    return lie_err ? fail(lie_err, "a lie") : OK;
}

typedef struct {
    Answerer config;
    Sock *sock;
    bool ended;
} Liar;

PARKS_UNCHECKED static void liar_serves(void *arg)
{
    Liar *l = arg;
    check_ok(answerer_serve(&l->config, l->sock));
    l->ended = true;
}

static Memo says(uint64_t number, int64_t hold_ms, Slice login)
{
    return (Memo){
        .kind = MEMO_VERDICT, .number = {number, (uint64_t)hold_ms},
             .text = {login     }
    };
}

/* Whoever is in has a name, a verdict is one of four, and nobody is held back for ever. */
TEST(a_keeper_that_lies)
{
    World w = {0};
    Liar liar = {
        .config = {CAST_KEEPER, CAST_FRONT, 4, lies, NULL}
    };
    Sock *ours;
    AuthUser user;
    Buf memory buf_scoped = {0};
    Memo answer, sign = {.kind = MEMO_TLS_SIGN, .number = {1}, .text = {S("x")}};
    static const Slice domains[] = {S("example.org")};
    check_ok(sock_pair(&ours, &liar.sock));
    fiber_start("liar", liar_serves, &liar);
    Caller *caller = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    caller_replace(caller, ours);
    w.config = (AuthConfig){.keeper = keeper_remote(caller),
                            .plain_without_tls = true,
                            .domains = domains,
                            .domain_count = 1};
    check_ok(auth_open(&w.config, NULL, &w.auth));
    check_ok(stream_pair(&w.client, &w.server));
    const struct {
        Memo says;
        Err refuses, err;
        const char *login;
    } rows[] = {
        {says(OK,        0,               S("berta")),                  0,                                      OK, "berta"},
        {says(OK,       10,                      S("")),                                            0,                                                                          OK, "anna"},
        {says(OK,             0,                          slice("be\0rta",     6)),0, OK, "anna"},
        {says(OK, 0,
         (Slice){"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                      256}),
         0,                                                                 OK, "anna"},
        {says(ERR_AUTH,        10,                       S("anna")),                                             0,                                                                                  ERR_AUTH, NULL},
        {says(ERR_THROTTLED,              0,                           S("anna")),                                                 0,                       ERR_THROTTLED, NULL},
        {says(ERR_TEMPORARY,     0,S("anna")),0,ERR_TEMPORARY, NULL},
        {says(ERR_IO,              0,            S("anna")),                          0,                            ERR_TEMPORARY, NULL},
        {{.kind = MEMO_LOGIN, .text = {S("anna")}}, 0,            ERR_TEMPORARY,                                        NULL                                      },
        {{.kind = MEMO_DONE},    ERR_AUTH,                               ERR_TEMPORARY,                                                                            NULL                                                                                                                                                                                              },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        lie = rows[i].says, lie_err = rows[i].refuses;
        Err err = auth_login(w.auth, "imap", w.server, S("anna"), S("pencil"), &user);
        if (err != rows[i].err) test_failed(__FILE__, __LINE__, "row %zu: %s", i, err_name(err));
        if (!err) check_slice(slice_of(user.login), slice_of(rows[i].login));
    }
    lie = says(OK, 0, S("berta")), lie_err = OK; /* who is wrong is not in */
    check_err(auth_login(w.auth, "imap", w.server, S(""), S(""), &user), ERR_AUTH);
    lie = (Memo){
        .kind = MEMO_SCRAM_SALT, .number = {16        },
             .text = { S("longer than it was"), S("salt")}
    };
    Scram row = {"SCRAM-SHA-256", "n,,", "anna", "pencil", .err = ERR_TEMPORARY};
    check_err(exchange(&w, &row), ERR_TEMPORARY); /* and no verdict behind it */
    lie.text[0] = S("");
    check_err(exchange(&w, &row), ERR_TEMPORARY);
    lie_err = ERR_SYNTAX;
    check_err(exchange(&w, &row), ERR_TEMPORARY);
    lie_err = OK;
    Buf login buf_scoped = {0};
    check_err(auth_canonical_login(w.auth, S("anna@example.org"), &login), ERR_TEMPORARY);
    lie = (Memo){.kind = MEMO_LOGIN, .text = {S("berta the other")}};
    buf_clear(&login);
    check_ok(auth_canonical_login(w.auth, S("anna@example.org"), &login));
    check_slice(buf_slice(&login), S("anna@example.org"));
    buf_clear(&login);
    check_ok(auth_canonical_login(w.auth, S("anna@example.net"), &login));
    buf_clear(&login);
    check_err(auth_canonical_login(w.auth, S("\1"), &login), ERR_SYNTAX);
    check_err(keeper_ask(w.config.keeper, &sign, &answer, &memory), ERR_TEMPORARY);
    keeper_reload(w.config.keeper, &w.config); /* not for us to say */
    auth_close(w.auth);
    keeper_close(w.config.keeper);
    caller_free(caller);
    while (!liar.ended)
        fiber_sleep(1);
    stream_free(w.client);
    stream_free(w.server);
    arena_done(&w.a);
}

/* ---- tokens ---- */

static Slice issued; /* what the issuer answers */

PARKS static Err issuer_answers(void *arg, Slice token, Buf *answer)
{
    (void)arg, (void)token;
    buf_add(answer, issued);
    return OK;
}

static void base64url(Buf *out, Slice octets)
{
    Buf plain buf_scoped = {0};
    base64_encode(&plain, octets);
    for (size_t i = 0; i < plain.len && plain.at[i] != '='; i++)
        buf_char(out, plain.at[i] == '+' ? '-' : plain.at[i] == '/' ? '_' : plain.at[i]);
}

static void sign_token(Buf *token, EVP_PKEY *key, const char *claims)
{
    unsigned char signature[64];
    size_t len = sizeof signature;
    base64url(token, S("{\"alg\":\"EdDSA\"}"));
    buf_char(token, '.');
    base64url(token, slice_of(claims));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    check(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1);
    check(EVP_DigestSign(ctx, signature, &len, (unsigned char *)token->at, token->len) == 1);
    EVP_MD_CTX_free(ctx);
    buf_char(token, '.');
    base64url(token, slice(signature, len));
}

static void write_keys(Slice path, EVP_PKEY *key)
{
    unsigned char raw[32];
    size_t len = sizeof raw;
    Buf jwks buf_scoped = {0};
    check(EVP_PKEY_get_raw_public_key(key, raw, &len) == 1);
    buf_add(&jwks, S("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""));
    base64url(&jwks, slice(raw, len));
    buf_add(&jwks, S("\"}]}"));
    check_ok(path_replace(path, buf_slice(&jwks)));
}

PARKS static Err bears(World *w, const char *header, Slice token)
{
    Slice message = arena_printf(&w->a, "%s\1auth=Bearer %.*s\1\1", header, SP(token));
    return tries(w, "OAUTHBEARER", message);
}

#define CLAIMS "\"iss\":\"issuer\",\"aud\":\"mail\",\"exp\":32503680000"

TEST(signed_tokens_are_logins)
{
    World w;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    Buf good buf_scoped = {0}, odd buf_scoped = {0};
    world_open(&w);
    Slice path = arena_printf(&w.a, "%s/keys.json", w.dir);
    write_keys(path, key);
    sign_token(&good, key, "{" CLAIMS ",\"email\":\"anna@example.org\"}");
    sign_token(&odd, key, "{" CLAIMS ",\"email\":\"\\u0001\"}");
    w.config.oauth = (OauthConfig){.keys_path = path, .issuer = S("issuer"), .audience = S("mail")};
    keeper_reload(w.keeper, &w.config);
    auth_reload(w.auth, &w.config);
    check_ok(bears(&w, "n,a=anna,", buf_slice(&good)));
    check_ok(bears(&w, "n,,", buf_slice(&good)));
    check_err(bears(&w, "n,a=berta,", buf_slice(&good)), ERR_AUTH);
    check_err(bears(&w, "n,a=\2,", buf_slice(&good)), ERR_AUTH);
    check_err(bears(&w, "n,,", buf_slice(&odd)), ERR_AUTH);
    check_err(bears(&w, "n,,", S("opaque")), ERR_AUTH);
    check_err(bears(&w, "n", buf_slice(&good)), ERR_SYNTAX);
    check_err(tries(&w, "XOAUTH2", S("auth=Bearer x")), ERR_SYNTAX);
    w.config.oauth.audience = (Slice){0}; /* whom it is for has to be known */
    keeper_reload(w.keeper, &w.config);
    check(bears(&w, "n,,", buf_slice(&good)) != OK);
    EVP_PKEY_free(key);
    world_close(&w);
}

TEST(tokens_of_an_issuer_that_is_asked)
{
    World w;
    Buf token buf_scoped = {0};
    world_open(&w);
    w.config.oauth = (OauthConfig){.introspect = issuer_answers, .remember_ms = 20};
    keeper_reload(w.keeper, &w.config);
    auth_reload(w.auth, &w.config);
    issued = S("{\"active\":true,\"email\":\"anna\"}");
    check_ok(bears(&w, "n,a=anna,", S("token")));
    issued = S("{\"active\":false}");
    check_ok(bears(&w, "n,,", S("token"))); /* remembered */
    fiber_sleep(40);
    check_err(bears(&w, "n,,", S("token")), ERR_AUTH);
    issued = S("{\"active\":true,\"email\":\"anna\"}");
    check_err(bears(&w, "n,a=berta,", S("another")), ERR_AUTH);
    check_err(bears(&w, "n,a=\2,", S("another")), ERR_AUTH);
    issued = S("{\"active\":true,\"email\":\"\\u0001\"}");
    check_err(bears(&w, "n,,", S("third")), ERR_AUTH);
    for (int i = 0; i <= JOSE_TOKEN_MOST; i++)
        buf_char(&token, 'x');
    check_err(bears(&w, "n,,", buf_slice(&token)), ERR_AUTH);
    check_err(bears(&w, "n,,", S("")), ERR_AUTH);
    world_close(&w);
}

/* ---- what is known of tokens ---- */

TEST(keys_that_are_not_there)
{
    Oauth *o = oauth_new();
    Arena a arena_scoped = {0};
    Buf user buf_scoped = {0};
    char dir[] = "/tmp/login_test.XXXXXX";
    must(mkdtemp(dir));
    Slice path = arena_printf(&a, "%s/keys.json", dir);
    OauthConfig config = {.keys_path = path};
    check_err(oauth_load(o, &config), ERR_CONFIG);
    config.issuer = S("issuer");
    check_err(oauth_load(o, &config), ERR_CONFIG);
    config.audience = S("mail");
    check_err(oauth_load(o, &config), ERR_NOT_FOUND);
    check_err(oauth_check_signed(o, &config, S("a.b.c"), &user), ERR_TEMPORARY); /* no keys yet */
    check_ok(path_replace(path, S("{}")));
    check_err(oauth_load(o, &config), ERR_NOT_FOUND);
    Slice large = slice(arena_alloc(&a, JOSE_KEYS_OCTETS + 1), JOSE_KEYS_OCTETS + 1);
    memset((char *)(uintptr_t)large.at, ' ', large.len);
    check_ok(path_replace(path, large));
    check(oauth_load(o, &config) != OK);
    check(oauth_is_signed(&config, S("opaque")) && oauth_is_signed(&config, S("eyJ.b.c")));
    config.introspect = issuer_answers;
    check(!oauth_is_signed(&config, S("opaque")) && oauth_is_signed(&config, S("eyJ.b.c")));
    check_ok(path_unlink(path));
    rmdir(dir);
    oauth_free(o);
    oauth_free(NULL);
}

TEST(tokens_are_remembered_within_limits)
{
    Oauth *o = oauth_new();
    Buf user buf_scoped = {0};
    OauthConfig config = {.introspect = issuer_answers, .remember_ms = 100000};
    issued = S("{\"active\":true,\"email\":\"anna\"}");
    for (int i = 0; i < 5000; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%d", i);
        check_ok(oauth_check_opaque(o, &config, slice_of(token), &user));
    }
    issued = S("{\"active\":false}");
    check_err(oauth_check_opaque(o, &config, S("t0"), &user), ERR_AUTH); /* forgotten */
    check_ok(oauth_check_opaque(o, &config, S("t4999"), &user));
    issued = S("no JSON");
    check_err(oauth_check_opaque(o, &config, S("x"), &user), ERR_TEMPORARY);
    oauth_free(o);
}

TEST(claims_with_other_names)
{
    static const struct {
        const char *claims, *claim;
        bool signed_token;
        Err err;
    } rows[] = {
        {"{" CLAIMS ",\"upn\":\"anna\",\"email_verified\":false}", "upn", true,  OK      },
        {"{" CLAIMS ",\"email\":\"anna\"}",                        NULL,  true,  OK      },
        {"{" CLAIMS ",\"email\":\"anna\"}",
         "a name of a claim that is so long that nobody would ever think of it, and longer than "
         "anything that fits, which is then no name at all, but email",   true,  OK      },
        {"{\"email\":\"anna\"}",                                   NULL,  false, OK      },
        {"{\"iss\":\"other\",\"email\":\"anna\"}",                 NULL,  false, ERR_AUTH},
        {"{\"aud\":\"other\",\"email\":\"anna\"}",                 NULL,  false, ERR_AUTH},
    };
    OauthConfig config = {.issuer = S("issuer"), .audience = S("mail")};
    Slice user;
    JsonTree *claims = NULL;
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_ok(json_tree_parse(slice_of(rows[i].claims), 10000, &claims));
        config.claim = slice_of(rows[i].claim);
        check_err(oauth_judge(&config, claims, rows[i].signed_token, 1000, &user), rows[i].err);
        json_tree_free(claims);
    }
    check_ok(json_tree_parse(S("{" CLAIMS ",\"email\":\"anna\"}"), 10000, &claims));
    config = (OauthConfig){.issuer = S("issuer")};
    check_err(oauth_judge(&config, claims, true, 1000, &user), ERR_TEMPORARY);
    check_ok(oauth_judge(&config, claims, false, 1000, &user));
    config = (OauthConfig){.audience = S("mail")};
    check_err(oauth_judge(&config, claims, true, 1000, &user), ERR_TEMPORARY);
    check_ok(oauth_judge(&config, claims, false, 1000, &user));
    json_tree_free(claims);
}
