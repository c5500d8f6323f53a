#include "base/test.h"
#include "net/inside.h"
#include "net/tls_signer.h"
#include "run/file.h"
#include "run/sim.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- keys of all kinds with their certificates ---- */

typedef struct {
    char dir[64], certificate[80], key[80];
} Place;

typedef enum { P_256, P_384, RSA_2048, ED_25519, KINDS } KeyKind;

static EVP_PKEY *make_pkey(KeyKind kind)
{
    switch (kind) {
    case P_256:
        return EVP_EC_gen("P-256");
    case P_384:
        return EVP_EC_gen("P-384");
    case RSA_2048:
        return EVP_RSA_gen(2048);
    case ED_25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case KINDS:
        break;
    }
    return NULL;
}

static void write_certificate(FILE *out, EVP_PKEY *key, KeyKind kind)
{
    X509 *c = X509_new();
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 7);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
                               (const unsigned char *)"signer.example", -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(c));
    X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    check(X509_sign(c, key, kind == ED_25519 ? NULL : EVP_sha256()) > 0);
    check(PEM_write_X509(out, c) == 1);
    X509_free(c);
}

static Place place_new(KeyKind kind)
{
    Place p = {.dir = "/tmp/posthouse-signer-XXXXXX"};
    EVP_PKEY *key = make_pkey(kind);
    must(key && mkdtemp(p.dir));
    snprintf(p.certificate, sizeof p.certificate, "%s/cert.pem", p.dir);
    snprintf(p.key, sizeof p.key, "%s/key.pem", p.dir);
    FILE *f = fopen(p.key, "w");
    check(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f));
    f = fopen(p.certificate, "w");
    if (f) write_certificate(f, key, kind);
    check(f && !fclose(f));
    EVP_PKEY_free(key);
    return p;
}

static void place_done(const Place *p)
{
    unlink(p->certificate);
    unlink(p->key);
    rmdir(p->dir);
}

/* ---- one who has a key, in this process ---- */

typedef struct {
    TlsKey *key;
    Buf chain;
    TlsSigner signer;
    unsigned asked;
    int64_t takes_ms;
    Err fails;
    size_t deepest;
    const char *top; /* of the stack that shakes hands */
} Keyholder;

PARKS_UNCHECKED static Err sign_here(void *arg, uint32_t number, uint16_t scheme, Slice octets,
                                     Buf *signature)
{
    Keyholder *k = arg;
    char here;
    k->asked++;
    k->deepest = MAX(k->deepest, (size_t)(k->top - &here));
    check_u64(number, 77);
    if (k->takes_ms) fiber_sleep(k->takes_ms);
    return k->fails ? k->fails : tls_key_sign(k->key, scheme, octets, signature);
}

static TlsContext *remote_server(const Place *p, Keyholder *k)
{
    TlsContext *ctx = NULL;
    *k = (Keyholder){
        .signer = {sign_here, k}
    };
    check_ok(tls_key_open(slice_of(p->certificate), slice_of(p->key), &k->chain, &k->key));
    check(slice_find_slice(buf_slice(&k->chain), S("PRIVATE")) == k->chain.len);
    check_ok(tls_server_remote(buf_slice(&k->chain), (Slice){0}, 77, &k->signer, &ctx));
    return ctx;
}

static void keyholder_done(Keyholder *k)
{
    tls_key_free(k->key);
    buf_done(&k->chain);
}

/* ---- handshakes ---- */

typedef struct {
    Stream *stream;
    TlsContext *ctx;
    Err err;
    bool ended;
} Client;

PARKS static void client_shakes(void *arg)
{
    Client *c = arg;
    c->err = stream_start_tls_client(c->stream, c->ctx, S("signer.example"));
    if (!c->err) {
        Slice line;
        stream_put(c->stream, S("a NOOP\r\n"));
        c->err = stream_flush(c->stream);
        if (stream_line(c->stream, 100, &line) != LINE_CRLF) c->err = ERR_END;
    }
    c->ended = true;
}

/* The server's verdict; `*same` when the client agrees. */
PARKS static Err shake(TlsContext *server, TlsContext *client, Keyholder *k, bool *same)
{
    Stream *a, *b;
    Slice line;
    char top;
    check_ok(stream_pair(&a, &b));
    Client c = {.stream = b, .ctx = client};
    fiber_start("client", client_shakes, &c);
    stream_set_deadline(a, now_ms() + 10000);
    k->top = &top;
    Err err = stream_start_tls(a, server);
    if (!err) {
        check(stream_line(a, 100, &line) == LINE_CRLF);
        stream_put(a, S("a OK\r\n"));
        check_ok(stream_flush(a));
    }
    while (!c.ended)
        fiber_sleep(1);
    *same = !err == !c.err;
    k->top = NULL;
    stream_free(a);
    stream_free(b);
    return err;
}

static TlsContext *client_of(const Place *p, int version, const char *algorithms)
{
    TlsContext *ctx = NULL;
    ctx = tls_client_new(true);
    check_ok(tls_client_trust(ctx, slice_of(p->certificate)));
    SSL_CTX_set_min_proto_version(ctx->ssl, version);
    SSL_CTX_set_max_proto_version(ctx->ssl, version);
    if (algorithms) check(SSL_CTX_set1_sigalgs_list(ctx->ssl, algorithms) == 1);
    return ctx;
}

TEST(keys_elsewhere_sign_every_handshake)
{
    static const struct {
        KeyKind kind;
        int version;
        const char *algorithms;
    } rows[] = {
        {P_256,    TLS1_3_VERSION, NULL                   },
        {P_256,    TLS1_2_VERSION, NULL                   },
        {P_256,    TLS1_2_VERSION, "ECDSA+SHA384"         },
        {P_384,    TLS1_3_VERSION, NULL                   },
        {P_384,    TLS1_2_VERSION, "ECDSA+SHA512"         },
        {RSA_2048, TLS1_3_VERSION, NULL                   },
        {RSA_2048, TLS1_3_VERSION, "rsa_pss_rsae_sha512"  },
        {RSA_2048, TLS1_2_VERSION, NULL                   },
        {RSA_2048, TLS1_2_VERSION, "RSA+SHA256"           },
        {RSA_2048, TLS1_2_VERSION, "RSA+SHA384:RSA+SHA512"},
        {RSA_2048, TLS1_2_VERSION, "rsa_pss_rsae_sha384"  },
        {ED_25519, TLS1_3_VERSION, NULL                   },
        {ED_25519, TLS1_2_VERSION, NULL                   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Place p = place_new(rows[i].kind);
        Keyholder k;
        bool same;
        TlsContext *server = remote_server(&p, &k);
        TlsContext *client = client_of(&p, rows[i].version, rows[i].algorithms);
        Err err = shake(server, client, &k, &same);
        if (err || !same || k.asked != 1)
            test_failed(__FILE__, __LINE__, "row %zu: %s, asked %u", i, err_name(err), k.asked);
        check(k.deepest < 64 * 1024); /* of 256 KiB */
        keyholder_done(&k);
        tls_unref(server);
        tls_unref(client);
        place_done(&p);
    }
}

/* ---- while one waits for a signature, others fail and leave errors behind ---- */

typedef struct {
    bool stop;
    unsigned rounds;
} Noise;

PARKS static void make_noise(void *arg)
{
    Noise *n = arg;
    while (!n->stop) {
        ERR_raise(ERR_LIB_SSL, ERR_R_INTERNAL_ERROR);
        ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
        fiber_sleep(1);
        if (n->rounds++ % 3 == 0) ERR_clear_error();
    }
    n->rounds = 0;
}

TEST(errors_of_others_are_not_ours)
{
    Place p = place_new(P_256);
    Keyholder k;
    Noise noise = {0};
    bool same;
    TlsContext *server = remote_server(&p, &k), *client = client_of(&p, TLS1_3_VERSION, NULL);
    k.takes_ms = 20;
    fiber_start("noise", make_noise, &noise);
    for (int i = 0; i < 10; i++) {
        check_ok(shake(server, client, &k, &same));
        check(same);
    }
    noise.stop = true;
    while (noise.rounds)
        fiber_sleep(1);
    ERR_clear_error();
    k.fails = ERR_TEMPORARY; /* no signature: the handshake fails, for both */
    check_err(shake(server, client, &k, &same), ERR_TLS);
    check(same);
    keyholder_done(&k);
    tls_unref(server);
    tls_unref(client);
    place_done(&p);
}

/* ---- the keeper dies with a question in its hands, the next one answers it ---- */

typedef struct {
    Answerer config;
    Sock *sock;
    TlsKey *key;
    bool dies, ended;
} Keeper;

PARKS static Err keeper_signs(void *arg, const Memo *q, Memo *answer, Buf *memory)
{
    const Keeper *k = arg;
    if (k->dies) {
        fiber_park(NEVER); /* until the other end has gone */
        return ERR_TEMPORARY;
    }
    check(q->kind == MEMO_TLS_SIGN);
    TRY(tls_key_sign(k->key, (uint16_t)q->number[1], q->text[0], memory));
    *answer = (Memo){.kind = MEMO_TLS_SIGNED, .text = {buf_slice(memory)}};
    return OK;
}

PARKS static void keeper_serves(void *arg)
{
    Keeper *k = arg;
    check_ok(answerer_serve(&k->config, k->sock));
    k->ended = true;
}

PARKS static void keeper_joins(Keeper *k, Caller *c, TlsKey *key, bool dies)
{
    Sock *ours;
    *k = (Keeper){
        .config = {CAST_KEEPER, CAST_FRONT, 8, keeper_signs, k},
          .key = key, .dies = dies
    };
    check_ok(sock_pair(&ours, &k->sock));
    caller_replace(c, ours);
    fiber_start("keeper", keeper_serves, k);
}

typedef struct {
    Keeper *next;
    Caller *caller;
    TlsKey *key;
} Change;

PARKS static void change_keepers(void *arg)
{
    Change *c = arg;
    fiber_sleep(30);
    caller_replace(c->caller, NULL);
    fiber_sleep(30);
    keeper_joins(c->next, c->caller, c->key, false);
}

TEST(a_handshake_outlives_its_keeper)
{
    Place p = place_new(RSA_2048);
    Keyholder k;
    Keeper first, second = {0};
    bool same;
    TlsContext *ignored = remote_server(&p, &k), *server = NULL;
    TlsContext *client = client_of(&p, TLS1_3_VERSION, NULL);
    Caller *caller = caller_new(CAST_FRONT, CAST_KEEPER, 8);
    TlsSigner signer = tls_signer_by(caller);
    check_ok(tls_server_remote(buf_slice(&k.chain), (Slice){0}, 77, &signer, &server));
    keeper_joins(&first, caller, k.key, true);
    Change change = {&second, caller, k.key};
    fiber_start("change", change_keepers, &change);
    check_ok(shake(server, client, &k, &same));
    check(same);
    caller_free(caller);
    while (!first.ended || !second.ended)
        fiber_sleep(1);
    keyholder_done(&k);
    tls_unref(ignored);
    tls_unref(server);
    tls_unref(client);
    place_done(&p);
}

/* ---- what is not signed ---- */

TEST(only_handshakes_are_signed)
{
    static const char context[] = "TLS 1.3, server CertificateVerify";
    Place p = place_new(P_256);
    TlsKey *key = NULL;
    Buf chain buf_scoped = {0}, good buf_scoped = {0}, signature buf_scoped = {0};
    check_ok(tls_key_open(slice_of(p.certificate), slice_of(p.key), &chain, &key));
    for (int i = 0; i < 64; i++)
        buf_char(&good, ' ');
    buf_add(&good, slice(context, sizeof context));
    for (int i = 0; i < 32; i++)
        buf_char(&good, (char)i);
    check_ok(tls_key_sign(key, 0x0403, buf_slice(&good), &signature));
    check_err(tls_key_sign(key, 0x0804, buf_slice(&good), &signature), ERR_UNSUPPORTED);
    check_err(tls_key_sign(key, 0x0203, buf_slice(&good), &signature), ERR_UNSUPPORTED);
    check_err(tls_key_sign(key, 0x0807, buf_slice(&good), &signature), ERR_UNSUPPORTED);
    for (size_t at = 0; at < 64 + sizeof context; at++) { /* any octet of the frame matters */
        good.at[at] ^= 1;
        check_err(tls_key_sign(key, 0x0403, buf_slice(&good), &signature), ERR_FORBIDDEN);
        good.at[at] ^= 1;
    }
    for (size_t len = 0; len < good.len; len++)
        check_err(tls_key_sign(key, 0x0403, slice(good.at, len), &signature), ERR_FORBIDDEN);
    check_err(tls_key_sign(key, 0x0403, S("From: anna@example.org\r\n\r\nA mail."), &signature),
              ERR_FORBIDDEN);
    tls_key_free(key);
    place_done(&p);
}

/* ---- tickets ---- */

enum { KEY_OCTETS = 80, HOUR_MS = 3600 * 1000 };

PARKS static void after_hours(int hours, Buf *keys)
{
    fiber_sleep((int64_t)hours * HOUR_MS);
    buf_clear(keys);
    tls_tickets_put(keys);
}

/* A key makes tickets for twelve hours and reads them for twelve more; nothing opens what was
 * recorded before that, however seldom somebody came by. */
PARKS_UNCHECKED static void days_pass(void *arg)
{
    Buf first buf_scoped = {0}, second buf_scoped = {0}, keys buf_scoped = {0};
    (void)arg;
    after_hours(1000 * 1000, &first); /* whatever there was is old */
    Slice a = buf_slice(&first);
    check_u64(a.len, KEY_OCTETS);
    after_hours(11, &keys);
    check_slice(buf_slice(&keys), a);
    after_hours(2, &keys);
    check_u64(keys.len, 2 * KEY_OCTETS);
    check(!slice_eq(slice_first(buf_slice(&keys), KEY_OCTETS), a));
    check_slice(slice_from(buf_slice(&keys), KEY_OCTETS), a);
    after_hours(10, &keys);
    check_slice(slice_from(buf_slice(&keys), KEY_OCTETS), a);
    after_hours(1, &second); /* 24: it is gone, and the one after it is in use */
    check_u64(second.len, KEY_OCTETS);
    check(!slice_eq(buf_slice(&second), a));
    after_hours(30, &keys); /* nobody came for longer than a key lives */
    check_u64(keys.len, KEY_OCTETS);
    check(!slice_eq(buf_slice(&keys), buf_slice(&second)));
}

TEST(keys_of_tickets_are_forgotten)
{
    SimConfig config = {.seed = 1, .loops = 1};
    int code = 1;
    check_ok(sim_run_child(&config, days_pass, NULL, &code));
    check(code == 0);
}

TEST(keys_of_tickets_travel)
{
    Buf keys buf_scoped = {0}, again buf_scoped = {0};
    tls_tickets_put(&keys);
    check(keys.len == 80 || keys.len == 160);
    check_err(tls_tickets_take(S("short")), ERR_SYNTAX);
    check_ok(tls_tickets_take(buf_slice(&keys)));
    tls_tickets_put(&again);
    check_slice(buf_slice(&again), buf_slice(&keys));
}
