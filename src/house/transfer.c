#include "house/transfer.h"

#include "store/digest.h"

#include <stdlib.h>

void transfer_meta_encode(Buf *out, const TransferMeta *m)
{
    buf_char(out, 'M');
    buf_bytes(out, m->mailbox);
    buf_bytes(out, m->keywords);
    buf_bytes(out, m->key);
    buf_u64(out, (uint64_t)m->date);
    buf_varint(out, m->size);
    buf_u32(out, m->uid);
    buf_u32(out, m->uid_validity);
    buf_u32(out, m->uid_next);
    buf_u8(out, m->flags);
    buf_bytes(out, m->pop3_uidl);
    buf_bytes(out, m->file);
}

Err transfer_meta_decode(Slice frame, TransferMeta *m)
{
    Reader r = reader(frame);
    if (read_u8(&r) != 'M') return fail(ERR_SYNTAX, "not the beginning of a message");
    m->mailbox = read_bytes(&r);
    m->keywords = read_bytes(&r);
    m->key = read_bytes(&r);
    m->date = (int64_t)read_u64(&r);
    m->size = read_varint(&r);
    m->uid = read_u32(&r);
    m->uid_validity = read_u32(&r);
    m->uid_next = read_u32(&r);
    m->flags = read_u8(&r);
    m->pop3_uidl = read_bytes(&r);
    m->file = read_bytes(&r);
    return r.bad || r.rest.len ? fail(ERR_SYNTAX, "a broken message header") : OK;
}

void thing_encode(Buf *out, const Thing *t)
{
    buf_char(out, 'T');
    buf_u8(out, (uint8_t)t->kind);
    buf_bytes(out, t->mailbox);
    buf_bytes(out, t->name);
    buf_bytes(out, t->value);
    buf_bytes(out, t->login);
    buf_u32(out, t->acct);
    buf_u32(out, t->number);
}

Err thing_decode(Slice frame, Thing *t)
{
    Reader r = reader(frame);
    if (read_u8(&r) != 'T') return fail(ERR_SYNTAX, "not a thing");
    unsigned kind = read_u8(&r);
    t->kind = (ThingKind)kind;
    t->mailbox = read_bytes(&r);
    t->name = read_bytes(&r);
    t->value = read_bytes(&r);
    t->login = read_bytes(&r);
    t->acct = read_u32(&r);
    t->number = read_u32(&r);
    bool known = kind > THING_NONE && kind < THING_END;
    return r.bad || r.rest.len || !known ? fail(ERR_SYNTAX, "a broken thing") : OK;
}

void thing_put_quota(Buf *value, const Quota *q)
{
    for (size_t i = 0; i < QUOTA_RESOURCES; i++) {
        buf_u64(value, q->limit[i]);
        buf_u64(value, q->used[i]);
    }
}

Err thing_quota(Slice value, Quota *q)
{
    Reader r = reader(value);
    *q = (Quota){0};
    for (size_t i = 0; i < QUOTA_RESOURCES; i++) {
        q->limit[i] = read_u64(&r);
        q->used[i] = read_u64(&r);
    }
    return r.bad || r.rest.len ? fail(ERR_SYNTAX, "broken limits") : OK;
}

void thing_put_right(Buf *value, Slice identifier, uint32_t acct, Rights rights)
{
    buf_bytes(value, identifier);
    buf_u32(value, acct);
    buf_u32(value, (uint32_t)rights);
}

Err thing_right(Reader *in, Slice *identifier, uint32_t *acct, Rights *rights, bool *more)
{
    *more = in->rest.len;
    if (!*more) return OK;
    *identifier = read_bytes(in);
    *acct = read_u32(in);
    uint32_t number = read_u32(in);
    *rights = (Rights)(number & RIGHTS_ALL);
    bool good = !in->bad && identifier->len && number == (uint32_t)*rights;
    return good ? OK : fail(ERR_SYNTAX, "broken rights");
}

uint64_t transfer_mark(Slice mailbox, Slice key)
{
    Buf both buf_scoped = {0};
    uint8_t sha256[32];
    uint64_t mark;
    buf_bytes(&both, mailbox);
    buf_bytes(&both, key);
    digest_of(buf_slice(&both), sha256);
    memcpy(&mark, sha256, sizeof mark);
    return mark;
}

SourceItem *source_add(Source *s)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 1024;
        s->items = mem_grow(s->items, array_bytes(s->room, sizeof *s->items));
    }
    s->items[s->count] = (SourceItem){.len = UINT64_MAX};
    return &s->items[s->count++];
}

void source_add_folder(Source *s, Slice mailbox)
{
    if (s->folder_count == s->folder_room) {
        s->folder_room = s->folder_room ? s->folder_room * 2 : 64;
        s->folders = mem_grow(s->folders, array_bytes(s->folder_room, sizeof *s->folders));
    }
    s->folders[s->folder_count++] = mailbox;
}

void source_done(Source *s)
{
    free(s->items);
    free(s->folders);
    arena_done(&s->arena);
    *s = (Source){0};
}
