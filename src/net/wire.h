#pragma once
/* Internal to net/: messages over a socket, for both sides of caller.h. One fiber reads; another
 * sends what all have put, so that several who put in one turn make one system call. */
#include "net/caller.h"

typedef struct {
    Sock *sock;
    Buf in, out, spare; /* secret: wiped when they are used up */
    size_t taken;       /* octets of `in` */
    bool is_over;       /* nothing is read or sent any more */
    Fiber *sender;      /* NULL: it has ended */
    Cond to_send, sender_ended;
} Wire;

typedef struct {
    uint8_t kind;
    uint32_t number;
    Slice fields; /* borrowed until the next wire_next */
} Message;

Wire *wire_new(Sock *sock); /* takes the socket over, starts the sender */
/* The next message. ERR_END (also after wire_stop), ERR_SYNTAX, ERR_IO, ERR_CANCELLED. A nudge to
 * the fiber that waits here makes it look whether the wire is over. */
PARKS Err wire_next(Wire *w, Message *message) MUST_USE;
/* Waits for nothing; sent at this turn's end. */
void wire_put(Wire *w, uint32_t number, const Memo *memo);
void wire_stop(Wire *w);
PARKS void wire_free(Wire *w); /* waits for the sender */
