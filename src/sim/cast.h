#pragma once
/* The server in roles, joined by rings and callers (cast.c). */
#include "sim/sim.h"

typedef struct Cast Cast;
/* Serves at all ports. config and demo outlive it. */
PARKS void cast_open(World *w, const Config *config, const Demo *demo, Cast **cast);
/* In the place of the one that is there, which ends in order, or dies as by kill -9. */
PARKS void cast_new_house(Cast *cast, bool dies);
/* fn(house, arg) in the house's process. False: there is none, or it died before the end. */
PARKS bool cast_in_house(Cast *cast, void (*fn)(House *house, void *arg), void *arg);
PARKS void cast_close(Cast *cast); /* after run_cancel */
