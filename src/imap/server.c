/* A conversation from greeting to end: read a command, find its row, let it answer. */
#include "imap/session.h"
#include "net/refusal.h"
#include "run/log.h"

#include <stdlib.h>

/* clang-format off */
const ImapCommand imap_commands[] = {
#define COMMAND(name, allowed, handler, ways, section) \
    {{#name, sizeof(#name) - 1}, (allowed), (handler), (ways), (section)},
#include "imap/commands.def"
#undef COMMAND
};
/* A command without a row in access.def, which says what rights it needs, ends here. */
enum {
#define ACCESS(name, form, rights, otherwise) HAS_ACCESS_##name,
#define ACCESS_TOO(name, form, rights, otherwise)
#include "imap/access.def"
#undef ACCESS
#undef ACCESS_TOO
};
enum {
#define COMMAND(name, allowed, handler, ways, section) NEEDS_ACCESS_##name = HAS_ACCESS_##name,
#include "imap/commands.def"
#undef COMMAND
};
/* clang-format on */
const size_t imap_command_count = COUNT(imap_commands);

enum {
    LOGIN_MS = 60 * 1000,
    PROGRESS_MS = 10 * 1000,  /* RFC 9585 4: every 10 to 15 seconds */
    IDLE_MS = 30 * 60 * 1000, /* RFC 9051 5.4 */
    MESSAGE_MOST = 100 * 1024 * 1024,
};

int64_t imap_deadline(const Imap *s)
{
    if (s->state == STRANGER) return s->login_deadline_ms;
    return now_ms() + (s->config->idle_ms ? s->config->idle_ms : IDLE_MS);
}

int64_t imap_progress_ms(const Imap *s)
{
    return s->config->progress_ms ? s->config->progress_ms : PROGRESS_MS;
}

uint64_t imap_message_most(const Imap *s)
{
    return s->config->message_most ? s->config->message_most : MESSAGE_MOST;
}

uint32_t imap_append_limit(const Imap *s)
{
    return (uint32_t)MIN(imap_message_most(s), (uint64_t)UINT32_MAX);
}

/* ---- one command ---- */

static const ImapCommand *find_command(Slice name)
{
    for (size_t i = 0; i < imap_command_count; i++)
        if (slice_eq_nocase(imap_commands[i].name, name)) return &imap_commands[i];
    return NULL;
}

/* What has a UID form talks about message numbers without it. */
static bool needs_numbers(const ImapCommand *c)
{
    return (c->ways & UID_TOO) && !(c->ways & NUMBERLESS);
}

/* command = tag SP name; "UID" SP name is another form of some. */
static Err read_command(Imap *s)
{
    s->by_uid = s->uses_numbers = false;
    s->limited_uid = 0;
    s->referral = (Slice){0};
    s->command = NULL;
    Slice name = imap_atom(s->in);
    if (slice_eq_nocase(name, S("UID"))) {
        s->by_uid = true;
        imap_space(s->in);
        name = imap_atom(s->in);
    }
    TRY(imap_syntax(s->in));
    const ImapCommand *c = find_command(name);
    if (!c || (s->by_uid && !(c->ways & UID_TOO))) return fail(ERR_SYNTAX, "unknown command");
    if (!(c->allowed & s->state)) return fail(ERR_SYNTAX, "not in this state");
    if (imap_has(s, ENABLED_UIDONLY) && !s->by_uid && needs_numbers(c)) /* RFC 9586 3 */
        return fail(ERR_SYNTAX, "[UIDREQUIRED] UIDONLY is enabled: only the UID form is left");
    s->command = c;
    return OK;
}

/* The view of what was deleted (store.h, Deletion) is read-only but for the way out of it. */
static bool brings_back(const Imap *s)
{
    return s->command->handler == imap_cmd_move && !s->examined && mailbox_status(s->box).kept;
}

/* RFC 6855 6: with UTF8=ONLY what might need UTF-8 waits for ENABLE. */
static bool comes_too_early(const Imap *s)
{
    const ImapCommand *c = s->command;
    bool needs_utf8 = !(c->allowed & STRANGER) && !(c->ways & NAMELESS);
    return s->config->utf8_only && needs_utf8 && !imap_has(s, ENABLED_UTF8 | ENABLED_REV2);
}

/* A NOOP beside somebody's change of a million messages does not wait for it. */
PARKS void imap_settle(Imap *s)
{
    const ImapCommand *c = s->command;
    if (!s->account || !c || c->allowed & STRANGER || c->ways & NAMELESS) return;
    account_settle(s->box ? mailbox_account(s->box) : s->account);
}

PARKS static Err run_command(Imap *s)
{
    TRY(read_command(s));
    imap_settle(s);
    if (s->user.guest && !(s->command->allowed & STRANGER) && !(s->command->ways & LOOKS))
        return imap_no(s, "[NOPERM] A guest changes nothing");
    if ((s->command->allowed & KNOWN) == SELECTED && imap_lost_access(s)) return OK;
    bool frees =
        s->command->allowed & STRANGER || s->command->ways & NAMELESS; /* or takes little */
    if (!frees && !mem_fits(0)) return fail(ERR_NO_MEMORY, "a command");
    if (comes_too_early(s)) return imap_no(s, "[CANNOT] ENABLE UTF8=ACCEPT has to come first");
    if ((s->command->ways & CHANGES) && s->read_only && !brings_back(s))
        return imap_no(s, "[%s] The mailbox is open read-only", /* RFC 5530 3 */
                       s->examined || mailbox_status(s->box).kept ? "CANNOT" : "NOPERM");
    return s->command->handler(s);
}

void imap_goodbye(Imap *s, const char *why)
{
    if (s->state == LEAVING) return;
    imap_say(s, "BYE %s", why);
    s->state = LEAVING;
}

static void cut(Imap *s, Metric metric, const char *why)
{
    if (s->state == LEAVING) return;
    refusal_cut(s->stream, "imap", metric, slice_of(s->user.login));
    imap_goodbye(s, why);
}

/* A browser that was made to talk to us: everything behind it is somebody else's text. */
static bool is_web_request(const Imap *s)
{
    Slice line = slice(s->in->scan.start, (size_t)(s->in->scan.end - s->in->scan.start));
    return s->state == STRANGER &&
           slice_starts(slice_from(line, line.len - MIN(line.len, 9u)), S(" HTTP/"));
}

/* What is left of a command that was not understood is thrown away, so that no octet of it is taken
 * for the next one. */
PARKS static void command_ends(Imap *s, Err err)
{
    if (err) imap_answer_err(s, err);
    if (err && is_web_request(s)) cut(s, METRIC_CUT_WEB, "This is no web server");
    imap_go_back(s);
    if (!imap_skip_command(s->in) && !stream_error(s->stream)) {
        cut(s, METRIC_CUT_TOO_MUCH, "[TOOBIG] That literal is too large to be skipped");
    }
}

PARKS static void serve_command(Imap *s)
{
    stream_set_deadline(s->stream, imap_deadline(s));
    s->command = NULL;
    s->is_kept = false;
    Err err = imap_next(s->in);
    s->progress_due_ms = now_ms() + imap_progress_ms(s);
    if (s->in->blank) {
        s->mistakes++; /* iOS sends a CRLF too many behind APPEND's literal: not worth an answer */
        return;
    }
    if (!err) err = run_command(s);
    command_ends(s, err);
}

/* IDLE goes on that was begun before the session was taken up. */
PARKS static void serve_idle(Imap *s)
{
    s->command = find_command(S("IDLE"));
    command_ends(s, imap_idle(s));
}

/* ---- between commands ---- */

static bool has_too_many_mistakes(const Imap *s)
{
    Limits l = limits_complete(s->config->limits); /* in a row: this is no client of ours */
    return s->mistakes >= (s->state == STRANGER ? l.mistakes_before_login : l.mistakes);
}

/* The stream takes no more of him, but he still hears why. */
static void say_why_over(Imap *s)
{
    Err err = stream_error(s->stream);
    bool stranger = s->state == STRANGER;
    refusal_cut_by_error(s->stream, "imap", slice_of(s->user.login));
    if (err == ERR_LIMIT) imap_goodbye(s, "[LIMIT] Too much before the login");
    if (err == ERR_TIMEOUT)
        imap_goodbye(s, stranger ? "Too slow to log in" : "Too slow in the middle of a command");
}

/* At rest nothing lives on the stack but the session, and the session holds no buffers. */
PARKS static void rest(Imap *s)
{
    if (stream_buffered(s->stream)) return;
    bool stranger = s->state == STRANGER;
    int64_t deadline = imap_deadline(s);
    Wake wake = WOKEN_NUDGED;
    s->command = NULL;
    s->by_uid = false;
    while (wake == WOKEN_NUDGED && s->state != LEAVING) {
        if (s->notify) imap_tell_unasked(s, false);
        if (imap_keep(s)) break;
        if (stream_flush(s->stream)) break;
        arena_done(&s->arena);
        stream_rest(s->stream);
        wake = s->state == LEAVING ? WOKEN_READY : imap_wait(s, deadline);
        s->is_kept = false;
    }
    imap_listen_no_more(s);
    if (wake == WOKEN_TIMEOUT)
        cut(s, stranger ? METRIC_CUT_SLOW : METRIC_CUT_IDLE,
            stranger ? "Too slow to log in" : "Idle for too long");
    if (wake == WOKEN_CANCELLED) imap_goodbye(s, "The server is shutting down");
}

PARKS static void converse(Imap *s)
{
    while (s->state != LEAVING && !s->handed.len) {
        arena_reset(&s->arena);
        if (!s->idle_tag) rest(s);
        if (s->state == LEAVING || s->handed.len) break;
        if (s->idle_tag)
            serve_idle(s);
        else
            serve_command(s);
        if (stream_error(s->stream)) {
            say_why_over(s);
            break;
        }
        if (has_too_many_mistakes(s)) cut(s, METRIC_CUT_MISTAKES, "Too many mistakes");
    }
}

/* ---- at home ---- */

void imap_set_limits(Imap *s)
{
    bool stranger = s->state == STRANGER;
    Limits l = limits_complete(s->config->limits);
    s->in->line_most = stranger ? l.line_before_login : l.line;
    s->in->literal_most = stranger ? l.literal_before_login : l.literal;
    s->in->skip_most = stranger ? l.octets_before_login : 10 * imap_message_most(s);
    s->arena.budget = stranger ? l.octets_before_login : l.command_memory;
    stream_set_budget(s->stream, stranger ? l.octets_before_login : UINT64_MAX);
}

void imap_make_stranger(Imap *s)
{
    s->state = STRANGER;
    s->mistakes = 0;
    s->login_deadline_ms = now_ms() + (s->config->login_ms ? s->config->login_ms : LOGIN_MS);
    imap_set_limits(s);
}

/* ---- the end ---- */

/* All but the stream. */
PARKS static void session_free(Imap *s)
{
    imap_forget_user(s);
    arena_done(&s->arena);
    buf_done(&s->handed);
    free(s->idle_tag);
    free(s);
}

PARKS static void finish(Imap *s)
{
    void (*ended)(void *) = s->ended;
    void *arg = s->arg;
    Stream *stream = s->stream;
    session_free(s);
    stream_finish(stream);
    stream_free(stream);
    ended(arg);
}

/* Nothing of this session is left when the next one begins: here, or where config->hand_over leads
 * to. */
PARKS static Imap *change_hands(Imap *s)
{
    Imap old = {.stream = s->stream, .config = s->config, .ended = s->ended, .arg = s->arg};
    Buf record buf_scoped = s->handed;
    bool stays = s->state != STRANGER || !s->config->hand_over;
    s->handed = (Buf){0};
    session_free(s);
    if (stays) return imap_take_up(old.stream, old.config, buf_slice(&record), old.ended, old.arg);
    old.config->hand_over(old.arg, old.stream, buf_slice(&record));
    return NULL;
}

PARKS static void run(Imap *s)
{
    while (s) {
        converse(s);
        bool goes_on = s->handed.len && s->state != LEAVING && !stream_error(s->stream);
        if (!goes_on) finish(s);
        s = goes_on ? change_hands(s) : NULL;
    }
}

/* ---- the beginning ---- */

PARKS static void greet(Imap *s, const char *how)
{
    Buf capabilities buf_scoped = {0};
    imap_put_capabilities(s, &capabilities);
    imap_say(s, "%s [%.*s] %.*s ready", how, SP(buf_slice(&capabilities)), SP(s->config->hostname));
    (void)stream_flush(s->stream);
}

/* RFC 2221 4.2 */
static void goodbye_to(Imap *s, Slice url)
{
    imap_say(s, "BYE [REFERRAL %.*s] The account is on another server", SP(url));
    s->state = LEAVING;
}

Imap *imap_new(Stream *stream, const ImapConfig *config, void (*ended)(void *arg), void *arg)
{
    Imap *s = NEW(Imap);
    s->stream = stream;
    s->config = config;
    s->ended = ended;
    s->arg = arg;
    s->in->stream = stream;
    s->in->arena = &s->arena;
    imap_make_stranger(s);
    return s;
}

void imap_serve(Stream *stream, const ImapConfig *config, void (*ended)(void *arg), void *arg)
{
    Imap *s = imap_new(stream, config, ended, arg);
    if (config->moved_to.len)
        goodbye_to(s, config->moved_to);
    else
        greet(s, "OK");
    run(s);
}

void imap_serve_known(Stream *stream, const ImapConfig *config, const AuthUser *user,
                      void (*ended)(void *arg), void *arg)
{
    Imap *s = imap_new(stream, config, ended, arg);
    if (imap_become(s, user, false)) greet(s, "PREAUTH");
    run(s);
}

void imap_serve_again(Stream *stream, const ImapConfig *config, Slice record,
                      void (*ended)(void *arg), void *arg)
{
    run(imap_take_up(stream, config, record, ended, arg));
}

void imap_resume(Stream *stream, const ImapConfig *config, Slice record, void (*ended)(void *arg),
                 void *arg)
{
    run(imap_take_up(stream, config, record, ended, arg));
}
