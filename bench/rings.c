/* What it costs that a front and a house are two processes.
 *
 * usage: build/micro rings [REQUESTS] [MEGABYTES] [CONNECTIONS]
 *
 * One octet there and one back between two processes: over a Unix socket pair, over a bare ring,
 * and all the way from a client's socket through relay, ring and tunnel to a Stream of the house.
 * Then many octets from the house to the client. Then what a connection at rest takes in each
 * process. Times are of the clock and of both processors' work; on a busy machine only the latter
 * means much. */
#include "micro.h"
#include "net/relay.h"
#include "net/tunnel.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/real.h"

static unsigned long requests = 100000, megabytes = 1000, connections = 5000;
static RingWay what;
static RingFds fds;
static int pair[2];
static int told[2]; /* a pipe: what the house measured */

/* ---- the house: a process of its own ---- */

PARKS static void answer(Stream *s)
{
    char octet;
    while (stream_read(s, &octet, 1)) {
        stream_put(s, slice(&octet, 1));
        if (stream_flush(s)) break;
    }
}

PARKS static void pour(Stream *s)
{
    static char octets[65536];
    char octet;
    if (!stream_read(s, &octet, 1)) return;
    for (unsigned long n = 0; n < megabytes * 16 && !stream_error(s); n++)
        stream_put(s, slice(octets, sizeof octets));
    stream_finish(s);
}

PARKS static void serve(void *arg, Stream *stream, Slice service, Slice record)
{
    Stream *s scoped(stream) = stream;
    (void)arg, (void)record;
    if (slice_eq(service, S("pour")))
        pour(s);
    else
        answer(s);
}

PARKS static void house_by_ring(Ring *r)
{
    Slice message;
    for (unsigned long n = 0; n < requests; n++) {
        while (!ring_next(r, &message))
            ring_wait(r, true, false, NEVER, false);
        char octet = message.at[0];
        ring_took(r);
        ring_put(r, &(Slice){&octet, 1}, 1);
    }
    fiber_sleep(50);
}

static Stream *socket_stream(int fd)
{
    Sock *sock;
    if (real_sock_adopt(fd, &sock)) exit(1);
    return stream_new(sock);
}

static size_t heap(void)
{
    return mallinfo2().uordblks;
}

PARKS static void house_at_rest(Tunnel *t)
{
    size_t before = heap();
    (void)t;
    fiber_sleep(6000);
    size_t after = heap();
    (void)!write(told[1], &(size_t){after - before}, sizeof after);
}

PARKS_UNCHECKED static void house(void *arg)
{
    (void)arg;
    Ring *r;
    if (what == BY_SOCKET || what == BULK_SOCKET) {
        Stream *s scoped(stream) = socket_stream(pair[1]);
        if (what == BY_SOCKET)
            answer(s);
        else
            pour(s);
        return;
    }
    if (ring_open(&fds, false, &r)) exit(1);
    if (what == BY_RING) {
        if (ring_attach(r)) exit(1);
        house_by_ring(r);
        return;
    }
    Tunnel *t;
    TunnelConfig config = {.serve = serve};
    if (tunnel_open(&config, &r, 1, &t)) exit(1);
    if (what == AT_REST) house_at_rest(t);
    while (fiber_sleep(10000) != WOKEN_CANCELLED)
        ;
}

/* ---- the front, and a client in it ---- */

static double work_of(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

PARKS static void ask(Stream *s)
{
    char octet = 'x';
    for (unsigned long n = 0; n < requests; n++) {
        stream_put(s, slice(&octet, 1));
        if (stream_flush(s) || !stream_read(s, &octet, 1)) exit(1);
    }
}

PARKS static void drink(Stream *s)
{
    char octet = 'x';
    uint64_t sum = 0;
    stream_put(s, slice(&octet, 1));
    if (stream_flush(s)) exit(1);
    for (Slice part; (part = stream_some(s, 65536)).len;)
        sum += part.len;
    if (sum != (uint64_t)megabytes << 20) printf("only %llu\n", (unsigned long long)sum);
}

PARKS static void front_by_ring(Ring *r)
{
    char octet = 'x';
    Slice message;
    for (unsigned long n = 0; n < requests; n++) {
        ring_put(r, &(Slice){&octet, 1}, 1);
        while (!ring_next(r, &message))
            ring_wait(r, true, false, NEVER, false);
        ring_took(r);
    }
}

static Gates *gates;
static const char *service = "answer";

PARKS_UNCHECKED static void relays(void *arg)
{
    Stream *s scoped(stream) = arg;
    Buf back buf_scoped = {0};
    RelayOpen how = {.service = slice_of(service)};
    relay_serve(s, gates, &how, &back);
}

static Stream *call(void)
{
    Stream *client, *front;
    if (stream_pair(&client, &front)) exit(1);
    fiber_start("relay", relays, front);
    return client;
}

PARKS static void front_at_rest(void)
{
    static Stream *client[20000];
    char octet = 'x';
    connections = MIN(connections, 20000ul);
    size_t streams = heap();
    for (unsigned long i = 0; i < connections; i++) {
        Stream *other;
        if (stream_pair(&client[i], &other)) exit(1);
        stream_free(other);
        stream_free(client[i]);
        client[i] = call();
        stream_put(client[i], slice(&octet, 1));
        if (stream_flush(client[i]) || !stream_read(client[i], &octet, 1)) exit(1);
        stream_rest(client[i]);
    }
    fiber_sleep(3500);
    size_t house_has, we_have = heap() - streams;
    (void)!read(told[0], &house_has, sizeof house_has);
    printf("at rest: front %zu octets a connection (with both streams of the pair and the folded "
           "fiber), house %zu (with its stream and fiber)\n",
           we_have / connections, house_has / connections);
}

PARKS_UNCHECKED static void front(void *arg)
{
    (void)arg;
    Ring *r;
    if (what == BY_SOCKET || what == BULK_SOCKET) {
        Stream *s scoped(stream) = socket_stream(pair[0]);
        if (what == BY_SOCKET)
            ask(s);
        else
            drink(s);
        return;
    }
    if (ring_open(&fds, true, &r)) exit(1);
    if (what == BY_RING) {
        if (ring_attach(r)) exit(1);
        front_by_ring(r);
        return;
    }
    service = what == BULK_WHOLE ? "pour" : "answer";
    gates = gates_new(&(GatesConfig){0});
    if (gates_replace(gates, &r, 1)) exit(1);
    if (what == AT_REST) {
        front_at_rest();
        return;
    }
    Stream *s scoped(stream) = call();
    if (what == WHOLE)
        ask(s);
    else
        drink(s);
}

static Measured measure(RingWay of)
{
    RunConfig one = {.loops = 1, .helpers = 1};
    what = of;
    RingFds theirs;
    if (ring_make(&fds) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) || pipe(told))
        exit(1);
    theirs = (RingFds){dup(fds.memory), dup(fds.wake_first), dup(fds.wake_second)};
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        close(pair[0]);
        fds = theirs;
        _exit(run_start(&one, house, NULL) ? 1 : 0);
    }
    close(pair[1]);
    int64_t began = now_us();
    double ours = work_of(RUSAGE_SELF), others = work_of(RUSAGE_CHILDREN);
    if (run_start(&one, front, NULL)) exit(1);
    double us = (double)(now_us() - began);
    close(pair[0]);
    kill(pid, SIGTERM);
    usleep(20000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    double work = (work_of(RUSAGE_SELF) - ours + work_of(RUSAGE_CHILDREN) - others) * 1e6;
    double count = (double)(of == BULK_SOCKET || of == BULK_WHOLE ? megabytes : requests);
    return (Measured){us / count, work / count};
}

Measured ring_measure(RingWay way, unsigned long count)
{
    requests = megabytes = count;
    return measure(way);
}

int rings_main(int argc, char **argv)
{
    static const char *const names[] = {
        [BY_SOCKET] = "one octet and back, socket pair",
        [BY_RING] = "one octet and back, ring",
        [WHOLE] = "one octet and back, client to house and back",
        [BULK_SOCKET] = "a megabyte, socket pair",
        [BULK_WHOLE] = "a megabyte, house to client",
    };
    if (argc > 1) requests = strtoul(argv[1], NULL, 10);
    if (argc > 2) megabytes = strtoul(argv[2], NULL, 10);
    if (argc > 3) connections = strtoul(argv[3], NULL, 10);
    for (RingWay way = BY_SOCKET; way < AT_REST; way++) {
        Measured m = measure(way);
        printf("%-48s %7.2f us, %7.2f us of work\n", names[way], m.us, m.work);
    }
    measure(AT_REST);
    return 0;
}
