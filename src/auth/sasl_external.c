/* EXTERNAL, RFC 4422 appendix A: who one is has been shown by a TLS client certificate. ANONYMOUS,
 * RFC 4505: who one is does not matter. */
#include "auth/sasl.h"

#include "base/text.h"
#include "run/log.h"

/* ---- EXTERNAL ---- */

static size_t names_of(const Sasl *s, Arena *a, Slice **names)
{
    bool subject = auth_config(s->auth)->certificate_subject;
    return stream_client_names(s->stream, subject ? CLIENT_COMMON_NAME : CLIENT_ADDRESS, a, names);
}

bool may_external(const Sasl *s)
{
    Arena a arena_scoped = {0};
    Slice *names;
    return auth_config(s->auth)->certificates && names_of(s, &a, &names);
}

/* RFC 4422 A.1: the response is who to be, or empty for whom the certificate names. Nobody becomes
 * somebody else. */
PARKS static Err identify(Sasl *s, Slice wanted)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count = names_of(s, &a, &names);
    must(count); /* or it would not be offered */
    wanted = sasl_bare_login(s, wanted);
    if (!wanted.len) return auth_canonical_login(s->auth, names[0], &s->login);
    TRY(auth_canonical_login(s->auth, wanted, &s->login));
    for (size_t i = 0; i < count; i++) {
        Buf login buf_scoped = {0};
        Err err = auth_canonical_login(s->auth, names[i], &login);
        if (!err && slice_eq(buf_slice(&login), buf_slice(&s->login))) return OK;
    }
    return fail(ERR_AUTH, "EXTERNAL: the certificate is somebody else's");
}

SaslState step_external(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    Memo vouch = {.kind = MEMO_VOUCH, .number = {VOUCH_CERTIFICATE}};
    (void)challenge;
    return identify(s, response) ? sasl_is_wrong(s, err) : sasl_attempt(s, &vouch, err);
}

/* ---- ANONYMOUS ---- */

bool may_anonymous(const Sasl *s)
{
    return auth_config(s->auth)->anonymous.len && !strcmp(s->service, "imap");
}

/* 2: token = 1*255TCHAR, in UTF-8, or an address */
static bool is_trace(Slice trace)
{
    return trace.len <= 4 * 255 && utf8_is_valid(trace) && !text_has_ctl(trace);
}

SaslState step_anonymous(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    (void)challenge;
    if (!is_trace(response)) return sasl_failed(err, fail(ERR_SYNTAX, "ANONYMOUS: not a trace"));
    log_event(LOG_LEVEL_INFO, "anonymous", KV_TEXT("service", s->service), KV("trace", response));
    Memo vouch = {.kind = MEMO_VOUCH, .number = {VOUCH_ANONYMOUS}};
    buf_add(&s->login, auth_config(s->auth)->anonymous);
    SaslState state = sasl_attempt(s, &vouch, err);
    s->user.guest = true;
    return state;
}
