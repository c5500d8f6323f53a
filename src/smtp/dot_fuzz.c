#include "base/fuzz.h"
#include "smtp/dot.h"

/* Two dots behind a bare LF are one. */
static void add_line(Slice line, Buf *text)
{
    if (line.len && line.at[0] == '.') line = slice_from(line, 1);
    for (size_t i = 0; i < line.len; i++) {
        buf_char(text, line.at[i]);
        if (slice_starts(slice_from(line, i), S("\n.."))) buf_char(text, '.'), i += 2;
    }
}

/* The law, one octet at a time and with nothing clever: lines end at CRLF; a line of one dot ends
 * the text; a leading dot goes. */
static size_t law(Slice in, Buf *text, bool *ended)
{
    size_t line = 0;
    for (size_t i = 0; i + 1 < in.len; i++) {
        if (in.at[i] != '\r' || in.at[i + 1] != '\n') continue;
        Slice l = slice(in.at + line, i + 2 - line);
        line = i + 2;
        *ended = slice_eq(l, S(".\r\n"));
        if (*ended) return line;
        add_line(l, text);
        i++;
    }
    add_line(slice_from(in, line), text);
    return in.len;
}

static size_t decode(Slice in, size_t step, Buf *text, bool *ended)
{
    DotDecoder d = {0};
    size_t used = 0;
    while (used < in.len && !dot_has_ended(&d)) {
        Slice piece = slice_first(slice_from(in, used), step), left = piece, got;
        while ((got = dot_decode(&d, &left)).len)
            buf_add(text, got);
        must(!left.len || dot_has_ended(&d));
        used += piece.len - left.len;
    }
    *ended = dot_has_ended(&d);
    if (d.state == DOT_DOT_CR) buf_char(text, '\r'); /* held back: the law sees it as text */
    if (d.state == DOT_LF_DOT) buf_char(text, '.');
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Slice in = slice(data + 1, size - 1);
    Buf wanted buf_scoped = {0}, text buf_scoped = {0};
    bool wanted_end = false, ended;
    size_t used = law(in, &wanted, &wanted_end);
    must(decode(in, 1 + data[0] % 32, &text, &ended) == used);
    must(ended == wanted_end && slice_eq(buf_slice(&text), buf_slice(&wanted)));
    return 0;
}
