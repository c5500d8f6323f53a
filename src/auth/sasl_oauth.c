/* OAUTHBEARER (RFC 7628) and XOAUTH2, the draft it grew out of, which clients of Google and
 * Microsoft still speak. One message with a bearer token (RFC 6750); a refusal says as JSON what
 * would do, and waits for one more message. */
#include "auth/oauth.h"
#include "auth/sasl.h"

#include "run/log.h"

bool may_oauth(const Sasl *s)
{
    const OauthConfig *c = &auth_config(s->auth)->oauth;
    return c->keys_path.len || c->introspect;
}

/* ---- grammar ---- */

#define KVSEP '\1'

/* RFC 5801 4: saslname with =2C and =3D. */
static bool read_saslname(Slice text, Buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        Slice rest = slice_from(text, i);
        if (text.at[i] != '=') {
            buf_char(out, text.at[i]);
            continue;
        }
        if (!slice_starts(rest, S("=2C")) && !slice_starts(rest, S("=3D"))) return false;
        buf_char(out, slice_starts(rest, S("=2C")) ? ',' : '=');
        i += 2;
    }
    return true;
}

/* RFC 5801 4: gs2-header = [gs2-nonstd-flag ","] gs2-cb-flag "," [gs2-authzid] ",". There is no
 * channel binding here: "n" or "y". */
static bool read_gs2_header(Slice header, Buf *authzid)
{
    Slice flag, who;
    if (!slice_cut(&header, ',', &flag) || !slice_ends(header, S(","))) return false;
    who = slice_first(header, header.len - 1);
    if (!slice_eq(flag, S("n")) && !slice_eq(flag, S("y"))) return false;
    if (!who.len) return true;
    return slice_starts(who, S("a=")) && slice_find(who, ',') == who.len &&
           read_saslname(slice_from(who, 2), authzid);
}

/* RFC 6750 2.1: credentials = "Bearer" 1*SP b64token; the scheme in any case (RFC 7628 4). */
static Slice bearer(Slice auth)
{
    if (!slice_starts_nocase(auth, S("Bearer "))) return (Slice){0};
    return slice_trim(slice_from(auth, 7));
}

/* client-resp = gs2-header kvsep *(key "=" value kvsep) kvsep. Keys that we do not know are passed
 * over (3.1); so are host and port: a server has more names than it knows of. */
static bool read_pairs(Slice rest, const char *first_key, Buf *first_value, Slice *token)
{
    Slice pair;
    bool ended = false;
    while (slice_cut(&rest, KVSEP, &pair)) {
        size_t at = slice_find(pair, '=');
        Slice key = slice_first(pair, at), value = slice_from(pair, at + 1);
        if (!pair.len) {
            ended = true;
            break;
        }
        if (at == pair.len) return false;
        if (slice_eq_nocase(key, S("auth"))) *token = bearer(value);
        if (first_key && slice_eq_nocase(key, slice_of(first_key))) buf_add(first_value, value);
    }
    return ended && !rest.len;
}

/* ---- the verdict ---- */

/* RFC 7628 3.2.2; what it calls "invalid_token" XOAUTH2 calls 401. */
static void say_error(const OauthConfig *c, bool xoauth2, Buf *out)
{
    buf_add(out, xoauth2 ? S("{\"status\":\"401\",\"schemes\":\"bearer\"")
                         : S("{\"status\":\"invalid_token\""));
    if (c->scope.len) {
        buf_add(out, S(",\"scope\":"));
        json_put_string(out, c->scope);
    }
    if (c->discovery.len && !xoauth2) {
        buf_add(out, S(",\"openid-configuration\":"));
        json_put_string(out, c->discovery);
    }
    buf_char(out, '}');
}

PARKS static SaslState try_token(Sasl *s, Slice token, Err *err)
{
    Memo question = {.kind = MEMO_TOKEN, .text = {[3] = token}};
    if (token.len > JOSE_TOKEN_MOST) return sasl_is_wrong(s, err);
    return sasl_attempt(s, &question, err);
}

PARKS static SaslState judge(Sasl *s, bool fits, Slice token, const Buf *wanted, Buf *challenge,
                             Err *err)
{
    buf_add(&s->login, slice_first(sasl_bare_login(s, buf_slice(wanted)), KEEPER_LOGIN_MOST));
    if (!fits) {
        SaslState state = sasl_is_wrong(s, err);
        *err = fail(ERR_SYNTAX, "%s: not as its grammar says", s->mechanism->name);
        return state;
    }
    if (try_token(s, token, err) == SASL_DONE) return SASL_DONE;
    if (*err != ERR_AUTH) return SASL_FAILED;
    s->verdict = ERR_AUTH;
    *err = OK;
    say_error(&auth_config(s->auth)->oauth, s->mechanism->step == step_xoauth2, challenge);
    return SASL_CONTINUE;
}

/* 3.2.3: whatever it is (a %x01, or nothing in XOAUTH2), the exchange is over. */
static SaslState end(const Sasl *s, Err *err)
{
    return sasl_failed(err, s->verdict);
}

SaslState step_oauthbearer(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    Buf authzid buf_scoped = {0};
    Slice header, token = {0};
    if (s->turn > 1) return end(s, err);
    bool fits = slice_cut(&response, KVSEP, &header) && read_gs2_header(header, &authzid) &&
                read_pairs(response, NULL, NULL, &token);
    return judge(s, fits, token, &authzid, challenge, err);
}

/* "user=" user ^A "auth=Bearer " token ^A ^A */
SaslState step_xoauth2(Sasl *s, Slice response, Buf *challenge, Err *err)
{
    Buf user buf_scoped = {0};
    Slice token = {0};
    if (s->turn > 1) return end(s, err);
    bool fits = read_pairs(response, "user", &user, &token) && user.len;
    return judge(s, fits, token, &user, challenge, err);
}
