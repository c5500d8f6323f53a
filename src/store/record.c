#include "store/record.h"

/* ---- numbers and ranges ---- */

static uint32_t read_number(Reader *r)
{
    uint64_t n = read_varint(r);
    if (n > UINT32_MAX) r->bad = true;
    return r->bad ? 0 : (uint32_t)n;
}

static bool read_flag(Reader *r)
{
    uint8_t v = read_u8(r);
    if (v > 1) r->bad = true;
    return v == 1;
}

static void step_range(Reader *in, uint32_t *last, UidRange *range)
{
    uint64_t first = (uint64_t)*last + read_number(in);
    uint64_t end = first + read_number(in);
    if (first <= *last || end > UINT32_MAX) in->bad = true;
    if (in->bad) return;
    *range = (UidRange){(uint32_t)first, (uint32_t)end};
    *last = (uint32_t)end;
}

bool op_range_next(OpRanges *r, UidRange *range)
{
    if (!r->count) return false;
    Reader in = reader(r->bytes);
    step_range(&in, &r->last, range);
    r->count--;
    r->bytes = in.rest;
    return !in.bad;
}

bool op_number_next(OpNumbers *n, uint32_t *number)
{
    if (!n->count) return false;
    Reader in = reader(n->bytes);
    *number = read_number(&in);
    n->count--;
    n->bytes = in.rest;
    return !in.bad;
}

/* Every range takes at least two octets, so a count beyond the octets left is a lie. */
static OpRanges read_ranges(Reader *in, uint64_t *total)
{
    OpRanges r = {.count = read_number(in)};
    Slice start = in->rest;
    uint32_t last = 0;
    *total = 0;
    for (uint32_t i = 0; i < r.count && !in->bad; i++) {
        UidRange range = {0};
        step_range(in, &last, &range);
        *total += (uint64_t)range.last - range.first + 1;
    }
    r.bytes = slice(start.at, start.len - in->rest.len);
    return in->bad ? (OpRanges){0} : r;
}

static OpNumbers read_numbers(Reader *in)
{
    OpNumbers n = {.count = read_number(in)};
    Slice start = in->rest;
    for (uint32_t i = 0; i < n.count && !in->bad; i++)
        read_number(in);
    n.bytes = slice(start.at, start.len - in->rest.len);
    return in->bad ? (OpNumbers){0} : n;
}

/* Names are at least one octet; texts have their own limit. */
static Slice read_name(Reader *in, size_t most)
{
    Slice s = read_bytes(in);
    if (!s.len || s.len > most) in->bad = true;
    return s;
}

static void write_ranges(Buf *out, const UidSet *s)
{
    uidset_write(out, s ? s : &(UidSet){0});
}

static void write_numbers(Buf *out, const uint32_t *numbers, size_t count)
{
    buf_varint(out, count);
    for (size_t i = 0; i < count; i++)
        buf_varint(out, numbers[i]);
}

/* ---- payloads, one pair for each kind that is more than a few numbers ---- */

static void write_add(Buf *out, const Op *op)
{
    buf_varint(out, op->eid);
    buf_u64(out, op->blob.at);
    buf_varint(out, op->blob.len);
    buf_u32(out, op->blob.crc);
    buf_u8(out, op->shared);
    buf_varint(out, op->header_len);
    buf_varint(out, op->prefix);
    buf_varint(out, op->hash_count);
    for (uint32_t i = 0; i < op->hash_count; i++)
        buf_u32(out, op->hashes[i]);
    buf_bytes(out, op->summary);
}

static void read_add(Reader *in, Op *op)
{
    op->eid = read_number(in);
    op->blob.at = read_u64(in);
    op->blob.len = read_number(in);
    op->blob.crc = read_u32(in);
    op->shared = read_flag(in);
    op->header_len = read_number(in);
    op->prefix = read_number(in);
    op->hash_count = read_number(in);
    if (op->hash_count > RECORD_HASHES_MOST) in->bad = true, op->hash_count = 0;
    for (uint32_t i = 0; i < op->hash_count; i++)
        op->hashes[i] = read_u32(in);
    op->summary = read_bytes(in);
    if (!op->eid || op->eid == UINT32_MAX) in->bad = true;
}

static void write_link(Buf *out, const Op *op, const OpLists *l)
{
    buf_varint(out, op->eid);
    buf_varint(out, op->mailbox);
    buf_varint(out, op->uid);
    buf_u32(out, op->date);
    buf_u8(out, op->flags);
    write_numbers(out, l->keywords, l->keyword_count);
}

static void read_link(Reader *in, Op *op)
{
    op->eid = read_number(in);
    op->mailbox = read_number(in);
    op->uid = read_number(in);
    op->date = read_u32(in);
    op->flags = read_u8(in);
    op->keywords = read_numbers(in);
    if (!op->eid || !op->uid || op->uid == UINT32_MAX) in->bad = true;
}

static void write_flag(Buf *out, const Op *op, const OpLists *l)
{
    buf_varint(out, op->mailbox);
    buf_varint(out, op->who);
    buf_u8(out, op->flags);
    buf_u8(out, op->clear);
    buf_u8(out, op->how);
    write_numbers(out, l->keywords, l->keyword_count);
    write_numbers(out, l->unwanted, l->unwanted_count);
    write_ranges(out, l->uids);
}

static void read_flag_op(Reader *in, Op *op)
{
    uint64_t total;
    op->mailbox = read_number(in);
    op->who = read_number(in);
    op->flags = read_u8(in);
    op->clear = read_u8(in);
    op->how = read_u8(in);
    op->keywords = read_numbers(in);
    op->unwanted = read_numbers(in);
    op->uids = read_ranges(in, &total);
    if (op->how > FLAG_HOW_REPLACE) in->bad = true;
}

static void write_copy(Buf *out, const Op *op, const OpLists *l)
{
    buf_varint(out, op->mailbox);
    buf_varint(out, op->to);
    buf_varint(out, op->uid);
    write_ranges(out, l->uids);
    if (!op->who && !op->on) return;
    buf_varint(out, op->who);
    buf_u8(out, op->on);
}

static void read_copy(Reader *in, Op *op)
{
    uint64_t total;
    op->mailbox = read_number(in);
    op->to = read_number(in);
    op->uid = read_number(in);
    op->uids = read_ranges(in, &total);
    if (in->rest.len) {
        op->who = read_number(in);
        op->on = read_flag(in);
        if (!op->who && !op->on) in->bad = true;
    }
    if (!op->uid || op->uid + total >= UINT32_MAX) in->bad = true;
}

static void write_object(Buf *out, const Op *op)
{
    buf_u8(out, op->on);
    buf_bytes(out, op->name);
    buf_bytes(out, op->id);
    buf_bytes(out, op->value);
}

static void read_object(Reader *in, Op *op)
{
    op->on = read_flag(in);
    op->name = read_name(in, COLLECTION_MOST);
    op->id = read_name(in, OBJECT_ID_MOST);
    op->value = read_bytes(in);
    if (slice_find(op->name, 0) < op->name.len) in->bad = true;
}

static void write_create(Buf *out, const Op *op)
{
    buf_varint(out, op->mailbox);
    buf_varint(out, op->uid_validity);
    buf_u8(out, op->role);
    buf_bytes(out, op->name);
}

static void read_create(Reader *in, Op *op)
{
    op->mailbox = read_number(in);
    op->uid_validity = read_number(in);
    op->role = read_u8(in);
    op->name = read_name(in, NAME_MOST);
    if (!op->mailbox || op->mailbox == UINT32_MAX || !op->uid_validity ||
        op->uid_validity == UINT32_MAX)
        in->bad = true;
}

static void write_validity(Buf *out, const Op *op)
{
    buf_varint(out, op->mailbox);
    buf_varint(out, op->uid_validity);
    buf_varint(out, op->uid);
}

static void read_validity(Reader *in, Op *op)
{
    op->mailbox = read_number(in);
    op->uid_validity = read_number(in);
    op->uid = read_number(in);
    if (!op->uid_validity || op->uid_validity == UINT32_MAX || !op->uid || op->uid == UINT32_MAX)
        in->bad = true;
}

bool note_change_next(Reader *in, NoteChange *n)
{
    if (in->bad || !in->rest.len) return false;
    n->who = read_number(in);
    n->on = read_flag(in);
    n->entry = read_bytes(in);
    n->value = read_bytes(in);
    if (!n->entry.len || n->entry.len > ANNOTATION_NAME_MOST) in->bad = true;
    return !in->bad;
}

static void write_annotate(Buf *out, const Op *op, const OpLists *l)
{
    buf_varint(out, op->mailbox);
    buf_bytes(out, op->value);
    write_ranges(out, l->uids);
}

static void read_annotate(Reader *in, Op *op)
{
    uint64_t total;
    NoteChange n;
    op->mailbox = read_number(in);
    op->value = read_bytes(in);
    op->uids = read_ranges(in, &total);
    Reader changes = reader(op->value);
    while (note_change_next(&changes, &n))
        ;
    if (changes.bad) in->bad = true;
}

static void write_limits(Buf *out, const Op *op)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        buf_varint(out, op->limit[i] + 1);
}

static void read_limits(Reader *in, Op *op)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        op->limit[i] = read_varint(in) - 1;
}

/* QUOTA is in logs that are older than LIMITS. */
static void write_quota(Buf *out, const Op *op)
{
    uint64_t octets = op->limit[QUOTA_STORAGE], messages = op->limit[QUOTA_MESSAGE];
    buf_varint(out, octets == QUOTA_NONE ? 0 : octets);
    buf_varint(out, messages == QUOTA_NONE ? 0 : messages);
}

static void read_quota(Reader *in, Op *op)
{
    uint64_t octets = read_varint(in), messages = read_varint(in);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        op->limit[i] = QUOTA_NONE;
    if (octets) op->limit[QUOTA_STORAGE] = octets;
    if (messages) op->limit[QUOTA_MESSAGE] = messages;
    if (octets == QUOTA_NONE || messages == QUOTA_NONE) in->bad = true;
}

static void write_payload(Buf *out, const Op *op, const OpLists *l)
{
    must(op->kind > OP_NONE && op->kind < OP_END);
    switch (op->kind) {
    case OP_ADD:
        write_add(out, op);
        break;
    case OP_LINK:
        write_link(out, op, l);
        break;
    case OP_COPY:
    case OP_MOVE:
        write_copy(out, op, l);
        break;
    case OP_UNLINK:
        buf_varint(out, op->mailbox), write_ranges(out, l->uids);
        break;
    case OP_FLAG:
        write_flag(out, op, l);
        break;
    case OP_CREATE:
        write_create(out, op);
        break;
    case OP_RENAME:
        buf_varint(out, op->mailbox), buf_bytes(out, op->name);
        break;
    case OP_DELETE:
        buf_varint(out, op->mailbox);
        break;
    case OP_ROLE:
        buf_varint(out, op->mailbox), buf_u8(out, op->role);
        break;
    case OP_ACL:
        buf_varint(out, op->mailbox), buf_varint(out, op->rights), buf_bytes(out, op->name);
        break;
    case OP_SUBSCRIBE:
        buf_u8(out, op->on), buf_bytes(out, op->name);
        break;
    case OP_KEYWORD:
    case OP_PREFIX:
        buf_varint(out, op->uid), buf_bytes(out, op->name);
        break;
    case OP_OBJECT:
        write_object(out, op);
        break;
    case OP_QUOTA:
        write_quota(out, op);
        break;
    case OP_LOGIN:
        buf_bytes(out, op->name);
        break;
    case OP_VALIDITY:
        write_validity(out, op);
        break;
    case OP_LIMITS:
        write_limits(out, op);
        break;
    case OP_ANNOTATE:
        write_annotate(out, op, l);
        break;
    case OP_SKIP:
        buf_varint(out, op->eid);
        break;
    case OP_NONE:
    case OP_END:
        break;
    }
}

static void read_payload(Reader *in, Op *op)
{
    uint64_t total;
    switch (op->kind) {
    case OP_ADD:
        read_add(in, op);
        break;
    case OP_LINK:
        read_link(in, op);
        break;
    case OP_COPY:
    case OP_MOVE:
        read_copy(in, op);
        break;
    case OP_UNLINK:
        op->mailbox = read_number(in), op->uids = read_ranges(in, &total);
        break;
    case OP_FLAG:
        read_flag_op(in, op);
        break;
    case OP_CREATE:
        read_create(in, op);
        break;
    case OP_RENAME:
        op->mailbox = read_number(in), op->name = read_name(in, NAME_MOST);
        break;
    case OP_DELETE:
        op->mailbox = read_number(in);
        break;
    case OP_ROLE:
        op->mailbox = read_number(in), op->role = read_u8(in);
        break;
    case OP_ACL:
        op->mailbox = read_number(in), op->rights = read_number(in);
        op->name = read_name(in, NAME_MOST);
        break;
    case OP_SUBSCRIBE:
        op->on = read_flag(in), op->name = read_name(in, NAME_MOST);
        break;
    case OP_KEYWORD:
        op->uid = read_number(in), op->name = read_name(in, KEYWORD_MOST);
        break;
    case OP_PREFIX:
        op->uid = read_number(in), op->name = read_name(in, PREFIX_TEXT_MOST);
        break;
    case OP_OBJECT:
        read_object(in, op);
        break;
    case OP_QUOTA:
        read_quota(in, op);
        break;
    case OP_LOGIN:
        op->name = read_name(in, NAME_MOST);
        break;
    case OP_VALIDITY:
        read_validity(in, op);
        break;
    case OP_LIMITS:
        read_limits(in, op);
        break;
    case OP_ANNOTATE:
        read_annotate(in, op);
        break;
    case OP_SKIP:
        op->eid = read_number(in);
        break;
    case OP_NONE:
    case OP_END:
        in->bad = true;
        break;
    }
}

/* ---- records ---- */

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
    buf_u8(out, (uint8_t)op->kind);
    size_t at = out->len;
    buf_u8(out, 0);
    write_payload(out, op, lists ? lists : &none);
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
    if (!r->in.bad) read_payload(&payload, op);
    if (r->in.bad || payload.bad || payload.rest.len)
        return fail(ERR_CORRUPT, "operation %u does not fit its payload", kind);
    return OK;
}
