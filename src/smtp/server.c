/* One connection: greeting, a command at a time, the end. */
#include "base/text.h"
#include "net/refusal.h"
#include "run/log.h"
#include "smtp/record.h"

#include <stdlib.h>

#define LINE_MOST 2048 /* RFC 5321 4.5.3.1.4 asks for 512, and extensions add to it */
#define IDLE_MS   ((int64_t)5 * 60 * 1000)

enum { SMTP = 1, LMTP = 2, EITHER = 3 };
typedef enum { NONE, NEEDED, ANY } Argument;
typedef struct {
    Slice name;
    unsigned protocol;
    SmtpStage from;
    void (*handle)(Smtp *s, Slice argument); /* PARKS, which clang does not check here */
    Argument argument;
} Command;
static const Command commands[] = {
#define COMMAND(name_, protocol_, from_, handler_, argument_, rfc_)                                \
    {S(#name_), protocol_, from_, handler_, argument_},
#include "smtp/commands.def"
#undef COMMAND
};

static const Command *find_command(const Smtp *s, Slice verb)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (slice_eq_nocase(commands[i].name, verb) &&
            commands[i].protocol & (s->lmtp ? LMTP : SMTP))
            return &commands[i];
    return NULL;
}

/* RFC 5321 4.1.4, 3.3; RFC 2033 4.2 wants 503 where SMTP also has 554. */
static void out_of_sequence(Smtp *s)
{
    if (s->stage < GREETED)
        smtp_reply(s, 503, "5.5.1 %s first", s->lmtp ? "LHLO" : "EHLO");
    else if (s->stage < SENDER)
        smtp_reply(s, 503, "5.5.1 MAIL first");
    else
        smtp_reply(s, s->lmtp ? 503 : 554, "5.5.1 No recipient was accepted");
}

/* Senders and recipients that are refused. The other mistakes are the client's own. */
static void tell_rejected(const Smtp *s, Slice command, Slice address)
{
    Buf remote buf_scoped = {0};
    address_print(&remote, &s->peer);
    metric_add(METRIC_REJECTED, 1);
    log_event(LOG_LEVEL_INFO, "rejected", KV_TEXT("service", smtp_service(s)),
              KV("remote", buf_slice(&remote)), KV("command", command), KV_NUM("reply", s->reply),
              KV("argument", address), KV("from", s->sender.mailbox));
}

PARKS static void handle(Smtp *s, const Command *c, Slice argument)
{
    bool envelope = slice_eq(c->name, S("MAIL")) || slice_eq(c->name, S("RCPT"));
    Buf address buf_scoped = {0};
    if (envelope) buf_add(&address, argument); /* what was read may go */
    s->reply = 0;
    c->handle(s, argument);
    if (envelope && s->reply >= 400) tell_rejected(s, c->name, buf_slice(&address));
}

PARKS static void do_command(Smtp *s, Slice line)
{
    size_t end = slice_find(line, ' ');
    Slice argument = slice_trim(slice_from(line, end));
    const Command *c = find_command(s, slice_first(line, end));
    if (text_has_ctl(line))
        smtp_reply(s, 500, "5.5.2 Control characters");
    else if (!c)
        smtp_reply(s, 500, "5.5.2 Unknown command");
    else if (c->argument == NONE && argument.len)
        smtp_reply(s, 501, "5.5.4 No argument allowed");
    else if (c->argument == NEEDED && !argument.len)
        smtp_reply(s, 501, "5.5.4 An argument is missing");
    else if (s->stage < c->from)
        out_of_sequence(s);
    else
        handle(s, c, argument);
    (void)stream_drain(s->stream); /* a failure sticks */
}

/* All that is left of it is the record. */
static void begin_anew(Smtp *s, Slice record)
{
    Smtp old = {.stream = s->stream,
                .config = s->config,
                .lmtp = s->lmtp,
                .peer = s->peer,
                .messages = s->messages,
                .errors = s->errors,
                .recipient_deadline_ms = s->recipient_deadline_ms};
    smtp_reset(s);
    arena_done(&s->arena);
    *s = old;
    Err err = smtp_record_read(record, s);
    must(!err);
}

/* What another house would go on from, to who has the connection. */
PARKS static void keep(Smtp *s)
{
    Buf record buf_scoped = {0};
    bool remote = stream_is_remote(s->stream);
    bool can_go_on = smtp_record_write(s, &record);
    if (remote) /* empty within a transaction: then the next thing it hears may be 421 */
        stream_keep(s->stream, buf_slice(&record));
    else if (can_go_on && s->config->resume_always)
        begin_anew(s, buf_slice(&record));
}

void smtp_await_recipient(Smtp *s)
{
    int64_t ms = s->config->recipient_ms ? s->config->recipient_ms : IDLE_MS;
    s->recipient_deadline_ms = now_ms() + ms;
}

/* Replies to a group of commands are sent together (RFC 2920 3.2), but before we wait. */
PARKS static LineEnd next_line(Smtp *s, Slice *line)
{
    Slice waiting = stream_peek(s->stream);
    if (slice_find(waiting, '\n') == waiting.len) {
        keep(s);
        if (stream_flush(s->stream)) return LINE_NONE;
    }
    int64_t idle_ms = s->config->idle_ms ? s->config->idle_ms : IDLE_MS;
    int64_t deadline = now_ms() + idle_ms;
    if (s->stage < RECIPIENT) deadline = MIN(deadline, s->recipient_deadline_ms);
    stream_set_deadline(s->stream, deadline);
    return stream_line(s->stream, LINE_MOST, line);
}

/* A line that ends with LF alone is refused (RFC 5321 2.3.8): taking it would let text that another
 * server took for one line be two commands here. */
PARKS static void converse(Smtp *s)
{
    uint32_t most = s->config->errors_most ? s->config->errors_most : 20;
    Slice line;
    while (!s->over) {
        switch (next_line(s, &line)) {
        case LINE_CRLF:
            do_command(s, line);
            break;
        case LINE_LF:
            smtp_reply(s, 500, "5.5.2 Lines end with CRLF");
            break;
        case LINE_TOO_LONG:
            refusal_request(s->stream, smtp_service(s), METRIC_OVER_INPUT, "", (Slice){0});
            smtp_reply(s, 500, "5.5.2 Line too long");
            break;
        case LINE_NONE:
            smtp_say_why_over(s, stream_error(s->stream));
            break;
        }
        if (!s->over && s->errors >= most) {
            refusal_cut(s->stream, smtp_service(s), METRIC_CUT_MISTAKES, (Slice){0});
            smtp_reply(s, 421, "4.7.0 Too many mistakes");
            s->over = true;
        }
    }
}

static Smtp *session_new(Stream *stream, const SmtpConfig *config, bool lmtp)
{
    Smtp *s = NEW(Smtp);
    *s = (Smtp){.stream = stream, .config = config, .lmtp = lmtp, .peer = stream_peer(stream)};
    smtp_await_recipient(s);
    return s;
}

PARKS static void run(Smtp *s)
{
    converse(s);
    (void)stream_flush(s->stream); /* the last words; a failure sticks */
    smtp_reset(s);
    arena_done(&s->arena);
    free(s);
}

PARKS void smtp_serve(Stream *stream, const SmtpConfig *config, bool lmtp)
{
    Smtp *s = session_new(stream, config, lmtp);
    smtp_reply(s, 220, "%.*s %s posthouse", SP(config->hostname), lmtp ? "LMTP" : "ESMTP");
    run(s);
}

PARKS void smtp_resume(Stream *stream, const SmtpConfig *config, bool lmtp, Slice record)
{
    Smtp *s = session_new(stream, config, lmtp);
    if (smtp_record_read(record, s)) {
        smtp_reply(s, 421, "4.3.0 The conversation cannot go on here");
        s->over = true;
    }
    run(s);
}
