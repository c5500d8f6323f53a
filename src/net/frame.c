#include "net/frame.h"

static void put_head(char head[FRAME_HEAD], uint8_t kind, uint32_t connection)
{
    head[0] = (char)kind;
    for (int i = 0; i < 4; i++)
        head[1 + i] = (char)(connection >> 8 * i);
}

bool frame_owes(const Frames *f)
{
    return f->owed.len > 0;
}

void frame_settle(Frames *f)
{
    size_t said = 0;
    while (said < f->owed.len) {
        uint16_t len;
        memcpy(&len, f->owed.at + said, sizeof len);
        Slice frame = slice(f->owed.at + said + sizeof len, len);
        if (!ring_put(f->ring, &frame, 1)) break;
        said += sizeof len + len;
    }
    buf_drop_front(&f->owed, said);
    if (!f->owed.len) buf_done(&f->owed);
}

static bool put_behind_owed(Frames *f, const Slice *parts, size_t count)
{
    if (f->owed.len) frame_settle(f);
    return !f->owed.len && ring_put(f->ring, parts, count);
}

bool frame_data(Frames *f, uint32_t connection, const Slice *parts, size_t count, size_t octets)
{
    enum { PARTS = 16 };
    char head[FRAME_HEAD];
    Slice all[PARTS + 1] = {slice(head, sizeof head)};
    size_t n = 1;
    put_head(head, MEMO_CONN_DATA, connection);
    for (size_t i = 0; i < count && octets; i++) {
        if (!parts[i].len) continue;
        must(n <= PARTS);
        all[n] = slice_first(parts[i], octets);
        octets -= all[n++].len;
    }
    return put_behind_owed(f, all, n);
}

static void write_frame(Buf *out, const Memo *memo)
{
    buf_u8(out, (uint8_t)memo->kind);
    memo_put(out, memo);
}

bool frame_put(Frames *f, const Memo *memo)
{
    Buf frame buf_scoped = {0};
    write_frame(&frame, memo);
    Slice part = buf_slice(&frame);
    return put_behind_owed(f, &part, 1);
}

void frame_say(Frames *f, const Memo *memo)
{
    if (frame_put(f, memo) || ring_error(f->ring)) return;
    size_t before = f->owed.len;
    buf_u16(&f->owed, 0);
    write_frame(&f->owed, memo);
    size_t len = f->owed.len - before - sizeof(uint16_t);
    must(len <= UINT16_MAX);
    uint16_t head = (uint16_t)len;
    memcpy(f->owed.at + before, &head, sizeof head);
    if (f->owed.len > FRAME_OWED_MOST)
        ring_fail(f->ring, fail(ERR_SYNTAX, "the other end does not read what it asks for"));
}

void frame_say_late(Frames *f, const Memo *memo)
{
    Buf frame buf_scoped = {0};
    write_frame(&frame, memo);
    Slice part = buf_slice(&frame);
    if (f->owed.len || !ring_put_late(f->ring, &part, 1)) frame_say(f, memo);
}

void frame_done(Frames *f)
{
    buf_done(&f->owed);
    ring_close(f->ring);
    f->ring = NULL;
}

Err frame_read(Slice message, Frame *frame)
{
    unsigned char head[FRAME_HEAD];
    if (message.len < sizeof head) return fail(ERR_SYNTAX, "a frame of %zu octets", message.len);
    memcpy(head, message.at, sizeof head);
    *frame = (Frame){.kind = head[0], .rest = slice_from(message, sizeof head)};
    for (int i = 0; i < 4; i++)
        frame->connection |= (uint32_t)head[1 + i] << 8 * i;
    return OK;
}

Err frame_fields(CastRole from, CastRole to, const Frame *frame, Buf *memory, Memo *memo)
{
    buf_clear(memory);
    buf_u32(memory, frame->connection);
    buf_add(memory, frame->rest);
    return memo_read(from, to, frame->kind, buf_slice(memory), memo);
}
