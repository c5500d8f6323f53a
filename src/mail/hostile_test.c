/* Mail made to hurt: every limit of mail.h is reached, and the work stays in proportion to the
 * octets. */
#include "base/test.h"
#include "mail/mail.h"
#include "mail/wire.h"

#include <time.h>

#define M "Content-Type: multipart/mixed; boundary="

static void repeat(Buf *out, size_t times, const char *text)
{
    Slice s = slice_of(text);
    while (times--)
        buf_add(out, s);
}

/* Generous, for sanitizers on a busy machine; what is quadratic takes minutes. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
enum { SECONDS_MOST = 120 };
#define SECONDS_ARE_SET
#endif
#endif
#ifndef SECONDS_ARE_SET
enum { SECONDS_MOST = 20 };
#endif

static void summarise(Slice mail, Arena *a, MailSummary *m)
{
    Buf text buf_scoped = {0}, stored buf_scoped = {0}, body buf_scoped = {0};
    MailSummary again;
    clock_t start = clock();
    mail_summarise(mail, a, &text, m);
    mail_summary_encode(&stored, m);
    check_ok(mail_summary_decode(buf_slice(&stored), a, &again));
    mail_body_of_structure(&body, m->body_structure);
    check((clock() - start) / CLOCKS_PER_SEC < SECONDS_MOST);
    check(m->part_count <= MAIL_PARTS_MOST && text.len <= MAIL_TEXT_MOST);
    check_u64(wire_skip(m->body_structure), m->body_structure.len);
    check_u64(wire_skip(m->envelope), m->envelope.len);
    check_u64(wire_skip(buf_slice(&body)), body.len);
}

static void summarise_only(Slice mail)
{
    Arena a arena_scoped = {0};
    MailSummary m;
    summarise(mail, &a, &m);
}

TEST(nesting_without_end)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0};
    MailSummary m;
    for (int i = 0; i < 100000; i++)
        buf_printf(&mail, M "b%d\n\n--b%d\n", i, i);
    summarise(buf_slice(&mail), &a, &m);
    check_u64(m.part_count, MAIL_DEPTH_MOST + 1);
    check(m.parts[MAIL_DEPTH_MOST].depth == MAIL_DEPTH_MOST &&
          m.parts[MAIL_DEPTH_MOST].kind == PART_BASIC);
}

TEST(messages_in_messages_without_end)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0};
    MailSummary m;
    repeat(&mail, 100000, "Content-Type: message/rfc822\n\n");
    summarise(buf_slice(&mail), &a, &m);
    check_u64(m.part_count, MAIL_DEPTH_MOST + 1);
}

TEST(digests_in_digests_without_end)
{
    Buf mail buf_scoped = {0};
    repeat(&mail, 50000, "Content-Type: multipart/digest; boundary=b\n\n--b\n\n");
    summarise_only(buf_slice(&mail));
}

TEST(a_million_parts)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0};
    MailSummary m;
    buf_add(&mail, S(M "b\n\n"));
    repeat(&mail, 1000000, "--b\n\nx\n");
    summarise(buf_slice(&mail), &a, &m);
    check_u64(m.part_count, MAIL_PARTS_MOST - 1);
    const MailPart *last = &m.parts[m.part_count - 1];
    check_u64(last->body_at + last->body_len, mail.len); /* it has the rest */
}

TEST(empty_multiparts_at_the_limit)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0};
    MailSummary m;
    buf_add(&mail, S(M "b\n\n"));
    repeat(&mail, 2000, "--b\n" M "c\n\n");
    summarise(buf_slice(&mail), &a, &m);
    for (size_t i = 0; i < m.part_count; i++)
        check(m.parts[i].kind != PART_MULTIPART || m.parts[i].first_child);
}

TEST(boundaries_that_begin_alike)
{
    Buf mail buf_scoped = {0}, boundary buf_scoped = {0};
    for (int i = 0; i < 99; i++) {
        buf_char(&boundary, 'b');
        buf_printf(&mail, M "%s\n\n--%s\n", buf_cstr(&boundary), buf_cstr(&boundary));
    }
    buf_add(&mail, S("\n"));
    for (int i = 0; i < 100000; i++)
        buf_printf(&mail, "--%sx\n", buf_cstr(&boundary));
    summarise_only(buf_slice(&mail));
}

TEST(headers_without_end)
{
    static const char *const bits[] = {
        "A: b\r\n",
        " folded\r\n",
        "To: a@b,\r\n",
        "x",
        "A:\n ",
        "Subject: =?utf-8?q?=41?=\r\n",
        "=?utf-8?q?",
        "From: (((((((((\r\n",
        "Cc: g: a@b;\r\n",
        "References: <a@b>\r\n",
        "\r",
        "Content-Language: a,\r\n",
        "Content-Type: a/b; c=d; e*0=f\r\n",
    };
    for (size_t i = 0; i < COUNT(bits); i++) {
        Arena a arena_scoped = {0};
        Buf mail buf_scoped = {0};
        MailSummary m;
        repeat(&mail, 10 * 1024 * 1024 / strlen(bits[i]), bits[i]);
        summarise(buf_slice(&mail), &a, &m);
        check_u64(m.header_len, mail.len);
        check(m.envelope.len < 8 * MAIL_HEADER_MOST);
    }
}

TEST(many_long_part_headers)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, description buf_scoped = {0};
    MailSummary m;
    repeat(&description, 20000, "long\n ");
    buf_add(&mail, S(M "b\n\n"));
    for (int i = 0; i < 300; i++) {
        buf_add(&mail, S("--b\nContent-Description: "));
        buf_add(&mail, buf_slice(&description));
        buf_add(&mail, S("\n\nx\n"));
    }
    summarise(buf_slice(&mail), &a, &m);
    check_u64(m.part_count, 301);
    check(m.body_structure.len < 3 * 1024 * 1024);
}

TEST(bodies_without_end)
{
    static const char *const types[] = {
        "text/plain",
        "text/html",
        "text/plain; charset=iso-2022-jp",
        "text/plain; charset=utf-16",
        "text/plain; charset=koi8-r",
    };
    static const char *const bits[] = {"x",    "-",    "--",           "\n",   "\r",       "<", "&",
                                       "<!--", "\xff", "\xef\xb7\xba", "> \n", "\xc3\xa4", "= "};
    for (size_t t = 0; t < COUNT(types); t++) {
        for (size_t i = 0; i < COUNT(bits); i++) {
            Buf mail buf_scoped = {0};
            buf_printf(&mail, "Content-Type: %s\nContent-Transfer-Encoding: %s\n\n", types[t],
                       i % 2 ? "8bit" : "quoted-printable");
            repeat(&mail, 3 * 1024 * 1024 / strlen(bits[i]), bits[i]);
            summarise_only(buf_slice(&mail));
        }
    }
}

/* Text is taken up to the limit, whole characters, however much comes. */
TEST(text_stops_at_its_limit)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, text buf_scoped = {0};
    MailSummary m;
    buf_add(&text, S("before"));
    buf_add(&mail, S("Content-Type: text/plain; charset=utf-8\n\nx"));
    repeat(&mail, MAIL_TEXT_MOST, "ш");
    mail_summarise(buf_slice(&mail), &a, &text, &m);
    check_u64(text.len, 6 + MAIL_TEXT_MOST - 1);
    check(slice_ends(buf_slice(&text), S("Ш")));
    check_slice(slice_first(buf_slice(&text), 7), S("beforeX"));
}
