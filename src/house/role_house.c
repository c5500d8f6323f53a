/* The house among the other processes: the store, and every conversation after the login. It has no
 * socket to the world: connections come through the fronts' tunnels. */
#include "base/text.h"
#include "house/control.h"
#include "house/metrics.h"
#include "house/role.h"
#include "net/caller.h"
#include "net/tunnel.h"
#include "run/log.h"

#include <stdlib.h>
#include <unistd.h>

enum { QUESTIONS_MOST = 4096, ANSWER_MS = 10 * 1000, VISITORS_MS = 500 };

typedef struct {
    Actor *actor;
    House *house;
    Caller *keeper;
    GrantKey grant_key;
    Link ways;
} HouseRole;

/* To one front. Stays when the front has gone: a connection may be about to begin. */
typedef struct {
    Link of_role;
    HouseRole *role;
    uint32_t number; /* of the front */
    Tunnel *tunnel;
    Task tell; /* the warden, on loop 0 */
} Way;

/* ---- one connection ---- */

static void visit_ended(void *arg)
{
    House *h = arg;
    atomic_fetch_sub(&h->busy, 1); /* last: house_drain waits for it */
}

static Service service_named(Slice name)
{
    Service s = 0;
    while (s < SERVICE_COUNT && !slice_eq(name, slice_of(service_names[s])))
        s++;
    return s;
}

PARKS static void serve_visit(void *arg, Stream *stream, Slice name, Slice record)
{
    const Way *w = arg;
    House *h = w->role->house;
    Snapshot *s = atomic_load(&h->now);
    Service service = service_named(name);
    atomic_fetch_add(&h->busy, 1);
    switch (service) {
    case SERVICE_IMAP:
    case SERVICE_IMAPS:
        imap_resume(stream, &s->imap, record, visit_ended, h);
        return;
    case SERVICE_POP3:
    case SERVICE_POP3S:
        pop3_resume(stream, &s->pop3, record, visit_ended, h);
        return;
    case SERVICE_POP2:
        pop2_resume(stream, &s->pop3, record, visit_ended, h);
        return;
    case SERVICE_LMTP:
    case SERVICE_SMTP:
        if (record.len)
            smtp_resume(stream, &s->smtp, service == SERVICE_LMTP, record);
        else
            smtp_serve(stream, &s->smtp, service == SERVICE_LMTP);
        break;
    case SERVICE_METRICS:
        metrics_serve(stream, h);
        break;
    case SERVICE_COUNT:
        log_event(LOG_LEVEL_ERROR, "front_lies", KV_TEXT("why", "no such service"));
        break;
    }
    stream_finish(stream);
    stream_free(stream);
    visit_ended(h);
}

/* ---- fronts ---- */

static void tell_warden(Task *task)
{
    const Way *w = CONTAINER(task, Way, tell);
    Memo memo = {.kind = MEMO_BROKEN, .number = {w->number}};
    actor_say(w->role->actor, &memo);
}

/* On any loop. The tunnel is ours until we end it. */
static void tunnel_is_over(void *arg, Err why)
{
    Way *w = arg;
    if (why != ERR_SYNTAX) return;
    log_err(LOG_LEVEL_ERROR, "front_lies", why, KV_NUM("front", w->number));
    w->tell = (Task){.run = tell_warden};
    loop_post(loop_at(0), &w->tell);
}

static void end_way(Way *w)
{
    if (w->tunnel) tunnel_end(w->tunnel);
    w->tunnel = NULL;
}

PARKS static Err open_tunnel(Way *w, const Joint *joint)
{
    Ring **rings;
    TunnelConfig config = {.serve = serve_visit, .over = tunnel_is_over, .arg = w};
    TRY(rings_open(joint->rings, joint->ring_count, false, &rings));
    Err err = tunnel_open(&config, rings, joint->ring_count, &w->tunnel);
    free(rings);
    return err;
}

PARKS static void front_joins(HouseRole *r, const Joint *joint)
{
    Way *w = NEW(Way);
    w->role = r, w->number = joint->number;
    list_add(&r->ways, &w->of_role);
    Err err = open_tunnel(w, joint);
    if (err) log_err(LOG_LEVEL_ERROR, "front_not_joined", err, KV_NUM("front", w->number));
}

/* ---- what the warden tells ---- */

PARKS static void joined(Actor *actor, const Joint *joint)
{
    HouseRole *r = actor->state;
    if (joint->peer == CAST_FRONT)
        front_joins(r, joint);
    else if (joint->peer == CAST_KEEPER)
        caller_replace(r->keeper, joint->sock);
    else
        sock_close(joint->sock);
}

PARKS static void gone(Actor *actor, CastRole peer, uint32_t number)
{
    HouseRole *r = actor->state;
    if (peer == CAST_KEEPER) caller_replace(r->keeper, NULL);
    list_each (link, &r->ways) {
        Way *w = CONTAINER(link, Way, of_role);
        if (peer == CAST_FRONT && w->number == number) end_way(w);
    }
}

/* With which the keeper and houses before this one have sealed what fronts bring us. */
PARKS static Err ask_grant_key(HouseRole *r)
{
    Buf memory buf_scoped = {0};
    Memo answer, question = {.kind = MEMO_GRANT_KEY};
    TRY(caller_ask(r->keeper, &question, now_ms() + ANSWER_MS, &answer, &memory));
    Slice key = answer.text[0];
    bool fits = answer.kind == MEMO_GRANT_KEY_IS && key.len == sizeof r->grant_key.octets;
    if (fits) memcpy(r->grant_key.octets, key.at, key.len);
    if (memory.at) wipe(memory.at, memory.len);
    return fits ? OK : fail(ERR_SYNTAX, "the keeper has no key for grants");
}

PARKS static Err begin(Actor *actor)
{
    HouseRole *r = NEW(HouseRole);
    *r = (HouseRole){.actor = actor, .keeper = caller_new(CAST_HOUSE, CAST_KEEPER, QUESTIONS_MOST)};
    list_init(&r->ways);
    actor->state = r;
    for (size_t i = 0; i < actor->joint_count; i++) {
        Joint *j = &actor->joints[i];
        if (j->peer != CAST_KEEPER) continue;
        caller_replace(r->keeper, j->sock);
        j->sock = NULL;
    }
    HouseStart start = {.config = actor->config,
                        .demo = &actor->demo,
                        .board = actor->board,
                        .keeper = r->keeper,
                        .grant_key = &r->grant_key};
    TRY(house_open(&start, &r->house)); /* while the keeper starts */
    r->house->actor = actor;            /* for status and upgrade */
    return ask_grant_key(r);
}

PARKS static Err serve(Actor *actor)
{
    HouseRole *r = actor->state;
    for (size_t i = 0; i < actor->joint_count; i++) {
        Joint *j = &actor->joints[i];
        if (j->peer != CAST_FRONT) continue;
        front_joins(r, j);
        j->ring_count = 0; /* they are the tunnel's */
    }
    if (actor->control) control_open(r->house, actor->control);
    actor->control = NULL;
    r->house->serving = true;
    return OK;
}

PARKS static Err reload(Actor *actor, const Config *fresh)
{
    HouseRole *r = actor->state;
    Config own = *fresh; /* its words are the actor's, for ever */
    own.memory = (Arena){0};
    house_reload_with(r->house, &own);
    return OK;
}

/* All that was acknowledged is durable: nothing is to be tidied up. */
PARKS static void retire(Actor *actor)
{
    const HouseRole *r = actor->state;
    Cond nobody = {0};
    int64_t until = now_ms() + VISITORS_MS;
    while (atomic_load(&r->house->visitors) && now_ms() < until)
        cond_wait(&nobody, now_ms() + 2);
    _exit(0);
}

PARKS static void stop(Actor *actor)
{
    HouseRole *r = actor->state;
    run_cancel();
    house_drain(r->house, STOP_MS);
    list_each (link, &r->ways) {
        end_way(CONTAINER(link, Way, of_role));
    }
    house_close(r->house);
    caller_free(r->keeper);
}

const RoleWork house_work = {.begin = begin,
                             .serve = serve,
                             .joined = joined,
                             .gone = gone,
                             .reload = reload,
                             .retire = retire,
                             .stop = stop};
