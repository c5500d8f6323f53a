#pragma once
/* Questions to another process and their answers: memos (base/memo.h) over a socket pair. The
 * Caller asks, many at once; the other side answers them in any order, each in a fiber of its own.
 * What has been sent or received is wiped on both sides: there are passwords in it.
 *
 *     message:  u32 octets behind this  u8 kind  u32 number  fields
 *
 * The answer has the number of its question, and the kind of its own row, or REFUSED: an Err and
 * its story. */
#include "base/memo.h"
#include "run/sock.h"

enum { CALLER_MESSAGE_MOST = 1024 * 1024 };

/* ---- asking ---- */
typedef struct Caller Caller;
/* On the loop that is to be its home. There is no other end yet; questions wait for one.
 * waiting_most: how many may wait; more are ERR_TEMPORARY. */
Caller *caller_new(CastRole self, CastRole peer, unsigned waiting_most);
/* The other end, new, attached to the home loop; taken over. Those who wait are asked again. NULL:
 * it has gone; they wait for another. Home loop. */
void caller_replace(Caller *c, Sock *sock);
bool caller_is_joined(const Caller *c);
/* Any loop; the home loop is nearest. The answer's texts borrow from `memory`, which the caller of
 * this wipes where it holds secrets (buf_wipe). Errors: the answerer's with its story;
 * ERR_TEMPORARY when nobody has answered by the deadline (or NEVER); ERR_CANCELLED. A question may
 * be answered twice by two processes, when the first has died behind it: ask only what may be asked
 * again. */
PARKS Err caller_ask(Caller *c, const Memo *question, int64_t deadline_ms, Memo *answer,
                     Buf *memory) MUST_USE;
/* Home loop. Nobody asks any more, or gets ERR_CANCELLED. */
PARKS void caller_free(Caller *c);

/* ---- answering ---- */
typedef struct {
    CastRole self, peer;
    unsigned at_once; /* more questions wait in the socket */
    /* Answers one question: fills *answer, whose texts may lie in `memory`, which is wiped behind
     * it. An Err goes back as REFUSED. Parks as it likes. */
    Err (*answer)(void *arg, const Memo *question, Memo *answer, Buf *memory); /* PARKS */
    void *arg;
} Answerer;
/* Takes the socket over; serves until the other end is gone (OK), breaks the rules (ERR_SYNTAX), or
 * run_cancel; returns when its last fiber has ended. */
PARKS Err answerer_serve(const Answerer *config, Sock *sock);
