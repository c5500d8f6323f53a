/* RFC 5321 4.4: the lines we put in front of a message. */
#include "base/text.h"
#include "smtp/session.h"

/* RFC 3848, RFC 6531 4.3: the transmission types. */
static void with_protocol(Buf *out, const Smtp *s)
{
    if (s->utf8) buf_add(out, S("UTF8"));
    if (s->lmtp)
        buf_add(out, S("LMTP"));
    else
        buf_add(out, s->extended && !s->utf8 ? S("ESMTP") : S("SMTP"));
    if (!stream_is_tls(s->stream)) return;
    buf_char(out, 'S');
    buf_printf(out, " (%.*s %.*s)", SP(stream_tls_version(s->stream)),
               SP(stream_tls_cipher(s->stream)));
}

/* TCP-info = address-literal / ( Domain FWS address-literal ): we know no name but the one said. */
static void from_peer(Buf *out, const Smtp *s)
{
    Buf host buf_scoped = {0};
    address_print(&host, &s->peer);
    bool v6 = slice_find(buf_slice(&host), ':') < host.len;
    bool named = s->peer.port == 0; /* a Unix socket */
    buf_printf(out, "from %s (%s%s%.*s%s)", s->hello, named ? "" : "[", v6 ? "IPv6:" : "",
               SP(buf_slice(&host)), named ? "" : "]");
}

/* RFC 5321 4.4: Return-Path stands first. With one delivery Delivered-To follows it in the message;
 * with several, who share one body, it is the part of the message that is each one's own, in front.
 */
static void delivered_to(Buf *out, Smtp *s)
{
    if (s->delivery_count != 1) return;
    buf_add(out, s->deliveries[0].place.prefix);
    s->deliveries[0].place.prefix = (Slice){0};
}

/* "for" only with one recipient (RFC 5321 7.2: nobody shall learn of the others). */
void smtp_trace(Buf *out, Smtp *s)
{
    buf_printf(out, "Return-Path: <%.*s>\r\n", SP(s->sender.mailbox));
    delivered_to(out, s);
    buf_add(out, S("Received: "));
    from_peer(out, s);
    buf_printf(out, "\r\n\tby %.*s with ", SP(s->config->hostname));
    with_protocol(out, s);
    buf_printf(out, "\r\n\tid %s", s->id);
    if (s->recipient_count == 1) buf_printf(out, " for <%.*s>", SP(s->recipients[0].address));
    buf_add(out, S(";\r\n\t"));
    date_rfc5322(out, wall_seconds());
    buf_add(out, S("\r\n"));
}
