#pragma once
/* The front's end of its connections: a relay carries the octets of one between its client and the
 * house and does for the house what only the front can: TLS, DEFLATE, the orderly end. Gates are a
 * front's way into the house, a ring to each of its loops; all is on one loop, the front's.
 *
 * A house may go and another come. A session at rest (what it kept with stream_keep is the last we
 * heard of it, and it had read all that we sent) waits for the next house and is taken up there;
 * the client notices nothing (a record of which three houses have died is given up). Other clients
 * get their service's last words if the answer to their command had not begun, and are closed.
 *
 * The house is not believed any more than a client: a frame that cannot be at that point ends all
 * its rings, as if it had gone. */
#include "net/stream.h"
#include "run/ring.h"

typedef struct Gates Gates;

typedef struct {
    /* The house broke the rules (ERR_SYNTAX); its rings are dropped already, the connections wait
     * for the next. On the front's loop, must not wait. The warden has to be told. May be NULL. */
    void (*broken)(void *arg, Err why);
    void *arg;
    int64_t patience_ms; /* how long a connection waits for the next house. 0: 10 s */
} GatesConfig;

Gates *gates_new(const GatesConfig *config); /* no house yet: connections wait for one */
/* A house that serves from now on: a ring to each of its loops, not attached yet; taken over, also
 * when it fails. The one before, if it is still there, is lost. */
Err gates_replace(Gates *g, Ring **rings, size_t count) MUST_USE;
/* The house has gone (the warden says so). */
void gates_lost(Gates *g);
/* Before a house is replaced on purpose: clients' octets for sessions at rest stay here until
 * gates_replace or gates_hold(g, false). When nobody is busy any more (or patience ends) the house
 * can be killed and no client notices. */
void gates_hold(Gates *g, bool hold);
size_t gates_busy(const Gates *g);   /* connections that could not be taken up elsewhere now */
size_t gates_relays(const Gates *g); /* connections that are served */
void gates_free(Gates *g);           /* no relay may be left */
SCOPED(Gates, gates, gates_free)

typedef struct {
    Slice service; /* the house's name for what to serve: "imap", "submission" */
    Slice record;  /* of the session, for the house; empty: it begins there */
    /* What the client reads when its session cannot go on for want of a house: whole lines. */
    Slice last_words;
    /* A number for whoever it is, the same each time: its connections begin on the loop of the
     * house where the last one went to. Odd; 0: not known yet, the loops take turns. */
    uint64_t home;
    /* The service authenticates in the house: it is told the channel bindings and the names in the
     * client's certificate. Costs it some memory. */
    bool authenticates;
} RelayOpen;

typedef enum {
    RELAY_OVER, /* the client or the session has ended; what was to be said is said. Free the stream
                 */
    RELAY_BACK, /* the house handed the connection back (stream_hand_back) with a record, which is
                 *in back; what it had not read of the client's octets is in the stream again */
} RelayEnd;

/* Serves until the connection ends or comes back. The stream stays the caller's, in one piece: TLS
 * or not, deflated or not, with what is buffered in it; it is the house that reads it first. All in
 * `how` is copied. At rest this needs a few hundred octets beside the fiber; fiber_rests is called.
 */
PARKS RelayEnd relay_serve(Stream *client, Gates *house, const RelayOpen *how, Buf *back);
