#include "pop3/session.h"

/* A translated form with the values of the English one: %u, %llu, in the same order
 * (tests/languages.py looks). A form that is not a literal is not for printf. */
static void put_form(Buf *out, Slice form, va_list args)
{
    while (form.len) {
        size_t at = slice_find(form, '%');
        buf_add(out, slice_first(form, at));
        form = slice_from(form, at);
        if (slice_starts(form, S("%llu"))) {
            buf_number(out, va_arg(args, unsigned long long));
            form = slice_from(form, 4);
        } else if (slice_starts(form, S("%u"))) {
            buf_number(out, va_arg(args, unsigned));
            form = slice_from(form, 2);
        } else {
            must(!form.len);
        }
    }
}

/* "[CODE] text": the code is for programs and stays. */
PRINTF(3, 0) static void say(Pop3 *s, Slice status, const char *fmt, va_list args)
{
    Buf *out = stream_out(s->stream);
    Slice text = slice_of(fmt);
    size_t code = slice_starts(text, S("[")) ? slice_find(text, ']') + 2 : 0;
    Slice said = language_say(s->language, slice_from(text, code), &s->arena);
    buf_add(out, status);
    if (s->language > LANGUAGE_EN && said.at) {
        buf_add(out, slice_first(text, code));
        put_form(out, said, args);
    } else {
        buf_vprintf(out, fmt, args);
    }
    buf_add(out, S("\r\n"));
}

void pop3_ok(Pop3 *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(s, S("+OK "), fmt, args);
    va_end(args);
}

void pop3_err(Pop3 *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(s, S("-ERR "), fmt, args);
    va_end(args);
}

/* Without values: what looks like one is none. */
static void pop3_err_text(Pop3 *s, const char *text)
{
    Buf *out = stream_out(s->stream);
    Slice whole = slice_of(text);
    size_t code = slice_starts(whole, S("[")) ? slice_find(whole, ']') + 2 : 0;
    Slice said = language_say(s->language, slice_from(whole, code), &s->arena);
    buf_add(out, S("-ERR "));
    buf_add(out, said.at ? slice_first(whole, code) : whole);
    buf_add(out, said);
    buf_add(out, S("\r\n"));
}

void pop3_mistake(Pop3 *s, const char *text)
{
    s->mistakes++;
    pop3_err_text(s, text);
}

/* Response codes: RFC 2449 8, RFC 3206. */
const char *pop3_words_for(Err err)
{
    switch (err) {
    case ERR_AUTH:
        return "[AUTH] Wrong user name or password";
    case ERR_THROTTLED:
        return "[SYS/TEMP] Too many failures, try again later";
    case ERR_NEEDS_TLS:
        return "Plain-text passwords are refused without TLS: STLS first, or use the TLS port";
    case ERR_IN_USE:
        return "[IN-USE] Another session holds the maildrop";
    case ERR_EXPUNGED:
        return "The message is gone";
    case ERR_UNSUPPORTED:
        return "Not supported";
    case ERR_SYNTAX:
        return "Not understood";
    case ERR_NOT_FOUND:
        return "[SYS/PERM] No maildrop here";
    case ERR_CANNOT:
    case ERR_FORBIDDEN:
        return "[SYS/PERM] Not allowed";
    case ERR_CORRUPT:
        return "[SYS/PERM] The message is damaged";
    case ERR_OVER_QUOTA:
        return "[SYS/PERM] The quota does not allow it";
    case ERR_DISK_FULL:
        return "[SYS/TEMP] No space left";
    case ERR_READ_ONLY:
        return "[SYS/TEMP] The store takes no changes now";
    case ERR_CANCELLED:
        return "[SYS/TEMP] Shutting down";
    case ERR_NO_MEMORY:
        return "[SYS/TEMP] Too little memory now, try again later";
    case ERR_LIMIT:
        return "[SYS/TEMP] Too many at once, try again later";
    case ERR_TIMEOUT:
    case ERR_END:
    case ERR_IO:
    case ERR_TOO_BIG:
    case ERR_EXISTS:
    case ERR_HAS_CHILDREN:
    case ERR_CONFLICT:
    case ERR_TLS:
    case ERR_CHARSET:
    case ERR_UNKNOWN_CTE:
    case ERR_TEMPORARY:
    case ERR_CONFIG:
    case OK:
        break;
    }
    return "[SYS/TEMP] Failed, try again later";
}

void pop3_say_err(Pop3 *s, Err err)
{
    if (err == ERR_AUTH || err == ERR_SYNTAX) s->mistakes++;
    pop3_err_text(s, pop3_words_for(err));
}
