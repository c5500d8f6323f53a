#pragma once
/* Listeners: one fiber each accepts, and hands the connections to the loops in turn. Who is over a
 * limit is told so in his protocol's words. */
#include "house/house.h"

/* accepted runs as a fiber of its own on a loop chosen in turn, with the stream attached there. */
typedef struct {
    House *house;
    Service service;
    Stream *stream;
    char remote[64]; /* what the limit per address counts */
    bool counted;
} Connection;

/* A connection of that service has come (loop 0). */
void listen_arrived(House *house, Service service, Sock *sock);
