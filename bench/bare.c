/* What a login costs a server that does nothing for it: the limit of the machine for
 * docs/performance.md.
 *
 * usage: build/bare PORT [SECONDS]
 *
 * One process, one epoll, no checks: greets, answers LOGIN and LOGOUT with as many octets as
 * posthouse does, waits for the client to close. Prints its CPU for each connection. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GREETING = 175, LOGGED_IN = 793 };

static int epoll;

static void watch(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) perror("epoll_ctl");
}

static int listen_at(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, SOMAXCONN)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

static void say(int fd, const char *text, size_t octets)
{
    char line[1024];
    size_t len = strlen(text);
    memcpy(line, text, len);
    while (len + 2 < octets)
        line[len++] = 'x';
    memcpy(line + len, "\r\n", 2);
    (void)!send(fd, line, len + 2, MSG_NOSIGNAL);
}

/* A line comes in one piece from the load generator. */
static void answer(int fd)
{
    char line[512], text[64];
    ssize_t got = recv(fd, line, sizeof line - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        close(fd);
        return;
    }
    line[got] = 0;
    int tag = (int)strcspn(line, " ");
    if (strstr(line, "LOGOUT")) {
        snprintf(text, sizeof text, "* BYE\r\n%.*s OK ", tag < 20 ? tag : 20, line);
        say(fd, text, 0);
        shutdown(fd, SHUT_WR);
    } else {
        snprintf(text, sizeof text, "%.*s OK ", tag < 20 ? tag : 20, line);
        say(fd, text, LOGGED_IN);
    }
}

static void welcome(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    say(fd, "* OK ", GREETING);
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bare PORT [SECONDS]\n");
        return 1;
    }
    long seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    unsigned long count = 0;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_at((uint16_t)strtol(argv[1], NULL, 10));
    watch(listener, EPOLLIN);
    double from = cpu_us();
    for (time_t until = time(NULL) + seconds; time(NULL) < until;) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 1000);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                answer(events[i].data.fd);
                continue;
            }
            welcome(listener);
            count++;
        }
    }
    printf("%lu connections, %.1f us of CPU each\n", count,
           count ? (cpu_us() - from) / (double)count : 0);
    return 0;
}
