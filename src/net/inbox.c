#include "net/inbox.h"

Slice inbox_take(Inbox *in, size_t most)
{
    Slice taken = slice_first(inbox_waiting(in), most);
    in->start += taken.len;
    return taken;
}

char *inbox_reserve(Inbox *in, size_t octets)
{
    if (in->start && in->bytes.room - in->bytes.len < octets) {
        buf_drop_front(&in->bytes, in->start);
        in->start = 0;
    }
    if (in->start == in->bytes.len) {
        buf_clear(&in->bytes);
        in->start = 0;
    }
    return buf_reserve(&in->bytes, octets);
}

void inbox_prepend(Inbox *in, Slice octets)
{
    Buf all = {0};
    buf_add(&all, octets);
    buf_add(&all, inbox_waiting(in));
    inbox_done(in);
    in->bytes = all;
}

void inbox_done(Inbox *in)
{
    buf_done(&in->bytes);
    in->start = 0;
}

/* Keeps the first `most` octets of a line that is too long and drops what came behind them, so a
 * line of any length takes no more room than that. */
static void drop_tail(Inbox *in, LineSearch *search, size_t most)
{
    search->too_long = true;
    in->bytes.len = in->start + most;
    search->seen = most;
}

static LineEnd give_too_long(Inbox *in, size_t most, size_t lf, Slice *line)
{
    *line = slice_first(inbox_waiting(in), most);
    in->start += lf + 1;
    return LINE_TOO_LONG;
}

LineEnd inbox_line(Inbox *in, LineSearch *search, size_t most, Slice *line)
{
    Slice waiting = inbox_waiting(in);
    Slice unseen = slice_from(waiting, search->seen);
    size_t lf = search->seen + slice_find(unseen, '\n');
    if (lf == waiting.len) {
        search->seen = waiting.len;
        /* The octet after the last that fits may be the CR of the end. */
        if (search->too_long || waiting.len > most + 1) drop_tail(in, search, most);
        return LINE_NONE;
    }
    bool crlf = lf > 0 && waiting.at[lf - 1] == '\r';
    size_t len = crlf ? lf - 1 : lf;
    if (search->too_long || len > most) return give_too_long(in, most, lf, line);
    *line = slice_first(waiting, len);
    in->start += lf + 1;
    return crlf ? LINE_CRLF : LINE_LF;
}
