/* Commands that are not about a message: greetings, TLS, help. */
#include "net/refusal.h"
#include "run/log.h"
#include "smtp/session.h"

PARKS static bool greet(Smtp *s, Slice host, bool extended)
{
    if (!smtp_is_host(host)) {
        smtp_reply(s, 501, "5.5.4 Say your host name or [address]");
        return false;
    }
    smtp_reset(s);
    memcpy(s->hello, host.at, host.len);
    s->hello[host.len] = 0;
    s->extended = extended;
    s->stage = GREETED;
    return true;
}

PARKS void smtp_helo(Smtp *s, Slice host)
{
    if (greet(s, host, false)) smtp_reply(s, 250, "%.*s", SP(s->config->hostname));
}

static bool offers_tls(const Smtp *s)
{
    return s->config->tls && !stream_is_tls(s->stream);
}

/* RFC 5321 4.1.1.1. BINARYMIME (RFC 3030 3) is not offered: the store keeps messages with CRLF line
 * ends, and binary content would not come out as it went in. SMTP AUTH belongs to submission. */
PARKS void smtp_ehlo(Smtp *s, Slice host)
{
    if (!greet(s, host, true)) return;
    smtp_reply(s, -250, "%.*s", SP(s->config->hostname));
    smtp_reply(s, -250, "PIPELINING");
    smtp_reply(s, -250, "SIZE %llu", (unsigned long long)s->config->message_most);
    if (offers_tls(s)) smtp_reply(s, -250, "STARTTLS");
    smtp_reply(s, -250, "8BITMIME");
    smtp_reply(s, -250, "SMTPUTF8");
    smtp_reply(s, -250, "CHUNKING");
    smtp_reply(s, -250, "ENHANCEDSTATUSCODES");
    smtp_reply(s, 250, "HELP");
}

/* RFC 3207 4.2: afterwards nothing the client said before counts, and no octet it sent in plain
 * text behind the command is read (stream_start_tls throws them away). */
PARKS void smtp_starttls(Smtp *s, Slice nothing)
{
    (void)nothing;
    if (!offers_tls(s)) {
        smtp_reply(s, 503,
                   stream_is_tls(s->stream) ? "5.5.1 TLS is on already"
                                            : "5.5.1 TLS is not offered");
        return;
    }
    TlsContext *ctx scoped(tls) = s->config->tls();
    if (!ctx && !stream_is_remote(s->stream)) {
        smtp_reply(s, 454, "4.7.0 TLS is not available now");
        return;
    }
    smtp_reply(s, 220, "2.0.0 Go ahead");
    if (stream_start_tls(s->stream, ctx)) {
        refusal_tls(s->stream, smtp_service(s), stream_error(s->stream));
        s->over = true;
        return;
    }
    smtp_reset(s);
    s->stage = CONNECTED;
    s->hello[0] = 0;
    s->extended = false;
}

PARKS void smtp_noop(Smtp *s, Slice ignored)
{
    (void)ignored;
    smtp_reply(s, 250, "2.0.0 OK");
}

/* RFC 5321 7.3: whether a user exists is told at RCPT, where it is counted. */
PARKS void smtp_vrfy(Smtp *s, Slice who)
{
    (void)who;
    smtp_reply(s, 252, "2.5.2 Send some mail, then we know");
}

PARKS void smtp_absent(Smtp *s, Slice ignored)
{
    (void)ignored;
    smtp_reply(s, 502, "5.5.1 Not done here");
}

PARKS void smtp_help(Smtp *s, Slice ignored)
{
    (void)ignored;
    smtp_reply(s, -214, "2.0.0 %s, RFC %s", s->lmtp ? "LMTP" : "SMTP", s->lmtp ? "2033" : "5321");
    smtp_reply(s, 214,
               s->lmtp ? "2.0.0 LHLO MAIL RCPT DATA BDAT RSET VRFY HELP NOOP QUIT STARTTLS"
                       : "2.0.0 HELO EHLO MAIL RCPT DATA BDAT RSET VRFY HELP NOOP QUIT "
                         "STARTTLS");
}

PARKS void smtp_quit(Smtp *s, Slice nothing)
{
    (void)nothing;
    smtp_reply(s, 221, "2.0.0 Bye");
    s->over = true;
}

PARKS void smtp_not_mail(Smtp *s, Slice ignored)
{
    (void)ignored;
    refusal_cut(s->stream, smtp_service(s), METRIC_CUT_WEB, (Slice){0});
    smtp_reply(s, 421, "4.7.0 This is no web server");
    s->over = true;
}
