/* Several processes in one simulated world. They share nothing but what they say through sockets,
 * rings and files, so one of them can be taken away at any moment: its loops are never looked at
 * again, and what it had open is closed. Its memory stays, for nobody knows who points where. */
#include "run/sim_world.h"

#include <stdlib.h>

SimProcess *sim_process_now(void)
{
    return run_now->of_world;
}

SimProcess *sim_process_new(Sim *s, unsigned loops)
{
    SimProcess *p = NEW(SimProcess);
    must(loops && loops <= 16);
    p->loops = mem_zero(array_bytes(loops + 1, sizeof *p->loops));
    p->run = (Run){.world = &sim_world, .loops = p->loops, .count = loops, .of_world = p};
    p->last_job = &p->first_job;
    for (unsigned i = 0; i <= loops; i++) {
        loop_init(&p->loops[i], &p->run, i);
        p->loops[i].now_ms = s->now_us / 1000;
    }
    p->loops[loops].is_helper = true;
    return p;
}

SimProcess *sim_process(unsigned loops)
{
    SimProcess *p = sim_process_new(sim_now, loops), **last = &sim_now->processes;
    while (*last)
        last = &(*last)->next;
    return *last = p;
}

void sim_process_run(SimProcess *p, const char *name, void (*fn)(void *), void *arg)
{
    if (!p->gone) fiber_start_on(&p->loops[0], name, fn, arg);
}

void sim_process_kill(SimProcess *p)
{
    must(p != sim_process_now() && p != sim_now->processes);
    if (p->gone) return;
    p->gone = true;
    sim_rings_settle();
    sim_rings_lost(p);
    sim_socks_lost(p);
    sim_files_lost(p);
}
