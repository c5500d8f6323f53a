#include "base/test.h"
#include "pop3/pref.h"

TEST(preferences_are_read)
{
    static const struct {
        Slice text;
        bool trash, keep;
        int days;
    } rows[] = {
        {S(""),                                                            false, true,  POP3_NEVER},
        {S("delete=expunge expire=never leave=yes"),                       false, true,  POP3_NEVER},
        {S("delete=trash"),                                                true,  true,  POP3_NEVER},
        {S("expire=30"),                                                   false, true,  30        },
        {S("leave=no expire=7 delete=TRASH"),                              true,  false, 7         },
        {S("expire=0"),                                                    false, false, POP3_NEVER},
        {S("  expire=5   "),                                               false, true,  5         },
        {S("expire=-1 expire=99999999999 expire= leave=maybe delete x=y"), false, true,  POP3_NEVER},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Pop3Pref p = pop3_pref_default();
        pop3_pref_parse(rows[i].text, &p);
        check(p.delete_to_trash == rows[i].trash && p.keep_retrieved == rows[i].keep);
        check(p.expire_days == rows[i].days);
    }
}
