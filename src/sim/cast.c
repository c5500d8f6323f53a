/* Front, keeper and house apart, joined as the processes are: the front talks with strangers, asks
 * the keeper by a Caller, and carries octets through rings to the house. The house may be taken
 * away under its connections and come back. All in one simulated process, so a house that goes
 * closes its store in order; that it dies at any operation is what lives are for. */
#include "sim/cast.h"
#include "auth/keeper.h"
#include "house/control.h"
#include "house/snapshot.h"
#include "net/caller.h"
#include "net/relay.h"
#include "net/tunnel.h"

#include <stdlib.h>

enum { LOOPS = 2, QUESTIONS_MOST = 1000, AT_ONCE = 100 };

struct Cast {
    World *w;
    const Config *config;
    const Demo *demo;
    Keeper *keeper, *remote; /* the keeper, and what the front takes for it */
    Caller *of_front, *of_house;
    GrantKey key;
    Auth *auth; /* the front's */
    Snapshot *front;
    Gates *gates;
    House *house;
    Tunnel *tunnel;
    unsigned visitors, visits, listeners, answerers; /* fibers: of the front, of the house ... */
};

static void must_be(Cast *c, const char *what, Err err)
{
    if (err) world_failed(c->w, "%s: %s (%s)", what, err_name(err), err_story());
}

/* ---- the keeper ---- */

typedef struct {
    Cast *cast;
    CastRole peer;
    Sock *sock;
} Asked;

PARKS static void answers(void *arg)
{
    Asked *a = arg;
    Answerer answerer = {CAST_KEEPER, a->peer, AT_ONCE, keeper_answer, a->cast->keeper};
    must_be(a->cast, "answerer", answerer_serve(&answerer, a->sock));
    a->cast->answerers--;
    free(a);
}

PARKS static Caller *join_keeper(Cast *c, CastRole role)
{
    Sock *ours, *theirs;
    Caller *caller = caller_new(role, CAST_KEEPER, QUESTIONS_MOST);
    Asked *a = NEW(Asked);
    must_be(c, "pair", sock_pair(&ours, &theirs));
    *a = (Asked){c, role, theirs};
    c->answerers++;
    fiber_start("keeper", answers, a);
    caller_replace(caller, ours);
    return caller;
}

PARKS static void ask_key(Cast *c)
{
    Buf memory buf_scoped = {0};
    Memo answer, question = {.kind = MEMO_GRANT_KEY};
    must_be(c, "key", caller_ask(c->of_house, &question, NEVER, &answer, &memory));
    must(answer.text[0].len == sizeof c->key.octets);
    memcpy(c->key.octets, answer.text[0].at, sizeof c->key.octets);
}

/* ---- the house ---- */

static void visit_ended(void *arg)
{
    Cast *c = arg;
    c->visits--;
}

PARKS static void serve_visit(void *arg, Stream *stream, Slice service, Slice record)
{
    Cast *c = arg;
    Snapshot *s = atomic_load(&c->house->now);
    c->visits++;
    if (slice_eq(service, S("imap"))) {
        imap_resume(stream, &s->imap, record, visit_ended, c);
        return;
    }
    if (slice_eq(service, S("pop3"))) {
        pop3_resume(stream, &s->pop3, record, visit_ended, c);
        return;
    }
    bool lmtp = slice_eq(service, S("lmtp"));
    if (record.len)
        smtp_resume(stream, &s->smtp, lmtp, record);
    else
        smtp_serve(stream, &s->smtp, lmtp);
    stream_finish(stream);
    stream_free(stream);
    visit_ended(c);
}

PARKS static void house_comes(Cast *c)
{
    Ring *ours[LOOPS], *theirs[LOOPS];
    HouseStart start = {.config = c->config, .demo = c->demo, .keeper = c->of_house};
    Err err = house_open(&start, &c->house);
    for (unsigned tries = 0; err && c->w->lenient && !c->w->verifying && tries < 5; tries++)
        err = house_open(&start, &c->house); /* the warden starts it again */
    must_be(c, "open", err);
    Snapshot *s = atomic_load(&c->house->now);
    s->imap.grant_key = s->pop3.grant_key = &c->key;
    TunnelConfig config = {.serve = serve_visit, .arg = c};
    must(loop_count() == LOOPS);
    for (size_t i = 0; i < LOOPS; i++)
        must_be(c, "ring", ring_pair(&ours[i], &theirs[i]));
    must_be(c, "tunnel", tunnel_open(&config, theirs, LOOPS, &c->tunnel));
    must_be(c, "gates", gates_replace(c->gates, ours, LOOPS));
    c->w->house = c->house;
}

/* Its connections see the end, in the middle of whatever they say. */
PARKS static void house_goes(Cast *c)
{
    Cond nobody = {0};
    Tunnel *t = c->tunnel;
    c->w->house = NULL;
    c->tunnel = NULL;
    sim_rings_settle();
    gates_lost(c->gates);
    if (t) tunnel_end(t);
    while (c->visits || c->w->house_users)
        cond_wait(&nobody, now_ms() + 1);
    house_close(c->house);
    c->house = NULL;
}

PARKS void cast_new_house(Cast *c)
{
    house_goes(c);
    (void)fiber_sleep((int64_t)(sim_random() % 50));
    house_comes(c);
}

/* ---- the front ---- */

typedef struct {
    Cast *cast;
    Stream *stream;
    const char *service;
    Buf record;
    bool handed, ended;
} Visitor;

static void hand_over(void *arg, Stream *stream, Slice record)
{
    Visitor *v = arg;
    (void)stream;
    buf_clear(&v->record);
    buf_add(&v->record, record);
    v->handed = true;
}

static void talk_ended(void *arg)
{
    ((Visitor *)arg)->ended = true;
}

/* True: the house goes on. */
PARKS static bool serve_stranger(Visitor *v, bool again)
{
    Snapshot *s = v->cast->front;
    Slice service = slice_of(v->service), record = buf_slice(&v->record);
    v->handed = false;
    if (slice_eq(service, S("imap"))) {
        if (again)
            imap_serve_again(v->stream, &s->imap, record, talk_ended, v);
        else
            imap_serve(v->stream, &s->imap, talk_ended, v);
        return v->handed;
    }
    if (slice_eq(service, S("pop3"))) {
        if (again)
            pop3_serve_again(v->stream, &s->pop3, record, talk_ended, v);
        else
            pop3_serve(v->stream, &s->pop3, talk_ended, v);
        return v->handed;
    }
    return true;
}

static Slice last_words(Slice service)
{
    if (slice_eq(service, S("imap"))) return S("* BYE [UNAVAILABLE] Come back\r\n");
    if (slice_eq(service, S("pop3"))) return S("-ERR [SYS/TEMP] Come back\r\n");
    return S("421 4.3.2 Come back\r\n");
}

PARKS static void serve(void *arg)
{
    Visitor *v = arg;
    Cast *c = v->cast;
    RelayEnd end = RELAY_BACK;
    for (bool again = false; end == RELAY_BACK && serve_stranger(v, again); again = true) {
        Slice service = slice_of(v->service);
        RelayOpen how = {
            .service = service, .record = buf_slice(&v->record), .last_words = last_words(service)};
        Buf back = {0};
        end = relay_serve(v->stream, c->gates, &how, &back);
        buf_done(&v->record);
        v->record = back;
    }
    buf_done(&v->record);
    if (!v->ended) stream_free(v->stream);
    free(v);
    c->visitors--;
}

typedef struct {
    Cast *cast;
    const char *service; /* NULL: the house's control connection */
    Sock *sock;
} Door;

PARKS static void serve_control(void *arg)
{
    Visitor *v = arg;
    World *w = v->cast->w;
    w->house_users++;
    if (w->house) control_serve(v->stream, w->house);
    w->house_users--;
    stream_finish(v->stream);
    stream_free(v->stream);
    v->cast->visitors--;
    free(v);
}

PARKS static void accept_all(void *arg)
{
    Door *d = arg;
    Sock *sock;
    while (!sock_accept(d->sock, &sock)) {
        Visitor *v = NEW(Visitor);
        *v = (Visitor){.cast = d->cast, .service = d->service, .stream = stream_new(sock)};
        d->cast->visitors++;
        fiber_start(d->service ? d->service : "control", d->service ? serve : serve_control, v);
    }
    sock_close(d->sock);
    d->cast->listeners--;
    free(d);
}

static void open_door(Cast *c, const char *service, const char *host, uint16_t port)
{
    Door *d = NEW(Door);
    Address at = {.port = port};
    memcpy(at.host, host, strlen(host) + 1);
    *d = (Door){c, service, NULL};
    must_be(c, "listen", sock_listen(&at, &d->sock));
    c->listeners++;
    fiber_start("accept", accept_all, d);
}

__attribute__((noinline)) PARKS static void open_keeper(Cast *c)
{
    Arena a arena_scoped = {0};
    AuthConfig auth = snapshot_auth(c->config, c->demo, NULL, &a);
    must_be(c, "keeper", keeper_open(&auth, &c->keeper));
}

__attribute__((noinline)) PARKS static void open_front(Cast *c)
{
    Arena a arena_scoped = {0};
    Config own = *c->config; /* its words are the life's */
    own.memory = (Arena){0};
    AuthConfig auth = snapshot_auth(c->config, c->demo, NULL, &a);
    auth.keeper = c->remote;
    must_be(c, "auth", auth_open(&auth, NULL, &c->auth));
    c->front = snapshot_new(&own, c->auth, NULL);
    c->front->imap.hand_over = c->front->pop3.hand_over = hand_over;
    c->gates = gates_new(&(GatesConfig){0});
}

/* ---- all ---- */

PARKS void cast_open(World *w, const Config *config, const Demo *demo, Cast **cast)
{
    Cast *c = NEW(Cast);
    *c = (Cast){.w = w, .config = config, .demo = demo};
    open_keeper(c);
    c->of_front = join_keeper(c, CAST_FRONT);
    c->of_house = join_keeper(c, CAST_HOUSE);
    c->remote = keeper_remote(c->of_front);
    ask_key(c);
    open_front(c);
    house_comes(c);
    open_door(c, "imap", "127.0.0.1", PORT_IMAP);
    open_door(c, "pop3", "127.0.0.1", PORT_POP3);
    open_door(c, "lmtp", "127.0.0.1", PORT_LMTP);
    open_door(c, "smtp", "127.0.0.1", PORT_SMTP);
    open_door(c, NULL, "/control", 0);
    *cast = c;
}

/* After run_cancel. */
PARKS void cast_close(Cast *c)
{
    Cond nobody = {0};
    while (c->visitors || c->listeners)
        cond_wait(&nobody, now_ms() + 5);
    house_goes(c);
    gates_free(c->gates);
    auth_close(c->auth);
    keeper_close(c->remote);
    caller_free(c->of_front);
    caller_free(c->of_house);
    while (c->answerers)
        cond_wait(&nobody, now_ms() + 5);
    keeper_close(c->keeper);
    snapshots_free(c->front);
    free(c);
}
