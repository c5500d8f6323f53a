#include "base/text.h"
#include "net/inside.h"
#include "run/file.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdlib.h>

#define MOST_PEM ((size_t)1024 * 1024)

SCOPED(BIO, bio, BIO_free)
SCOPED(X509, x509, X509_free)
SCOPED(EVP_PKEY, pkey, EVP_PKEY_free)

/* The first entry of OpenSSL's queue is the cause, the later ones are who passed it on. */
static const char *cause(const char *otherwise)
{
    const char *reason = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    return reason ? reason : otherwise;
}

Err tls_failed(Err err, const char *what)
{
    return fail(err, "%s: %s", what, cause(err_meaning(err)));
}

/* ---- contexts ---- */

/* Forward secrecy and authenticated encryption first; the CBC suites are for mail programs of the
 * years before 2015 that know TLS 1.2 and no AEAD. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL"
#define GROUPS  "X25519:P-256:P-384"
/* OpenSSL's own order begins with AES-256, whose SHA-384 takes an eighth of a whole handshake more:
 * TLS 1.3 hashes some thirty times, and processors know SHA-256. RFC 8446 9.1 wants this one. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static void set_manners(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* A peer that closes without close_notify has closed, no more: lines and literals tell
     * themselves where they end. */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN); /* the chain is what its file has */
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_cipher_list(ctx, CIPHERS) && SSL_CTX_set_ciphersuites(ctx, SUITES) &&
         SSL_CTX_set1_groups_list(ctx, GROUPS));
}

TlsContext *tls_context_new(const SSL_METHOD *method)
{
    SSL_CTX *ssl = SSL_CTX_new(method);
    if (!ssl) out_of_memory(0);
    set_manners(ssl);
    TlsContext *ctx = NEW(TlsContext);
    *ctx = (TlsContext){.refs = 1, .ssl = ssl, .method = sock_method_new()};
    return ctx;
}

TlsContext *tls_ref(TlsContext *ctx)
{
    if (ctx) __atomic_add_fetch(&ctx->refs, 1, __ATOMIC_RELAXED);
    return ctx;
}

void tls_unref(TlsContext *ctx)
{
    if (!ctx || __atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL)) return;
    SSL_CTX_free(ctx->ssl);
    BIO_meth_free(ctx->method);
    free(ctx);
}

/* ---- PEM ---- */

/* Without this OpenSSL would ask for the password of an encrypted key on the terminal. */
static int no_password(char *out, int room, int writing, void *nothing)
{
    (void)out, (void)room, (void)writing, (void)nothing;
    return -1;
}

/* Memory that held a key is wiped with it. */
BIO *tls_pem_open(Slice path, Err *err)
{
    Arena a = {0};
    Slice text;
    BIO *bio = NULL;
    *err = path_read(path, MOST_PEM, &a, &text);
    if (!*err) {
        bio = BIO_new(BIO_s_secmem());
        if (!bio || BIO_write(bio, text.at, (int)text.len) != (int)text.len)
            out_of_memory(text.len);
        wipe((void *)(uintptr_t)text.at, text.len);
    }
    arena_done(&a);
    return bio;
}

static Err pem_fault(Slice path, const char *what)
{
    return fail(ERR_CONFIG, "%.*s: %s (%s)", SP(path), what, cause("unknown"));
}

Err tls_read_key(Slice path, EVP_PKEY **key)
{
    Err err;
    BIO *pem scoped(bio) = tls_pem_open(path, &err);
    TRY(err);
    ERR_clear_error();
    *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    return *key ? OK : pem_fault(path, "no private key that can be read without a password");
}

/* The end of the file is told like any other absence of a certificate. */
static bool is_end_of_pem(void)
{
    bool end = ERR_peek_last_error() == ERR_PACK(ERR_LIB_PEM, 0, PEM_R_NO_START_LINE);
    if (end) ERR_clear_error();
    return end;
}

Err tls_use_chain(SSL_CTX *ctx, BIO *pem, Slice path)
{
    X509 *leaf scoped(x509) = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL);
    if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1) return pem_fault(path, "no certificate");
    for (;;) {
        X509 *next = PEM_read_bio_X509(pem, NULL, no_password, NULL);
        if (!next) return is_end_of_pem() ? OK : pem_fault(path, "a damaged certificate");
        if (!SSL_CTX_add0_chain_cert(ctx, next)) {
            X509_free(next);
            return pem_fault(path, "the chain");
        }
    }
}

static Err load(SSL_CTX *ctx, Slice certificate_path, Slice key_path)
{
    Err err;
    BIO *pem scoped(bio) = tls_pem_open(certificate_path, &err);
    TRY(err);
    ERR_clear_error();
    TRY(tls_use_chain(ctx, pem, certificate_path));
    EVP_PKEY *key scoped(pkey) = NULL;
    TRY(tls_read_key(key_path, &key));
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
        return pem_fault(key_path, "does not belong to the certificate");
    return OK;
}

/* A session is taken up again under the same certificate only: the two ends would bind different
 * ones (tls-server-end-point) after a reload. */
static void set_session_context(SSL_CTX *ctx)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    must(X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), digest, &len) &&
         SSL_CTX_set_session_id_context(ctx, digest, len));
}

void tls_set_server_manners(SSL_CTX *ctx)
{
    /* CLEANSE: passwords are not left in OpenSSL's buffers. */
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_CLEANSE_PLAINTEXT);
    set_session_context(ctx);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, tls_choose_alpn, NULL);
    tls_ticket_use(ctx);
}

Err tls_server_new(Slice certificate_path, Slice key_path, TlsContext **out)
{
    TlsContext *ctx scoped(tls) = tls_context_new(TLS_server_method());
    TRY(load(ctx->ssl, certificate_path, key_path));
    tls_set_server_manners(ctx->ssl);
    *out = tls_ref(ctx);
    return OK;
}

/* Where there is no trust store, nobody is trusted. */
TlsContext *tls_client_new(bool verify)
{
    TlsContext *ctx = tls_context_new(TLS_client_method());
    if (!verify) return ctx;
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    if (!SSL_CTX_set_default_verify_paths(ctx->ssl)) out_of_memory(0);
    return ctx;
}

Err tls_client_trust(TlsContext *ctx, Slice certificate_path)
{
    Err err;
    BIO *pem scoped(bio) = tls_pem_open(certificate_path, &err);
    TRY(err);
    ERR_clear_error();
    X509 *certificate scoped(x509) = PEM_read_bio_X509(pem, NULL, no_password, NULL);
    if (!certificate) return pem_fault(certificate_path, "no certificate");
    if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ssl), certificate)) out_of_memory(0);
    return OK;
}

void tls_certificate_fingerprint(TlsContext *ctx, Buf *hex)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    must(X509_digest(SSL_CTX_get0_certificate(ctx->ssl), EVP_sha256(), digest, &len));
    hex_encode(hex, slice(digest, len));
}

/* ---- the one everybody uses ---- */

static Mutex current_mutex;
static TlsContext *current;

void tls_set_current(TlsContext *ctx)
{
    tls_ref(ctx);
    mutex_lock(&current_mutex);
    TlsContext *before = current;
    current = ctx;
    mutex_unlock(&current_mutex);
    tls_unref(before);
}

TlsContext *tls_current(void)
{
    mutex_lock(&current_mutex);
    TlsContext *ctx = tls_ref(current);
    mutex_unlock(&current_mutex);
    return ctx;
}
