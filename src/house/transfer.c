#include "house/transfer.h"

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
    buf_u8(out, m->flags);
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
    m->flags = read_u8(&r);
    return r.bad || r.rest.len ? fail(ERR_SYNTAX, "a broken message header") : OK;
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
