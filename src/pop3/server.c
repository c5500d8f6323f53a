/* One connection: greeting, commands, the way to the account's home loop, the end. */
#include "base/text.h"
#include "net/refusal.h"
#include "pop3/session.h"
#include "run/log.h"

#include <stdlib.h>

#define LOGIN_MS ((int64_t)60 * 1000)
#define IDLE_MS  ((int64_t)10 * 60 * 1000)

typedef enum { NONE, NEEDED, ANY, AS_IT_IS } Argument;
typedef struct {
    Slice name;
    Pop3State state;
    void (*handle)(Pop3 *s, Slice text); /* PARKS, which clang does not check here */
    Argument argument;
} Command;
static const Command commands[] = {
#define COMMAND(name_, state_, handler_, argument_, rfc_) {S(#name_), state_, handler_, argument_},
#include "pop3/commands.def"
#undef COMMAND
};

static const Command *find_command(Slice name)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (slice_eq_nocase(commands[i].name, name)) return &commands[i];
    return NULL;
}

/* A browser that was made to talk to us: everything behind it is somebody else's text. */
static bool is_web_request(const Pop3 *s, Slice line)
{
    Slice version = slice_from(line, line.len - MIN(line.len, 9u));
    return s->state == AUTHORIZATION && slice_starts(version, S(" HTTP/"));
}

PARKS static void not_known(Pop3 *s, Slice line)
{
    s->over = is_web_request(s, line);
    if (!s->over) {
        pop3_mistake(s, "Unknown command");
        return;
    }
    refusal_cut(s->stream, "pop3", METRIC_CUT_WEB, (Slice){0});
    pop3_err(s, "[SYS/PERM] This is no web server");
}

/* PASS takes blanks as part of the password (RFC 1939 7). */
PARKS static void do_command(Pop3 *s, Slice line)
{
    size_t end = slice_find(line, ' ');
    const Command *c = find_command(slice_first(line, end));
    Slice text = slice_from(line, end + 1);
    if (!c || c->argument != AS_IT_IS) text = slice_trim(text);
    if (!c)
        not_known(s, line);
    else if (!(c->state & s->state))
        pop3_mistake(s, s->state == AUTHORIZATION ? "Log in first" : "Logged in already");
    else if (c->argument == NONE && text.len)
        pop3_mistake(s, "No argument allowed");
    else if (c->argument == NEEDED && !text.len)
        pop3_mistake(s, "An argument is missing");
    else
        c->handle(s, text);
    arena_reset(&s->arena);
    (void)stream_drain(s->stream); /* a failure sticks */
}

PARKS LineEnd pop3_line(Pop3 *s, Slice *line)
{
    Slice waiting = stream_peek(s->stream);
    if (slice_find(waiting, '\n') == waiting.len && stream_flush(s->stream)) return LINE_NONE;
    int64_t idle_ms = s->config->idle_ms ? s->config->idle_ms : IDLE_MS;
    int64_t deadline = now_ms() + idle_ms;
    if (s->state == AUTHORIZATION) deadline = MIN(deadline, s->login_deadline_ms);
    stream_set_deadline(s->stream, deadline);
    /* SASL's responses are the longest (RFC 5034 4); commands have 255. */
    return stream_line(s->stream, limits_complete(s->config->limits).line_before_login, line);
}

void pop3_say_why_over(Pop3 *s)
{
    Err err = stream_error(s->stream);
    if (err == ERR_CANCELLED) pop3_say_err(s, err);
    if (err == ERR_LIMIT) pop3_err(s, "[SYS/PERM] Too much before the login");
    refusal_cut_by_error(s->stream, "pop3", slice_of(s->who.login));
    s->over = true;
}

static bool has_too_many_mistakes(const Pop3 *s)
{
    Limits l = limits_complete(s->config->limits);
    return s->mistakes >= (s->state == AUTHORIZATION ? l.mistakes_before_login : l.mistakes);
}

/* RFC 1939 3: the autologout timer closes the connection without a word. */
PARKS static void next_command(Pop3 *s)
{
    Slice line;
    switch (pop3_line(s, &line)) {
    case LINE_CRLF:
    case LINE_LF: /* typed by hand */
        do_command(s, line);
        break;
    case LINE_TOO_LONG:
        refusal_request(s->stream, "pop3", METRIC_OVER_INPUT, "", slice_of(s->who.login));
        pop3_mistake(s, "Line too long");
        break;
    case LINE_NONE:
        pop3_say_why_over(s);
        break;
    }
    if (!s->over && has_too_many_mistakes(s)) {
        refusal_cut(s->stream, "pop3", METRIC_CUT_MISTAKES, slice_of(s->who.login));
        pop3_err(s, "[SYS/PERM] Too many mistakes");
        s->over = true;
    }
}

/* ---- after the login ---- */

/* RFC 1939 4: the maildrop opens with the login, or the client stays a stranger. */
PARKS static void arrived(Pop3 *s, Err err)
{
    if (err == ERR_CONFLICT) {
        pop3_err(s, "[LOGIN-DELAY] Only once in %u seconds", (unsigned)s->config->login_delay_s);
    } else if (err) {
        pop3_say_err(s, err);
    } else {
        s->state = TRANSACTION;
        s->mistakes = 0;
        stream_set_budget(s->stream, UINT64_MAX);
        pop3_ok(s, "%u messages (%llu octets)", (unsigned)s->count, (unsigned long long)s->octets);
    }
}

const Pop3Ways pop3_ways = {
    {"pop3", 4},
    next_command, arrived
};

/* ---- the end ---- */

/* All but the stream. A lost connection deletes nothing (RFC 1939 6). */
PARKS static void session_free(Pop3 *s)
{
    maildrop_close(s);
    if (s->user.at) wipe(s->user.at, s->user.room);
    buf_done(&s->user);
    buf_done(&s->folder);
    buf_done(&s->device);
    buf_done(&s->timestamp);
    buf_done(&s->handed);
    arena_done(&s->arena);
    free(s);
}

/* What was read has been read. */
PARKS static void end(Pop3 *s)
{
    Stream *stream = s->stream;
    void (*ended)(void *) = s->ended;
    void *arg = s->ended_arg;
    if (s->account && maildrop_mark_seen(s))
        log_event(LOG_LEVEL_WARN, "seen_not_kept", KV("user", slice_of(s->who.login)),
                  KV_TEXT("story", err_story()));
    session_free(s);
    stream_finish(stream);
    stream_free(stream);
    ended(arg);
}

/* Nothing of this session is left when the next one begins: here, or where config->hand_over leads
 * to. */
PARKS static Pop3 *change_hands(Pop3 *s)
{
    Pop3 old = {.ways = s->ways,
                .stream = s->stream,
                .config = s->config,
                .ended = s->ended,
                .ended_arg = s->ended_arg};
    Buf record buf_scoped = s->handed;
    bool stays = s->state == TRANSACTION || !s->config->hand_over;
    s->handed = (Buf){0};
    session_free(s);
    if (stays)
        return pop3_take_up(old.stream, old.config, buf_slice(&record), old.ways, old.ended,
                            old.ended_arg);
    old.config->hand_over(old.ended_arg, old.stream, buf_slice(&record));
    return NULL;
}

PARKS void pop3_converse(Pop3 *s)
{
    while (s) {
        while (!s->over && !s->handed.len) {
            pop3_keep(s);
            s->is_kept = false;
            if (!s->handed.len) s->ways->next(s);
        }
        bool goes_on = !s->over && !stream_error(s->stream);
        if (!goes_on) end(s);
        s = goes_on ? change_hands(s) : NULL;
    }
}

/* RFC 1939 7: with APOP the banner ends with a timestamp in the form of a message-id. */
static void greet(Pop3 *s)
{
    Slice host = s->config->hostname;
    if (s->config->apop) {
        buf_printf(&s->timestamp, "<%llu.%lld@%.*s>", (unsigned long long)random_u64(),
                   (long long)wall_seconds(), SP(host));
        pop3_ok(s, "%.*s POP3 posthouse %.*s", SP(host), SP(buf_slice(&s->timestamp)));
    } else {
        pop3_ok(s, "%.*s POP3 posthouse", SP(host));
    }
}

Pop3 *pop3_new(Stream *stream, const Pop3Config *config, const Pop3Ways *ways,
               void (*ended)(void *arg), void *arg)
{
    Pop3 *s = NEW(Pop3);
    *s = (Pop3){.ways = ways,
                .stream = stream,
                .config = config,
                .ended = ended,
                .ended_arg = arg,
                .login_deadline_ms = now_ms() + (config->login_ms ? config->login_ms : LOGIN_MS),
                .state = AUTHORIZATION};
    stream_set_budget(stream, limits_complete(config->limits).octets_before_login);
    return s;
}

PARKS void pop3_serve(Stream *stream, const Pop3Config *config, void (*ended)(void *arg), void *arg)
{
    Pop3 *s = pop3_new(stream, config, &pop3_ways, ended, arg);
    greet(s);
    pop3_converse(s);
}

PARKS void pop3_resume(Stream *stream, const Pop3Config *config, Slice record,
                       void (*ended)(void *arg), void *arg)
{
    pop3_converse(pop3_take_up(stream, config, record, &pop3_ways, ended, arg));
}

PARKS void pop3_serve_again(Stream *stream, const Pop3Config *config, Slice record,
                            void (*ended)(void *arg), void *arg)
{
    pop3_converse(pop3_take_up(stream, config, record, &pop3_ways, ended, arg));
}
