/* AUTHORIZATION (RFC 1939 4): who the client is. */
#include "base/text.h"
#include "pop3/session.h"

/* RFC 6856 2.2: not UTF-8 is refused; the rest of the preparation is auth's. The name is not looked
 * up before the password is there. */
PARKS void pop3_user(Pop3 *s, Slice name)
{
    if (!auth_plain_allowed(s->config->auth, s->stream)) {
        pop3_say_err(s, auth_needs_tls("pop3", s->stream));
        return;
    }
    if (!utf8_is_valid(name) || text_has_ctl(name)) {
        pop3_mistake(s, "[AUTH] A user name is UTF-8 text");
        return;
    }
    buf_clear(&s->user);
    buf_add(&s->user, name);
    pop3_ok(s, "And the password?");
}

PARKS void pop3_pass(Pop3 *s, Slice password)
{
    AuthUser who;
    if (!s->user.len) {
        pop3_err(s, "USER first");
        return;
    }
    LoginSuffix suffix;
    Slice login = auth_split_login(s->config->auth, buf_slice(&s->user), &suffix);
    Err err = auth_login(s->config->auth, "pop3", s->stream, login, password, &who);
    stream_forget(s->stream); /* the password is in what came in */
    if (!err) pop3_is_known(s, &who, &suffix);
    buf_clear(&s->user); /* RFC 1939 7: after a failed PASS it is USER again */
    if (err) pop3_say_err(s, err);
}

/* RFC 1939 7: APOP name digest, the MD5 of the banner's timestamp and the password. */
PARKS void pop3_apop(Pop3 *s, Slice text)
{
    AuthUser who;
    size_t end = slice_find(text, ' ');
    if (!s->config->apop) {
        pop3_mistake(s, "APOP is not offered");
        return;
    }
    Slice name = slice_first(text, end), digest = slice_from(text, end + 1);
    LoginSuffix suffix;
    name = auth_split_login(s->config->auth, name, &suffix);
    Err err = auth_apop(s->config->auth, s->stream, name, buf_slice(&s->timestamp), digest, &who);
    if (err)
        pop3_say_err(s, err);
    else
        pop3_is_known(s, &who, &suffix);
}

/* ---- AUTH, RFC 5034 ---- */

/* What Outlook asks, and many answer: AUTH alone. */
static void list_mechanisms(Pop3 *s)
{
    Buf *out = stream_out(s->stream), names buf_scoped = {0};
    pop3_ok(s, "Mechanisms follow");
    sasl_mechanisms(s->config->auth, "pop3", s->stream, "", ' ', &names);
    Slice rest = buf_slice(&names);
    for (Slice name; slice_cut(&rest, ' ', &name);)
        buf_printf(out, "%.*s\r\n", SP(name));
    buf_add(out, S(".\r\n"));
}

static void send_challenge(Pop3 *s, Buf *challenge)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("+ "));
    base64_encode(out, buf_slice(challenge));
    buf_add(out, S("\r\n"));
    buf_clear(challenge);
}

/* The client's next response, decoded. ERR_END: the stream is over; ERR_CONFLICT: "*", it gave up.
 */
PARKS static Err read_response(Pop3 *s, Buf *response)
{
    Slice line;
    buf_clear(response);
    LineEnd end = pop3_line(s, &line);
    if (end == LINE_NONE) return ERR_END;
    if (end == LINE_TOO_LONG) return fail(ERR_LIMIT, "a response too long");
    if (slice_eq(line, S("*"))) return fail(ERR_CONFLICT, "given up");
    bool good = base64_decode(response, line);
    stream_forget(s->stream);
    return good ? OK : fail(ERR_SYNTAX, "not base64");
}

PARKS static Err exchange(Pop3 *s, Sasl *sasl, Slice mechanism, const Slice *initial)
{
    Buf challenge buf_scoped = {0}, response secret_scoped = {0};
    Err err = OK;
    SaslState state = sasl_start(sasl, mechanism, initial, &challenge, &err);
    while (state == SASL_CONTINUE && !err) {
        send_challenge(s, &challenge);
        err = read_response(s, &response);
        if (!err) state = sasl_step(sasl, buf_slice(&response), &challenge, &err);
    }
    return state == SASL_DONE ? OK : err;
}

static void say_auth_err(Pop3 *s, Err err)
{
    if (err == ERR_END)
        pop3_say_why_over(s);
    else if (err == ERR_CONFLICT)
        pop3_err(s, "Given up");
    else if (err == ERR_UNSUPPORTED)
        pop3_mistake(s, "No such mechanism");
    else if (err == ERR_SYNTAX || err == ERR_LIMIT)
        pop3_mistake(s, "Bad response");
    else
        pop3_say_err(s, err);
}

/* AUTH mechanism [initial-response] */
PARKS void pop3_auth(Pop3 *s, Slice text)
{
    Buf decoded secret_scoped = {0};
    if (!text.len) {
        list_mechanisms(s);
        return;
    }
    size_t end = slice_find(text, ' ');
    Slice mechanism = arena_copy(&s->arena, slice_first(text, end));
    Slice initial = slice_from(text, end + 1), octets;
    bool has_initial = end < text.len;
    if (has_initial && !slice_eq(initial, S("=")) && !base64_decode(&decoded, initial)) {
        pop3_mistake(s, "Bad initial response");
        return;
    }
    octets = buf_slice(&decoded);
    stream_forget(s->stream);
    Sasl *sasl scoped(sasl) = sasl_new(s->config->auth, "pop3", s->stream);
    Err err = exchange(s, sasl, mechanism, has_initial ? &octets : NULL);
    LoginSuffix suffix = sasl_suffix(sasl);
    if (err)
        say_auth_err(s, err);
    else
        pop3_is_known(s, sasl_user(sasl), &suffix);
}
