#include "store/page.h"

#include <stdlib.h>
#include <zstd.h>

/* A chunk's payload:  u8 form   varint raw length   raw octets, or a zstd frame of them
 * raw octets:         (u8 index in the page, varint length, summary) in order of index */
enum { FORM_RAW, FORM_ZSTD, SUMMARIES_RAW_MOST = 64 * 1024 * 1024 };

struct SummaryCodec {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
    Buf raw;
};

SummaryCodec *summary_codec_new(void)
{
    SummaryCodec *c = NEW(SummaryCodec);
    c->compressor = ZSTD_createCCtx();
    c->decompressor = ZSTD_createDCtx();
    if (!c->compressor || !c->decompressor) out_of_memory(sizeof *c);
    return c;
}

void summary_codec_free(SummaryCodec *c)
{
    if (!c) return;
    ZSTD_freeCCtx(c->compressor);
    ZSTD_freeDCtx(c->decompressor);
    buf_done(&c->raw);
    free(c);
}

static void write_raw(Buf *out, const Summaries *s)
{
    for (size_t i = 0; i < SUMMARIES; i++) {
        if (!s->stored[i].len) continue;
        buf_u8(out, (uint8_t)i);
        buf_bytes(out, s->stored[i]);
    }
}

static void write_frame(SummaryCodec *c, Buf *out)
{
    size_t room = ZSTD_compressBound(c->raw.len);
    size_t len =
        ZSTD_compressCCtx(c->compressor, buf_reserve(out, room), room, c->raw.at, c->raw.len, 1);
    must(!ZSTD_isError(len)); /* there was room for the worst */
    out->len += len;
}

void summaries_encode(SummaryCodec *c, Buf *out, const Summaries *s, bool compress)
{
    buf_clear(&c->raw);
    write_raw(&c->raw, s);
    buf_u8(out, compress ? FORM_ZSTD : FORM_RAW);
    buf_varint(out, c->raw.len);
    if (compress)
        write_frame(c, out);
    else
        buf_add(out, buf_slice(&c->raw));
}

static Err read_raw_form(Slice raw, Summaries *s)
{
    Reader in = reader(raw);
    int before = -1;
    while (in.rest.len && !in.bad) {
        uint8_t i = read_u8(&in);
        Slice stored = read_bytes(&in);
        if (i >= SUMMARIES || i <= before || !stored.len) in.bad = true;
        if (!in.bad) s->stored[i] = stored;
        before = i;
    }
    return in.bad ? fail(ERR_CORRUPT, "a damaged summary page") : OK;
}

static bool read_frame(SummaryCodec *c, Slice frame, char *to, size_t len)
{
    size_t got = ZSTD_decompressDCtx(c->decompressor, to, len, frame.at, frame.len);
    return !ZSTD_isError(got) && got == len;
}

/* The text must not move while slices point into it: room for this chunk is made before, and those
 * of earlier chunks are moved along. */
static char *text_room(Buf *text, size_t len, Summaries *s)
{
    const char *old = text->at;
    char *to = buf_reserve(text, len);
    for (size_t i = 0; i < SUMMARIES && old && text->at != old; i++)
        if (s->stored[i].len) s->stored[i].at = text->at + (s->stored[i].at - old);
    return to;
}

Err summaries_decode(SummaryCodec *c, Reader *in, Buf *text, Summaries *s)
{
    uint8_t form = read_u8(in);
    uint64_t len = read_varint(in);
    bool fits = form == FORM_RAW ? len == in->rest.len : form == FORM_ZSTD;
    if (in->bad || !fits || len > SUMMARIES_RAW_MOST)
        return fail(ERR_CORRUPT, "a damaged summary page");
    char *to = text_room(text, (size_t)len, s);
    if (form == FORM_RAW)
        memcpy(to, in->rest.at, (size_t)len);
    else if (!read_frame(c, in->rest, to, (size_t)len))
        return fail(ERR_CORRUPT, "a summary page that does not decompress");
    TRY(read_raw_form(slice(to, (size_t)len), s));
    text->len += (size_t)len;
    return OK;
}
