/* Front, keeper and house apart, joined as the processes are: the front talks with strangers, asks
 * the keeper by a Caller, and carries octets through rings to the house. The house has a simulated
 * process of its own. It may be taken away under its connections, in order or as by kill -9, and
 * another one comes. Front, keeper and clients live as long as the life. */
#include "sim/cast.h"
#include "auth/keeper.h"
#include "house/control.h"
#include "house/snapshot.h"
#include "net/caller.h"
#include "net/relay.h"
#include "net/tunnel.h"

#include <stdlib.h>

enum { LOOPS = 2, QUESTIONS_MOST = 1000, AT_ONCE = 100 };

/* One house, in its process. What main and the process say to each other is in here; it is never
 * freed, since nobody knows when the last one looks. */
typedef struct {
    Cast *cast;
    SimProcess *process;
    Ring *rings[LOOPS];
    Sock *keeper; /* its end of a pair */
    Caller *caller;
    GrantKey key;
    House *house;
    Tunnel *tunnel;
    unsigned visits, users;
    bool is_open, is_to_end, has_ended, is_dead;
} Life;

struct Cast {
    World *w;
    const Config *config;
    const Demo *demo;
    Keeper *keeper, *remote; /* the keeper, and what the front takes for it */
    Caller *of_front;
    Auth *auth; /* the front's */
    Snapshot *front;
    Gates *gates;
    Life *life;                              /* NULL: there is no house */
    unsigned visitors, listeners, answerers; /* fibers */
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

/* The other end, for whoever asks. */
static Sock *keeper_for(Cast *c, CastRole role)
{
    Sock *ours, *theirs;
    Asked *a = NEW(Asked);
    must_be(c, "pair", sock_pair(&ours, &theirs));
    *a = (Asked){c, role, theirs};
    c->answerers++;
    fiber_start("keeper", answers, a);
    return ours;
}

/* ---- the house, in its process ---- */

PARKS static void ask_key(Life *l)
{
    Buf memory buf_scoped = {0};
    Memo answer, question = {.kind = MEMO_GRANT_KEY};
    must_be(l->cast, "key", caller_ask(l->caller, &question, NEVER, &answer, &memory));
    must(answer.text[0].len == sizeof l->key.octets);
    memcpy(l->key.octets, answer.text[0].at, sizeof l->key.octets);
}

static void visit_ended(void *arg)
{
    Life *l = arg;
    l->visits--;
}

PARKS static void serve_visit(void *arg, Stream *stream, Slice service, Slice record)
{
    Life *l = arg;
    Snapshot *s = atomic_load(&l->house->now);
    l->visits++;
    if (slice_eq(service, S("imap"))) {
        imap_resume(stream, &s->imap, record, visit_ended, l);
        return;
    }
    if (slice_eq(service, S("pop3"))) {
        pop3_resume(stream, &s->pop3, record, visit_ended, l);
        return;
    }
    bool lmtp = slice_eq(service, S("lmtp"));
    if (record.len)
        smtp_resume(stream, &s->smtp, lmtp, record);
    else
        smtp_serve(stream, &s->smtp, lmtp);
    stream_finish(stream);
    stream_free(stream);
    visit_ended(l);
}

PARKS static void open_house(Life *l)
{
    const Cast *c = l->cast;
    HouseStart start = {
        .config = c->config, .demo = c->demo, .keeper = l->caller, .grant_key = &l->key};
    Err err = house_open(&start, &l->house);
    for (unsigned tries = 0; err && c->w->lenient && !c->w->verifying && tries < 5; tries++)
        err = house_open(&start, &l->house); /* the warden starts it again */
    must_be(l->cast, "open", err);
    TunnelConfig config = {.serve = serve_visit, .arg = l};
    must(loop_count() == LOOPS);
    must_be(l->cast, "tunnel", tunnel_open(&config, l->rings, LOOPS, &l->tunnel));
}

/* Its connections see the end, in the middle of whatever they say. */
PARKS static void close_house(Life *l)
{
    Cond nobody = {0};
    tunnel_end(l->tunnel);
    while (l->visits || l->users)
        cond_wait(&nobody, now_ms() + 1);
    house_close(l->house);
    caller_free(l->caller);
}

PARKS static void house_lives(void *arg)
{
    Life *l = arg;
    Cond nobody = {0};
    must_be(l->cast, "attach", sock_attach(l->keeper));
    l->caller = caller_new(CAST_HOUSE, CAST_KEEPER, QUESTIONS_MOST);
    caller_replace(l->caller, l->keeper);
    ask_key(l);
    open_house(l);
    l->is_open = true;
    while (!l->is_to_end)
        cond_wait(&nobody, now_ms() + 20);
    close_house(l);
    l->has_ended = true;
}

/* ---- the house, from outside ---- */

PARKS static void house_comes(Cast *c)
{
    Ring *ours[LOOPS];
    Cond nobody = {0};
    Life *l = NEW(Life);
    *l = (Life){.cast = c, .process = sim_process(LOOPS), .keeper = keeper_for(c, CAST_HOUSE)};
    for (size_t i = 0; i < LOOPS; i++)
        must_be(c, "ring", ring_pair(&ours[i], &l->rings[i]));
    sock_detach(l->keeper);
    sim_process_give(l->process, l->keeper);
    sim_process_run(l->process, "house", house_lives, l);
    while (!l->is_open)
        cond_wait(&nobody, now_ms() + 1);
    must_be(c, "gates", gates_replace(c->gates, ours, LOOPS));
    c->life = l;
}

/* The front hears of it when the process is gone: what it has not read by then it never will. */
PARKS static void house_goes(Cast *c, bool dies)
{
    Cond nobody = {0};
    Life *l = c->life;
    c->life = NULL;
    c->w->deaths += dies;
    l->is_to_end = !dies;
    while (!dies && !l->has_ended)
        cond_wait(&nobody, now_ms() + 1);
    l->is_dead = true;
    sim_process_kill(l->process);
    gates_lost(c->gates);
}

PARKS void cast_new_house(Cast *c, bool dies)
{
    house_goes(c, dies);
    (void)fiber_sleep((int64_t)(sim_random() % 50));
    house_comes(c);
}

typedef struct {
    Life *life;
    void (*fn)(House *house, void *arg);
    void *arg;
    bool done;
} Errand;

PARKS_UNCHECKED static void run_errand(void *arg)
{
    Errand *e = arg;
    e->life->users++;
    e->fn(e->life->house, e->arg);
    e->life->users--;
    e->done = true;
}

/* An Errand may be left behind in a dead process, and is. */
PARKS bool cast_in_house(Cast *c, void (*fn)(House *house, void *arg), void *arg)
{
    Cond nobody = {0};
    Life *l = c->life;
    if (!l) return false;
    Errand *e = NEW(Errand);
    *e = (Errand){l, fn, arg, false};
    sim_process_run(l->process, "errand", run_errand, e);
    while (!e->done && !l->is_dead)
        cond_wait(&nobody, now_ms() + 1);
    return e->done;
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

typedef struct {
    Life *life;
    Sock *sock;
} Control;

PARKS static void serve_control(void *arg)
{
    Control *control = arg;
    Life *l = control->life;
    l->users++;
    must_be(l->cast, "attach", sock_attach(control->sock));
    Stream *stream = stream_new(control->sock);
    control_serve(stream, l->house);
    stream_finish(stream);
    stream_free(stream);
    free(control);
    l->users--;
}

/* The house's own door, which the warden keeps open. */
static void to_control(Cast *c, Sock *sock)
{
    if (!c->life) {
        sock_close(sock);
        return;
    }
    Control *control = NEW(Control);
    *control = (Control){c->life, sock};
    sock_detach(sock);
    sim_process_give(c->life->process, sock);
    sim_process_run(c->life->process, "control", serve_control, control);
}

PARKS static void accept_all(void *arg)
{
    Door *d = arg;
    Sock *sock;
    while (!sock_accept(d->sock, &sock)) {
        if (!d->service) {
            to_control(d->cast, sock);
            continue;
        }
        Visitor *v = NEW(Visitor);
        *v = (Visitor){.cast = d->cast, .service = d->service, .stream = stream_new(sock)};
        d->cast->visitors++;
        fiber_start(d->service, serve, v);
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
    c->of_front = caller_new(CAST_FRONT, CAST_KEEPER, QUESTIONS_MOST);
    caller_replace(c->of_front, keeper_for(c, CAST_FRONT));
    c->remote = keeper_remote(c->of_front);
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
    house_goes(c, false);
    gates_free(c->gates);
    auth_close(c->auth);
    keeper_close(c->remote);
    caller_free(c->of_front);
    while (c->answerers)
        cond_wait(&nobody, now_ms() + 5);
    keeper_close(c->keeper);
    snapshots_free(c->front);
    free(c);
}
