#include "base/test.h"
#include "imap/session.h"

TEST(strings_are_quoted_when_they_can_be)
{
    static const struct {
        const char *octets, *string, *astring;
    } rows[] = {
        {"",         "\"\"",            "\"\""           },
        {"abc",      "\"abc\"",         "abc"            },
        {"a b",      "\"a b\"",         "\"a b\""        },
        {"a\"b\\c",  "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""},
        {"a\r\nb",   "{4}\r\na\r\nb",   "{4}\r\na\r\nb"  },
        {"\xc3\xa9", "{2}\r\n\xc3\xa9", "{2}\r\n\xc3\xa9"},
        {"nil",      "\"nil\"",         "\"nil\""        },
        {"a]",       "\"a]\"",          "\"a]\""         },
        {"%",        "\"%\"",           "\"%\""          },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf string buf_scoped = {0}, astring buf_scoped = {0};
        imap_put_string(&string, slice_of(rows[i].octets));
        imap_put_astring(&astring, slice_of(rows[i].octets));
        check_slice(buf_slice(&string), slice_of(rows[i].string));
        check_slice(buf_slice(&astring), slice_of(rows[i].astring));
    }
}

TEST(a_long_string_and_one_with_nul_are_literals)
{
    char octets[1001];
    Buf out buf_scoped = {0};
    memset(octets, 'x', sizeof octets);
    imap_put_string(&out, slice(octets, sizeof octets));
    check(slice_starts(buf_slice(&out), S("{1001}\r\nx")));
    buf_clear(&out);
    imap_put_string(&out, S("a\0b"));
    check_slice(buf_slice(&out), S("{3}\r\na\0b"));
    buf_clear(&out);
    imap_put_nstring(&out, (Slice){0});
    check_slice(buf_slice(&out), S("NIL"));
}

TEST(names_are_modified_utf7_until_rev2)
{
    static const struct {
        const char *name, *rev1, *rev2;
    } rows[] = {
        {"INBOX",            "INBOX",               "INBOX"               },
        {"NIL",              "\"NIL\"",             "\"NIL\""             },
        {"a b",              "\"a b\"",             "\"a b\""             },
        {"R&D",              "R&-D",                "R&D"                 },
        {"台北/日本語", "&U,BTFw-/&ZeVnLIqe-", "\"台北/日本語\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Imap s = {0};
        Buf rev1 buf_scoped = {0}, rev2 buf_scoped = {0};
        imap_put_mailbox(&s, &rev1, slice_of(rows[i].name));
        s.in->utf8 = true;
        imap_put_mailbox(&s, &rev2, slice_of(rows[i].name));
        check_slice(buf_slice(&rev1), slice_of(rows[i].rev1));
        check_slice(buf_slice(&rev2), slice_of(rows[i].rev2));
    }
}

TEST(dates_are_told_in_utc)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {837596665,  "\"17-Jul-1996 09:44:25 +0000\""},
        {0,          "\" 1-Jan-1970 00:00:00 +0000\""},
        {-1,         "\"31-Dec-1969 23:59:59 +0000\""},
        {4294967295, "\" 7-Feb-2106 06:28:15 +0000\""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Buf out buf_scoped = {0};
        imap_put_date_time(&out, rows[i].seconds);
        check_slice(buf_slice(&out), slice_of(rows[i].text));
    }
}

/* Every Err has its tagged line, and no line can be more than one. */
TEST(every_err_has_one_line)
{
    for (Err err = ERR_END; err <= ERR_CONFIG; err++) {
        Imap s = {.state = KNOWN};
        Stream *client;
        check_ok(stream_pair(&s.stream, &client));
        s.in->tag = S("a1");
        Err given = fail(err, "two\r\nlines");
        imap_answer_err(&s, given);
        Slice said = buf_slice(stream_out(s.stream));
        check(slice_starts(said, S("a1 NO [")) || slice_starts(said, S("a1 BAD ")));
        check(slice_find(said, '\r') == said.len - 2);
        stream_free(s.stream);
        stream_free(client);
        arena_done(&s.arena);
    }
}

TEST(the_table_of_commands_is_sound)
{
    for (size_t i = 0; i < imap_command_count; i++) {
        const ImapCommand *c = &imap_commands[i];
        check(c->handler && c->section[0] && c->allowed && !(c->allowed & ~ANY));
        for (size_t j = 0; j < i; j++)
            check(!slice_eq(c->name, imap_commands[j].name));
    }
}
