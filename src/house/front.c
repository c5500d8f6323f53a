/* The front: accepts connections, shakes hands, talks with strangers until they have logged in, and
 * then carries octets between them and the house. It has neither mail nor keys nor hashes. */
#include "auth/handover.h"
#include "auth/keeper.h"
#include "base/table.h"
#include "house/certificate.h"
#include "house/porch.h"
#include "house/role.h"
#include "house/snapshot.h"
#include "house/verbs.h"
#include "net/caller.h"
#include "net/relay.h"
#include "run/log.h"

#include <stdlib.h>
#include <unistd.h>

enum { QUESTIONS_MOST = 4096, FAREWELL_MS = 5000, HOLD_MS = 120, PATIENCE_MS = 15000 };

typedef struct {
    Actor *actor;
    _Atomic(Snapshot *) now;
    Auth *auth;
    Caller *keeper;
    Keeper *remote;
    Gates *gates;
    Porch porch;
    uint32_t house; /* its number; 0: there is none now */
} Front;

static Front *front_of(const Connection *c)
{
    return c->porch->arg;
}

/* ---- one connection ---- */

/* Lives on the fiber's stack while a connection is served. */
typedef struct {
    Connection *connection;
    Buf record; /* what the next one goes on from: the house, or again the talk before the login */
    bool handed;
} Visit;

static void visit_ended(void *arg)
{
    Visit *v = arg;
    porch_left(v->connection);
    v->connection = NULL;
}

static void hand_over(void *arg, Stream *stream, Slice record)
{
    Visit *v = arg;
    (void)stream;
    buf_clear(&v->record);
    buf_add(&v->record, record);
    v->handed = true;
}

/* RFC 9051 7.1.5 with RFC 5530's code; RFC 3206 4; RFC 5321 3.8 with RFC 3463's. Scrapers are told
 * nothing. */
#define AGAIN "The server is starting again, come back\r\n"
static const char *const last_words[SERVICE_COUNT] = {
    [SERVICE_IMAP] = "* BYE [UNAVAILABLE] " AGAIN,
    [SERVICE_IMAPS] = "* BYE [UNAVAILABLE] " AGAIN,
    [SERVICE_POP3] = "-ERR [SYS/TEMP] " AGAIN,
    [SERVICE_POP3S] = "-ERR [SYS/TEMP] " AGAIN,
    [SERVICE_POP2] = "- " AGAIN,
    [SERVICE_LMTP] = "421 4.3.2 " AGAIN,
    [SERVICE_SMTP] = "421 4.3.2 " AGAIN,
};

PARKS static void serve_imap(Visit *v, const ImapConfig *config, bool again)
{
    Stream *s = v->connection->stream;
    if (again)
        imap_serve_again(s, config, buf_slice(&v->record), visit_ended, v);
    else
        imap_serve(s, config, visit_ended, v);
}

PARKS static void serve_pop(Visit *v, const Pop3Config *config, bool again)
{
    Stream *s = v->connection->stream;
    if (again)
        pop3_serve_again(s, config, buf_slice(&v->record), visit_ended, v);
    else if (v->connection->service == SERVICE_POP2)
        pop2_serve(s, config, visit_ended, v);
    else
        pop3_serve(s, config, visit_ended, v);
}

/* The talk before the login. True: there is a record, with which the house goes on; or nobody logs
 * in there. */
PARKS static bool serve_stranger(Visit *v, bool again)
{
    Service service = v->connection->service;
    const Snapshot *s = atomic_load(&front_of(v->connection)->now);
    bool imap = service == SERVICE_IMAP || service == SERVICE_IMAPS;
    bool pop = service == SERVICE_POP3 || service == SERVICE_POP3S || service == SERVICE_POP2;
    v->handed = false;
    if (imap) serve_imap(v, &s->imap, again);
    if (pop) serve_pop(v, &s->pop3, again);
    return v->handed || (!imap && !pop);
}

/* Who has logged in is at home on a loop of the house: always on the same one. */
static uint64_t home_of(Slice record)
{
    Slice login = handover_login(record);
    return login.len ? keyed_hash(login) | 1 : 0;
}

PARKS static void serve(Connection *c)
{
    Visit v = {.connection = c};
    RelayEnd end = RELAY_BACK;
    for (bool again = false; end == RELAY_BACK && serve_stranger(&v, again); again = true) {
        RelayOpen how = {.service = slice_of(service_names[c->service]),
                         .record = buf_slice(&v.record),
                         .home = home_of(buf_slice(&v.record)),
                         .authenticates = c->service == SERVICE_SMTP,
                         .last_words = slice_of(last_words[c->service])};
        porch_knows(c);
        Buf back = {0};
        end = relay_serve(c->stream, front_of(c)->gates, &how, &back);
        buf_done(&v.record);
        v.record = back;
        if (end == RELAY_BACK) porch_forgets(c);
    }
    buf_done(&v.record);
    if (!v.connection) return; /* the talk has ended it */
    stream_free(c->stream);
    porch_left(c);
}

/* ---- what it is served with ---- */

static const Config *config_now(void *arg)
{
    const Front *f = arg;
    return &atomic_load(&f->now)->config;
}

/* The words of the configuration are the actor's, for ever. */
static void install(Front *f, const Config *config)
{
    Config own = *config;
    own.memory = (Arena){0};
    Snapshot *s = snapshot_new(&own, f->auth, NULL);
    s->imap.hand_over = s->pop3.hand_over = hand_over;
    s->before = atomic_load(&f->now);
    atomic_store(&f->now, s);
}

/* Tokens are taken, and the keeper asks about them. */
static Err ask_nobody(void *arg, Slice token, Buf *out)
{
    (void)arg, (void)token, (void)out;
    return ERR_TEMPORARY;
}

static AuthConfig auth_config(const Front *f, const Config *config, Arena *a)
{
    AuthConfig auth = snapshot_auth(config, &f->actor->demo, NULL, a);
    auth.keeper = f->remote;
    auth.oauth.introspect = config->oauth_introspection.len ? ask_nobody : NULL;
    return auth;
}

PARKS static Err reload(Actor *actor, const Config *fresh)
{
    Front *f = actor->state;
    Arena a arena_scoped = {0};
    AuthConfig auth = auth_config(f, fresh, &a);
    auth_reload(f->auth, &auth);
    install(f, fresh);
    return OK;
}

/* ---- what the warden tells ---- */

static void house_is_broken(void *arg, Err why)
{
    (void)arg;
    log_err(LOG_LEVEL_ERROR, "house_lies", why);
    _exit(EXIT_IO); /* one of the two is not what it was: the one that costs less ends */
}

static Err house_joins(Front *f, const Joint *joint)
{
    Ring **rings;
    TRY(rings_open(joint->rings, joint->ring_count, true, &rings));
    Err err = gates_replace(f->gates, rings, joint->ring_count);
    f->house = joint->number;
    free(rings);
    return err;
}

PARKS static void joined(Actor *actor, const Joint *joint)
{
    Front *f = actor->state;
    Err err = OK;
    if (joint->peer == CAST_HOUSE)
        err = house_joins(f, joint);
    else if (joint->peer == CAST_KEEPER)
        caller_replace(f->keeper, joint->sock);
    else /* a runner, by a warden of an earlier version */
        sock_close(joint->sock);
    if (err) log_err(LOG_LEVEL_ERROR, "house_not_joined", err);
}

PARKS static void gone(Actor *actor, CastRole peer, uint32_t number)
{
    Front *f = actor->state;
    if (peer == CAST_KEEPER) caller_replace(f->keeper, NULL);
    if (peer == CAST_HOUSE && number == f->house) gates_lost(f->gates);
}

/* ---- beginning and end ---- */

PARKS static Err begin(Actor *actor)
{
    Front *f = NEW(Front);
    Arena a arena_scoped = {0};
    GatesConfig gates = {.broken = house_is_broken,
                         .arg = f,
                         .patience_ms = PATIENCE_MS}; /* longer than the back-off */
    *f = (Front){.actor = actor,
                 .keeper = caller_new(CAST_FRONT, CAST_KEEPER, QUESTIONS_MOST),
                 .gates = gates_new(&gates)};
    actor->state = f;
    f->remote = keeper_remote(f->keeper);
    AuthConfig auth = auth_config(f, actor->config, &a);
    must(!auth_open(&auth, NULL, &f->auth)); /* its keeper is elsewhere */
    install(f, actor->config);
    porch_init(&f->porch);
    f->porch.config = config_now, f->porch.serve = serve, f->porch.arg = f;
    f->porch.board = actor->board;
    for (size_t i = 0; i < actor->joint_count; i++) {
        joined(actor, &actor->joints[i]);
        actor->joints[i].sock = NULL;
        actor->joints[i].ring_count = 0;
    }
    return certificate_follow(f->keeper);
}

PARKS static void opened(Actor *actor, const Entrance *entrance)
{
    Front *f = actor->state;
    porch_open(&f->porch, entrance->service, entrance->sock);
}

PARKS static Err open_doors(Actor *actor)
{
    Front *f = actor->state;
    for (size_t i = 0; i < actor->listener_count; i++)
        porch_open(&f->porch, actor->listeners[i].service, actor->listeners[i].sock);
    actor->listener_count = 0;
    return OK;
}

PARKS static void leave_when_empty(void *arg)
{
    Front *f = arg;
    while (atomic_load(&f->porch.connections) && fiber_sleep(200) != WOKEN_CANCELLED) {
    }
    actor_is_over(f->actor);
}

/* Nobody new; those who are here stay. */
PARKS static void retire(Actor *actor)
{
    Front *f = actor->state;
    porch_close(&f->porch);
    fiber_start("retire", leave_when_empty, f);
}

/* Who is at rest waits as long as the slowest of those who are not; so not for long. */
PARKS static void hold(Actor *actor)
{
    const Front *f = actor->state;
    Cond nobody = {0};
    int64_t until = now_ms() + HOLD_MS;
    gates_hold(f->gates, true);
    while (gates_busy(f->gates) && now_ms() < until)
        cond_wait(&nobody, now_ms() + 2);
}

PARKS static void stop(Actor *actor)
{
    Front *f = actor->state;
    Cond nobody = {0};
    int64_t until = now_ms() + FAREWELL_MS;
    porch_close(&f->porch);
    while (gates_relays(f->gates) && now_ms() < until) /* the house says goodbye to them */
        cond_wait(&nobody, now_ms() + 5);
    run_cancel();
    porch_drain(&f->porch, STOP_MS - FAREWELL_MS);
    gates_free(f->gates);
    auth_close(f->auth);
    keeper_close(f->remote);
    caller_free(f->keeper);
    snapshots_free(atomic_load(&f->now));
    free(f);
}

const RoleWork front_work = {.begin = begin,
                             .serve = open_doors,
                             .joined = joined,
                             .gone = gone,
                             .reload = reload,
                             .retire = retire,
                             .hold = hold,
                             .opened = opened,
                             .stop = stop};
