#include "base/test.h"
#include "mail/casemap.h"

/* Expected values: Python's unicodedata, NFKD of each character's title case. */
static const struct {
    const char *in, *out;
} rows[] = {
    {"",                          ""                                },
    {"Hello, World 09az{}`@[",    "HELLO, WORLD 09AZ{}`@["          },
    {"straße",                   "STRAßE"                         }, /* UnicodeData.txt has no one-character title case for it */
    {"Ärger",                    "A\xcc\x88RGER"                   },
    {"A\xcc\x88rger",             "A\xcc\x88RGER"                   },
    {"\xc7\x84",                  "Dz\xcc\x8c"                      }, /* the example of RFC 5051 */
    {"привет, Мир",      "ПРИВЕТ, МИР"            },
    {"ёжик й",               "Е\xcc\x88ЖИК И\xcc\x86"     },
    {"日本語 ｶﾅ",          "日本語 カナ"                },
    {"ﬁ \xe2\x84\xab",          "fi A\xcc\x8a"                    }, /* decomposed after the title case: RFC 5051 2 (b) */
    {"\xea\xb0\x80",              "\xe1\x84\x80\xe1\x85\xa1"        }, /* Hangul GA */
    {"a\xff"
     "b\xc3",                "A\xff"
     "B\xc3"                                      },
    {"\xed\xa0\x80x",             "\xed\xa0\x80X"                   }, /* a surrogate is not UTF-8 */
    {"12345678abcdefghijklmnoé", "12345678ABCDEFGHIJKLMNOE\xcc\x81"},
};

TEST(casemap_folds_as_rfc5051)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        casemap(&out, slice_of(rows[i].in));
        check_slice(buf_slice(&out), slice_of(rows[i].out));
        buf_clear(&out); /* once more, from what the thread remembers */
        casemap(&out, slice_of(rows[i].in));
        check_slice(buf_slice(&out), slice_of(rows[i].out));
    }
}

TEST(casemap_long_decompositions_are_whole)
{
    Buf out buf_scoped = {0};
    casemap(&out, S("\xef\xb7\xba")); /* U+FDFA: 18 characters */
    check_u64(out.len, 33);
}

TEST(casemap_contains_substrings)
{
    check(casemap_contains(S("ABC"), S("")));
    check(casemap_contains(S(""), S("")));
    check(casemap_contains(S("ABC"), S("BC")));
    check(!casemap_contains(S("ABC"), S("BD")));
    check(!casemap_contains(S("AB"), S("ABC")));
}

TEST(nfc_composes)
{
    Buf out buf_scoped = {0};
    check_ok(nfc(S("A\xcc\x88rger"), &out));
    check_slice(buf_slice(&out), S("Ärger"));
    buf_clear(&out);
    check_ok(nfc(S("plain"), &out));
    check_slice(buf_slice(&out), S("plain"));
    check_err(nfc(S("a\xff"), &out), ERR_SYNTAX);
}
