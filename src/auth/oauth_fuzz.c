/* Access tokens with a keys file, in the simulated world. The first octet says how the server is
 * configured; then come pieces, each ended by 0xff:
 *
 *     claims of a token, which the target signs (SIGNED: with the key in the file; else with
 * another) the keys file (empty: the one that holds our key) the keys file as it is later, when it
 * is looked at again (empty: the same) what the issuer answers when it is asked; a token that only
 * he can read
 *
 * Nobody is let in by a token that our key has not signed, or the issuer has not called active; and
 * whoever is in was named by it. */
#include "auth/oauth.h"
#include "base/fuzz.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"
#include "run/sim.h"

#include <openssl/evp.h>

enum { DISK_BYTES = 1 << 20 };
enum { SIGNED = 1, ISSUER = 2, SCOPE = 4, CLAIM = 8, NO_FILE = 16, ASKS = 32, BUSY = 64 };

typedef struct {
    uint8_t how;
    Slice claims, file, later, answer, opaque;
    bool asked;
} Input;

static EVP_PKEY *ours, *other;

/* ---- tokens ---- */

static void base64url(Buf *out, Slice octets)
{
    Buf plain buf_scoped = {0};
    base64_encode(&plain, octets);
    for (size_t i = 0; i < plain.len && plain.at[i] != '='; i++)
        buf_char(out, plain.at[i] == '+' ? '-' : plain.at[i] == '/' ? '_' : plain.at[i]);
}

static EVP_PKEY *key_of(char octet)
{
    unsigned char secret[32];
    memset(secret, octet, sizeof secret);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    must(key);
    return key;
}

static void put_keys(Buf *out)
{
    unsigned char octets[32];
    size_t len = sizeof octets;
    must(EVP_PKEY_get_raw_public_key(ours, octets, &len) == 1);
    buf_add(out, S("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""));
    base64url(out, slice(octets, len));
    buf_add(out, S("\"}]}"));
}

static void put_token(Buf *out, EVP_PKEY *key, Slice claims)
{
    unsigned char signature[64];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    base64url(out, S("{\"alg\":\"EdDSA\"}"));
    buf_char(out, '.');
    base64url(out, claims);
    must(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1);
    must(EVP_DigestSign(ctx, signature, &len, (unsigned char *)out->at, out->len) == 1);
    EVP_MD_CTX_free(ctx);
    buf_char(out, '.');
    base64url(out, slice(signature, len));
}

/* ---- the server ---- */

static Err introspect(void *arg, Slice token, Buf *answer)
{
    Input *in = arg;
    (void)token;
    in->asked = true;
    if (in->how & BUSY) return fail(ERR_TEMPORARY, "the issuer is busy");
    buf_add(answer, in->answer);
    return OK;
}

static void put_file(Slice text)
{
    Buf keys buf_scoped = {0};
    if (!text.len) put_keys(&keys);
    must(!path_replace(S("keys"), text.len ? text : buf_slice(&keys)));
}

static void check_user(const Input *in, Slice text, Slice user)
{
    JsonTree *tree scoped(json_tree) = NULL;
    must(user.len && user.len <= 255);
    must(!json_tree_parse(text, JOSE_TOKEN_MOST, &tree));
    must(slice_eq(json_tree_member_text(tree, in->how & CLAIM ? "sub" : "email"), user));
}

PARKS static void try_signed(const Input *in, Oauth *o, const OauthConfig *config)
{
    Buf token buf_scoped = {0}, user buf_scoped = {0}, again buf_scoped = {0};
    put_token(&token, in->how & SIGNED ? ours : other, in->claims);
    Err err = oauth_check_signed(o, config, buf_slice(&token), &user);
    must(err == OK || err == ERR_AUTH || err == ERR_TEMPORARY || err == ERR_UNSUPPORTED);
    if (err) return;
    must(!oauth_check_signed(o, config, buf_slice(&token), &again));
    must(slice_eq(buf_slice(&user), buf_slice(&again)));
    must((in->how & SIGNED || in->file.len || in->later.len) && !(in->how & NO_FILE));
    check_user(in, in->claims, buf_slice(&user));
}

PARKS static void try_opaque(Input *in, Oauth *o, const OauthConfig *config)
{
    Buf user buf_scoped = {0}, again buf_scoped = {0};
    if (oauth_is_signed(config, in->opaque)) return;
    Err err = oauth_check_opaque(o, config, in->opaque, &user);
    must(err == OK || err == ERR_AUTH || err == ERR_TEMPORARY);
    if (err) return;
    must(in->asked && !(in->how & BUSY));
    check_user(in, in->answer, buf_slice(&user));
    must(!oauth_check_opaque(o, config, in->opaque, &again)); /* asked again, or remembered */
    must(slice_eq(buf_slice(&user), buf_slice(&again)));
    fiber_sleep(2000);
    (void)!oauth_check_opaque(o, config, in->opaque, &again);
}

PARKS_UNCHECKED static void life(void *arg)
{
    Input *in = arg;
    OauthConfig config = {.keys_path = in->how & NO_FILE ? (Slice){0} : S("keys"),
                          .issuer = in->how & ISSUER && !(in->how & CLAIM) ? (Slice){0} : S("i"),
                          .audience = in->how & ISSUER && in->how & CLAIM ? (Slice){0} : S("a"),
                          .scope = in->how & SCOPE ? S("mail") : (Slice){0},
                          .claim = in->how & CLAIM ? S("sub") : (Slice){0},
                          .remember_ms = 1000,
                          .introspect = in->how & ASKS ? introspect : NULL,
                          .introspect_arg = in};
    Oauth *o = oauth_new();
    put_file(in->file);
    (void)!oauth_load(o, &config);
    try_signed(in, o, &config);
    fiber_sleep(20 * 1000);
    put_file(in->later);
    try_signed(in, o, &config);
    must(!path_unlink(S("keys")));
    fiber_sleep(20 * 1000);
    try_signed(in, o, &config);
    if (in->how & ASKS) try_opaque(in, o, &config);
    oauth_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *empty, *disk;
    if (!size) return 0;
    if (!empty) {
        empty = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
        ours = key_of('o'), other = key_of('x');
    }
    sim_disk_copy(disk, empty);
    Input in = {.how = data[0]};
    Slice rest = slice(data + 1, size - 1),
          *pieces[] = {&in.claims, &in.file, &in.later, &in.answer, &in.opaque};
    for (size_t i = 0; i < COUNT(pieces); i++)
        if (!slice_cut(&rest, (char)0xff, pieces[i])) *pieces[i] = (Slice){0};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    must(!sim_run(&config, life, &in));
    return 0;
}
