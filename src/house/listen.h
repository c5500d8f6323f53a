#pragma once
/* Listeners: one fiber each accepts, and hands the connections to the loops in turn. */
#include "house/house.h"

/* accepted runs as a fiber of its own on a loop chosen in turn, with the stream attached there. */
typedef struct {
    House *house;
    Service service;
    Stream *stream;
    char remote[64]; /* what the limit per address counts */
    bool counted;
} Connection;
