#include "base/test.h"
#include "mail/header.h"

/* ---- fields: each row's fields as "name=value;" ---- */

static const struct {
    const char *in, *out;
} blocks[] = {
    {"",                                ""                         },
    {"\r\n",                            ""                         },
    {"A: b\r\n\r\nC: d\r\n",            "A=b;"                     },
    {"A: b\nC:d\n\n",                   "A=b;C=d;"                 },
    {"A: b",                            "A=b;"                     },
    {"A:\r\n",                          "A=;"                      },
    {"A:",                              "A=;"                      },
    {"A: b\r\n c\r\n\td\r\nE: f\r\n",   "A=b\r\n c\r\n\td;E=f;"    },
    {"A  : b\r\n",                      "A=b;"                     },
    {"Subject:  \t two\r\n",            "Subject=two;"             },
    {" leading\r\nA: b\r\n",            "= leading;A=b;"           },
    {"no colon\r\nA: b\r\n",            "=no colon;A=b;"           },
    {"no colon\r\n folded\r\nA: b\r\n", "=no colon\r\n folded;A=b;"},
    {"From me Sat Nov 22\nA: b\n",      "=From me Sat Nov 22;A=b;" },
    {": b\r\n",                         "=: b;"                    },
    {"S\xc3\xbc: b\r\n",                "=S\xc3\xbc: b;"           },
    {"A: b\r\r\n",                      "A=b\r;"                   },
    {"A: b\r\nB: c\r",                  "A=b;B=c;"                 },
    {"A: b\r\n \r\nC: d",               "A=b\r\n ;C=d;"            },
};

TEST(fields_are_found)
{
    for (size_t i = 0; i < COUNT(blocks); i++) {
        Buf out buf_scoped = {0};
        HeaderField f = {0};
        while (header_next(slice_of(blocks[i].in), &f)) {
            buf_add(&out, f.name), buf_char(&out, '=');
            buf_add(&out, f.value), buf_char(&out, ';');
        }
        check_slice(buf_slice(&out), slice_of(blocks[i].out));
    }
}

TEST(fields_are_found_by_name)
{
    HeaderField f = {0};
    Slice header = S("To: a\r\nX: y\r\nTO: b\r\n\r\nto: c\r\n");
    check(header_find(header, S("to"), &f));
    check_slice(f.value, S("a"));
    check(header_find(header, S("to"), &f));
    check_slice(f.value, S("b"));
    check_slice(f.whole, S("TO: b\r\n"));
    check(!header_find(header, S("to"), &f));
}

/* ---- text ---- */

static const struct {
    const char *in, *out;
} texts[] = {
  /* RFC 2047 section 8 */
    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",                                               "Keith Moore <moore@cs.utk.edu>"                  },
    {"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>",                                       "Keld Jørn Simonsen <keld@dkuug.dk>"             },
    {"=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>",
     "André Pirard <PIRARD@vm1.ulg.ac.be>"                                                                                                           },
    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n "
     "=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",                                  "If you can read this you understand the example."},
    {"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?= <paf@nada.kth.se>",
     "Patrik Fältström <paf@nada.kth.se>"                                                                                                           },
    {"Nathaniel Borenstein <nsb@thumper.bellcore.com>\r\n (=?iso-8859-8?b?7eXs+SDv4SDp7Oj08A==?=)",
     "Nathaniel Borenstein <nsb@thumper.bellcore.com> (םולש ןב ילטפנ)"                                                                     },
    {"(=?ISO-8859-1?Q?a?=)",                                                                        "(a)"                                             },
    {"(=?ISO-8859-1?Q?a?= b)",                                                                      "(a b)"                                           },
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)",                                                     "(ab)"                                            },
    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)",                                                    "(ab)"                                            },
    {"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)",                                              "(ab)"                                            },
    {"(=?ISO-8859-1?Q?a_b?=)",                                                                      "(a b)"                                           },
    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)",                                                    "(a b)"                                           },
 /* RFC 2231 section 5 */
    {"=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs.utk.edu>",                                            "Keith Moore <moore@cs.utk.edu>"                  },
 /* a character split between two words, and between two encodings */
    {"=?utf-8?B?4oI=?= =?utf-8?B?rA==?=",                                                           "€"                                             },
    {"=?utf-8?Q?=E2=82?= =?UTF-8?B?rA==?=",                                                         "€"                                             },
 /* what mailers make of it */
    {"=?utf-8?q?a b?=",                                                                             "a b"                                             },
    {"=?utf-8?q?what?\?=",                                                                          "what?"                                           },
    {"=?utf-8?q?\?= x",                                                                             " x"                                              },
    {"x=?utf-8?q?=41?=y",                                                                           "xAy"                                             },
    {"=?utf-8?Q?=4?= =?utf-8?Q?=zz?=",                                                              "=4=zz"                                           },
    {"=?utf-8?B?YQ=?=",                                                                             "a"                                               },
    {"=?utf-8?B?Y Q?=",                                                                             "a"                                               },
    {"=?utf-8?x?abc?=",                                                                             "=?utf-8?x?abc?="                                 },
    {"=?utf-8?q?abc",                                                                               "=?utf-8?q?abc"                                   },
    {"=?utf-8?q?abc =?utf-8?q?def?=",                                                               "=?utf-8?q?abc def"                               },
    {"=?no-such?q?=C3=A4?=",                                                                        "ä"                                              },
    {"=?no-such?q?=E4?=",                                                                           "ä"                                              },
    {"=??q?abc?=",                                                                                  "=??q?abc?="                                      },
    {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=",                                                          "日本"                                          },
    {"=?gb2312?B?xOO6ww==?=",                                                                       "你好"                                          },
    {"=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?=",                                                             "Привет"                                    },
 /* raw octets */
    {"Gr\xc3\xbc\xc3\x9f"
     "e",                                                                                      "Grüße"                                         },
    {"Gr\xfc\xdf"
     "e",                                                                                      "Grüße"                                         },
    {"a\x01"
     "b\tc\x7f",                                                                               "a b c "                                          },
    {"a\r\n b\r\n\tc",                                                                              "a b c"                                           },
    {"a\rb\nc",                                                                                     "a b c"                                           },
    {"=?utf-8?q?a=0D=0Ab?=",                                                                        "a  b"                                            },
};

TEST(text_decodes)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        Buf out buf_scoped = {0};
        header_decode(&out, slice_of(texts[i].in));
        if (!slice_eq(buf_slice(&out), slice_of(texts[i].out)))
            test_failed(__FILE__, __LINE__, "%s: \"%.*s\"", texts[i].in, SP(buf_slice(&out)));
    }
}

TEST(text_unfolds)
{
    Buf out buf_scoped = {0};
    header_unfold(&out, S("a\r\n b\n\tc\r\n"));
    check_slice(buf_slice(&out), S("a b\tc "));
}

TEST(endless_words_are_linear)
{
    static const char *const bits[] = {"=?",    "=?a?q?", "=?a?q?x?", "=?utf-8?B?YQ==?= ", "=?=?",
                                       "=?x?=", "?=",     "\r\n ",    "=?utf-7?q?+"};
    for (size_t i = 0; i < COUNT(bits); i++) {
        Buf in buf_scoped = {0}, out buf_scoped = {0};
        for (int n = 0; n < 300000; n++)
            buf_add(&in, slice_of(bits[i]));
        header_decode(&out, buf_slice(&in));
        check(out.len <= in.len);
    }
}

/* ---- RFC 5256 ---- */

static const struct {
    const char *in, *out;
    bool is_reply;
} subjects[] = {
    {"",                           "",                false},
    {"Hello",                      "Hello",           false},
    {"Re: Hello",                  "Hello",           true },
    {"RE: re:  FWD: fw: Hello",    "Hello",           true },
    {"Re : Hello",                 "Hello",           true },
    {"Re[2]: Hello",               "Hello",           true },
    {"Re [x] : Hello",             "Hello",           true },
    {"[list] Hello",               "Hello",           false},
    {"[list] Re: [list] Hello",    "Hello",           true },
    {"[a][b] [c] Re: Hello",       "Hello",           true },
    {"Re: [list]",                 "[list]",          true },
    {"[list]",                     "[list]",          false},
    {"[a] [b]",                    "[b]",             false},
    {"Hello (fwd)",                "Hello",           true },
    {"Hello (fwd) (FWD)  ",        "Hello",           true },
    {"[Fwd: Hello]",               "Hello",           true },
    {"[fwd: Re: [x] Hello (fwd)]", "Hello",           true },
    {"Re: [Fwd: [Fwd: Hello]]",    "Hello",           true },
    {"  Hello \t  World ",         "Hello World",     false},
    {"Regarding",                  "Regarding",       false},
    {"Re",                         "Re",              false},
    {"Re:",                        "",                true },
    {"Fwdx: y",                    "Fwdx: y",         false},
    {"[unclosed Hello",            "[unclosed Hello", false},
    {"[a[b] Hello",                "[a[b] Hello",     false},
    {"[] Hello",                   "Hello",           false},
    {"(fwd)",                      "",                true },
    {"[Fwd:]",                     "",                true },
    {"Re: Привет",           "Привет",    true },
};

TEST(base_subjects)
{
    for (size_t i = 0; i < COUNT(subjects); i++) {
        Arena a arena_scoped = {0};
        bool is_reply;
        Slice base = header_base_subject(&a, slice_of(subjects[i].in), &is_reply);
        if (!slice_eq(base, slice_of(subjects[i].out)) || is_reply != subjects[i].is_reply)
            test_failed(__FILE__, __LINE__, "\"%s\": \"%.*s\" %d", subjects[i].in, SP(base),
                        is_reply);
    }
}

TEST(base_subjects_are_linear)
{
    static const char *const bits[] = {"[",   "[a]",     "re:", "[fwd:",   "(fwd)",
                                       "re[", "re [a] ", " ",   "[fwd:re["};
    for (size_t i = 0; i < COUNT(bits); i++) {
        Arena a arena_scoped = {0};
        Buf in buf_scoped = {0};
        bool is_reply;
        for (int n = 0; n < 300000; n++)
            buf_add(&in, slice_of(bits[i]));
        check(header_base_subject(&a, buf_slice(&in), &is_reply).len <= in.len);
        for (int n = 0; n < 300000; n++)
            buf_char(&in, ']');
        check(header_base_subject(&a, buf_slice(&in), &is_reply).len <= in.len);
    }
}

/* ---- message ids ---- */

static const struct {
    const char *in, *out;
} ids[] = {
    {"",                                         ""                                },
    {"<a@b>",                                    "<a@b>"                           },
    {"<a@b><c@d>\r\n <e@f>",                     "<a@b> <c@d> <e@f>"               },
    {"Your message of Monday <a@b> \"x <y@z>\"", "<a@b> <y@z>"                     },
    {"<nothing> <a@b",                           ""                                },
    {"<<a@b>>",                                  "<a@b>"                           },
    {"<\"a b\"@c>",                              "<ab@c>"                          },
    {"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>",     "<01KF8JCEOCBS0045PS@xxx.yyy.com>"},
    {"<a\\@b@c>",                                "<a@b@c>"                         },
    {"<a@\r\n b>",                               "<a@b>"                           },
};

TEST(message_ids_are_found)
{
    for (size_t i = 0; i < COUNT(ids); i++) {
        Arena a arena_scoped = {0};
        Buf out buf_scoped = {0};
        Slice *list;
        size_t n = header_message_ids(&a, slice_of(ids[i].in), &list);
        for (size_t k = 0; k < n; k++) {
            if (k) buf_char(&out, ' ');
            buf_add(&out, list[k]);
        }
        check_slice(buf_slice(&out), slice_of(ids[i].out));
    }
}

TEST(addresses_are_found_as_the_envelope_has_them)
{
    static const struct {
        const char *name, *value, *text;
    } fields[] = {
        {"From",    "Joe Q <joe@x>",               "Joe Q <joe@x>"                       },
        {"From",    "\"Joe Q\" <joe@x>,\r\n a@x",  "\"Joe Q\" <joe@x>, a@x"              },
        {"to",      "Joe (c (d)) Q <joe@x>",       "Joe (c (d)) Q <joe@x>\nJoe Q <joe@x>"},
        {"Cc",      "\"a \\\"b\\\"\" <c@d>",       "\"a \\\"b\\\"\" <c@d>\na \"b\" <c@d>"},
        {"From",    "a b\r\n  c <d@e>",            "a b  c <d@e>\na b c <d@e>"           },
        {"Bcc",     "g: a @ b, c (d);",            "g: a @ b, c (d);\ng\na@b\nd <c>"     },
        {"From",    "=?utf-8?q?=C3=A4?=  b <c@d>", "ä  b <c@d>\nä b <c@d>"             },
        {"Subject", "a (b)  c",                    "a (b)  c"                            },
    };
    for (size_t i = 0; i < COUNT(fields); i++) {
        Buf out buf_scoped = {0};
        header_search_text(&out, slice_of(fields[i].name), slice_of(fields[i].value));
        check_slice(buf_slice(&out), slice_of(fields[i].text));
    }
}

TEST(text_in_no_charset_is_known_from_text)
{
    static const struct {
        const char *in, *out;
        bool exact, known;
    } rows[] = {
        {"plain",                                      "plain",            true,  true },
        {"",                                           "",                 true,  true },
        {"=?koi8-r?q?=E1=CC=C5=CB=D3=C5=CA?=",         "Алексей",   true,  true },
        {"Re: =?UTF-8?B?w6k=?= =?utf-8?q?=20x?=",      "Re: \u00e9 x",     true,  true },
        {"=?utf-8?q?=EF=BF=BD?=",                      "\xef\xbf\xbd",     true,  true },
        {"=?utf-8?q?a=FFb?= c",
         "a\xff"
         "b c",                                                            false, true },
        {"Re: =?x-no-such?q?=E1=CC?= =?utf-8?q?=C3?=", "Re: \xe1\xcc\xc3", false, false},
        {"=?utf-8?q?=C3?= =?utf-8?q?=A9?=",            "\u00e9",           true,  true },
        {"\xe9t\xe9",                                  "\u00e9t\u00e9",    true,  true }, /* a guess */
        {"=?utf-8?q?=C3=A9?= \xe9",                    "\u00e9 \u00e9",    true,  true },
        {"tab\there",                                  "tab here",         true,  true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        Slice in = slice_of(rows[i].in);
        bool exact = header_decode_exactly(&out, in);
        if (exact != rows[i].exact || header_charsets_are_known(in) != rows[i].known ||
            !slice_eq(buf_slice(&out), slice_of(rows[i].out)))
            test_failed(__FILE__, __LINE__, "%s: %.*s", rows[i].in, SP(buf_slice(&out)));
    }
}
