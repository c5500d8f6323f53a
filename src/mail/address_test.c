#include "base/test.h"
#include "mail/header.h"
#include "mail/mail.h"

/* A row is "name|route|mailbox|host", "-" for what is missing; "{name" begins a group, "}" ends it.
 */
static const struct {
    const char *in, *out;
} rows[] = {
  /* RFC 5322 appendix A.1.1 */
    {"John Doe <jdoe@machine.example>",                                       "John Doe|-|jdoe|machine.example"                                                       },
    {"\"Joe Q. Public\" <john.q.public@example.com>",                         "Joe Q. Public|-|john.q.public|example.com"                                             },
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "Mary Smith|-|mary|x.test\n-|-|jdoe|example.org\nWho?|-|one|y.test"                                                                                              },
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "-|-|boss|nil.test\nGiant; \"Big\" Box|-|sysservices|example.net"                                                                                                },
 /* A.1.3 */
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "{A Group\nEd Jones|-|c|a.test\n-|-|joe|where.test\nJohn|-|jdoe|one.test\n}"                                                                                     },
    {"Undisclosed recipients:;",                                              "{Undisclosed recipients\n}"                                                            },
 /* A.5: comments and white space */
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",        "Pete|-|pete|silly.test"                                                                },
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         "
     "joe@example.org,\r\n"
     "  John <jdoe@one.test> (my dear friend); (the end of the group)",  "{A Group\nChris Jones|-|c|public.example\n-|-|joe|example.org\nJohn|-|jdoe|one.test\n}"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;",       "{Hidden recipients\n}"                                                                 },
 /* A.6.1, A.6.3: obsolete */
    {"Joe Q. Public <john.q.public@example.com>",                             "Joe Q. Public|-|john.q.public|example.com"                                             },
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith|@node.test|mary|example.net\n-|-|jdoe|test.example"                                                                                                  },
    {"John Doe <jdoe@machine(comment).  example>",                            "John Doe|-|jdoe|machine.example"                                                       },
    {"<@a.example,@b.example:c@d>",                                           "-|@a.example,@b.example|c|d"                                                           },
 /* forms */
    {"",                                                                      ""                                                                                      },
    {"  \r\n\t ",                                                             ""                                                                                      },
    {",,, ;",                                                                 ""                                                                                      },
    {"a@b (Anna B.)",                                                         "Anna B.|-|a|b"                                                                         },
    {"<a@b> (Anna B.)",                                                       "Anna B.|-|a|b"                                                                         },
    {"(Anna) a@b",                                                            "Anna|-|a|b"                                                                            },
    {"\"quoted local\"@b",                                                    "-|-|quoted local|b"                                                                    },
    {"<\"quoted@local\"@b>",                                                  "-|-|quoted@local|b"                                                                    },
    {"user@[192.0.2.1], u@[IPv6:2001:db8::1]",                                "-|-|user|[192.0.2.1]\n-|-|u|[IPv6:2001:db8::1]"                                        },
    {"=?utf-8?Q?J=C3=B6rg?= <j@x>",                                           "=?utf-8?Q?J=C3=B6rg?=|-|j|x"                                                           },
    {"J\xc3\xb6rg <j@\xc3\xbc.example>",                                      "J\xc3\xb6rg|-|j|\xc3\xbc.example"                                                      },
    {"A   B\r\n C <a@b>",                                                     "A B C|-|a|b"                                                                           },
    {"\"a\"\"b\" <a@b>",                                                      "ab|-|a|b"                                                                              },
    {"\"\" <a@b>",                                                            "-|-|a|b"                                                                               },
 /* what mailers make of it */
    {"foo@bar.com <foo@bar.com>",                                             "foo@bar.com|-|foo|bar.com"                                                             },
    {"root",                                                                  "-|-|root|"                                                                             },
    {"<root>",                                                                "-|-|root|"                                                                             },
    {"<>",                                                                    "-|-||"                                                                                 },
    {"Name <>",                                                               "Name|-||"                                                                              },
    {"John Doe john@example.com",                                             "John Doe|-|john|example.com"                                                           },
    {"John Doe",                                                              "-|-|John Doe|"                                                                         },
    {"a@b; c@d",                                                              "-|-|a|b\n-|-|c|d"                                                                      },
    {"<a@b> <c@d>",                                                           "-|-|a|b\n-|-|c|d"                                                                      },
    {"<a@b> junk, c@d",                                                       "-|-|a|b\n-|-|c|d"                                                                      },
    {"A <a@b, B <c@d>",                                                       "A|-|a|b\nB|-|c|d"                                                                      },
    {"A <a@b",                                                                "A|-|a|b"                                                                               },
    {"\"A <a@b>, C <c@d>",                                                    "\"A|-|a|b\nC|-|c|d"                                                                    },
    {"A (unclosed <a@b>, c@d",                                                "A (unclosed|-|a|b\n-|-|c|d"                                                            },
    {"a@b@c",                                                                 "-|-|a@b|c"                                                                             },
    {"@host",                                                                 "-|-||host"                                                                             },
    {"a@",                                                                    "-|-|a|"                                                                                },
    {"g: a@b, c@d",                                                           "{g\n-|-|a|b\n-|-|c|d\n}"                                                               },
    {"g: a@b; h: c@d;",                                                       "{g\n-|-|a|b\n}\n{h\n-|-|c|d\n}"                                                        },
    {"g: h: c@d;",                                                            "{g\nh:|-|c|d\n}"                                                                       },
    {": a@b;",                                                                "{\n-|-|a|b\n}"                                                                         },
    {"a\\b@c",                                                                "-|-|a\\b|c"                                                                            },
    {"> a@b",                                                                 ">|-|a|b"                                                                               },
};

static void add(Buf *out, Slice s)
{
    if (out->len && out->at[out->len - 1] != '\n') buf_char(out, '|');
    buf_add(out, s.at ? s : S("-"));
}

static void print(Buf *out, const MailAddress *m)
{
    if (out->len) buf_char(out, '\n');
    if (m->group_start) {
        buf_char(out, '{'), buf_add(out, m->mailbox);
    } else if (m->group_end) {
        buf_char(out, '}');
    } else {
        add(out, m->name), add(out, m->route), add(out, m->mailbox), add(out, m->host);
    }
}

TEST(addresses_parse)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Arena a arena_scoped = {0};
        Buf out buf_scoped = {0};
        MailAddress *list;
        size_t n = header_addresses(&a, slice_of(rows[i].in), &list);
        for (size_t k = 0; k < n; k++)
            print(&out, &list[k]);
        if (!slice_eq(buf_slice(&out), slice_of(rows[i].out)))
            test_failed(__FILE__, __LINE__, "\"%s\":\n%.*s\nnot\n%s", rows[i].in,
                        SP(buf_slice(&out)), rows[i].out);
    }
}

static void repeat(Buf *out, const char *text, size_t times)
{
    while (times--)
        buf_add(out, slice_of(text));
}

/* A million of anything that could open, close or separate: linear, and within the limit. */
TEST(addresses_are_linear)
{
    static const char *const bits[] = {"(", "\"",  "\\\"", "[",   "<",   "@",  ":", ";",
                                       ",", "a@a", "a@b,", "g:;", "(\\", "<@", ". "};
    for (size_t i = 0; i < COUNT(bits); i++) {
        Arena a arena_scoped = {0};
        Buf in buf_scoped = {0};
        MailAddress *list;
        repeat(&in, bits[i], 300000);
        check(header_addresses(&a, buf_slice(&in), &list) <= MAIL_ADDRESSES_MOST + 1);
    }
}
