#pragma once
/* For tests: something that a store does in the simulated world, done again and again from the same
 * disk, with each of its calls failing in turn. The fault walk (fault_walk.h) does this with what a
 * whole store does; here are small operations, made for what they should meet. */
#include "run/sim.h"

typedef enum {
    CALL_OPERATION, /* a write, a sync, a rename ... */
    CALL_READ,
    CALL_LOOKUP, /* an open, a list, a look at a path */
    CALL_INDEX,  /* a look into the index: it is damaged there */
    CALL_KINDS
} CallKind;

typedef struct {
    bool fails; /* a call does; else all must go well */
    bool again; /* on what one that failed has left */
    CallKind kind;
    uint64_t at;
    Err failure; /* of operations */
    uint64_t before[CALL_KINDS], calls[CALL_KINDS];
} Trial;
void trial_begin(Trial *t); /* what is called from here on counts */
void trial_end(Trial *t);
SimDiskPlan *trial_plan(void); /* of the disk */

/* make(NULL) prepares the disk; use(Trial *) does it: once, then once for each of its calls, which
 * fails with that or finds the index damaged, and each time once more without, on what the one that
 * failed has left. */
void each_call_fails(void (*make)(void *), void (*use)(void *), Err failure);
/* The same for calls of one kind. */
void each_call_of_kind_fails(void (*make)(void *), void (*use)(void *), Err failure, CallKind kind);
