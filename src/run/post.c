/* The post: a pair of SOCK_SEQPACKET sockets, so that a message and its descriptors (SCM_RIGHTS) go
 * together and whole. */
#include "run/process.h"
#include "run/real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct Post {
    Sock *sock;
    int fd; /* the sock's */
};

/* ---- descriptors ---- */

void fds_add(Fds *fds, int fd)
{
    must(fds->count < FDS_MOST);
    fds->fd[fds->count++] = fd;
}

void fds_close(Fds *fds)
{
    for (size_t i = 0; i < fds->count; i++)
        close(fds->fd[i]);
    *fds = (Fds){0};
}

int fds_take(Fds *fds)
{
    if (!fds->count) return -1;
    int first = fds->fd[0];
    memmove(fds->fd, fds->fd + 1, --fds->count * sizeof *fds->fd);
    return first;
}

/* ---- ends ---- */

static Err post_new(int fd, Post **post)
{
    Post *p = NEW(Post);
    p->fd = fd;
    Err err = real_sock_adopt(fd, &p->sock);
    if (err)
        free(p);
    else
        *post = p;
    return err;
}

Err post_pair(Post **here, int *there)
{
    int fds[2];
    if (world != &real_world) return fail(ERR_UNSUPPORTED, "no processes here");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        return fail(ERR_IO, "socketpair: %s", strerror(errno));
    Err err = post_new(fds[0], here);
    if (err)
        close(fds[1]);
    else
        *there = fds[1];
    return err;
}

bool post_is_there(void)
{
    int type = 0;
    socklen_t len = sizeof type;
    return !getsockopt(POST_OF_PARENT, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_SEQPACKET;
}

Err post_of_parent(Post **post)
{
    if (!post_is_there() || fcntl(POST_OF_PARENT, F_SETFD, FD_CLOEXEC))
        return fail(ERR_CONFIG, "this is for the server to start");
    return post_new(POST_OF_PARENT, post);
}

void post_close(Post *p)
{
    if (!p) return;
    sock_close(p->sock);
    free(p);
}

/* ---- messages ---- */

typedef union {
    struct cmsghdr head; /* its alignment */
    char octets[CMSG_SPACE(FDS_MOST * sizeof(int))];
} Attached;

static void attach(struct msghdr *message, Attached *room, const Fds *fds)
{
    size_t len = fds->count * sizeof(int);
    message->msg_control = room;
    message->msg_controllen = CMSG_SPACE(len);
    *room = (Attached){0};
    room->head = (struct cmsghdr){CMSG_LEN(len), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&room->head), fds->fd, len);
}

Err post_send(Post *p, Slice octets, const Fds *fds)
{
    Attached room;
    struct iovec iov = {(void *)(uintptr_t)octets.at, octets.len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t sent;
    must(octets.len && octets.len <= POST_MOST);
    if (fds && fds->count) attach(&message, &room, fds);
    do {
        sent = sendmsg(p->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return OK;
    if (errno == EPIPE || errno == ECONNRESET) return fail(ERR_END, "nobody is there");
    if (errno != EAGAIN) return fail(ERR_IO, "sendmsg: %s", strerror(errno));
    p->sock->ready &= (uint8_t)~SOCK_WRITABLE;
    return fail(ERR_LIMIT, "the other end does not read");
}

/* Whoever sends more than we take does not make us keep it. */
static void detach(struct msghdr *message, Fds *fds)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (fds->count < FDS_MOST)
                fds_add(fds, fd);
            else
                close(fd);
        }
    }
}

Err post_take(Post *p, Buf *octets, Fds *fds)
{
    Attached room;
    buf_clear(octets);
    *fds = (Fds){0};
    struct iovec iov = {buf_reserve(octets, POST_MOST), POST_MOST};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
    ssize_t got;
    do {
        got = recvmsg(p->fd, &message, MSG_CMSG_CLOEXEC);
        /* Whoever ends with our messages unread is told of as an error, once; what he has said
         * before stands behind it. */
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0 && errno == EAGAIN) {
        p->sock->ready &= (uint8_t)~SOCK_READABLE;
        return OK;
    }
    if (got <= 0) return fail(ERR_END, "the other end is gone");
    detach(&message, fds);
    octets->len = (size_t)got;
    if (!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) return OK;
    fds_close(fds);
    return fail(ERR_SYNTAX, "more than a message may have");
}

Wake post_wait(Post *p, SockEvents what, int64_t deadline_ms, bool nudges)
{
    return sock_wait(p->sock, what, deadline_ms, nudges);
}
