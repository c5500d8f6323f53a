/* STARTTLS, LOGIN, AUTHENTICATE: from a stranger to somebody we know. */
#include "base/text.h"
#include "imap/session.h"
#include "net/refusal.h"

/* RFC 9051 6.2.1: starttls = "STARTTLS". What was sent behind it in the clear is thrown away, or
 * somebody on the wire could slip commands into the protected part. */
Err imap_cmd_starttls(Imap *s)
{
    TRY(imap_end(s->in));
    if (stream_is_tls(s->stream)) return imap_bad(s, "TLS is active already");
    TlsContext *tls scoped(tls) = s->config->tls ? s->config->tls() : NULL;
    if (!tls) return imap_bad(s, "STARTTLS is not offered");
    (void)imap_ok(s, "Begin TLS negotiation now");
    (void)stream_flush(s->stream);
    Err err = stream_start_tls(s->stream, tls); /* a failure sticks and ends the session */
    if (err) refusal_tls(s->stream, "imap", err);
    return err;
}

/* The arena is ours; what came in still has it, too. */
static void forget(Imap *s, Slice secret)
{
    wipe((char *)(uintptr_t)secret.at, secret.len);
    stream_forget(s->stream);
}

/* RFC 9051 6.2.3: login = "LOGIN" SP userid SP password */
Err imap_cmd_login(Imap *s)
{
    imap_space(s->in);
    Slice login = imap_astring(s->in);
    imap_space(s->in);
    Slice password = imap_astring(s->in);
    TRY(imap_end(s->in));
    AuthUser user;
    Err err = auth_login(s->config->auth, "imap", s->stream, login, password, &user);
    forget(s, password);
    return err ? err : imap_welcome(s, &user);
}

/* base64, or "=" for an empty initial response (RFC 4959). ERR_SYNTAX. */
static Err decode_response(Slice text, Buf *octets)
{
    buf_clear(octets);
    if (base64_decode(octets, text)) return OK;
    return fail(ERR_SYNTAX, "this is not base64");
}

PARKS static Err next_response(Imap *s, const Buf *challenge, Buf *response)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("+ "));
    base64_encode(out, buf_slice(challenge));
    buf_add(out, S("\r\n"));
    TRY(stream_flush(s->stream));
    Slice line;
    TRY(imap_line(s->in, &line));
    if (slice_eq(line, S("*"))) return fail(ERR_SYNTAX, "AUTHENTICATE cancelled");
    Err err = decode_response(line, response);
    forget(s, line);
    return err;
}

/* RFC 9051 6.2.2: authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64) */
Err imap_cmd_authenticate(Imap *s)
{
    imap_space(s->in);
    Slice mechanism = imap_atom(s->in), initial = {0};
    bool has_initial = imap_see(s->in, " ");
    if (has_initial) initial = scan_rest(&s->in->scan);
    TRY(imap_end(s->in));

    Sasl *sasl scoped(sasl) = sasl_new(s->config->auth, "imap", s->stream);
    Buf response secret_scoped = {0}, challenge buf_scoped = {0};
    Err err = OK;
    if (has_initial && !slice_eq(initial, S("="))) TRY(decode_response(initial, &response));
    forget(s, initial);
    Slice first = buf_slice(&response);
    SaslState state = sasl_start(sasl, mechanism, has_initial ? &first : NULL, &challenge, &err);
    while (state == SASL_CONTINUE) {
        TRY(next_response(s, &challenge, &response));
        buf_clear(&challenge);
        state = sasl_step(sasl, buf_slice(&response), &challenge, &err);
    }
    return state == SASL_DONE ? imap_welcome(s, sasl_user(sasl)) : err;
}
