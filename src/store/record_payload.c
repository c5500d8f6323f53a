#include "store/record_payload.h"

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

/* ---- payloads: a pair for each kind ---- */

static void write_add(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
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

static void write_object(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
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

static void write_create(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
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

static void write_validity(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
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

static void write_limits(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        buf_varint(out, op->limit[i] + 1);
}

static void read_limits(Reader *in, Op *op)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        op->limit[i] = read_varint(in) - 1;
}

/* QUOTA is in logs that are older than LIMITS. */
static void write_quota(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
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

/* ---- those of a field or two ---- */

static void write_unlink(Buf *out, const Op *op, const OpLists *l)
{
    buf_varint(out, op->mailbox), write_ranges(out, l->uids);
}

static void read_unlink(Reader *in, Op *op)
{
    uint64_t total;
    op->mailbox = read_number(in), op->uids = read_ranges(in, &total);
}

static void write_rename(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->mailbox), buf_bytes(out, op->name);
}

static void read_rename(Reader *in, Op *op)
{
    op->mailbox = read_number(in), op->name = read_name(in, NAME_MOST);
}

static void write_delete(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->mailbox);
}

static void read_delete(Reader *in, Op *op)
{
    op->mailbox = read_number(in);
}

static void write_role(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->mailbox), buf_u8(out, op->role);
}

static void read_role(Reader *in, Op *op)
{
    op->mailbox = read_number(in), op->role = read_u8(in);
}

static void write_acl(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->mailbox), buf_varint(out, op->rights), buf_bytes(out, op->name);
}

static void read_acl(Reader *in, Op *op)
{
    op->mailbox = read_number(in), op->rights = read_number(in);
    op->name = read_name(in, NAME_MOST);
}

static void write_subscribe(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_u8(out, op->on), buf_bytes(out, op->name);
}

static void read_subscribe(Reader *in, Op *op)
{
    op->on = read_flag(in), op->name = read_name(in, NAME_MOST);
}

static void write_text(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->uid), buf_bytes(out, op->name);
}

static void read_keyword(Reader *in, Op *op)
{
    op->uid = read_number(in), op->name = read_name(in, KEYWORD_MOST);
}

static void read_prefix(Reader *in, Op *op)
{
    op->uid = read_number(in), op->name = read_name(in, PREFIX_TEXT_MOST);
}

static void write_login(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_bytes(out, op->name);
}

static void read_login(Reader *in, Op *op)
{
    op->name = read_name(in, NAME_MOST);
}

static void write_skip(Buf *out, const Op *op, const OpLists *l)
{
    (void)l;
    buf_varint(out, op->eid);
}

static void read_skip(Reader *in, Op *op)
{
    op->eid = read_number(in);
}

/* clang-format off */
const OpPayload op_payloads[OP_END] = {
    [OP_ADD]       = {write_add,       read_add},
    [OP_LINK]      = {write_link,      read_link},
    [OP_COPY]      = {write_copy,      read_copy},
    [OP_MOVE]      = {write_copy,      read_copy},
    [OP_UNLINK]    = {write_unlink,    read_unlink},
    [OP_FLAG]      = {write_flag,      read_flag_op},
    [OP_CREATE]    = {write_create,    read_create},
    [OP_RENAME]    = {write_rename,    read_rename},
    [OP_DELETE]    = {write_delete,    read_delete},
    [OP_ROLE]      = {write_role,      read_role},
    [OP_ACL]       = {write_acl,       read_acl},
    [OP_SUBSCRIBE] = {write_subscribe, read_subscribe},
    [OP_KEYWORD]   = {write_text,      read_keyword},
    [OP_PREFIX]    = {write_text,      read_prefix},
    [OP_OBJECT]    = {write_object,    read_object},
    [OP_QUOTA]     = {write_quota,     read_quota},
    [OP_LOGIN]     = {write_login,     read_login},
    [OP_VALIDITY]  = {write_validity,  read_validity},
    [OP_LIMITS]    = {write_limits,    read_limits},
    [OP_ANNOTATE]  = {write_annotate,  read_annotate},
    [OP_SKIP]      = {write_skip,      read_skip},
};
/* clang-format on */
