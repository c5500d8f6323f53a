/* Simulated rings: real memory, but what one end does the other sees a little later. All that one
 * side (all first ends, all second ends) does is seen in the order in which it was done. */
#include "run/ring_world.h"
#include "run/sim_world.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct SimRings {
    Link of_world;        /* sim->rings */
    Ring *first, *second; /* NULL: closed */
    unsigned uses;        /* ends, and what is under way */
} SimRings;

typedef struct {
    Timer timer;
    Link showing; /* sim->ring_showings */
    SimRings *rings;
    bool by_first;
    uint64_t put, took;
} Showing;

static void unref(SimRings *rings)
{
    if (--rings->uses) return;
    if (sim_now) list_remove(&rings->of_world);
    free(rings);
}

/* Our words lie in the other's mapping, too: this end may be closed by now. */
static void is_seen(Timer *t)
{
    Showing *s = CONTAINER(t, Showing, timer);
    list_remove(&s->showing);
    Ring *by = s->by_first ? s->rings->first : s->rings->second;
    Ring *seer = s->by_first ? s->rings->second : s->rings->first;
    if (seer) {
        seer->theirs->put = s->put;
        seer->theirs->took = s->took;
        bool heed = by ? ring_heed(by) != 0 : true;
        if (heed) sock_announce(&seer->sock, SOCK_READABLE);
    }
    unref(s->rings);
    free(s);
}

void sim_rings_settle(void)
{
    list_each (link, &sim_now->ring_showings) {
        Showing *s = CONTAINER(link, Showing, showing);
        timer_clear(&sim_now->timers, &s->timer);
        is_seen(&s->timer);
    }
}

void sim_ring_turn_ends(Ring *r)
{
    int64_t *last = &sim_now->ring_seen_us[r->first];
    int64_t at = sim_now->now_us + sim_spread(sim_now->config.net_latency_us);
    *last = MAX(*last, at); /* timers of the same moment keep their order */
    Showing *s = NEW(Showing);
    *s = (Showing){.timer = {.fire = is_seen},
                   .rings = r->sim,
                   .by_first = r->first,
                   .put = r->put,
                   .took = r->took};
    list_add(&sim_now->ring_showings, &s->showing);
    r->sim->uses++;
    timer_set(&sim_now->timers, &s->timer, *last);
}

void sim_ring_show(Ring *r)
{
    (void)r; /* at the end of the turn */
}

Err sim_ring_attach(Ring *r)
{
    (void)r;
    return OK;
}

Err sim_ring_pair(Ring **first, Ring **second)
{
    RingFds fds;
    Ring *one = NULL, *other = NULL;
    TRY(ring_make(&fds));
    Err err = ring_map(fds.memory, true, &one);
    if (!err) err = ring_map(fds.memory, false, &other);
    ring_fds_close(&fds);
    if (err) {
        if (one) ring_unmap(one);
        return err;
    }
    SimRings *rings = NEW(SimRings);
    *rings = (SimRings){.first = one, .second = other, .uses = 2};
    list_add(&sim_now->rings, &rings->of_world);
    one->sim = other->sim = rings;
    one->sock.world = other->sock.world = &sim_world;
    *first = one;
    *second = other;
    return OK;
}

static bool is_of(const Ring *r, const SimProcess *p)
{
    return r && r->sock.loop && r->sock.loop->run == &p->run;
}

/* Not unmapped: somebody who does not run any more may point there. */
void sim_rings_lost(const SimProcess *p)
{
    list_each (link, &sim_now->rings) {
        SimRings *rings = CONTAINER(link, SimRings, of_world);
        if (is_of(rings->first, p)) rings->first = NULL;
        if (is_of(rings->second, p)) rings->second = NULL;
    }
}

void sim_ring_close(Ring *r)
{
    if (r->first)
        r->sim->first = NULL;
    else
        r->sim->second = NULL;
    unref(r->sim);
    ring_unmap(r);
}
