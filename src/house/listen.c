#include "house/listen.h"

#include "run/log.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>

const char *const service_names[SERVICE_COUNT] = {"imap", "imaps", "pop3", "pop3s",
                                                  "lmtp", "smtp",  "pop2"};
enum { TLS_HELLO_MS = 10000 };

/* ---- how many of whom ---- */

/* IPv6: the first 64 bits stand for one customer. Unix sockets are not counted. */
static void name_remote(Connection *c)
{
    Address peer = stream_peer(c->stream);
    Buf text buf_scoped = {0};
    size_t colons = 0;
    if (!peer.port) return;
    address_print(&text, &peer);
    for (size_t i = 0; i < text.len && i + 1 < sizeof c->remote; i++) {
        if (text.at[i] == ':' && ++colons == 4) break;
        c->remote[i] = text.at[i];
    }
}

/* ---- what a crowd leaves behind ---- */

enum { CROWD = 256 };
static atomic_bool giving_back;

static void give_back(Job *job)
{
    (void)job;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void gave_back(Job *job)
{
    (void)job;
    atomic_store(&giving_back, false);
}

/* When half of a crowd has gone: the allocator keeps what thousands of TLS connections used, in
 * pieces, unless it is asked. The house may be gone once the last connection is. */
static void has_left(House *h)
{
    static Job job;
    unsigned crowd = atomic_load(&h->crowd), left = atomic_load(&h->connections) - 1;
    bool thin = crowd >= CROWD && left <= crowd / 2 && !atomic_exchange(&giving_back, true);
    if (thin) atomic_store(&h->crowd, left);
    atomic_fetch_sub(&h->connections, 1);
    if (!thin) return;
    job = (Job){.work = give_back, .done = gave_back, .loop = loop_current()};
    aside_post(&job);
}

static unsigned has_come(House *h)
{
    unsigned before = atomic_fetch_add(&h->connections, 1);
    if (before >= atomic_load(&h->crowd)) atomic_store(&h->crowd, before + 1);
    return before;
}

/* ---- who is let in ---- */

static bool admit(Connection *c)
{
    House *h = c->house;
    const Config *config = house_config(h);
    bool fits = has_come(h) < config->connections_most;
    if (c->remote[0] && fits) {
        Slice key = slice_of(c->remote);
        mutex_lock(&h->lock);
        uintptr_t have = (uintptr_t)table_get(&h->addresses, key);
        fits = have < config->connections_per_address;
        if (fits) table_put(&h->addresses, key, (void *)(have + 1));
        mutex_unlock(&h->lock);
        c->counted = fits;
    }
    if (fits) atomic_fetch_add(&h->by_service[c->service], 1);
    if (!fits) atomic_fetch_sub(&h->connections, 1);
    return fits;
}

static void connection_ended(void *arg)
{
    Connection *c = arg;
    House *h = c->house;
    if (c->counted) {
        Slice key = slice_of(c->remote);
        mutex_lock(&h->lock);
        uintptr_t have = (uintptr_t)table_take(&h->addresses, key);
        if (have > 1) table_put(&h->addresses, key, (void *)(have - 1));
        mutex_unlock(&h->lock);
    }
    Service service = c->service;
    free(c);
    atomic_fetch_sub(&h->by_service[service], 1);
    has_left(h); /* last: house_drain waits for it */
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
    stream_set_deadline(c->stream, now_ms() + TLS_HELLO_MS);
    stream_set_alpn(c->stream, c->service == SERVICE_IMAPS ? S("imap") : S("pop3"));
    Err err = stream_start_tls(c->stream, ctx);
    stream_set_deadline(c->stream, NEVER);
    return err;
}

PARKS static void serve(Connection *c)
{
    Snapshot *s = atomic_load(&c->house->now);
    switch (c->service) {
    case SERVICE_IMAP:
    case SERVICE_IMAPS:
        imap_serve(c->stream, &s->imap, connection_ended, c);
        return;
    case SERVICE_POP3:
    case SERVICE_POP3S:
        pop3_serve(c->stream, &s->pop3, connection_ended, c);
        return;
    case SERVICE_POP2:
        pop2_serve(c->stream, &s->pop3, connection_ended, c);
        return;
    case SERVICE_LMTP:
    case SERVICE_SMTP:
        smtp_serve(c->stream, &s->smtp, c->service == SERVICE_LMTP);
        break;
    case SERVICE_COUNT:
        break;
    }
    stream_finish(c->stream);
    stream_free(c->stream);
    connection_ended(c);
}

PARKS static void connection_begins(void *arg)
{
    Connection *c = arg;
    Err err = stream_attach(c->stream);
    if (!err && is_tls_from_start(c->service)) err = greet_tls(c);
    if (!err) {
        serve(c);
        return;
    }
    log_err(LOG_LEVEL_INFO, "tls_failed", err, KV_TEXT("remote", c->remote),
            KV_TEXT("service", service_names[c->service]));
    stream_free(c->stream);
    connection_ended(c);
}

/* ---- no room ---- */

/* Words for a flood would be one more thing to be flooded with. */
enum { REFUSING_MOST = 200, REFUSE_MS = 5000 };

/* RFC 9051 7.1.5 with RFC 5530's code; RFC 3206 4; RFC 5321 3.8 with RFC 3463's. */
static void say_no_room(Connection *c)
{
    Slice host = house_config(c->house)->hostname;
    Buf *out = stream_out(c->stream);
    switch (c->service) {
    case SERVICE_IMAP:
    case SERVICE_IMAPS:
        buf_add(out, S("* BYE [UNAVAILABLE] Too many connections, try again later\r\n"));
        break;
    case SERVICE_POP3:
    case SERVICE_POP3S:
        buf_add(out, S("-ERR [SYS/TEMP] Too many connections, try again later\r\n"));
        break;
    case SERVICE_POP2:
        buf_add(out, S("- Too many connections, try again later\r\n"));
        break;
    case SERVICE_LMTP:
    case SERVICE_SMTP:
        buf_printf(out, "421 4.3.2 %.*s Too many connections, try again later\r\n", SP(host));
        break;
    case SERVICE_COUNT:
        break;
    }
}

PARKS static void refuse(void *arg)
{
    Connection *c = arg;
    House *h = c->house;
    stream_set_write_timeout(c->stream, REFUSE_MS);
    if (!is_tls_from_start(c->service) || greet_tls(c) == OK) {
        say_no_room(c);
        stream_finish(c->stream);
    }
    stream_free(c->stream);
    free(c);
    atomic_fetch_sub(&h->refusing, 1);
}

static void no_room(Connection *c)
{
    House *h = c->house;
    atomic_fetch_add(&h->refused, 1);
    log_event(LOG_LEVEL_WARN, "refused", KV_TEXT("remote", c->remote),
              KV_TEXT("service", service_names[c->service]),
              KV_TEXT("why", "too many connections"));
    if (atomic_fetch_add(&h->refusing, 1) < REFUSING_MOST) {
        fiber_start("refuse", refuse, c);
        return;
    }
    atomic_fetch_sub(&h->refusing, 1);
    stream_free(c->stream);
    free(c);
}

/* ---- accepting ---- */

typedef struct {
    House *house;
    Service service;
    Sock *sock;
} Listening;

void listen_arrived(House *h, Service service, Sock *sock)
{
    static unsigned turn; /* loop 0 only */
    Connection *c = NEW(Connection);
    c->house = h, c->service = service, c->stream = stream_new(sock);
    name_remote(c);
    if (!admit(c)) {
        no_room(c);
        return;
    }
    atomic_fetch_add(&h->accepted[service], 1);
    stream_detach(c->stream);
    fiber_start_on(loop_at(turn++ % loop_count()), service_names[service], connection_begins, c);
}

PARKS static void accept_all(void *arg)
{
    Listening *l = arg;
    Sock *sock;
    for (;;) {
        Err err = sock_accept(l->sock, &sock);
        if (err == ERR_CANCELLED) break;
        if (!err)
            listen_arrived(l->house, l->service, sock);
        else if (fiber_sleep(100) == WOKEN_CANCELLED)
            break;
    }
    sock_close(l->sock);
    free(l);
}

static Err listen_at(House *h, Service service, Slice where)
{
    Address at;
    TRY(address_parse(where, &at));
    at.for_all = true; /* who may connect is said by its directory: Postfix is another user */
    Listening *l = NEW(Listening);
    *l = (Listening){h, service, NULL};
    Err err = sock_listen(&at, &l->sock);
    if (err) {
        free(l);
        return err;
    }
    fiber_start("accept", accept_all, l);
    return OK;
}

PARKS Err house_listen(House *h)
{
    const Config *c = house_config(h);
    const Words *where[SERVICE_COUNT] = {&c->listen_imap,  &c->listen_imaps, &c->listen_pop3,
                                         &c->listen_pop3s, &c->listen_lmtp,  &c->listen_smtp,
                                         &c->listen_pop2};
    for (int s = 0; s < SERVICE_COUNT; s++)
        for (size_t i = 0; i < where[s]->count; i++)
            TRY(listen_at(h, (Service)s, where[s]->items[i]));
    return OK;
}
