/* The role keeper: credentials, who guesses, private keys. Fronts and the house ask it; it calls
 * nobody, and has no socket to the world. */
#include "auth/keeper.h"
#include "house/keys.h"
#include "house/role.h"
#include "house/snapshot.h"
#include "net/caller.h"
#include "run/log.h"

#include <stdlib.h>

enum { AT_ONCE_MOST = 1024 }; /* questions of each who asks */

typedef struct {
    Actor *actor;
    Keeper *keeper;
    Keys *keys;
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
    actor_answer(a, joint, &how, &w->fibers);
}

/* The runner answers the fronts, not us: what it says of a token is theirs to vouch for. */
PARKS static Err ask_nobody(void *arg, Slice token, Buf *out)
{
    (void)arg, (void)token, (void)out;
    return ERR_TEMPORARY;
}

static AuthConfig auth_config(const Actor *a, const Config *c, Arena *memory)
{
    AuthConfig auth = snapshot_auth(c, &a->demo, NULL, memory);
    auth.oauth.introspect = c->oauth_introspection.len ? ask_nobody : NULL;
    return auth;
}

PARKS static Err begin(Actor *a)
{
    Arena memory arena_scoped = {0};
    Work *w = NEW(Work);
    a->state = w;
    w->actor = a;
    AuthConfig auth = auth_config(a, a->config, &memory);
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
    AuthConfig auth = auth_config(a, fresh, &memory);
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
    free(w);
}

const RoleWork keeper_work = {
    .begin = begin, .serve = serve, .joined = joined, .reload = reload, .stop = stop};
