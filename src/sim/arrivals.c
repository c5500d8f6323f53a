/* What was sent to the accounts, and what may be read there. */
#include "sim/sim.h"

Arrival *arrival_add(World *w, unsigned account, uint32_t token, unsigned folder)
{
    Arrivals *a = &w->arrivals[account];
    must(a->count < ARRIVALS);
    Arrival *one = &a->list[a->count++];
    *one = (Arrival){.token = token, .folder = (uint8_t)folder};
    return one;
}

Arrival *arrival_find(World *w, unsigned account, uint32_t token)
{
    Arrivals *a = &w->arrivals[account];
    for (unsigned i = 0; i < a->count; i++)
        if (a->list[i].token == token) return &a->list[i];
    return NULL;
}

void arrival_seen(World *w, unsigned account, uint32_t token, uint32_t uid)
{
    Arrival *a = arrival_find(w, account, token);
    if (!a) world_failed(w, "account %u has token %u, which nobody sent there", account, token);
    if (a->fate == FATE_GONE) world_failed(w, "account %u: token %u has come back", account, token);
    if (a->fate == FATE_NEVER)
        world_failed(w, "account %u: token %u was not there, and is", account, token);
    if (uid && a->uid && a->uid != uid)
        world_failed(w, "account %u: token %u had uid %u, and has %u", account, token, a->uid, uid);
    if (uid) a->uid = uid;
    if (a->fate == FATE_UNKNOWN) a->fate = FATE_THERE;
}
