#include "auth/oauth.h"

#include "base/table.h"
#include "base/text.h"
#include "run/file.h"
#include "run/log.h"

#include <stdlib.h>

enum {
    CLOCKS_DIFFER_S =
        60, /* RFC 7519 4.1.4: "some small leeway, usually no more than a few minutes" */
    LOOK_MS = 10 * 1000, /* how often the keys file is looked at */
    REMEMBERED_MOST = 4096,
};

typedef struct {
    unsigned refs;
    JoseKeys *keys;
} KeySet;

typedef struct {
    int64_t until_ms;
    char user[256];
} Remembered;

struct Oauth {
    Mutex lock; /* all below; shared by all loops */
    KeySet *keys;
    PathInfo seen;
    int64_t looked_ms;
    Table remembered; /* token's SHA-256, keyed by the table -> Remembered */
};

Oauth *oauth_new(void)
{
    return NEW(Oauth);
}

static void forget_all(Oauth *o)
{
    size_t cursor = 0;
    Slice key;
    void *row;
    while (table_next(&o->remembered, &cursor, &key, &row))
        free(row);
    table_done(&o->remembered);
}

/* ---- keys ---- */

static void unref(Oauth *o, KeySet *set)
{
    if (!set) return;
    mutex_lock(&o->lock);
    bool last = --set->refs == 0;
    mutex_unlock(&o->lock);
    if (!last) return;
    jose_keys_free(set->keys);
    free(set);
}

static KeySet *current(Oauth *o)
{
    mutex_lock(&o->lock);
    KeySet *set = o->keys;
    if (set) set->refs++;
    mutex_unlock(&o->lock);
    return set;
}

void oauth_free(Oauth *o)
{
    if (!o) return;
    unref(o, o->keys);
    forget_all(o);
    free(o);
}

Err oauth_load(Oauth *o, const OauthConfig *config)
{
    Arena a arena_scoped = {0};
    Slice text;
    JoseKeys *keys = NULL;
    PathInfo seen = {0};
    if (!config->keys_path.len) return OK;
    if (!config->issuer.len || !config->audience.len)
        return fail(ERR_CONFIG, "oauth_keys wants oauth_issuer and oauth_audience");
    TRY(path_info(config->keys_path, &seen));
    TRY(path_read(config->keys_path, JOSE_KEYS_OCTETS, &a, &text));
    TRY(jose_keys_parse(text, &keys));
    KeySet *set = NEW(KeySet);
    *set = (KeySet){1, keys};
    mutex_lock(&o->lock);
    KeySet *before = o->keys;
    o->keys = set;
    o->seen = seen;
    mutex_unlock(&o->lock);
    unref(o, before);
    log_event(LOG_LEVEL_INFO, "oauth_keys", KV("file", config->keys_path),
              KV_NUM("keys", (int64_t)jose_keys_count(keys)));
    return OK;
}

typedef struct {
    Oauth *o;
    const OauthConfig *config;
} Look;

/* Issuers change their keys; whoever fetches the file need not tell us. */
static void look_aside(void *arg)
{
    Look *l = arg;
    PathInfo now = {0};
    if (path_info(l->config->keys_path, &now)) return;
    mutex_lock(&l->o->lock);
    PathInfo seen = l->o->seen;
    mutex_unlock(&l->o->lock);
    if (now.mtime == seen.mtime && now.size == seen.size) return;
    Err err = oauth_load(l->o, l->config);
    if (err) log_err(LOG_LEVEL_WARN, "oauth_keys_not_loaded", err);
}

PARKS static void look(Oauth *o, const OauthConfig *config)
{
    mutex_lock(&o->lock);
    bool due = !o->looked_ms || now_ms() - o->looked_ms >= LOOK_MS;
    if (due) o->looked_ms = now_ms();
    mutex_unlock(&o->lock);
    Look l = {o, config};
    if (due) aside(look_aside, &l);
}

/* ---- what a token says ---- */

/* "aud" is a string or an array of them (RFC 7519 4.1.3). */
static bool names(const JsonTree *value, Slice wanted)
{
    if (slice_eq(json_tree_text(value), wanted)) return true;
    for (size_t i = 0; i < json_tree_count(value); i++)
        if (slice_eq(json_tree_text(json_tree_item(value, i)), wanted)) return true;
    return false;
}

/* RFC 6749 3.3: words between spaces; some issuers make an array of it, or call it "scp". */
static bool has_scope(const JsonTree *claims, Slice wanted)
{
    static const char *const keys[] = {"scope", "scp"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        const JsonTree *value = json_tree_member(claims, keys[i]);
        Slice rest = json_tree_text(value), word;
        if (names(value, wanted)) return true;
        while (slice_cut(&rest, ' ', &word))
            if (slice_eq(word, wanted)) return true;
    }
    return false;
}

/* RFC 7519 4.1.4, 4.1.5. A claim of the wrong type is no claim at all, but a reason to refuse. */
static Err check_times(const JsonTree *claims, bool needs_end, int64_t now)
{
    int64_t end, begin;
    const JsonTree *exp = json_tree_member(claims, "exp"), *nbf = json_tree_member(claims, "nbf");
    if (exp ? !json_tree_number(exp, &end) : needs_end)
        return fail(ERR_AUTH, "the token has no end");
    if (exp && end + CLOCKS_DIFFER_S <= now) return fail(ERR_AUTH, "the token has expired");
    if (!nbf) return OK;
    if (!json_tree_number(nbf, &begin) || begin - CLOCKS_DIFFER_S > now)
        return fail(ERR_AUTH, "the token is not good yet");
    return OK;
}

static Err check_parties(const OauthConfig *config, const JsonTree *claims, bool signed_token)
{
    bool incomplete = !config->issuer.len || !config->audience.len;
    if (signed_token && incomplete)
        return fail(ERR_TEMPORARY, "oauth_keys wants oauth_issuer and oauth_audience");
    const JsonTree *iss = json_tree_member(claims, "iss"), *aud = json_tree_member(claims, "aud");
    if ((iss || signed_token) && config->issuer.len &&
        !slice_eq(json_tree_text(iss), config->issuer))
        return fail(ERR_AUTH, "the token is of another issuer");
    if ((aud || signed_token) && config->audience.len && !names(aud, config->audience))
        return fail(ERR_AUTH, "the token is for another audience");
    if (config->scope.len && !has_scope(claims, config->scope))
        return fail(ERR_AUTH, "the token lacks the scope");
    return OK;
}

Err oauth_judge(const OauthConfig *config, const JsonTree *claims, bool signed_token, int64_t now,
                Slice *user)
{
    char name[128] = "email";
    if (config->claim.len && config->claim.len < sizeof name) {
        memcpy(name, config->claim.at, config->claim.len);
        name[config->claim.len] = 0;
    }
    TRY(check_times(claims, signed_token, now));
    TRY(check_parties(config, claims, signed_token));
    /* An address that its owner has not confirmed may be anybody's (OpenID Connect Core 5.1). */
    const JsonTree *verified = json_tree_member(claims, "email_verified");
    if (!strcmp(name, "email") && verified && !json_tree_is_true(verified))
        return fail(ERR_AUTH, "the address in the token is not verified");
    Slice text = json_tree_member_text(claims, name);
    if (!text.len || text.len > 255) return fail(ERR_AUTH, "the token has no claim \"%s\"", name);
    *user = text;
    return OK;
}

/* ---- signed tokens ---- */

Err oauth_check_signed(Oauth *o, const OauthConfig *config, Slice token, Buf *user)
{
    if (!config->keys_path.len) return fail(ERR_UNSUPPORTED, "signed tokens are not taken");
    JsonTree *claims scoped(json_tree) = NULL;
    look(o, config);
    KeySet *set = current(o);
    if (!set) return fail(ERR_TEMPORARY, "no keys");
    Err err = jose_verify(set->keys, token, &claims);
    unref(o, set);
    if (err) return err == ERR_TEMPORARY ? err : ERR_AUTH;
    Slice name;
    TRY(oauth_judge(config, claims, true, wall_seconds(), &name));
    buf_add(user, name);
    return OK;
}

/* ---- tokens that only their issuer can read, RFC 7662 ---- */

static bool remembers(Oauth *o, Slice token, Buf *user)
{
    mutex_lock(&o->lock);
    const Remembered *r = table_get(&o->remembered, token);
    bool good = r && now_ms() < r->until_ms;
    if (good) buf_add(user, slice_of(r->user));
    mutex_unlock(&o->lock);
    return good;
}

static void remember(Oauth *o, const OauthConfig *config, Slice token, Slice user, int64_t end)
{
    int64_t left = MIN(config->remember_ms, (end - wall_seconds()) * 1000);
    if (left <= 0 || user.len >= sizeof((Remembered *)0)->user) return;
    Remembered *r = NEW(Remembered);
    r->until_ms = now_ms() + left;
    memcpy(r->user, user.at, user.len);
    mutex_lock(&o->lock);
    if (o->remembered.count >= REMEMBERED_MOST) forget_all(o);
    free(table_take(&o->remembered, token));
    table_put(&o->remembered, token, r);
    mutex_unlock(&o->lock);
}

/* 2.2: "active" decides; what else is there has to fit, too. */
PARKS static Err ask_issuer(Oauth *o, const OauthConfig *config, Slice token, Slice key, Buf *user)
{
    Buf answer buf_scoped = {0};
    JsonTree *claims scoped(json_tree) = NULL;
    Slice name;
    int64_t end = INT64_MAX / 2000;
    TRY(config->introspect(config->introspect_arg, token, &answer));
    if (json_tree_parse(buf_slice(&answer), JOSE_TOKEN_MOST, &claims))
        return fail(ERR_TEMPORARY, "the issuer's answer is no JSON");
    if (!json_tree_is_true(json_tree_member(claims, "active")))
        return fail(ERR_AUTH, "the issuer does not know the token");
    TRY(oauth_judge(config, claims, false, wall_seconds(), &name));
    (void)json_tree_number(json_tree_member(claims, "exp"), &end);
    remember(o, config, key, name, MIN(MAX(end, 0), INT64_MAX / 2000));
    buf_add(user, name);
    return OK;
}

bool oauth_is_signed(const OauthConfig *config, Slice token)
{
    return config->keys_path.len && (jose_looks_like_token(token) || !config->introspect);
}

Err oauth_check_opaque(Oauth *o, const OauthConfig *config, Slice token, Buf *user)
{
    if (!token.len || token.len > JOSE_TOKEN_MOST) return fail(ERR_AUTH, "no token");
    Buf key buf_scoped = {0};
    token_digest(token, &key); /* no tokens lie about in memory */
    if (remembers(o, buf_slice(&key), user)) return OK;
    return ask_issuer(o, config, token, buf_slice(&key), user);
}
