#include "base/test.h"
#include "mail/header.h"
#include "mail/mail.h"

/* A row is "value;name=value;...": as written, and decoded. */
static const struct {
    const char *in, *raw, *decoded;
} rows[] = {
    {"",                                                                                 ";",                                      ";"                                                               },
    {"text/plain",                                                                       "text/plain;",                            "text/plain;"                                                     },
    {"Text/PLAIN; Charset=\"UTF-8\"",                                                    "Text/PLAIN;charset=UTF-8;",              "Text/PLAIN;charset=UTF-8;"                                       },
    {"text/plain ; charset = us-ascii (Plain text)",                                     "text/plain;charset=us-ascii;",
     "text/plain;charset=us-ascii;"                                                                                                                                                                  },
    {"(c) text (d) / (e) plain (f); a=(g)b",                                             "text/plain;a=b;",                        "text/plain;a=b;"                                                 },
    {"multipart/mixed;\r\n\tboundary=\"a \\\"b\\\" c\"",                                 "multipart/mixed;boundary=a \"b\" c;",
     "multipart/mixed;boundary=a \"b\" c;"                                                                                                                                                           },
 /* RFC 2231 section 3, 4, 4.1 */
    {"message/external-body; access-type=URL;\r\n URL*0=\"ftp://\";\r\n"
     " URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\"",                 "message/external-body;access-type=URL;url*0=ftp://;url*1=cs.utk.edu/pub/moore/bulk-mailer/"
     "bulk-mailer.tar;",                                   "message/external-body;access-type=URL;url=ftp://cs.utk.edu/pub/moore/bulk-mailer/"
     "bulk-mailer.tar;"                                                                              },
    {"application/x-stuff;\r\n title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
     "application/x-stuff;title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A;",                                               "application/x-stuff;title=This is ***fun***;"                    },
    {"application/x-stuff\r\n title*0*=us-ascii'en'This%20is%20even%20more%20\r\n "
     "title*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n"
     " title*2=\"isn't it!\"",                                                      "application/"
     "x-stuff;title*0*=us-ascii'en'This%20is%20even%20more%20;title*1*=%2A%2A%2Afun%2A%2A%2A%20;"
     "title*2=isn't it!;",                                                                      "application/x-stuff;title=This is even more ***fun*** isn't it!;"},
    {"a/b; n*2=c; n*0=a; n*1=b; n*4=lost",                                               "a/b;n*2=c;n*0=a;n*1=b;n*4=lost;",        "a/b;n=abc;"                                                      },
    {"a/b; n=old; n*=utf-8''%e2%82%ac",                                                  "a/b;n=old;n*=utf-8''%e2%82%ac;",         "a/b;n=€;"                                                      },
    {"a/b; n*=iso-8859-1''%A3%20rates",                                                  "a/b;n*=iso-8859-1''%A3%20rates;",        "a/b;n=£ rates;"                                                 },
    {"a/b; n*=''%C3%A4",                                                                 "a/b;n*=''%C3%A4;",                       "a/b;n=ä;"                                                       },
    {"a/b; n*=no quotes%41",                                                             "a/b;n*=no quotes%41;",                   "a/b;n=no quotesA;"                                               },
    {"a/b; n*0*=utf-8''%E2%82; n*1*=%AC",                                                "a/b;n*0*=utf-8''%E2%82;n*1*=%AC;",       "a/b;n=€;"                                                      },
    {"a/b; n*1=b",                                                                       "a/b;n*1=b;",                             "a/b;n=b;"                                                        },
 /* what mailers make of it */
    {"text/html charset=utf-8",                                                          "text/html;charset=utf-8;",               "text/html;charset=utf-8;"                                        },
    {"text/html; charset=utf-8 format=flowed",                                           "text/html;charset=utf-8;format=flowed;",
     "text/html;charset=utf-8;format=flowed;"                                                                                                                                                        },
    {"a/b; name=my file.pdf; x=y",                                                       "a/b;name=my file.pdf;x=y;",              "a/b;name=my file.pdf;x=y;"                                       },
    {"a/b; name=\"=?utf-8?Q?=E2=82=AC?=.pdf\"",                                          "a/b;name==?utf-8?Q?=E2=82=AC?=.pdf;",
     "a/b;name=€.pdf;"                                                                                                                                                                             },
    {"a/b; name=\"gr\xfc\xdf.pdf\"",                                                     "a/b;name=gr\xfc\xdf.pdf;",               "a/b;name=grüß.pdf;"                                            },
    {"a/b;; ;name",                                                                      "a/b;",                                   "a/b;"                                                            },
    {"a/b; name; x=y",                                                                   "a/b;x=y;",                               "a/b;x=y;"                                                        },
    {"a/b; =x; y=",                                                                      "a/b;y=;",                                "a/b;y=;"                                                         },
    {"a/b; n=\"open; x=y",                                                               "a/b;n=\"open;x=y;",                      "a/b;n=\"open;x=y;"                                               },
    {"a/b; n=1; N=2",                                                                    "a/b;n=1;n=2;",                           "a/b;n=1;"                                                        },
    {"; x=y",                                                                            ";x=y;",                                  ";x=y;"                                                           },
    {"attachment; filename=a=b.txt",                                                     "attachment;filename=a=b.txt;",
     "attachment;filename=a=b.txt;"                                                                                                                                                                  },
    {"attachment; filename=\"C:\\\\dir\\\\x\"",                                          "attachment;filename=C:\\dir\\x;",
     "attachment;filename=C:\\dir\\x;"                                                                                                                                                               },
};

static void print(const char *in, bool decode, const char *wanted)
{
    Arena a arena_scoped = {0};
    Buf out buf_scoped = {0};
    MailParameterised p;
    header_parameterised(&a, slice_of(in), decode, &p);
    buf_add(&out, p.value), buf_char(&out, ';');
    for (size_t i = 0; i < p.count; i++) {
        buf_add(&out, p.parameters[i].name), buf_char(&out, '=');
        buf_add(&out, p.parameters[i].value), buf_char(&out, ';');
    }
    if (!slice_eq(buf_slice(&out), slice_of(wanted)))
        test_failed(__FILE__, __LINE__, "%s (%d): \"%.*s\", not \"%s\"", in, decode,
                    SP(buf_slice(&out)), wanted);
}

TEST(parameters_parse)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        print(rows[i].in, false, rows[i].raw);
        print(rows[i].in, true, rows[i].decoded);
    }
}

TEST(parameters_are_found)
{
    Arena a arena_scoped = {0};
    MailParameterised p;
    header_parameterised(&a, S("a/b; C=d; e="), true, &p);
    check_slice(header_parameter(&p, S("c")), S("d"));
    check(header_parameter(&p, S("e")).at != NULL);
    check(header_parameter(&p, S("f")).at == NULL);
}

TEST(thousands_of_parameters_are_linear)
{
    static const char *const bits[] = {"; a=b", "; a*1=b",   ";",   "=",     "a ",    "(",
                                       "\"",    "; a=\"b\"", " a=", "; x (", "a=b c "};
    for (size_t i = 0; i < COUNT(bits); i++) {
        Arena a arena_scoped = {0};
        Buf in buf_scoped = {0};
        MailParameterised p;
        buf_add(&in, S("text/plain"));
        for (int n = 0; n < 200000; n++)
            buf_add(&in, slice_of(bits[i]));
        header_parameterised(&a, buf_slice(&in), true, &p);
        check(p.count <= MAIL_FIELDS_MOST);
    }
    Arena a arena_scoped = {0};
    Buf in buf_scoped = {0};
    MailParameterised p;
    buf_add(&in, S("a/b"));
    for (int n = 0; n < 2000; n++)
        buf_printf(&in, "; p%d*0*=utf-8''a; p%d*1=b", n, n);
    header_parameterised(&a, buf_slice(&in), true, &p);
    check_u64(p.count, MAIL_FIELDS_MOST / 2);
    check_slice(p.parameters[7].value, S("ab"));
}

/* RFC 9051 7.5.2: what BODYSTRUCTURE says. */
TEST(pieces_are_joined)
{
    static const struct {
        const char *in, *out;
    } pieces[] = {
        {"a/b; x=1; baz*0=foo; baz*1=bar; y=2",      "x=1;baz=foobar;y=2;"       },
        {"a/b; n*1=b; n*0=a",                        "n=ab;"                     },
        {"a/b; n*=utf-8''%e2%82%ac",                 "n*=utf-8''%e2%82%ac;"      },
        {"a/b; n=old; n*=utf-8''%e2%82%ac",          "n=old;n*=utf-8''%e2%82%ac;"},
        {"a/b; n*0*=utf-8'en'%E2%82; n*1*=%AC",      "n*=utf-8'en'%E2%82%AC;"    },
        {"a/b; n*0*=utf-8''100%25; n*1=\"% or so\"", "n*=utf-8''100%25%25 or so;"},
        {"a/b; n*0=a; n*1*=%41",                     "n*=''a%41;"                },
        {"a/b; n*1=b",                               "n*1=b;"                    },
        {"a/b; n*0=a; n*2=c",                        "n=a;n*2=c;"                },
        {"a/b; n*0=a; n*0=b",                        "n=a;n=b;"                  },
    };
    for (size_t i = 0; i < COUNT(pieces); i++) {
        Arena a arena_scoped = {0};
        Buf out buf_scoped = {0};
        MailParameterised p;
        header_parameterised(&a, slice_of(pieces[i].in), false, &p);
        header_join_pieces(&a, &p);
        for (size_t n = 0; n < p.count; n++)
            buf_printf(&out, "%.*s=%.*s;", SP(p.parameters[n].name), SP(p.parameters[n].value));
        check_slice(buf_slice(&out), slice_of(pieces[i].out));
    }
}
