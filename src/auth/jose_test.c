#include "auth/jose.h"
#include "auth/oauth.h"
#include "base/test.h"
#include "base/text.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

/* ---- an issuer ---- */

typedef struct {
    EVP_PKEY *rsa, *small, *ec, *ed;
    Buf jwks;
} Issuer;

static void base64url(Buf *out, Slice octets)
{
    Buf plain buf_scoped = {0};
    base64_encode(&plain, octets);
    for (size_t i = 0; i < plain.len && plain.at[i] != '='; i++)
        buf_char(out, plain.at[i] == '+' ? '-' : plain.at[i] == '/' ? '_' : plain.at[i]);
}

static void put_number(Buf *out, EVP_PKEY *key, const char *what, const char *name)
{
    BIGNUM *n = NULL;
    unsigned char octets[1024];
    check(EVP_PKEY_get_bn_param(key, what, &n) == 1);
    int len = BN_num_bytes(n);
    BN_bn2bin(n, octets);
    BN_free(n);
    if (name[0] == 'x' || name[0] == 'y') { /* in full length */
        memmove(octets + 32 - len, octets, (size_t)len);
        memset(octets, 0, (size_t)(32 - len));
        len = 32;
    }
    buf_printf(out, ",\"%s\":\"", name);
    base64url(out, slice(octets, (size_t)len));
    buf_char(out, '"');
}

static void put_rsa(Buf *out, EVP_PKEY *key, const char *kid)
{
    buf_printf(out, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"use\":\"sig\",\"alg\":\"RS256\"", kid);
    put_number(out, key, OSSL_PKEY_PARAM_RSA_N, "n");
    put_number(out, key, OSSL_PKEY_PARAM_RSA_E, "e");
    buf_char(out, '}');
}

static Issuer issuer_new(void)
{
    Issuer i = {.rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
                .small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024),
                .ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
                .ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    unsigned char raw[32];
    size_t len = sizeof raw;
    buf_add(&i.jwks, S("{\"keys\":["));
    put_rsa(&i.jwks, i.rsa, "r1");
    buf_add(&i.jwks, S(",{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e1\""));
    put_number(&i.jwks, i.ec, OSSL_PKEY_PARAM_EC_PUB_X, "x");
    put_number(&i.jwks, i.ec, OSSL_PKEY_PARAM_EC_PUB_Y, "y");
    buf_add(&i.jwks, S("},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"d1\",\"x\":\""));
    check(EVP_PKEY_get_raw_public_key(i.ed, raw, &len) == 1);
    base64url(&i.jwks, slice(raw, len));
    buf_add(&i.jwks, S("\"},"));
    put_rsa(&i.jwks, i.small, "weak");
    /* what is passed over */
    buf_add(
        &i.jwks,
        S(",{\"kty\":\"oct\",\"kid\":\"h1\",\"k\":\"c2VjcmV0\"},{\"kty\":\"EC\",\"crv\":\"P-256\","
          "\"x\":\"AA\",\"y\":\"AA\"},{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":"
          "\"AQAB\"},"
          "7,null]}"));
    return i;
}

static void issuer_done(Issuer *i)
{
    EVP_PKEY_free(i->rsa), EVP_PKEY_free(i->small), EVP_PKEY_free(i->ec), EVP_PKEY_free(i->ed);
    buf_done(&i->jwks);
}

static void sign(Buf *token, EVP_PKEY *key, const char *header, const char *payload)
{
    unsigned char signature[512], raw[64];
    size_t len = sizeof signature;
    base64url(token, slice_of(header));
    buf_char(token, '.');
    base64url(token, slice_of(payload));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool pure = EVP_PKEY_is_a(key, "ED25519");
    check(EVP_DigestSignInit(ctx, NULL, pure ? NULL : EVP_sha256(), NULL, key) == 1);
    check(EVP_DigestSign(ctx, signature, &len, (unsigned char *)token->at, token->len) == 1);
    EVP_MD_CTX_free(ctx);
    Slice done = slice(signature, len);
    if (EVP_PKEY_is_a(key, "EC")) {
        const unsigned char *at = signature;
        ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &at, (long)len);
        BN_bn2binpad(ECDSA_SIG_get0_r(both), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(both), raw + 32, 32);
        ECDSA_SIG_free(both);
        done = slice(raw, 64);
    }
    buf_char(token, '.');
    base64url(token, done);
}

/* ---- keys and signatures ---- */

TEST(tokens_are_verified_by_the_key_they_name)
{
    Issuer i = issuer_new();
    JoseKeys *keys scoped(jose_keys) = NULL;
    check_ok(jose_keys_parse(buf_slice(&i.jwks), &keys));
    check(jose_keys_count(keys) == 3);
    const struct {
        EVP_PKEY *key;
        const char *header;
        Err err;
    } rows[] = {
        {i.rsa,   "{\"alg\":\"RS256\",\"kid\":\"r1\"}",                    OK           },
        {i.rsa,   "{\"alg\":\"RS256\"}",                                   OK           },
        {i.ec,    "{\"alg\":\"ES256\",\"kid\":\"e1\",\"typ\":\"at+jwt\"}", OK           },
        {i.ed,    "{\"alg\":\"EdDSA\",\"kid\":\"d1\"}",                    OK           },
        {i.ed,    "{\"alg\":\"EdDSA\"}",                                   OK           },
        {i.ec,    "{\"alg\":\"ES256\",\"kid\":\"r1\"}",                    ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"RS256\",\"kid\":\"r2\"}",                    ERR_NOT_FOUND},
        {i.small, "{\"alg\":\"RS256\",\"kid\":\"weak\"}",                  ERR_NOT_FOUND},
        {i.small, "{\"alg\":\"RS256\"}",                                   ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"RS512\",\"kid\":\"r1\"}",                    ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"none\",\"kid\":\"r1\"}",                     ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"HS256\",\"kid\":\"r1\"}",                    ERR_AUTH     },
        {i.rsa,   "{\"kid\":\"r1\"}",                                      ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"RS256\",\"alg\":\"RS256\"}",                 ERR_AUTH     },
        {i.rsa,   "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}",  ERR_AUTH     },
        {i.rsa,   "[]",                                                    ERR_AUTH     },
    };
    for (size_t n = 0; n < COUNT(rows); n++) {
        Buf token buf_scoped = {0};
        JsonTree *claims scoped(json_tree) = NULL;
        sign(&token, rows[n].key, rows[n].header, "{\"sub\":\"anna\"}");
        check(jose_looks_like_token(buf_slice(&token)) == (rows[n].header[0] == '{'));
        check_err(jose_verify(keys, buf_slice(&token), &claims), rows[n].err);
        if (!rows[n].err) check_slice(json_tree_member_text(claims, "sub"), S("anna"));
        /* every octet counts */
        if (rows[n].err) continue;
        for (size_t at = 0; at + 1 < token.len; at += 7) {
            JsonTree *none scoped(json_tree) = NULL;
            token.at[at] ^= 1;
            check(jose_verify(keys, buf_slice(&token), &none) != OK);
            token.at[at] ^= 1;
        }
    }
    issuer_done(&i);
}

/* The attack of RFC 8725 2.1: HMAC with the text of the public key, and no signature at all. */
TEST(tokens_do_not_choose_their_algorithm)
{
    Issuer i = issuer_new();
    JoseKeys *keys scoped(jose_keys) = NULL;
    check_ok(jose_keys_parse(buf_slice(&i.jwks), &keys));
    static const char *const headers[] = {"{\"alg\":\"none\"}", "{\"alg\":\"NONE\"}",
                                          "{\"alg\":\"\"}"};
    for (size_t n = 0; n < COUNT(headers); n++) {
        Buf token buf_scoped = {0};
        JsonTree *claims scoped(json_tree) = NULL;
        base64url(&token, slice_of(headers[n]));
        buf_char(&token, '.');
        base64url(&token, S("{\"sub\":\"anna\"}"));
        buf_char(&token, '.');
        check_err(jose_verify(keys, buf_slice(&token), &claims), ERR_AUTH);
    }
    static const char *const others[] = {
        "",       ".", "..", "...", ".a.b", "a..b", "a.b.c", "eyJ.eyJ.", "eyJhbGciOiJub25lIn0.e30",
        "a.b.c.d"};
    for (size_t n = 0; n < COUNT(others); n++) {
        JsonTree *claims scoped(json_tree) = NULL;
        check_err(jose_verify(keys, slice_of(others[n]), &claims), ERR_AUTH);
    }
    issuer_done(&i);
}

/* The signature is base64url without padding, in the form of its algorithm, and not for ever. */
TEST(signatures_have_one_form)
{
    Issuer i = issuer_new();
    JoseKeys *keys scoped(jose_keys) = NULL;
    JsonTree *claims scoped(json_tree) = NULL;
    Buf token buf_scoped = {0};
    check_ok(jose_keys_parse(buf_slice(&i.jwks), &keys));
    sign(&token, i.ec, "{\"alg\":\"ES256\"}", "{}");
    check_err(jose_verify(keys, slice_first(buf_slice(&token), token.len - 2), &claims), ERR_AUTH);
    static const char wrong[] = {'=', '+', '/', '!'};
    for (size_t n = 0; n < COUNT(wrong); n++) {
        char last = token.at[token.len - 1];
        token.at[token.len - 1] = wrong[n];
        check_err(jose_verify(keys, buf_slice(&token), &claims), ERR_AUTH);
        token.at[token.len - 1] = last;
    }
    while (token.len <= JOSE_TOKEN_MOST)
        buf_char(&token, 'A');
    check_err(jose_verify(keys, buf_slice(&token), &claims), ERR_AUTH);
    check(!claims);
    issuer_done(&i);
}

static size_t usable(const char *jwk)
{
    Buf set buf_scoped = {0};
    JoseKeys *keys scoped(jose_keys) = NULL;
    buf_printf(&set, "{\"keys\":[%s]}", jwk);
    Err err = jose_keys_parse(buf_slice(&set), &keys);
    check(err == (keys ? OK : ERR_NOT_FOUND));
    return keys ? jose_keys_count(keys) : 0;
}

/* RFC 7517 4.2, 4.4; RFC 7518 6.2.1, 6.3.1; RFC 8037 2 */
TEST(keys_with_a_flaw_are_passed_over)
{
    Issuer i = issuer_new();
    Buf n buf_scoped = {0}, x buf_scoped = {0}, y buf_scoped = {0}, big buf_scoped = {0};
    put_number(&n, i.rsa, OSSL_PKEY_PARAM_RSA_N, "n");
    put_number(&x, i.ec, OSSL_PKEY_PARAM_EC_PUB_X, "x");
    put_number(&y, i.ec, OSSL_PKEY_PARAM_EC_PUB_Y, "y");
    for (size_t octets = 0; octets < 1026; octets += 3)
        buf_add(&big, S("____"));
    const char *const rows[][2] = {
  /* the first of each type is good; then what is wrong with it */
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"%s}",                   buf_cstr(&n)  },
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\"%s}",                   ""            },
        {"{\"kty\":\"RSA\"%s}",                                  buf_cstr(&n)  },
        {"{\"kty\":\"RSA\",\"e\":\"AQ=B\"%s}",                   buf_cstr(&n)  },
        {"{\"kty\":\"RSA\",\"e\":\"AQABAQABAQAB\"%s}",           buf_cstr(&n)  },
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}",        buf_cstr(&big)},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"RS512\"%s}", buf_cstr(&n)  },
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":\"enc\"%s}",   buf_cstr(&n)  },
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"y\":\"AA\"%s}",    buf_cstr(&x)  },
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"%s}",                 buf_cstr(&x)  },
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"%s}",                 buf_cstr(&y)  },
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"%s}",    buf_cstr(&y)  },
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"AA\"%s}",    buf_cstr(&x)  },
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"%s\"}",
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                         },
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}",   "AA"          },
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\"%s}",              ""            },
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        Buf jwk buf_scoped = {0};
        for (const char *at = rows[r][0]; *at; at++)
            if (at[0] == '%' && at[1] == 's')
                buf_add(&jwk, slice_of(rows[r][1])), at++;
            else
                buf_char(&jwk, *at);
        check(usable(buf_cstr(&jwk)) == (r == 0));
    }
    Buf off buf_scoped = {0}; /* a point that is not on the curve */
    buf_printf(&off, "{\"kty\":\"EC\",\"crv\":\"P-256\"%s,\"y%s}", buf_cstr(&x), buf_cstr(&x) + 3);
    check(usable(buf_cstr(&off)) == 0);
    issuer_done(&i);
}

TEST(a_set_has_at_most_sixty_four_keys)
{
    Buf list buf_scoped = {0};
    for (size_t k = 0; k < JOSE_KEYS_MOST + 6; k++)
        buf_printf(&list, "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%zu\",\"x\":\"%s\"}",
                   k ? "," : "", k, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    check(usable(buf_cstr(&list)) == JOSE_KEYS_MOST);
}

TEST(key_sets_that_are_none)
{
    static const struct {
        const char *text;
        Err err;
    } rows[] = {
        {"",                                      ERR_SYNTAX   },
        {"{",                                     ERR_SYNTAX   },
        {"{}",                                    ERR_NOT_FOUND},
        {"{\"keys\":[]}",                         ERR_NOT_FOUND},
        {"{\"keys\":{}}",                         ERR_NOT_FOUND},
        {"{\"keys\":[],\"keys\":[]}",             ERR_SYNTAX   },
        {"[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", ERR_TOO_BIG  },
        {"{\"keys\":[]} x",                       ERR_SYNTAX   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        JoseKeys *keys scoped(jose_keys) = NULL;
        check_err(jose_keys_parse(slice_of(rows[i].text), &keys), rows[i].err);
    }
}

/* ---- claims ---- */

TEST(claims_are_judged)
{
    OauthConfig config = {.issuer = S("https://issuer"), .audience = S("mail"), .scope = S("imap")};
#define GOOD                                                                                       \
    "\"iss\":\"https://issuer\",\"aud\":\"mail\",\"exp\":2000,\"scope\":\"openid "                 \
    "imap\",\"email\":\"anna\""
    static const struct {
        const char *claims;
        bool is_good;
    } rows[] = {
        {"{" GOOD "}",                                                                                 true },
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":[\"web\",\"mail\"],\"exp\":1941.5,\"scp\":[\"imap\"],\"email\":"
         "\"anna\"}",                                                                         true },
        {"{" GOOD ",\"nbf\":1060,\"email_verified\":true}",                                            true },
        {"{" GOOD ",\"nbf\":1061}",                                                                    false},
        {"{" GOOD ",\"nbf\":\"1\"}",                                                                   false},
        {"{" GOOD ",\"email_verified\":false}",                                                        false},
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":\"mail\",\"exp\":940,\"scope\":\"imap\",\"email\":\"anna\"}",      false},
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":\"mail\",\"exp\":\"2000\",\"scope\":\"imap\",\"email\":\"anna\"}", false},
        {"{\"iss\":\"https://issuer\",\"aud\":\"mail\",\"scope\":\"imap\",\"email\":\"anna\"}",
         false                                                                                              },
        {"{\"iss\":\"https://issuer/"
         "\",\"aud\":\"mail\",\"exp\":2000,\"scope\":\"imap\",\"email\":\"anna\"}",           false},
        {"{\"aud\":\"mail\",\"exp\":2000,\"scope\":\"imap\",\"email\":\"anna\"}",                      false},
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":\"web\",\"exp\":2000,\"scope\":\"imap\",\"email\":\"anna\"}",      false},
        {"{\"iss\":\"https://issuer\",\"exp\":2000,\"scope\":\"imap\",\"email\":\"anna\"}",            false},
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":\"mail\",\"exp\":2000,\"scope\":\"imaps\",\"email\":\"anna\"}",    false},
        {"{\"iss\":\"https://issuer\",\"aud\":\"mail\",\"exp\":2000,\"email\":\"anna\"}",              false},
        {"{\"iss\":\"https://issuer\",\"aud\":\"mail\",\"exp\":2000,\"scope\":\"imap\"}",              false},
        {"{\"iss\":\"https://"
         "issuer\",\"aud\":\"mail\",\"exp\":2000,\"scope\":\"imap\",\"email\":7}",            false},
        {"[]",                                                                                         false},
        {"{}",                                                                                         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        JsonTree *claims scoped(json_tree) = NULL;
        Slice user = {0};
        check_ok(json_tree_parse(slice_of(rows[i].claims), 10000, &claims));
        Err err = oauth_judge(&config, claims, true, 1000, &user);
        if ((err == OK) != rows[i].is_good)
            fprintf(stderr, "%s: %s\n", rows[i].claims, err_story());
        check((err == OK) == rows[i].is_good);
        if (!err) check_slice(user, S("anna"));
    }
    /* an issuer that was asked need not say all this again (RFC 7662 2.2) */
    JsonTree *claims scoped(json_tree) = NULL;
    Slice user;
    check_ok(json_tree_parse(S("{\"active\":true,\"email\":\"anna\",\"scope\":\"imap\"}"), 1000,
                             &claims));
    check_ok(oauth_judge(&config, claims, false, 1000, &user));
    config.issuer = (Slice){0};
    check_err(oauth_judge(&config, claims, true, 1000, &user), ERR_AUTH);
}
