#include "run/world.h"

bool fault_is_on;

enum { MOST_FAULTS = 32 };
typedef struct {
    const char *name;
    unsigned after; /* 0: spent */
} Fault;
static Mutex faults_lock;
static Fault faults[MOST_FAULTS];

bool fault_hit(const char *name)
{
    bool hit = false;
    mutex_lock(&faults_lock);
    for (size_t i = 0; i < MOST_FAULTS; i++)
        if (faults[i].after && !strcmp(faults[i].name, name)) hit = --faults[i].after == 0;
    mutex_unlock(&faults_lock);
    return hit;
}

void fault_set(const char *name, unsigned after)
{
    if (!fault_is_on)
        fault_is_on = true; /* programs that test turn it on before they have threads */
    mutex_lock(&faults_lock);
    size_t i = 0;
    while (i < MOST_FAULTS && faults[i].name && strcmp(faults[i].name, name) != 0)
        i++;
    must(i < MOST_FAULTS);
    faults[i] = (Fault){name, after};
    mutex_unlock(&faults_lock);
}

void mutex_lock(Mutex *m)
{
    world->mutex_lock(m);
}

void mutex_unlock(Mutex *m)
{
    world->mutex_unlock(m);
}
