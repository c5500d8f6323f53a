#include "auth/prep.h"
#include "auth/state.h"
#include "auth/throttle.h"
#include "base/json.h"
#include "base/metric.h"
#include "base/text.h"
#include "net/refusal.h"
#include "run/log.h"

#include <stdlib.h>

Err auth_needs_tls(const char *service, Stream *stream)
{
    refusal_limit(stream, service, METRIC_LOGINS_NO_TLS, (Slice){0});
    return fail(ERR_NEEDS_TLS, "plain-text passwords only with TLS");
}

/* On a Unix socket nobody listens in. Our own end tells what it is, even when the peer has gone. */
bool auth_plain_allowed(const Auth *auth, const Stream *stream)
{
    return auth_config(auth)->plain_without_tls || stream_is_tls(stream) ||
           stream_local(stream).port == 0;
}

PARKS Err auth_account(Auth *auth, Slice login, uint32_t *acct)
{
    Err err = store_find_account(auth->store, login, acct);
    if (err != ERR_NOT_FOUND || !keeper_is_demo(auth_config(auth), login)) return err;
    err = store_create_account(auth->store, login, acct);
    return err == ERR_EXISTS ? store_find_account(auth->store, login, acct) : err;
}

PARKS Err auth_canonical_login(Auth *auth, Slice given, Buf *login)
{
    Buf memory buf_scoped = {0};
    TRY(login_normalise(given, login));
    Memo answer, question = {.kind = MEMO_CANONICAL, .text = {buf_slice(login)}};
    size_t at = slice_find_last(buf_slice(login), '@');
    Slice domain = slice_from(buf_slice(login), at + 1);
    if (at == login->len || !config_has_domain(auth_config(auth), domain)) return OK;
    TRY(keeper_ask(auth->keeper, &question, &answer, &memory));
    /* It says whether the domain belongs to it, not somebody else's name. */
    if (answer.text[0].len == at) login->len = at;
    return OK;
}

/* ---- attempts ---- */

typedef struct {
    Err err;
    int64_t hold_ms;
} Outcome;

static Slice remote_of(Stream *stream, Buf *out)
{
    Address peer = stream_peer(stream);
    address_print(out, &peer);
    return buf_slice(out);
}

static bool is_an_outcome(uint64_t n)
{
    return n == OK || n == ERR_AUTH || n == ERR_THROTTLED || n == ERR_TEMPORARY;
}

static void take_login(Buf *login, Slice kept)
{
    if (!kept.len || kept.len > KEEPER_LOGIN_MOST || memchr(kept.at, 0, kept.len)) return;
    buf_clear(login);
    buf_add(login, kept);
}

static Outcome take_verdict(const Memo *verdict, Buf *login, AuthUser *user, Buf *signature)
{
    Outcome o = {.err = is_an_outcome(verdict->number[0]) ? (Err)verdict->number[0] : ERR_TEMPORARY,
                 .hold_ms = MIN((int64_t)verdict->number[1], (int64_t)THROTTLE_HOLD_MOST_MS)};
    take_login(login, verdict->text[0]);
    if (o.err) return o;
    *user = (AuthUser){0};
    memcpy(user->login, login->at, login->len);
    user->has_grant = verdict->text[1].len == GRANT_OCTETS;
    if (user->has_grant) memcpy(user->grant, verdict->text[1].at, GRANT_OCTETS);
    if (signature) buf_add(signature, verdict->text[2]);
    return o;
}

/* Told to the log at once, to the client when it has waited. */
PARKS static void conclude(const Attempt *a, Slice login, Outcome o)
{
    Buf remote buf_scoped = {0};
    metric_add(!o.err                   ? METRIC_LOGINS
               : o.err == ERR_THROTTLED ? METRIC_LOGINS_THROTTLED
               : o.err == ERR_TEMPORARY ? METRIC_LOGINS_UNCHECKED
                                        : METRIC_LOGINS_FAILED,
               1);
    log_event(o.err ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, o.err ? "login_failed" : "login",
              KV_TEXT("service", a->service), KV_TEXT("mechanism", a->mechanism), KV("user", login),
              KV("remote", remote_of(a->stream, &remote)), KV("tls", stream_tls_version(a->stream)),
              KV_TEXT("err", o.err ? err_name(o.err) : "none"));
    if (o.hold_ms) fiber_sleep(o.hold_ms);
}

/* Where the login stands among the texts of a question. */
PARKS Err auth_attempt(const Attempt *a, Memo *question, Buf *login, AuthUser *user, Buf *signature)
{
    Buf remote buf_scoped = {0}, memory secret_scoped = {0};
    Memo verdict;
    question->text[0] = buf_slice(login);
    question->text[1] = remote_of(a->stream, &remote);
    question->text[2] = slice_of(a->service);
    Outcome o = {.err = keeper_ask(a->auth->keeper, question, &verdict, &memory)};
    if (o.err)
        o.err = ERR_TEMPORARY;
    else
        o = take_verdict(&verdict, login, user, signature);
    conclude(a, buf_slice(login), o);
    return o.err;
}

PARKS Err auth_attempt_is_wrong(const Attempt *a, Buf *login)
{
    Memo wrong = {.kind = MEMO_WRONG};
    AuthUser nobody;
    Err err = auth_attempt(a, &wrong, login, &nobody, NULL);
    return err ? err : ERR_AUTH;
}

PARKS Err auth_find_account(Auth *auth, const char *service, Stream *stream, AuthUser *user)
{
    Err err = auth_account(auth, slice_of(user->login), &user->acct);
    if (err == ERR_NOT_FOUND || err == ERR_SYNTAX) err = ERR_AUTH;
    if (!err) return OK;
    Buf remote buf_scoped = {0};
    log_event(LOG_LEVEL_WARN, "login_failed", KV_TEXT("service", service),
              KV_TEXT("mechanism", "account"), KV_TEXT("user", user->login),
              KV("remote", remote_of(stream, &remote)), KV("tls", stream_tls_version(stream)),
              KV_TEXT("err", err_name(err)));
    return err;
}

PARKS static Err verify(const Attempt *a, Slice given, Slice password, Buf *login, AuthUser *user)
{
    Buf prepared secret_scoped = {0};
    Memo question = {.kind = MEMO_VERIFY};
    bool sound = !login_normalise(given, login) && !saslprep(password, &prepared) &&
                 prepared.len <= KEEPER_PASSWORD_MOST;
    if (!sound) return auth_attempt_is_wrong(a, login);
    question.text[3] = buf_slice(&prepared);
    return auth_attempt(a, &question, login, user, NULL);
}

PARKS Err auth_login(Auth *auth, const char *service, Stream *stream, Slice login, Slice password,
                     AuthUser *user)
{
    Buf canonical buf_scoped = {0};
    Attempt a = {auth, service, "password", stream};
    if (!auth_plain_allowed(auth, stream)) return auth_needs_tls(service, stream);
    return verify(&a, login, password, &canonical, user);
}

PARKS Err auth_apop(Auth *auth, Stream *stream, Slice login, Slice timestamp, Slice digest,
                    AuthUser *user)
{
    Buf canonical buf_scoped = {0}, octets buf_scoped = {0};
    Attempt a = {auth, "pop3", "APOP", stream};
    bool sound = !login_normalise(login, &canonical) && hex_decode(&octets, digest) &&
                 octets.len == 16 && timestamp.len <= 512;
    if (!sound) return auth_attempt_is_wrong(&a, &canonical);
    Memo question = {
        .kind = MEMO_APOP, .text = {[3] = timestamp, [4] = buf_slice(&octets)}
    };
    return auth_attempt(&a, &question, &canonical, user, NULL);
}

/* ---- opening ---- */

/* People write their domain as they read it. */
static Slice keep_domain(Arena *a, Slice domain)
{
    Buf labels buf_scoped = {0};
    if (auth_to_a_labels(domain, &labels)) return arena_copy(a, domain);
    return arena_copy(a, buf_slice(&labels));
}

const AuthConfig *config_keep(Arena *a, const AuthConfig *config)
{
    AuthConfig *kept = arena_new(a, AuthConfig);
    *kept = *config;
    kept->dir = arena_copy(a, config->dir);
    kept->catch_all = arena_copy(a, config->catch_all);
    kept->postmaster = arena_copy(a, config->postmaster);
    kept->folder_separator = arena_copy(a, config->folder_separator);
    kept->device_separator = arena_copy(a, config->device_separator);
    kept->demo_password = arena_copy(a, config->demo_password);
    kept->anonymous = arena_copy(a, config->anonymous);
    kept->oauth.keys_path = arena_copy(a, config->oauth.keys_path);
    kept->oauth.issuer = arena_copy(a, config->oauth.issuer);
    kept->oauth.audience = arena_copy(a, config->oauth.audience);
    kept->oauth.scope = arena_copy(a, config->oauth.scope);
    kept->oauth.claim = arena_copy(a, config->oauth.claim);
    kept->oauth.discovery = arena_copy(a, config->oauth.discovery);
    Slice *domains = arena_array(a, Slice, config->domain_count + 1);
    for (size_t i = 0; i < config->domain_count; i++)
        domains[i] = keep_domain(a, config->domains[i]);
    kept->domains = domains;
    return kept;
}

void auth_reload(Auth *auth, const AuthConfig *config)
{
    atomic_store(&auth->config, config_keep(&auth->memory, config));
    if (auth->owns_keeper) keeper_reload(auth->keeper, config);
}

PARKS Err auth_open(const AuthConfig *config, Store *store, Auth **auth)
{
    Auth *new = NEW(Auth);
    atomic_store(&new->config, config_keep(&new->memory, config));
    new->store = store;
    new->keeper = config->keeper;
    new->owns_keeper = !config->keeper;
    json_seed(random_u64());
    Err err = new->owns_keeper ? keeper_open(config, &new->keeper) : OK;
    if (err)
        auth_close(new);
    else
        *auth = new;
    return err;
}

PARKS void auth_close(Auth *auth)
{
    if (!auth) return;
    if (auth->owns_keeper) keeper_close(auth->keeper);
    arena_done(&auth->memory);
    free(auth);
}
