#pragma once
/* Internal to net/: frames, the messages in the rings between a front and the house: an octet that
 * says what it is (MemoKind), then the fields, the connection's number first. Large ones wait for
 * room with their writer; small ones are said in any case and kept here, in order, until there is
 * room. */
#include "base/memo.h"
#include "run/ring.h"

typedef struct {
    Ring *ring;
    Buf owed; /* said, and no room yet: each with its length (u16) in front */
} Frames;

enum {
    FRAME_HEAD = 5,              /* kind and connection */
    FRAME_DATA_MOST = 64 * 1024, /* octets in one CONN_DATA */
    FRAME_OWED_MOST = 8 << 20,   /* a peer that makes us say so much and does not read is bad */
};

/* Octets of a connection, as many as may go; false: no room. */
bool frame_data(Frames *f, uint32_t connection, const Slice *parts, size_t count, size_t octets);
bool frame_put(Frames *f, const Memo *memo);      /* any; false: no room now */
void frame_say(Frames *f, const Memo *memo);      /* a small one */
void frame_say_late(Frames *f, const Memo *memo); /* ... that is in no hurry */
/* FRAME(kind, connection, other numbers) */
#define FRAME(kind_, ...) (&(Memo){.kind = (kind_), .number = {__VA_ARGS__}})
bool frame_owes(const Frames *f);
void frame_settle(Frames *f); /* says what is owed, as far as there is room */
void frame_done(Frames *f);

/* What came, read once. For CONN_DATA the octets stay where they are. */
typedef struct {
    uint8_t kind;
    uint32_t connection;
    Slice rest; /* behind the connection; in the ring */
} Frame;
Err frame_read(Slice message, Frame *frame) MUST_USE;
/* The fields of any but CONN_DATA, copied out of the ring into `memory`. */
Err frame_fields(CastRole from, CastRole to, const Frame *frame, Buf *memory, Memo *memo) MUST_USE;
