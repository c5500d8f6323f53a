/* The side with the private key. It signs what a TLS server signs and nothing else, as far as that
 * can be seen: whoever has taken over one who may ask could otherwise have mail, tokens or
 * certificates signed that are shown elsewhere. */
#include "net/inside.h"
#include "net/tls_signer.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <stdlib.h>

SCOPED(BIO, bio, BIO_free)
SCOPED(EVP_MD_CTX, md_ctx, EVP_MD_CTX_free)

typedef struct {
    const EVP_MD *hash; /* NULL: its own (Ed25519) */
    bool pss;
    unsigned place; /* among the patterns */
} Method;

enum { METHODS = 6 }; /* three hashes, with either padding */

struct TlsKey {
    EVP_PKEY *pkey;
    Mutex mutex;
    EVP_MD_CTX *patterns[METHODS]; /* ready to sign, made when first needed */
};

/* RFC 8446 4.4.3: 64 spaces, the context, a zero, the hash of the handshake. */
static bool is_tls13(Slice octets)
{
    static const char context[] = "TLS 1.3, server CertificateVerify"; /* and its NUL */
    size_t head = 64 + sizeof context;
    if (octets.len != head + 32 && octets.len != head + 48) return false;
    for (size_t i = 0; i < 64; i++)
        if (octets.at[i] != ' ') return false;
    return !memcmp(octets.at + 64, context, sizeof context);
}

/* RFC 8422 5.4: both randoms, then ECParameters of a named curve and the point. */
static bool is_tls12(Slice octets)
{
    Reader r = reader(octets);
    read_raw(&r, 64);
    bool named_curve = read_u8(&r) == 3;
    read_u16(&r);
    Slice point = read_raw(&r, read_u8(&r));
    return named_curve && !r.bad && !r.rest.len && point.len >= 32;
}

/* Which hash and padding a scheme means for a key of this kind; false: none. */
static bool method_of(EVP_PKEY *key, uint16_t scheme, Method *m)
{
    static const EVP_MD *(*const hashes[])(void) = {EVP_sha256, EVP_sha384, EVP_sha512};
    unsigned high = scheme >> 8, low = scheme & 0xff;
    *m = (Method){.pss = high == 8 && EVP_PKEY_is_a(key, "RSA")};
    if (EVP_PKEY_is_a(key, "ED25519")) return scheme == 0x0807;
    unsigned which = m->pss ? low : high;
    if (which < 4 || which > 6) return false;
    m->place = which - 4 + (m->pss ? (unsigned)COUNT(hashes) : 0);
    m->hash = hashes[which - 4]();
    return EVP_PKEY_is_a(key, "RSA") ? m->pss || low == 1 : EVP_PKEY_is_a(key, "EC") && low == 3;
}

static EVP_MD_CTX *set_up(EVP_PKEY *key, const Method *m)
{
    EVP_PKEY_CTX *how;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, &how, m->hash, NULL, key) != 1) out_of_memory(0);
    if (m->pss) {
        if (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) != 1 ||
            EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) != 1)
            out_of_memory(0);
    }
    return ctx;
}

/* To be copied: what it takes to set up is a fifth of a whole ECDSA signature, and a sixth of one
 * by RSA. Any thread. */
static const EVP_MD_CTX *pattern(TlsKey *key, const Method *m)
{
    mutex_lock(&key->mutex);
    if (!key->patterns[m->place]) key->patterns[m->place] = set_up(key->pkey, m);
    const EVP_MD_CTX *ctx = key->patterns[m->place];
    mutex_unlock(&key->mutex);
    return ctx;
}

static Err sign(TlsKey *key, const Method *m, Slice octets, Buf *signature)
{
    EVP_MD_CTX *ctx scoped(md_ctx) = EVP_MD_CTX_new();
    size_t len = TLS_SIGNATURE_MOST;
    unsigned char *out = (unsigned char *)buf_reserve(signature, len);
    if (!ctx || EVP_MD_CTX_copy_ex(ctx, pattern(key, m)) != 1) out_of_memory(0);
    if (EVP_DigestSign(ctx, out, &len, (const unsigned char *)octets.at, octets.len) != 1)
        return tls_failed(ERR_TLS, "signing");
    signature->len += len;
    return OK;
}

Err tls_key_sign(TlsKey *key, uint16_t scheme, Slice octets, Buf *signature)
{
    Method m;
    if (!is_tls13(octets) && !is_tls12(octets))
        return fail(ERR_FORBIDDEN, "%zu octets that are no handshake", octets.len);
    if (!method_of(key->pkey, scheme, &m))
        return fail(ERR_UNSUPPORTED, "scheme %04x is not for this key", scheme);
    ERR_clear_error();
    return sign(key, &m, octets, signature);
}

bool tls_key_is_slow(const TlsKey *key)
{
    return EVP_PKEY_is_a(key->pkey, "RSA");
}

/* ---- opening ---- */

/* Some keep the key in the same file: only certificates travel. */
static void put_certificates(SSL_CTX *ssl, Buf *chain)
{
    STACK_OF(X509) *above = NULL;
    BIO *out scoped(bio) = BIO_new(BIO_s_mem());
    if (!out || !PEM_write_bio_X509(out, SSL_CTX_get0_certificate(ssl))) out_of_memory(0);
    SSL_CTX_get0_chain_certs(ssl, &above);
    for (int i = 0; i < sk_X509_num(above); i++)
        if (!PEM_write_bio_X509(out, sk_X509_value(above, i))) out_of_memory(0);
    char *at;
    long len = BIO_get_mem_data(out, &at);
    buf_add(chain, slice(at, (size_t)len));
}

/* Read as a server would that has both, so that what is wrong is found where it can be told. */
Err tls_key_open(Slice certificate_path, Slice key_path, Buf *chain, TlsKey **key)
{
    TlsContext *ctx scoped(tls) = NULL;
    TRY(tls_server_new(certificate_path, key_path, &ctx));
    put_certificates(ctx->ssl, chain);
    *key = NEW(TlsKey);
    (*key)->pkey = SSL_CTX_get0_privatekey(ctx->ssl);
    must(EVP_PKEY_up_ref((*key)->pkey));
    return OK;
}

void tls_key_free(TlsKey *key)
{
    if (!key) return;
    for (size_t i = 0; i < METHODS; i++)
        EVP_MD_CTX_free(key->patterns[i]);
    EVP_PKEY_free(key->pkey); /* OpenSSL wipes what was private */
    free(key);
}
