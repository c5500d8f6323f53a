#include "base/test.h"
#include "mail/decode.h"

static const struct {
    PartEncoding encoding;
    const char *in, *out;
    bool bad;
} rows[] = {
    {CTE_7BIT,             "a=3D\r\n",         "a=3D\r\n",     false},
    {CTE_UNKNOWN,          "a=3D\r\n",         "a=3D\r\n",     false},
    {CTE_BASE64,           "",                 "",             false},
    {CTE_BASE64,           "aGVsbG8=",         "hello",        false},
    {CTE_BASE64,           "aGVs\r\nbG8=\r\n", "hello",        false},
    {CTE_BASE64,           "a G\tV s\nbG8",    "hello",        false},
    {CTE_BASE64,           "aGVsbG8gd29ybGQ=", "hello world",  false},
    {CTE_BASE64,           "aA==",             "h",            false},
    {CTE_BASE64,           "aA",               "h",            false},
    {CTE_BASE64,           "aGU",              "he",           false},
    {CTE_BASE64,           "aGVsb",            "hel",          true },
    {CTE_BASE64,           "aGV*sbG8-=",       "hello",        true },
    {CTE_BASE64,           "aA==\r\n==\r\n",   "h",            false},
    {CTE_BASE64,           "aA==aGVs",         "h",            true }, /* RFC 2045 6.8: "=" ends the data */
    {CTE_BASE64,           "=aGVs",            "",             true },
    {CTE_QUOTED_PRINTABLE, "",                 "",             false},
    {CTE_QUOTED_PRINTABLE, "a=C3=A4=c3=b6",    "aäö",        false},
    {CTE_QUOTED_PRINTABLE, "a=\r\nb=\nc",      "abc",          false},
    {CTE_QUOTED_PRINTABLE, "a= \t\r\nb",       "ab",           false},
    {CTE_QUOTED_PRINTABLE, "a=\rb",            "ab",           false},
    {CTE_QUOTED_PRINTABLE, "a \t \r\nb  \nc ", "a\r\nb\nc",    false},
    {CTE_QUOTED_PRINTABLE, "a \t b",           "a \t b",       false},
    {CTE_QUOTED_PRINTABLE, "a=20\r\n",         "a \r\n",       false},
    {CTE_QUOTED_PRINTABLE, "a=zz=4x=",         "a=zz=4x",      true },
    {CTE_QUOTED_PRINTABLE, "a=4",              "a=4",          true },
    {CTE_QUOTED_PRINTABLE, "a= b= =41",        "a= b= A",      true },
    {CTE_QUOTED_PRINTABLE, "==41",             "=A",           true },
    {CTE_QUOTED_PRINTABLE, "\xc3\xa4\x01",     "\xc3\xa4\x01", false},
};

static void decode_in_steps(size_t i, size_t step)
{
    Buf out buf_scoped = {0};
    ContentDecoder d = {.encoding = (uint8_t)rows[i].encoding};
    Slice in = slice_of(rows[i].in);
    for (; in.len; in = slice_from(in, step))
        content_decode(&d, slice_first(in, step), &out);
    content_decode_end(&d, &out);
    if (!slice_eq(buf_slice(&out), slice_of(rows[i].out)) || d.bad != rows[i].bad)
        test_failed(__FILE__, __LINE__, "\"%s\" by %zu: \"%.*s\" bad %d", rows[i].in, step,
                    SP(buf_slice(&out)), d.bad);
}

TEST(content_decodes)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step <= 8; step++)
            decode_in_steps(i, step == 8 ? 1000 : step);
}

TEST(endless_white_space_is_text)
{
    Buf in buf_scoped = {0}, out buf_scoped = {0};
    ContentDecoder d = {.encoding = CTE_QUOTED_PRINTABLE};
    buf_add(&in, S("a\t"));
    for (int i = 0; i < 100; i++)
        buf_char(&in, i % 3 ? ' ' : '\t');
    size_t whole = in.len;
    buf_char(&in, 'b');
    content_decode(&d, buf_slice(&in), &out);
    content_decode_end(&d, &out);
    check_slice(buf_slice(&out), buf_slice(&in));
    in.at[whole] = '\n';
    buf_clear(&out);
    content_decode(&d, buf_slice(&in), &out);
    check_u64(out.len, whole - 64 + 1); /* the last 64 are taken for padding */
}

/* ---- HTML ---- */

static const struct {
    const char *in, *out;
} pages[] = {
    {"",                                                                             ""                                      },
    {"plain  text\n",                                                                "plain text"                            },
    {"a<b>b</b>c",                                                                   "abc"                                   },
    {"<p>a</p><p>b</p>",                                                             "a\nb"                                  },
    {"a<br>b<br/>c<BR />d",                                                          "a\nb\nc\nd"                            },
    {"<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>",                        "a b\nc"                                },
    {"<html><head><title>no</title><style>p > a { }</style></head><body>yes</body>", "yes"                                   },
    {"a<script>if (x < y) { \"</p>\" }</script>b",                                   "ab"                                    },
    {"a<SCRIPT src=x>b</ScRiPt >c",                                                  "ac"                                    },
    {"a<script>b</scripty>c</script>d",                                              "ad"                                    },
    {"a<style>b</style",                                                             "a"                                     },
    {"<!-- c > d -- e --->a<!-->b<!---->c",                                          "abc"                                   },
    {"<!DOCTYPE html><?xml version='1'?>a<![CDATA[b]]>c",                            "ac"                                    },
    {"<a href=\"x>y\" title='>'>a</a>",                                              "a"                                     },
    {"<a title=x\"y>a",                                                              "a"                                     },
    {"<p \"foo>a",                                                                   "a"                                     },
    {"1 < 2 <3 a<",                                                                  "1 < 2 <3 a<"                           },
    {"a &amp; b &lt;c&gt; &quot;d&quot; &euro;&Auml;",                               "a & b <c> \"d\" €Ä"                 },
    {"&#65;&#x42;&#X43;&#8364;&#128;&#150;",                                         "ABC€€–"                          },
    {"&#0;&#xD800;&#x110000;&#99999999999999999999;",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd&#99999999999999999999;"                                                           },
    {"&bogus; &; &#; &#x; & a&b",                                                    "&bogus; &; &#; &#x; & a&b"             },
    {"&amp &ampx &copy2",                                                            "& &ampx &copy2"                        },
    {"&&amp;&amp",                                                                   "&&&"                                   },
    {"a&nbsp;&nbsp; &emsp;b",                                                        "a b"                                   },
    {"so&shy;ft &zwnj;&nbsp;&zwnj; x",                                               "soft x"                                },
    {"&notanentitywithaveryveryverylongname;",                                       "&notanentitywithaveryveryverylongname;"},
    {"Gr\xc3\xbc\xc3\x9f"
     "e",                                                                       "Grüße"                               },
    {"<>a</>b",                                                                      "<>ab"                                  },
    {"<o:p>a</o:p>",                                                                 "a"                                     },
};

TEST(html_becomes_text)
{
    for (size_t i = 0; i < COUNT(pages); i++) {
        for (size_t step = 1; step < 1000; step = step * 3 + 1) {
            Buf out buf_scoped = {0};
            HtmlText h = {0};
            Slice in = slice_of(pages[i].in);
            for (; in.len; in = slice_from(in, step))
                html_text(&h, slice_first(in, step), &out);
            html_text_end(&h, &out);
            if (!slice_eq(buf_slice(&out), slice_of(pages[i].out)))
                test_failed(__FILE__, __LINE__, "\"%s\" by %zu: \"%.*s\"", pages[i].in, step,
                            SP(buf_slice(&out)));
        }
    }
}
