#include "net/refusal.h"
#include "run/log.h"
#include "smtp/session.h"

#include <stdlib.h>

/* RFC 5321 4.3.2 says which replies blame the client: those it may give only so often. LMTP's
 * client is a server of ours that passes on what others sent: unknown users are not its mistake. */
static bool is_mistake(const Smtp *s, int code)
{
    return code >= 500 && (code <= 504 || !s->lmtp);
}

void smtp_reply(Smtp *s, int code, const char *fmt, ...)
{
    va_list args;
    Buf *out = stream_out(s->stream);
    buf_number(out, (uint64_t)abs(code));
    buf_char(out, code < 0 ? '-' : ' ');
    va_start(args, fmt);
    buf_vprintf(out, fmt, args);
    va_end(args);
    buf_add(out, S("\r\n"));
    s->reply = abs(code);
    if (is_mistake(s, code)) s->errors++;
}

SmtpVerdict smtp_verdict(Err err)
{
    switch (err) {
    case OK:
        return (SmtpVerdict){250, "2.0.0 Saved"};
    case ERR_SYNTAX:
        return (SmtpVerdict){501, "5.5.4 Syntax error in the arguments"};
    case ERR_NOT_FOUND:
        return (SmtpVerdict){550, "5.1.1 No such user here"};
    case ERR_CANNOT:
    case ERR_FORBIDDEN:
        return (SmtpVerdict){550, "5.7.1 Not a domain of ours, and nothing is relayed"};
    case ERR_OVER_QUOTA:
        return (SmtpVerdict){452, "4.2.2 The mailbox is full"};
    case ERR_TOO_BIG:
        return (SmtpVerdict){552, "5.3.4 The message is larger than allowed"};
    case ERR_DISK_FULL:
        return (SmtpVerdict){452, "4.3.1 No space left, try again later"};
    case ERR_READ_ONLY:
        return (SmtpVerdict){451, "4.3.0 The store takes no changes now, try again later"};
    case ERR_IO:
    case ERR_CORRUPT:
        return (SmtpVerdict){451, "4.3.0 Storing failed, try again later"};
    case ERR_NO_MEMORY:
        return (SmtpVerdict){452, "4.3.1 Too little memory now, try again later"};
    case ERR_LIMIT:
        return (SmtpVerdict){452, "4.5.3 A limit was exceeded"};
    case ERR_IN_USE:
        return (SmtpVerdict){451, "4.2.1 The mailbox is busy, try again later"};
    case ERR_NEEDS_TLS:
        return (SmtpVerdict){530, "5.7.0 Use STARTTLS first"};
    case ERR_TLS:
        return (SmtpVerdict){454, "4.7.0 TLS is not available now"};
    case ERR_THROTTLED:
        return (SmtpVerdict){421, "4.7.0 Too many mistakes"};
    case ERR_TIMEOUT:
        return (SmtpVerdict){421, "4.4.2 Too slow, closing"};
    case ERR_CANCELLED:
        return (SmtpVerdict){421, "4.3.2 Shutting down"};
    case ERR_END:
    case ERR_EXISTS:
    case ERR_HAS_CHILDREN:
    case ERR_CONFLICT:
    case ERR_AUTH:
    case ERR_CHARSET:
    case ERR_UNKNOWN_CTE:
    case ERR_EXPUNGED:
    case ERR_UNSUPPORTED:
    case ERR_TEMPORARY:
    case ERR_CONFIG:
        break;
    }
    return (SmtpVerdict){451, "4.3.0 Failed, try again later"};
}

void smtp_say_why_over(Smtp *s, Err err)
{
    if (err == ERR_TIMEOUT || err == ERR_CANCELLED || err == ERR_LIMIT) {
        SmtpVerdict v = err == ERR_LIMIT ? (SmtpVerdict){421, "4.7.0 Too much was sent, closing"}
                                         : smtp_verdict(err);
        smtp_reply(s, v.code, "%s", v.text);
        refusal_cut_by_error(s->stream, smtp_service(s), (Slice){0});
    }
    s->over = true;
}
