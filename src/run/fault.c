#include "run/world.h"

bool fault_is_on;

enum { MOST_FAULTS = 32 };
typedef struct {
    const char *name;
    unsigned after; /* 0: spent */
} Fault;
static Mutex faults_lock; /* shared with real threads also while this one is simulated */
static Fault faults[MOST_FAULTS];

bool fault_hit(const char *name)
{
    bool hit = false;
    real_world.mutex_lock(&faults_lock);
    for (size_t i = 0; i < MOST_FAULTS; i++)
        if (faults[i].after && !strcmp(faults[i].name, name))
            hit = faults[i].after == FAULT_ALWAYS || --faults[i].after == 0;
    real_world.mutex_unlock(&faults_lock);
    return hit;
}

void fault_set(const char *name, unsigned after)
{
    if (!fault_is_on)
        fault_is_on = true; /* programs that test turn it on before they have threads */
    real_world.mutex_lock(&faults_lock);
    size_t i = 0;
    while (i < MOST_FAULTS && faults[i].name && strcmp(faults[i].name, name) != 0)
        i++;
    must(i < MOST_FAULTS);
    /* cppcheck-suppress arrayIndexOutOfBoundsCond ; must() has just looked */
    faults[i] = (Fault){name, after};
    real_world.mutex_unlock(&faults_lock);
}

unsigned fault_left(const char *name)
{
    unsigned left = 0;
    real_world.mutex_lock(&faults_lock);
    for (size_t i = 0; i < MOST_FAULTS; i++)
        if (faults[i].name && !strcmp(faults[i].name, name)) left = faults[i].after;
    real_world.mutex_unlock(&faults_lock);
    return left;
}

/* Held mutexes are counted so that fiber_wait can insist on there being none. */
static void count_held(int change)
{
    if (loop_now && loop_now->current) loop_now->current->held += (unsigned)change;
}

void mutex_lock(Mutex *m)
{
    world->mutex_lock(m);
    count_held(1);
}

void mutex_unlock(Mutex *m)
{
    count_held(-1);
    world->mutex_unlock(m);
}
