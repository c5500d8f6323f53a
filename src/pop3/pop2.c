/* POP2, RFC 937: the protocol before POP3, over the same maildrop. A session of POP3 that speaks
 * other words; deletions take effect at FOLD and at QUIT. Wrong commands end it, as the RFC's state
 * diagram has no way back. Plain text only: allowed where plain-text passwords are. */
#include "base/text.h"
#include "pop3/session.h"

enum { POP2_LINE_MOST = 512, BLOCK = 64 * 1024 }; /* "Sizes" */
typedef enum { AUTH = 1, MBOX = 2, ITEM = 4, NEXT = 8 } Pop2State;

static void say(Pop3 *s, const char *fmt, ...) PRINTF(2, 3);
static void say(Pop3 *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(stream_out(s->stream), fmt, args);
    va_end(args);
    buf_add(stream_out(s->stream), S("\r\n"));
}

static void refuse(Pop3 *s, const char *why)
{
    say(s, "- %s", why);
    s->over = true;
}

/* "Quoting": a backslash makes the next character an ordinary one. The next word ends at a blank,
 * the last takes the rest. */
static Slice take_word(Pop3 *s, Slice *rest, bool last)
{
    Buf word buf_scoped = {0};
    size_t i = 0;
    for (; i < rest->len && (last || rest->at[i] != ' '); i++) {
        if (rest->at[i] == '\\' && i + 1 < rest->len) i++;
        buf_char(&word, rest->at[i]);
    }
    *rest = slice_from(*rest, i + 1);
    Slice copy = arena_copy(&s->arena, buf_slice(&word));
    if (word.at) wipe(word.at, word.room);
    return copy;
}

/* ---- HELO user password, FOLD mailbox ---- */

PARKS static void helo(Pop3 *s, Slice rest)
{
    AuthUser who;
    Slice user = take_word(s, &rest, false), password = take_word(s, &rest, true);
    Err err = utf8_is_valid(user) && user.len ? OK : ERR_AUTH;
    if (!err) err = auth_login(s->config->auth, "pop2", s->stream, user, password, &who);
    if (err)
        refuse(s, pop3_words_for(err));
    else
        pop3_is_known(s, &who, &(LoginSuffix){0});
}

static void say_count(Pop3 *s)
{
    s->turn = MBOX;
    s->current = 1;
    say(s, "#%u messages", (unsigned)s->count);
}

/* What was deleted in the folder goes now; one that does not exist is an empty one. */
PARKS static void fold(Pop3 *s, Slice rest)
{
    Slice name = take_word(s, &rest, true);
    Err err = s->view ? maildrop_update(s) : OK;
    maildrop_close(s);
    buf_clear(&s->folder);
    buf_add(&s->folder, name);
    if (!err) err = maildrop_open(s);
    if (err && err != ERR_NOT_FOUND)
        refuse(s, pop3_words_for(err));
    else
        say_count(s);
}

/* ---- READ [n], RETR, ACKS, ACKD, NACK ---- */

static bool find_current(Pop3 *s, Message *m)
{
    return s->view && maildrop_message(s, s->current, m) &&
           !(maildrop_marks(s, s->current) & MARK_DELETED);
}

static void say_length(Pop3 *s)
{
    Message m;
    s->turn = ITEM;
    if (find_current(s, &m))
        say(s, "=%u characters in message %u", (unsigned)m.size, (unsigned)s->current);
    else
        say(s, "=0 no such message");
}

PARKS static void read_one(Pop3 *s, Slice rest)
{
    uint64_t n = s->current;
    rest = slice_trim(rest);
    if (rest.len && !slice_to_u64(rest, &n)) {
        refuse(s, "A message number is wanted");
        return;
    }
    s->current = (uint32_t)MIN(n, (uint64_t)UINT32_MAX - 1);
    say_length(s);
}

/* Exactly as many octets as were told, nothing before and nothing behind. */
PARKS static void retr(Pop3 *s, Slice rest)
{
    Message m;
    (void)rest;
    if (!find_current(s, &m)) {
        refuse(s, "No such message");
        return;
    }
    s->turn = NEXT;
    Buf *out = stream_out(s->stream);
    for (uint32_t at = 0; at < m.size;) {
        size_t len = MIN((size_t)BLOCK, (size_t)(m.size - at));
        Err err = email_read(s->account, m.eid, at, buf_reserve(out, len), len);
        if (err) stream_fail(s->stream, err); /* the only way to say that this was not all */
        if (err) return;
        out->len += len;
        at += (uint32_t)len;
        if (stream_drain(s->stream)) return;
    }
}

PARKS static void acks(Pop3 *s, Slice rest)
{
    (void)rest;
    maildrop_mark(s, s->current, MARK_RETRIEVED);
    s->current++;
    say_length(s);
}

PARKS static void ackd(Pop3 *s, Slice rest)
{
    Message m;
    (void)rest;
    if (find_current(s, &m)) s->deleted++, s->deleted_octets += m.size;
    maildrop_mark(s, s->current, MARK_DELETED);
    s->current++;
    say_length(s);
}

PARKS static void nack(Pop3 *s, Slice rest)
{
    (void)rest;
    say_length(s);
}

PARKS static void quit(Pop3 *s, Slice rest)
{
    (void)rest;
    Err err = s->view ? maildrop_update(s) : OK;
    maildrop_close(s);
    say(s, err ? "- Some deleted messages were not removed" : "+ Bye");
    s->over = true;
}

/* ---- the conversation ---- */

static const struct {
    Slice name;
    unsigned states;
    void (*handle)(Pop3 *s, Slice rest); /* PARKS */
} commands[] = {
    {{"HELO", 4}, AUTH,                      helo    },
    {{"FOLD", 4}, MBOX | ITEM,               fold    },
    {{"READ", 4}, MBOX | ITEM,               read_one},
    {{"RETR", 4}, ITEM,                      retr    },
    {{"ACKS", 4}, NEXT,                      acks    },
    {{"ACKD", 4}, NEXT,                      ackd    },
    {{"NACK", 4}, NEXT,                      nack    },
    {{"QUIT", 4}, AUTH | MBOX | ITEM | NEXT, quit    },
};

PARKS static void do_command(Pop3 *s, Slice line)
{
    size_t end = slice_find(line, ' ');
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (!slice_eq_nocase(slice_first(line, end), commands[i].name)) continue;
        if (commands[i].states & s->turn)
            commands[i].handle(s, slice_from(line, end + 1));
        else
            refuse(s, "Not now");
        return;
    }
    refuse(s, "Unknown command");
}

PARKS static void next(Pop3 *s)
{
    Slice line;
    LineEnd end = pop3_line(s, &line);
    if (end == LINE_NONE)
        s->over = true;
    else if (end == LINE_TOO_LONG || line.len > POP2_LINE_MOST - 2)
        refuse(s, "Line too long");
    else
        do_command(s, line);
    arena_reset(&s->arena);
    (void)stream_drain(s->stream); /* a failure sticks */
}

PARKS static void arrived(Pop3 *s, Err err)
{
    if (err) {
        refuse(s, pop3_words_for(err));
        return;
    }
    s->state = TRANSACTION;
    say_count(s);
}

const Pop3Ways pop2_ways = {
    {"pop2", 4},
    next, arrived
};

PARKS void pop2_serve(Stream *stream, const Pop3Config *config, void (*ended)(void *arg), void *arg)
{
    Pop3 *s = pop3_new(stream, config, &pop2_ways, ended, arg);
    s->turn = AUTH;
    say(s, "+ POP2 %.*s posthouse", SP(config->hostname));
    pop3_converse(s);
}

PARKS void pop2_resume(Stream *stream, const Pop3Config *config, Slice record,
                       void (*ended)(void *arg), void *arg)
{
    pop3_converse(pop3_take_up(stream, config, record, &pop2_ways, ended, arg));
}
