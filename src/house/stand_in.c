/* Roles that only hold what they are handed, until those who work take their places. */
#include "house/role.h"

static Err nothing(Actor *a)
{
    (void)a;
    return OK;
}

static Err reload_nothing(Actor *a, const Config *fresh)
{
    (void)a, (void)fresh;
    return OK;
}

static void end(Actor *a)
{
    (void)a;
}

#define STAND_IN                                                                                   \
    {                                                                                              \
        .begin = nothing, .serve = nothing, .reload = reload_nothing, .retire = actor_is_over,     \
        .stop = end                                                                                \
    }
const RoleWork front_work = STAND_IN;
const RoleWork house_work = STAND_IN;
