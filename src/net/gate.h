#pragma once
/* Internal to net/: the front's side. A Gate is the ring to one loop of the house; its fiber takes
 * frames and gives octets to clients without waiting, straight from the ring. What cannot be done
 * without waiting is left to the relay's own fiber, in order, in `queue`. */
#include "net/facts.h"
#include "net/frame.h"
#include "net/inside.h"
#include "net/relay.h"
#include "net/tunnel.h"

typedef struct Gate Gate;
typedef struct Relay Relay;

struct Gates {
    GatesConfig config;
    Gate **gate; /* by the house's loops; none: there is no house */
    size_t count, next;
    Relay **relays; /* by connection */
    uint32_t room, lowest;
    uint16_t *homes; /* by RelayOpen's home: the last gate such a one was at, from 1 */
    Link all;        /* relays */
    size_t served;
    bool held;
};

struct Gate {
    Gates *gates; /* NULL: this house is lost */
    Frames frames;
    Fiber *reader;
    Link thirsty;     /* relays that wait for room */
    uint32_t stalled; /* a connection that is to leave another ring first; NOBODY */
};

enum { NOBODY = UINT32_MAX };

struct Relay {
    Gates *gates;
    Gate *gate; /* NULL: of no house */
    Stream *client;
    Fiber *fiber; /* NULL: it is over here, but not yet there */
    Link of_gates, thirst;
    uint32_t connection;
    uint32_t credit;  /* octets that we may say */
    uint32_t unpaid;  /* octets that came, and no credit was given for again */
    uint32_t queued;  /* of those, how many are in the queue */
    uint32_t written; /* of those, how many are with the client (or nobody wants them) */
    uint32_t hops;    /* its moves in the house */
    uint64_t sent;    /* octets of the client said to this house */
    uint64_t kept_at; /* how many of them the record knows */
    uint64_t answered_at,
        last_said; /* how many when it answered last; those since the time before */
    Buf record, queue, returned;
    bool keeps;           /* the record is the last we heard; it can be taken up */
    bool quiet;           /* the house has said nothing to the client since the record */
    bool granted;         /* its turn to put */
    bool flushes;         /* its fiber is writing */
    bool busy;            /* its fiber is at work on what was in the queue */
    bool opened;          /* CONN_OPEN is said */
    bool left;            /* CONN_LEAVES has come */
    bool said_end, final; /* our last frame; the house's */
    bool holds;           /* CONN_HOLD has come: the client is about to speak TLS or DEFLATE */
    bool returns;         /* what comes now is what the house had not read */
    bool lost;            /* its house has gone */
    bool wants_facts;
    uint8_t tries; /* houses it was given to with this record */
    Slice service, last_words;
    char *texts;   /* in here */
    uint64_t home; /* RelayOpen's */
};

/* ---- relay_gate.c ---- */
/* By the next gate. False: no room now; the fiber is nudged when there may be. */
bool gate_open(Relay *r, Memo *open);
void gate_say(Relay *r, const Memo *memo);
void gate_say_over(Relay *r); /* CONN_OVER */
bool gate_octets(Relay *r, Slice octets);
void gate_forget(Relay *r); /* its number is free */
bool relay_is_at_rest(const Relay *r);
void relay_pay(Relay *r); /* gives credit for what is written */
void relay_free(Relay *r);
void gates_break(Gates *g, Err why);
