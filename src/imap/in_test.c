#include "base/test.h"
#include "imap/in.h"

/* The client's side: sends its text in pieces and keeps what it is told. */
typedef struct {
    Stream *stream;
    Slice text;
    size_t piece;
    bool ended;
} Client;

PARKS_UNCHECKED static void client_sends(void *arg)
{
    Client *c = arg;
    for (Slice rest = c->text; rest.len; rest = slice_from(rest, c->piece)) {
        stream_put(c->stream, slice_first(rest, c->piece));
        (void)stream_flush(c->stream);
        if (c->piece < 100) fiber_sleep(0);
    }
    c->ended = true;
}

typedef struct {
    Client client;
    In in;
    Arena arena;
} Talk;

static void talk_begin(Talk *t, Slice text, size_t piece)
{
    *t = (Talk){
        .client = {.text = text, .piece = piece}
    };
    t->in = (In){.arena = &t->arena, .line_most = 1000, .literal_most = 100, .skip_most = 1000};
    t->arena.budget = 64 * 1024;
    check_ok(stream_pair(&t->in.stream, &t->client.stream));
    fiber_start("client", client_sends, &t->client);
}

PARKS static void talk_end(Talk *t)
{
    stream_free(t->in.stream);
    while (!t->client.ended)
        fiber_sleep(1);
    stream_free(t->client.stream);
    arena_done(&t->arena);
}

/* ---- one word, from a table ---- */

static void put_set(Buf *out, ImapSet set)
{
    if (set.saved) buf_char(out, '$');
    for (size_t i = 0; i < set.count; i++)
        buf_printf(out, "%s%u:%u", i ? "," : "", set.ranges[i].first, set.ranges[i].last);
}

static void put_flags(Buf *out, ImapFlags f)
{
    buf_printf(out, "%u", f.flags);
    for (size_t i = 0; i < f.count; i++)
        buf_printf(out, " %.*s", SP(f.names[i]));
}

PARKS static void read_word(In *in, const char *word, Buf *out)
{
    Slice w = slice_of(word), s = {0};
    if (slice_eq(w, S("set")))
        put_set(out, imap_sequence_set(in));
    else if (slice_eq(w, S("flags")))
        put_flags(out, imap_flags(in));
    else if (slice_eq(w, S("flag-list")))
        put_flags(out, imap_flag_list(in));
    else if (slice_eq(w, S("date-time")))
        buf_printf(out, "%lld", (long long)imap_date_time(in));
    else if (slice_eq(w, S("date")))
        buf_printf(out, "%lld", (long long)imap_date(in));
    else if (slice_eq(w, S("number")))
        buf_printf(out, "%u", imap_number(in));
    else if (slice_eq(w, S("nz-number")))
        buf_printf(out, "%u", imap_nz_number(in));
    else if (slice_eq(w, S("number64")))
        buf_printf(out, "%llu", (unsigned long long)imap_number64(in));
    else if (slice_eq(w, S("atom")))
        s = imap_atom(in);
    else if (slice_eq(w, S("label")))
        s = imap_label(in);
    else if (slice_eq(w, S("astring")))
        s = imap_astring(in);
    else if (slice_eq(w, S("string")))
        s = imap_string(in);
    else if (slice_eq(w, S("nstring")))
        s = (s = imap_nstring(in)).at ? s : S("(nil)");
    else if (slice_eq(w, S("mailbox")) || slice_eq(w, S("mailbox8")))
        s = imap_mailbox(in, NULL);
    else if (slice_eq(w, S("pattern")))
        s = imap_list_mailbox(in);
    buf_add(out, s);
}

static const struct {
    const char *word, *text, *wanted; /* NULL: a mistake */
} words[] = {
    {"atom",      "INBOX",                              "INBOX"                       },
    {"atom",      "a\"b",                               NULL                          },
    {"atom",      "",                                   NULL                          },
    {"atom",      "a]",                                 NULL                          },
    {"label",     "BODY.PEEK",                          "BODY.PEEK"                   },
    {"astring",   "a]b",                                "a]b"                         },
    {"astring",   "\"\"",                               ""                            },
    {"astring",   "\"a \\\"b\\\\\"",                    "a \"b\\"                     },
    {"astring",   "\"a \\x\"",                          NULL                          },
    {"astring",   "\"open",                             NULL                          },
    {"astring",   "\"open\\",                           NULL                          },
    {"astring",   "{3}\r\na\r\n",                       "a\r\n"                       },
    {"astring",   "{3+}\r\nabc",                        "abc"                         },
    {"astring",   "{0}\r\n",                            ""                            },
    {"astring",
     "{100+}\r\n"
     "0123456789012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789",                  "0123456789012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789"           },
    {"astring",   "{101}",                              NULL                          },
    {"astring",   "{99999999999999999999}",             NULL                          },
    {"astring",   "{-1}",                               NULL                          },
    {"astring",   "{3} x",                              NULL                          },
    {"astring",   "~{3+}\r\nabc",                       NULL                          },
    {"string",    "atom",                               NULL                          },
    {"nstring",   "nil",                                "(nil)"                       },
    {"nstring",   "\"NIL\"",                            "NIL"                         },
    {"number",    "4294967295",                         "4294967295"                  },
    {"number",    "4294967296",                         NULL                          },
    {"number",    "0",                                  "0"                           },
    {"number",    "-1",                                 NULL                          },
    {"nz-number", "0",                                  NULL                          },
    {"number64",  "9223372036854775807",                "9223372036854775807"         },
    {"number64",  "9223372036854775808",                NULL                          },
    {"set",       "1",                                  "1:1"                         },
    {"set",       "1:*,4:2,*",                          "1:0,4:2,0:0"                 },
    {"set",       "$",                                  "$"                           },
    {"set",       "1,",                                 NULL                          },
    {"set",       "0",                                  NULL                          },
    {"set",       "1:",                                 NULL                          },
    {"set",       "1:2:3",                              NULL                          },
    {"set",       "a",                                  NULL                          },
    {"flags",     "(\\Seen \\DELETED $Forwarded work)", "9 $Forwarded work"           },
    {"flags",     "\\Answered \\Flagged \\Draft",       "22"                          },
    {"flags",     "()",                                 "0"                           },
    {"flags",     "(\\Recent \\Unheard)",               "0"                           },
    {"flags",     "",                                   NULL                          },
    {"flags",     "(\\Seen",                            NULL                          },
    {"flags",     "( \\Seen)",                          NULL                          },
    {"flags",     "(\\*)",                              NULL                          },
    {"flag-list", "\\Seen",                             NULL                          },
    {"date",      "1-Jan-1970",                         "0"                           },
    {"date",      "\"01-Feb-1970\"",                    "31"                          },
    {"date",      "29-feb-2024",                        "19782"                       },
    {"date",      "29-Feb-2023",                        NULL                          },
    {"date",      "0-Jan-2023",                         NULL                          },
    {"date",      "32-Jan-2023",                        NULL                          },
    {"date",      "1-January-2023",                     NULL                          },
    {"date",      "1-Jan-23",                           NULL                          },
    {"date",      "\"1-Jan-1970",                       NULL                          },
    {"date-time", "\"17-Jul-1996 02:44:25 -0700\"",     "837596665"                   },
    {"date-time", "\" 1-Jan-1970 00:00:01 +0000\"",     "1"                           },
    {"date-time", "\" 1-Jan-1970 00:00:01 +0100\"",     "-3599"                       },
    {"date-time", "\"1-Jan-1970 00:00:01 +0000\"",      "1"                           },
    {"date-time", "\"01-Jan-1970 00:00:01\"",           "1"                           },
    {"date-time", "\"001-Jan-1970 00:00:01 +0000\"",    NULL                          },
    {"date-time", "\" 1-Jan-1970 24:00:01 +0000\"",     NULL                          },
    {"date-time", "\" 1-Jan-1970 00:00:01 0000\"",      NULL                          },
    {"date-time", "\" 1-Jan-1970 00:00:01 +0000",       NULL                          },
    {"mailbox",   "inbox",                              "INBOX"                       },
    {"mailbox",   "iNbOx/a",                            "INBOX/a"                     },
    {"mailbox",   "inboxes",                            "inboxes"                     },
    {"mailbox",   "{5}\r\ninbox",                       "INBOX"                       },
    {"mailbox",   "~peter/mail/&U,BTFw-/&ZeVnLIqe-",    "~peter/mail/台北/日本語"},
    {"mailbox",   "a&-b",                               "a&b"                         },
    {"mailbox",   "a&b",                                NULL                          },
    {"mailbox",   "\"&Jjo!\"",                          NULL                          },
    {"mailbox",   "\"e\xcc\x81\"",                      "é"                          },
    {"mailbox",   "\"\xff\"",                           NULL                          },
    {"mailbox8",  "\"日本\"",                         "日本"                      },
    {"mailbox8",  "a&-b",                               "a&-b"                        },
    {"pattern",   "inb*",                               "inb*"                        },
    {"pattern",   "INBOX",                              "INBOX"                       },
    {"pattern",   "%",                                  "%"                           },
    {"pattern",   "\"\"",                               ""                            },
    {"pattern",   "~/mail/%",                           "~/mail/%"                    },
    {"pattern",   "(",                                  NULL                          },
};

PARKS static void check_word(size_t i, size_t piece)
{
    Buf line buf_scoped = {0}, got buf_scoped = {0};
    Talk t;
    buf_printf(&line, "tag %s\r\nnext line\r\n", words[i].text);
    talk_begin(&t, buf_slice(&line), piece);
    t.in.utf8 = slice_eq(slice_of(words[i].word), S("mailbox8"));
    check_ok(imap_next(&t.in));
    read_word(&t.in, words[i].word, &got);
    Err err = imap_end(&t.in);
    if (words[i].wanted && err)
        test_failed(__FILE__, __LINE__, "%s \"%s\": %s (%s)", words[i].word, words[i].text,
                    err_name(err), err_story());
    else if (!words[i].wanted && !err)
        test_failed(__FILE__, __LINE__, "%s \"%s\" was taken as \"%.*s\"", words[i].word,
                    words[i].text, SP(buf_slice(&got)));
    else if (!err)
        check_slice(buf_slice(&got), slice_of(words[i].wanted));
    check_slice(t.in.tag, S("tag"));
    talk_end(&t);
}

TEST(words_of_the_grammar_whole_and_octet_by_octet)
{
    for (size_t i = 0; i < COUNT(words); i++) {
        check_word(i, 10000);
        check_word(i, 1);
    }
}

TEST(a_mistake_sticks)
{
    Talk t;
    talk_begin(&t, S("a1 one (two\r\n"), 10000);
    check_ok(imap_next(&t.in));
    check_slice(imap_atom(&t.in), S("one"));
    check_u64(imap_number(&t.in), 0);
    check(!imap_see(&t.in, " "));
    check_slice(imap_atom(&t.in), S(""));
    check(!imap_sequence_set(&t.in).count);
    check(!imap_literal(&t.in).is_there);
    check(imap_at_end(&t.in));
    check_err(imap_end(&t.in), ERR_SYNTAX);
    check_err(imap_go_ahead(&t.in), ERR_SYNTAX);
    talk_end(&t);
}

TEST(a_command_begins_with_a_tag)
{
    static const struct {
        const char *line, *tag;
        Err err;
    } rows[] = {
        {"a1 NOOP\r\n",  "a1",  OK        },
        {"* NOOP\r\n",   "",    ERR_SYNTAX},
        {"+ NOOP\r\n",   "",    ERR_SYNTAX},
        {"\r\n",         "",    ERR_SYNTAX},
        {"a1\r\n",       "a1",  ERR_SYNTAX},
        {" a1 NOOP\r\n", "",    ERR_SYNTAX},
        {"a]1 NOOP\n",   "a]1", OK        },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Talk t;
        talk_begin(&t, slice_of(rows[i].line), 1);
        check_err(imap_next(&t.in), rows[i].err);
        check_slice(t.in.tag, slice_of(rows[i].tag));
        talk_end(&t);
    }
}

TEST(a_line_too_long_still_has_its_tag)
{
    Buf text buf_scoped = {0};
    Talk t;
    buf_add(&text, S("a1 NOOP "));
    for (int i = 0; i < 5000; i++)
        buf_char(&text, 'x');
    buf_add(&text, S("\r\na2 NOOP\r\n"));
    talk_begin(&t, buf_slice(&text), 10000);
    check_err(imap_next(&t.in), ERR_LIMIT);
    check_slice(t.in.tag, S("a1"));
    check(imap_skip_command(&t.in));
    check_ok(imap_next(&t.in));
    check_slice(t.in.tag, S("a2"));
    talk_end(&t);
}

/* What belongs to a command that was not understood is never taken for the next one. */
TEST(what_was_not_read_is_skipped)
{
    static const struct {
        const char *text;
        bool goes_on;
    } rows[] = {
        {"a1 (x {5+}\r\nB NO\r rest {3+}\r\nabc\r\nzz NOOP\r\n", true },
        {"a1 (x {5+}\r\n12345\r\nzz NOOP\r\n",                   true },
        {"a1 (x {5}\r\nzz NOOP\r\n",                             true }, /* the client waits */
        {"a1 ({1001+}\r\nzz NOOP\r\n",                           false},
        {"a1 ({9999999999999999999999+}\r\nzz NOOP\r\n",         true }, /* no number, no literal */
        {"a1 (x+}\r\nzz NOOP\r\n",                               true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Talk t;
        talk_begin(&t, slice_of(rows[i].text), i % 2 ? 1 : 1000);
        check_ok(imap_next(&t.in));
        (void)imap_atom(&t.in);
        check(imap_syntax(&t.in) == ERR_SYNTAX);
        check(imap_skip_command(&t.in) == rows[i].goes_on);
        if (rows[i].goes_on) {
            check_ok(imap_next(&t.in));
            check_slice(t.in.tag, S("zz"));
        }
        talk_end(&t);
    }
}

TEST(a_refused_literal_that_is_coming_is_skipped)
{
    Talk t;
    talk_begin(&t,
               S("a1 {200+}\r\n"
                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                 "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789"
                 "\r\nzz NOOP\r\n"),
               1000);
    check_ok(imap_next(&t.in));
    check_slice(imap_astring(&t.in), S(""));
    check_err(imap_end(&t.in), ERR_TOO_BIG);
    check(imap_skip_command(&t.in));
    check_ok(imap_next(&t.in));
    check_slice(t.in.tag, S("zz"));
    talk_end(&t);
}

TEST(a_literal_is_streamed)
{
    Talk t;
    char got[10];
    size_t len = 0;
    talk_begin(&t, S("a1 ~{10}\r\n012\0045\r\n89)\r\nzz NOOP\r\n"), 1);
    check_ok(imap_next(&t.in));
    ImapLiteral l = imap_literal(&t.in);
    check(l.is_there && l.waits && l.binary && l.size == 10);
    check_ok(imap_go_ahead(&t.in));
    for (Slice s; (s = imap_literal_some(&t.in, 4)).len;) {
        check(s.len <= 4 && len + s.len <= sizeof got);
        memcpy(got + len, s.at, s.len);
        len += s.len;
    }
    check_slice(slice(got, len), S("012\0045\r\n89)"));
    check_ok(imap_literal_end(&t.in));
    check_ok(imap_end(&t.in));
    check_ok(imap_next(&t.in));
    check_slice(t.in.tag, S("zz"));
    talk_end(&t);
}

TEST(nul_is_no_character)
{
    Talk t;
    talk_begin(&t, S("a1 {3+}\r\na\0b\r\na2 \"a\0b\"\r\nzz NOOP\r\n"), 1);
    check_ok(imap_next(&t.in));
    check_slice(imap_astring(&t.in), S(""));
    check_err(imap_end(&t.in), ERR_SYNTAX);
    check(imap_skip_command(&t.in));
    check_ok(imap_next(&t.in));
    check_slice(imap_astring(&t.in), S(""));
    check_err(imap_end(&t.in), ERR_SYNTAX);
    talk_end(&t);
}

TEST(a_command_has_a_budget)
{
    Talk t;
    Buf text buf_scoped = {0};
    buf_add(&text, S("a1 "));
    for (int i = 0; i < 100; i++)
        buf_add(&text, S("{5+}\r\n01234 "));
    talk_begin(&t, buf_slice(&text), 1000);
    t.arena.budget = 500;
    check_ok(imap_next(&t.in));
    for (int i = 0; i < 100; i++) {
        (void)imap_astring(&t.in);
        imap_space(&t.in);
    }
    Err err = imap_syntax(&t.in);
    check(err == ERR_LIMIT || err == ERR_TOO_BIG);
    check(t.arena.used < 1000);
    talk_end(&t);
}

TEST(the_end_of_the_connection_is_an_error_in_the_middle_of_a_command)
{
    Talk t;
    talk_begin(&t, S("a1 {50+}\r\nabc"), 1000);
    check_ok(imap_next(&t.in));
    while (!t.client.ended)
        fiber_sleep(1);
    stream_free(t.client.stream);
    t.client.stream = NULL;
    check_slice(imap_astring(&t.in), S(""));
    check_err(imap_end(&t.in), ERR_END);
    check(!imap_skip_command(&t.in));
    talk_end(&t);
}
