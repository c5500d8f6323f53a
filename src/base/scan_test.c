#include "base/scan.h"
#include "base/test.h"
#include "base/text.h"

TEST(the_happy_path_is_read_to_its_end)
{
    Scan s = scan(S("FETCH 12,* (Flags)"));
    check(scan_see_word(&s, S("fetch")));
    scan_need(&s, ' ');
    check_u64(scan_number(&s), 12);
    check(!scan_see(&s, ':') && scan_see(&s, ','));
    check(scan_peek(&s) == '*');
    scan_need(&s, '*');
    scan_need_word(&s, S(" ("));
    check_slice(scan_while(&s, is_alpha), S("Flags"));
    check_slice(scan_until(&s, '('), S(")"));
    check(scan_is_done(&s) && scan_peek(&s) == -1);
    check_ok(scan_end(&s));
}

TEST(a_mistake_sticks)
{
    Scan s = scan(S("ab12"));
    scan_need(&s, 'a');
    scan_need(&s, 'x');
    check(!scan_is_ok(&s) && s.mistake == s.start + 1);
    scan_need(&s, 'b'); /* would fit, but comes too late */
    check(!scan_see(&s, 'b') && !scan_see_word(&s, S("b")) && scan_peek(&s) == -1);
    check_u64(scan_number(&s), 0);
    check_slice(scan_rest(&s), S(""));
    check_slice(scan_while(&s, is_alnum), S(""));
    check_slice(scan_until(&s, '2'), S(""));
    scan_fail(&s);
    check(s.at == s.start + 1 && s.mistake == s.at);
    check_err(scan_end(&s), ERR_SYNTAX);
    check(strstr(err_story(), "octet 2"));
}

TEST(what_is_left_over_is_a_mistake)
{
    Scan s = scan(S("a b"));
    scan_need(&s, 'a');
    check_err(scan_end(&s), ERR_SYNTAX);
    check_slice(scan_rest(&s), S(" b"));
    check_ok(scan_end(&s));
}

TEST(an_empty_text_scans)
{
    Scan s = scan((Slice){0});
    check(scan_is_done(&s) && !scan_see(&s, 'a') && scan_see_word(&s, S("")));
    check_slice(scan_until(&s, ' '), S(""));
    check_slice(scan_rest(&s), S(""));
    check_ok(scan_end(&s));
    scan_need(&s, 'a');
    check_err(scan_end(&s), ERR_SYNTAX);
    check(strstr(err_story(), "too early"));
}

TEST(numbers_fit_or_fail)
{
    static const struct {
        Slice text;
        bool fits32, fits64;
        uint64_t value;
    } rows[] = {
        {S("0"),                    true,  true,  0         },
        {S("0042"),                 true,  true,  42        },
        {S("4294967295"),           true,  true,  UINT32_MAX},
        {S("4294967296"),           false, true,  4294967296},
        {S("9223372036854775807"),  false, true,  INT64_MAX },
        {S("9223372036854775808"),  false, false, 0         },
        {S("18446744073709551616"), false, false, 0         },
        {S("-1"),                   false, false, 0         },
        {S(""),                     false, false, 0         },
        {S("x"),                    false, false, 0         },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Scan a = scan(rows[i].text), b = scan(rows[i].text);
        check_u64(scan_number(&a), rows[i].fits32 ? rows[i].value : 0);
        check(scan_is_ok(&a) == rows[i].fits32);
        check_u64(scan_number64(&b), rows[i].value);
        check(scan_is_ok(&b) == rows[i].fits64);
        if (!rows[i].fits64) check(b.at == b.start); /* stays put */
    }
}
