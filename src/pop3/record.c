#include "pop3/record.h"

static uint64_t number(Reader *in, uint64_t most)
{
    uint64_t n = read_varint(in);
    if (n > most) in->bad = true;
    return in->bad ? 0 : n;
}

static uint32_t number32(Reader *in)
{
    return (uint32_t)number(in, UINT32_MAX);
}

/* ---- writing ---- */

static void put_maildrop(Buf *out, const Pop3Record *r)
{
    buf_varint(out, r->mailbox_id);
    buf_varint(out, r->count);
    buf_varint(out, r->octets);
    buf_varint(out, r->deleted);
    buf_varint(out, r->deleted_octets);
    buf_varint(out, r->last);
    buf_varint(out, r->last_at_login);
    buf_u8(out, r->turn);
    buf_varint(out, r->current);
    uidset_write(out, &r->fetched);
    uidset_write(out, &r->marked[0]);
    uidset_write(out, &r->marked[1]);
    buf_bytes(out, r->view);
}

void pop3_record_write(Buf *out, HandoverKind kind, const Pop3Record *r)
{
    buf_bytes(out, r->timestamp);
    buf_u8(out, r->utf8);
    buf_varint(out, r->language);
    buf_varint(out, r->mistakes);
    if (kind == HANDOVER_STRANGER) return;
    buf_bytes(out, r->folder);
    buf_bytes(out, r->device);
    if (kind == HANDOVER_AT_REST) put_maildrop(out, r);
}

/* ---- reading ---- */

/* Marks are of messages that there are. */
static void read_marks(Reader *in, Arena *a, UidSet *marks, uint32_t count)
{
    uidset_read(in, a, marks);
    if (marks->count && marks->ranges[marks->count - 1].last > count) in->bad = true;
}

static void read_maildrop(Reader *in, Arena *a, Pop3Record *r)
{
    r->mailbox_id = number32(in);
    r->count = number32(in);
    r->octets = read_varint(in);
    r->deleted = number32(in);
    r->deleted_octets = read_varint(in);
    r->last = number32(in);
    r->last_at_login = number32(in);
    r->turn = read_u8(in);
    r->current = number32(in);
    uidset_read(in, a, &r->fetched);
    read_marks(in, a, &r->marked[0], r->count);
    read_marks(in, a, &r->marked[1], r->count);
    r->view = read_bytes(in);
    bool fits = r->deleted == uidset_size(&r->marked[0]) && r->deleted_octets <= r->octets &&
                r->last <= r->count && r->last_at_login <= r->count;
    if (!fits) in->bad = true;
}

Err pop3_record_read(Slice body, HandoverKind kind, Arena *a, Pop3Record *r)
{
    Reader in = reader(body);
    *r = (Pop3Record){.timestamp = read_bytes(&in)};
    uint8_t utf8 = read_u8(&in);
    r->utf8 = utf8 == 1;
    r->language = (Language)number(&in, LANGUAGE_COUNT - 1);
    r->mistakes = (unsigned)number(&in, UINT16_MAX);
    if (kind != HANDOVER_STRANGER) {
        r->folder = read_bytes(&in);
        r->device = read_bytes(&in);
    }
    if (kind == HANDOVER_AT_REST) read_maildrop(&in, a, r);
    if (in.bad || utf8 > 1 || in.rest.len) return fail(ERR_SYNTAX, "a session that does not fit");
    return OK;
}
