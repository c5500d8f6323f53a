#pragma once
/* For tests of conversations: a client that follows a script, line by line.
 *
 *     C: what it sends          (with CRLF)
 *     S: what it has to get     (a * at the end stands for anything)
 *     S: ...                    any number of lines, up to one that fits the next S: line
 *     S: -                      the end of the connection
 *
 * Several C: lines in a row are sent together, as a pipelining client does. */
#include "base/test.h"
#include "net/stream.h"

static bool script_fits(Slice wanted, Slice got)
{
    if (!slice_ends(wanted, S("*"))) return slice_eq(wanted, got);
    return slice_starts(got, slice_first(wanted, wanted.len - 1));
}

PARKS static bool script_line(Stream *client, Slice *line)
{
    stream_set_deadline(client, now_ms() + 20000);
    return stream_line(client, 1 << 20, line) == LINE_CRLF;
}

PARKS static void script_expect(Stream *client, const char *file, int at, Slice wanted, bool skip)
{
    Slice got = {0};
    bool is_end = slice_eq(wanted, S("-")), came;
    do
        came = script_line(client, &got);
    while (skip && came && !script_fits(wanted, got));
    if (came ? is_end || !script_fits(wanted, got) : !is_end)
        test_failed(file, at, "got \"%.*s\"%s, not \"%.*s\"", SP(got), came ? "" : " (end)",
                    SP(wanted));
}

PARKS static void script_run(Stream *client, const char *file, int at, Slice script)
{
    bool skip = false;
    for (Slice line; slice_cut(&script, '\n', &line);) {
        Slice text = slice_from(line, 3);
        if (slice_eq(line, S("S: ..."))) {
            skip = true;
        } else if (slice_starts(line, S("S:"))) {
            (void)stream_flush(client);
            script_expect(client, file, at, text, skip);
            skip = false;
        } else if (slice_starts(line, S("C:"))) {
            stream_put(client, text);
            stream_put(client, S("\r\n"));
        }
    }
    (void)stream_flush(client);
}
#define script(client, text) script_run((client), __FILE__, __LINE__, S(text))
