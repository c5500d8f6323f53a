/* What the keeper answers. Fields are checked by memo_read for their length only: each function
 * checks what they mean. */
#include "auth/keeping.h"
#include "auth/prep.h"
#include "auth/scram.h"
#include "auth/state.h"

#include "base/text.h"
#include "run/log.h"

#include <stdlib.h>

/* ---- logins ---- */

static bool is_login(Slice login)
{
    return login.len && login.len <= KEEPER_LOGIN_MOST && !memchr(login.at, 0, login.len) &&
           (unsigned char)login.at[0] >= ' ';
}

/* With one of our domains behind it where it is kept so, else without. */
static Slice as_kept(Keeper *k, Slice login)
{
    Credential c;
    size_t at = slice_find_last(login, '@');
    if (at == login.len || !config_has_domain(keeper_config(k), slice_from(login, at + 1)))
        return login;
    Err err = keeper_db_find(k, login, &c);
    wipe(&c, sizeof c);
    return err ? slice_first(login, at) : login;
}

/* ---- attempts ---- */

typedef struct {
    Keeper *keeper;
    Slice login, address, service;
    Memo *answer;
    Buf *memory;
    Slice signature;
    bool guest, sealed;
} Case;

static Slice seal(const Case *a)
{
    Buf text buf_scoped = {0};
    uint8_t *grant = (uint8_t *)buf_reserve(a->memory, GRANT_OCTETS);
    grant_login_text(&text, a->service, a->login, a->guest);
    grant_make(&a->keeper->grant, GRANT_LOGIN, buf_slice(&text), grant);
    return slice(grant, GRANT_OCTETS);
}

/* Judged right, wrong (ERR_AUTH), or not at all. */
static Err conclude(const Case *a, Err err)
{
    bool told = true;
    int64_t hold_ms = 0;
    Slice grant = {0};
    Throttle *t = a->keeper->throttle;
    if (err == ERR_NOT_FOUND || err == ERR_SYNTAX) err = ERR_AUTH;
    if (err == ERR_AUTH)
        hold_ms = throttle_failed(t, a->address, a->login, &told);
    else if (err == ERR_THROTTLED)
        hold_ms = THROTTLE_HOLD_MOST_MS / 4;
    else if (!err)
        throttle_succeeded(t, a->address, a->login);
    if (!told) err = ERR_THROTTLED;
    if (!err && a->sealed) grant = seal(a);
    *a->answer = (Memo){
        .kind = MEMO_VERDICT,
        .number = {(uint64_t)err, (uint64_t)hold_ms},
        .text = { slice_first(a->login, KEEPER_LOGIN_MOST),             grant, a->signature}
    };
    return OK;
}

/* Found, or what unknown logins are compared with; ERR_TEMPORARY when neither can be said. */
static Err find(Keeper *k, Slice login, Credential *c, bool *known)
{
    Err err = keeper_db_find(k, login, c);
    *known = !err;
    if (err == ERR_NOT_FOUND) *c = k->nobody;
    return err && err != ERR_NOT_FOUND ? ERR_TEMPORARY : OK;
}

typedef struct {
    const Credential *credential;
    Slice password;
    bool right;
} Hashing;

static void hash_password(void *arg)
{
    Hashing *h = arg;
    h->right = credential_verify(h->credential, h->password);
}

PARKS static Err judge_password(const Case *a, Credential *c, Slice password)
{
    bool known;
    Keeper *k = a->keeper;
    TRY(throttle_admits(k->throttle, a->address, a->login));
    TRY(find(k, a->login, c, &known));
    uint64_t key = verified_key(k, c, password);
    if (known && was_verified(k, key)) return OK;
    Hashing h = {.credential = c, .password = password};
    int rank = throttle_rank(k->throttle, a->address, a->login);
    TRY(hash_aside(k, rank, a->address, a->login, hash_password, &h));
    /* Many may have waited for their turn: not more of them than if they had come one by one. */
    if (!throttle_still_admits(k->throttle, a->address, a->login)) return ERR_THROTTLED;
    if (!known || !h.right) return fail(ERR_AUTH, "wrong login or password");
    remember_verified(k, key);
    return OK;
}

PARKS static Err verify(Case *a, const Memo *q)
{
    Credential c;
    Slice password = q->text[3];
    bool sound = is_login(a->login) && password.len <= KEEPER_PASSWORD_MOST;
    Err err = sound ? judge_password(a, &c, password) : ERR_AUTH;
    if (sound) wipe(&c, sizeof c);
    return conclude(a, err);
}

/* An unknown login gets a salt that is always the same for it, and the usual iterations: RFC 5802 9
 * must not tell who exists. */
static Err scram_begin(Keeper *k, const Memo *q, Memo *answer, Buf *memory)
{
    Credential c;
    bool known;
    uint8_t invented[32];
    if (!is_login(q->text[0])) return fail(ERR_SYNTAX, "no login");
    Slice login = as_kept(k, q->text[0]);
    scram_hmac(SCRAM_SHA256, slice(k->secret, sizeof k->secret), login, invented);
    TRY(find(k, login, &c, &known));
    buf_add(memory, slice(known ? c.salt : invented, SCRAM_SALT));
    *answer = (Memo){
        .kind = MEMO_SCRAM_SALT, .number = {c.iterations      },
             .text = { login, buf_slice(memory)}
    };
    wipe(&c, sizeof c);
    return OK;
}

static Err judge_proof(const Case *a, const Memo *q, uint8_t signature[32])
{
    Credential c;
    bool known;
    uint8_t proof[32] = {0};
    ScramHash hash = (ScramHash)q->number[0];
    if (q->number[0] > SCRAM_SHA256 || q->text[4].len != scram_hash_len(hash))
        return fail(ERR_AUTH, "not a proof");
    memcpy(proof, q->text[4].at, q->text[4].len);
    TRY(throttle_admits(a->keeper->throttle, a->address, a->login));
    TRY(find(a->keeper, a->login, &c, &known));
    bool right = credential_scram(&c, hash, q->text[3], proof, signature);
    wipe(&c, sizeof c);
    return known && right ? OK : fail(ERR_AUTH, "wrong login or proof");
}

static Err scram_end(Case *a, const Memo *q)
{
    uint8_t signature[32];
    Err err = is_login(a->login) ? judge_proof(a, q, signature) : ERR_AUTH;
    buf_reserve(a->memory, sizeof signature + GRANT_OCTETS); /* so that it stays where it is */
    if (!err) {
        buf_add(a->memory, slice(signature, scram_hash_len((ScramHash)q->number[0])));
        a->signature = buf_slice(a->memory);
    }
    wipe(signature, sizeof signature);
    return conclude(a, err);
}

static Err judge_digest(const Case *a, Slice timestamp, Slice digest)
{
    Credential c;
    bool known;
    if (digest.len != 16) return fail(ERR_AUTH, "not a digest");
    TRY(throttle_admits(a->keeper->throttle, a->address, a->login));
    TRY(find(a->keeper, a->login, &c, &known));
    bool right = credential_apop(&c, timestamp, (const uint8_t *)digest.at);
    wipe(&c, sizeof c);
    return known && right ? OK : fail(ERR_AUTH, "wrong login or digest");
}

static Err apop(Case *a, const Memo *q)
{
    Err err = is_login(a->login) ? judge_digest(a, q->text[3], q->text[4]) : ERR_AUTH;
    return conclude(a, err);
}

/* ---- shown by other means ---- */

/* A login as a token or a client spells it. */
static Err read_login(Keeper *k, Slice given, Buf *login)
{
    TRY(login_normalise(given, login));
    login->len = as_kept(k, buf_slice(login)).len;
    return is_login(buf_slice(login)) ? OK : fail(ERR_AUTH, "no login");
}

/* Signed, or such that only its issuer can read it: then we ask him, for whoever showed it to us is
 * not to be believed. */
PARKS static Err read_token(Keeper *k, Slice token, Buf *user)
{
    const OauthConfig *c = &keeper_config(k)->oauth;
    if (oauth_is_signed(c, token) || !c->introspect)
        return oauth_check_signed(k->oauth, c, token, user);
    return oauth_check_opaque(k->oauth, c, token, user);
}

PARKS static Err judge_token(Case *a, Slice token, Buf *login)
{
    Buf wanted buf_scoped = {0}, user buf_scoped = {0};
    Keeper *k = a->keeper;
    if (a->login.len) TRY(read_login(k, a->login, &wanted));
    TRY(throttle_admits(k->throttle, a->address, a->login));
    TRY(read_token(k, token, &user));
    TRY(read_login(k, buf_slice(&user), login));
    if (wanted.len && !slice_eq(buf_slice(&wanted), buf_slice(login)))
        return fail(ERR_AUTH, "the token is another user's");
    a->login = buf_slice(login);
    return OK;
}

PARKS static Err token(Case *a, const Memo *q)
{
    Buf login buf_scoped = {0};
    Err err = judge_token(a, q->text[3], &login);
    if (err)
        log_err(LOG_LEVEL_INFO, "token_refused", err, KV("service", a->service),
                KV("remote", a->address));
    buf_reserve(a->memory, KEEPER_LOGIN_MOST + GRANT_OCTETS);
    buf_add(a->memory, slice_first(a->login, KEEPER_LOGIN_MOST));
    a->login = buf_slice(a->memory);
    return conclude(a, err);
}

static bool may_vouch(const AuthConfig *config, uint64_t how, Slice login)
{
    switch (how) {
    case VOUCH_CERTIFICATE:
        return config->certificates;
    case VOUCH_ANONYMOUS:
        return config->anonymous.len && slice_eq(login, config->anonymous);
    default:
        return false;
    }
}

static Err vouch(Case *a, const Memo *q)
{
    a->guest = q->number[0] == VOUCH_ANONYMOUS;
    if (!is_login(a->login) || !may_vouch(keeper_config(a->keeper), q->number[0], a->login))
        return fail(ERR_FORBIDDEN, "nobody may vouch for that");
    return conclude(a, throttle_admits(a->keeper->throttle, a->address, a->login));
}

/* ---- users ---- */

typedef struct {
    Keeper *keeper;
    Slice login, password;
    Err err;
} Change;

static void make_and_write(void *arg)
{
    Change *c = arg;
    Credential *made = NEW(Credential);
    Buf stored secret_scoped = {0};
    c->err = credential_make(made, c->password, keeper_config(c->keeper));
    buf_reserve(&stored, 1024);
    credential_encode(&stored, made);
    wipe(made, sizeof *made);
    free(made);
    if (!c->err) c->err = keeper_db_write(c->keeper, c->login, buf_slice(&stored));
}

static void write_nothing(void *arg)
{
    Change *c = arg;
    c->err = keeper_db_write(c->keeper, c->login, (Slice){0});
}

PARKS static Err change(Keeper *k, const Memo *q, Memo *answer)
{
    Change c = {.keeper = k, .login = q->text[0], .password = q->text[1]};
    *answer = (Memo){.kind = MEMO_DONE};
    if (!is_login(c.login) || c.password.len > KEEPER_PASSWORD_MOST)
        return fail(ERR_SYNTAX, "a login of %zu octets", c.login.len);
    if (q->kind == MEMO_SET)
        TRY(hash_aside(k, 0, (Slice){0}, c.login, make_and_write, &c));
    else
        aside(write_nothing, &c);
    return c.err;
}

static Err has(Keeper *k, Slice login, Memo *answer)
{
    Credential c;
    Err err = is_login(login) ? keeper_db_find(k, login, &c) : ERR_NOT_FOUND;
    wipe(&c, sizeof c);
    *answer = (Memo){.kind = MEMO_DONE};
    return err;
}

static Err say_login(Memo *answer, Slice login)
{
    *answer = (Memo){.kind = MEMO_LOGIN, .text = {login}};
    return OK;
}

static Err say_grant_key(const Keeper *k, Memo *answer)
{
    *answer =
        (Memo){.kind = MEMO_GRANT_KEY_IS, .text = {slice(k->grant.octets, sizeof k->grant.octets)}};
    return OK;
}

/* ---- which question ---- */

PARKS static Err judge(Case *a, const Memo *q)
{
    if (q->kind == MEMO_VERIFY) return verify(a, q);
    if (q->kind == MEMO_SCRAM_END) return scram_end(a, q);
    if (q->kind == MEMO_APOP) return apop(a, q);
    if (q->kind == MEMO_TOKEN) return token(a, q);
    return q->kind == MEMO_VOUCH ? vouch(a, q) : conclude(a, ERR_AUTH);
}

PARKS Err keeper_judge(Keeper *k, const Memo *q, bool sealed, Memo *answer, Buf *memory)
{
    Case a = {.keeper = k, .sealed = sealed, .answer = answer, .memory = memory};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (q->kind) {
    case MEMO_VERIFY:
    case MEMO_SCRAM_END:
    case MEMO_APOP:
    case MEMO_TOKEN:
    case MEMO_VOUCH:
    case MEMO_WRONG:
        a.login = as_kept(k, q->text[0]), a.address = q->text[1], a.service = q->text[2];
        return judge(&a, q);
    case MEMO_SCRAM_BEGIN:
        return scram_begin(k, q, answer, memory);
    case MEMO_CANONICAL:
        return say_login(answer, as_kept(k, q->text[0]));
    case MEMO_SET:
    case MEMO_REMOVE:
        return change(k, q, answer);
    case MEMO_HAS:
        return has(k, q->text[0], answer);
    case MEMO_GRANT_KEY:
        return say_grant_key(k, answer);
    default:
        return fail(ERR_UNSUPPORTED, "the keeper knows no %s", memo_name(q->kind));
    }
#pragma GCC diagnostic pop
}

PARKS Err keeper_answer(void *arg, const Memo *q, Memo *answer, Buf *memory)
{
    return keeper_judge(arg, q, true, answer, memory);
}
