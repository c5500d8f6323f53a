#include "auth/scram.h"

#include "auth/auth.h"
#include "auth/credential.h"
#include "auth/prep.h"
#include "base/test.h"
#include "base/text.h"

#include <openssl/evp.h>

TEST(scram_first_messages)
{
    static const struct {
        const char *text;
        bool fits;
        char binding;
        const char *username, *nonce, *authzid;
    } rows[] = {
        {"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", true,  'n', "user",  "fyko+d2lbbFgONRv9qkxdawL", ""    },
        {"y,a=anna,n=a=2Cb=3Dc,r=x,ext=1",       true,  'y', "a,b=c", "x",                        "anna"},
        {"p=tls-exporter,,n=user,r=abc",         true,  'p', "user",  "abc",                      ""    },
        {"n,,n=,r=abc",                          false, 0,   "",      "",                         ""    },
        {"n,,n=us=4Der,r=abc",                   false, 0,   "",      "",                         ""    },
        {"n,,n=user,r=",                         false, 0,   "",      "",                         ""    },
        {"n,,m=ext,n=user,r=abc",                false, 0,   "",      "",                         ""    }, /* a mandatory extension nobody knows */
        {"x,,n=user,r=abc",                      false, 0,   "",      "",                         ""    },
        {"n,n=user,r=abc",                       false, 0,   "",      "",                         ""    },
        {"",                                     false, 0,   "",      "",                         ""    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Arena a arena_scoped = {0};
        ScramFirst first;
        Err err = scram_first_parse(slice_of(rows[i].text), &a, &first);
        check((err == OK) == rows[i].fits);
        if (err || !rows[i].fits) continue;
        check(first.binding == rows[i].binding);
        check_slice(first.username, slice_of(rows[i].username));
        check_slice(first.nonce, slice_of(rows[i].nonce));
        check_slice(first.authzid, slice_of(rows[i].authzid));
    }
}

TEST(scram_final_messages)
{
    Arena a arena_scoped = {0};
    ScramFinal final;
    check_ok(scram_final_parse(S("c=biws,r=abcdef,x=1,p=AAAA"), &a, &final));
    check_slice(final.channel_binding, S("n,,"));
    check_slice(final.nonce, S("abcdef"));
    check_slice(final.without_proof, S("c=biws,r=abcdef,x=1"));
    check_u64(final.proof.len, 3);
    check_err(scram_final_parse(S("c=biws,r=abcdef"), &a, &final), ERR_SYNTAX);
    check_err(scram_final_parse(S("c=biws,r=abcdef,p=A"), &a, &final), ERR_SYNTAX);
    check_err(scram_final_parse(S("r=abcdef,p=AAAA"), &a, &final), ERR_SYNTAX);
}

/* The examples of RFC 5802 5 and RFC 7677 3: user "user", password "pencil", 4096 rounds. */
static void check_example(ScramHash hash, Slice salt64, Slice message, Slice proof64,
                          Slice signature64)
{
    Buf salt buf_scoped = {0}, proof buf_scoped = {0}, wanted buf_scoped = {0};
    Credential c = {0};
    uint8_t salted[32], client_key[32], signature[32];
    size_t len = scram_hash_len(hash);
    check(base64_decode(&salt, salt64) && base64_decode(&proof, proof64) &&
          base64_decode(&wanted, signature64));
    check(PKCS5_PBKDF2_HMAC("pencil", 6, (uint8_t *)salt.at, (int)salt.len, 4096,
                            hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256(), (int)len, salted));
    scram_hmac(hash, slice(salted, len), S("Client Key"), client_key);
    scram_digest(hash, slice(client_key, len), c.stored_key[hash]);
    scram_hmac(hash, slice(salted, len), S("Server Key"), c.server_key[hash]);
    check(credential_scram(&c, hash, message, (uint8_t *)proof.at, signature));
    check_slice(slice(signature, len), buf_slice(&wanted));
    proof.at[0] ^= 1;
    check(!credential_scram(&c, hash, message, (uint8_t *)proof.at, signature));
}

TEST(rfc_5802_5_example)
{
    check_example(
        SCRAM_SHA1, S("QSXCR+Q6sek8bf92"),
        S("n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
          "s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"),
        S("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="), S("rmF9pqV8S7suAoZWja4dJRkFsKQ="));
}

TEST(rfc_7677_3_example)
{
    check_example(
        SCRAM_SHA256, S("W22ZaJ0SNY7soEsUEjb6gQ=="),
        S("n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
          "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
          "hNlF$k0"),
        S("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
        S("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}

TEST(saslprep_rfc_4013_3)
{
    static const struct {
        const char *given, *wanted; /* NULL: refused */
    } rows[] = {
        {"I\xc2\xadX",                 "IX"              },
        {"user",                       "user"            },
        {"USER",                       "USER"            },
        {"\xc2\xaa",                   "a"               },
        {"\xe2\x85\xa8",               "IX"              },
        {"\x07",                       NULL              },
        {"\xd8\xa7\x31",               NULL              },
        {"\xff",                       NULL              },
        {"a\xc2\xa0z",                 "a z"             },
 /* RFC 3454 B.1: mapped to nothing */
        {"a\xcd\x8fz",                 "az"              }, /* U+034F */
        {"a\xe1\xa0\x86z",             "az"              }, /* U+1806 */
        {"a\xe1\xa0\x8bz\xe1\xa0\x8d", "az"              }, /* U+180B, U+180D */
        {"a\xe2\x80\x8bz\xe2\x80\x8d", "az"              }, /* U+200B, U+200D */
        {"a\xe2\x81\xa0z",             "az"              }, /* U+2060 */
        {"a\xef\xb8\x80z\xef\xb8\x8f", "az"              }, /* U+FE00, U+FE0F */
        {"a\xef\xbb\xbfz",             "az"              }, /* U+FEFF */
        {"\xc2\xad",                   ""                },
 /* C.2.2 to C.9: prohibited */
        {"a\xc2\x80",                  NULL              }, /* a control */
        {"a\xe2\x80\x8e",              NULL              }, /* U+200E, changes the direction */
        {"a\xe2\x80\xa8",              NULL              }, /* U+2028, ends the line */
        {"a\xee\x80\x80",              NULL              }, /* U+E000, private */
        {"a\xef\xbf\xbe",              NULL              }, /* U+FFFE, no character */
        {"a\xe2\xbf\xb0",              NULL              }, /* U+2FF0, describes ideographs */
        {"a\xef\xbf\xbd",              NULL              }, /* U+FFFD */
        {"a\xf3\xa0\x80\x81",          NULL              }, /* U+E0001, a tag */
        {"\xe3\x80\x80z",              " z"              }, /* U+3000: a space like others */
  /* 6: right to left alone, with digits inside, and not with letters from left to right */
        {"\xd8\xa7\xd8\xa8",           "\xd8\xa7\xd8\xa8"},
        {"\xd7\x90"
         "1\xd7\x91",         "\xd7\x90"
         "1\xd7\x91"       },
        {"\xd8\xa7z\xd8\xa8",          NULL              },
        {"1\xd8\xa7",                  NULL              },
        {"a\xd7\x90",                  NULL              },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        Err err = saslprep(slice_of(rows[i].given), &out);
        check((err == OK) == (rows[i].wanted != NULL));
        if (!err && rows[i].wanted) check_slice(buf_slice(&out), slice_of(rows[i].wanted));
    }
}

TEST(logins_ignore_case)
{
    Buf out buf_scoped = {0};
    check_ok(login_normalise(S("Anna@Example.ORG"), &out));
    check_slice(buf_slice(&out), S("anna@example.org"));
    check_err(login_normalise(S(""), &out), ERR_SYNTAX);
    check_err(login_normalise(S("\xc2\xad"), &out), ERR_SYNTAX); /* nothing is left of it */
    check_err(login_normalise(S("a\x7f"), &out), ERR_SYNTAX);
    check_err(login_normalise(S("\xc3"), &out), ERR_SYNTAX);
    char many[256];
    memset(many, 'A', sizeof many);
    check_err(login_normalise(slice(many, sizeof many), &out), ERR_LIMIT);
    buf_clear(&out);
    check_ok(login_normalise(slice(many, sizeof many - 1), &out));
    check_u64(out.len, 255);
    buf_clear(&out); /* U+0130 is "i" in small, which composes with the accent behind it */
    check_ok(login_normalise(S("\xc4\xb0\xcc\x81"), &out));
    check_slice(buf_slice(&out), S("\xc3\xad"));
}

TEST(credentials_survive_their_stored_form)
{
    AuthConfig cheap = {.argon2_memory_kib = 64, .argon2_passes = 1, .scram_iterations = 4};
    Credential c, back;
    Buf stored buf_scoped = {0};
    check_ok(credential_make(&c, S("secret"), &cheap));
    check(credential_verify(&c, S("secret")) && !credential_verify(&c, S("Secret")));
    credential_encode(&stored, &c);
    check_ok(credential_decode(buf_slice(&stored), &back));
    check(credential_verify(&back, S("secret")));
    check(!memcmp(back.server_key, c.server_key, sizeof c.server_key));
    for (size_t cut = 0; cut < stored.len; cut++)
        check_err(credential_decode(slice(stored.at, cut), &back), ERR_CORRUPT);
}

TEST(rfc_1939_7_example)
{
    AuthConfig cheap = {
        .argon2_memory_kib = 64, .argon2_passes = 1, .scram_iterations = 4, .reversible = true};
    Credential c, back;
    Buf digest buf_scoped = {0}, stored buf_scoped = {0};
    Slice timestamp = S("<1896.697170952@dbc.mtview.ca.us>");
    check(hex_decode(&digest, S("c4c9334bac560ecc979e58001b3e22fb")));
    check_ok(credential_make(&c, S("tanstaaf"), &cheap));
    credential_encode(&stored, &c);
    check_ok(credential_decode(buf_slice(&stored), &back));
    check(credential_apop(&back, timestamp, (uint8_t *)digest.at));
    check(!credential_apop(&back, S("<1896.697170953@dbc.mtview.ca.us>"), (uint8_t *)digest.at));
    cheap.reversible = false; /* then there is nothing to compare with */
    check_ok(credential_make(&c, S("tanstaaf"), &cheap));
    check(!credential_apop(&c, timestamp, (uint8_t *)digest.at));
}
