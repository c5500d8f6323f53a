/* What we say: tagged lines, status words for every Err (RFC 9051 7.1, RFC 5530), strings. */
#include "base/text.h"
#include "imap/session.h"
#include "mail/charset.h"
#include "net/refusal.h"

/* ---- tagged and untagged lines ---- */

/* resp-text is TEXT-CHAR: a story may quote what the client or a message said. */
static void put_text(Buf *out, Slice text, bool utf8)
{
    utf8 = utf8 && utf8_is_valid(text);
    size_t start = out->len;
    buf_add(out, text);
    for (size_t i = start; i < out->len; i++) {
        unsigned char c = (unsigned char)out->at[i];
        bool fits = c >= ' ' && c != 0x7f && (c < 0x7f || utf8);
        if (!fits) out->at[i] = '?';
    }
}

/* RFC 9051 7.5.1: EXPUNGE is not told while answering FETCH, STORE and SEARCH. */
static bool may_expunge(const Imap *s)
{
    if (!s->command) return false;
    return !(s->command->ways & SEQS) || (s->by_uid && !s->uses_numbers);
}

/* RFC 9738 3.1: "OK [MESSAGELIMIT n uid]", or untagged when there is a code already. */
static Slice with_limit(Imap *s, const char *status, Slice text)
{
    unsigned limit = s->config->message_limit, uid = s->limited_uid;
    s->limited_uid = 0;
    if (strcmp(status, "OK") != 0) return text;
    if (!slice_starts(text, S("[")))
        return arena_printf(&s->arena, "[MESSAGELIMIT %u %u] %.*s", limit, uid, SP(text));
    imap_say(s, "NO [MESSAGELIMIT %u %u] Only the newest messages were processed", limit, uid);
    return text;
}

PARKS static Err tagged(Imap *s, const char *status, Slice text)
{
    imap_go_back(s);
    imap_settle(s);
    if (s->state == SELECTED && s->command && !(s->command->ways & QUIET))
        imap_tell_news(s, may_expunge(s));
    if (s->account) imap_warn_quota(s, slice_eq(slice_of(status), S("OK")));
    if (s->limited_uid) text = with_limit(s, status, text);
    Buf *out = stream_out(s->stream);
    if (s->in->tag.len)
        buf_add(out, s->in->tag);
    else
        buf_char(out, '*');
    buf_char(out, ' ');
    buf_add(out, slice_of(status));
    buf_char(out, ' ');
    put_text(out, imap_in_language(s, slice_of(status), text), s->language > LANGUAGE_EN);
    buf_add(out, S("\r\n"));
    (void)stream_drain(s->stream); /* a failed stream ends the session where it reads next */
    return OK;
}

/* Octets of what is said often and is long: what does not fit is printed twice. */
enum { CAPABILITIES = 1024, GREETING = 256 };

PRINTF(2, 0) static Slice vsay(Arena *a, const char *fmt, va_list args)
{
    Buf text buf_scoped = {0};
    buf_reserve(&text, CAPABILITIES);
    buf_vprintf(&text, fmt, args);
    return arena_copy(a, buf_slice(&text));
}

#define SAY_TAGGED(status)                                                                         \
    do {                                                                                           \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        Slice text = vsay(&s->arena, fmt, args);                                                   \
        va_end(args);                                                                              \
        return tagged(s, (status), text);                                                          \
    } while (0)

Err imap_ok(Imap *s, const char *fmt, ...)
{
    s->mistakes = 0;
    SAY_TAGGED("OK");
}

Err imap_no(Imap *s, const char *fmt, ...)
{
    if (s->state == STRANGER) s->mistakes++;
    SAY_TAGGED("NO");
}

Err imap_bad(Imap *s, const char *fmt, ...)
{
    s->mistakes++;
    SAY_TAGGED("BAD");
}

/* Words to people; everything else is for programs. */
static bool is_status(Slice line, Slice *status)
{
    *status = slice_first(line, slice_find(line, ' '));
    return slice_eq(*status, S("OK")) || slice_eq(*status, S("NO")) ||
           slice_eq(*status, S("BAD")) || slice_eq(*status, S("BYE"));
}

void imap_say(Imap *s, const char *fmt, ...)
{
    Buf *out = stream_out(s->stream);
    va_list args;
    va_start(args, fmt);
    buf_add(out, S("* "));
    size_t start = out->len;
    buf_reserve(out, GREETING);
    buf_vprintf(out, fmt, args);
    va_end(args);
    Slice line = slice_from(buf_slice(out), start), status;
    if (s->language > LANGUAGE_EN && is_status(line, &status)) {
        Slice said = imap_in_language(s, status, slice_from(line, status.len + 1));
        out->len = start + status.len + 1;
        buf_add(out, said);
    }
    buf_add(out, S("\r\n"));
}

/* RFC 9585 4: inprogress-tag is quoted / nil, and NIL when the tag has a "]"; PROGRESS is smaller
 * than GOAL, and without it GOAL is NIL as well. */
PARKS void imap_in_progress(Imap *s, uint64_t done, uint64_t goal)
{
    if (now_ms() < s->progress_due_ms) return;
    s->progress_due_ms = now_ms() + imap_progress_ms(s);
    Buf *out = stream_out(s->stream);
    Slice tag = s->in->tag;
    buf_add(out, S("* OK [INPROGRESS ("));
    if (tag.len && slice_find(tag, ']') == tag.len)
        imap_put_string(out, tag);
    else
        buf_add(out, S("NIL"));
    if (done < goal)
        buf_printf(out, " %llu %llu", (unsigned long long)done, (unsigned long long)goal);
    else if (done)
        buf_printf(out, " %llu NIL", (unsigned long long)done);
    else
        buf_add(out, S(" NIL NIL"));
    buf_add(out, S(")] "));
    buf_add(out, imap_in_language(s, S("OK"), S("Still at it")));
    buf_add(out, S("\r\n"));
    (void)stream_flush(s->stream);
}

/* ---- every Err in IMAP's words ---- */

typedef struct {
    bool bad;         /* BAD, else NO */
    const char *code; /* with its SP; "" for none */
    bool story;       /* the story is for the client too */
} Words;

static Words words_for(Err err)
{
    switch (err) {
    case OK:
        return (Words){false, "[SERVERBUG] ", false};
    case ERR_SYNTAX:
        return (Words){true, "", true};
    case ERR_NOT_FOUND:
        return (Words){false, "[NONEXISTENT] ", false};
    case ERR_EXISTS:
        return (Words){false, "[ALREADYEXISTS] ", false};
    case ERR_FORBIDDEN:
        return (Words){false, "[NOPERM] ", false};
    case ERR_IN_USE:
    case ERR_CONFLICT:
        return (Words){false, "[INUSE] ", false};
    case ERR_CANNOT:
        return (Words){false, "[CANNOT] ", true};
    case ERR_HAS_CHILDREN:
        return (Words){false, "[HASCHILDREN] ", false};
    case ERR_OVER_QUOTA:
        return (Words){false, "[OVERQUOTA] ", false};
    case ERR_LIMIT:
        return (Words){false, "[LIMIT] ", true};
    case ERR_NO_MEMORY:
        return (Words){false, "[LIMIT] ", false};
    case ERR_TOO_BIG: /* RFC 4469, RFC 7889 */
        return (Words){false, "[TOOBIG] ", false};
    case ERR_AUTH:
        return (Words){false, "[AUTHENTICATIONFAILED] ", false};
    case ERR_NEEDS_TLS:
        return (Words){false, "[PRIVACYREQUIRED] ", false};
    case ERR_CHARSET: /* RFC 9051 6.4.4: UTF-8 and US-ASCII there must be; the list is not complete
                       */
        return (Words){false, "[BADCHARSET (UTF-8 US-ASCII ISO-8859-1)] ", false};
    case ERR_UNKNOWN_CTE:
        return (Words){false, "[UNKNOWN-CTE] ", false};
    case ERR_EXPUNGED:
        return (Words){false, "[EXPUNGEISSUED] ", false};
    case ERR_CORRUPT:
        return (Words){false, "[CORRUPTION] ", false};
    case ERR_UNSUPPORTED:
        return (Words){false, "[CANNOT] ", true};
    case ERR_CONFIG:
        return (Words){false, "[SERVERBUG] ", false};
    case ERR_IO:
    case ERR_DISK_FULL:
    case ERR_READ_ONLY:
    case ERR_THROTTLED:
    case ERR_TEMPORARY:
    case ERR_CANCELLED:
    case ERR_END:
    case ERR_TIMEOUT:
    case ERR_TLS:
        return (Words){false, "[UNAVAILABLE] ", false};
    }
    return (Words){false, "[SERVERBUG] ", false};
}

static void tell_limit(const Imap *s, Err err)
{
    bool input = err == ERR_LIMIT && s->in->err == err;
    Metric limit = input                   ? METRIC_OVER_INPUT
                   : err == ERR_TOO_BIG    ? METRIC_OVER_SIZE
                   : err == ERR_OVER_QUOTA ? METRIC_OVER_QUOTA
                                           : METRIC_COUNT;
    if (limit == METRIC_COUNT) return;
    refusal_request(s->stream, "imap", limit, s->command ? s->command->name.at : "",
                    slice_of(s->user.login));
}

void imap_answer_err(Imap *s, Err err)
{
    if (stream_error(s->stream)) return;
    tell_limit(s, err);
    Words words = words_for(err);
    /* What the grammar refuses is the client's mistake, even where only a limit of ours was met
     * (RFC 7888 5: a tagged BAD with TOOBIG). A name that cannot be decoded can never be. */
    if (s->in->err == err && (err == ERR_LIMIT || err == ERR_TOO_BIG)) words.bad = true;
    if (s->in->err == err && err == ERR_FORBIDDEN) words = (Words){false, "[CANNOT] ", true};
    Slice text = slice_of(words.story ? err_story() : err_meaning(err));
    text = arena_copy(&s->arena, text);
    if (words.story && slice_starts(text, S("["))) words.code = ""; /* it brings one of its own */
    if (err == ERR_CANNOT && s->referral.len)
        (void)imap_no(s, "[REFERRAL%.*s] The mailbox is on another server", SP(s->referral));
    else if (words.bad)
        (void)imap_bad(s, "%s%.*s", words.code, SP(text));
    else
        (void)imap_no(s, "%s%.*s", words.code, SP(text));
}

/* ---- strings ---- */

enum { QUOTED_MOST = 1000 }; /* RFC 2683 3.2.1.5: lines stay reasonable; longer ones are literals */

static bool fits_quoted(Slice s, bool utf8)
{
    if (s.len > QUOTED_MOST) return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (!c || c == '\r' || c == '\n' || (c >= 0x80 && !utf8)) return false;
    }
    return true;
}

static void put_quoted(Buf *out, Slice s)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '"' || s.at[i] == '\\') buf_char(out, '\\');
        buf_char(out, s.at[i]);
    }
    buf_char(out, '"');
}

void imap_put_string(Buf *out, Slice octets)
{
    if (fits_quoted(octets, false)) {
        put_quoted(out, octets);
        return;
    }
    buf_char(out, '{');
    buf_number(out, octets.len);
    buf_add(out, S("}\r\n"));
    buf_add(out, octets);
}

void imap_put_nstring(Buf *out, Slice octets)
{
    if (octets.at)
        imap_put_string(out, octets);
    else
        buf_add(out, S("NIL"));
}

static bool is_atom(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!imap_is_atom_char((unsigned char)s.at[i])) return false;
    return s.len > 0 && !slice_eq_nocase(s, S("NIL")); /* some clients read NIL as nstring */
}

void imap_put_value(Buf *out, Slice octets)
{
    if (slice_find(octets, 0) == octets.len) {
        imap_put_nstring(out, octets);
        return;
    }
    buf_add(out, S("~{"));
    buf_number(out, octets.len);
    buf_add(out, S("}\r\n"));
    buf_add(out, octets);
}

void imap_put_astring(Buf *out, Slice octets)
{
    if (is_atom(octets))
        buf_add(out, octets);
    else
        imap_put_string(out, octets);
}

void imap_put_mailbox(const Imap *s, Buf *out, Slice name)
{
    Buf utf7 buf_scoped = {0};
    bool utf8 = s->in->utf8;
    if (!utf8) {
        utf7_encode(name, &utf7);
        name = buf_slice(&utf7);
    }
    if (is_atom(name))
        buf_add(out, name);
    else if (fits_quoted(name, utf8))
        put_quoted(out, name);
    else
        imap_put_string(out, name);
}

/* ---- flags and dates ---- */

static const struct {
    uint8_t flag;
    Slice text;
} flag_words[] = {
    {FLAG_ANSWERED, {"\\Answered", 9}},
    {FLAG_FLAGGED,  {"\\Flagged", 8} },
    {FLAG_DELETED,  {"\\Deleted", 8} },
    {FLAG_SEEN,     {"\\Seen", 5}    },
    {FLAG_DRAFT,    {"\\Draft", 6}   },
};

static void put_word(Buf *out, size_t from, Slice word)
{
    if (!word.len) return;
    if (out->len > from) buf_char(out, ' ');
    buf_add(out, word);
}

void imap_put_flags(const Imap *s, Buf *out, const Message *m)
{
    buf_char(out, '(');
    size_t from = out->len;
    for (size_t i = 0; i < COUNT(flag_words); i++)
        if (m->flags & flag_words[i].flag) put_word(out, from, flag_words[i].text);
    if (m->kwset) put_word(out, from, account_keywords(mailbox_account(s->box), m->kwset));
    if (!imap_has(s, ENABLED_REV2) && view_is_recent(s->view, m->uid))
        put_word(out, from, S("\\Recent"));
    buf_char(out, ')');
}

static char *put_digits(char *to, unsigned n, unsigned count, char fill)
{
    for (unsigned i = count; i-- > 0; n /= 10)
        to[i] = n || i + 1 == count ? (char)('0' + n % 10) : fill;
    return to + count;
}

/* RFC 9051 9: date-time; we say every INTERNALDATE in UTC. By hand: clients ask it of a whole
 * mailbox. */
void imap_put_date_time(Buf *out, int64_t unix_seconds)
{
    int64_t days = unix_seconds / 86400, rest = unix_seconds % 86400;
    if (rest < 0) days--, rest += 86400;
    int year;
    unsigned month, day, second = (unsigned)rest;
    civil_from_days(days, &year, &month, &day);
    char text[] = "\"dd-Mon-yyyy hh:mm:ss +0000\"", *to = put_digits(text + 1, day, 2, ' ') + 1;
    memcpy(to, month_names[month - 1], 3);
    to = put_digits(to + 4, (unsigned)year, 4, '0') + 1;
    to = put_digits(to, second / 3600, 2, '0') + 1;
    to = put_digits(to, second / 60 % 60, 2, '0') + 1;
    put_digits(to, second % 60, 2, '0');
    buf_add(out, slice(text, sizeof text - 1));
}
