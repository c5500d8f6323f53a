#include "base/test.h"
#include "run/sock.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* However it is written, one customer's. */
TEST(networks)
{
    static const struct {
        const char *host, *network;
    } rows[] = {
        {"192.0.2.1",                                       "192.0.2.1"     },
        {"::ffff:192.0.2.1",                                "192.0.2.1"     },
        {"2001:db8:1:2:3:4:5:6",                            "2001:db8:1:2::"},
        {"2001:db8::7:aaaa:bbbb:1",                         "2001:db8::"    },
        {"2001:db8::7:aaaa:bbbb:2",                         "2001:db8::"    },
        {"2001:db8:0:1:0:0:0:1",                            "2001:db8:0:1::"},
        {"::1",                                             "::"            },
        {"fe80::fc:ff:fe00:1",                              "fe80::"        },
        {"somebody",                                        "somebody"      },
        {"",                                                ""              },
        {"/a/path/that/is/longer/than/any/address/of/ipv6",
         "/a/path/that/is/longer/than/any/address/of/ipv6"                  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char room[NETWORK_ROOM];
        check_slice(address_network(slice_of(rows[i].host), room), slice_of(rows[i].network));
    }
}

TEST(addresses)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = {
        {"127.0.0.1:143",    "127.0.0.1",   143},
        {"[::1]:993",        "::1",         993},
        {"*:25",             "*",           25 },
        {"unix:/run/x.sock", "/run/x.sock", 0  },
        {"unix:relative",    "relative",    0  },
        {"",                 NULL,          0  },
        {"127.0.0.1",        NULL,          0  },
        {"127.0.0.1:",       NULL,          0  },
        {"127.0.0.1:0",      NULL,          0  },
        {"127.0.0.1:65536",  NULL,          0  },
        {"127.0.0.1:143x",   NULL,          0  },
        {"127.0.0.1:-1",     NULL,          0  },
        {"::1:143",          NULL,          0  },
        {"[127.0.0.1]:143",  NULL,          0  },
        {"[]:143",           NULL,          0  },
        {":143",             NULL,          0  },
        {"localhost:143",    NULL,          0  },
        {"999.0.0.1:143",    NULL,          0  },
        {"unix:",            NULL,          0  },
        {"[::1:143",         NULL,          0  },
        {"[::1x:143",        NULL,          0  },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Address a = {0};
        Err err = address_parse(slice_of(rows[i].text), &a);
        if (err != (rows[i].host ? OK : ERR_SYNTAX))
            test_failed(__FILE__, __LINE__, "%s: %s", rows[i].text, err_name(err));
        if (!rows[i].host) continue;
        check_slice(slice_of(a.host), slice_of(rows[i].host));
        check_u64(a.port, rows[i].port);
    }
    char too_long[200] = "unix:";
    memset(too_long + 5, 'x', 108);
    Address a;
    check_err(address_parse(slice(too_long, 5 + 108), &a), ERR_SYNTAX);
    check_err(address_parse(slice("unix:a\0b", 8), &a), ERR_SYNTAX);
    memcpy(too_long + 5 + 108, ":143", 4);
    check_err(address_parse(slice(too_long + 5, 112), &a), ERR_SYNTAX);
    check_ok(address_parse(slice(too_long, 5 + 107), &a));
}

/* ---- talking ---- */

PARKS static Err read_exactly(Sock *s, char *out, size_t len)
{
    for (size_t sum = 0, got; sum < len; sum += got) {
        TRY(sock_try_read(s, out + sum, len - sum, &got));
        /* The simulated world's tests before this one are seconds of one turn of the loop. */
        if (!got && sock_wait(s, SOCK_READABLE, now_us() / 1000 + 5000, false) != WOKEN_READY)
            return fail(ERR_TIMEOUT, "read");
    }
    return OK;
}

PARKS static Err write_all(Sock *s, Slice text)
{
    while (text.len) {
        size_t sent;
        Slice parts[2] = {slice_first(text, text.len / 2), slice_from(text, text.len / 2)};
        TRY(sock_try_write(s, parts, 2, &sent));
        if (!sent && sock_wait(s, SOCK_WRITABLE, now_ms() + 5000, false) != WOKEN_READY)
            return fail(ERR_TIMEOUT, "write");
        text = slice_from(text, sent);
    }
    return OK;
}

PARKS static void echo(void *arg)
{
    Sock *s scoped(sock) = arg;
    char text[1024];
    for (;;) {
        size_t got;
        Err err = sock_try_read(s, text, sizeof text, &got);
        if (err == ERR_END) break;
        check_ok(err);
        if (got)
            check_ok(write_all(s, slice(text, got)));
        else if (sock_wait(s, SOCK_READABLE, NEVER, false) != WOKEN_READY)
            break;
    }
}

TEST(a_pair_carries_bytes_and_the_end)
{
    Sock *a scoped(sock) = NULL, *b = NULL;
    check_ok(sock_pair(&a, &b));
    fiber_start("echo", echo, b);
    for (int i = 0; i < 100; i++) {
        char text[16];
        check_ok(write_all(a, S("hello")));
        check_ok(read_exactly(a, text, 5));
        check_slice(slice(text, 5), S("hello"));
    }
    sock_shutdown(a);
    char c;
    check_err(read_exactly(a, &c, 1), ERR_END);
}

PARKS static void pour(void *arg)
{
    Sock *s scoped(sock) = arg;
    Buf b buf_scoped = {0};
    for (uint32_t i = 0; i < 1000 * 1000; i++)
        buf_u32(&b, i);
    check_ok(write_all(s, buf_slice(&b)));
}

PARKS static void drink(Sock *s)
{
    static char text[40000];
    uint32_t n = 0;
    Buf left buf_scoped = {0};
    for (;;) {
        size_t got;
        Err err = sock_try_read(s, text, sizeof text, &got);
        if (err) {
            check(err == ERR_END);
            break;
        }
        if (!got) check(sock_wait(s, SOCK_READABLE, now_ms() + 5000, false) == WOKEN_READY);
        buf_add(&left, slice(text, got));
        Reader r = reader(buf_slice(&left));
        while (r.rest.len >= 4)
            if (read_u32(&r) != n++) return test_failed(__FILE__, __LINE__, "out of order");
        buf_drop_front(&left, left.len - r.rest.len);
    }
    check_u64(n, 1000 * 1000);
}

TEST(a_stream_survives_full_buffers)
{
    Sock *a scoped(sock) = NULL, *b = NULL;
    check_ok(sock_pair(&a, &b));
    fiber_start("pour", pour, b);
    drink(a);
}

typedef struct {
    Sock *listener;
    int served;
    bool ended;
    Err err;
} Server;

PARKS static void serve(void *arg)
{
    Server *s = arg;
    for (Sock *conn; (s->err = sock_accept(s->listener, &conn)) == OK; s->served++) {
        fiber_start("echo", echo, conn);
        if (s->served == 9) break;
    }
    s->ended = true;
}

PARKS static void talk_at(const char *text)
{
    Address at;
    check_ok(address_parse(slice_of(text), &at));
    Server server = {0};
    check_ok(sock_listen(&at, &server.listener));
    if (!server.listener) return;
    fiber_start("serve", serve, &server);
    for (int i = 0; i < 10; i++) {
        Sock *s scoped(sock) = NULL;
        check_ok(sock_connect(&at, now_ms() + 5000, &s));
        if (!s) break;
        char word[5];
        check_ok(write_all(s, S("hello")));
        check_ok(read_exactly(s, word, 5));
        Address peer = sock_peer(s), local = sock_local(s);
        check(peer.port == at.port && (!at.port || local.port != 0));
        if (at.port) check_slice(slice_of(peer.host), slice_of(at.host));
    }
    while (!server.ended)
        fiber_sleep(1);
    sock_close(server.listener);
    fiber_sleep(5);
    Sock *s = NULL;
    check_err(sock_connect(&at, now_ms() + 1000, &s), ERR_IO);
}

static void with_port(char *out, size_t room, const char *host)
{
    snprintf(out, room, "%s:%d", host, 20000 + getpid() % 12000);
}

TEST(tcp)
{
    char text[40];
    with_port(text, sizeof text, "127.0.0.1");
    talk_at(text);
}

TEST(tcp6)
{
    char text[40];
    with_port(text, sizeof text, "[::1]");
    Address at;
    check_ok(address_parse(slice_of(text), &at));
    Sock *probe = NULL;
    if (sock_listen(&at, &probe)) return; /* a machine without IPv6 */
    sock_close(probe);
    talk_at(text);
}

TEST(unix_sockets)
{
    char text[80];
    snprintf(text, sizeof text, "unix:/tmp/posthouse-run-test-%d", getpid());
    talk_at(text);
    talk_at(text); /* the name is still there: a leftover is taken over */
    Address at;
    check_ok(address_parse(slice_of(text), &at));
    Sock *one = NULL, *two = NULL;
    check_ok(sock_listen(&at, &one));
    check_err(sock_listen(&at, &two), ERR_IN_USE); /* somebody is there */
    struct stat st;
    check(stat(at.host, &st) == 0 &&
          (st.st_mode & 0777) == 0600); /* nobody else, whatever the umask */
    sock_close(one);
    at.for_all = true;
    check_ok(sock_listen(&at, &one));
    check(stat(at.host, &st) == 0 && (st.st_mode & 0777) == 0666);
    sock_close(one);
    unlink(at.host);
    Buf b buf_scoped = {0};
    address_print(&b, &at);
    check_slice(buf_slice(&b), S("unix"));
}

TEST(waits_end_for_every_reason)
{
    Sock *a scoped(sock) = NULL, *b scoped(sock) = NULL;
    check_ok(sock_pair(&a, &b));
    char c;
    size_t got;
    check_ok(sock_try_read(a, &c, 1, &got));
    check_u64(got, 0);
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3, false) == WOKEN_TIMEOUT);
    check(sock_wait(a, SOCK_READABLE | SOCK_WRITABLE, NEVER, false) == WOKEN_READY);
    fiber_nudge(fiber_current());
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3, false) == WOKEN_TIMEOUT);
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3, true) == WOKEN_NUDGED);
    check_ok(write_all(b, S("x")));
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3000, false) == WOKEN_READY);
    check_ok(sock_try_read(a, &c, 1, &got));
    check(got == 1 && c == 'x');
    sock_close(b);
    b = NULL;
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3000, false) == WOKEN_READY);
    check_err(sock_try_read(a, &c, 1, &got), ERR_END);
}

/* Bytes and the end that come in one event: a short read must not make us wait for another. */
TEST(the_end_behind_a_short_read_is_seen)
{
    Sock *a scoped(sock) = NULL, *b = NULL;
    check_ok(sock_pair(&a, &b));
    char text[10];
    size_t got;
    check_ok(sock_try_read(a, text, sizeof text, &got));
    check_ok(write_all(b, S("xy")));
    sock_close(b);
    check(sock_wait(a, SOCK_READABLE, now_ms() + 3000, false) == WOKEN_READY);
    fiber_sleep(2);
    check_ok(sock_try_read(a, text, sizeof text, &got));
    check_u64(got, 2);
    check(sock_wait(a, SOCK_READABLE, now_ms() + 1000, false) == WOKEN_READY);
    check_err(sock_try_read(a, text, sizeof text, &got), ERR_END);
}

/* ---- moving ---- */

PARKS static void take_over(void *arg)
{
    check_ok(sock_attach(arg));
    echo(arg);
}

TEST(a_connection_moves_to_another_loop)
{
    Sock *a scoped(sock) = NULL, *b = NULL;
    check_ok(sock_pair(&a, &b));
    char word[5];
    size_t got;
    check_ok(sock_try_read(b, word, 5, &got)); /* has said "nothing there" before it moves */
    sock_detach(b);
    check_ok(write_all(a, S("while"))); /* comes while nobody is attached */
    fiber_start_on(loop_at(1), "echo there", take_over, b);
    check_ok(read_exactly(a, word, 5));
    check_slice(slice(word, 5), S("while"));
    check_ok(write_all(a, S("after")));
    check_ok(read_exactly(a, word, 5));
    check_slice(slice(word, 5), S("after"));
    sock_shutdown(a);
    check_err(read_exactly(a, word, 1), ERR_END);
}
