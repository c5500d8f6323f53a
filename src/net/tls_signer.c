/* The side with the certificate: a provider for OpenSSL 3 (provider(7)) whose keys know their
 * public half, as a key of the default provider, and whom to ask for signatures. It is alone in a
 * library context of its own, so that nothing else that OpenSSL does ever finds its algorithms:
 * libssl gets to them through the key only.
 *
 * The signature is asked for in the middle of the handshake, so our fiber parks below OpenSSL. It
 * stays on its thread and holds no lock then; but others use the thread's queue of errors
 * meanwhile, so it is empty when we go on. */
#include "net/tls_signer.h"

#include "net/inside.h"
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include <stdlib.h>

#define NAME       "posthouse"
#define KEY_PARAM  "posthouse-key"
#define SIGNER     "POSTHOUSE-SIGNER"
#define PROPERTIES "provider=" NAME

SCOPED(BIO, bio, BIO_free)
SCOPED(EVP_PKEY, pkey, EVP_PKEY_free)
SCOPED(EVP_PKEY_CTX, pkey_ctx, EVP_PKEY_CTX_free)

typedef struct {
    EVP_PKEY *public;
    uint32_t number;
    const TlsSigner *signer;
} Key;

typedef void (*Function)(void);
#define FN(id, fn)                                                                                 \
    {                                                                                              \
        (id), (Function)(fn)                                                                       \
    }

/* ---- keys ---- */

static void *key_new(void *provider)
{
    (void)provider;
    return NEW(Key);
}

static void key_free(void *key)
{
    Key *k = key;
    EVP_PKEY_free(k->public);
    free(k);
}

/* It can do what one with a private key can. */
static int key_has(const void *key, int selection)
{
    (void)selection;
    return key != NULL;
}

static int key_match(const void *a, const void *b, int selection)
{
    const Key *one = a, *other = b;
    (void)selection;
    return EVP_PKEY_eq(one->public, other->public) == 1;
}

/* Ours alone are taken, in one piece. */
static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
    Key *k = key;
    (void)selection;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, KEY_PARAM);
    if (!p) return 0;
    must(p->data_size == sizeof *k);
    memcpy(k, p->data, sizeof *k);
    return EVP_PKEY_up_ref(k->public);
}

static const OSSL_PARAM *key_import_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(KEY_PARAM, NULL, 0), OSSL_PARAM_END};
    (void)selection;
    return types;
}

/* The public half, to be compared with the certificate's. Never "all of it": with that OpenSSL
 * would try to sign in the default provider. */
static int key_export(void *key, int selection, OSSL_CALLBACK *take, void *arg)
{
    const Key *k = key;
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) return 0;
    return EVP_PKEY_export(k->public, selection, take, arg);
}

static const OSSL_PARAM *key_export_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_END};
    (void)selection;
    return types;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
    const Key *k = key;
    return EVP_PKEY_get_params(k->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
                                       OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
                                       OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
                                       OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
                                       OSSL_PARAM_END};
    (void)provider;
    return types;
}

static const char *key_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? SIGNER : NULL;
}

static const OSSL_DISPATCH key_functions[] = {
    FN(OSSL_FUNC_KEYMGMT_NEW, key_new),
    FN(OSSL_FUNC_KEYMGMT_FREE, key_free),
    FN(OSSL_FUNC_KEYMGMT_HAS, key_has),
    FN(OSSL_FUNC_KEYMGMT_MATCH, key_match),
    FN(OSSL_FUNC_KEYMGMT_IMPORT, key_import),
    FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),
    FN(OSSL_FUNC_KEYMGMT_EXPORT, key_export),
    FN(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),
    FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
    FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),
    FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation),
    {0, NULL},
};

/* ---- signatures ---- */

typedef struct {
    const Key *key;
    uint16_t hash; /* RFC 5246 7.4.1.4.1: 4 SHA-256, 5 SHA-384, 6 SHA-512; 0: none (Ed25519) */
    bool pss;
} Signing;

static void *signing_new(void *provider, const char *properties)
{
    (void)provider, (void)properties;
    return NEW(Signing);
}

static void signing_free(void *signing)
{
    free(signing);
}

static bool hash_of(const char *name, uint16_t *hash)
{
    static const char *const names[][2] = {
        {"SHA2-256", "SHA256"},
        {"SHA2-384", "SHA384"},
        {"SHA2-512", "SHA512"}
    };
    *hash = 0;
    if (!name || !*name) return true;
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq_nocase(slice_of(name), slice_of(names[i][0])) ||
            slice_eq_nocase(slice_of(name), slice_of(names[i][1])))
            *hash = (uint16_t)(4 + i);
    return *hash != 0;
}

static int signing_set_params(void *signing, const OSSL_PARAM params[])
{
    Signing *s = signing;
    const OSSL_PARAM *p =
        params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    int mode = RSA_PKCS1_PADDING;
    if (!p) return 1; /* the salt has the length of the hash, as RFC 8446 4.2.3 wants it */
    if (p->data_type == OSSL_PARAM_UTF8_STRING)
        mode = !strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS)       ? RSA_PKCS1_PSS_PADDING
               : !strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) ? RSA_PKCS1_PADDING
                                                                  : 0;
    else if (!OSSL_PARAM_get_int(p, &mode))
        return 0;
    s->pss = mode == RSA_PKCS1_PSS_PADDING;
    return s->pss || mode == RSA_PKCS1_PADDING;
}

static const OSSL_PARAM *signing_settable_params(void *signing, void *provider)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END};
    (void)signing, (void)provider;
    return types;
}

static int signing_init(void *signing, const char *hash, void *key, const OSSL_PARAM params[])
{
    Signing *s = signing;
    *s = (Signing){.key = key};
    return key && hash_of(hash, &s->hash) && signing_set_params(s, params);
}

/* RFC 8446 4.2.3, RFC 5246 7.4.1.4.1; 0: nothing that TLS knows. */
static uint16_t scheme_of(const Signing *s)
{
    if (EVP_PKEY_is_a(s->key->public, "ED25519")) return s->hash ? 0 : 0x0807;
    if (!s->hash) return 0;
    if (EVP_PKEY_is_a(s->key->public, "EC")) return (uint16_t)(s->hash << 8 | 3);
    unsigned scheme = s->pss ? 0x0800u + s->hash : (unsigned)s->hash << 8 | 1;
    return (uint16_t)scheme;
}

PARKS_UNCHECKED static Err ask(const Signing *s, Slice octets, Buf *signature)
{
    const TlsSigner *signer = s->key->signer;
    Err err = signer->sign(signer->arg, s->key->number, scheme_of(s), octets, signature);
    ERR_clear_error();
    return err;
}

static int signing_sign(void *signing, unsigned char *out, size_t *len, size_t room,
                        const unsigned char *octets, size_t count)
{
    const Signing *s = signing;
    size_t most = (size_t)EVP_PKEY_get_size(s->key->public);
    if (!out) {
        *len = most;
        return 1;
    }
    Buf signature buf_scoped = {0};
    if (!scheme_of(s) || ask(s, slice(octets, count), &signature)) return 0;
    if (!signature.len || signature.len > most || signature.len > room) return 0;
    memcpy(out, signature.at, signature.len);
    *len = signature.len;
    return 1;
}

static const OSSL_DISPATCH signing_functions[] = {
    FN(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    FN(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
    FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
    FN(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
    FN(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
    {0, NULL},
};

/* ---- asking the keeper ---- */

enum { SIGN_MS = 10 * 1000 }; /* a handshake may take no longer, either */

PARKS static Err ask_keeper(void *arg, uint32_t key, uint16_t scheme, Slice octets, Buf *signature)
{
    Buf memory buf_scoped = {0};
    Memo answer =
             {
                 0
    },
         question = {.kind = MEMO_TLS_SIGN, .number = {key, scheme}, .text = {octets}};
    if (octets.len > TLS_SIGNED_MOST) return fail(ERR_TLS, "%zu octets to sign", octets.len);
    TRY(caller_ask(arg, &question, now_ms() + SIGN_MS, &answer, &memory));
    if (answer.kind != MEMO_TLS_SIGNED) return fail(ERR_TLS, "the keeper does not sign");
    buf_add(signature, answer.text[0]);
    return OK;
}

TlsSigner tls_signer_by(Caller *keeper)
{
    return (TlsSigner){ask_keeper, keeper};
}

/* ---- the provider ---- */

static const OSSL_ALGORITHM key_algorithms[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1",    PROPERTIES, key_functions, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, key_functions, NULL},
    {"ED25519:1.3.101.112",                    PROPERTIES, key_functions, NULL},
    {NULL,                                     NULL,       NULL,          NULL},
};
static const OSSL_ALGORITHM signing_algorithms[] = {
    {SIGNER, PROPERTIES, signing_functions, NULL},
    {NULL,   NULL,       NULL,              NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT     ? key_algorithms
           : operation == OSSL_OP_SIGNATURE ? signing_algorithms
                                            : NULL;
}

static int begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                 void **provider)
{
    static const OSSL_DISPATCH functions[] = {
        FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), {0, NULL}
    };
    (void)core, (void)in;
    static char nothing;
    *out = functions;
    *provider = &nothing;
    return 1;
}

static Mutex mutex;
static OSSL_LIB_CTX *ours;

/* Once; never unloaded, as keys may be in use to the end. */
static OSSL_LIB_CTX *library(void)
{
    mutex_lock(&mutex);
    if (!ours) {
        OSSL_LIB_CTX *fresh = OSSL_LIB_CTX_new();
        must(fresh && OSSL_PROVIDER_add_builtin(fresh, NAME, begin) &&
             OSSL_PROVIDER_load(fresh, NAME));
        ours = fresh;
    }
    mutex_unlock(&mutex);
    return ours;
}

/* A key for libssl, from the certificate's. */
static Err make_key(const Key *key, EVP_PKEY **out)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(KEY_PARAM, (void *)(uintptr_t)key, sizeof *key),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx scoped(pkey_ctx) =
        EVP_PKEY_CTX_new_from_name(library(), EVP_PKEY_get0_type_name(key->public), NULL);
    if (!ctx) return tls_failed(ERR_TLS, "a key of the certificate's type");
    if (EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, out, EVP_PKEY_KEYPAIR, params) != 1)
        out_of_memory(0);
    return OK;
}

static Err use(SSL_CTX *ssl, Slice chain, uint32_t number, const TlsSigner *signer)
{
    BIO *pem scoped(bio) = BIO_new_mem_buf(chain.at, (int)chain.len);
    EVP_PKEY *key scoped(pkey) = NULL;
    if (!pem) out_of_memory(chain.len);
    ERR_clear_error();
    TRY(tls_use_chain(ssl, pem, S("the certificate")));
    Key ours_is = {X509_get0_pubkey(SSL_CTX_get0_certificate(ssl)), number, signer};
    must(ours_is.public);
    TRY(make_key(&ours_is, &key));
    if (SSL_CTX_use_PrivateKey(ssl, key) != 1) out_of_memory(0); /* it is the certificate's */
    return OK;
}

Err tls_server_remote(Slice chain, Slice authorities, uint32_t key, const TlsSigner *signer,
                      TlsContext **ctx)
{
    TlsContext *new scoped(tls) = tls_context_new(TLS_server_method());
    TRY(use(new->ssl, chain, key, signer));
    tls_set_server_manners(new->ssl);
    if (authorities.len) {
        BIO *pem scoped(bio) = BIO_new_mem_buf(authorities.at, (int)authorities.len);
        if (!pem) out_of_memory(authorities.len);
        TRY(tls_trust_clients(new->ssl, pem, S("the authorities")));
    }
    *ctx = tls_ref(new);
    return OK;
}
