#include "house/porch.h"

#include "net/refusal.h"

#ifdef __GLIBC__
#endif
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

const char *const service_names[SERVICE_COUNT] = {"imap", "imaps", "pop3", "pop3s",
                                                  "lmtp", "smtp",  "pop2", "metrics"};

const Words *service_listeners(const Config *c, Service service)
{
    const Words *const where[SERVICE_COUNT] = {&c->listen_imap,  &c->listen_imaps,  &c->listen_pop3,
                                               &c->listen_pop3s, &c->listen_lmtp,   &c->listen_smtp,
                                               &c->listen_pop2,  &c->listen_metrics};
    return where[service];
}

static const Config *config_of(const Connection *c)
{
    return c->porch->config(c->porch->arg);
}

/* ---- how many of whom ---- */

/* Unix sockets are not counted. */
static void name_remote(Connection *c)
{
    Address peer = stream_peer(c->stream);
    char room[NETWORK_ROOM];
    if (!peer.port) return;
    Slice network = address_network(slice_of(peer.host), room);
    snprintf(c->remote, sizeof c->remote, "%.*s", SP(network));
}

/* ---- what a crowd leaves behind ---- */

enum { CROWD = 256 };
static atomic_bool giving_back;

static void give_back(Job *job)
{
    (void)job;
    mem_trim();
}

static void gave_back(Job *job)
{
    (void)job;
    atomic_store(&giving_back, false);
}

/* When half of a crowd has gone: the allocator keeps what thousands of TLS connections used, in
 * pieces, unless it is asked. The porch may be gone once the last connection is. */
static void has_left(Porch *d)
{
    static Job job;
    unsigned crowd = atomic_load(&d->crowd), left = atomic_load(&d->connections) - 1;
    bool thin = crowd >= CROWD && left <= crowd / 2 && !atomic_exchange(&giving_back, true);
    if (thin) atomic_store(&d->crowd, left);
    atomic_fetch_sub(&d->connections, 1);
    if (!thin) return;
    job = (Job){.work = give_back, .done = gave_back, .loop = loop_current()};
    aside_post(&job);
}

static void has_come(Porch *d)
{
    unsigned before = atomic_fetch_add(&d->connections, 1);
    if (before >= atomic_load(&d->crowd)) atomic_store(&d->crowd, before + 1);
}

/* ---- strangers ---- */

void porch_forgets(Connection *c)
{
    Porch *d = c->porch;
    must(!c->is_stranger);
    mutex_lock(&d->lock);
    list_add(&d->strangers, &c->of_strangers);
    c->is_stranger = true;
    mutex_unlock(&d->lock);
    board_stranger(d->board, 1);
}

void porch_knows(Connection *c)
{
    Porch *d = c->porch;
    mutex_lock(&d->lock);
    bool was = c->is_stranger;
    if (was) list_remove(&c->of_strangers);
    c->is_stranger = false;
    mutex_unlock(&d->lock);
    if (was) board_stranger(d->board, -1);
}

/* Not the last one: he may be the good client. */
static bool cut_oldest(Porch *d)
{
    mutex_lock(&d->lock);
    bool some = d->strangers.next != d->strangers.prev;
    Connection *c = some ? CONTAINER(d->strangers.next, Connection, of_strangers) : NULL;
    if (c) {
        list_remove(&c->of_strangers);
        c->is_stranger = false;
        refusal_limit(c->stream, service_names[c->service], METRIC_REFUSED_STRANGERS, (Slice){0});
        stream_cut(c->stream);
    }
    mutex_unlock(&d->lock);
    if (!c) return false;
    board_stranger(d->board, -1);
    return true;
}

/* ---- who is let in ---- */

/* METRIC_COUNT: he is. */
static Metric why_not(const Connection *c)
{
    const Config *config = config_of(c);
    const Board *board = c->porch->board;
    Slice remote = slice_of(c->remote);
    if (board_memory_is_short(board) || !mem_fits(0)) return METRIC_REFUSED_MEMORY;
    if (board_connections(board) >= config->connections_most) return METRIC_REFUSED_TOTAL;
    bool many = remote.len && board_count(board, remote) >= config->connections_per_address;
    return many ? METRIC_REFUSED_ADDRESS : METRIC_COUNT;
}

static void let_in(Connection *c)
{
    Porch *d = c->porch;
    has_come(d);
    board_enter(d->board, slice_of(c->remote));
    metric_add((Metric)(METRIC_CONNECTIONS_IMAP + (int)c->service), 1);
    metric_add((Metric)(METRIC_ACCEPTED_IMAP + (int)c->service), 1);
    if (!c->remote[0]) return;
    if (board_strangers(d->board) >= config_of(c)->strangers_most) (void)cut_oldest(d);
    porch_forgets(c);
}

void porch_left(Connection *c)
{
    Porch *d = c->porch;
    porch_knows(c);
    board_leave(d->board, slice_of(c->remote));
    metric_add((Metric)(METRIC_CONNECTIONS_IMAP + (int)c->service), -1);
    free(c);
    has_left(d); /* last: porch_drain waits for it */
}

/* ---- one connection ---- */

static bool is_tls_from_start(Service s)
{
    return s == SERVICE_IMAPS || s == SERVICE_POP3S;
}

PARKS static Err greet_tls(Connection *c)
{
    TlsContext *ctx scoped(tls) = tls_current();
    if (!ctx) return fail(ERR_TLS, "no certificate");
    stream_set_deadline(c->stream, now_ms() + (int64_t)config_of(c)->tls_time * 1000);
    stream_set_alpn(c->stream, c->service == SERVICE_IMAPS ? S("imap") : S("pop3"));
    Err err = stream_start_tls(c->stream, ctx);
    stream_set_deadline(c->stream, NEVER);
    return err;
}

PARKS static void connection_begins(void *arg)
{
    Connection *c = arg;
    Err err = stream_attach(c->stream);
    if (!err && is_tls_from_start(c->service)) err = greet_tls(c);
    if (!err) {
        c->porch->serve(c);
        return;
    }
    refusal_tls(c->stream, service_names[c->service], err);
    if (err == ERR_TIMEOUT)
        refusal_cut(c->stream, service_names[c->service], METRIC_CUT_SLOW, (Slice){0});
    stream_free(c->stream);
    porch_left(c);
}

/* ---- no room ---- */

/* Words for a flood would be one more thing to be flooded with. */
enum { REFUSING_MOST = 200, REFUSE_MS = 5000 };

/* RFC 9051 7.1.5 with RFC 5530's code; RFC 3206 4; RFC 5321 3.8 with RFC 3463's; RFC 9110 15.6.4.
 */
#define LATER "Too many connections, try again later\r\n"
static const char *const no_room_words[SERVICE_COUNT] = {
    [SERVICE_IMAP] = "* BYE [UNAVAILABLE] " LATER,
    [SERVICE_IMAPS] = "* BYE [UNAVAILABLE] " LATER,
    [SERVICE_POP3] = "-ERR [SYS/TEMP] " LATER,
    [SERVICE_POP3S] = "-ERR [SYS/TEMP] " LATER,
    [SERVICE_POP2] = "- " LATER,
    [SERVICE_LMTP] = " " LATER,
    [SERVICE_SMTP] = " " LATER,
    [SERVICE_METRICS] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n",
};

static void say_no_room(const Connection *c)
{
    Slice host = config_of(c)->hostname;
    Buf *out = stream_out(c->stream);
    if (c->service == SERVICE_LMTP || c->service == SERVICE_SMTP)
        buf_printf(out, "421 4.3.2 %.*s", SP(host));
    buf_add(out, slice_of(no_room_words[c->service]));
}

PARKS static void refuse(void *arg)
{
    Connection *c = arg;
    Porch *d = c->porch;
    stream_set_write_timeout(c->stream, REFUSE_MS);
    Err err = stream_attach(c->stream);
    if (!err && is_tls_from_start(c->service)) err = greet_tls(c);
    if (!err) {
        say_no_room(c);
        stream_finish(c->stream);
    }
    stream_free(c->stream);
    free(c);
    atomic_fetch_sub(&d->refusing, 1);
}

static void no_room(Connection *c, Metric why)
{
    Porch *d = c->porch;
    refusal_limit(c->stream, service_names[c->service], why, (Slice){0});
    if (atomic_fetch_add(&d->refusing, 1) < REFUSING_MOST) {
        fiber_start("refuse", refuse, c);
        return;
    }
    atomic_fetch_sub(&d->refusing, 1);
    stream_free(c->stream);
    free(c);
}

/* ---- accepting ---- */

static void gone(void *arg)
{
    porch_knows(arg); /* nobody cuts a stream that is being freed */
}

void porch_arrived(Porch *d, Service service, Sock *sock)
{
    static unsigned turn; /* loop 0 only */
    Connection *c = NEW(Connection);
    c->porch = d, c->service = service, c->stream = stream_new(sock);
    name_remote(c);
    Metric why = why_not(c);
    if (why != METRIC_COUNT) {
        no_room(c, why);
        return;
    }
    stream_on_free(c->stream, gone, c);
    let_in(c);
    fiber_start_on(loop_at(turn++ % loop_count()), service_names[service], connection_begins, c);
}

typedef struct {
    Link of_porch;
    Porch *porch;
    Service service;
    Sock *sock;
    Fiber *fiber;
    bool closed;
} Listening;

/* What errors there are are of this moment: no descriptors, no memory. */
PARKS static bool accept_one(Listening *l)
{
    enum { PAUSE_MS = 100 };
    Sock *sock;
    Err err = sock_try_accept(l->sock, &sock);
    if (!err && sock) {
        porch_arrived(l->porch, l->service, sock);
        breathe();
        return true;
    }
    if (err) return fiber_sleep(PAUSE_MS) != WOKEN_CANCELLED;
    return sock_wait(l->sock, SOCK_READABLE, NEVER, true) != WOKEN_CANCELLED;
}

PARKS static void accept_all(void *arg)
{
    Listening *l = arg;
    while (!l->closed && !run_is_cancelled() && accept_one(l)) {
    }
    list_remove(&l->of_porch);
    sock_close(l->sock);
    free(l);
}

void porch_open(Porch *d, Service service, Sock *listener)
{
    Listening *l = NEW(Listening);
    l->porch = d, l->service = service, l->sock = listener;
    list_add(&d->listeners, &l->of_porch);
    l->fiber = fiber_start("accept", accept_all, l);
}

void porch_close(Porch *d)
{
    list_each (link, &d->listeners) {
        Listening *l = CONTAINER(link, Listening, of_porch);
        l->closed = true;
        fiber_nudge(l->fiber);
    }
}

void porch_init(Porch *d)
{
    *d = (Porch){0};
    list_init(&d->strangers);
    list_init(&d->listeners);
}

PARKS void porch_drain(Porch *d, int64_t ms)
{
    int64_t deadline = now_ms() + ms;
    Cond nobody = {0}; /* a pause that run_cancel does not cut short */
    while (atomic_load(&d->connections) + atomic_load(&d->refusing) && now_ms() < deadline)
        cond_wait(&nobody, now_ms() + 5);
}
