#include "house/porch.h"

#include "house/house_world.h"

#include <stdio.h>
#include <sys/resource.h>

/* Clients on the loopback interface, which have addresses; each is accepted and handed over at
 * once. */
typedef struct {
    HouseWorld w;
    Sock *listener;
    Address at;
} Port;

PARKS static void port_open(Port *p, const char *most, const char *per_address)
{
    Err err = ERR_IN_USE;
    house_world_open(&p->w);
    Config *c = &atomic_load(&p->w.house->now)->config;
    check_ok(config_set(c, S("connections_most"), slice_of(most)));
    check_ok(config_set(c, S("connections_per_address"), slice_of(per_address)));
    for (int i = 0; i < 100 && err; i++) {
        char text[32];
        snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)(20000 + random_u64() % 30000));
        check_ok(address_parse(slice_of(text), &p->at));
        err = sock_listen(&p->at, &p->listener);
    }
    check_ok(err);
}

PARKS static void port_close(Port *p)
{
    house_drain(p->w.house, 20000);
    check_u64(atomic_load(&p->w.house->porch.connections), 0);
    check_u64(board_count(p->w.house->board, S("127.0.0.1")), 0);
    check_u64(board_strangers(p->w.house->board), 0);
    sock_close(p->listener);
    house_world_close(&p->w);
}

PARKS static Stream *come(Port *p, Service service)
{
    Sock *ours, *theirs;
    check_ok(sock_connect(&p->at, now_ms() + 10000, &ours));
    check_ok(sock_accept(p->listener, &theirs));
    sock_detach(theirs);
    porch_arrived(&p->w.house->porch, service, theirs);
    Stream *s = stream_new(ours);
    stream_set_deadline(s, now_ms() + 20000);
    return s;
}

/* The first line, or what is wrong. */
PARKS static Slice greeting(Port *p, Stream *s)
{
    Slice line = {0};
    if (stream_line(s, 1000, &line) != LINE_CRLF) return S("(nothing)");
    return arena_copy(&p->w.arena, line);
}

PARKS static void wait_for_connections(Port *p, unsigned count)
{
    for (int i = 0; i < 2000 && atomic_load(&p->w.house->porch.connections) != count; i++)
        fiber_sleep(5);
    check_u64(atomic_load(&p->w.house->porch.connections), count);
}

static uint64_t refusals(Port *p)
{
    return board_sum(p->w.house->board, METRIC_REFUSED_TOTAL) +
           board_sum(p->w.house->board, METRIC_REFUSED_ADDRESS);
}

static const struct {
    Service service;
    const char *welcome, *refusal;
} rows[] = {
    {SERVICE_IMAP,  "* OK ",   "* BYE [UNAVAILABLE] "},
    {SERVICE_IMAPS, "* OK ",   "* BYE [UNAVAILABLE] "},
    {SERVICE_POP3,  "+OK ",    "-ERR [SYS/TEMP] "    },
    {SERVICE_POP3S, "+OK ",    "-ERR [SYS/TEMP] "    },
    {SERVICE_SMTP,  "220 ",    "421 4.3.2 "          },
    {SERVICE_LMTP,  "220 ",    "421 4.3.2 "          },
    {SERVICE_POP2,  "+ POP2 ", "- Too many "         },
};

PARKS static Slice hear(Port *p, Stream *s, Service service)
{
    TlsContext *ctx scoped(tls) = NULL;
    if (service == SERVICE_IMAPS || service == SERVICE_POP3S) {
        ctx = tls_client_new(false);
        check_ok(stream_start_tls_client(s, ctx, S("localhost")));
    }
    return greeting(p, s);
}

TEST(who_is_over_the_limit_is_told_so_in_his_language)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        Port p;
        port_open(&p, "100", "2");
        Stream *a scoped(stream) = come(&p, rows[i].service), *b scoped(stream) = NULL,
                  *c scoped(stream) = NULL, *d scoped(stream) = NULL;
        check(slice_starts(hear(&p, a, rows[i].service), slice_of(rows[i].welcome)));
        b = come(&p, rows[i].service);
        check(slice_starts(hear(&p, b, rows[i].service), slice_of(rows[i].welcome)));
        c = come(&p, rows[i].service);
        Slice said = hear(&p, c, rows[i].service);
        check_slice(slice_first(said, strlen(rows[i].refusal)), slice_of(rows[i].refusal));
        check_slice(greeting(&p, c), S("(nothing)")); /* and then the end */
        stream_free(b);
        b = NULL;
        wait_for_connections(&p, 1);
        d = come(&p, rows[i].service);
        check(slice_starts(hear(&p, d, rows[i].service), slice_of(rows[i].welcome)));
        check_u64(refusals(&p), 1);
        check_u64(board_sum(p.w.house->board, (Metric)(METRIC_ACCEPTED_IMAP + rows[i].service)), 3);
        stream_free(a), stream_free(c), stream_free(d);
        a = c = d = NULL;
        port_close(&p);
    }
}

TEST(the_house_has_a_limit_too)
{
    Port p;
    port_open(&p, "3", "100");
    Stream *s[5];
    for (size_t i = 0; i < COUNT(s); i++) {
        s[i] = come(&p, SERVICE_IMAP);
        check(slice_starts(greeting(&p, s[i]), i < 3 ? S("* OK") : S("* BYE")));
    }
    for (size_t i = 0; i < COUNT(s); i++)
        stream_free(s[i]);
    wait_for_connections(&p, 0);
    s[0] = come(&p, SERVICE_POP3);
    check(slice_starts(greeting(&p, s[0]), S("+OK")));
    stream_free(s[0]);
    port_close(&p);
}

/* Words cost something: beyond a number of those who are just being told, the door only closes. */
TEST(a_flood_does_not_make_us_talk_without_end)
{
    Port p;
    enum { FLOOD = 300 };
    port_open(&p, "0", "100");
    Stream *s[FLOOD];
    unsigned told = 0;
    for (size_t i = 0; i < FLOOD; i++) {
        s[i] = come(&p, SERVICE_IMAPS); /* silent clients: the handshake waits for them */
        check(atomic_load(&p.w.house->porch.refusing) <= 200);
        told = MAX(told, atomic_load(&p.w.house->porch.refusing));
    }
    check_u64(told, 200);
    check_u64(refusals(&p), FLOOD);
    for (size_t i = 0; i < FLOOD; i++)
        stream_free(s[i]);
    port_close(&p);
}

/* They are silent; who comes last can always log in. */
TEST(of_too_many_strangers_the_oldest_goes)
{
    Port p;
    enum { MOST = 5 };
    port_open(&p, "100", "100");
    Config *config = &atomic_load(&p.w.house->now)->config;
    check_ok(config_set(config, S("strangers_most"), S("5")));
    Stream *s[MOST * 2];
    for (size_t i = 0; i < COUNT(s); i++) {
        s[i] = come(&p, SERVICE_IMAP);
        check(slice_starts(greeting(&p, s[i]), S("* OK")));
    }
    for (size_t i = 0; i < MOST; i++)
        check_slice(greeting(&p, s[i]), S("(nothing)"));
    check_u64(board_sum(p.w.house->board, METRIC_REFUSED_STRANGERS), MOST);
    check_u64(board_strangers(p.w.house->board), MOST);
    Stream *last = s[COUNT(s) - 1];
    stream_printf(last, "a NOOP\r\n");
    check_ok(stream_flush(last));
    check_slice(greeting(&p, last), S("a OK NOOP completed"));
    for (size_t i = 0; i < COUNT(s); i++)
        stream_free(s[i]);
    port_close(&p);
}

TEST(nobody_comes_in_while_memory_is_short)
{
    Port p;
    port_open(&p, "100", "100");
    Stream *a scoped(stream) = come(&p, SERVICE_IMAP), *b scoped(stream) = NULL,
              *c scoped(stream) = NULL;
    check(slice_starts(greeting(&p, a), S("* OK")));
    board_set_memory_short(p.w.house->board, true);
    b = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, b), S("* BYE [UNAVAILABLE]")));
    check_u64(board_sum(p.w.house->board, METRIC_REFUSED_MEMORY), 1);
    stream_printf(a, "a NOOP\r\n"); /* who is there stays */
    check_ok(stream_flush(a));
    check_slice(greeting(&p, a), S("a OK NOOP completed"));
    board_set_memory_short(p.w.house->board, false);
    mem_deny(1); /* nobody says so yet, but there is none */
    Stream *d scoped(stream) = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, d), S("* BYE [UNAVAILABLE]")));
    mem_deny(0);
    c = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, c), S("* OK")));
    stream_free(a), stream_free(b), stream_free(c);
    a = b = c = NULL;
    port_close(&p);
}

/* The only stranger stays: he may be the good client. */
TEST(the_last_stranger_is_not_cut)
{
    Port p;
    port_open(&p, "100", "100");
    Config *config = &atomic_load(&p.w.house->now)->config;
    check_ok(config_set(config, S("strangers_most"), S("1")));
    Stream *a = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, a), S("* OK")));
    Stream *b = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, b), S("* OK")));
    check_u64(board_sum(p.w.house->board, METRIC_REFUSED_STRANGERS), 0);
    Stream *c = come(&p, SERVICE_IMAP);
    check(slice_starts(greeting(&p, c), S("* OK")));
    check_slice(greeting(&p, a), S("(nothing)"));
    check_u64(board_sum(p.w.house->board, METRIC_REFUSED_STRANGERS), 1);
    stream_free(a), stream_free(b), stream_free(c);
    port_close(&p);
}

/* When half of it has gone, the allocator is asked to give back what it used. */
TEST(a_crowd_comes_and_goes)
{
    enum { CROWD = 600 };
    static Stream *s[CROWD];
    struct rlimit before, more;
    Port p;
    port_open(&p, "1000", "1000");
    check(getrlimit(RLIMIT_NOFILE, &before) == 0);
    more = before;
    more.rlim_cur = more.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &more) == 0);
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < CROWD; i++)
            s[i] = come(&p, SERVICE_IMAP);
        check_u64(atomic_load(&p.w.house->porch.crowd), CROWD);
        for (size_t i = 0; i < CROWD; i++)
            stream_free(s[i]);
        wait_for_connections(&p, 0);
        check(atomic_load(&p.w.house->porch.crowd) <= CROWD / 2);
    }
    port_close(&p);
    check(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST(scrapers_are_told_in_http)
{
    Port p;
    port_open(&p, "0", "100");
    Stream *s = come(&p, SERVICE_METRICS);
    check_slice(greeting(&p, s), S("HTTP/1.1 503 Service Unavailable"));
    stream_free(s);
    port_close(&p);
}

/* Silent in the TLS hello, and a server without a certificate. */
TEST(no_talk_without_a_handshake)
{
    Port p;
    port_open(&p, "100", "100");
    Config *config = &atomic_load(&p.w.house->now)->config;
    check_ok(config_set(config, S("tls_time"), S("1")));
    Stream *silent = come(&p, SERVICE_IMAPS);
    check_slice(greeting(&p, silent), S("(nothing)"));
    check_u64(board_sum(p.w.house->board, METRIC_CUT_SLOW), 1);
    TlsContext *before scoped(tls) = tls_current();
    tls_set_current(NULL);
    Stream *s = come(&p, SERVICE_POP3S);
    check_slice(greeting(&p, s), S("(nothing)"));
    tls_set_current(before);
    stream_free(silent), stream_free(s);
    port_close(&p);
}

/* Without descriptors nobody is accepted; with some again, who waited is. */
TEST(who_waits_at_a_full_house_comes_in_later)
{
    struct rlimit enough, none;
    Sock *ours;
    Port p;
    port_open(&p, "100", "100");
    check(getrlimit(RLIMIT_NOFILE, &enough) == 0);
    none = enough;
    none.rlim_cur = 3;
    check_ok(sock_connect(&p.at, now_ms() + 10000, &ours));
    Stream *s = stream_new(ours);
    stream_set_deadline(s, now_ms() + 20000);
    check(setrlimit(RLIMIT_NOFILE, &none) == 0);
    porch_open(&p.w.house->porch, SERVICE_IMAP, p.listener);
    fiber_sleep(150);
    check_u64(atomic_load(&p.w.house->porch.connections), 0);
    check(setrlimit(RLIMIT_NOFILE, &enough) == 0);
    check(slice_starts(greeting(&p, s), S("* OK")));
    int64_t begin = now_ms();
    porch_drain(&p.w.house->porch, 30); /* it is still there */
    check(now_ms() - begin >= 30);
    check_u64(atomic_load(&p.w.house->porch.connections), 1);
    stream_free(s);
    porch_close(&p.w.house->porch);
    p.listener = NULL;
    fiber_sleep(20);
    port_close(&p);
}

/* A Unix socket has no address, and no number of them is too many; and one of IPv6 has another
 * kind.
 */
TEST(guests_without_an_address)
{
    Port p;
    Sock *ours, *theirs;
    port_open(&p, "100", "0");
    check_ok(sock_pair(&ours, &theirs));
    sock_detach(theirs);
    porch_arrived(&p.w.house->porch, SERVICE_IMAP, theirs);
    Stream *s = stream_new(ours);
    stream_set_deadline(s, now_ms() + 20000);
    check(slice_starts(greeting(&p, s), S("* OK")));
    check_u64(board_strangers(p.w.house->board), 0);
    stream_free(s);
    sock_close(p.listener);
    Address six = {.host = "::1", .port = p.at.port};
    p.at = six;
    if (sock_listen(&six, &p.listener)) { /* a kernel without IPv6 */
        p.listener = NULL;
    } else {
        s = come(&p, SERVICE_IMAP);
        check(slice_starts(greeting(&p, s), S("* BYE")));
        stream_free(s);
    }
    port_close(&p);
}
