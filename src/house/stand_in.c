/* Roles that only hold what they are handed, until those who work take their places. */
#include "house/role.h"

#include <unistd.h>

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
        .begin = nothing, .serve = nothing, .reload = reload_nothing, .stop = end                  \
    }
const RoleWork front_work = STAND_IN;
const RoleWork keeper_work = STAND_IN;
const RoleWork house_work = STAND_IN;

__attribute__((weak)) Err ring_make(RingFds *fds)
{
    *fds = (RingFds){dup(0), dup(0), dup(0)};
    return OK;
}

__attribute__((weak)) void ring_fds_close(RingFds *fds)
{
    close(fds->memory);
    close(fds->wake_first);
    close(fds->wake_second);
}
