/* A stream whose connection another process has: what the front does for it. */
#include "net/inside.h"

bool stream_is_remote(const Stream *s)
{
    return s->remote != NULL;
}

PARKS void stream_keep(Stream *s, Slice record)
{
    (void)record;
    must(!s->remote); /* the house's end of tunnels is not built in yet */
}

PARKS void stream_hand_back(Stream *s, Slice record)
{
    (void)record;
    must(!s->remote);
}
