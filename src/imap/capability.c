/* CAPABILITY, ENABLE, ID: who can do what. */
#include "imap/session.h"

typedef enum {
    ALWAYS,
    CAN_START_TLS,
    NO_PLAIN_LOGIN,
    NOT_DEFLATED,
    CAN_UNAUTHENTICATE,
    UTF8_OPTIONAL,
    UTF8_REQUIRED,
    URLAUTH_ON,
    REFERS_LOGINS,
    REFERS_MAILBOXES,
    GMAIL,
    LIMITS,
    LIMITS_SAVING
} When;

/* clang-format off */
static const struct {
    Slice name;
    unsigned states;
    When when;
    unsigned enables;
} capabilities[] = {
#define CAPABILITY(name, states, when, enables, rfc) \
    {{name, sizeof(name) - 1}, (states), (when), (enables)},
#include "imap/capability.def"
#undef CAPABILITY
};
/* clang-format on */

static bool holds(const Imap *s, When when)
{
    switch (when) {
    case ALWAYS:
        return true;
    case CAN_START_TLS:
        return s->config->tls && !stream_is_tls(s->stream);
    case REFERS_LOGINS:
        return s->config->login_referral_count > 0;
    case REFERS_MAILBOXES:
        return s->config->mailbox_referral_count > 0;
    case GMAIL:
        return s->config->gmail;
    case LIMITS:
        return s->config->message_limit;
    case LIMITS_SAVING: /* RFC 9738 3: one of the two */
        return s->config->save_limit && !s->config->message_limit;
    case URLAUTH_ON:
        return s->config->urlauth;
    case UTF8_OPTIONAL:
        return !s->config->utf8_only;
    case UTF8_REQUIRED:
        return s->config->utf8_only;
    case NOT_DEFLATED:
        return !stream_is_deflated(s->stream);
    case CAN_UNAUTHENTICATE:
        return s->config->unauthenticate;
    case NO_PLAIN_LOGIN:
        return !auth_plain_allowed(s->config->auth, s->stream);
    }
    return false;
}

static uint64_t limit_of(const Imap *s, When when)
{
    if (when == LIMITS) return s->config->message_limit;
    return when == LIMITS_SAVING ? s->config->save_limit : imap_append_limit(s);
}

void imap_put_capabilities(const Imap *s, Buf *out)
{
    buf_reserve(out, 1024);
    buf_add(out, S("CAPABILITY"));
    for (size_t i = 0; i < COUNT(capabilities); i++) {
        if (!(capabilities[i].states & s->state) || !holds(s, capabilities[i].when)) continue;
        buf_char(out, ' ');
        buf_add(out, capabilities[i].name);
        if (slice_ends(capabilities[i].name, S("LIMIT=")))
            buf_number(out, limit_of(s, capabilities[i].when));
    }
    if (s->state == STRANGER) { /* SCRAM is always there */
        buf_char(out, ' ');
        sasl_mechanisms(s->config->auth, "imap", s->stream, "AUTH=", ' ', out);
    }
}

/* RFC 9051 6.1.1: capability = "CAPABILITY" */
Err imap_cmd_capability(Imap *s)
{
    TRY(imap_end(s->in));
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* "));
    imap_put_capabilities(s, out);
    buf_add(out, S("\r\n"));
    return imap_ok(s, "CAPABILITY completed");
}

void imap_enable(Imap *s, unsigned enabled)
{
    if (enabled & ENABLED_CONDSTORE) imap_use_condstore(s);
    s->enabled |= enabled;
    if (imap_has(s, ENABLED_REV2 | ENABLED_UTF8)) s->in->utf8 = true; /* RFC 9051 5.1 */
}

/* RFC 9051 6.3.1: enable = "ENABLE" 1*(SP capability). What we do not know is passed over: clients
 * send names that were never advertised. */
Err imap_cmd_enable(Imap *s)
{
    Buf enabled buf_scoped = {0};
    unsigned bits = 0;
    do {
        imap_space(s->in);
        Slice name = imap_atom(s->in);
        for (size_t i = 0; i < COUNT(capabilities); i++) {
            if (!capabilities[i].enables || !slice_eq_nocase(capabilities[i].name, name)) continue;
            if ((bits & capabilities[i].enables) != capabilities[i].enables)
                buf_printf(&enabled, " %.*s", SP(capabilities[i].name));
            bits |= capabilities[i].enables;
        }
    } while (imap_peek(s->in) == ' ');
    TRY(imap_end(s->in));

    imap_say(s, "ENABLED%.*s", SP(buf_slice(&enabled)));
    imap_enable(s, bits);
    if (bits & ENABLED_METADATA) imap_notify_metadata(s);
    return imap_ok(s, "ENABLE completed");
}

/* RFC 9051 6.1.2: noop = "NOOP"; the news are told with the answer. */
Err imap_cmd_noop(Imap *s)
{
    TRY(imap_end(s->in));
    return imap_ok(s, "NOOP completed");
}

/* RFC 3501 6.4.1: check = "CHECK"; every change is on disk when it is acknowledged. */
Err imap_cmd_check(Imap *s)
{
    TRY(imap_end(s->in));
    return imap_ok(s, "CHECK completed");
}

/* RFC 9051 6.1.3: logout = "LOGOUT" */
Err imap_cmd_logout(Imap *s)
{
    TRY(imap_end(s->in));
    imap_say(s, "BYE Logging out");
    (void)imap_ok(s, "LOGOUT completed");
    s->state = LEAVING;
    return OK;
}

/* RFC 9051 6.3.10: namespace-command = "NAMESPACE": personal, other users', shared. */
Err imap_cmd_namespace(Imap *s)
{
    TRY(imap_end(s->in));
    imap_say(s, "NAMESPACE ((\"\" \"/\")) %s %s",
             s->config->shared_namespace ? "((\"Shared/\" \"/\"))" : "NIL",
             s->config->public_account.len ? "((\"Public/\" \"/\"))" : "NIL");
    return imap_ok(s, "NAMESPACE completed");
}
