#include "base/test.h"
#include "base/text.h"
#include "mail/surrogate.h"

#define UE "\303\274" /* u with two dots */

TEST(a_header_in_utf8_has_a_surrogate)
{
    static const struct {
        Slice in, out;
    } rows[] = {
        {S("A: b\r\n\r\n"),                                                                    S("A: b\r\n\r\n")},
        {S("Subject: M" UE "ll\r\nTo: a@b\r\n\r\n"),
         S("Subject: =?utf-8?B?TcO8bGw=?=\r\nTo: a@b\r\n\r\n")                                                  },
        {S("From: J" UE "rgen <j@x.de>, \"Foo, Bar\" <f@y.de>\r\n\r\n"),
         S("From: =?utf-8?B?SsO8cmdlbg==?= <j@x.de>,\r\n \"Foo, Bar\" <f@y.de>\r\n\r\n")                        },
        {S("To: j" UE "@x.de\r\n\r\n"),
         S("To: =?utf-8?B?asO8QHguZGU=?= <invalid@internationalized-address.invalid>\r\n\r\n")                  },
        {S("To: Gr" UE "n: a@b, c@d;, e@f\r\n\r\n"),
         S("To: =?utf-8?B?R3LDvG4=?=:<a@b>,\r\n <c@d>;,\r\n <e@f>\r\n\r\n")                                     },
        {S("Content-Type: text/plain; charset=utf-8; name=\"" UE "\"; format=flowed\r\n\r\n"),
         S("Content-Type: text/plain;\r\n charset=\"utf-8\";\r\n format=\"flowed\"\r\n\r\n")                    },
        {S("Received: from x by y for <" UE "@z>;\r\n\tdate\r\nX: y\r\n"),                     S("X: y\r\n")    },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        mail_surrogate_header(&out, rows[i].in);
        check_slice(buf_slice(&out), rows[i].out);
    }
}

TEST(long_words_are_cut_between_characters)
{
    Buf in buf_scoped = {0}, out buf_scoped = {0};
    buf_add(&in, S("Subject: x"));
    for (int i = 0; i < 200; i++)
        buf_add(&in, S("\342\202\254"));
    buf_add(&in, S("\r\n\r\n"));
    mail_surrogate_header(&out, buf_slice(&in));
    check(text_is_ascii(buf_slice(&out)));
    for (Slice rest = buf_slice(&out), line; slice_cut(&rest, '\n', &line);)
        check(line.len <= 86); /* "Subject: " and a word of 75 */
}
