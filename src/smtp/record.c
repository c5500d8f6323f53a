#include "smtp/record.h"

enum { VERSION = 1, HELLO_MOST = SMTP_DOMAIN_MOST };

bool smtp_record_write(const Smtp *s, Buf *out)
{
    if (s->stage > GREETED || smtp_is_in_chunks(s)) return false;
    buf_u8(out, VERSION);
    buf_u8(out, s->lmtp);
    buf_u8(out, s->extended);
    buf_bytes(out, s->stage == GREETED ? slice_of(s->hello) : (Slice){0});
    buf_varint(out, s->messages);
    buf_varint(out, s->errors);
    return true;
}

Err smtp_record_read(Slice record, Smtp *s)
{
    Reader in = reader(record);
    uint8_t version = read_u8(&in), lmtp = read_u8(&in), extended = read_u8(&in);
    Slice hello = read_bytes(&in);
    uint64_t messages = read_varint(&in), errors = read_varint(&in);
    bool fits = !in.bad && !in.rest.len && version == VERSION && lmtp == s->lmtp && extended <= 1 &&
                messages <= UINT32_MAX && errors <= UINT32_MAX;
    if (!fits || hello.len > HELLO_MOST || (hello.len && !smtp_is_host(hello)))
        return fail(ERR_SYNTAX, "a conversation that does not fit");
    memcpy(s->hello, hello.at, hello.len);
    s->hello[hello.len] = 0;
    s->stage = hello.len ? GREETED : CONNECTED;
    s->extended = extended;
    s->messages = (uint32_t)messages;
    s->errors = (uint32_t)errors;
    return OK;
}
