#pragma once
/* Internal to net/: the house's side of connections that a front has.
 *
 * A connection is a Remote, a Sock. While it is on a loop, its place there is a Leg; a connection
 * that moves leaves a leg behind and begins another, so for a while it may have several, one after
 * the other:
 *
 *     loop a                        loop b                       the front
 *     sock_detach: CONN_LEAVES  ------------------------------>  (ring a)
 *                               sock_attach: new leg
 *        <- leg_follow (task) - CONN_HERE ------------------->   (ring b), after CONN_LEAVES
 *     <------------------------------------------------------    CONN_LAST (ring a)
 *     held frames  - leg_begin ->   <------------------------    what follows (ring b)
 *
 * What comes by ring a until CONN_LAST is held by the leg there, and goes to the next leg in one
 * piece; what comes by ring b before that is held by the leg there. So nothing is lost and nothing
 * overtakes. A leg of loop a is touched by loop a only, until it is sent to loop b to be freed. */
#include "net/facts.h"
#include "net/frame.h"
#include "net/inbox.h"
#include "net/tunnel.h"
#include "run/loop.h"
#include "run/world.h"

typedef struct Remote Remote;
typedef struct Leg Leg;

typedef struct {
    Tunnel *tunnel;
    Loop *loop;
    Frames frames;
    Leg **legs; /* by connection; the oldest first */
    uint32_t room;
    Link all;     /* legs */
    Link thirsty; /* Remotes that wait for room in the ring */
    Link unsaid;  /* legs whose CONN_LEAVES is still owed */
    Fiber *reader;
    bool over; /* the front has gone: no frame comes or goes any more */
    Task ending;
} TunnelEnd;

struct Tunnel {
    TunnelConfig config;
    unsigned refs;  /* atomic: the owner, ends that read, legs, connections served */
    uint32_t count; /* atomic: connections */
    bool ended;     /* atomic */
    Err why;
    size_t ends;
    TunnelEnd end[];
};

struct Leg {
    TunnelEnd *end;
    Remote *sock; /* whose place it is; NULL: it has left, or was closed */
    Leg *next;    /* of the same connection, here */
    Leg *from;    /* the leg before, on its way to us; only an address here */
    Leg *to;      /* the leg after */
    Link of_end, unsaid;
    Buf held;       /* frames: length (u32), then kind and fields */
    size_t open_at; /* where in `held` the last frame begins, if it is octets; else SIZE_MAX */
    Task task;
    uint32_t connection;
    uint32_t hop;       /* the connection's moves before it began */
    bool begun;         /* what came for the leg before is here */
    bool speaks;        /* CONN_HERE is said, or not needed */
    bool left;          /* CONN_LEAVES is said or will be */
    bool out;           /* CONN_LEAVES is in the ring */
    bool asked;         /* the leg after waits to be told so */
    bool asks;          /* this one waits to be told that by the leg before; never changed */
    bool over;          /* CONN_LAST or CONN_OVER has come: no more frames are for it */
    bool closed;        /* until CONN_OVER comes */
    uint8_t last_words; /* what to say when it may: CONN_DROP; 0: nothing */
};

struct Remote {
    Sock sock;
    Tunnel *tunnel;
    Leg *leg;  /* NULL: detached */
    Leg *from; /* the leg left; detached */
    Inbox in;
    Link thirst;
    uint64_t taken; /* octets of the client given to the stream, or thrown away */
    uint32_t connection;
    uint32_t hops;     /* its moves so far */
    uint32_t credit;   /* octets that we may say */
    uint32_t allowed;  /* octets that the front may say */
    uint32_t to_allow; /* taken, and not allowed again yet */
    uint16_t peer_port, local_port;
    Err end;           /* ERR_END: the client says no more; other: it is gone */
    Err tls;           /* how the handshake went */
    bool ended;        /* CONN_END has come */
    bool over;         /* CONN_OVER has come */
    bool silent;       /* our last frame is said */
    bool granted;      /* it is its turn to put */
    bool shakes_hands; /* what comes is thrown away */
    bool deflated;
    bool was_out; /* detached: CONN_LEAVES is in the ring */
    char *about;  /* texts, each with its length (u16) in front */
    Task task;
};

/* `about`, in this order */
enum { ABOUT_PEER, ABOUT_LOCAL, ABOUT_VERSION, ABOUT_CIPHER, ABOUT_FACTS, ABOUT_COUNT };
Slice remote_about(const Remote *r, unsigned which);

extern const World remote_world; /* the table of its sock_ calls; nothing else is in it */
Remote *remote_new(Tunnel *t, Leg *leg, const Memo *open);
/* A frame has come for it, in order. ERR_SYNTAX: it cannot be. */
Err remote_take(Remote *r, uint8_t kind, Slice fields) MUST_USE;
void remote_speaks(Remote *r); /* now it may: says what had to wait */
void remote_hang(Remote *r);   /* the front has gone */
Remote *remote_of(Sock *s);    /* NULL: another kind */
/* A frame that may be large. Not done and OK: wait until the sock is writable. */
Err remote_try_put(Remote *r, const Memo *memo, bool *done) MUST_USE;

/* ---- tunnel_leg.c ---- */
Leg *leg_new(TunnelEnd *end, uint32_t connection, Remote *sock); /* not begun */
Err leg_take(TunnelEnd *end, const Frame *frame) MUST_USE;       /* a frame for its connection */
void leg_leave(Leg *leg);                                        /* its sock goes */
void leg_arrive(Remote *r, TunnelEnd *end);                      /* ... and comes */
void leg_close(Leg *leg, uint8_t last_words); /* it is no more; what it says when it may speak */
void leg_said(TunnelEnd *end);                /* nothing is owed any more */
void leg_end_all(TunnelEnd *end);             /* the front has gone */
bool leg_is_free(const TunnelEnd *end, uint32_t connection);

void tunnel_unref(Tunnel *t);
void tunnel_wants_room(TunnelEnd *end); /* the reader has to look when there is some */
