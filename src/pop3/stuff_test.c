#include "base/test.h"
#include "pop3/stuff.h"

TEST(dots_are_doubled)
{
    static const struct {
        Slice in, out;
    } rows[] = {
        {S(""),                      S(".\r\n")                       },
        {S("a"),                     S("a\r\n.\r\n")                  },
        {S("a\r\n"),                 S("a\r\n.\r\n")                  },
        {S("."),                     S("..\r\n.\r\n")                 },
        {S(".\r\n.\r\n"),            S("..\r\n..\r\n.\r\n")           },
        {S("a.b.\r\n.c\r\n..d\r\n"), S("a.b.\r\n..c\r\n...d\r\n.\r\n")},
        {S("\r\n\r\n.\r\n"),         S("\r\n\r\n..\r\n.\r\n")         },
        {S(".a.\n.b.\n.c."),         S("..a.\n..b.\n..c.\r\n.\r\n")   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t step = 1; step <= rows[i].in.len + 1; step++) {
            Buf out buf_scoped = {0};
            Stuffer st = {0};
            for (Slice rest = rows[i].in; rest.len; rest = slice_from(rest, step))
                stuff(&st, &out, slice_first(rest, step));
            stuff_end(&st, &out);
            check_slice(buf_slice(&out), rows[i].out);
        }
    }
}

TEST(a_whole_block_of_dots_is_doubled)
{
    Buf in buf_scoped = {0}, wanted buf_scoped = {0}, out buf_scoped = {0};
    for (int i = 0; i < 20000; i++)
        buf_add(&in, i % 3 ? S(".x.\r\n") : S("y.\r\n")),
            buf_add(&wanted, i % 3 ? S("..x.\r\n") : S("y.\r\n"));
    Stuffer st = {0};
    stuff(&st, &out, buf_slice(&in));
    check(slice_eq(buf_slice(&out), buf_slice(&wanted)) && !st.mid_line);
}

TEST(top_is_cut)
{
    static const struct {
        Slice in;
        uint64_t lines;
        Slice out;
    } rows[] = {
        {S("A: b\r\n\r\nc\r\nd\r\n"), 0,          S("A: b\r\n\r\n")          },
        {S("A: b\r\n\r\nc\r\nd\r\n"), 1,          S("A: b\r\n\r\nc\r\n")     },
        {S("A: b\r\n\r\nc\r\nd\r\n"), 2,          S("A: b\r\n\r\nc\r\nd\r\n")},
        {S("A: b\r\n\r\nc\r\nd"),     UINT64_MAX, S("A: b\r\n\r\nc\r\nd")    },
        {S("A: b\r\n\r\n\r\n\r\nd"),  2,          S("A: b\r\n\r\n\r\n\r\n")  },
        {S("A: b"),                   1,          S("A: b")                  },
        {S("\r\nx\r\n"),              0,          S("\r\n")                  },
        {S(""),                       3,          S("")                      },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t step = 1; step <= rows[i].in.len + 1; step++) {
            TopCut t = {.lines = rows[i].lines};
            size_t used = 0;
            for (Slice rest = rows[i].in; rest.len && !t.done; rest = slice_from(rest, step))
                used += top_cut(&t, slice_first(rest, step));
            check_slice(slice_first(rows[i].in, used), rows[i].out);
        }
    }
}

TEST(nothing_is_stuffed_to_nothing)
{
    Stuffer st = {.mid_line = true};
    Buf out buf_scoped = {0};
    stuff(&st, &out, S(""));
    stuff_written(&st, &out, 0);
    check(!out.len && st.mid_line);
}
