#include "base/test.h"
#include "mail/envelope.h"
#include "mail/mail.h"

/* Summarises whole and in pieces of 1, 2, 3, 7 and 64 octets; all must say the same. */
static void summarise(Slice message, Arena *a, Buf *text, MailSummary *m)
{
    static const size_t steps[] = {1, 2, 3, 7, 64};
    mail_summarise(message, a, text, m);
    for (size_t i = 0; i < COUNT(steps); i++) {
        Buf other buf_scoped = {0};
        MailSummary cut;
        MailScan *s scoped(mail_scan) = mail_scan_new(&other);
        for (Slice rest = message; rest.len; rest = slice_from(rest, steps[i]))
            mail_scan_feed(s, slice_first(rest, steps[i]));
        mail_scan_end(s, a, &cut);
        check_slice(cut.body_structure, m->body_structure);
        check_slice(cut.envelope, m->envelope);
        check_slice(cut.preview, m->preview);
        check_slice(buf_slice(&other), buf_slice(text));
        check_u64(cut.lines, m->lines);
        for (size_t k = 0; k < m->part_count; k++)
            check(cut.parts[k].header_at == m->parts[k].header_at &&
                  cut.parts[k].body_len == m->parts[k].body_len &&
                  cut.parts[k].body_at == m->parts[k].body_at &&
                  cut.parts[k].lines == m->parts[k].lines);
    }
}

/* ---- the examples of the RFCs ---- */

static void fill(Buf *out, size_t lines, size_t octets)
{
    size_t start = out->len;
    for (; lines > 1; lines--)
        buf_add(out, S("0123456789abcdef\r\n"));
    while (out->len - start < octets - 2)
        buf_char(out, 'x');
    buf_add(out, S("\r\n"));
}

/* RFC 3501 section 8, "fetch 12 full" */
TEST(rfc3501_example)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, text buf_scoped = {0}, body buf_scoped = {0};
    MailSummary m;
    buf_add(&mail, S("Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
                     "From: Terry Gray <gray@cac.washington.edu>\r\n"
                     "Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
                     "To: imap@cac.washington.edu\r\n"
                     "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
                     "Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
                     "\r\n"));
    check_u64(mail.len, 342); /* as the RFC's BODY[HEADER] says */
    fill(&mail, 92, 3028);
    summarise(buf_slice(&mail), &a, &text, &m);
    check_slice(m.envelope, S("(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" "
                              "\"IMAP4rev1 WG mtg summary and minutes\" "
                              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
                              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
                              "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
                              "((NIL NIL \"imap\" \"cac.washington.edu\")) "
                              "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
                              "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
                              "\"<B27397-0100000@cac.washington.edu>\")"));
    mail_body_of_structure(&body, m.body_structure);
    check_slice(buf_slice(&body),
                S("(\"TEXT\" \"PLAIN\" (\"charset\" \"US-ASCII\") NIL NIL \"7bit\" 3028 92)"));
    check_slice(m.body_structure, S("(\"TEXT\" \"PLAIN\" (\"charset\" \"US-ASCII\") NIL NIL "
                                    "\"7bit\" 3028 92 NIL NIL NIL NIL)"));
    check_u64(m.sent, 837595405);
    check_u64((uint64_t)-m.sent_zone, 420);
}

/* RFC 9051 7.5.2, the two-part example */
TEST(rfc9051_two_parts)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, text buf_scoped = {0}, body buf_scoped = {0};
    MailSummary m;
    buf_add(&mail, S("Content-Type: MULTIPART/MIXED; BOUNDARY=\"x\"\r\n\r\n"
                     "--x\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"));
    fill(&mail, 23, 1152);
    buf_add(&mail,
            S("\r\n--x\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\r\n"
              "Content-ID: <960723163407.20117h@cac.washington.edu>\r\n"
              "Content-Description: Compiler diff\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"));
    fill(&mail, 73, 4554);
    buf_add(&mail, S("\r\n--x--\r\n"));
    summarise(buf_slice(&mail), &a, &text, &m);
    mail_body_of_structure(&body, m.body_structure);
    check_slice(buf_slice(&body),
                S("((\"TEXT\" \"PLAIN\" (\"charset\" \"US-ASCII\") NIL NIL \"7bit\" 1152 23)"
                  "(\"TEXT\" \"PLAIN\" (\"charset\" \"US-ASCII\" \"name\" \"cc.diff\") "
                  "\"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" "
                  "\"BASE64\" 4554 73) \"MIXED\")"));
}

/* ---- envelopes ---- */

#define ANNA "((NIL NIL \"a\" \"x\"))"
static const struct {
    const char *header, *envelope;
} envelopes[] = {
    {"",                                                                            "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"               },
    {"From: a@x\n",                                                                 "(NIL NIL " ANNA " " ANNA " " ANNA " NIL NIL NIL NIL NIL)"},
    {"From: a@x\nSender: b@y\nReply-To:\n",
     "(NIL NIL " ANNA " ((NIL NIL \"b\" \"y\")) " ANNA " NIL NIL NIL NIL NIL)"                                                                },
    {"To: \nCc: ,\nBcc: (nobody)\nSubject:\nDate: \nIn-Reply-To:\nMessage-ID:  \n",
     "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")"                                                                                          },
    {"Subject: a \"quoted\" \\ back\n",
     "(NIL \"a \\\"quoted\\\" \\\\ back\" NIL NIL NIL NIL NIL NIL NIL NIL)"                                                                   },
    {"Subject: gr\xc3\xbc\xc3\x9f"
     "e\n",                                                                    "(NIL {7}\r\ngr\xc3\xbc\xc3\x9f"
     "e NIL NIL NIL NIL NIL NIL NIL NIL)"                                                                                     },
    {"Subject: =?utf-8?q?kept?=\n raw\n",
     "(NIL \"=?utf-8?q?kept?= raw\" NIL NIL NIL NIL NIL NIL NIL NIL)"                                                                         },
    {"Subject: one\nSubject: two\nTo: a@x\nTo: b@y\n",
     "(NIL \"one\" NIL NIL NIL ((NIL NIL \"a\" \"x\")(NIL NIL \"b\" \"y\")) NIL NIL NIL NIL)"                                                 },
    {"To: g: a@x;\nCc: undisclosed:;\n",
     "(NIL NIL NIL NIL NIL ((NIL NIL \"g\" NIL)(NIL NIL \"a\" \"x\")(NIL NIL NIL NIL)) "
     "((NIL NIL \"undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL)"                                                                          },
    {"To: <@r,@s:a@x>, root\n",
     "(NIL NIL NIL NIL NIL ((NIL \"@r,@s\" \"a\" \"x\")(NIL NIL \"root\" \"\")) NIL NIL NIL NIL)"                                             },
    {"From: \"a\\\"b\" <a@x>\nSender: c@d\nReply-To: e@f\n",
     "(NIL NIL ((\"a\\\"b\" NIL \"a\" \"x\")) ((NIL NIL \"c\" \"d\")) ((NIL NIL \"e\" \"f\")) NIL "
     "NIL NIL NIL NIL)"                                                                                                                       },
    {"Subject: a\rb\n",                                                             "(NIL \"a b\" NIL NIL NIL NIL NIL NIL NIL NIL)"           },
};

TEST(envelopes_render)
{
    for (size_t i = 0; i < COUNT(envelopes); i++) {
        Arena a arena_scoped = {0};
        Buf text buf_scoped = {0};
        MailSummary m;
        summarise(slice_of(envelopes[i].header), &a, &text, &m);
        check_slice(m.envelope, slice_of(envelopes[i].envelope));
    }
}

TEST(a_nul_is_not_sent)
{
    Arena a arena_scoped = {0};
    Buf text buf_scoped = {0};
    MailSummary m;
    summarise(S("Subject: a\0b\n\nc\0d"), &a, &text, &m);
    check_slice(m.envelope, S("(NIL \"a?b\" NIL NIL NIL NIL NIL NIL NIL NIL)"));
    check_slice(buf_slice(&text), S("C\0D"));
}

/* ---- structures ---- */

#define TEXT(octets, lines)                                                                        \
    "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" " #octets " " #lines          \
    " NIL NIL NIL NIL)"
#define MIXED(boundary) " \"mixed\" (\"boundary\" \"" boundary "\") NIL NIL NIL)"
#define NO_ENVELOPE     "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
#define M               "Content-Type: multipart/mixed; boundary="

static const struct {
    const char *message, *structure;
} structures[] = {
  /* no multipart */
    {"",                                                                                             TEXT(0,                                              0)                                                                                                                               },
    {"\n",                                                                                           TEXT(0,                                              0)                                                                                                                               },
    {"\r\nbody",                                                                                     TEXT(4,                                              0)                                                                                                                               },
    {"no header at all",                                                                             TEXT(0,                                              0)                                                                                                                               },
    {"A: b\n\nbody\n",                                                                               TEXT(5,                                              1)                                                                                                                               },
    {"A: b\r\n\r\nbody\r\nmore\r\n",                                                                 TEXT(12,                                             2)                                                                                                                               },
    {"A: b\n\r\nmixed\r\nends\n\r\n",                                                                TEXT(14,                                             3)                                                                                                                               },
    {"A: b\n\n--x\nno multipart\n",                                                                  TEXT(17,                                             2)                                                                                                                               },
    {"Content-Type: text/html\n\n<p>",
     "(\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 0 NIL NIL NIL NIL)"                                                              },
    {"Content-Type: text\n\nx",                                                                                        TEXT(1,                                                  0)                                                                                                                                 },
    {"Content-Type: ;;\n\nx",                                                                                        TEXT(1,                                                  0)},
    {"Content-Type: a/b/c\n\nx",                                                                                        TEXT(1,                                                  0)                                                                                                                                 },
    {"Content-Type:\n\nx",                                                                                        TEXT(1,                                                  0)},
    {"Content-Type: pdf; name=x\nContent-Transfer-Encoding: base64\n\nx",
     "(\"application\" \"octet-stream\" (\"name\" \"x\") NIL NIL \"base64\" 1 NIL NIL NIL NIL)"                                                       },
    {"Content-Type: text/plain\nContent-Transfer-Encoding: x-uue (what)\n\nx",
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"x-uue\" 1 0 NIL NIL NIL NIL)"                                                                                          },
    {"Content-Type: text/plain; charset*=utf-8''koi8-r\n\nx",
     "(\"text\" \"plain\" (\"charset*\" \"utf-8''koi8-r\") NIL NIL \"7bit\" 1 0 NIL NIL NIL NIL)"                             },
    {"Content-Type: image/png; name*0=a; name*1*=%20b\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n"
     "Content-Disposition: inline; filename=\"a\\\\b\"\nContent-Language: en, (x) de\n"
     "Content-Location: http://x/\n y\nContent-ID: <i@d>\nContent-Description: D\xc3\xa4\n\nx",               "(\"image\" \"png\" (\"name*\" \"''a%20b\") \"<i@d>\" {3}\r\nD\xc3\xa4 "
     "\"7bit\" 1 "
     "\"Q2hlY2sgSW50ZWdyaXR5IQ==\" (\"inline\" (\"filename\" \"a\\\\b\")) (\"en\" \"de\") "
     "\"http://x/ y\")"                                                                 },
    {"Content-Type: image/png\nContent-Disposition: attachment\nContent-Language: en\n\n",
     "(\"image\" \"png\" NIL NIL NIL \"7bit\" 0 NIL (\"attachment\" NIL) \"en\" NIL)"                                                                                                                          },
 /* multiparts */
    {M "b\n\n--b\n\none\n--b\n\ntwo\n--b--\n",                                                                                     "(" TEXT(3,                                                                                                                           0) TEXT(3,                                                                                                                                  0) MIXED("b")},
    {M "b\n\npreamble\n--b\nA: b\n\none\n\n--b--\nepilogue\n--b\nnot a part\n",
     "(" TEXT(4,                                       1) MIXED("b")                                                          },
    {M "b\r\n\r\n--b\r\n\r\none\r\n--b--",                                                                                    "(" TEXT(3,                                      0) MIXED("b")                                                                                                                                                                                          },
    {M "b\n\n--b \t\n\none\n--b-- \n",                                                                                     "(" TEXT(3,                                                                                      0) MIXED("b")                                                                                             },
    {M "\"b \"\n\n--b\n\none\n--b--\n",
     "(" TEXT(3,                                      0) " \"mixed\" (\"boundary\" \"b \") NIL NIL NIL)"                                 },
    {M "b\n\n--b\n\n--bb\n --b\n--b x\n--\n-\n--B\n--b--\n",                                                                                    "(" TEXT(24,                                       5) MIXED("b")},
    {M "b\n\n--b\n\nno end",                                                                                    "(" TEXT(6,                                            0) MIXED("b")                                                                                                                                                           },
    {M "b\n\n--b\n\none\n--b",                                                                                   "(" TEXT(3,                                                          0) TEXT(0,0) MIXED("b")},
    {M "b\n\n--b",                                                                   "(" TEXT(0,                                                        0) MIXED("b")},
    {M "b\n\n--b\nA: header only",                                                     "(" TEXT(0, 0) MIXED("b")                                                                                                                                                },
    {M "b\n\n--b\nA: header only\n--b\n--b--\n",                                                                                              "(" TEXT(0,                                                                                                                         0) TEXT(0,                                                                                                                                 0) MIXED("b")},
    {M "b\n\n--b\n\n\n--b--\n",                                                                                              "(" TEXT(0,                                                                                                                           0) MIXED("b")},
    {M "b\n\n--b\n\n--b--\n",                                                                                              "(" TEXT(0,                                                                                                                        0) MIXED("b")                                                                                                                                                              },
 /* without parts, without a boundary */
    {M "b\n\nonly a preamble\n",                                                                                              "(" TEXT(0,                                                                                                                                  0) MIXED("b")                                                                                                                      },
    {M "b\n\n--b--\n",                                                                                              "(" TEXT(0,                                                                                                                                         0) MIXED("b")                                                                                                                                                                           },
    {M "b\n\n",                                                                                              "(" TEXT(0,                                                                                                                                             0) MIXED("b")},
    {M "b",                                                                                              "(" TEXT(0,                                                                                              0) MIXED("b")                                                                                                                                                  },
    {"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",                                                                                              TEXT(13,                                                                                                                               4)                                                                                                                                                                                   },
    {M "\"\"\n\n--\nx\n",                                                                                              TEXT(5,                                                                                        2)},
    {"Content-Type: multipart; boundary=b\n\n--b\n\nx\n--b--\n",
     "(\"text\" \"plain\" (\"boundary\" \"b\" \"charset\" \"us-ascii\") NIL NIL \"7bit\" 13 4 NIL "
     "NIL NIL NIL)"                                                                                                                                         },
    {"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\nx\n--ab--\n",
     "(" TEXT(1,                                                                                                                                         0) " \"mixed\" (\"boundary\" \"ab\") NIL NIL NIL)"                                     },
 /* nested */
    {M "b\n\n--b\n" M "bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n",
     "((" TEXT(3,                                                                                       0) MIXED("bb") TEXT(3,0) MIXED("b")},
    {M "bb\n\n--bb\n" M "b\n\n--b\n\none\n--bb\n\ntwo\n--bb--\n",
     "((" TEXT(3,                                                                                                                                   0) MIXED("b") TEXT(3,                                                                                                                                                                       0) MIXED("bb")},
    {M "b\n\n--b\n" M "b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
     "((" TEXT(3,                                                                                                                0) MIXED("b") TEXT(3,0) MIXED("b")},
    {M "b\n\n--b\n" M "c\n\nno inner part\n--b\n\ntwo\n--b--\n",
     "((" TEXT(0,                                                                                                                   0) MIXED("c") TEXT(3,0) MIXED("b")},
    {M "b\n\n--b\n" M "c\n--b\n\ntwo\n--b--\n",                                                      "((" TEXT(0,                                         0) MIXED("c") TEXT(3,                                                                                                                                                                                                                                                                         0) MIXED("b")},
    {M "b\n\n--b\n" M "\"b--\"\n\n--b--\n\none\n--b----\n--b--\n",
     "((" TEXT(3,                                                                                      0) MIXED("b--") MIXED("b")                                                                                },
 /* messages */
    {"Content-Type: message/rfc822\n\nSubject: s\n\nbody\n",
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL "
     "NIL) " TEXT(5,                                                                                            1) " 3 NIL NIL NIL NIL)"                                                                                                                                                              },
    {"Content-Type: message/rfc822\n\n",
     "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
     " " TEXT(0,                                                                                                                0) " 0 NIL NIL NIL NIL)"                                                                                                                                                                                                                                                                           },
    {"Content-Type: message/rfc822",                                                                                              "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
                                     " " TEXT(0,                                                                                                                    0) " 0 NIL NIL NIL NIL)"                                },
    {"Content-Type: message/global\n\nSubject: s\n\n",
     "(\"message\" \"global\" NIL NIL NIL \"7bit\" 12 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL "
     "NIL) " TEXT(0,                                                                                                  0) " 2 NIL NIL NIL NIL)"                                                                                                                                                         },
    {"Content-Type: message/delivery-status\n\nx",
     "(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 1 NIL NIL NIL NIL)"                                                                                                     },
    {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: one\n\nx\n--b\nContent-Type: "
     "text/plain\n\ny\n--b--\n",                                                                "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 (NIL \"one\" NIL NIL NIL NIL NIL NIL NIL "
     "NIL) " TEXT(1,                                                                                                 0) " 2 NIL NIL NIL NIL)" TEXT(
         1,                                                                                                                                            0) " \"digest\" (\"boundary\" \"b\") NIL NIL NIL)"},
    {M "b\n\n--b\nContent-Type: message/rfc822\n\n" M "c\n\n--c\n\nin\n--c--\n--b\n\ntwo\n--b--\n",
     "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 56 " NO_ENVELOPE " (" TEXT(2,                                                     0)
         MIXED("c") " 5 NIL NIL NIL NIL)" TEXT(3,                                                                                                              0) MIXED("b")},
    {M "b\n\n--b\nContent-Type: message/rfc822\n\n--b--\n",
     "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " NO_ENVELOPE
     " " TEXT(0,                                                                                                                                    0) " 0 NIL NIL NIL NIL)" MIXED("b")                                                                                                                                                                                                                                                                           },
};

TEST(structures_render)
{
    for (size_t i = 0; i < COUNT(structures); i++) {
        Arena a arena_scoped = {0};
        Buf text buf_scoped = {0};
        MailSummary m;
        summarise(slice_of(structures[i].message), &a, &text, &m);
        if (!slice_eq(m.body_structure, slice_of(structures[i].structure)))
            test_failed(__FILE__, __LINE__, "%s:\n%.*s\nnot\n%s", structures[i].message,
                        SP(m.body_structure), structures[i].structure);
    }
}

TEST(long_boundaries_do_not_count)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, text buf_scoped = {0}, boundary buf_scoped = {0};
    MailSummary m;
    for (int i = 0; i < MAIL_BOUNDARY_MOST; i++)
        buf_char(&boundary, 'x');
    buf_printf(&mail, M "%s\n\n--%s\n\none\n--%s--\n", buf_cstr(&boundary), buf_cstr(&boundary),
               buf_cstr(&boundary));
    summarise(buf_slice(&mail), &a, &text, &m);
    check_u64(m.part_count, 2);
    check_u64(m.parts[1].body_len, 3);
    buf_char(&boundary, 'x');
    buf_clear(&mail), buf_clear(&text);
    buf_printf(&mail, M "%s\n\n--%s\n\none\n--%s--\n", buf_cstr(&boundary), buf_cstr(&boundary),
               buf_cstr(&boundary));
    summarise(buf_slice(&mail), &a, &text, &m);
    check_u64(m.part_count, 1);
    check(m.parts[0].kind == PART_TEXT);
}

/* ---- what SEARCH and FETCH PREVIEW see ---- */

static const struct {
    const char *message, *text, *preview;
} texts[] = {
    {"A: b\n\nHello  W\xc3\xb6rld\n",                                                             "HELLO  WO\xcc\x88RLD\n",                       "Hello W\xc3\xb6rld"},
    {"A: b\n\n> quoted\n> more\n\nOn Monday x wrote:\n> again\nanswer\n-- \nsig\n",               NULL,                                           "answer"            },
    {"A: b\n\n> only\n> quoted\n",                                                                NULL,                                           "> only > quoted"   },
    {"A: b\n\n\n \t\n",                                                                           NULL,                                           ""                  },
    {"Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=koi8-r\n\n8NLJ18XU\n",
     "ПРИВЕТ",                                                                                                                              "Привет"      },
    {"Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; "
     "charset=utf-8\n\n=E2=82=\n=AC=20x \n",                                                 "€ X\n",                                      "€ x"             },
    {"Content-Type: text/html\n\n<style>p{}</style><p>a &amp; b</p><p>c",                         "A & B\nC",                                     "a & b c"           },
    {M "b\n\npre\n--b\nContent-Type: "
       "text/html\n\n<b>html</b>\n--b\n\nplain\n--b\n\nsecond\n--b--\npost\n",               "CONTENT-TYPE: TEXT/HTML\nHTML\nPLAIN\nSECOND", "plain"             },
    {M "b\n\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b\n\n\n--b--\n",
     "CONTENT-TYPE: TEXT/HTML\nHTML",                                                                                                             "html"              },
    {M "b\n\n--b\nContent-Disposition: attachment\n\nsaved\n--b\n\nread\n--b--\n",
     "CONTENT-DISPOSITION: ATTACHMENT\nSAVED\nREAD",                                                                                              "read"              },
    {M "b\n\n--b\nContent-Type: image/png\n\nnot text\n--b--\n",                                  "CONTENT-TYPE: IMAGE/PNG",                      ""                  },
    {M "b\n\n--b\nContent-Type: a/b; name*0*=utf-8''%D1%84; name*1=.txt\n\nx\n--b--\n",
     "CONTENT-TYPE: A/B; NAME*0*=UTF-8''%D1%84; NAME*1=.TXT\nФ.TXT",                                                                             ""                  },
    {"Content-Type: message/rfc822\n\nSubject: =?utf-8?q?=C3=A4?=\n\nin\n",
     "SUBJECT: A\xcc\x88\nIN\n",                                                                                                                  "in"                },
    {M "b\r\n\r\n--b\r\n\r\none\r\n\r\n--b--\r\n",                                                "ONE\r\n",                                      "one"               },
    {"Content-Type: text/plain; charset=no-such\n\n\xe4",                                         "A\xcc\x88",                                    "ä"                },
};

TEST(text_is_decoded)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        Arena a arena_scoped = {0};
        Buf text buf_scoped = {0};
        MailSummary m;
        summarise(slice_of(texts[i].message), &a, &text, &m);
        if (texts[i].text) check_slice(buf_slice(&text), slice_of(texts[i].text));
        check_slice(m.preview, slice_of(texts[i].preview));
    }
}

/* SEARCH BODY "doesn't match any header fields" (RFC 9051 6.4.4). */
TEST(text_leaves_headers_out_when_asked)
{
    static const char mail[] = M "b\n\n--b\nContent-Type: text/plain; name*=''x\n\none\n--b\n"
                                 "Content-Type: message/rfc822\n\nSubject: in\n\ntwo\n--b--\n";
    Arena a arena_scoped = {0};
    Buf text buf_scoped = {0};
    MailSummary m;
    MailScan *s scoped(mail_scan) = mail_scan_new(&text);
    mail_scan_text_of(s, MAIL_TEXT_BODIES);
    mail_scan_feed(s, slice_of(mail));
    mail_scan_end(s, &a, &m);
    check_slice(buf_slice(&text), S("ONE\nTWO"));
}

TEST(previews_are_cut_on_a_character)
{
    Arena a arena_scoped = {0};
    Buf mail buf_scoped = {0}, text buf_scoped = {0};
    MailSummary m;
    buf_add(&mail, S("A: b\n\n"));
    for (int i = 0; i < 300; i++)
        buf_add(&mail, S("ä"));
    summarise(buf_slice(&mail), &a, &text, &m);
    check_u64(m.preview.len, 2 * MAIL_PREVIEW_MOST);
}

TEST(columns_are_decoded_and_folded)
{
    Arena a arena_scoped = {0};
    Buf text buf_scoped = {0};
    MailSummary m;
    summarise(S("From: =?utf-8?q?J=C3=B6rg?= <j@x>\nTo: a@x\nTo: b@y\nCc: c\nBcc: d\n"
                "Subject: Re: [x] Gr\xc3\xbc\xc3\x9f"
                "e\nMessage-ID: junk <\"1\"@x> <2@x>\n"
                "References: <a@b>\n\t<c@d>\nIn-Reply-To: <e@f>\nDate: Thu, 1 Jan 1970 01:00:00 "
                "+0100\n\n"),
              &a, &text, &m);
    check_slice(m.from, S("JO\xcc\x88RG <J@X>"));
    check_slice(m.to, S("A@X\nB@Y"));
    check_slice(m.cc, S("C"));
    check_slice(m.bcc, S("D"));
    check_slice(m.subject, S("RE: [X] GRU\xcc\x88ßE"));
    check_slice(m.base_subject, S("GRU\xcc\x88ßE"));
    check_slice(m.message_id, S("<1@x>"));
    check_slice(m.references, S("<a@b> <c@d>"));
    check(m.sent == 0 && m.sent_zone == 60);
}

TEST(what_is_missing_is_empty)
{
    Arena a arena_scoped = {0};
    Buf text buf_scoped = {0};
    MailSummary m;
    summarise(S("Date: soon\nIn-Reply-To: you said <a@b> <c@d>\n\n"), &a, &text, &m);
    check(m.sent == 0 && m.sent_zone == INT16_MIN);
    check(!m.from.len && !m.subject.len && !m.base_subject.len && !m.message_id.len);
    check_slice(m.references, S("<a@b>"));
    check(!m.has_attachment);
}

TEST(attachments_are_seen)
{
    static const struct {
        const char *header;
        bool has;
    } rows[] = {
        {"Content-Type: text/plain; name=x",                                   false},
        {"Content-Type: text/plain\nContent-Disposition: attachment",          true },
        {"Content-Type: image/png",                                            false},
        {"Content-Type: image/png; name=x",                                    true },
        {"Content-Type: image/png; name*=utf-8''x",                            true },
        {"Content-Type: image/png\nContent-Disposition: inline; filename*0=x", true },
        {"Content-Type: message/rfc822",                                       false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Arena a arena_scoped = {0};
        Buf text buf_scoped = {0}, mail buf_scoped = {0};
        MailSummary m;
        buf_printf(&mail, "%s\n\nx", rows[i].header);
        summarise(buf_slice(&mail), &a, &text, &m);
        if (m.has_attachment != rows[i].has)
            test_failed(__FILE__, __LINE__, "%s: %d", rows[i].header, m.has_attachment);
    }
}

/* ---- what is read back from an envelope ---- */

static void check_first(Slice envelope, EnvelopeField field, const MailAddress *wanted)
{
    Arena a arena_scoped = {0};
    MailAddress got = {0};
    check(envelope_first_address(envelope, field, &a, &got));
    check_slice(got.name, wanted->name);
    check_slice(got.mailbox, wanted->mailbox);
    check_slice(got.host, wanted->host);
    check((got.name.at == NULL) == (wanted->name.at == NULL));
    check((got.host.at == NULL) == (wanted->host.at == NULL));
}

TEST(first_addresses_are_read_from_the_envelope)
{
    Arena a arena_scoped = {0};
    MailSummary m;
    MailAddress none;
    mail_summarise(S("Subject: a \"quoted\\ \" one\r\n"
                     "From: \"Z \\\"Q\\\" \\\\\" <z@example.org>, x@y\r\n"
                     "To: friends: a@b;\r\n"
                     "Bcc: c@d\r\n\r\n"),
                   &a, NULL, &m);
    check_slice(envelope_text(m.envelope, ENVELOPE_SUBJECT, &a), S("a \"quoted\\ \" one"));
    check_first(
        m.envelope, ENVELOPE_FROM,
        &(MailAddress){.name = S("Z \"Q\" \\"), .mailbox = S("z"), .host = S("example.org")});
    check_first(m.envelope, ENVELOPE_TO, &(MailAddress){.mailbox = S("friends")});
    check(!envelope_first_address(m.envelope, ENVELOPE_CC, &a, &none));
    mail_summarise(S("From: \xc3\x89mile <e@x>\r\n\r\n"), &a, NULL, &m);
    check(!envelope_text(m.envelope, ENVELOPE_SUBJECT, &a).at);
    check_first(m.envelope, ENVELOPE_FROM,
                &(MailAddress){.name = S("\xc3\x89mile"), .mailbox = S("e"), .host = S("x")});
    check(!envelope_first_address(S("("), ENVELOPE_FROM, &a, &none));
    check(!envelope_first_address(S(""), ENVELOPE_TO, &a, &none));
    check(!envelope_text(S("(NIL"), ENVELOPE_SUBJECT, &a).at);
}
