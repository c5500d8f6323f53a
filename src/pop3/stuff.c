#include "pop3/stuff.h"

#include "run/run.h"

/* Whether the octet at `at` is a dot that begins a line; `first` is where the piece begins. */
static bool is_line_dot(const Stuffer *st, const char *first, const char *at)
{
    return *at == '.' && (at == first ? !st->mid_line : at[-1] == '\n');
}

/* Sixteen octets at a time, whatever lines there are: memchr from line to line is slow where all
 * lines are empty, memmem everywhere. The sum of a piece fits an octet. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("O3")))
#endif
static size_t
count_line_dots(const Stuffer *st, Slice octets)
{
    enum { PIECE = 240 };
    const char *at = octets.at;
    size_t count = is_line_dot(st, at, at);
    for (size_t i = 1; i < octets.len; i += PIECE) {
        size_t end = MIN(octets.len, i + PIECE);
        uint8_t dots = 0;
        for (size_t k = i; k < end; k++)
            dots = (uint8_t)(dots + ((at[k - 1] == '\n') & (at[k] == '.')));
        count += dots;
    }
    return count;
}

/* From the end, so that everything is moved once. */
static void spread(const Stuffer *st, char *first, size_t len, size_t dots)
{
    size_t end = len; /* of what still has to move */
    while (dots) {
        char *dot = memrchr(first, '.', len);
        must(dot);
        len = (size_t)(dot - first);
        if (!is_line_dot(st, first, dot)) continue;
        memmove(dot + dots, dot, end - len);
        end = len;
        dot[--dots] = '.';
    }
}

void stuff_written(Stuffer *st, Buf *out, size_t len)
{
    if (!len) return;
    Slice fresh = slice(out->at + out->len, len);
    size_t start = out->len, dots = count_line_dots(st, fresh);
    if (PLANTED("dot_lost")) dots = 0;
    bool ends_mid_line = fresh.at[len - 1] != '\n';
    out->len += len;
    if (dots) {
        buf_reserve(out, dots);
        spread(st, out->at + start, len, dots);
        out->len += dots;
    }
    st->mid_line = ends_mid_line;
}

void stuff(Stuffer *st, Buf *out, Slice octets)
{
    if (!octets.len) return;
    memcpy(buf_reserve(out, octets.len), octets.at, octets.len);
    stuff_written(st, out, octets.len);
}

void stuff_end(Stuffer *st, Buf *out)
{
    if (st->mid_line) buf_add(out, S("\r\n"));
    buf_add(out, S(".\r\n"));
}

static void line_ends(TopCut *t)
{
    if (t->in_body)
        t->lines--;
    else if (!t->has_text)
        t->in_body = true;
    t->has_text = false;
    t->done = t->in_body && !t->lines;
}

/* Behind some text of a header line: what may be passed over at once, as it has no empty line. It
 * ends within a line with text, too. */
static size_t header_lines(const TopCut *t, Slice rest)
{
    if (t->in_body || !t->has_text) return 0;
    const char *end = memmem(rest.at, rest.len, "\n\r", 2);
    if (!end) end = memrchr(rest.at, '\n', rest.len);
    if (!end) return 0;
    const char *sooner = memmem(rest.at, (size_t)(end - rest.at) + 1, "\n\n", 2);
    return (size_t)((sooner ? sooner : end) - rest.at);
}

size_t top_cut(TopCut *t, Slice octets)
{
    size_t used = 0;
    while (used < octets.len && !t->done) {
        used += header_lines(t, slice_from(octets, used));
        Slice rest = slice_from(octets, used);
        size_t end = slice_find(rest, '\n');
        Slice line = slice_first(rest, end);
        while (line.len && line.at[0] == '\r')
            line = slice_from(line, 1);
        t->has_text |= line.len > 0;
        used += end;
        if (used == octets.len) break;
        used++;
        line_ends(t);
    }
    return used;
}
