#pragma once
/* What every role does: a process that the warden has started (cast_names: front, keeper, house,
 * runner). It is told its configuration and handed its descriptors, opens what it needs, shuts its
 * doors, says READY, and works until the warden says STOP or is gone. What a role works is a
 * RoleWork, who works it an Actor; everything in it is called by its main fiber, on loop 0, one
 * after the other. */
#include "base/memo.h"
#include "house/board.h"
#include "house/house.h"
#include "net/caller.h"
#include "run/ring.h"

typedef struct Actor Actor;

/* An end of what joins us to another process. */
typedef struct {
    CastRole peer;
    uint32_t number; /* of that process; no number comes twice */
    /* Between front and house: one ring for each loop of the house, in their order. The front is
     * `first`. Else: */
    RingFds *rings;
    size_t ring_count;
    Sock *sock; /* for a Caller (front, house, keeper) or its answering side (keeper, runner),
                   attached to loop 0 */
} Joint;

typedef struct {
    Service service;
    Sock *sock; /* attached to loop 0 */
} Entrance;

typedef struct {
    /* All that the warden gives for the start is in `actor`. Opens and loads; what fails here is
     * told at the terminal where the server was started. After it the sandbox is entered. */
    Err (*begin)(Actor *actor);
    /* The doors are shut. Starts its fibers and returns; then READY is said. */
    Err (*serve)(Actor *actor);
    /* Another process has started: in the place of one that is gone, or one more. It takes over the
     * joint's rings (not their array) and socket. NULL: all are closed. Those of the start are in
     * actor->joints, and not told again. */
    void (*joined)(Actor *actor, const Joint *joint);
    /* That process is gone. Comes before what replaces it. May be NULL. */
    void (*gone)(Actor *actor, CastRole peer, uint32_t number);
    /* actor->config is still the old one; when this gives OK, `fresh` takes its place, and the old
     * one stays valid. An error: nothing has changed, and it is logged. */
    Err (*reload)(Actor *actor, const Config *fresh);
    /* A front whose work another one does from now on: accepts nobody, and calls actor_is_over when
     * its last connection has ended. The house: ends without a goodbye, for its sessions are taken
     * up by the next. NULL: cannot. */
    void (*retire)(Actor *actor);
    /* A front: sessions at rest stay so, until there is another house; returns when the others have
     * been answered, or soon. May be NULL. */
    void (*hold)(Actor *actor);
    /* The orderly end, in at most STOP_MS; returns when all is done. The front: accepts nobody,
     * says goodbye to those before login, and waits for the house to end the others. */
    void (*stop)(Actor *actor);
    /* A front that has to accept at one more: another front's, which does not get ready. Takes the
     * socket over. NULL: it is closed. */
    void (*opened)(Actor *actor, const Entrance *entrance);
} RoleWork;
enum { STOP_MS = 8000 };

struct Actor {
    CastRole kind;
    uint32_t number;
    const Config *config; /* secrets only where they belong; the hostname is filled in */
    Demo demo;            /* the password: only to the keeper */
    Entrance *listeners;  /* front */
    size_t listener_count;
    Sock *control; /* house: the control socket's listener */
    Joint *joints; /* those of the start; whoever takes one's ends over sets them NULL */
    size_t joint_count;
    Board *board; /* we count in our own slot already */
    Buf members;  /* house: what the status verb tells of all processes, a line each */
    void *state;  /* the work's own */
    const RoleWork *work;
    struct ActorInside *inside;
};

/* The verbs front, keeper, house, runner: for the warden to start. */
extern const RoleWork front_work, keeper_work, house_work, runner_work;

/* Plays one to its end; the exit code. */
PARKS int actor_play(CastRole kind, const RoleWork *work);
/* A keeper or a runner answers whoever joins it, each in a fiber of its own (net/caller.h).
 * *clients, loop 0's, is how many there are: `stop` waits until there is none. */
void actor_answer(Actor *actor, const Joint *joint, const Answerer *how, unsigned *clients);
/* To the warden; loop 0. */
void actor_say(Actor *actor, const Memo *memo);
/* The house: asks the warden to start all roles again from the program as it is now, and waits
 * until all but the house are, which comes last. ERR_TEMPORARY: the new program does not get ready;
 * what there was goes on. Loop 0. */
PARKS Err actor_upgrade(Actor *actor) MUST_USE;
/* The work is done; the role ends without having been told to. Loop 0. */
void actor_is_over(Actor *actor);
