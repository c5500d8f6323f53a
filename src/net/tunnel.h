#pragma once
/* The house's end of a front's connections: many through a few rings, one ring for each loop of the
 * house. A Tunnel is one front. Each of its connections is an ordinary Stream on a Sock of its own
 * kind: it waits, it moves between loops (stream_detach, fiber_move, stream_attach), it ends like
 * any other. What TLS and DEFLATE are to it the front does (net/stream.h).
 *
 * The frames are rows of base/memos.def (CONN_...), each behind one octet of kind; the connection's
 * number is chosen by the front, below TUNNEL_CONNECTIONS_MOST. The house
 * ends a connection with one last frame (CONN_FINISH or CONN_DROP), the front answers with its last
 * one (CONN_OVER), and the number is free. A direction of a connection has a credit of 256 KiB:
 * what its writer may send that the reader has not taken yet; more waits with its writer, so a slow
 * reader holds up only itself.
 *
 * A front is not believed: a frame that cannot be at that point (no such connection, more than the
 * credit, a length that does not fit) ends the whole Tunnel, and all its connections see the end.
 */
#include "net/stream.h"
#include "run/ring.h"

typedef struct Tunnel Tunnel;

enum {
    TUNNEL_CONNECTIONS_MOST = 1 << 18, /* of one front */
    TUNNEL_CREDIT = 256 * 1024,        /* octets under way in a direction of a connection */
    TUNNEL_RECORD_MOST = 48 * 1024,    /* octets of a record, in either direction */
};

typedef struct {
    /* A connection has come. Runs in a fiber of its own on the loop by whose ring it came; owns the
     * stream. `record` is what the front knows of the session (from the talk before login, or from
     * stream_keep in a house before this one); empty: it begins. Both slices live until it returns.
     * PARKS. */
    void (*serve)(void *arg, Stream *stream, Slice service, Slice record);
    /* Once: the front broke the rules (ERR_SYNTAX), or tunnel_end was called (ERR_END); err_story
     * tells more. On any loop, outside of fibers or in one, and must not wait. May be NULL. */
    void (*over)(void *arg, Err why);
    void *arg;
    uint32_t most; /* connections at once; more are dropped at their beginning. 0: no limit but
                      TUNNEL_CONNECTIONS_MOST */
} TunnelConfig;

/* One ring for each loop (loop_count()), taken over also when it fails, attached to none yet.
 * Yours until tunnel_end. */
PARKS Err tunnel_open(const TunnelConfig *config, Ring **rings, size_t count,
                      Tunnel **tunnel) MUST_USE;
/* The front has gone (the warden says so), or `over` was told: connections see the end. Any loop;
 * exactly once. The Tunnel is no longer yours to touch; it goes with its last connection. */
void tunnel_end(Tunnel *t);
