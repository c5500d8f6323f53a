#include "base/crc32c.h"
#include "base/test.h"
#include "base/text.h"

#include <stdlib.h>

TEST(letters_and_digits)
{
    unsigned alpha = 0, digits = 0, alnum = 0;
    for (unsigned c = 0; c < 256; c++) {
        alpha += is_alpha((unsigned char)c);
        digits += is_digit((unsigned char)c);
        alnum += is_alnum((unsigned char)c);
    }
    check_u64(alpha, 52);
    check_u64(digits, 10);
    check_u64(alnum, 62);
    check(ascii_lower('Z') == 'z' && ascii_lower('[') == '[' && ascii_lower('\xc0') == '\xc0');
    check(ascii_upper('a') == 'A' && ascii_upper('{') == '{');
    check(text_is_ascii(S("plain text of some length")) && text_is_ascii((Slice){0}));
    check(!text_is_ascii(S("plain text of some lengt\xc3\xa9")) && !text_is_ascii(S("\x80")));
    check(text_has_ctl(S("a\tb")) && text_has_ctl(S("\x7f")) && !text_has_ctl(S("a \xff")));
}

TEST(utf8_is_strict)
{
    static const struct {
        Slice text;
        size_t used;
        uint32_t codepoint;
    } rows[] = {
        {S("A"),                1, 'A'     },
        {S("\0"),               1, 0       },
        {S("\x7f"),             1, 0x7f    },
        {S("\xc2\x80"),         2, 0x80    },
        {S("\xdf\xbf"),         2, 0x7ff   },
        {S("\xe0\xa0\x80"),     3, 0x800   },
        {S("\xed\x9f\xbf"),     3, 0xd7ff  },
        {S("\xee\x80\x80"),     3, 0xe000  },
        {S("\xef\xbf\xbf"),     3, 0xffff  },
        {S("\xf0\x90\x80\x80"), 4, 0x10000 },
        {S("\xf4\x8f\xbf\xbf"), 4, 0x10ffff},
        {S(""),                 0, 0       },
        {S("\x80"),             0, 0       }, /* begins in the middle */
        {S("\xc0\xaf"),         0, 0       }, /* over-long "/" */
        {S("\xc1\xbf"),         0, 0       },
        {S("\xe0\x80\xaf"),     0, 0       },
        {S("\xe0\x9f\xbf"),     0, 0       },
        {S("\xf0\x80\x80\xaf"), 0, 0       },
        {S("\xf0\x8f\xbf\xbf"), 0, 0       },
        {S("\xed\xa0\x80"),     0, 0       }, /* surrogates */
        {S("\xed\xbf\xbf"),     0, 0       },
        {S("\xf4\x90\x80\x80"), 0, 0       }, /* above U+10FFFF */
        {S("\xf5\x80\x80\x80"), 0, 0       },
        {S("\xff"),             0, 0       },
        {S("\xe2\x82"),         0, 0       }, /* ends too early */
        {S("\xe2\x28\xa1"),     0, 0       },
        {S("\xe2\x82\x28"),     0, 0       },
        {S("\xf0\x9f\x98\x28"), 0, 0       },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t codepoint = 0;
        check_u64(utf8_decode(rows[i].text, &codepoint), rows[i].used);
        check_u64(codepoint, rows[i].codepoint);
        check(utf8_is_valid(rows[i].text) == (rows[i].used > 0 || !rows[i].text.len));
    }
    check(utf8_is_valid(S("a long run of ASCII, then \xf0\x9f\x98\x80 and more of it")));
    check(!utf8_is_valid(S("a long run of ASCII, then \xf0\x9f\x98")));
}

TEST(every_character_goes_round)
{
    Buf b buf_scoped = {0};
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        if (c == 0xd800) c = 0xe000;
        uint32_t back = ~c;
        buf_clear(&b);
        utf8_encode(&b, c);
        must(utf8_decode(buf_slice(&b), &back) == b.len && back == c);
    }
}

TEST(utf8_is_cut_between_characters)
{
    static const Slice text = S("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"); /* 1, 2, 3, 4 octets */
    static const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t most = 0; most < COUNT(wanted); most++)
        check_u64(utf8_cut(text, most), wanted[most]);
    check_u64(utf8_cut(S("\x80\x80\x80\x80\x80\x80\x80\x80"), 5), 5); /* not UTF-8 at all */
    check_u64(utf8_cut((Slice){0}, 5), 0);
}

/* RFC 4648 section 10. */
static const struct {
    Slice plain, base64, hex;
} rfc4648[] = {
    {S(""),             S(""),         S("")            },
    {S("f"),            S("Zg=="),     S("66")          },
    {S("fo"),           S("Zm8="),     S("666f")        },
    {S("foo"),          S("Zm9v"),     S("666f6f")      },
    {S("foob"),         S("Zm9vYg=="), S("666f6f62")    },
    {S("fooba"),        S("Zm9vYmE="), S("666f6f6261")  },
    {S("foobar"),       S("Zm9vYmFy"), S("666f6f626172")},
    {S("\xff\xfe\xfb"), S("//77"),     S("fffefb")      },
};

TEST(base64_and_hex_go_round)
{
    for (size_t i = 0; i < COUNT(rfc4648); i++) {
        Buf b buf_scoped = {0};
        base64_encode(&b, rfc4648[i].plain);
        check_slice(buf_slice(&b), rfc4648[i].base64);
        buf_clear(&b);
        check(base64_decode(&b, rfc4648[i].base64));
        check_slice(buf_slice(&b), rfc4648[i].plain);
        buf_clear(&b);
        hex_encode(&b, rfc4648[i].plain);
        check_slice(buf_slice(&b), rfc4648[i].hex);
        buf_clear(&b);
        check(hex_decode(&b, rfc4648[i].hex));
        check_slice(buf_slice(&b), rfc4648[i].plain);
    }
}

TEST(base64_and_hex_refuse_the_rest)
{
    static const Slice wrong[] = {
        S("Z"),    S("Zg"),       S("Zg="),  S("Zg==="),  S("Zh=="), /* bits left over */
        S("Zm9="), S("Zg==Zg=="), S("===="), S("Z==="),   S("Zm 9"),  S("Zm9v\r\n"), S("Zm-_"),
        S("=m9v"), S("Z=9v"),     S("Zm=v"), S("Zm9vYg"), S("Zm\0v"), S("Zm9\xff"),
    };
    Buf b buf_scoped = {0};
    buf_add(&b, S("before"));
    for (size_t i = 0; i < COUNT(wrong); i++)
        check(!base64_decode(&b, wrong[i]));
    static const Slice wrong_hex[] = {S("6"), S("6g"), S("g6"), S("66 6"), S("0x66")};
    for (size_t i = 0; i < COUNT(wrong_hex); i++)
        check(!hex_decode(&b, wrong_hex[i]));
    check(hex_decode(&b, S("4A4b")));
    check_slice(buf_slice(&b), S("beforeJK"));
}

/* RFC 3720 appendix B.4 and the customary check value. */
TEST(crc32c_gives_the_known_values)
{
    char zeros[32] = {0}, ones[32], rising[32];
    memset(ones, 0xff, sizeof ones);
    for (size_t i = 0; i < sizeof rising; i++)
        rising[i] = (char)i;
    check_u64(crc32c(0, S("123456789")), 0xe3069283);
    check_u64(crc32c(0, slice(zeros, 32)), 0x8a9136aa);
    check_u64(crc32c(0, slice(ones, 32)), 0x62a8ab43);
    check_u64(crc32c(0, slice(rising, 32)), 0x46dd794e);
    check_u64(crc32c(0, (Slice){0}), 0);
    check_u64(crc32c(crc32c(0, S("12345")), S("6789")), 0xe3069283);
    check_u64(slice_hash_crc(S("123456789")), 0xe3069283);
}

TEST(crc32c_by_hardware_and_by_table_agree)
{
    if (!crc32c_has_hardware()) return;
    char *bytes = malloc(20000);
    must(bytes);
    uint32_t random = 7;
    for (size_t i = 0; i < 20000; i++)
        bytes[i] = (char)((random = random * 1664525 + 1013904223) >> 24);
    for (size_t len = 0; len < 20000; len += len < 64 ? 1 : len / 7) {
        for (size_t start = 0; start < 9 && start + len <= 20000; start++) {
            Slice part = slice(bytes + start, len);
            must(crc32c_by_hardware(random, part) == crc32c_by_table(random, part));
        }
    }
    free(bytes);
}

TEST(constant_time_comparing_compares)
{
    check(bytes_equal_in_constant_time(S("secret"), S("secret")));
    check(bytes_equal_in_constant_time((Slice){0}, S("")));
    check(!bytes_equal_in_constant_time(S("secret"), S("secreT")));
    check(!bytes_equal_in_constant_time(S("Secret"), S("secret")));
    check(!bytes_equal_in_constant_time(S("secret"), S("secre")));
    char key[8] = "abcdefg";
    wipe(key, sizeof key);
    wipe(NULL, 0);
    check_slice(slice(key, 8), S("\0\0\0\0\0\0\0\0"));
}

TEST(days_and_dates_go_round)
{
    check(days_from_civil(1970, 1, 1) == 0);
    check(days_from_civil(2000, 2, 29) == 11016);
    check(days_from_civil(1969, 12, 31) == -1);
    check(days_from_civil(1, 1, 1) == -719162);
    int last_year = -1001;
    unsigned last_day = 0;
    for (int64_t d = days_from_civil(-1000, 1, 1); d < days_from_civil(4000, 1, 1); d++) {
        int year;
        unsigned month, day;
        civil_from_days(d, &year, &month, &day);
        must(days_from_civil(year, month, day) == d);
        must(month >= 1 && month <= 12 && (day == last_day + 1 || day == 1));
        must(year == last_year + (month == 1 && day == 1));
        last_year = year, last_day = day;
    }
    check(weekday_from_days(0) == 4 && weekday_from_days(-5) == 6 && weekday_from_days(3) == 0);
}

TEST(rfc5322_dates)
{
    static const struct {
        int64_t seconds;
        Slice text;
    } rows[] = {
        {0,            S("Thu, 01 Jan 1970 00:00:00 +0000")},
        {-1,           S("Wed, 31 Dec 1969 23:59:59 +0000")},
        {951782399,    S("Mon, 28 Feb 2000 23:59:59 +0000")},
        {951782400,    S("Tue, 29 Feb 2000 00:00:00 +0000")},
        {2147483648,   S("Tue, 19 Jan 2038 03:14:08 +0000")},
        {253402300799, S("Fri, 31 Dec 9999 23:59:59 +0000")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf b buf_scoped = {0};
        date_rfc5322(&b, rows[i].seconds);
        check_slice(buf_slice(&b), rows[i].text);
    }
}
