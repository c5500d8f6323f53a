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
