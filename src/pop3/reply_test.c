#include "base/test.h"
#include "base/text.h"
#include "pop3/session.h"

/* RFC 2449 8.1, RFC 3206 4: a client asks the user for another password only after [AUTH], tries
 * again later after [IN-USE] and [SYS/TEMP], and tells the user to ask somebody after [SYS/PERM].
 */
TEST(errors_have_the_code_of_what_they_mean)
{
    static const struct {
        Err err;
        const char *code;
    } rows[] = {
        {ERR_AUTH,         "[AUTH] "    },
        {ERR_IN_USE,       "[IN-USE] "  },
        {ERR_THROTTLED,    "[SYS/TEMP] "},
        {ERR_DISK_FULL,    "[SYS/TEMP] "},
        {ERR_READ_ONLY,    "[SYS/TEMP] "},
        {ERR_CANCELLED,    "[SYS/TEMP] "},
        {ERR_LIMIT,        "[SYS/TEMP] "},
        {ERR_TIMEOUT,      "[SYS/TEMP] "},
        {ERR_END,          "[SYS/TEMP] "},
        {ERR_IO,           "[SYS/TEMP] "},
        {ERR_TOO_BIG,      "[SYS/TEMP] "},
        {ERR_EXISTS,       "[SYS/TEMP] "},
        {ERR_HAS_CHILDREN, "[SYS/TEMP] "},
        {ERR_CONFLICT,     "[SYS/TEMP] "},
        {ERR_TLS,          "[SYS/TEMP] "},
        {ERR_CHARSET,      "[SYS/TEMP] "},
        {ERR_UNKNOWN_CTE,  "[SYS/TEMP] "},
        {ERR_TEMPORARY,    "[SYS/TEMP] "},
        {ERR_CONFIG,       "[SYS/TEMP] "},
        {OK,               "[SYS/TEMP] "}, /* never said */
        {ERR_NOT_FOUND,    "[SYS/PERM] "},
        {ERR_CANNOT,       "[SYS/PERM] "},
        {ERR_FORBIDDEN,    "[SYS/PERM] "},
        {ERR_CORRUPT,      "[SYS/PERM] "},
        {ERR_OVER_QUOTA,   "[SYS/PERM] "},
        {ERR_NEEDS_TLS,    ""           },
        {ERR_EXPUNGED,     ""           },
        {ERR_UNSUPPORTED,  ""           },
        {ERR_SYNTAX,       ""           },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Slice words = slice_of(pop3_words_for(rows[i].err));
        check(slice_starts(words, slice_of(rows[i].code)));
        check(slice_starts(words, S("[")) == (rows[i].code[0] == '['));
        check(!text_has_ctl(words) && words.len < 500);
    }
}

/* What the table of languages does not have is said in English. */
TEST(words_without_a_translation_are_said_as_they_are)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"Unknown command",                         "-ERR Unbekannter Befehl\r\n"               },
        {"[AUTH] Nobody has translated this",       "-ERR [AUTH] Nobody has translated this\r\n"},
        {"A % is no value here, nor is %s or %llu",
         "-ERR A % is no value here, nor is %s or %llu\r\n"                                     },
    };
    Stream *a, *b;
    check_ok(stream_pair(&a, &b));
    Pop3 s = {.stream = a, .language = LANGUAGE_DE};
    for (size_t i = 0; i < COUNT(rows); i++) {
        pop3_mistake(&s, rows[i].text);
        check_slice(buf_slice(stream_out(a)), slice_of(rows[i].said));
        buf_clear(stream_out(a));
    }
    pop3_say_err(&s, ERR_SYNTAX); /* the client's own */
    pop3_say_err(&s, ERR_IO);
    check_u64(s.mistakes, COUNT(rows) + 1);
    arena_done(&s.arena);
    stream_free(a);
    stream_free(b);
}
