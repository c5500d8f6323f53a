#include "store/sigchunk.h"

#include "base/text.h"
#include "store/sigfile.h"

enum { MAGIC = 0x47495350 }; /* "PSIG" */

static void chunk_write(char out[CHUNK_HEADER], const Chunk *c)
{
    Buf b buf_scoped = {0};
    buf_u8(&b, c->type), buf_u8(&b, c->log), buf_u16(&b, c->count);
    buf_u32(&b, c->octets), buf_u32(&b, c->acct), buf_u32(&b, c->eid), buf_u32(&b, c->crc);
    buf_u32(&b, 0);
    uint32_t crc = crc32c(0, buf_slice(&b));
    Buf head buf_scoped = {0};
    buf_u32(&head, MAGIC), buf_u32(&head, crc);
    buf_add(&head, buf_slice(&b));
    must(head.len == CHUNK_HEADER);
    memcpy(out, head.at, CHUNK_HEADER);
}

static bool chunk_is_sound(const Chunk *c)
{
    bool sized = c->log >= BLOOM_LOG_LEAST && c->log <= BLOOM_LOG_MOST;
    if (c->type == CHUNK_ONE)
        return c->octets == (c->log ? bloom_octets(c->log) : 0) && (sized || !c->log) && c->eid;
    if (c->type != CHUNK_BLOCK || !sized || c->log > BLOOM_SLICED_MOST) return false;
    return c->count && c->count <= BLOOM_BLOCK &&
           c->octets == c->count * 4u + ((uint32_t)BLOOM_ROW << c->log);
}

bool chunk_read(Slice bytes, uint32_t acct, Chunk *c)
{
    Reader r = reader(slice_first(bytes, CHUNK_HEADER));
    if (read_u32(&r) != MAGIC) return false;
    if (read_u32(&r) != crc32c(0, r.rest) || r.rest.len != CHUNK_HEADER - 8) return false;
    c->type = read_u8(&r), c->log = read_u8(&r), c->count = read_u16(&r);
    c->octets = read_u32(&r), c->acct = read_u32(&r), c->eid = read_u32(&r), c->crc = read_u32(&r);
    return c->acct == acct && chunk_is_sound(c);
}

void chunk_finish(Buf *out, size_t start, Chunk *c)
{
    c->octets = (uint32_t)(out->len - start - CHUNK_HEADER);
    chunk_write(out->at + start, c);
    size_t pad = chunk_padded(out->len - start) - (out->len - start);
    memset(buf_reserve(out, pad), 0, pad);
    out->len += pad;
}

void sig_chunk(Buf *out, uint32_t acct, uint32_t eid, Slice text, bool whole)
{
    size_t start = out->len;
    buf_reserve(out, CHUNK_HEADER);
    out->len += CHUNK_HEADER;
    Chunk c = {.type = CHUNK_ONE, .acct = acct, .eid = eid};
    if (whole) c.log = (uint8_t)bloom_make(out, text);
    c.crc = crc32c(0, slice(out->at + start + CHUNK_HEADER, out->len - start - CHUNK_HEADER));
    chunk_finish(out, start, &c);
}
