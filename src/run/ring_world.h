#pragma once
/* Internal to run/: what a ring is made of, for both worlds.
 *
 *     first's words | second's words | first -> second | second -> first
 *        32 KiB          32 KiB            256 KiB           256 KiB
 *
 * Only its owner's words are written by a side, but for `sleeps`, of which the other clears what it
 * has heeded. A message is its length (u32) and its octets, padded to 8. Each direction is mapped
 * twice in a row, so that a message that goes over the end lies in one piece all the same. */
#include "run/ring.h"
#include "run/world.h"

enum { RING_WORDS = 32 * 1024, RING_FILE = 2 * RING_WORDS + 2 * RING_BYTES };
enum { SLEEPS_READING = 1, SLEEPS_WRITING = 2 };

/* Each on a line of the cache of its own: they are written by turns with the other's looks. */
typedef struct {
    _Alignas(64) uint64_t put;  /* octets ever put */
    _Alignas(64) uint64_t took; /* octets ever taken of the other's */
    _Alignas(64) uint32_t sleeps;
} RingWords;

struct Ring {
    Sock sock; /* for waiting; `world` is the ring's */
    RingWords *ours, *theirs;
    char *out, *in;     /* the directions */
    uint64_t put, took; /* what our words say; those are never read back */
    uint64_t their_put; /* as far as we have looked */
    uint64_t their_took;
    uint64_t urgent; /* as far as what is put is worth to be woken for */
    Timer late;      /* when all of it is */
    size_t taking;   /* of the message given out last, with its length and padding */
    Link touched;    /* loop->touched: the other end has to be woken */
    uint64_t told;   /* `put` when it was woken last */
    Err error;
    void *mapping;
    int wake_us, wake_them; /* real */
    bool first;
    struct SimRings *sim; /* simulated: what joins the two ends */
};

Err ring_map(int memory, bool first, Ring **ring) MUST_USE; /* real.c's way; the sim's, too */
void ring_unmap(Ring *r);
uint32_t ring_heed(Ring *r); /* what the other end sleeps for and has now; cleared there */

Err real_ring_pair(Ring **first, Ring **second);
Err real_ring_attach(Ring *r);
void real_ring_close(Ring *r);
void real_ring_show(Ring *r);
void real_ring_turn_ends(Ring *r);

Err sim_ring_pair(Ring **first, Ring **second);
Err sim_ring_attach(Ring *r);
void sim_ring_close(Ring *r);
void sim_ring_show(Ring *r);
void sim_ring_turn_ends(Ring *r);
