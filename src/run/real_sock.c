/* Sockets of the kernel. Each is registered with its loop's epoll once, edge-triggered, for what
 * can be read; `ready` keeps what the edges said. That there is room to write again is asked for
 * when somebody waits for it: a socket pair tells it for each message that the peer takes. */
#include "run/process.h"
#include "run/real.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} InternetName;

typedef struct {
    Sock sock;
    int fd;
    bool tells_room;   /* epoll tells that there is room to write */
    bool is_armed;     /* it listens, and epoll tells of who comes */
    InternetName from; /* who was accepted; else nothing */
} RealSock;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
} Name;

static RealSock *real(const Sock *s)
{
    return (RealSock *)(uintptr_t)s; /* the Sock is its first member */
}

static Err sock_failed(const char *doing)
{
    int e = errno;
    bool gone = e == ECONNRESET || e == EPIPE || e == ECONNABORTED;
    bool none_left = e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
    return fail(gone              ? ERR_END
                : none_left       ? ERR_LIMIT
                : e == EADDRINUSE ? ERR_IN_USE
                                  : ERR_IO,
                "%s: %s", doing, strerror(e));
}

/* ---- addresses ---- */

static socklen_t unix_name(const char *path, Name *name)
{
    name->local.sun_family = AF_UNIX;
    memcpy(name->local.sun_path, path, MIN(strlen(path) + 1, sizeof name->local.sun_path));
    name->local.sun_path[sizeof name->local.sun_path - 1] = 0;
    return sizeof name->local;
}

static socklen_t name_of(const Address *a, Name *name)
{
    memset(name, 0, sizeof *name);
    if (!a->port) return unix_name(a->host, name);
    if (inet_pton(AF_INET, a->host, &name->v4.sin_addr) == 1) {
        name->v4.sin_family = AF_INET;
        name->v4.sin_port = htons(a->port);
        return sizeof name->v4;
    }
    name->v6.sin6_family = AF_INET6; /* "*" stays all zeros: any */
    name->v6.sin6_port = htons(a->port);
    if (strcmp(a->host, "*") != 0 && inet_pton(AF_INET6, a->host, &name->v6.sin6_addr) != 1)
        return 0;
    return sizeof name->v6;
}

static Address address_of(const Name *name, socklen_t len)
{
    Address a = {0};
    if (name->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &name->v4.sin_addr, a.host, sizeof a.host);
        a.port = ntohs(name->v4.sin_port);
    } else if (name->any.sa_family == AF_INET6) {
        const struct in6_addr *six = &name->v6.sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(six)) /* a guest from IPv4 at "*" */
            inet_ntop(AF_INET, &six->s6_addr[12], a.host, sizeof a.host);
        else
            inet_ntop(AF_INET6, six, a.host, sizeof a.host);
        a.port = ntohs(name->v6.sin6_port);
    } else if (len > offsetof(struct sockaddr_un, sun_path)) {
        memcpy(a.host, name->local.sun_path, sizeof a.host - 1);
    }
    return a;
}

Address real_sock_peer(const Sock *s)
{
    Name name = {0};
    socklen_t len = sizeof name;
    if (real(s)->from.any.sa_family) {
        memcpy(&name, &real(s)->from, sizeof real(s)->from);
        return address_of(&name, sizeof real(s)->from);
    }
    if (getpeername(real(s)->fd, &name.any, &len) != 0) return (Address){0};
    return address_of(&name, len);
}

Address listener_address(int fd)
{
    Name name = {0};
    socklen_t len = sizeof name;
    if (getsockname(fd, &name.any, &len) != 0) return (Address){0};
    return address_of(&name, len);
}

Address real_sock_local(const Sock *s)
{
    return listener_address(real(s)->fd);
}

/* ---- opening and closing ---- */

static Err set_interest(const RealSock *r, int operation)
{
    RealLoop *loop = r->sock.loop->of_world;
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                            .data.ptr = (void *)(uintptr_t)r};
    if (r->sock.asks) e.events = r->is_armed ? EPOLLIN : 0; /* it listens */
    if (r->tells_room) e.events |= EPOLLOUT;
    return epoll_ctl(loop->epoll, operation, r->fd, &e) ? sock_failed("epoll_ctl") : OK;
}

/* A listener is told of as long as somebody waits at its door: nobody accepts for a while when
 * there is no room. */
static void set_armed(Sock *s, bool armed)
{
    if (real(s)->is_armed == armed) return;
    real(s)->is_armed = armed;
    must(!set_interest(real(s), EPOLL_CTL_MOD));
}

void real_sock_event(Sock *s, unsigned epoll_events)
{
    unsigned events = 0;
    if (s->asks && !s->reader) set_armed(s, false);
    if (epoll_events & EPOLLOUT && s->ready & SOCK_WRITABLE) { /* nobody needs to know any more */
        real(s)->tells_room = false;
        (void)set_interest(real(s), EPOLL_CTL_MOD);
    }
    if (epoll_events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        s->hung = true;
        events |= SOCK_READABLE;
    }
    if (epoll_events & EPOLLIN) events |= SOCK_READABLE;
    if (epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) events |= SOCK_WRITABLE;
    sock_announce(s, events);
}

/* What there is to read already makes the first edge. */
Err real_sock_attach(Sock *s)
{
    RealSock *r = real(s);
    s->ready = SOCK_WRITABLE;
    r->tells_room = false;
    return set_interest(r, EPOLL_CTL_ADD);
}

/* A change of what epoll is asked for makes it look, so no edge is missed. */
void real_sock_will_wait(Sock *s, SockEvents what)
{
    RealSock *r = real(s);
    if (s->asks) set_armed(s, true);
    if (!(what & SOCK_WRITABLE) || r->tells_room) return;
    r->tells_room = true;
    must(!set_interest(r, EPOLL_CTL_MOD));
}

void real_sock_detach(Sock *s)
{
    RealLoop *loop = s->loop->of_world;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, real(s)->fd, NULL);
}

void real_sock_close(Sock *s)
{
    /* Another process may have it open, too (listening sockets): closing ours does not take it out
     * of the epoll. */
    if (s->loop && s->loop == loop_now) real_sock_detach(s);
    close(real(s)->fd);
    free(s);
}

static RealSock *adrift(int fd)
{
    RealSock *r = NEW(RealSock);
    r->sock.world = &real_world;
    r->fd = fd;
    return r;
}

static void set(int fd, int level, int option)
{
    int on = 1;
    (void)setsockopt(fd, level, option, &on, sizeof on);
}

/* Who is accepted has what its listener has: tcp(7). */
static void be_prompt(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY);
    set(fd, SOL_SOCKET, SO_KEEPALIVE);
}

/* Takes fd over, also when it fails. */
static Err sock_new(int fd, Sock **sock)
{
    RealSock *r = adrift(fd);
    Err err = sock_attach(&r->sock);
    if (err)
        real_sock_close(&r->sock);
    else
        *sock = &r->sock;
    return err;
}

Err real_sock_adopt(int fd, Sock **sock)
{
    return sock_new(fd, sock);
}

Err sock_of_fd(int fd, Sock **sock)
{
    return sock_new(fd, sock);
}

Err real_sock_pair(Sock **a, Sock **b)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return sock_failed("socketpair");
    Sock *first = NULL;
    Err err = sock_new(fds[0], &first);
    if (err)
        close(fds[1]);
    else
        err = sock_new(fds[1], b);
    if (err)
        sock_close(first);
    else
        *a = first;
    return err;
}

/* ---- listening ---- */

/* A Unix socket's name outlives its listener; one that nobody answers at is a leftover. */
static void remove_leftover(const Name *name, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, &name->any, len) != 0 && errno == ECONNREFUSED) unlink(name->local.sun_path);
    close(fd);
}

static int bound_socket(const Name *name, socklen_t len, bool for_all, bool of_many)
{
    int fd = socket(name->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (name->any.sa_family == AF_UNIX) {
        remove_leftover(name, len);
    } else {
        set(fd, SOL_SOCKET, SO_REUSEADDR);
        if (of_many) set(fd, SOL_SOCKET, SO_REUSEPORT);
        int off = 0;
        if (name->any.sa_family == AF_INET6) {
            bool any = IN6_IS_ADDR_UNSPECIFIED(&name->v6.sin6_addr);
            if (any) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        }
    }
    be_prompt(fd);
    bool bound = bind(fd, &name->any, len) == 0;
    if (bound && name->any.sa_family == AF_UNIX)
        bound = chmod(name->local.sun_path, for_all ? 0666 : 0600) == 0;
    if (bound && listen(fd, SOMAXCONN) == 0) return fd;
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

Err listener_open(const Address *at, bool of_many, int *listener)
{
    Name name;
    socklen_t len = name_of(at, &name);
    if (!len) return fail(ERR_SYNTAX, "%s is not an address", at->host);
    int fd = bound_socket(&name, len, at->for_all, of_many);
    if (fd < 0 && errno == EAFNOSUPPORT && !strcmp(at->host, "*")) { /* a kernel without IPv6 */
        Address any = {.host = "0.0.0.0", .port = at->port};
        len = name_of(&any, &name);
        fd = bound_socket(&name, len, false, of_many);
    }
    if (fd < 0) {
        Err err = errno == EADDRINUSE ? ERR_IN_USE
                  : errno == EACCES   ? ERR_FORBIDDEN
                  : errno == ENOSPC   ? ERR_DISK_FULL
                                      : ERR_IO;
        return fail(err, "listen at %s:%u: %s", at->host, at->port, strerror(errno));
    }
    *listener = fd;
    return OK;
}

Err real_sock_listen(const Address *at, Sock **listener)
{
    int fd;
    TRY(listener_open(at, false, &fd));
    return sock_new(fd, listener);
}

static bool try_again(int e)
{
    /* accept(2): errors of the connection, not of the listener */
    return e == EINTR || e == ECONNABORTED || e == EPROTO || e == ENETDOWN || e == EHOSTUNREACH ||
           e == ENETUNREACH || e == EHOSTDOWN || e == ENONET || e == ENOPROTOOPT;
}

/* One for each time that epoll tells of some: to find out that there is nobody else would cost more
 * than to be told again. */
Err real_sock_try_accept(Sock *listener, Sock **conn)
{
    int fd;
    Name from = {0};
    if (!listener->asks) be_prompt(real(listener)->fd); /* it may be from systemd */
    listener->asks = true;
    do {
        socklen_t len = sizeof from;
        fd = accept4(real(listener)->fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && try_again(errno));
    if (fd < 0 && errno != EAGAIN) return sock_failed("accept");
    listener->ready &= (uint8_t)~SOCK_READABLE;
    if (fd < 0) return OK;
    RealSock *r = adrift(fd);
    if (from.any.sa_family != AF_UNIX) memcpy(&r->from, &from, sizeof r->from);
    *conn = &r->sock;
    return OK;
}

/* ---- connecting ---- */

Err real_sock_connect_begin(const Address *to, Sock **conn)
{
    Name name;
    socklen_t len = name_of(to, &name);
    if (!len) return fail(ERR_SYNTAX, "%s is not an address", to->host);
    int fd = socket(name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return sock_failed("socket");
    be_prompt(fd);
    int r = connect(fd, &name.any, len);
    if (r != 0 && errno != EINPROGRESS) {
        Err err = fail(ERR_IO, "connect to %s:%u: %s", to->host, to->port, strerror(errno));
        close(fd);
        return err;
    }
    TRY(sock_new(fd, conn));
    if (r != 0) (*conn)->ready = 0;
    return OK;
}

Err real_sock_connect_end(Sock *conn)
{
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(real(conn)->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0) e = errno;
    if (e) return fail(ERR_IO, "connect: %s", strerror(e));
    conn->ready = SOCK_READABLE | SOCK_WRITABLE;
    return OK;
}

/* ---- bytes ---- */

Err real_sock_try_read(Sock *s, void *out, size_t len, size_t *got)
{
    ssize_t n;
    do {
        n = recv(real(s)->fd, out, len, 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0) return fail(ERR_END, "the peer has closed");
    if (n < 0 && errno != EAGAIN) return sock_failed("read");
    /* Less than asked for: the kernel has no more, and what comes later makes a new edge. A peer
     * that has closed makes none, so then we go on until we have seen the end. */
    if (n < 0 || ((size_t)n < len && !s->hung)) s->ready &= (uint8_t)~SOCK_READABLE;
    *got = n < 0 ? 0 : (size_t)n;
    return OK;
}

Err real_sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent)
{
    enum { AT_ONCE = 64 };
    struct iovec iov[AT_ONCE];
    size_t total = 0;
    count = MIN(count, (size_t)AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)parts[i].at, parts[i].len};
        total += parts[i].len;
    }
    if (!total) return OK;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t n;
    do {
        n = sendmsg(real(s)->fd, &message, MSG_NOSIGNAL | (s->more ? MSG_MORE : 0));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) return sock_failed("write");
    if (n < 0 || (size_t)n < total) s->ready &= (uint8_t)~SOCK_WRITABLE;
    *sent = n < 0 ? 0 : (size_t)n;
    return OK;
}

void real_sock_shutdown(Sock *s)
{
    shutdown(real(s)->fd, SHUT_WR);
}

void real_sock_cut(Sock *s)
{
    shutdown(real(s)->fd, SHUT_RDWR);
}
