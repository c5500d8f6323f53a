/* DATA and BDAT: the message itself. It goes into a draft as it comes; 250 is said when it is
 * durable for the recipients it is said for.
 *
 * Bare CR and LF in the text are against RFC 5321 2.3.8. Refusing them would refuse real mail
 * (forms and printers that write LF), and harms nothing here: they never end the text (dot.h),
 * nobody behind us parses it as SMTP again, and the draft makes CRLF of them. This is what Postfix
 * calls smtpd_forbid_bare_newline = normalize. */
#include "base/text.h"
#include "net/refusal.h"
#include "run/log.h"
#include "smtp/dot.h"
#include "smtp/session.h"

static int64_t data_deadline(const Smtp *s)
{
    int64_t hour = (int64_t)60 * 60 * 1000;
    return now_ms() + (s->config->data_ms ? s->config->data_ms : hour);
}

PARKS void smtp_message_begin(Smtp *s)
{
    Buf trace buf_scoped = {0};
    smtp_trace(&trace, s);
    s->draft_err = draft_begin(s->config->store, s->size, &s->draft);
    if (!s->draft_err) s->draft_err = draft_write(s->draft, buf_slice(&trace));
}

PARKS void smtp_message_add(Smtp *s, Slice octets)
{
    if (s->draft_err) return;
    hops_feed(&s->hops, octets);
    s->octets += octets.len;
    s->draft_err = s->config->message_most && s->octets > s->config->message_most
                       ? fail(ERR_TOO_BIG, "beyond message_most")
                       : draft_write(s->draft, octets);
    if (s->draft_err) { /* what it holds is of no more use, what comes is not kept */
        draft_free(s->draft);
        s->draft = NULL;
    }
}

/* ---- answering ---- */

static void log_delivery(const Smtp *s, Slice to, SmtpVerdict v)
{
    Buf remote buf_scoped = {0};
    address_print(&remote, &s->peer);
    metric_add(v.code == 250 ? METRIC_DELIVERED : METRIC_NOT_DELIVERED, 1);
    log_event(LOG_LEVEL_INFO, v.code == 250 ? "delivered" : "not_delivered", KV_TEXT("id", s->id),
              KV("from", s->sender.mailbox), KV("to", to), KV_NUM("octets", s->octets),
              KV_NUM("reply", v.code), KV_TEXT("service", s->lmtp ? "lmtp" : "smtp"),
              KV("remote", buf_slice(&remote)));
}

/* The full mailbox that will never be empty enough is told apart from the one that may be. */
PARKS static SmtpVerdict verdict_of_delivery(Smtp *s, const Delivery *d)
{
    if (d->err == ERR_OVER_QUOTA && smtp_check_room(s, d->acct, s->octets) == ERR_TOO_BIG)
        return (SmtpVerdict){552, "5.2.2 The mailbox cannot hold so much"};
    if (d->err == ERR_NOT_FOUND) /* removed since RCPT */
        return (SmtpVerdict){550, "5.1.1 No such user here"};
    return smtp_verdict(d->err);
}

/* The first of an alias's deliveries that failed speaks for it: a sender that tries again makes
 * duplicates, one that does not loses mail. */
PARKS static SmtpVerdict verdict_of_recipient(Smtp *s, const SmtpRecipient *r)
{
    for (size_t i = 0; i < r->delivery_count; i++) {
        const Delivery *d = &s->deliveries[r->delivery[i]];
        if (d->err) return verdict_of_delivery(s, d);
    }
    return smtp_verdict(OK);
}

/* RFC 2033 4.2: one reply for each accepted RCPT, in their order. SMTP has one for all (RFC 5321
 * 4.2.5): a failure if anybody has not got it, temporary if any is. */
PARKS static void answer(Smtp *s, const SmtpVerdict *all)
{
    SmtpVerdict whole = smtp_verdict(OK);
    for (size_t i = 0; i < s->recipient_count; i++) {
        const SmtpRecipient *r = &s->recipients[i];
        SmtpVerdict v = all ? *all : verdict_of_recipient(s, r);
        log_delivery(s, r->address, v);
        Slice shown =
            slice_first(r->address, utf8_cut(r->address, 400)); /* 4.5.3.1.5: 512 octets */
        if (s->lmtp) smtp_reply(s, v.code, "%s (%.*s)", v.text, SP(shown));
        if (v.code != 250 && (whole.code == 250 || (whole.code >= 500 && v.code < 500))) whole = v;
    }
    if (s->lmtp) return;
    if (whole.code == 250)
        smtp_reply(s, 250, "2.0.0 Saved as %s", s->id);
    else
        smtp_reply(s, whole.code, "%s", whole.text);
}

static uint32_t received_most(const Smtp *s)
{
    return s->config->received_most ? s->config->received_most : HOPS_MOST;
}

PARKS void smtp_message_end(Smtp *s)
{
    SmtpVerdict refused = smtp_verdict(s->draft_err);
    bool loops = s->hops.received > received_most(s);
    if (loops) refused = (SmtpVerdict){554, "5.4.6 Too many Received: lines, this mail loops"};
    if (loops || s->draft_err) {
        answer(s, &refused);
    } else {
        draft_deliver(s->draft, s->deliveries, s->delivery_count);
        answer(s, NULL);
        s->messages++;
        s->errors = 0;
        smtp_await_recipient(s);
    }
    smtp_reset(s);
}

/* ---- DATA ---- */

/* Until there is input; also octets that never stop come to an end. */
PARKS static Err wait_for_input(Smtp *s, int64_t idle_ms, int64_t last_ms)
{
    int64_t deadline = MIN(now_ms() + idle_ms, last_ms);
    for (;;) {
        if (now_ms() >= deadline) return fail(ERR_TIMEOUT, "a message takes too long");
        if (stream_buffered(s->stream)) return OK;
        Wake wake = stream_wait(s->stream, deadline);
        if (wake == WOKEN_CANCELLED) return fail(ERR_CANCELLED, "stopped within a message");
        if (wake == WOKEN_READY && !stream_buffered(s->stream)) return stream_error(s->stream);
    }
}

PARKS static Err read_text(Smtp *s, int64_t idle_ms)
{
    DotDecoder dot = {0};
    int64_t last_ms = data_deadline(s);
    while (!dot_has_ended(&dot)) {
        TRY(wait_for_input(s, idle_ms, last_ms));
        Slice in = stream_peek(s->stream), text;
        size_t had = in.len;
        while ((text = dot_decode(&dot, &in)).len)
            smtp_message_add(s, text);
        (void)stream_skip(s->stream, had - in.len); /* it is there */
    }
    return OK;
}

/* What is too big is still read to its end, for a client to see why; but not for ever. */
static void set_budget(Smtp *s, bool on)
{
    uint64_t most = s->config->message_most;
    stream_set_budget(s->stream,
                      on && most && most < UINT64_MAX / 4 ? 2 * most + 1048576 : UINT64_MAX);
}

PARKS void smtp_data(Smtp *s, Slice nothing)
{
    (void)nothing;
    if (smtp_is_in_chunks(s)) { /* RFC 3030 2 */
        smtp_reply(s, 503, "5.5.1 Not between chunks");
        return;
    }
    smtp_message_begin(s);
    if (s->draft_err) {
        SmtpVerdict v = smtp_verdict(s->draft_err);
        smtp_reply(s, v.code, "%s", v.text);
        smtp_reset(s);
        return;
    }
    smtp_reply(s, 354, "End with <CRLF>.<CRLF>");
    (void)stream_flush(s->stream); /* a failure sticks */
    set_budget(s, true);
    Err err = read_text(s, s->config->idle_ms ? s->config->idle_ms : 300000);
    set_budget(s, false);
    if (err)
        smtp_say_why_over(s, err);
    else
        smtp_message_end(s);
}

/* ---- BDAT ---- */

/* chunk-size [SP "LAST"] */
static Err bdat_arguments(Slice text, uint64_t *size, bool *last)
{
    Scan in = scan(text);
    *size = scan_number64(&in);
    *last = scan_see(&in, ' ');
    if (*last) scan_need_word(&in, S("LAST"));
    return scan_end(&in);
}

PARKS static Err read_chunk(Smtp *s, uint64_t size, bool wanted)
{
    int64_t idle_ms = s->config->idle_ms ? s->config->idle_ms : 300000;
    int64_t last_ms = data_deadline(s);
    while (size) {
        TRY(wait_for_input(s, idle_ms, last_ms));
        Slice some = slice_first(stream_peek(s->stream), (size_t)MIN(size, (uint64_t)SIZE_MAX));
        if (wanted) smtp_message_add(s, some);
        size -= some.len;
        (void)stream_skip(s->stream, some.len); /* it is there */
    }
    return OK;
}

/* RFC 3030 2: the octets follow whatever we think of the command, and are read. */
PARKS static const char *why_not_bdat(const Smtp *s)
{
    if (s->stage < GREETED) return s->lmtp ? "LHLO first" : "EHLO first";
    if (s->stage < SENDER) return "MAIL first";
    if (s->stage < RECIPIENT) return "RCPT first, no recipient was accepted";
    return s->chunks_failed ? "A chunk was refused, RSET first" : NULL;
}

PARKS static void chunk_is_in(Smtp *s, uint64_t size, bool last)
{
    if (last) {
        smtp_message_end(s);
    } else if (s->draft_err) { /* once; "the sender must then RSET" */
        SmtpVerdict v = smtp_verdict(s->draft_err);
        s->chunks_failed = true;
        smtp_reply(s, v.code, "%s", v.text);
    } else {
        smtp_reply(s, 250, "2.0.0 %llu octets received", (unsigned long long)size);
    }
}

PARKS void smtp_bdat(Smtp *s, Slice text)
{
    uint64_t size;
    bool last;
    if (bdat_arguments(text, &size, &last)) {
        /* Nobody can say where its octets end: reading on would take text for commands. */
        smtp_reply(s, 501, "5.5.4 It is BDAT size [LAST]; closing");
        s->over = true;
        return;
    }
    const char *why_not = why_not_bdat(s);
    if (!why_not && !s->draft && !s->draft_err) smtp_message_begin(s);
    set_budget(s, true);
    Err err = read_chunk(s, size, !why_not);
    set_budget(s, false);
    if (err)
        smtp_say_why_over(s, err);
    else if (why_not)
        smtp_reply(s, 503, "5.5.1 %s", why_not);
    else
        chunk_is_in(s, size, last);
}
