#pragma once
/* A Ring is this end of two one-way rings in memory that another process (or another loop of this
 * one) maps, too: whole messages, one writer and one reader each, and an eventfd for each side to
 * wake the other when it sleeps. What the other end writes is believed in nothing: it can break its
 * own ring (ring_error), not us.
 *
 * Real: a sealed memfd, 256 KiB a direction. In the simulated world the other end sees what was
 * done a little later, by seed, and always in the order in which this side did it, over all of its
 * rings: what the hardware promises, too.
 *
 * A Ring belongs to the loop it was attached to; only there it is used. */
#include "run/run.h"

typedef struct Ring Ring;

enum {
    RING_BYTES = 256 * 1024,            /* a direction */
    RING_MESSAGE_MOST = 64 * 1024 + 64, /* octets in one message: 64 KiB and a head */
};

typedef struct {
    int memory, wake_first, wake_second;
} RingFds; /* what travels to the two processes, all three to each */

/* The warden makes one. Not in the simulated world: see ring_pair. ERR_LIMIT. */
Err ring_make(RingFds *fds) MUST_USE;
void ring_fds_close(RingFds *fds); /* the warden's own, when both have theirs; -1 is fine */
/* Maps it; attached to no loop yet. Takes the descriptors over, also when it fails. ERR_SYNTAX:
 * this is no ring. Any thread. */
Err ring_open(const RingFds *fds, bool first, Ring **ring) MUST_USE;
/* The same for several: all of them, in a new array (malloc), or none. */
Err rings_open(const RingFds *fds, size_t count, bool first, Ring ***rings) MUST_USE;
/* Both ends here, attached to no loop yet; for tests, one process and the simulated world. */
Err ring_pair(Ring **first, Ring **second) MUST_USE;
Err ring_attach(Ring *r) MUST_USE; /* to this loop; once */
void ring_close(Ring *r);          /* nobody may wait on it. The other end is not told */
SCOPED(Ring, ring, ring_close)

/* One message, the parts one behind the other; 1 to RING_MESSAGE_MOST octets. False: no room now,
 * or never more (ring_error). The other end is woken at the end of this turn of the loop, and
 * meanwhile each time half the ring was put: then both have work. */
bool ring_put(Ring *r, const Slice *parts, size_t count);
/* The same for what is in no hurry: the other end hears of it with what comes next, or a tenth of a
 * second later. */
bool ring_put_late(Ring *r, const Slice *parts, size_t count);
bool ring_has_room(Ring *r, size_t octets); /* for a message of so many, now */
void ring_hurry(Ring *r);                   /* the other end is woken now */
/* The next message, where it lies: the other process may change it under our eyes, so every length
 * in it is read once, and what is looked at twice is copied first. Valid until ring_took;
 * asked again before that, it is the same one. False:
 * none now, or never more (ring_error). */
bool ring_next(Ring *r, Slice *message);
void ring_took(Ring *r);
/* When the peer is dead: what we put and it had not taken, one after the other; *done is 0 at
 * first.
 */
bool ring_untaken(Ring *r, size_t *done, Slice *message);
/* Until a message is there, there is room for the longest (or the ring was empty), a nudge if
 * listening to them, the deadline or run_cancel. WOKEN_READY also when the ring has failed. One
 * fiber at a time. */
PARKS Wake ring_wait(Ring *r, bool readable, bool writable, int64_t deadline_ms, bool nudges);
/* OK; ERR_SYNTAX: the other end broke the layout; ERR_END: it is known to be gone. Sticks. */
Err ring_error(const Ring *r);
/* From now on this end has failed like that; who waits is woken. For what is found wrong in
 * messages, and when the other process is known to be dead. */
void ring_fail(Ring *r, Err err);
