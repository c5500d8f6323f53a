#include "base/test.h"
#include "mail/convert.h"
#include "mail/header.h"

static const Charset *named(const char *name)
{
    const Charset *c = charset_find(slice_of(name));
    check(c);
    return c;
}

static const struct {
    const char *charset, *utf8, *replacement, *octets; /* NULL: it does not fit */
} rows[] = {
    {"us-ascii",     "plain",              "",         "plain"               },
    {"us-ascii",     "gr\xc3\xbc\xc3\x9f", "",         NULL                  },
    {"us-ascii",     "gr\xc3\xbc\xc3\x9f", "?",        "gr??"                },
    {"us-ascii",     "\xe6\x97\xa5!",      "--",       "--!"                 },
    {"us-ascii",     "\xe6\x97\xa5!",      "\xc3\xbc", NULL                  },
    {"iso-8859-1",   "gr\xc3\xbc\xc3\x9f", "",         "gr\xfc\xdf"          },
    {"iso-8859-1",   "\xd0\xb6",           "",         NULL                  },
    {"iso-8859-5",   "\xd0\xb6x",          "",         "\xd6x"               },
    {"iso-8859-15",  "\xe2\x82\xac",       "",         "\xa4"                },
    {"windows-1252", "\xe2\x82\xac",       "",         "\x80"                },
    {"koi8-r",       "\xd0\xb6",           "",         "\xd6"                },
    {"koi8-r",       "\xd0\xb6\xc3\xbc",   "u",        "\xd6u"               },
    {"utf-8",        "\xd0\xb6\xff",       "",         "\xd0\xb6\xef\xbf\xbd"},
    {"utf-16",       "x",                  "",         NULL                  },
};

TEST(charsets_are_written)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        bool fits = charset_from_utf8(named(rows[i].charset), slice_of(rows[i].utf8),
                                      slice_of(rows[i].replacement), &out);
        check(fits == (rows[i].octets != NULL));
        if (fits) check_slice(buf_slice(&out), slice_of(rows[i].octets));
    }
}

TEST(headers_in_another_charset)
{
    static const struct {
        const char *header, *charset, *wanted;
    } headers[] = {
        {"Subject: =?KOI8-R?Q?why encode this?=\r\n",       "utf-8",
         "Subject: =?KOI8-R?Q?why encode this?=\r\n"                                           }, /* RFC 5259 6 has spaces there */
        {"Subject: =?KOI8-R?Q?why_encode_this?=\r\n\r\n",   "utf-8",
         "Subject: =?utf-8?B?d2h5IGVuY29kZSB0aGlz?=\r\n\r\n"                                   },
        {"A: =?koi8-r?B?1g==?=\r\n =?koi8-r?Q?=D6?= b\r\n", "iso-8859-5",
         "A: =?iso-8859-5?B?1tY=?= b\r\n"                                                      },
        {"A: =?x-odd?Q?abc?=, =?utf-8?Q?=C3=BC?=\r\n",      "iso-8859-1",
         "A: =?x-odd?Q?abc?=, =?iso-8859-1?B?/A==?=\r\n"                                       },
        {"A: =?utf-8?Q?=D0=B6?=\r\n",                       "us-ascii",   NULL                 },
        {"A: =?utf-8?Q?=D0=B6",                             "us-ascii",   "A: =?utf-8?Q?=D0=B6"},
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        Buf out buf_scoped = {0};
        bool fits = convert_header(slice_of(headers[i].header), named(headers[i].charset),
                                   (Slice){0}, &out);
        check(fits == (headers[i].wanted != NULL));
        if (fits) check_slice(buf_slice(&out), slice_of(headers[i].wanted));
    }
}

TEST(long_words_are_cut_between_characters)
{
    Buf in buf_scoped = {0}, out buf_scoped = {0}, back buf_scoped = {0}, text buf_scoped = {0};
    for (int i = 0; i < 60; i++)
        buf_add(&text, S("\xd0\xb6"));
    buf_add(&in, S("Subject:"));
    for (int i = 0; i < 60; i++)
        buf_add(&in, S(" =?koi8-r?Q?=D6?="));
    check(convert_header(buf_slice(&in), named("utf-8"), (Slice){0}, &out));
    Slice rest = buf_slice(&out), line;
    while (slice_cut(&rest, '\n', &line))
        check(line.len <= 78 + 10);
    header_decode(&back, slice_from(buf_slice(&out), 9));
    check_slice(buf_slice(&back), buf_slice(&text));
}

TEST(text_as_html)
{
    Buf out buf_scoped = {0};
    convert_to_html(S("a < b & c\r\n"), S("utf-8"), &out);
    check(slice_find_slice(buf_slice(&out), S("<pre>a &lt; b &amp; c\r\n</pre>")) < out.len);
}
