#pragma once
/* Stream sockets of the world, or of the simulated network. A Sock belongs to the loop it was
 * attached to; only fibers of that loop use it. sock_try_* never wait; the PARKS ones do. */
#include "run/run.h"

typedef struct Sock Sock;

/* Where to listen or connect: "127.0.0.1:143", "[::1]:143", "*:143" (both families), "unix:/path".
 * No names: DNS is the runner's. */
typedef struct {
    char host[108]; /* or the path */
    uint16_t port;  /* 0: a Unix socket */
    bool for_all;   /* a Unix socket to listen at: every user may connect; else only ours */
} Address;
Err address_parse(Slice text, Address *out) MUST_USE;
/* An IPv6 address stands for one customer with its first 64 bits (RFC 6177): "2001:db8:1:2::". Any
 * other text is what it is; one of IPv4 within IPv6 is of IPv4. In `room` or in `host`. */
enum { NETWORK_ROOM = 48 };
Slice address_network(Slice host, char room[NETWORK_ROOM]);
void address_print(Buf *out,
                   const Address *a); /* "192.0.2.1", "2001:db8::1", "unix" - without the port */

Err sock_listen(const Address *at, Sock **listener) MUST_USE;
PARKS Err sock_accept(Sock *listener,
                      Sock **conn) MUST_USE; /* attached to this loop. ERR_CANCELLED; ERR_LIMIT: no
                                                more descriptors, wait a little */
PARKS Err sock_connect(const Address *to, int64_t deadline_ms, Sock **conn) MUST_USE;
/* NULL: nobody is there now, wait; else a connection of no loop, for sock_attach. */
Err sock_try_accept(Sock *listener, Sock **conn) MUST_USE;
void sock_close(Sock *s); /* no fiber may be waiting on it */
SCOPED(Sock, sock, sock_close)
Address sock_peer(const Sock *s);
Address sock_local(const Sock *s);

/* got or sent 0 with OK: nothing to be had now, sock_wait first. ERR_END: the peer has closed. */
Err sock_try_read(Sock *s, void *out, size_t len, size_t *got) MUST_USE;
Err sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent) MUST_USE;
/* The next try to read looks, also when the loop has not been told of anything. */
void sock_recheck(Sock *s);
/* While it is true a write is followed by another at once: the kernel may join them. The last one
 * is written with it false. */
void sock_more(Sock *s, bool more);
typedef enum { SOCK_READABLE = 1, SOCK_WRITABLE = 2 } SockEvents;
/* Until ready, the deadline, a nudge if listening to nudges, or run_cancel. */
PARKS Wake sock_wait(Sock *s, SockEvents what, int64_t deadline_ms, bool nudges);
/* The same for who goes on only when it is ready: ERR_TIMEOUT, ERR_CANCELLED. Hears no nudges. */
PARKS Err sock_await(Sock *s, SockEvents what, int64_t deadline_ms, const char *doing) MUST_USE;
void sock_shutdown(Sock *s); /* no more writes from us; the peer sees the end */
void sock_cut(Sock *s);      /* neither way any more; both see the end. Any thread */

/* To carry a connection to another loop: detach here, hand it over, attach there. No fiber may wait
 * on it meanwhile. */
void sock_detach(Sock *s);
Err sock_attach(Sock *s) MUST_USE;
/* Two ends joined in memory or by socketpair; for tests and for talks. Both attached to this loop.
 */
Err sock_pair(Sock **a, Sock **b) MUST_USE;
