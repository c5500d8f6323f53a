/* The simulated network: two pipes in memory for each connection. What is written is on its way for
 * a while, arrives in order, is read in pieces, and the writer may be made to wait. */
#include "run/sim_world.h"

#include <stdlib.h>

typedef struct SimSock SimSock;

typedef struct {
    Buf bytes;      /* written and not yet read */
    size_t arrived; /* of them, what the reader can have */
    size_t room;    /* most bytes it holds */
    int64_t last_arrival_us;
    SimSock *reader, *writer; /* NULL: closed */
    bool shut, ended;         /* the writer has said the end; it has arrived */
    unsigned uses;            /* open ends and packets under way */
} Pipe;

typedef struct {
    Timer timer;
    Pipe *pipe;
    size_t len;
    bool is_end;
} Packet;

struct SimSock {
    Sock sock;
    Pipe *in, *out;
    Address local, peer;
    Link of_world; /* sim->socks */
    SimProcess *process;
    Link of_net;      /* a listener: in sim->listeners; a guest: in a backlog */
    Link backlog;     /* a listener's guests */
    Timer connecting; /* a client's: when its call arrives */
    bool listens, refused;
};

static SimSock *sim(const Sock *s)
{
    return (SimSock *)(uintptr_t)s; /* the Sock is its first member */
}

/* ---- pipes ---- */

static Pipe *pipe_new(SimSock *writer, SimSock *reader)
{
    Pipe *p = NEW(Pipe);
    *p = (Pipe){.reader = reader, .writer = writer, .uses = 2};
    p->room = (size_t)4096 << sim_below(6);
    return p;
}

static void pipe_unref(Pipe *p)
{
    if (--p->uses) return;
    buf_done(&p->bytes);
    free(p);
}

static void packet_arrives(Timer *t)
{
    Packet *packet = CONTAINER(t, Packet, timer);
    Pipe *p = packet->pipe;
    p->arrived += packet->len;
    if (packet->is_end) p->ended = true;
    if (p->reader) sock_announce(&p->reader->sock, SOCK_READABLE);
    free(packet);
    pipe_unref(p);
}

static void pipe_send(Pipe *p, size_t len, bool is_end)
{
    Packet *packet = NEW(Packet);
    *packet = (Packet){{.fire = packet_arrives}, p, len, is_end};
    int64_t at = sim_now->now_us + sim_spread(sim_now->config.net_latency_us);
    p->last_arrival_us = MAX(p->last_arrival_us, at); /* never before what went first */
    p->uses++;
    timer_set(&sim_now->timers, &packet->timer, p->last_arrival_us);
}

static void pipe_end(Pipe *p)
{
    if (p->shut) return;
    p->shut = true;
    pipe_send(p, 0, true);
}

/* ---- sockets ---- */

static SimSock *sock_new(Loop *loop)
{
    SimSock *s = NEW(SimSock);
    s->sock = (Sock){.world = &sim_world, .loop = loop, .ready = SOCK_READABLE | SOCK_WRITABLE};
    list_init(&s->backlog);
    list_add(&sim_now->socks, &s->of_world);
    s->process = loop ? loop->run->of_world : NULL;
    return s;
}

static void join(SimSock *a, SimSock *b)
{
    a->out = b->in = pipe_new(a, b);
    b->out = a->in = pipe_new(b, a);
}

void sim_sock_close(Sock *sock)
{
    SimSock *s = sim(sock);
    list_remove(&s->of_net);
    if (sim_now) list_remove(&s->of_world);
    if (sim_now) timer_clear(&sim_now->timers, &s->connecting);
    list_each (link, &s->backlog) {
        list_remove(link);
        sim_sock_close(&CONTAINER(link, SimSock, of_net)->sock);
    }
    if (s->out) {
        if (sim_now) pipe_end(s->out);
        s->out->writer = NULL;
        pipe_unref(s->out);
    }
    if (s->in) {
        s->in->reader = NULL;
        if (s->in->writer) sock_announce(&s->in->writer->sock, SOCK_WRITABLE);
        pipe_unref(s->in);
    }
    free(s);
}

Err sim_sock_pair(Sock **a, Sock **b)
{
    SimSock *first = sock_new(loop_now), *second = sock_new(loop_now);
    join(first, second);
    *a = &first->sock;
    *b = &second->sock;
    return OK;
}

Address sim_sock_peer(const Sock *s)
{
    return sim(s)->peer;
}

Address sim_sock_local(const Sock *s)
{
    return sim(s)->local;
}

void sim_sock_detach(Sock *s)
{
    (void)s;
}

Err sim_sock_attach(Sock *s)
{
    sim(s)->process = sim_process_now();
    return OK;
}

void sim_process_give(SimProcess *p, Sock *s)
{
    must(!s->loop);
    sim(s)->process = p;
}

void sim_socks_lost(const SimProcess *p)
{
    list_each (link, &sim_now->socks) {
        SimSock *s = CONTAINER(link, SimSock, of_world);
        if (s->process == p) sim_sock_close(&s->sock);
    }
}

void sim_sock_shutdown(Sock *s)
{
    if (sim(s)->out) pipe_end(sim(s)->out);
}

void sim_sock_cut(Sock *s)
{
    sim_sock_shutdown(s);
    if (sim(s)->in) sim(s)->in->ended = true;
    sock_announce(s, SOCK_READABLE | SOCK_WRITABLE);
}

/* ---- bytes ---- */

Err sim_sock_try_read(Sock *s, void *out, size_t len, size_t *got)
{
    Pipe *p = sim(s)->in;
    must(p);
    if (!p->arrived && p->ended) return fail(ERR_END, "the peer has closed");
    if (!p->arrived) {
        s->ready &= (uint8_t)~SOCK_READABLE;
        return OK;
    }
    size_t n = MIN(len, p->arrived);
    if (sim_one_in(4)) n = 1 + (size_t)sim_below(n);
    memcpy(out, p->bytes.at, n);
    buf_drop_front(&p->bytes, n);
    p->arrived -= n;
    if (p->writer) sock_announce(&p->writer->sock, SOCK_WRITABLE);
    *got = n;
    return OK;
}

static size_t total(const Slice *parts, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += parts[i].len;
    return sum;
}

Err sim_sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent)
{
    Pipe *p = sim(s)->out;
    must(p);
    if (!p->reader || p->shut) return fail(ERR_END, "the peer has closed");
    size_t want = total(parts, count), n = MIN(want, p->room - MIN(p->room, p->bytes.len));
    if (!want) return OK;
    if (!n) {
        s->ready &= (uint8_t)~SOCK_WRITABLE;
        return OK;
    }
    if (sim_one_in(4)) n = 1 + (size_t)sim_below(n);
    for (size_t i = 0, left = n; left; i++) {
        Slice part = slice_first(parts[i], left);
        buf_add(&p->bytes, part);
        left -= part.len;
    }
    pipe_send(p, n, false);
    *sent = n;
    return OK;
}

/* ---- listening and connecting ---- */

Err sim_sock_listen(const Address *at, Sock **listener)
{
    SimSock *s = sock_new(loop_now);
    s->local = *at;
    s->listens = true;
    s->sock.ready = 0;
    list_add(&sim_now->listeners, &s->of_net);
    *listener = &s->sock;
    return OK;
}

Err sim_sock_try_accept(Sock *listener, Sock **conn)
{
    SimSock *s = sim(listener);
    must(s->listens);
    if (list_is_empty(&s->backlog)) {
        listener->ready &= (uint8_t)~SOCK_READABLE;
        return OK;
    }
    SimSock *guest = CONTAINER(s->backlog.next, SimSock, of_net);
    list_remove(&guest->of_net);
    *conn = &guest->sock;
    return OK;
}

static bool listens_at(const SimSock *s, const Address *a)
{
    if (s->local.port != a->port) return false;
    return !strcmp(s->local.host, a->host) || (a->port && !strcmp(s->local.host, "*"));
}

/* Several loops may listen at one address: any of them. */
static SimSock *listener_at(const Address *a)
{
    SimSock *found = NULL;
    unsigned n = 0;
    list_each (link, &sim_now->listeners) {
        SimSock *s = CONTAINER(link, SimSock, of_net);
        if (listens_at(s, a) && sim_one_in(++n)) found = s;
    }
    return found;
}

static void call_arrives(Timer *t)
{
    SimSock *client = CONTAINER(t, SimSock, connecting);
    SimSock *listener = listener_at(&client->peer);
    client->refused = !listener;
    if (listener) {
        SimSock *guest = sock_new(NULL);
        guest->local = client->peer;
        guest->peer = client->local;
        join(client, guest);
        list_add(&listener->backlog, &guest->of_net);
        sock_announce(&listener->sock, SOCK_READABLE);
    }
    sock_announce(&client->sock, SOCK_READABLE | SOCK_WRITABLE);
}

Err sim_sock_connect_begin(const Address *to, Sock **conn)
{
    SimSock *s = sock_new(loop_now);
    s->sock.ready = 0;
    s->peer = *to;
    if (to->port) s->local = (Address){.host = "127.0.0.1", .port = ++sim_now->next_port};
    s->connecting.fire = call_arrives;
    int64_t delay = sim_spread(sim_now->config.net_latency_us);
    timer_set(&sim_now->timers, &s->connecting, sim_now->now_us + delay);
    *conn = &s->sock;
    return OK;
}

Err sim_sock_connect_end(Sock *conn)
{
    const SimSock *s = sim(conn);
    if (!s->refused) return OK;
    return fail(ERR_IO, "connect to %s:%u: nobody listens", s->peer.host, s->peer.port);
}
