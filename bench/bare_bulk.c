/* What a client can take of a server that does nothing for it: the limit of the load generator and
 * of the machine for docs/performance.md.
 *
 * usage: build/bare_bulk PORT imap|pop3 MESSAGES OCTETS
 *
 * Serves one connection and ends. Every message of its only mailbox is the same one, in memory;
 * flags are those of a seen message. Commands that came together are answered with one write.
 * Prints its CPU for all answers. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 * 1024 };

static int client;
static unsigned long messages, octets, sent;
static char *message, *out;
static size_t len;

static void flush(void)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(client, out + at, len - at, MSG_NOSIGNAL);
        if (n <= 0) exit(1);
        at += (size_t)n;
    }
    sent += len;
    len = 0;
}

static void put(const char *what, size_t n)
{
    for (size_t part; n; what += part, n -= part) {
        if (len == PIECE) flush();
        part = n < PIECE - len ? n : PIECE - len;
        memcpy(out + len, what, part);
        len += part;
    }
}

static void say(const char *text)
{
    put(text, strlen(text));
}

static void fetch(bool flags)
{
    char line[64];
    for (unsigned long i = 1; i <= messages; i++) {
        if (flags) {
            put(line, (size_t)sprintf(line, "* %lu FETCH (FLAGS (\\Seen))\r\n", i));
            continue;
        }
        put(line, (size_t)sprintf(line, "* %lu FETCH (UID %lu BODY[] {%lu}\r\n", i, i, octets));
        put(message, octets);
        say(")\r\n");
    }
}

static bool imap(char *line)
{
    char done[64], exists[64];
    snprintf(done, sizeof done, "%.*s OK done\r\n", (int)strcspn(line, " ") % 20, line);
    snprintf(exists, sizeof exists, "* %lu EXISTS\r\n", messages);
    if (strstr(line, "SELECT") || strstr(line, "EXAMINE")) say(exists);
    if (strstr(line, "FETCH")) fetch(strstr(line, "FLAGS"));
    say(done);
    return !strstr(line, "LOGOUT");
}

static void list(void)
{
    char line[64];
    say("+OK\r\n");
    for (unsigned long i = 1; i <= messages; i++)
        put(line, (size_t)sprintf(line, "%lu %lu\r\n", i, octets));
    say(".\r\n");
}

static bool pop3(char *line)
{
    char stat[64];
    snprintf(stat, sizeof stat, "+OK %lu %lu\r\n", messages, messages * octets);
    if (!strncmp(line, "RETR", 4)) {
        say("+OK\r\n");
        put(message, octets);
        say(".\r\n");
    } else if (!strncmp(line, "UIDL", 4) || !strncmp(line, "LIST", 4)) {
        list();
    } else {
        say(stat);
    }
    return strncmp(line, "QUIT", 4) != 0;
}

static void serve(bool (*answer)(char *line))
{
    static char in[64 * 1024];
    size_t have = 0;
    for (bool goes_on = true; goes_on;) {
        ssize_t n = recv(client, in + have, sizeof in - 1 - have, 0);
        if (n <= 0) return;
        have += (size_t)n;
        in[have] = 0;
        char *line = in;
        for (char *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            goes_on = answer(line);
        }
        have -= (size_t)(line - in);
        memmove(in, line, have);
        flush();
    }
}

static int accept_one(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1)) {
        perror("listen");
        exit(1);
    }
    return accept(fd, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bare_bulk PORT imap|pop3 MESSAGES OCTETS\n");
        return 1;
    }
    bool is_pop3 = !strcmp(argv[2], "pop3");
    messages = strtoul(argv[3], NULL, 10);
    octets = strtoul(argv[4], NULL, 10);
    message = malloc(octets + 1);
    out = malloc(PIECE);
    if (!message || !out || octets < 2) return 1;
    memset(message, 'x', octets);
    for (size_t i = 76; i < octets; i += 78)
        memcpy(message + i, "\r\n", 2);
    memcpy(message + octets - 2, "\r\n", 2);
    client = accept_one((uint16_t)strtol(argv[1], NULL, 10));
    say(is_pop3 ? "+OK\r\n" : "* OK\r\n");
    flush();
    serve(is_pop3 ? pop3 : imap);
    printf("%lu octets, %.1f ms of CPU\n", sent, (double)clock() * 1e3 / CLOCKS_PER_SEC);
    return 0;
}
