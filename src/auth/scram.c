#include "auth/scram.h"

#include "base/scan.h"
#include "base/text.h"

static bool is_value(unsigned char c)
{
    return c != ',' && c != 0;
}

/* printable = %x21-2B / %x2D-7E */
static bool is_nonce(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != ',';
}

/* saslname = 1*(value-safe-char / "=2C" / "=3D") */
static Slice saslname(Scan *s, Arena *a)
{
    Slice raw = scan_while(s, is_value);
    char *out = arena_alloc(a, raw.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.at[i] != '=') {
            out[len++] = raw.at[i];
            continue;
        }
        Slice code = slice_first(slice_from(raw, i), 3);
        if (slice_eq(code, S("=2C")))
            out[len++] = ',';
        else if (slice_eq(code, S("=3D")))
            out[len++] = '=';
        else
            scan_fail(s);
        i += 2;
    }
    if (!len || !utf8_is_valid(slice(out, len))) scan_fail(s);
    return slice(out, len);
}

/* gs2-cbind-flag = ("p=" cb-name) / "n" / "y" */
static void binding_flag(Scan *s, ScramFirst *out)
{
    if (scan_see(s, 'p')) {
        scan_need(s, '=');
        out->binding = 'p';
        out->binding_name = scan_while(s, is_nonce);
    } else if (scan_see(s, 'y')) {
        out->binding = 'y';
    } else {
        scan_need(s, 'n');
        out->binding = 'n';
    }
}

/* client-first-message = gs2-header client-first-message-bare; a mandatory extension m= is one we
 * do not know */
Err scram_first_parse(Slice message, Arena *a, ScramFirst *out)
{
    Scan s = scan(message);
    *out = (ScramFirst){0};
    binding_flag(&s, out);
    scan_need(&s, ',');
    if (scan_see(&s, 'a')) {
        scan_need(&s, '=');
        out->authzid = saslname(&s, a);
    }
    scan_need(&s, ',');
    out->header = slice(message.at, (size_t)(s.at - message.at));
    out->bare = slice(s.at, (size_t)(s.end - s.at));
    scan_need_word(&s, S("n="));
    out->username = saslname(&s, a);
    scan_need_word(&s, S(",r="));
    out->nonce = scan_while(&s, is_nonce);
    if (!out->nonce.len || out->nonce.len > SCRAM_NONCE_MOST) scan_fail(&s);
    while (scan_see(&s, ','))
        scan_while(&s, is_value); /* optional extensions */
    return scan_end(&s);
}

static Slice decoded(Scan *s, Slice text, Arena *a)
{
    Buf out buf_scoped = {0};
    if (!base64_decode(&out, text)) scan_fail(s);
    return arena_copy(a, buf_slice(&out));
}

/* client-final-message = "c=" base64 "," "r=" nonce ["," extensions] "," "p=" base64 */
Err scram_final_parse(Slice message, Arena *a, ScramFinal *out)
{
    Scan s = scan(message);
    *out = (ScramFinal){0};
    scan_need_word(&s, S("c="));
    out->channel_binding = decoded(&s, scan_while(&s, is_value), a);
    scan_need_word(&s, S(",r="));
    out->nonce = scan_while(&s, is_nonce);
    while (scan_is_ok(&s)) {
        out->without_proof = slice(message.at, (size_t)(s.at - message.at));
        scan_need(&s, ',');
        if (scan_see_word(&s, S("p="))) break;
        if (!scan_while(&s, is_value).len) scan_fail(&s);
    }
    out->proof = decoded(&s, scan_while(&s, is_value), a);
    return scan_end(&s);
}
