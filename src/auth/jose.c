#include "auth/jose.h"

#include "base/text.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>

SCOPED(EVP_MD_CTX, digest, EVP_MD_CTX_free)
SCOPED(EVP_PKEY_CTX, pkey_context, EVP_PKEY_CTX_free)
SCOPED(OSSL_PARAM_BLD, builder, OSSL_PARAM_BLD_free)
SCOPED(OSSL_PARAM, params, OSSL_PARAM_free)
SCOPED(BIGNUM, bignum, BN_free)
SCOPED(ECDSA_SIG, ecdsa, ECDSA_SIG_free)

typedef enum { RS256, ES256, EDDSA } Algorithm;
static const char *const algorithm_names[] = {"RS256", "ES256", "EdDSA"};

typedef struct {
    Slice kid; /* in memory; empty: it has none */
    Algorithm algorithm;
    EVP_PKEY *key;
} Key;

struct JoseKeys {
    Arena memory;
    Key items[JOSE_KEYS_MOST];
    size_t count;
};

bool base64url_decode(Buf *out, Slice text)
{
    Buf plain buf_scoped = {0};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '+' || c == '/' || c == '=') return false;
        buf_char(&plain, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (plain.len % 4)
        buf_char(&plain, '=');
    return base64_decode(out, buf_slice(&plain));
}

void token_digest(Slice token, Buf *out)
{
    unsigned len = 0;
    unsigned char *to = (unsigned char *)buf_reserve(out, EVP_MAX_MD_SIZE);
    must(EVP_Digest(token.at, token.len, to, &len, EVP_sha256(), NULL) == 1);
    out->len += len;
}

/* ---- keys ---- */

/* A member in base64url; false: it is not there, or not that. */
static bool octets_of(const JsonTree *jwk, const char *name, Buf *out)
{
    Slice text = json_tree_member_text(jwk, name);
    return text.len && base64url_decode(out, text);
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *params scoped(params) = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx scoped(pkey_context) = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1) out_of_memory(0);
    if (EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) return NULL;
    return key;
}

static BIGNUM *number_of(const Buf *octets)
{
    return BN_bin2bn((const unsigned char *)octets->at, (int)octets->len, NULL);
}

/* RFC 7518 6.3.1, and 3.3: "2048 bits or larger MUST be used". Beyond 8192 it only costs us. */
static EVP_PKEY *rsa_key(const JsonTree *jwk)
{
    Buf n buf_scoped = {0}, e buf_scoped = {0};
    if (!octets_of(jwk, "n", &n) || !octets_of(jwk, "e", &e) || n.len > 1025 || e.len > 8)
        return NULL;
    BIGNUM *modulus scoped(bignum) = number_of(&n), *exponent scoped(bignum) = number_of(&e);
    OSSL_PARAM_BLD *builder scoped(builder) = OSSL_PARAM_BLD_new();
    if (!modulus || !exponent || !builder) out_of_memory(0);
    if (BN_num_bits(modulus) < 2048) return NULL;
    if (!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        out_of_memory(0);
    return make_key("RSA", builder);
}

/* RFC 7518 6.2.1: both coordinates in their full length. OpenSSL refuses points off the curve. */
static EVP_PKEY *p256_key(const JsonTree *jwk)
{
    Buf point buf_scoped = {0};
    buf_char(&point, 4); /* SEC 1 2.3.3: uncompressed */
    if (!slice_eq(json_tree_member_text(jwk, "crv"), S("P-256"))) return NULL;
    if (!octets_of(jwk, "x", &point) || point.len != 33) return NULL;
    if (!octets_of(jwk, "y", &point) || point.len != 65) return NULL;
    OSSL_PARAM_BLD *builder scoped(builder) = OSSL_PARAM_BLD_new();
    if (!builder ||
        !OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.len))
        out_of_memory(0);
    return make_key("EC", builder);
}

/* RFC 8037 2 */
static EVP_PKEY *ed25519_key(const JsonTree *jwk)
{
    Buf x buf_scoped = {0};
    if (!slice_eq(json_tree_member_text(jwk, "crv"), S("Ed25519"))) return NULL;
    if (!octets_of(jwk, "x", &x) || x.len != 32) return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.at, x.len);
}

/* RFC 7517 4.2, 4.4: what the key is not meant for it must not be used for. */
static bool is_meant(const JsonTree *jwk, Algorithm algorithm)
{
    Slice use = json_tree_member_text(jwk, "use"), alg = json_tree_member_text(jwk, "alg");
    return (!use.len || slice_eq(use, S("sig"))) &&
           (!alg.len || slice_eq(alg, slice_of(algorithm_names[algorithm])));
}

static void take_key(JoseKeys *keys, const JsonTree *jwk)
{
    static const struct {
        Slice type;
        EVP_PKEY *(*make)(const JsonTree *jwk);
    } rows[] = {
        [RS256] = {{"RSA", 3}, rsa_key    },
        [ES256] = {{"EC", 2},  p256_key   },
        [EDDSA] = {{"OKP", 3}, ed25519_key},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (!slice_eq(json_tree_member_text(jwk, "kty"), rows[i].type)) continue;
        EVP_PKEY *key = is_meant(jwk, (Algorithm)i) ? rows[i].make(jwk) : NULL;
        if (!key) continue;
        Slice kid = arena_copy(&keys->memory, json_tree_member_text(jwk, "kid"));
        keys->items[keys->count++] = (Key){kid, (Algorithm)i, key};
    }
    ERR_clear_error();
}

Err jose_keys_parse(Slice jwks, JoseKeys **out)
{
    JsonTree *root scoped(json_tree) = NULL;
    JoseKeys *keys scoped(jose_keys) = NEW(JoseKeys);
    TRY(json_tree_parse(jwks, JOSE_KEYS_OCTETS, &root));
    const JsonTree *list = json_tree_member(root, "keys");
    for (size_t i = 0; i < json_tree_count(list) && keys->count < JOSE_KEYS_MOST; i++)
        take_key(keys, json_tree_item(list, i));
    if (!keys->count) return fail(ERR_NOT_FOUND, "no key that can be used");
    *out = keys;
    keys = NULL;
    return OK;
}

void jose_keys_free(JoseKeys *keys)
{
    if (!keys) return;
    for (size_t i = 0; i < keys->count; i++)
        EVP_PKEY_free(keys->items[i].key);
    arena_done(&keys->memory);
    free(keys);
}

size_t jose_keys_count(const JoseKeys *keys)
{
    return keys->count;
}

/* ---- signatures ---- */

/* RFC 7518 3.4: the two numbers side by side; OpenSSL wants them in DER. */
static bool to_der(const Buf *signature, Buf *der)
{
    const unsigned char *raw = (const unsigned char *)signature->at;
    if (signature->len != 64) return false;
    ECDSA_SIG *both scoped(ecdsa) = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    if (!both || !r || !s || !ECDSA_SIG_set0(both, r, s)) out_of_memory(64);
    unsigned char *to = (unsigned char *)buf_reserve(der, 80);
    int len = i2d_ECDSA_SIG(both, &to);
    if (len <= 0) out_of_memory(80);
    must(len <= 80); /* 6 octets around two numbers of at most 33 */
    der->len += (size_t)len;
    return true;
}

static bool fits(const Key *key, Slice message, const Buf *signature)
{
    Buf der buf_scoped = {0};
    EVP_MD_CTX *ctx scoped(digest) = EVP_MD_CTX_new();
    if (!ctx) out_of_memory(0);
    if (key->algorithm == ES256) {
        if (!to_der(signature, &der)) return false;
        signature = &der;
    }
    const EVP_MD *hash = key->algorithm == EDDSA ? NULL : EVP_sha256();
    ERR_clear_error();
    bool good = EVP_DigestVerifyInit(ctx, NULL, hash, NULL, key->key) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature->at, signature->len,
                                 (const unsigned char *)message.at, message.len) == 1;
    ERR_clear_error();
    return good;
}

/* ---- tokens ---- */

typedef struct {
    Slice header, payload, message; /* message: both, as they are signed */
    Buf signature;
} Parts;

/* RFC 7515 3.1: BASE64URL(header) "." BASE64URL(payload) "." BASE64URL(signature) */
static bool cut(Slice token, Parts *p)
{
    size_t last = slice_find_last(token, '.');
    p->message = slice_first(token, last);
    size_t first = slice_find(p->message, '.');
    if (last == token.len || first == last) return false;
    p->header = slice_first(token, first);
    p->payload = slice_from(p->message, first + 1);
    return slice_find(p->payload, '.') == p->payload.len && p->header.len && p->payload.len;
}

bool jose_looks_like_token(Slice token)
{
    Parts p = {0};
    return cut(token, &p) && slice_starts(token, S("eyJ")); /* {" */
}

static Err read_json(Slice part, JsonTree **out)
{
    Buf text buf_scoped = {0};
    if (!base64url_decode(&text, part)) return fail(ERR_AUTH, "the token is not base64url");
    return json_tree_parse(buf_slice(&text), JOSE_TOKEN_MOST, out) ? ERR_AUTH : OK;
}

/* "alg" has to be what the key is for; what no key is for ("none", "HS256") fits none. */
static Err find_and_verify(const JoseKeys *keys, const JsonTree *header, const Parts *p)
{
    Slice alg = json_tree_member_text(header, "alg"), kid = json_tree_member_text(header, "kid");
    bool known = false;
    for (size_t i = 0; i < keys->count; i++) {
        const Key *key = &keys->items[i];
        if (kid.len && !slice_eq(kid, key->kid)) continue;
        known = true;
        if (!slice_eq(alg, slice_of(algorithm_names[key->algorithm]))) continue;
        if (fits(key, p->message, &p->signature)) return OK;
    }
    return known ? fail(ERR_AUTH, "the token's signature fits no key")
                 : fail(ERR_NOT_FOUND, "no key %.*s", SP(slice_first(kid, 100)));
}

Err jose_verify(const JoseKeys *keys, Slice token, JsonTree **claims)
{
    Parts p = {0};
    JsonTree *header scoped(json_tree) = NULL;
    if (token.len > JOSE_TOKEN_MOST || !cut(token, &p)) return fail(ERR_AUTH, "not a signed token");
    TRY(read_json(p.header, &header));
    /* RFC 7515 4.1.11: what we must understand and do not. */
    if (json_tree_member(header, "crit")) return fail(ERR_AUTH, "a critical header in the token");
    Slice encoded = slice_from(token, p.message.len + 1);
    Err err = base64url_decode(&p.signature, encoded)
                  ? find_and_verify(keys, header, &p)
                  : fail(ERR_AUTH, "the signature is not base64url");
    buf_done(&p.signature);
    return err ? err : read_json(p.payload, claims);
}
