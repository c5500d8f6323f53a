#include "run/helper.h"
#include "run/world.h"

#include <pthread.h>
#include <stdlib.h>

struct Helpers {
    Run *run;
    pthread_mutex_t lock;
    pthread_cond_t work;
    Job *first, **last;
    size_t queued;
    unsigned most, started, idle;
    bool ending;
    pthread_t threads[];
};

static Job *take(Helpers *h)
{
    while (!h->first && !h->ending) {
        h->idle++;
        pthread_cond_wait(&h->work, &h->lock);
        h->idle--;
    }
    Job *job = h->first;
    if (!job) return NULL;
    h->first = job->next;
    if (!h->first) h->last = &h->first;
    h->queued--;
    return job;
}

static void *help(void *arg)
{
    Helpers *h = arg;
    run_now = h->run;
    pthread_mutex_lock(&h->lock);
    for (Job *job; (job = take(h));) {
        pthread_mutex_unlock(&h->lock);
        job_run(job);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* With the lock held. A thread that cannot be started matters only if there is none at all. */
static void start_one(Helpers *h)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1024 * 1024);
    int failed = pthread_create(&h->threads[h->started], &attr, help, h);
    pthread_attr_destroy(&attr);
    must(!failed || h->started);
    if (!failed) h->started++;
}

void helpers_queue(Helpers *h, Job *job)
{
    pthread_mutex_lock(&h->lock);
    job->next = NULL;
    *h->last = job;
    h->last = &job->next;
    h->queued++;
    if (h->queued > h->idle && h->started < h->most) start_one(h);
    pthread_mutex_unlock(&h->lock);
    pthread_cond_signal(&h->work); /* now: who is woken wants the lock */
}

Helpers *helpers_new(Run *run, unsigned most)
{
    Helpers *h = mem_zero(sizeof *h + most * sizeof *h->threads);
    h->run = run;
    h->most = most;
    h->last = &h->first;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    return h;
}

void helpers_free(Helpers *h)
{
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->started; i++)
        pthread_join(h->threads[i], NULL);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
