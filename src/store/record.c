#include "store/record_payload.h"

void record_begin(Buf *out, uint32_t time)
{
    buf_u8(out, RECORD_VERSION);
    buf_u32(out, time);
}

/* The length comes before the payload and most payloads are short: write it in one octet, and move
 * the payload when it turns out to need more. */
void record_op(Buf *out, const Op *op, const OpLists *lists)
{
    static const OpLists none;
    must(op->kind > OP_NONE && op->kind < OP_END);
    buf_u8(out, (uint8_t)op->kind);
    size_t at = out->len;
    buf_u8(out, 0);
    op_payloads[op->kind].write(out, op, lists ? lists : &none);
    size_t len = out->len - at - 1;
    if (len < 0x80) {
        out->at[at] = (char)len;
        return;
    }
    char varint[16];
    size_t more = 0;
    for (size_t rest = len; rest; rest >>= 7)
        varint[more++] = (char)((rest & 0x7f) | (rest >> 7 ? 0x80 : 0));
    buf_reserve(out, more);
    memmove(out->at + at + more, out->at + at + 1, len);
    memcpy(out->at + at, varint, more);
    out->len += more - 1;
}

Err record_open(Slice record, RecordReader *r)
{
    r->in = reader(record);
    uint8_t version = read_u8(&r->in);
    r->time = read_u32(&r->in);
    if (r->in.bad) return fail(ERR_CORRUPT, "a change record of %zu octets", record.len);
    if (version != RECORD_VERSION)
        return fail(ERR_CORRUPT, "a change record of version %u", version);
    return OK;
}

Err record_next(RecordReader *r, Op *op, bool *more)
{
    *more = r->in.rest.len > 0;
    if (!*more) return OK;
    *op = (Op){0};
    uint8_t kind = read_u8(&r->in);
    Reader payload = reader(read_bytes(&r->in));
    if (kind == OP_NONE || kind >= OP_END)
        return fail(ERR_CORRUPT, "operation %u in a change record", kind);
    op->kind = (OpKind)kind;
    if (!r->in.bad) op_payloads[kind].read(&payload, op);
    if (r->in.bad || payload.bad || payload.rest.len)
        return fail(ERR_CORRUPT, "operation %u does not fit its payload", kind);
    return OK;
}
