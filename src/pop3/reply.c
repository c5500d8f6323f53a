#include "pop3/session.h"

PRINTF(3, 0) static void say(Pop3 *s, Slice status, const char *fmt, va_list args)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, status);
    buf_vprintf(out, fmt, args);
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

void pop3_mistake(Pop3 *s, const char *text)
{
    s->mistakes++;
    pop3_err(s, "%s", text);
}

/* Response codes: RFC 2449 8, RFC 3206. */
static const char *words_for(Err err)
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
    case ERR_TIMEOUT:
    case ERR_END:
    case ERR_IO:
    case ERR_LIMIT:
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
    pop3_err(s, "%s", words_for(err));
}
