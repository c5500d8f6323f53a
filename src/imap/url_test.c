#include "base/test.h"
#include "imap/url.h"

#include <stdio.h>

typedef struct {
    const char *text;
    bool server;
    const char *user, *mailbox; /* NULL: none */
    uint32_t validity, uid;
    const char *section;
    bool partial;
    uint64_t offset, most;
    UrlAccess access;
    const char *access_user, *mechanism;
} Row;

/* clang-format off */
static const Row good[] = {
    /* RFC 4469 A, RFC 8508 4.2 */
    {.text = "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER",
     .mailbox = "Drafts",
     .validity = 385759045,
     .uid = 20,
     .section = "HEADER"},
    {.text = "/Drafts/;UID=3002", .mailbox = "Drafts", .uid = 3002},
    {.text = ";UID=7", .uid = 7},
    {.text = ";UID=7/;SECTION=1.2", .uid = 7, .section = "1.2"},
    {.text = "/a/b/;uid=20/;section=HEADER.FIELDS%20(From%20To)/;partial=5.10",
     .mailbox = "a/b",
     .uid = 20,
     .section = "HEADER.FIELDS (From To)",
     .partial = true,
     .offset = 5,
     .most = 10},
    {.text = "/a/;UID=1/;PARTIAL=9", .mailbox = "a", .uid = 1, .partial = true, .offset = 9},
    /* RFC 5092 9 */
    {.text = "imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024",
     .server = true,
     .mailbox = "gray-council",
     .validity = 385759045,
     .uid = 20,
     .partial = true,
     .most = 1024},
    {.text = "imap://psicorp.example.org/~peter/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E5%8F%B0%E5%8C%97",
     .server = true,
     .mailbox = "~peter/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e/\xe5\x8f\xb0\xe5\x8c\x97"},
    {.text = "imap://;AUTH=GSSAPI@minbari.example.org/gray-council/;uid=20/;section=1.2",
     .server = true,
     .mailbox = "gray-council",
     .uid = 20,
     .section = "1.2"},
    {.text = "imap://;AUTH=*@minbari.example.org/gray%20council?SUBJECT%20shadows",
     .server = true,
     .mailbox = "gray council"},
    {.text = "imap://john;AUTH=*@minbari.example.org/babylon5/personel?charset%20UTF-8",
     .server = true,
     .user = "john",
     .mailbox = "babylon5/personel"},
    {.text = "imap://imap.example.com", .server = true},
    {.text = "imap://imap.example.com/", .server = true},
    {.text = "imap://j%40x.org@[::1]:143/a", .server = true, .user = "j@x.org", .mailbox = "a"},
    {.text = "//example.org:1143/a/b", .server = true, .mailbox = "a/b"},
    {.text = "/foo", .mailbox = "foo"},
    {.text = "/foo/", .mailbox = "foo"},
    /* RFC 5092 6.1.2, RFC 5593 */
    {.text = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred:internal:"
             "91354a473744909de610943775f92038",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 20,
     .section = "1.2",
     .access = URL_SUBMIT,
     .access_user = "fred",
     .mechanism = "internal"},
    {.text = "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+fred",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 20,
     .section = "1.2",
     .access = URL_SUBMIT,
     .access_user = "fred"},
    {.text = "imap://joe@example.com/INBOX/;uid=1;EXPIRE=2026-01-01T00:00:00Z;URLAUTH=anonymous",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 1,
     .access = URL_ANONYMOUS},
    {.text = "imap://joe@h/INBOX/;uid=1/;PARTIAL=1.2;URLAUTH=user+a%40b",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 1,
     .partial = true,
     .offset = 1,
     .most = 2,
     .access = URL_USER,
     .access_user = "a@b"},
    {.text = "imap://joe@h/INBOX/;uid=1;URLAUTH=authuser",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 1,
     .access = URL_AUTHUSER},
    {.text = "imap://joe@h/INBOX/;uid=1;URLAUTH=stream",
     .server = true,
     .user = "joe",
     .mailbox = "INBOX",
     .uid = 1,
     .access = URL_APPLICATION},
};
/* clang-format on */

static void check_text(Slice got, const char *wanted)
{
    if (!wanted)
        check(!got.len);
    else
        check_slice(got, slice_of(wanted));
}

TEST(urls_that_are_right)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        Arena a arena_scoped = {0};
        const Row *r = &good[i];
        ImapUrl u;
        Err err = imap_url_parse(slice_of(r->text), &a, &u);
        if (err) fprintf(stderr, "%s: %s\n", r->text, err_story());
        check_ok(err);
        check(u.has_server == r->server);
        check_text(u.user, r->user);
        check_text(u.mailbox, r->mailbox);
        check_u64(u.uid_validity, r->validity);
        check_u64(u.uid, r->uid);
        check_text(u.section, r->section);
        check(u.partial == r->partial);
        check_u64(u.offset, r->offset);
        check_u64(u.most, r->most);
        check(u.access == r->access);
        check_text(u.access_user, r->access_user);
        check_text(u.mechanism, r->mechanism);
    }
}

static const char *const bad[] = {
    "",
    "INBOX",
    "INBOX/;UID=1", /* RFC 5092 7.2 */
    "..;UIDVALIDITY=385759045/;UID=20",
    "/;UID=1",
    "/INBOX;UID=1",
    "/INBOX/;UID=0",
    "/INBOX/;UID=4294967296",
    "/INBOX/;UID=1x",
    "/INBOX/;UID=1/",
    "/INBOX/;UID=1;section=1", /* the answer of RFC 4469's example 4 has it so */
    "/INBOX/;UID=1/;SECTION=",
    "/INBOX/;UID=1/;PARTIAL=",
    "/INBOX/;UID=1/;PARTIAL=1.0",
    "/INBOX/;UID=1/;PARTIAL=1.2/;SECTION=1",
    "/INBOX;UIDVALIDITY=0/;UID=1",
    "/a/../b/;UID=1",
    "/foo/;UID=20/..",
    "/a%/;UID=1",
    "/a%0/;UID=1",
    "/a%zz/;UID=1",
    "/a%00/;UID=1",
    "/a%0D/;UID=1",
    "/a%FF/;UID=1",
    "/a b/;UID=1",
    "http://example.org/INBOX/;UID=1",
    "imap://",
    "imap:///INBOX/;UID=1",
    "imap://@h/a",
    "imap://a@b@h/a",
    "/INBOX?ALL/;UID=1",
    "/INBOX/;UID=1;EXPIRE=2026-01-01T00:00:00Z",
    "/INBOX/;UID=1;EXPIRE=2026-02-29T00:00:00Z;URLAUTH=anonymous",
    "/INBOX/;UID=1;EXPIRE=2026-01-01;URLAUTH=anonymous",
    "/INBOX/;UID=1;URLAUTH=",
    "/INBOX/;UID=1;URLAUTH=user+",
    "/INBOX/;UID=1;URLAUTH=anonymous:",
    "/INBOX/;UID=1;URLAUTH=anonymous:internal",
    "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203",
    "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f9203g",
    "/INBOX/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f92038x",
};

TEST(urls_that_are_wrong)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        Arena a arena_scoped = {0};
        ImapUrl u;
        Err err = imap_url_parse(slice_of(bad[i]), &a, &u);
        if (!err) fprintf(stderr, "taken: %s\n", bad[i]);
        check_err(err, ERR_SYNTAX);
    }
}

TEST(the_rump_of_a_url_is_all_before_the_mechanism)
{
    Arena a arena_scoped = {0};
    ImapUrl u;
    Slice rump = S("imap://joe@EXAMPLE.com/%49NBOX/;uid=20;urlauth=anonymous");
    Slice whole =
        arena_printf(&a, "%.*s:INTERNAL:%s", SP(rump), "91354a473744909de610943775f92038");
    check_ok(imap_url_parse(whole, &a, &u));
    check_slice(u.rump, rump);
    check_slice(u.mailbox, S("INBOX"));
    check_slice(u.token, S("91354a473744909de610943775f92038"));
}

TEST(moments_of_rfc_3339)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: wrong */
    } rows[] = {
        {"1985-04-12T23:20:50.52Z",      482196050  },
        {"1996-12-19T16:39:57-08:00",    851042397  },
        {"1990-12-31T23:59:60Z",         662688000  },
        {"1937-01-01T12:00:27.87+00:20", -1041337173},
        {"1985-04-12t23:20:50z",         482196050  },
        {"1985-04-12 23:20:50Z",         -1         },
        {"1985-13-12T23:20:50Z",         -1         },
        {"1985-04-31T23:20:50Z",         -1         },
        {"1985-04-12T24:20:50Z",         -1         },
        {"1985-04-12T23:20:50",          -1         },
        {"1985-04-12T23:20:50.Z",        -1         },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t seconds = 0;
        bool fine = imap_url_date_time(slice_of(rows[i].text), &seconds);
        check(fine == (rows[i].seconds != -1));
        if (fine) check(seconds == rows[i].seconds);
    }
}
