#include "auth/oauth.h"
#include "auth/prep.h"
#include "auth/state.h"
#include "base/text.h"
#include "run/log.h"

#include <stdlib.h>

/* On a Unix socket nobody listens in. Our own end tells what it is, even when the peer has gone. */
bool auth_plain_allowed(const Auth *auth, const Stream *stream)
{
    return auth_config(auth)->plain_without_tls || stream_is_tls(stream) ||
           stream_local(stream).port == 0;
}

void keeper_request_free(KeeperRequest *q)
{
    if (!q) return;
    wipe(q, sizeof *q);
    free(q);
}

Err keeper_request(KeeperAsk ask, Slice login, Slice password, KeeperRequest **out)
{
    if (!login.len || login.len > KEEPER_LOGIN_MOST || memchr(login.at, 0, login.len))
        return fail(ERR_SYNTAX, "a login of %zu octets", login.len);
    if (password.len > KEEPER_PASSWORD_MOST)
        return fail(ERR_SYNTAX, "a password of %zu octets", password.len);
    KeeperRequest *q = NEW(KeeperRequest);
    q->ask = (uint8_t)ask;
    memcpy(q->login, login.at, login.len);
    if (password.len) memcpy(q->password, password.at, password.len);
    q->password_len = (uint16_t)password.len;
    *out = q;
    return OK;
}

PARKS Err auth_account(Auth *auth, Slice login, uint32_t *acct)
{
    Err err = store_find_account(auth->store, login, acct);
    if (err != ERR_NOT_FOUND || !keeper_is_demo(&auth->demo, login)) return err;
    err = store_create_account(auth->store, login, acct);
    return err == ERR_EXISTS ? store_find_account(auth->store, login, acct) : err;
}

PARKS static bool has_credential(Auth *auth, Slice login)
{
    KeeperRequest *ask scoped(request) = NULL;
    KeeperReply reply;
    if (keeper_request(KEEPER_HAS, login, (Slice){0}, &ask)) return false;
    keeper_ask(auth->keeper, ask, &reply);
    return !reply.err;
}

PARKS Err auth_canonical_login(Auth *auth, Slice given, Buf *login)
{
    TRY(login_normalise(given, login));
    Slice whole = buf_slice(login);
    size_t at = slice_find_last(whole, '@');
    if (at == whole.len || !auth_is_local_domain(auth, slice_from(whole, at + 1))) return OK;
    if (!has_credential(auth, whole)) login->len = at;
    return OK;
}

static Slice remote_of(Stream *stream, Buf *out)
{
    Address peer = stream_peer(stream);
    address_print(out, &peer);
    return buf_slice(out);
}

PARKS Err auth_attempt_begins(Auth *auth, Stream *stream)
{
    Buf remote buf_scoped = {0};
    return auth->throttle ? throttle_begin(auth->throttle, remote_of(stream, &remote)) : OK;
}

void auth_attempt_abandoned(Auth *auth, const char *service, const char *mechanism, Stream *stream,
                            Slice login, bool failed)
{
    Buf remote buf_scoped = {0};
    remote_of(stream, &remote);
    if (auth->throttle && failed)
        (void)throttle_end(auth->throttle, buf_slice(&remote), login, true);
    else if (auth->throttle)
        throttle_abandon(auth->throttle, buf_slice(&remote));
    if (failed)
        log_event(LOG_LEVEL_WARN, "login_failed", KV_TEXT("service", service),
                  KV_TEXT("mechanism", mechanism), KV("user", login),
                  KV("remote", buf_slice(&remote)), KV("tls", stream_tls_version(stream)),
                  KV_TEXT("err", err_name(ERR_AUTH)));
}

PARKS Err auth_attempt_ends(Auth *auth, const char *service, const char *mechanism, Stream *stream,
                            Slice login, Err err, AuthUser *user)
{
    Buf remote buf_scoped = {0};
    remote_of(stream, &remote);
    if (err == ERR_NOT_FOUND || err == ERR_SYNTAX) err = ERR_AUTH;
    if (auth->throttle) {
        int64_t pause = throttle_end(auth->throttle, buf_slice(&remote), login, err == ERR_AUTH);
        if (pause) fiber_sleep(pause);
    }
    log_event(err ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, err ? "login_failed" : "login",
              KV_TEXT("service", service), KV_TEXT("mechanism", mechanism), KV("user", login),
              KV("remote", buf_slice(&remote)), KV("tls", stream_tls_version(stream)),
              KV_TEXT("err", err ? err_name(err) : "none"));
    if (err) return err;
    *user = (AuthUser){0};
    must(login.len < sizeof user->login);
    memcpy(user->login, login.at, login.len);
    return OK;
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

PARKS static Err verify(Auth *auth, Slice given, Slice password, Buf *login)
{
    Buf prepared buf_scoped = {0};
    KeeperRequest *ask scoped(request) = NULL;
    KeeperReply reply;
    Err err = auth_canonical_login(auth, given, login);
    if (!err) err = saslprep(password, &prepared);
    if (!err) err = keeper_request(KEEPER_VERIFY, buf_slice(login), buf_slice(&prepared), &ask);
    if (prepared.at) wipe(prepared.at, prepared.len);
    if (err) return ERR_AUTH;
    keeper_ask(auth->keeper, ask, &reply);
    return reply.err;
}

PARKS Err auth_login(Auth *auth, const char *service, Stream *stream, Slice login, Slice password,
                     AuthUser *user)
{
    if (!auth_plain_allowed(auth, stream))
        return fail(ERR_NEEDS_TLS, "plain-text passwords only with TLS");
    TRY(auth_attempt_begins(auth, stream));
    Buf canonical buf_scoped = {0};
    Err err = verify(auth, login, password, &canonical);
    return auth_attempt_ends(auth, service, "password", stream, buf_slice(&canonical), err, user);
}

PARKS static Err check_digest(Auth *auth, Slice given, Slice timestamp, Slice digest, Buf *login)
{
    Buf octets buf_scoped = {0};
    KeeperRequest *ask scoped(request) = NULL;
    KeeperReply reply;
    TRY(auth_canonical_login(auth, given, login));
    TRY(keeper_request(KEEPER_APOP, buf_slice(login), (Slice){0}, &ask));
    if (!hex_decode(&octets, digest) || octets.len != 16 || timestamp.len > sizeof ask->message)
        return fail(ERR_AUTH, "APOP: not a digest");
    memcpy(ask->message, timestamp.at, timestamp.len);
    ask->message_len = (uint16_t)timestamp.len;
    memcpy(ask->proof, octets.at, octets.len);
    keeper_ask(auth->keeper, ask, &reply);
    return reply.err;
}

PARKS Err auth_apop(Auth *auth, Stream *stream, Slice login, Slice timestamp, Slice digest,
                    AuthUser *user)
{
    Buf canonical buf_scoped = {0};
    TRY(auth_attempt_begins(auth, stream));
    Err err = check_digest(auth, login, timestamp, digest, &canonical);
    return auth_attempt_ends(auth, "pop3", "APOP", stream, buf_slice(&canonical), err, user);
}

/* ---- opening ---- */

/* People write their domain as they read it. */
static Slice keep_domain(Arena *a, Slice domain)
{
    Buf labels buf_scoped = {0};
    if (auth_to_a_labels(domain, &labels)) return arena_copy(a, domain);
    return arena_copy(a, buf_slice(&labels));
}

static const AuthConfig *keep_config(Auth *auth, const AuthConfig *config)
{
    Arena *a = &auth->memory;
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
    atomic_store(&auth->config, kept);
    return kept;
}

void auth_reload(Auth *auth, const AuthConfig *config)
{
    keep_config(auth, config);
}

PARKS Err auth_open(const AuthConfig *config, Store *store, Auth **auth)
{
    Auth *new = NEW(Auth);
    config = keep_config(new, config);
    new->store = store;
    new->demo = (KeeperConfig){.dir = config->dir,
                               .argon2_memory_kib = config->argon2_memory_kib,
                               .argon2_passes = config->argon2_passes,
                               .scram_iterations = config->scram_iterations,
                               .demo_accounts = config->demo_accounts,
                               .demo_password = config->demo_password,
                               .reversible = config->reversible};
    if (config->throttle) new->throttle = throttle_new();
    json_seed(random_u64());
    new->oauth = oauth_new();
    Err err = oauth_load(new->oauth, &config->oauth);
    if (!err) err = keeper_open(&new->demo, &new->keeper);
    if (err) {
        auth_close(new);
        return err;
    }
    *auth = new;
    return OK;
}

PARKS void auth_close(Auth *auth)
{
    if (!auth) return;
    keeper_close(auth->keeper);
    throttle_free(auth->throttle);
    oauth_free(auth->oauth);
    arena_done(&auth->memory);
    free(auth);
}
