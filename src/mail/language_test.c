#include "mail/language.h"

#include "base/test.h"
#include "base/text.h"

TEST(ranges_find_languages)
{
    static const struct {
        const char *range;
        int found; /* -1: none */
    } rows[] = {
        {"de",         LANGUAGE_DE     },
        {"DE-it",      LANGUAGE_DE     },
        {"zh-Hans-CN", LANGUAGE_ZH     },
        {"fr-x-y",     LANGUAGE_FR     },
        {"en-GB",      LANGUAGE_EN     },
        {"i-default",  LANGUAGE_DEFAULT},
        {"default",    LANGUAGE_DEFAULT},
        {"*",          LANGUAGE_DEFAULT},
        {"mul",        -1              },
        {"",           -1              },
        {"-",          -1              },
        {"d",          -1              },
        {"den",        -1              },
        {"i",          -1              },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Language l;
        bool found = language_find(slice_of(rows[i].range), &l);
        check(found == (rows[i].found >= 0));
        if (found) check(l == (Language)rows[i].found);
    }
}

TEST(every_error_is_said_in_every_language)
{
    static const char *const texts[] = {
#define ERR(name, meaning) meaning,
#include "base/err.def"
#undef ERR
    };
    Arena a arena_scoped = {0};
    for (int l = 0; l < LANGUAGE_COUNT; l++) {
        check(utf8_is_valid(language_name((Language)l)));
        for (size_t i = 0; i < COUNT(texts); i++) {
            Slice said = language_say((Language)l, slice_of(texts[i]), &a);
            check(said.len && utf8_is_valid(said) && !text_has_ctl(said));
            check(said.at[0] != '['); /* RFC 5255 3.5: UTF8-TEXT-CHAR */
        }
    }
    check_slice(language_say(LANGUAGE_DE, S("UID FETCH completed"), &a), S("UID FETCH ausgeführt"));
    check_slice(language_say(LANGUAGE_RU, S("NOOP completed"), &a), S("Команда NOOP выполнена"));
    check_slice(language_say(LANGUAGE_DE, S("Your mail storage is 85 % full"), &a),
                S("Ihr Postspeicher ist zu 85 % voll"));
    check(!language_say(LANGUAGE_DE, S("7 gibberish 8"), &a).at);
    check(!language_say(LANGUAGE_DE, S("gibberish"), &a).at);
}
