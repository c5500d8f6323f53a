#include "base/test.h"
#include "smtp/path.h"

typedef struct {
    Slice text;
    bool reverse, forward; /* whether it fits */
    Slice mailbox, local, domain;
} Row;

static const Row rows[] = {
    {S("<>"),                             true,  false, S(""),                             S(""),             S("")              },
    {S("<a@b>"),                          true,  true,  S("a@b"),                          S("a"),            S("b")             },
    {S(" <a@b.example>"),                 true,  true,  S("a@b.example"),                  S("a"),            S("b.example")     },
    {S("<Postmaster>"),                   false, true,  S("Postmaster"),                   S("Postmaster"),   S("")              },
    {S("<@x,@y.org:a@b>"),                true,  true,  S("a@b"),                          S("a"),            S("b")             },
    {S("<@x.org:Postmaster>"),            false, true,  S("Postmaster"),                   S("Postmaster"),   S("")              },
    {S("<\"a b\\\"@\"@c>"),               true,  true,  S("\"a b\\\"@\"@c"),               S("\"a b\\\"@\""), S("c")             },
    {S("<\"\"@c>"),                       true,  true,  S("\"\"@c"),                       S("\"\""),         S("c")             },
    {S("<a..b.@c>"),                      true,  true,  S("a..b.@c"),                      S("a..b."),        S("c")             },
    {S("<a+b=c/d@x_y.example>"),          true,  true,  S("a+b=c/d@x_y.example"),          S("a+b=c/d"),
     S("x_y.example")                                                                                                            },
    {S("<a@[192.0.2.1]>"),                true,  true,  S("a@[192.0.2.1]"),                S("a"),            S("[192.0.2.1]")   },
    {S("<a@[IPv6:2001:db8::1]>"),         true,  true,  S("a@[IPv6:2001:db8::1]"),         S("a"),
     S("[IPv6:2001:db8::1]")                                                                                                     },
    {S("<a@[x400:c=de]>"),                true,  true,  S("a@[x400:c=de]"),                S("a"),            S("[x400:c=de]")   },
    {S("<j\303\274rgen@m\303\274ll.de>"), true,  true,  S("j\303\274rgen@m\303\274ll.de"),
     S("j\303\274rgen"),                                                                                      S("m\303\274ll.de")},
 /* what does not fit */
    {S(""),                               false, false, {0},                               {0},               {0}                },
    {S("a@b"),                            false, false, {0},                               {0},               {0}                },
    {S("<a@b"),                           false, false, {0},                               {0},               {0}                },
    {S("<a@>"),                           false, false, {0},                               {0},               {0}                },
    {S("<@b>"),                           false, false, {0},                               {0},               {0}                },
    {S("< a@b>"),                         false, false, {0},                               {0},               {0}                },
    {S("<a b@c>"),                        false, false, {0},                               {0},               {0}                },
    {S("<a@b@c>"),                        false, false, {0},                               {0},               {0}                },
    {S("<a@b>x"),                         false, false, {0},                               {0},               {0}                },
    {S("<<a@b>>"),                        false, false, {0},                               {0},               {0}                },
    {S("<a@b..c>"),                       false, false, {0},                               {0},               {0}                },
    {S("<a@.b>"),                         false, false, {0},                               {0},               {0}                },
    {S("<a@b.>"),                         false, false, {0},                               {0},               {0}                },
    {S("<a@-b>"),                         false, false, {0},                               {0},               {0}                },
    {S("<a@b-.c>"),                       false, false, {0},                               {0},               {0}                },
    {S("<a@[192.0.2.300]>"),              false, false, {0},                               {0},               {0}                },
    {S("<a@[IPv6:xyz]>"),                 false, false, {0},                               {0},               {0}                },
    {S("<a@[]>"),                         false, false, {0},                               {0},               {0}                },
    {S("<a@[tag:]>"),                     false, false, {0},                               {0},               {0}                },
    {S("<\"a@b>"),                        false, false, {0},                               {0},               {0}                },
    {S("<\"a\\\"@b>"),                    false, false, {0},                               {0},               {0}                },
    {S("<\"a\177\"@b>"),                  false, false, {0},                               {0},               {0}                },
    {S("<\"a\001\"@b>"),                  false, false, {0},                               {0},               {0}                },
    {S("<a\377@b>"),                      false, false, {0},                               {0},               {0}                },
    {S("<a\0@b>"),                        false, false, {0},                               {0},               {0}                },
    {S("<@x:>"),                          false, false, {0},                               {0},               {0}                },
};

static void check_path(const Row *row, SmtpPath p, const Scan *s, bool fits)
{
    bool fitted = scan_is_ok(s) && scan_is_done(s);
    if (fitted != fits) test_failed(__FILE__, __LINE__, "fits or not: %.*s", SP(row->text));
    if (!fits || !fitted) return;
    check_slice(p.mailbox, row->mailbox);
    check_slice(p.local, row->local);
    check_slice(p.domain, row->domain);
}

TEST(paths_are_read)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Scan r = scan(rows[i].text), f = r;
        SmtpPath p = smtp_reverse_path(&r);
        check_path(&rows[i], p, &r, rows[i].reverse);
        p = smtp_forward_path(&f);
        check_path(&rows[i], p, &f, rows[i].forward);
    }
}

TEST(parts_of_a_path_have_limits)
{
    for (size_t len = 250; len < 260; len++) {
        Arena a arena_scoped = {0};
        char *x = arena_alloc(&a, len);
        memset(x, 'x', len);
        Scan s = scan(arena_printf(&a, "<%.*s@b>", (int)len, x));
        smtp_forward_path(&s);
        check(scan_is_ok(&s) == (len <= SMTP_LOCAL_MOST));
        check(smtp_is_host(arena_printf(&a, "[x:%.*s]", (int)len - 4, x)) == (len <= 255));
        check(smtp_is_host(slice(x, len)) == (len <= SMTP_DOMAIN_MOST && len <= 63 * 4));
    }
}

TEST(parameters_are_read)
{
    Scan s = scan(S(" SIZE=100  BODY=8BITMIME SMTPUTF8 "));
    SmtpParameter p;
    check(smtp_parameter(&s, &p));
    check_slice(p.name, S("SIZE"));
    check_slice(p.value, S("100"));
    check(smtp_parameter(&s, &p));
    check_slice(p.name, S("BODY"));
    check(smtp_parameter(&s, &p));
    check_slice(p.name, S("SMTPUTF8"));
    check(!p.value.at && !smtp_parameter(&s, &p) && scan_is_ok(&s));

    static const Slice bad[] = {S("SIZE=1"),  S(" =1"),     S(" SIZE="),  S(" -A=1"), S(" A=b=c"),
                                S(" A=\001"), S(" A=\177"), S(" A=\377"), S(" A,B")};
    for (size_t i = 0; i < COUNT(bad); i++) {
        Scan b = scan(bad[i]);
        while (smtp_parameter(&b, &p))
            ;
        if (scan_is_ok(&b)) test_failed(__FILE__, __LINE__, "fits: %.*s", SP(bad[i]));
    }
}

TEST(hosts_say_hello)
{
    static const Slice good[] = {S("mail.example.org"), S("localhost"), S("[127.0.0.1]"),
                                 S("[IPv6:::1]"), S("my_pc")};
    static const Slice bad[] = {
        S(""),    S("a b"),    S("[127.0.0.1"), S("a."), S("m\303\274ll.de"),
        S("(x)"), S("[::1]x"), S("<a@b>")};
    for (size_t i = 0; i < COUNT(good); i++)
        check(smtp_is_host(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        check(!smtp_is_host(bad[i]));
}

TEST(domains_become_ascii)
{
    Arena a arena_scoped = {0};
    Slice got = {0};
    check_ok(smtp_domain_to_ascii(&a, S("Example.ORG"), &got));
    check_slice(got, S("example.org"));
    check_ok(smtp_domain_to_ascii(&a, S("M\303\274ll.de"), &got));
    check_slice(got, S("xn--mll-hoa.de"));
    check_ok(smtp_domain_to_ascii(&a, S("[IPv6:::1]"), &got));
    check_slice(got, S("[ipv6:::1]"));
    check_err(smtp_domain_to_ascii(&a, S("\357\277\275.de"), &got), ERR_SYNTAX);
}
