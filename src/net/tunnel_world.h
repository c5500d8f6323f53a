#pragma once
/* For tests: a front and a house in one process, joined by rings (one for each loop), so that any
 * talk can be had through them. What the client says goes the whole way:
 *
 *     Stream client == Stream of the front, relay, ring, tunnel == Stream of the house
 *
 * Gates and relays live on the loop that opened it. Link it in by including it in a test. */
#include "base/test.h"
#include "net/relay.h"
#include "net/tunnel.h"

typedef struct TunnelWorld TunnelWorld;

typedef struct {
    /* What the house does with a connection; owns the stream. As in TunnelConfig. NULL: connections
     * are given out by tunnel_world_pair, on loop 0. */
    void (*serve)(void *arg, Stream *stream, Slice service, Slice record);
    void *arg;
} TunnelWorldConfig;

PARKS TunnelWorld *tunnel_world_open(const TunnelWorldConfig *config);
/* A connection: this is the client's end; `last_words` as in RelayOpen. */
PARKS Stream *tunnel_world_call(TunnelWorld *w, Slice service, Slice record, Slice last_words);
/* Without a `serve`: both ends of a new connection, the house's on this loop, which is loop 0. */
PARKS void tunnel_world_pair(TunnelWorld *w, Stream **client, Stream **house);
/* The house dies on the spot: nothing it had not sent yet arrives, its streams fail. Then a new one
 * comes (in the same process, of course). */
PARKS void tunnel_world_kill_house(TunnelWorld *w);
PARKS void tunnel_world_new_house(TunnelWorld *w);
Gates *tunnel_world_gates(TunnelWorld *w);
/* Waits for the relays and the house's connections to end: close the clients' ends first. */
PARKS void tunnel_world_close(TunnelWorld *w);
