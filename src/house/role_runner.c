/* The role runner: calls other hosts for the keeper. */
#include "house/role.h"
#include "house/runner.h"
#include "run/log.h"

#include <stdlib.h>

enum { AT_ONCE_MOST = 64 };

typedef struct {
    Errands *errands; /* NULL: there is nobody to call */
    unsigned clients;
} Work;

PARKS static Err answer(void *arg, const Memo *question, Memo *reply, Buf *memory)
{
    Work *w = arg;
    return w->errands ? errands_answer(w->errands, question, reply, memory)
                      : fail(ERR_TEMPORARY, "oauth_introspection is not set");
}

PARKS static void joined(Actor *a, const Joint *joint)
{
    Work *w = a->state;
    Answerer how = {.at_once = AT_ONCE_MOST, .answer = answer, .arg = w};
    actor_answer(a, joint, &how, &w->clients);
}

PARKS static Err begin(Actor *a)
{
    Arena memory arena_scoped = {0};
    const Config *c = a->config;
    Work *w = NEW(Work);
    a->state = w;
    if (!c->oauth_introspection.len) return OK;
    return errands_new(c->oauth_introspection, runner_authorization(c, &memory),
                       c->oauth_introspection_authority, &w->errands);
}

PARKS static Err serve(Actor *a)
{
    for (size_t i = 0; i < a->joint_count; i++) {
        joined(a, &a->joints[i]);
        a->joints[i].sock = NULL;
    }
    return OK;
}

static Err reload(Actor *a, const Config *fresh)
{
    (void)a, (void)fresh; /* its settings want a restart */
    return OK;
}

/* Errands end with the clients. */
PARKS static void stop(Actor *a)
{
    Work *w = a->state;
    Cond nobody = {0};
    run_cancel();
    while (w->clients)
        cond_wait(&nobody, now_ms() + 5);
    errands_free(w->errands);
    free(w);
}

const RoleWork runner_work = {
    .begin = begin, .serve = serve, .joined = joined, .reload = reload, .stop = stop};
