/* What comes in inflates the same however it is cut and however small the room is; and what we
 * deflate comes back, however often it is flushed or ended. The first octet says how the input is
 * cut, and from SPREAD on that it is much (fuzz_spread); the rest is the input. */
#include "base/fuzz.h"
#include "net/deflate.h"

#define MOST_OUT ((size_t)1 << 20)
enum { SPREAD = 192 };

static size_t next_cut(uint32_t *pattern)
{
    *pattern = *pattern * 1664525 + 1013904223;
    return 1 + (*pattern >> 24) % 40;
}

static Err inflate_cut(Slice coming, uint32_t pattern, bool rests, Buf *out)
{
    Inflater *none scoped(inflater) = NULL, *i scoped(inflater) = inflater_new();
    (void)none;
    size_t piece = 0, given = 0;
    while (out->len < MOST_OUT) {
        Slice in = slice(coming.at + given, piece);
        size_t room = pattern ? next_cut(&pattern) : 4096, made;
        TRY(inflater_take(i, &in, buf_reserve(out, room), room, &made));
        must(made <= room && in.len <= piece);
        given += piece - in.len, piece = in.len;
        out->len += made;
        if (made) continue;
        must(!piece);
        if (inflater_at_boundary(i) && rests) {
            inflater_rest(i);
            must(inflater_at_boundary(i) && inflater_kept(i) < (size_t)40 << 10);
        }
        if (rests) inflater_rest(i);
        if (given == coming.len) break;
        piece = pattern ? next_cut(&pattern) : coming.len;
        piece = MIN(piece, coming.len - given);
    }
    return OK;
}

static void there_and_back(Slice text, uint32_t pattern)
{
    Deflater *none scoped(deflater) = NULL, *d scoped(deflater) = deflater_new();
    (void)none;
    Buf packed buf_scoped = {0}, back buf_scoped = {0};
    for (Slice rest = text; rest.len;) {
        Slice piece = slice_first(rest, 160 * next_cut(&pattern));
        DeflateWay way = pattern % 32 == 1 ? DEFLATE_END
                         : pattern % 4     ? DEFLATE_MORE
                                           : DEFLATE_FLUSH;
        deflater_put(d, piece, way, &packed);
        if (way == DEFLATE_MORE) deflater_put(d, (Slice){0}, DEFLATE_MORE, &packed);
        if (!deflater_holds(d) && pattern % 8 == 0) deflater_rest(d);
        rest = slice_from(rest, piece.len);
    }
    deflater_put(d, (Slice){0}, DEFLATE_FLUSH, &packed);
    must(!deflater_holds(d));
    must(!inflate_cut(buf_slice(&packed), pattern | 1, true, &back));
    must(slice_eq(buf_slice(&back), slice_first(text, back.len)) &&
         back.len >= MIN(text.len, MOST_OUT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    Slice coming = slice(data + 1, size - 1);
    Buf much buf_scoped = {0};
    if (data[0] >= SPREAD) {
        fuzz_spread(coming, MOST_OUT, &much);
        coming = buf_slice(&much);
    }
    Buf whole buf_scoped = {0}, cut buf_scoped = {0};
    Err one = inflate_cut(coming, 0, false, &whole);
    Err other = inflate_cut(coming, data[0] + 1, data[0] & 1, &cut);
    size_t common = MIN(whole.len, cut.len); /* what came out before a mistake may differ */
    must(slice_eq(slice_first(buf_slice(&whole), common), slice_first(buf_slice(&cut), common)));
    bool limits = one == ERR_LIMIT || other == ERR_LIMIT; /* looked at between pieces */
    if (whole.len < MOST_OUT && cut.len < MOST_OUT && !limits)
        must(one == other && (one || whole.len == cut.len));
    there_and_back(coming, data[0]);
    return 0;
}
