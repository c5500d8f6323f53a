#include "base/test.h"
#include "mail/fuzzy.h"

TEST(words_fit_in_any_order_and_with_mistakes)
{
    static const struct {
        const char *text, *needle;
        unsigned least, most;
    } rows[] = {
        {"imap break",                                               "imap break",     100, 100},
        {"an imap breakage",                                         "imap break",     90,  100},
        {"break the imap",                                           "imap break",     85,  90 },
        {"broken imap",                                              "imap break",     40,  50 },
        {"hello world",                                              "helo",           50,  60 },
        {"help",                                                     "helo",           50,  60 },
        {"hero",                                                     "helo",           50,  60 },
        {"halo",                                                     "helo",           50,  60 },
        {"hleo",                                                     "helo",           50,  60 }, /* swapped */
        {"world",                                                    "helo",           0,   0  },
        {"cat",                                                      "car",            0,   0  }, /* too short to forgive */
        {"the message of today",                                     "messages",       60,  65 },
        {"recieve",                                                  "receive",        50,  60 },
        {"unforgetable",                                             "unforgettable",  50,  60 },
        {"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\xd1\x8b",
         "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",                           90,  100},
        {"",                                                         "word",           0,   0  },
        {"text",                                                     "",               100, 100},
        {"text",                                                     "...",            0,   0  },
        {"one two",                                                  "one three four", 0,   0  }, /* less than half */
        {"one two",                                                  "one three",      40,  50 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned score = fuzzy_score(slice_of(rows[i].text), slice_of(rows[i].needle));
        check(score >= rows[i].least && score <= rows[i].most);
    }
}

TEST(one_piece_is_in_whatever_fits)
{
    static const char *const texts[] = {"receive", "recieve",  "eceive",  "receiv",  "receives",
                                        "raceive", "receeive", "recieve", "receiev", "recevie"};
    Slice pieces[16];
    size_t n = fuzzy_pieces(S("receive"), pieces, COUNT(pieces));
    check(n == 2);
    for (size_t i = 0; i < COUNT(texts); i++) {
        Slice text = slice_of(texts[i]);
        bool has = false;
        for (size_t p = 0; p < n; p++)
            has |= slice_find_slice(text, pieces[p]) < text.len;
        check(fuzzy_score(text, S("receive")) > 0);
        check(has);
    }
    check(fuzzy_pieces(S("a bc unforgettable"), pieces, COUNT(pieces)) == 5);
    check(fuzzy_pieces(S("a bc unforgettable"), pieces, 2) == 0);
    check(fuzzy_pieces(S("helo"), pieces, COUNT(pieces)) == 2);
    check(fuzzy_pieces(S("..."), pieces, COUNT(pieces)) == 0);
}
