#include "base/test.h"
#include "smtp/dot.h"

typedef struct {
    Slice in, text, rest; /* rest: what follows the end; .at NULL: the text does not end */
} Row;

/* Decodes in pieces of `step` octets, as they might come from the network. */
static bool decode(Slice in, size_t step, Buf *text, Slice *rest)
{
    DotDecoder d = {0};
    while (in.len && !dot_has_ended(&d)) {
        Slice piece = slice_first(in, step), left = piece, got;
        while ((got = dot_decode(&d, &left)).len)
            buf_add(text, got);
        in = slice_from(in, piece.len - left.len);
    }
    *rest = in;
    return dot_has_ended(&d);
}

static void check_rows(const Row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t step = 1; step <= rows[i].in.len; step++) {
            Buf text buf_scoped = {0};
            Slice rest;
            check(decode(rows[i].in, step, &text, &rest) == (rows[i].rest.at != NULL));
            check_slice(buf_slice(&text), rows[i].text);
            check_slice(rest, rows[i].rest);
        }
    }
}

TEST(dots_are_taken_off)
{
    static const Row rows[] = {
        {S("a\n..b\n.c\n...\r\n.\r\n"), S("a\n.b\n.c\n..\r\n"), S("")        },
        {S("..a\n..\n..\r\n.\r\n"),     S(".a\n.\n.\r\n"),      S("")        },
        {S(".\r\n"),                    S(""),                  S("")        },
        {S("a\r\n.\r\nQUIT\r\n"),       S("a\r\n"),             S("QUIT\r\n")},
        {S("..\r\n.\r\n"),              S(".\r\n"),             S("")        },
        {S(".a\r\n..b\r\n.\r\n"),       S("a\r\n.b\r\n"),       S("")        },
        {S("a.b\r\n...\r\n.\r\n."),     S("a.b\r\n..\r\n"),     S(".")       },
        {S("\r\n\r\n.\r\n\r\n"),        S("\r\n\r\n"),          S("\r\n")    },
        {S(".\r.\r\n.\r\n"),            S("\r.\r\n"),           S("")        },
        {S("a\r\n.\0\r\n.\r\n"),        S("a\r\n\0\r\n"),       S("")        },
        {S("a\r\n.\r\r\n.\r\nx"),       S("a\r\n\r\r\n"),       S("x")       },
        {S("a\r\n.\r\n.\r\n"),          S("a\r\n"),             S(".\r\n")   },
        {S("no end"),                   S("no end"),            {0}          },
        {S("a\r\n."),                   S("a\r\n"),             {0}          },
        {S("a\r\n.\r"),                 S("a\r\n"),             {0}          },
    };
    check_rows(rows, COUNT(rows));
}

/* What other servers have taken for an end ("SMTP smuggling", 2023), each followed by a real one.
 */
TEST(nothing_else_ends_the_text)
{
    static const Row rows[] = {
        {S("a\n.\nb\r\n.\r\n"),         S("a\n.\nb\r\n"),        S("")},
        {S("a\r.\rb\r\n.\r\n"),         S("a\r.\rb\r\n"),        S("")},
        {S("a\n.\r\nb\r\n.\r\n"),       S("a\n.\r\nb\r\n"),      S("")},
        {S("a\r\n.\nb\r\n.\r\n"),       S("a\r\n\nb\r\n"),       S("")},
        {S("a\r\n.\rb\r\n.\r\n"),       S("a\r\n\rb\r\n"),       S("")},
        {S("a\r.\r\nb\r\n.\r\n"),       S("a\r.\r\nb\r\n"),      S("")},
        {S("a\n.\rb\r\n.\r\n"),         S("a\n.\rb\r\n"),        S("")},
        {S("a\r.\nb\r\n.\r\n"),         S("a\r.\nb\r\n"),        S("")},
        {S("a\r\n\0.\r\nb\r\n.\r\n"),   S("a\r\n\0.\r\nb\r\n"),  S("")},
        {S("a\r\n. \r\nb\r\n.\r\n"),    S("a\r\n \r\nb\r\n"),    S("")},
        {S("a\r\r\n.\r\r\nb\r\n.\r\n"), S("a\r\r\n\r\r\nb\r\n"), S("")},
        {S("a\n\r.\r\nb\r\n.\r\n"),     S("a\n\r.\r\nb\r\n"),    S("")},
        {S("\n.\r\n\r\n.\r\n"),         S("\n.\r\n\r\n"),        S("")},
    };
    check_rows(rows, COUNT(rows));
}
