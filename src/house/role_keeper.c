/* The role keeper: credentials, who guesses, private keys. Fronts and the house ask it; it has no
 * socket to the world. Of tokens that only their issuer can read it asks the runner: so a front
 * need not be believed. */
#include "auth/keeper.h"
#include "house/keys.h"
#include "house/role.h"
#include "house/runner.h"
#include "house/snapshot.h"
#include "net/caller.h"
#include "run/log.h"

#include <stdlib.h>

enum {
    AT_ONCE_MOST = 1024, /* questions of each who asks */
    TOKENS_MOST = 256,   /* questions of ours, to the runner */
};

typedef struct {
    Actor *actor;
    Keeper *keeper;
    Keys *keys;
    Caller *runner;
    unsigned fibers; /* clients, and the watch of the keys */
} Work;

PARKS static Err answer(void *arg, const Memo *question, Memo *reply, Buf *memory)
{
    const Work *w = arg;
    Err err = keys_answer(w->keys, question, reply, memory);
    return err == ERR_UNSUPPORTED ? keeper_answer(w->keeper, question, reply, memory) : err;
}

PARKS static void joined(Actor *a, const Joint *joint)
{
    Work *w = a->state;
    Answerer how = {.at_once = AT_ONCE_MOST, .answer = answer, .arg = w};
    if (joint->peer == CAST_RUNNER)
        caller_replace(w->runner, joint->sock);
    else
        actor_answer(a, joint, &how, &w->fibers);
}

static void gone(Actor *a, CastRole peer, uint32_t number)
{
    const Work *w = a->state;
    (void)number;
    if (peer == CAST_RUNNER) caller_replace(w->runner, NULL);
}

static AuthConfig auth_config(const Work *w, const Config *c, Arena *memory)
{
    AuthConfig auth = snapshot_auth(c, &w->actor->demo, NULL, memory);
    auth.oauth.introspect = c->oauth_introspection.len ? runner_introspect : NULL;
    auth.oauth.introspect_arg = w->runner;
    return auth;
}

PARKS static Err begin(Actor *a)
{
    Arena memory arena_scoped = {0};
    Work *w = NEW(Work);
    a->state = w;
    w->actor = a;
    w->runner = caller_new(CAST_KEEPER, CAST_RUNNER, TOKENS_MOST);
    AuthConfig auth = auth_config(w, a->config, &memory);
    TRY(keeper_open(&auth, &w->keeper));
    return keys_open(a->config, &w->keys);
}

PARKS static void watch(void *arg)
{
    Work *w = arg;
    keys_watch(w->keys);
    w->fibers--;
}

PARKS static Err serve(Actor *a)
{
    Work *w = a->state;
    for (size_t i = 0; i < a->joint_count; i++) {
        joined(a, &a->joints[i]);
        a->joints[i].sock = NULL;
    }
    w->fibers++;
    fiber_start("keys", watch, w);
    return OK;
}

PARKS static Err reload(Actor *a, const Config *fresh)
{
    Work *w = a->state;
    Arena memory arena_scoped = {0};
    AuthConfig auth = auth_config(w, fresh, &memory);
    TRY(keys_reload(w->keys, fresh));
    keeper_reload(w->keeper, &auth);
    return OK;
}

PARKS static void stop(Actor *a)
{
    Work *w = a->state;
    Cond nobody = {0};
    run_cancel();
    while (w->fibers)
        cond_wait(&nobody, now_ms() + 5);
    keys_close(w->keys);
    keeper_close(w->keeper);
    caller_free(w->runner);
    free(w);
}

const RoleWork keeper_work = {
    .begin = begin, .serve = serve, .joined = joined, .gone = gone, .reload = reload, .stop = stop};
