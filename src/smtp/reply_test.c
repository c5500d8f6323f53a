#include "base/test.h"
#include "base/text.h"
#include "smtp/session.h"

/* What passes by itself, or when somebody here has done something: the client keeps the mail and
 * tries again. Anything else in this list would bounce mail for a fault of ours. */
static bool passes(Err err)
{
    static const Err rows[] = {
        ERR_END,       ERR_TIMEOUT,     ERR_IO,        ERR_CORRUPT,  ERR_DISK_FULL,
        ERR_READ_ONLY, ERR_OVER_QUOTA,  ERR_LIMIT,     ERR_IN_USE,   ERR_TLS,
        ERR_THROTTLED, ERR_CANCELLED,   ERR_EXISTS,    ERR_CONFLICT, ERR_HAS_CHILDREN,
        ERR_AUTH,      ERR_CHARSET,     ERR_EXPUNGED,  ERR_CONFIG,   ERR_UNKNOWN_CTE,
        ERR_TEMPORARY, ERR_UNSUPPORTED, ERR_NO_MEMORY,
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i] == err) return true;
    return false;
}

/* RFC 5321 4.2.1, RFC 2034 4: the class of the enhanced code is that of the reply. */
TEST(errors_have_the_class_of_what_they_mean)
{
    static const Err all[] = {
        OK,
#define ERR(name, meaning) ERR_##name,
#include "base/err.def"
#undef ERR
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        SmtpVerdict v = smtp_verdict(all[i]);
        check_u64((uint64_t)v.code / 100, all[i] == OK ? 2 : passes(all[i]) ? 4 : 5);
        check(v.text[0] == '0' + v.code / 100 && v.text[1] == '.');
        check(!text_has_ctl(slice_of(v.text)) && !strchr(v.text, '%'));
    }
}
