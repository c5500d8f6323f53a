/* What we make of a kernel that refuses. */
#include "run/refused.h"

#include "base/test.h"
#include "run/file.h"
#include "run/process.h"
#include "run/ring.h"
#include "run/shared.h"
#include "run/world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- sockets ---- */

static Address address_of(const char *text)
{
    Address at = {0};
    check_ok(address_parse(slice_of(text), &at));
    return at;
}

static Address own_path(void)
{
    Address at = {0};
    snprintf(at.host, sizeof at.host, "/tmp/posthouse-run-refused-%d", getpid());
    return at;
}

PARKS_UNCHECKED static void octets(void)
{
    static const struct {
        int error;
        Err err;
    } rows[] = {
        {ECONNRESET,   ERR_END   },
        {EPIPE,        ERR_END   },
        {ECONNABORTED, ERR_END   },
        {EMFILE,       ERR_LIMIT },
        {ENFILE,       ERR_LIMIT },
        {ENOBUFS,      ERR_LIMIT },
        {ENOMEM,       ERR_LIMIT },
        {EADDRINUSE,   ERR_IN_USE},
        {EIO,          ERR_IO    },
    };
    Sock *a scoped(sock) = NULL, *b scoped(sock) = NULL;
    Slice text = S("x"), nothing[] = {S(""), S("")};
    char c;
    size_t n;
    check_ok(sock_pair(&a, &b));
    for (size_t i = 0; i < COUNT(rows); i++) {
        REFUSE(SYS_recvfrom, EINTR, rows[i].error);
        REFUSE(SYS_sendmsg, EINTR, rows[i].error);
        sock_announce(a, SOCK_READABLE);
        check_err(sock_try_read(a, &c, 1, &n), rows[i].err);
        check_err(sock_try_write(a, &text, 1, &n), rows[i].err);
    }
    check_ok(sock_try_write(a, nothing, 2, &n));
    check_u64(n, 0);
    check_ok(sock_try_write(a, &text, 0, &n));
    check_ok(sock_try_read(a, &c, 0, &n));
    REFUSE(SYS_sendmsg, EAGAIN);
    sock_more(a, true);
    check_ok(sock_try_write(a, &text, 1, &n)); /* there is no room */
    check_u64(n, 0);
    check(sock_wait(a, SOCK_WRITABLE, now_ms() + 5000, false) == WOKEN_READY);
    check_ok(sock_try_write(a, &text, 1, &n)); /* there is */
    check_u64(n, 1);
    sock_more(a, false);
    REFUSE(SYS_recvfrom, EINTR);
    check(sock_wait(b, SOCK_READABLE, now_ms() + 5000, false) == WOKEN_READY);
    check_ok(sock_try_read(b, &c, 1, &n));
    check(n == 1 && c == 'x');
    /* who never lets us wait is made to, now and then */
    for (int i = 0; i < 40; i++)
        check(sock_wait(a, SOCK_WRITABLE, now_ms() + 5000, false) == WOKEN_READY);
}

TEST(octets_that_do_not_come_or_go)
{
    in_refused_child(octets);
}

PARKS_UNCHECKED static void pairs(void)
{
    Sock *a = NULL, *b = NULL;
    Address none = {.host = "nonsense", .port = 1};
    REFUSE(SYS_socketpair, EMFILE);
    check_err(sock_pair(&a, &b), ERR_LIMIT);
    REFUSE(SYS_epoll_ctl, ENOMEM);
    check_err(sock_pair(&a, &b), ERR_LIMIT);
    REFUSE(SYS_epoll_ctl, 0, ENOMEM);
    check_err(sock_pair(&a, &b), ERR_LIMIT);
    check_ok(sock_pair(&a, &b));
    REFUSE(SYS_getpeername, ENOTCONN);
    REFUSE(SYS_getsockname, ENOBUFS);
    check(!sock_peer(a).host[0] && !sock_local(a).host[0]);
    sock_close(a);
    sock_close(b);
    check_err(sock_listen(&none, &a), ERR_SYNTAX);
    check_err(sock_connect(&none, NEVER, &a), ERR_SYNTAX);
}

TEST(sockets_that_are_not_to_be_had)
{
    in_refused_child(pairs);
}

PARKS_UNCHECKED static void listeners(void)
{
    Sock *s = NULL;
    Address at = own_path(), any = address_of("*:1"), six = address_of("[::1]:1");
    int fd = -1;
    REFUSE(SYS_socket, EMFILE);
    check_err(sock_listen(&at, &s), ERR_IO);
    REFUSE(SYS_socket, 0, EMFILE); /* who would look for a leftover */
    check_ok(sock_listen(&at, &s));
    sock_close(s);
    REFUSE(SYS_listen, EADDRINUSE);
    check_err(sock_listen(&at, &s), ERR_IN_USE);
    REFUSE(SYS_bind, EACCES);
    check_err(sock_listen(&at, &s), ERR_FORBIDDEN);
    REFUSE(SYS_bind, ENOSPC);
    check_err(sock_listen(&at, &s), ERR_DISK_FULL);
    REFUSE(SYS_epoll_ctl, ENOMEM);
    check_err(sock_listen(&at, &s), ERR_LIMIT);
    /* a kernel without IPv6: "*" is what there is, [::1] is not there */
    REFUSE(SYS_socket, EAFNOSUPPORT);
    REFUSE(SYS_bind, EACCES);
    check_err(listener_open(&any, true, &fd), ERR_FORBIDDEN);
    check(strstr(err_story(), "listen at *:1") != NULL);
    REFUSE(SYS_socket, EAFNOSUPPORT);
    check_err(listener_open(&six, true, &fd), ERR_IO);
    unlink(at.host);
}

TEST(listeners_that_are_not_to_be_had)
{
    in_refused_child(listeners);
}

PARKS_UNCHECKED static void guests(void)
{
    Sock *listener = NULL, *guest = NULL, *conn = NULL;
    Address at = own_path();
    check_ok(sock_listen(&at, &listener));
    check_ok(sock_connect(&at, now_ms() + 5000, &guest));
    /* accept(2): what has happened to the connection is no fault of the listener */
    REFUSE(SYS_accept4, EINTR, ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,
           ENONET, ENOPROTOOPT, EMFILE);
    check_err(sock_accept(listener, &conn), ERR_LIMIT);
    REFUSE(SYS_accept4, EAGAIN);
    check_ok(sock_try_accept(listener, &conn));
    check(!conn);
    sock_announce(listener, SOCK_READABLE);
    REFUSE(SYS_accept4, EIO);
    check_err(sock_try_accept(listener, &conn), ERR_IO);
    REFUSE(SYS_epoll_ctl, ENOMEM); /* accepted, and then no place for it */
    check_err(sock_accept(listener, &conn), ERR_LIMIT);
    sock_close(guest);
    check_ok(sock_connect(&at, now_ms() + 5000, &guest));
    sock_announce(listener, SOCK_READABLE);
    check_ok(sock_try_accept(listener, &conn));
    check(conn != NULL);
    sock_close(conn); /* of no loop yet */
    sock_close(guest);
    sock_close(listener);
    unlink(at.host);
}

TEST(guests_that_do_not_arrive)
{
    in_refused_child(guests);
}

PARKS_UNCHECKED static void calls(void)
{
    Sock *s = NULL;
    Address at = address_of("127.0.0.1:9");
    REFUSE(SYS_socket, ENFILE);
    check_err(sock_connect(&at, NEVER, &s), ERR_LIMIT);
    REFUSE(SYS_connect, ECONNREFUSED);
    check_err(sock_connect(&at, NEVER, &s), ERR_IO);
    REFUSE(SYS_epoll_ctl, ENOMEM);
    REFUSE(SYS_connect, EINPROGRESS);
    check_err(sock_connect(&at, NEVER, &s), ERR_LIMIT);
    REFUSE(SYS_connect, EINPROGRESS); /* nobody is ever called: the kernel says so by a hang-up */
    REFUSE(SYS_getsockopt, EBADF);
    check_err(sock_connect(&at, now_ms() + 5000, &s), ERR_IO);
}

TEST(calls_that_are_not_put_through)
{
    in_refused_child(calls);
}

/* Whoever listens and never looks has room for one or two; the kernel leaves the others waiting. */
TEST(a_call_that_nobody_answers_ends_in_time)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof name;
    Sock *calls[6] = {0};
    Err err = OK;
    Address at = {.host = "127.0.0.1"};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && !bind(fd, (struct sockaddr *)&name, len) && !listen(fd, 0));
    check(!getsockname(fd, (struct sockaddr *)&name, &len));
    at.port = ntohs(name.sin_port);
    for (size_t i = 0; i < COUNT(calls) && !err; i++)
        err = sock_connect(&at, now_ms() + 100, &calls[i]);
    check_err(err, ERR_TIMEOUT);
    for (size_t i = 0; i < COUNT(calls); i++)
        sock_close(calls[i]);
    close(fd);
}

/* ---- files ---- */

static const Slice octet = S("x");
static char place[64];

static Slice path_of(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", place, name);
    return slice_of(path);
}

PARKS_UNCHECKED static void files(void)
{
    static const struct {
        int error;
        Err err;
    } rows[] = {
        {ENOSPC,  ERR_DISK_FULL},
        {EDQUOT,  ERR_DISK_FULL},
        {ENOENT,  ERR_NOT_FOUND},
        {ENOTDIR, ERR_NOT_FOUND},
        {EEXIST,  ERR_EXISTS   },
        {EROFS,   ERR_READ_ONLY},
        {EMFILE,  ERR_LIMIT    },
        {ENFILE,  ERR_LIMIT    },
        {EIO,     ERR_IO       },
    };
    File *f = NULL;
    uint64_t size;
    char c;
    size_t n;
    for (size_t i = 0; i < COUNT(rows); i++) {
        REFUSE(SYS_openat, EINTR, rows[i].error);
        check_err(file_open(path_of("f"), FILE_WRITE | FILE_CREATE, &f), rows[i].err);
    }
    check_ok(file_open(path_of("f"), FILE_WRITE | FILE_CREATE, &f));
    for (size_t i = 0; i < COUNT(rows); i++) {
        REFUSE(SYS_pwritev, EINTR, rows[i].error);
        REFUSE(SYS_pread64, EINTR, rows[i].error);
        REFUSE(SYS_fdatasync, rows[i].error);
        REFUSE(SYS_ftruncate, EINTR, rows[i].error);
        REFUSE(SYS_fallocate, EINTR, rows[i].error, rows[i].error);
        check_err(file_write_at(f, 0, &octet, 1), rows[i].err);
        check_err(file_read_some(f, 0, &c, 1, &n), rows[i].err);
        check_err(file_sync(f), rows[i].err);
        check_err(file_truncate(f, 0), rows[i].err);
        check_err(file_allocate(f, 0, 4096), rows[i].err);
        check_err(file_punch(f, 0, 4096), rows[i].err);
    }
    REFUSE(SYS_flock, EWOULDBLOCK);
    check_err(file_lock(f), ERR_IN_USE);
    check_ok(file_lock(f));
    check_ok(file_size(f, &size));
    check_u64(size, 0);
    file_close(f);
}

/* A file system that knows neither reserving nor holes gets zeros. */
PARKS_UNCHECKED static void zeros(void)
{
    static const int unknown[] = {EOPNOTSUPP, ENOSYS, EINVAL};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        File *f = NULL;
        uint64_t size;
        char got[3] = "";
        check_ok(file_open(path_of("z"), FILE_WRITE | FILE_CREATE | FILE_EMPTY, &f));
        check_ok(file_write_at(f, 0, &octet, 1));
        refuse(SYS_fallocate, (const int[]){unknown[i], unknown[i], unknown[i], unknown[i]}, 4);
        check_ok(file_allocate(f, 0, 10000));
        check_ok(file_size(f, &size));
        check_u64(size, 10000);
        check_ok(file_allocate(f, 0, 10)); /* it is there */
        check_ok(file_punch(f, 0, 2));
        check_ok(file_punch(f, 20000, 2)); /* behind the end */
        check_ok(file_read_at(f, 0, got, 3));
        check_slice(slice(got, 3), S("\0\0\0"));
        file_close(f);
    }
}

PARKS_UNCHECKED static void paths(void)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    PathInfo info;
    uint64_t octets_free;
    check_ok(path_replace(path_of("file"), octet));
    check_err(path_mkdir(path_of("file")), ERR_EXISTS); /* and no directory */
    check_err(path_mkdir(path_of("none/x")), ERR_NOT_FOUND);
    check_err(path_list(path_of("none"), &a, &names, &count), ERR_NOT_FOUND);
    check_err(path_info(path_of("none"), &info), ERR_NOT_FOUND);
    check_err(path_free_space(path_of("none"), &octets_free), ERR_NOT_FOUND);
    check(!path_is_network(path_of("none")));
    check_err(path_rename(path_of("none"), path_of("other")), ERR_NOT_FOUND);
    REFUSE(SYS_openat, EACCES);
    check_err(path_sync_dir(slice_of(place)), ERR_FORBIDDEN);
    REFUSE(SYS_openat, EMFILE);
    check_err(path_sync_dir(slice_of(place)), ERR_LIMIT);
    REFUSE(SYS_fsync, EIO);
    check_err(path_sync_dir(slice_of(place)), ERR_IO);
    REFUSE(SYS_getdents64, EIO);
    check_err(path_list(slice_of(place), &a, &names, &count), ERR_IO);
}

TEST(a_disk_that_refuses)
{
    char command[100];
    snprintf(place, sizeof place, "/tmp/posthouse-run-refused.XXXXXX");
    must(mkdtemp(place));
    in_refused_child(files);
    in_refused_child(zeros);
    in_refused_child(paths);
    snprintf(command, sizeof command, "rm -rf %s", place);
    check(system(command) == 0); /* NOLINT(cert-env33-c): a path of our own making */
}

/* ---- what several processes share ---- */

PARKS_UNCHECKED static void shared(void)
{
    int fd = -1;
    void *memory;
    RingFds fds;
    Ring *one = NULL, *two = NULL;
    REFUSE(SYS_memfd_create, EMFILE);
    check_err(shared_make("test", 4096, &fd), ERR_IO);
    REFUSE(SYS_ftruncate, EINVAL);
    check_err(shared_make("test", 4096, &fd), ERR_IO);
    REFUSE(SYS_fcntl, EPERM);
    check_err(shared_make("test", 4096, &fd), ERR_IO);
    check_ok(shared_make("test", 4096, &fd));
    check_err(shared_map(fd, 8192, &memory), ERR_SYNTAX);
    close(fd);
    check_err(shared_map(fd, 4096, &memory), ERR_SYNTAX);
    REFUSE(SYS_memfd_create, ENFILE);
    check_err(ring_make(&fds), ERR_LIMIT);
    REFUSE(SYS_ftruncate, ENOSPC);
    check_err(ring_make(&fds), ERR_LIMIT);
    REFUSE(SYS_fcntl, EPERM);
    check_err(ring_make(&fds), ERR_LIMIT);
    REFUSE(SYS_eventfd2, EMFILE);
    check_err(ring_make(&fds), ERR_LIMIT);
    REFUSE(SYS_eventfd2, 0, EMFILE);
    check_err(ring_make(&fds), ERR_LIMIT);
    for (int before = 0; before < 3; before++) { /* the seals are the first call */
        int errors[] = {0, 0, 0, EMFILE};
        refuse(SYS_fcntl, errors + 2 - before, (size_t)before + 2);
        check_err(ring_pair(&one, &two), ERR_LIMIT);
    }
}

TEST(memory_that_is_not_to_be_shared)
{
    in_refused_child(shared);
}

PARKS_UNCHECKED static void processes(void)
{
    static const char *const args[] = {"true", NULL};
    Process *p = NULL;
    Post *post = NULL;
    check_err(process_start("/nowhere/program", args, &p, &post), ERR_IO);
    REFUSE(SYS_pidfd_open, EMFILE);
    check_err(process_start("/bin/true", args, &p, &post), ERR_IO);
    REFUSE(SYS_socketpair, EMFILE);
    check(process_start("/bin/true", args, &p, &post) != OK);
}

TEST(processes_that_do_not_start)
{
    in_refused_child(processes);
}
