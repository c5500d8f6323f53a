#include "auth/sasl.h"
#include "auth/prep.h"
#include "base/text.h"

#include <stdlib.h>

Sasl *sasl_new(Auth *auth, const char *service, Stream *stream)
{
    Sasl *s = NEW(Sasl);
    s->auth = auth, s->service = service, s->stream = stream;
    return s;
}

void sasl_free(Sasl *s)
{
    if (!s) return;
    buf_done(&s->login);
    arena_done(&s->arena);
    free(s);
}

const AuthUser *sasl_user(const Sasl *s)
{
    return &s->user;
}

Attempt sasl_as_attempt(const Sasl *s)
{
    return (Attempt){s->auth, s->service, s->mechanism->name, s->stream};
}

SaslState sasl_attempt(Sasl *s, Memo *question, Err *err)
{
    Attempt a = sasl_as_attempt(s);
    *err = auth_attempt(&a, question, &s->login, &s->user, NULL);
    return *err ? SASL_FAILED : SASL_DONE;
}

SaslState sasl_is_wrong(Sasl *s, Err *err)
{
    Attempt a = sasl_as_attempt(s);
    *err = auth_attempt_is_wrong(&a, &s->login);
    return SASL_FAILED;
}

/* ---- PLAIN (RFC 4616) and LOGIN ---- */

Slice sasl_bare_login(Sasl *s, Slice given)
{
    if (strcmp(s->service, "pop3") != 0) return given;
    return auth_split_login(s->auth, arena_copy(&s->arena, given), &s->suffix);
}

LoginSuffix sasl_suffix(const Sasl *s)
{
    return s->suffix;
}

PARKS static SaslState check_password(Sasl *s, Slice login, Slice password, Err *err)
{
    login = sasl_bare_login(s, login);
    *err = auth_login(s->auth, s->service, s->stream, login, password, &s->user);
    return *err ? SASL_FAILED : SASL_DONE;
}

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd. Acting for others is not for mail users:
 * authzid is nobody or oneself. */
PARKS static SaslState step_plain(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    Slice authzid, authcid;
    (void)challenge;
    if (!slice_cut(&response, '\0', &authzid) || !slice_cut(&response, '\0', &authcid) ||
        response.len == 0 || memchr(response.at, 0, response.len))
        return sasl_failed(err, fail(ERR_SYNTAX, "PLAIN: not authzid NUL authcid NUL password"));
    if (authzid.len && !slice_eq(authzid, authcid))
        return sasl_failed(err, fail(ERR_AUTH, "PLAIN: authzid is another"));
    return check_password(s, authcid, response, err);
}

/* draft-murchison-sasl-login: "Username:", "Password:"; some clients send the user name at once. */
PARKS static SaslState step_login(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    if (s->turn == 1) {
        buf_add(&s->login, response);
        buf_add(challenge, S("Password:"));
        return SASL_CONTINUE;
    }
    return check_password(s, buf_slice(&s->login), response, err);
}

/* ---- SCRAM (RFC 5802) ---- */

static bool binding_of(Slice name, ChannelBinding *type)
{
    if (slice_eq(name, S("tls-exporter")))
        *type = BINDING_TLS_EXPORTER;
    else if (slice_eq(name, S("tls-server-end-point")))
        *type = BINDING_TLS_SERVER_END_POINT;
    else if (slice_eq(name, S("tls-unique")))
        *type = BINDING_TLS_UNIQUE;
    else
        return false;
    return true;
}

/* RFC 5802 6: "y" says "you did not offer -PLUS"; on a connection where we did, somebody in the
 * middle took it away. */
static Err check_binding_flag(const Sasl *s)
{
    ChannelBinding type;
    if (((s->mechanism->needs & BINDS) != 0) != (s->first.binding == 'p'))
        return fail(ERR_AUTH, "SCRAM: channel binding flag");
    if (s->first.binding == 'p' && !binding_of(s->first.binding_name, &type))
        return fail(ERR_AUTH, "SCRAM: unsupported channel binding");
    if (s->first.binding == 'y' && stream_is_tls(s->stream))
        return fail(ERR_AUTH, "SCRAM: -PLUS was taken away");
    return OK;
}

static Slice new_nonce(Sasl *s)
{
    uint8_t raw[18];
    Buf text buf_scoped = {0};
    random_bytes(raw, sizeof raw);
    base64_encode(&text, slice(raw, sizeof raw));
    return arena_printf(&s->arena, "%.*s%.*s", SP(s->first.nonce), (int)text.len, text.at);
}

PARKS static Err ask_salt(Sasl *s, uint32_t *iterations, Buf *salt)
{
    Buf memory buf_scoped = {0};
    Memo answer, question = {.kind = MEMO_SCRAM_BEGIN,
                             .number = {(uint64_t)s->mechanism->hash},
                             .text = {buf_slice(&s->login)}};
    if (keeper_ask(s->auth->keeper, &question, &answer, &memory)) return ERR_TEMPORARY;
    *iterations = (uint32_t)answer.number[0];
    base64_encode(salt, answer.text[1]);
    Slice kept = answer.text[0];
    if (kept.len && kept.len <= s->login.len) s->login.len = kept.len; /* without our domain */
    return OK;
}

PARKS static Err scram_begin(Sasl *s, Slice response)
{
    uint32_t iterations;
    Buf salt buf_scoped = {0};
    TRY(scram_first_parse(arena_copy(&s->arena, response), &s->arena, &s->first));
    TRY(check_binding_flag(s));
    if (s->first.authzid.len && !slice_eq(s->first.authzid, s->first.username))
        return fail(ERR_AUTH, "SCRAM: authzid is another");
    TRY(login_normalise(sasl_bare_login(s, s->first.username), &s->login));
    TRY(ask_salt(s, &iterations, &salt));
    s->nonce = new_nonce(s);
    s->server_first = arena_printf(&s->arena, "r=%.*s,s=%.*s,i=%u", SP(s->nonce), (int)salt.len,
                                   salt.at, iterations);
    return OK;
}

/* c= holds the gs2-header and, with 'p', the binding's data. */
static Err check_binding(Sasl *s, Slice got)
{
    Buf wanted buf_scoped = {0};
    ChannelBinding type;
    buf_add(&wanted, s->first.header);
    if (s->first.binding == 'p') {
        must(binding_of(s->first.binding_name, &type));
        TRY(stream_channel_binding(s->stream, type, &wanted));
    }
    if (!bytes_equal_in_constant_time(got, buf_slice(&wanted)))
        return fail(ERR_AUTH, "SCRAM: the channel binding differs");
    return OK;
}

/* What is wrong whatever the password is. */
static Err check_final(Sasl *s, Slice response, ScramFinal *final)
{
    TRY(scram_final_parse(response, &s->arena, final));
    TRY(check_binding(s, final->channel_binding));
    if (!slice_eq(final->nonce, s->nonce) || final->proof.len != scram_hash_len(s->mechanism->hash))
        return fail(ERR_AUTH, "SCRAM: nonce or proof");
    return OK;
}

PARKS static SaslState wrong_as(Sasl *s, Err why, Err *err)
{
    if (why == ERR_TEMPORARY) return sasl_failed(err, why);
    SaslState state = sasl_is_wrong(s, err);
    if (why == ERR_SYNTAX) *err = ERR_SYNTAX;
    return state;
}

PARKS static SaslState scram_end(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    ScramFinal final;
    Buf signature buf_scoped = {0};
    Attempt a = sasl_as_attempt(s);
    Err why = check_final(s, response, &final);
    if (why) return wrong_as(s, why, err);
    Slice message = arena_printf(&s->arena, "%.*s,%.*s,%.*s", SP(s->first.bare),
                                 SP(s->server_first), SP(final.without_proof));
    if (message.len > SCRAM_MESSAGE_MOST) return wrong_as(s, ERR_SYNTAX, err);
    Memo question = {
        .kind = MEMO_SCRAM_END,
        .number = {(uint64_t)s->mechanism->hash},
        .text = { [3] = message,           [4] = final.proof}
    };
    *err = auth_attempt(&a, &question, &s->login, &s->user, &signature);
    if (*err) return SASL_FAILED;
    buf_add(challenge, S("v="));
    base64_encode(challenge, buf_slice(&signature));
    return SASL_CONTINUE;
}

/* Our signature goes out as one more challenge; the client answers it with nothing (RFC 5802 5, RFC
 * 9051 6.2.2). */
PARKS static SaslState step_scram(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    if (s->turn == 1) {
        Err why = scram_begin(s, response);
        if (why) return wrong_as(s, why, err);
        buf_add(challenge, s->server_first);
        return SASL_CONTINUE;
    }
    if (s->turn == 2) return scram_end(s, response, challenge, err);
    if (response.len) return sasl_failed(err, fail(ERR_SYNTAX, "SCRAM: something after the end"));
    return SASL_DONE;
}

/* ---- the table ---- */

static bool may_always(const Sasl *s)
{
    (void)s;
    return true;
}

static const Mechanism mechanisms[] = {
    {"EXTERNAL",           step_external,    may_external,  0,            0         },
    {"SCRAM-SHA-256-PLUS", step_scram,       may_always,    SCRAM_SHA256, BINDS     },
    {"SCRAM-SHA-1-PLUS",   step_scram,       may_always,    SCRAM_SHA1,   BINDS     },
    {"SCRAM-SHA-256",      step_scram,       may_always,    SCRAM_SHA256, 0         },
    {"SCRAM-SHA-1",        step_scram,       may_always,    SCRAM_SHA1,   0         },
    {"OAUTHBEARER",        step_oauthbearer, may_oauth,     0,            PLAIN_TEXT},
    {"XOAUTH2",            step_xoauth2,     may_oauth,     0,            PLAIN_TEXT},
    {"PLAIN",              step_plain,       may_always,    0,            PLAIN_TEXT},
    {"LOGIN",              step_login,       may_always,    0,            PLAIN_TEXT},
    {"ANONYMOUS",          step_anonymous,   may_anonymous, 0,            0         },
};

static Err is_offered(const Sasl *s, const Mechanism *m)
{
    if (!m->may(s)) return fail(ERR_UNSUPPORTED, "%s is not offered", m->name);
    if ((m->needs & BINDS) && !stream_is_tls(s->stream))
        return fail(ERR_UNSUPPORTED, "channel binding needs TLS");
    if ((m->needs & PLAIN_TEXT) && !auth_plain_allowed(s->auth, s->stream))
        return auth_needs_tls(s->service, s->stream);
    return OK;
}

void sasl_mechanisms(Auth *auth, const char *service, Stream *stream, const char *prefix, char sep,
                     Buf *out)
{
    const Sasl s = {.auth = auth, .service = service, .stream = stream};
    bool first = true;
    for (size_t i = 0; i < COUNT(mechanisms); i++) {
        if (is_offered(&s, &mechanisms[i])) continue;
        if (!first) buf_char(out, sep);
        first = false;
        buf_printf(out, "%s%s", prefix, mechanisms[i].name);
    }
}

static const Mechanism *mechanism_find(Slice name)
{
    for (size_t i = 0; i < COUNT(mechanisms); i++)
        if (slice_eq_nocase(name, slice_of(mechanisms[i].name))) return &mechanisms[i];
    return NULL;
}

PARKS SaslState sasl_step(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    s->turn++;
    *err = OK;
    return s->mechanism->step(s, response, challenge, err);
}

PARKS SaslState sasl_start(Sasl *s, Slice mechanism, const Slice *initial, Buf *challenge, Err *err)
{
    s->mechanism = mechanism_find(mechanism);
    if (!s->mechanism)
        return sasl_failed(err, fail(ERR_UNSUPPORTED, "no mechanism %.*s", SP(mechanism)));
    *err = is_offered(s, s->mechanism);
    if (*err) return SASL_FAILED;
    if (initial) return sasl_step(s, *initial, challenge, err);
    if (s->mechanism->step == step_login) buf_add(challenge, S("Username:"));
    return SASL_CONTINUE;
}
