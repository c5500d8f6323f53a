/* What OpenSSL may ask of a key that is elsewhere, and what those elsewhere may answer. */
#include "base/test.h"
#include "net/inside.h"
#include "net/tls_signer.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdlib.h>

/* ---- a key elsewhere ---- */

typedef struct {
    TlsContext *ctx;
    EVP_PKEY *key; /* OpenSSL's idea of it */
    TlsSigner signer;
    size_t octets; /* of the signature it makes */
    uint16_t scheme;
} Elsewhere;

static Err signs(void *arg, uint32_t key, uint16_t scheme, Slice octets, Buf *signature)
{
    Elsewhere *e = arg;
    (void)octets;
    check_u64(key, 5);
    e->scheme = scheme;
    for (size_t i = 0; i < e->octets; i++)
        buf_char(signature, 's');
    return OK;
}

static void put_certificate(Buf *chain, EVP_PKEY *key, const EVP_MD *hash)
{
    X509 *c = X509_new();
    BIO *pem = BIO_new(BIO_s_mem());
    char *at;
    X509_gmtime_adj(X509_getm_notBefore(c), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    check(X509_sign(c, key, hash) > 0 && PEM_write_bio_X509(pem, c) == 1);
    long len = BIO_get_mem_data(pem, &at);
    buf_add(chain, slice(at, (size_t)len));
    X509_free(c);
    BIO_free(pem);
}

static Err elsewhere_open(Elsewhere *e, EVP_PKEY *key, const EVP_MD *hash)
{
    Buf chain buf_scoped = {0};
    *e = (Elsewhere){
        .signer = {signs, e},
          .octets = 64
    };
    put_certificate(&chain, key, hash);
    EVP_PKEY_free(key);
    TRY(tls_server_remote(buf_slice(&chain), (Slice){0}, 5, &e->signer, &e->ctx));
    e->key = SSL_CTX_get0_privatekey(e->ctx->ssl);
    return OK;
}

/* The scheme that was asked for; 0: no signature was made. */
static uint16_t sign(Elsewhere *e, const char *hash, const OSSL_PARAM params[], size_t room)
{
    unsigned char out[1024];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = room;
    e->scheme = 0;
    bool made = EVP_DigestSignInit_ex(ctx, NULL, hash, NULL, NULL, e->key, params) == 1 &&
                EVP_DigestSign(ctx, out, &len, (const unsigned char *)"text", 4) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    check(!made || (len == e->octets && out[0] == 's'));
    return made ? e->scheme : 0;
}

static uint16_t sign_padded(Elsewhere *e, const char *mode)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, (char *)(uintptr_t)mode, 0),
        OSSL_PARAM_construct_end()};
    return sign(e, "SHA256", params, 1024);
}

static uint16_t sign_by_number(Elsewhere *e, int mode)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &mode),
                           OSSL_PARAM_construct_end()};
    return sign(e, "SHA384", params, 1024);
}

static uint16_t sign_by_octets(Elsewhere *e)
{
    char mode[] = "pss";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_PAD_MODE, mode, 3),
        OSSL_PARAM_construct_end()};
    return sign(e, "SHA256", params, 1024);
}

/* RFC 8446 4.2.3 */
TEST(schemes_of_keys_elsewhere)
{
    Elsewhere e;
    check_ok(elsewhere_open(&e, EVP_RSA_gen(2048), EVP_sha256()));
    check_u64(sign_padded(&e, "pss"), 0x0804);
    check_u64(sign_padded(&e, "pkcs1"), 0x0401);
    check_u64(sign_padded(&e, "x931"), 0);
    check_u64(sign_by_number(&e, RSA_PKCS1_PSS_PADDING), 0x0805);
    check_u64(sign_by_number(&e, RSA_PKCS1_PADDING), 0x0501);
    check_u64(sign_by_number(&e, RSA_NO_PADDING), 0);
    check_u64(sign_by_octets(&e), 0);
    check_u64(sign(&e, "SHA512", NULL, 1024), 0x0601);
    check_u64(sign(&e, "SHA1", NULL, 1024), 0);
    check_u64(sign(&e, "", NULL, 1024), 0);
    check_u64(sign(&e, NULL, NULL, 1024), 0x0401); /* OpenSSL asks for SHA-256 then */
    tls_unref(e.ctx);
    check_ok(elsewhere_open(&e, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL));
    check_u64(sign(&e, NULL, NULL, 1024), 0x0807);
    check_u64(sign(&e, "SHA256", NULL, 1024), 0);
    tls_unref(e.ctx);
}

TEST(signatures_that_are_none)
{
    Elsewhere e;
    check_ok(elsewhere_open(&e, EVP_EC_gen("P-256"), EVP_sha256()));
    check_u64(sign(&e, "SHA256", NULL, 1024), 0x0403);
    check_u64(sign(&e, "SHA256", NULL, 63), 0);
    e.octets = 0;
    check_u64(sign(&e, "SHA256", NULL, 1024), 0);
    e.octets = 73; /* one more than the largest of P-256 */
    check_u64(sign(&e, "SHA256", NULL, 1024), 0);
    tls_unref(e.ctx);
}

TEST(a_key_elsewhere_does_nothing_but_sign)
{
    Elsewhere e;
    OSSL_PARAM *params = NULL;
    check_ok(elsewhere_open(&e, EVP_EC_gen("P-256"), EVP_sha256()));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(e.key, NULL);
    check(EVP_PKEY_todata(e.key, EVP_PKEY_KEYPAIR, &params) != 1);
    check(EVP_PKEY_derive_init(ctx) != 1);
    check(EVP_PKEY_todata(e.key, EVP_PKEY_PUBLIC_KEY, &params) == 1);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    tls_unref(e.ctx);
    check_err(elsewhere_open(&e, EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL), ERR_TLS);
    check_err(tls_server_remote(S("no PEM"), (Slice){0}, 5, &e.signer, &e.ctx), ERR_CONFIG);
    Buf chain buf_scoped = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    put_certificate(&chain, key, EVP_sha256());
    check_err(tls_server_remote(buf_slice(&chain), S("no PEM"), 5, &e.signer, &e.ctx), ERR_CONFIG);
    Slice own = buf_slice(&chain);
    check_ok(tls_server_remote(own, own, 5, &e.signer, &e.ctx));
    tls_unref(e.ctx);
    EVP_PKEY_free(key);
}

/* ---- the keeper's answers ---- */

typedef struct {
    Answerer config;
    Sock *sock;
    bool ended;
} Keeper;

PARKS static Err answer(void *arg, const Memo *q, Memo *reply, Buf *memory)
{
    (void)arg, (void)memory;
    switch (q->number[0]) {
    case 1:
        *reply = (Memo){.kind = MEMO_TLS_SIGNED, .text = {S("signature")}};
        return OK;
    case 2:
        *reply = (Memo){.kind = MEMO_LOGIN, .text = {S("anna")}};
        return OK;
    default:
        return fail(ERR_FORBIDDEN, "not that key");
    }
}

PARKS_UNCHECKED static void keeper_serves(void *arg)
{
    Keeper *k = arg;
    check_ok(answerer_serve(&k->config, k->sock));
    k->ended = true;
}

TEST(what_the_keeper_says_instead_of_a_signature)
{
    static char many[TLS_SIGNED_MOST + 1];
    Sock *ours;
    Buf signature buf_scoped = {0};
    Keeper k = {
        .config = {CAST_KEEPER, CAST_FRONT, 4, answer, NULL}
    };
    Caller *caller = caller_new(CAST_FRONT, CAST_KEEPER, 4);
    TlsSigner s = tls_signer_by(caller);
    check_ok(sock_pair(&ours, &k.sock));
    caller_replace(caller, ours);
    fiber_start("keeper", keeper_serves, &k);
    check_ok(s.sign(s.arg, 1, 0x0403, slice(many, TLS_SIGNED_MOST), &signature));
    check_slice(buf_slice(&signature), S("signature"));
    check_err(s.sign(s.arg, 1, 0x0403, slice(many, sizeof many), &signature), ERR_TLS);
    check_err(s.sign(s.arg, 2, 0x0403, S("x"), &signature), ERR_TLS);
    check_err(s.sign(s.arg, 3, 0x0403, S("x"), &signature), ERR_FORBIDDEN);
    check_slice(buf_slice(&signature), S("signature"));
    caller_free(caller);
    while (!k.ended)
        fiber_sleep(1);
}
