#pragma once
/* The server in roles, joined by rings and callers (cast.c). */
#include "sim/sim.h"

typedef struct Cast Cast;
/* Serves at all ports; w->house is the house, NULL while there is none. config and demo outlive it.
 */
PARKS void cast_open(World *w, const Config *config, const Demo *demo, Cast **cast);
PARKS void cast_new_house(Cast *cast); /* in the place of the one that is there */
PARKS void cast_close(Cast *cast);     /* after run_cancel */
