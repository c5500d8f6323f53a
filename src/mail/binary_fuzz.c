/* Messages with binary parts: cut anywhere the result is the same, and what comes out has no binary
 * part any more, so that it stays as it is when it comes again. */
#include "base/fuzz.h"
#include "mail/binary.h"

static bool filter(Slice in, size_t piece, Buf *out)
{
    BinaryFilter *f scoped(binary_filter) = binary_filter_new();
    for (Slice rest = in; rest.len; rest = slice_from(rest, piece))
        binary_filter_feed(f, slice_first(rest, piece), out);
    binary_filter_end(f, out);
    return binary_filter_met_nul(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > 64 * 1024) return 0;
    Slice in = slice((const char *)data + 1, size - 1);
    Buf whole = {0}, cut = {0}, again = {0};
    bool nul = filter(in, 64 * 1024, &whole);
    must(filter(in, 1 + data[0] % 16, &cut) == nul);
    must(slice_eq(buf_slice(&whole), buf_slice(&cut)));
    must(nul == (whole.len && memchr(whole.at, 0, whole.len)));
    must(filter(buf_slice(&whole), 64 * 1024, &again) == nul);
    must(slice_eq(buf_slice(&whole), buf_slice(&again)));
    buf_done(&whole);
    buf_done(&cut);
    buf_done(&again);
    return 0;
}
