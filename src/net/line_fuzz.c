/* Lines come out the same however the octets come in: the first octet says how long a line may be,
 * the second how the input is cut, the rest is the input. A plain reading of the whole is the
 * model. */
#include "base/fuzz.h"
#include "net/inbox.h"

static LineEnd model_line(Slice *rest, size_t most, Slice *line)
{
    size_t lf = slice_find(*rest, '\n');
    if (lf == rest->len) return LINE_NONE;
    Slice whole = slice_first(*rest, lf);
    *rest = slice_from(*rest, lf + 1);
    bool crlf = slice_ends(whole, S("\r"));
    if (crlf) whole.len--;
    *line = slice_first(whole, most);
    return whole.len > most ? LINE_TOO_LONG : crlf ? LINE_CRLF : LINE_LF;
}

static size_t next_cut(uint32_t *pattern)
{
    *pattern = *pattern * 1664525 + 1013904223;
    return (*pattern >> 24) % 4 ? 1 + (*pattern >> 28) : 1 + (*pattern >> 16) % 300;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t most = data[0];
    uint32_t pattern = data[1];
    Slice coming = slice(data + 2, size - 2), model = coming;
    Inbox in = {0};
    LineSearch search = {0};
    for (;;) {
        Slice line, want;
        LineEnd end = inbox_line(&in, &search, most, &line);
        if (end != LINE_NONE) {
            must(model_line(&model, most, &want) == end && slice_eq(line, want));
            search = (LineSearch){0};
            continue;
        }
        must(inbox_waiting(&in).len <= most + 1 || !search.too_long);
        if (!coming.len) break;
        Slice part = slice_first(coming, next_cut(&pattern));
        memcpy(inbox_reserve(&in, part.len), part.at, part.len);
        in.bytes.len += part.len;
        coming = slice_from(coming, part.len);
    }
    Slice none;
    must(model_line(&model, most, &none) == LINE_NONE);
    must(search.too_long || slice_eq(inbox_waiting(&in), model));
    inbox_done(&in);
    return 0;
}
