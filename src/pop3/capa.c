/* What the server can do and in which language: CAPA, LANG, UTF8, STLS. */
#include "net/refusal.h"
#include "pop3/session.h"

/* ---- CAPA, RFC 2449 5: the table is capability.def ---- */

static bool always(const Pop3 *s)
{
    (void)s;
    return true;
}

static bool takes_passwords(const Pop3 *s)
{
    return auth_plain_allowed(s->config->auth, s->stream);
}

static bool offers_tls(const Pop3 *s)
{
    return s->config->tls && !stream_is_tls(s->stream);
}

static bool delays(const Pop3 *s)
{
    return s->config->login_delay_s > 0;
}

static void no_values(const Pop3 *s, Buf *out)
{
    (void)s;
    (void)out;
}

/* RFC 5034 3: it stays after the login, though AUTH does not. */
static void put_mechanisms(const Pop3 *s, Buf *out)
{
    buf_char(out, ' ');
    sasl_mechanisms(s->config->auth, "pop3", s->stream, "", ' ', out);
}

static void put_delay(const Pop3 *s, Buf *out)
{
    buf_printf(out, " %u", (unsigned)s->config->login_delay_s);
}

/* RFC 2449 6.7: before the login the smallest value that any account may have. */
static void put_expire(const Pop3 *s, Buf *out)
{
    if (s->state == AUTHORIZATION)
        buf_add(out, S(" 0 USER"));
    else if (!s->pref.keep_retrieved && !is_device(s))
        buf_add(out, S(" 0"));
    else if (s->pref.expire_days == POP3_NEVER)
        buf_add(out, S(" NEVER"));
    else
        buf_printf(out, " %d", s->pref.expire_days);
}

/* User names and passwords may be UTF-8, too (RFC 6856 2). */
static void put_user(const Pop3 *s, Buf *out)
{
    (void)s;
    buf_add(out, S(" USER"));
}

static void put_program(const Pop3 *s, Buf *out)
{
    (void)s;
    buf_add(out, S(" posthouse"));
}

static const struct {
    Slice name;
    Pop3State state;
    bool (*when)(const Pop3 *s);
    void (*put_values)(const Pop3 *s, Buf *out);
} capabilities[] = {
#define CAPABILITY(name_, state_, when_, values_, rfc_) {S(name_), state_, when_, values_},
#include "pop3/capability.def"
#undef CAPABILITY
};

PARKS void pop3_capa(Pop3 *s, Slice nothing)
{
    (void)nothing;
    Buf *out = stream_out(s->stream);
    pop3_ok(s, "Capabilities follow");
    for (size_t i = 0; i < COUNT(capabilities); i++) {
        if (!(capabilities[i].state & s->state) || !capabilities[i].when(s)) continue;
        buf_add(out, capabilities[i].name);
        capabilities[i].put_values(s, out);
        buf_add(out, S("\r\n"));
    }
    buf_add(out, S(".\r\n"));
}

/* RFC 6856 3 */
static void list_languages(Pop3 *s)
{
    Buf *out = stream_out(s->stream);
    pop3_ok(s, "Languages follow");
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        buf_printf(out, "%.*s %.*s\r\n", SP(language_tag((Language)i)),
                   SP(language_name((Language)i)));
    buf_add(out, S(".\r\n"));
}

/* The answer is in the new language already, or in the old one if there is no other. */
PARKS void pop3_lang(Pop3 *s, Slice range)
{
    Language found;
    if (!range.len) {
        list_languages(s);
    } else if (language_find(range, &found)) {
        s->language = found;
        Slice said = language_say(found, S("Language changed"), &s->arena);
        pop3_ok(s, "%.*s %.*s", SP(language_tag(found)), SP(said));
    } else {
        pop3_err(s, "No such language here");
    }
}

PARKS void pop3_utf8(Pop3 *s, Slice nothing)
{
    (void)nothing;
    s->utf8 = true;
    pop3_ok(s, "UTF8 enabled");
}

/* RFC 2595 4: nothing learned in plain text counts afterwards, and octets sent behind the command
 * are thrown away by stream_start_tls. RFC 6856 2.1: not after UTF8. */
PARKS void pop3_stls(Pop3 *s, Slice nothing)
{
    (void)nothing;
    if (!offers_tls(s)) {
        pop3_err(s, stream_is_tls(s->stream) ? "TLS is on already" : "TLS is not offered");
        return;
    }
    if (s->utf8) {
        pop3_err(s, "Not after UTF8");
        return;
    }
    TlsContext *ctx scoped(tls) = s->config->tls();
    if (!ctx) {
        pop3_err(s, "[SYS/TEMP] TLS is not available now");
        return;
    }
    pop3_ok(s, "Begin TLS");
    Err err = stream_start_tls(s->stream, ctx);
    if (err) refusal_tls(s->stream, "pop3", err);
    s->over = err != OK;
    buf_clear(&s->user);
}
