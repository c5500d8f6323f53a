#include "base/test.h"
#include "base/text.h"
#include "mail/charset.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/* Octets as Python's codecs write them. */
static const struct {
    const char *charset;
    Slice octets;
    const char *utf8;
} rows[] = {
    {"iso-8859-2",   TEXT("\xb3\xf3\x64\xbc"),                                 "łódź"              },
    {"iso-8859-5",   TEXT("\xdf\xe0\xd8\xd2\xd5\xe2"),                         "привет"         },
    {"iso-8859-7",   TEXT("\xea\xe1\xeb\xe7\xec\xdd\xf1\xe1"),                 "καλημέρα"     },
    {"windows-1250", TEXT("\x70\xf8\xed\x6c\x69\x9a"),                         "příliš"            },
    {"windows-1251", TEXT("\xcf\xf0\xe8\xe2\xe5\xf2"),                         "Привет"         },
    {"windows-1253", TEXT("\xd9\xec\xdd\xe3\xe1"),                             "Ωμέγα"           },
    {"windows-1254", TEXT("\xdd\x73\x74\x61\x6e\x62\x75\x6c\x20\xf0"),         "İstanbul ğ"         },
    {"windows-1255", TEXT("\xf9\xec\xe5\xed"),                                 "שלום"             },
    {"windows-1256", TEXT("\xe3\xd1\xcd\xc8\xc7"),                             "مرحبا"           },
    {"windows-1257", TEXT("\xe0\xe8\xe6\xeb"),                                 "ąčęė"             },
    {"koi8-r",       TEXT("\xf0\xd2\xc9\xd7\xc5\xd4"),                         "Привет"         },
    {"koi8-u",       TEXT("\xa7\xd6\xc1\xcb"),                                 "їжак"             },
    {"cp866",        TEXT("\x8f\xe0\xa8\xa2\xa5\xe2"),                         "Привет"         },
    {"cp437",        TEXT("\x82\xab"),                                         "é½"                 },
    {"cp850",        TEXT("\x82\xab"),                                         "é½"                 },
    {"mac-cyrillic", TEXT("\x8f\xf0\xe8\xe2\xe5\xf2"),                         "Привет"         },
    {"macintosh",    TEXT("\x8e\xaa"),                                         "é™"                },
    {"gb2312",       TEXT("\xc4\xe3\xba\xc3"),                                 "你好"               },
    {"gbk",          TEXT("\xb7\xb1\xf3\x77"),                                 "繁體"               },
    {"gb18030",      TEXT("\x94\x39\xfc\x36"),                                 "😀"                 },
    {"big5",         TEXT("\xc1\x63\xc5\xe9\xa4\xa4\xa4\xe5"),                 "繁體中文"         },
    {"shift_jis",    TEXT("\x93\xfa\x96\x7b\x8c\xea\xca\xdd\xb6\xb8"),         "日本語ﾊﾝｶｸ"},
    {"cp932",        TEXT("\x87\x40\x87\x8a"),                                 "①㈱"               },
    {"euc-jp",       TEXT("\xc6\xfc\xcb\xdc\xb8\xec"),                         "日本語"            },
    {"iso-2022-jp",  TEXT("\x1b\x24\x42\x46\x7c\x4b\x5c\x38\x6c\x1b\x28\x42"), "日本語"            },
    {"euc-kr",       TEXT("\xc7\xd1\xb1\xb9\xbe\xee"),                         "한국어"            },
    {"cp949",        TEXT("\x94\xee"),                                         "뷁"                  },
    {"iso-2022-kr",  TEXT("\x1b\x24\x29\x43\x0e\x47\x51\x31\x39\x0f"),         "한국"               },
    {"johab",        TEXT("\xd0\x65\x8a\x82"),                                 "한국"               },
    {"tis-620",      TEXT("\xca\xc7\xd1\xca\xb4\xd5"),                         "สวัสดี"   },
    {"utf-16",       TEXT("\xff\xfe\x61\x00\xe4\x00\xac\x20\x3d\xd8\x00\xde"), "aä€😀"           },
    {"utf-16le",     TEXT("\x61\x00\xe4\x00\x3d\xd8\x00\xde"),                 "aä😀"              },
    {"utf-16be",     TEXT("\x00\x61\x00\xe4\xd8\x3d\xde\x00"),                 "aä😀"              },
    {"utf-32",       TEXT("\xff\xfe\x00\x00\x61\x00\x00\x00\x00\xf6\x01\x00"), "a😀"                },
    {"utf-7",
     TEXT("\x48\x69\x20\x2b\x42\x42\x38\x45\x51\x41\x51\x34\x42\x44\x49\x45\x4e\x51\x52\x43\x20\x2b"
          "\x2d"),
     "Hi Привет +"                                                                              },
    {"hz",           TEXT("\x7e\x7b\x44\x63\x3a\x43\x7e\x7d\x20\x61"),         "你好 a"             },
 /* what is invalid, and what a name really means */
    {"utf-8",
     TEXT("a\xff"
          "b\xc3"),
     "a\ufffdb\ufffd"                                                                                 },
    {"utf-8",        TEXT("\xed\xa0\x80"),                                     "\ufffd\ufffd\ufffd"   },
    {"us-ascii",     TEXT("gr\xc3\xbc\xc3\x9f"),                               "grüß"               },
    {"us-ascii",     TEXT("gr\xfc\xdf"),                                       "grüß"               },
    {"us-ascii",     TEXT("caf\xe9"),                                          "café"                },
    {"iso-8859-1",   TEXT("\x93q\x94 \x80"),                                   "“q” €"          },
    {"windows-1252", TEXT("\x81"),                                             "\ufffd"               },
    {"iso-8859-7",
     TEXT("a\xff"
          "b"),
     "a\ufffdb"                                                                                       },
    {"shift_jis",    TEXT("\x93"),                                             "\ufffd"               },
    {"gb2312",       TEXT("\xc4\xe3\xff"),                                     "你\ufffd"            },
    {"iso-2022-jp",  TEXT("\x1b$BF|K\\\x1b(J a\x1b(I1\x1b(B."),                "日本 aｱ."         },
    {"iso-2022-jp",  TEXT("\x1b$B-!"),                                         "①"                  }, /* NEC's row 13 */
    {"iso-2022-jp",  TEXT("\x1b$BF|\nabc"),                                    "日\nabc"             },
    {"iso-2022-jp",  TEXT("\x1b$BF"),                                          "F"                    },
    {"hz-gb-2312",   TEXT("~{Dc~}~~~\n~{"),                                    "你~"                 },
    {"utf-16",
     TEXT("\xfe\xff\x00"
          "a"),
     "a"                                                                                              },
    {"utf-16",
     TEXT("\x00"
          "a\xd8\x00\x00"
          "b\x00"),
     "a\ufffdb\ufffd"                                                                                 },
    {"utf-7",        TEXT("Hi Mom -+Jjo--!"),                                  "Hi Mom -☺-!"        }, /* RFC 2152 */
    {"utf-7",        TEXT("A+ImIDkQ."),                                        "A≢Α."              },
    {"utf-7",        TEXT("Item 3 is +AKM-1."),                                "Item 3 is £1."       },
    {"utf-7",        TEXT("+ \xff"),                                           "+ \ufffd"             },
    {"imap-utf-7",   TEXT("&ZeVnLIqe-"),                                       "日本語"            },
};

TEST(charsets_convert)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        const Charset *c = charset_find(slice_of(rows[i].charset));
        check(c != NULL);
        charset_to_utf8(c, rows[i].octets, &out);
        if (!slice_eq(buf_slice(&out), slice_of(rows[i].utf8)))
            test_failed(__FILE__, __LINE__, "%s: \"%.*s\", not \"%s\"", rows[i].charset,
                        SP(buf_slice(&out)), rows[i].utf8);
    }
}

static const struct {
    const char *given, *name; /* NULL: not on the list */
} names[] = {
    {"UTF-8",             "utf-8"         },
    {"utf8",              "utf-8"         },
    {"\"utf-8\"",         "utf-8"         },
    {"UTF-8*en",          "utf-8"         },
    {"ISO_8859-1:1987",   "iso-8859-1"    },
    {"Latin1",            "iso-8859-1"    },
    {"iso-8859-11",       "windows-874"   },
    {"iso-8859-8-i",      "iso-8859-8"    },
    {"ks_c_5601-1987",    "euc-kr"        },
    {"KS_C_5601-1987",    "euc-kr"        },
    {"x-sjis",            "shift_jis"     },
    {"iso-2022-jp-ms",    "iso-2022-jp"   },
    {"cp51932",           "euc-jp"        },
    {"hz-gb-2312",        "hz-gb-2312"    },
    {"unicode-1-1-utf-7", "utf-7"         },
    {"imap-utf-7",        "utf-7-imap"    },
    {"x-mac-cyrillic",    "x-mac-cyrillic"},
    {"cp-850",            "ibm850"        },
    {"gb2312",            "gb18030"       },
    {"windows-1252",      "windows-1252"  },
    {"cp1252",            "windows-1252"  },
    {"ANSI_X3.4-1968",    "us-ascii"      },
    {"",                  NULL            },
    {"-_-",               NULL            },
    {"x-unknown",         NULL            },
    {"iso-2022-cn-ext",   NULL            },
    {"ibm1390",           NULL            },
    {"utf-8//TRANSLIT",   NULL            },
    {"../../evil",        NULL            },
    {"utf-8 utf-16",      NULL            },
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "a",            NULL            },
};

TEST(charset_names_map)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        const Charset *c = charset_find(slice_of(names[i].given));
        if (!c || !names[i].name)
            check(!c && !names[i].name);
        else
            check_slice(charset_name(c), slice_of(names[i].name));
    }
}

TEST(warmed_up_converters_convert)
{
    charset_warm_up();
    Buf out buf_scoped = {0};
    charset_to_utf8(charset_find(S("koi8-r")), S("\xf0"), &out);
    check_slice(buf_slice(&out), S("П"));
}

TEST(unknown_charset_is_guessed)
{
    Buf out buf_scoped = {0};
    charset_to_utf8(NULL, S("\xe2\x82\xac"), &out);
    charset_to_utf8(NULL, S("\x80"), &out);
    charset_to_utf8(NULL, S("ä\xe2\x82"), &out); /* cut by octets */
    check_slice(buf_slice(&out), S("€€ä\ufffd\ufffd"));
}

TEST(charset_megabytes_are_linear)
{
    static const char *const charsets[] = {"utf-8",  "utf-7",     "iso-2022-jp", "gb18030",
                                           "utf-16", "shift_jis", "iso-2022-kr", "euc-tw"};
    static const char *const bits[] = {"\xff", "+", "\x1b$B", "\xe3\x81", "\x1b", "\x0e"};
    for (size_t i = 0; i < COUNT(bits); i++) {
        Buf in buf_scoped = {0};
        for (int n = 0; n < 200000; n++)
            buf_add(&in, slice_of(bits[i]));
        for (size_t k = 0; k < COUNT(charsets); k++) {
            Buf out buf_scoped = {0};
            charset_to_utf8(charset_find(slice_of(charsets[k])), buf_slice(&in), &out);
            check(utf8_is_valid(buf_slice(&out)));
        }
    }
}

/* ---- mailbox names, RFC 3501 5.1.3 ---- */

static const struct {
    const char *modified, *utf8;
} mailboxes[] = {
    {"",                                ""                            },
    {"INBOX",                           "INBOX"                       },
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
    {"&Jjo-!",                          "☺!"                        },
    {"&U,BTF2XlZyyKng-",                "台北日本語"             },
    {"R&-D",                            "R&D"                         },
    {"&AOQ-&-",                         "ä&"                         },
    {"&2D3eAA-",                        "😀"                        },
    {"a&AAo-",                          "a\n"                         },
};

static const char *const refused[] = {
    "&Jjo!",  "&U,BTFw-&ZeVnLIqe-",
    "&",      "a&b-",
    "&AGE-",  "\xc3\xa4",
    "&AOQ",   "&2D0-",
    "&3gA-",  "&AO-",
    "&AOR-",  "&AO/-",
    "&+",     "a\tb",
    "&AOQA-", "&ACY-",
};

TEST(mailbox_names_go_both_ways)
{
    for (size_t i = 0; i < COUNT(mailboxes); i++) {
        Buf utf8 buf_scoped = {0}, modified buf_scoped = {0};
        check_ok(utf7_decode(slice_of(mailboxes[i].modified), &utf8));
        check_slice(buf_slice(&utf8), slice_of(mailboxes[i].utf8));
        utf7_encode(slice_of(mailboxes[i].utf8), &modified);
        check_slice(buf_slice(&modified), slice_of(mailboxes[i].modified));
    }
}

TEST(mailbox_names_have_one_spelling)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        Buf utf8 buf_scoped = {0};
        if (!utf7_decode(slice_of(refused[i]), &utf8))
            test_failed(__FILE__, __LINE__, "\"%s\" decodes", refused[i]);
        check_u64(utf8.len, 0);
    }
}
