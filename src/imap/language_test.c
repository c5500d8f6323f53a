#include "base/test.h"
#include "imap/session.h"

/* RFC 5255 3.2: what people read. What the table does not have becomes something general, or stays
 * English where nothing went wrong. */
TEST(what_has_no_translation_is_said_in_general_words)
{
    static const struct {
        const char *status, *text, *said;
    } rows[] = {
        {"OK",  "NOOP completed",             "NOOP ausgeführt"                     },
        {"OK",  "Nobody has translated this", "Nobody has translated this"           },
        {"NO",  "Nobody has translated this", "das hat nicht geklappt"               },
        {"BAD", "Nobody has translated this", "die Eingabe passt nicht zur Grammatik"},
        {"NO",  "[NOPERM] of nothing",        "[NOPERM] das hat nicht geklappt"      },
        {"OK",  "[is no code",                "[is no code"                          },
        {"OK",  "[CODE] of nothing",          "[CODE] of nothing"                    },
    };
    Imap s = {.language = LANGUAGE_DE};
    for (size_t i = 0; i < COUNT(rows); i++)
        check_slice(imap_in_language(&s, slice_of(rows[i].status), slice_of(rows[i].text)),
                    slice_of(rows[i].said));
    s.language = LANGUAGE_EN;
    check_slice(imap_in_language(&s, S("OK"), S("as it is")), S("as it is"));
    arena_done(&s.arena);
}
