/* A whole conversation with a whole server in the simulated world: what a peer sends, cut as the
 * second octet says, then its end. The first octet is the protocol and how far the talk has come.
 *
 * Whatever it was: every line that the server says ends with CRLF and holds no bare CR or LF, the
 * server closes when the peer has, and the next client is answered. */
#include "base/fuzz.h"
#include "house/control.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { DISK_BYTES = 64 << 20, SAID_MOST = 8 << 20, CONTROL = 0 /* the control socket */ };

typedef struct {
    uint16_t port;
    const char *before; /* sent first; answers are read until `ready` has come */
    const char *ready, *good, *answer;
} Way;
/* clang-format off */
static const Way ways[] = {
    {143, "", "\r\n", "z NOOP\r\n", "z OK"},
    {143, "l LOGIN u00001 secret\r\n", "\r\nl OK", "z NOOP\r\n", "z OK"},
    {143, "l LOGIN u00001 secret\r\nm SELECT INBOX\r\n", "\r\nm OK", "z NOOP\r\n", "z OK"},
    {110, "", "\r\n", "QUIT\r\n", "+OK"},
    {110, "USER u00001\r\nPASS secret\r\n", "messages", "QUIT\r\n", "+OK"},
    {25, "", "\r\n", "NOOP\r\n", "250"},
    {25, "EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<u00002@localhost>\r\n", "2.1.5", "NOOP\r\n", "250"},
    {24, "LHLO x\r\n", "HELP\r\n", "NOOP\r\n", "250"},
    {CONTROL, NULL, NULL, NULL, NULL},
};
/* clang-format on */

typedef struct {
    const Way *way;
    Slice sent;
    size_t step;
} Input;

/* ---- the server ---- */

static void set(Config *c, const char *key, const char *value)
{
    must(!config_set(c, slice_of(key), slice_of(value)));
}

static void configure(Config *c)
{
    static const char *const settings[][2] = {
        {"store",             "store"        },
        {"hostname",          "sim"          },
        {"listen_imap",       "127.0.0.1:143"},
        {"listen_imaps",      ""             },
        {"listen_pop3",       "127.0.0.1:110"},
        {"listen_pop3s",      ""             },
        {"listen_lmtp",       "127.0.0.1:24" },
        {"listen_smtp",       "127.0.0.1:25" },
        {"control",           "/control"     },
        {"plain_without_tls", "yes"          },
        {"domains",           "localhost"    },
        {"throttle",          "no"           },
        {"log_level",         "none"         },
        {"imap_gmail",        "yes"          },
        {"imap_urlauth",      "yes"          },
        {"segment_size",      "256K"         },
    };
    config_defaults(c);
    for (size_t i = 0; i < COUNT(settings); i++)
        set(c, settings[i][0], settings[i][1]);
}

PARKS static House *open_house(Config *config)
{
    static const Demo demo = {
        2, {"secret", 6}
    };
    House *house;
    uint32_t acct;
    configure(config);
    HouseStart start = {.config = config, .demo = &demo};
    must(!house_open(&start, &house) && !house_listen(house) && !control_listen(house));
    must(!auth_account(house->auth, S("u00001"), &acct));
    must(!auth_account(house->auth, S("u00002"), &acct));
    return house;
}

PARKS static void close_house(House *house, Config *config)
{
    run_cancel();
    house_drain(house, 10000);
    house_close(house);
    config_done(config);
}

/* ---- the client ---- */

PARKS static Stream *connect_to(uint16_t port, Sock **sock)
{
    Address to = {.host = "127.0.0.1", .port = port};
    if (port == CONTROL) must(!address_parse(S("unix:/control"), &to));
    must(!sock_connect(&to, now_ms() + 60000, sock));
    Stream *s = stream_new(*sock);
    stream_set_deadline(s, now_ms() + 60 * 60 * 1000);
    return s;
}

PARKS static void hear_until(Stream *s, const char *what)
{
    Buf said buf_scoped = {0};
    buf_reserve(&said, 4096);
    while (!memmem(said.at, said.len, what, strlen(what))) {
        Slice some = stream_some(s, 4096);
        if (!some.len)
            fprintf(stderr, "%s behind %.*s\n", err_name(stream_error(s)), SP(buf_slice(&said)));
        must(some.len);
        buf_add(&said, some);
    }
}

/* IMAP's literals are octets of somebody's; 0: this line announces none. */
static size_t literal_behind(Slice line)
{
    uint64_t size;
    size_t at = line.len;
    if (!slice_ends(line, S("}"))) return 0;
    while (at && line.at[at - 1] != '{')
        at--;
    Slice number = slice_from(line, at);
    return slice_to_u64(slice_first(number, number.len - 1), &size) ? (size_t)size : 0;
}

static void check_lines(Slice said, bool has_literals)
{
    Slice line;
    while (slice_cut(&said, '\n', &line) && (said.len || line.len)) {
        if (!said.at) break;
        must(slice_ends(line, S("\r")));
        line.len--;
        must(slice_find(line, '\r') == line.len);
        size_t skip = has_literals ? literal_behind(line) : 0;
        said = slice_from(said, MIN(skip, said.len));
    }
}

PARKS_UNCHECKED static void talk(void *arg)
{
    const Input *in = arg;
    Sock *sock;
    Buf said buf_scoped = {0};
    Stream *s scoped(stream) = connect_to(in->way->port, &sock);
    if (in->way->before) {
        stream_put(s, slice_of(in->way->before));
        (void)stream_flush(s);
        hear_until(s, in->way->ready);
    }
    for (Slice rest = in->sent; rest.len; rest = slice_from(rest, in->step)) {
        stream_put(s, slice_first(rest, in->step));
        if (stream_flush(s)) break;
    }
    sock_shutdown(sock);
    for (Slice some; said.len < SAID_MOST && (some = stream_some(s, 65536)).len;)
        buf_add(&said, some);
    must(stream_error(s) != ERR_TIMEOUT);
    bool compressed = memmem(in->sent.at, in->sent.len, "OMPRESS", 7) != NULL;
    if (said.len && said.at[said.len - 1] == '\n' && !compressed && in->way->before)
        check_lines(buf_slice(&said), in->way->port == 143);
}

PARKS static void deliver(void)
{
    static const char text[] =
        "LHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<u00001@localhost>\r\nDATA\r\n"
        "From: =?utf-8?q?=C3=A4?= <a@b.c>\r\nSubject: Re: x\r\nDate: Thu, 01 Jan 2026 00:00:00 "
        "+0000"
        "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
        "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+eDwvYj4=\r\n"
        "--b--\r\n.\r\n";
    Sock *sock;
    Stream *s scoped(stream) = connect_to(24, &sock);
    stream_put(s, slice_of(text));
    (void)stream_flush(s);
    hear_until(s, "Saved");
}

PARKS static void is_well(const Way *way)
{
    Sock *sock;
    Stream *s scoped(stream) = connect_to(way->port, &sock);
    hear_until(s, "\r\n");
    stream_put(s, slice_of(way->good));
    (void)stream_flush(s);
    hear_until(s, way->answer);
}

/* ---- runs ---- */

PARKS_UNCHECKED static void first_life(void *nothing)
{
    (void)nothing;
    Config config;
    House *house = open_house(&config);
    deliver();
    close_house(house, &config);
}

PARKS_UNCHECKED static void life(void *arg)
{
    Input *in = arg;
    Config config;
    House *house = open_house(&config);
    talk(in);
    is_well(in->way->before ? in->way : ways);
    close_house(house, &config);
}

static void run(SimDisk *disk, void (*what)(void *), void *arg)
{
    SimConfig config = {
        .seed = 1, .disk = disk, .loops = 1, .disk_latency_us = 100, .net_latency_us = 20};
    must(!sim_run(&config, what, arg));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *begun, *disk;
    if (size < 2) return 0;
    if (!begun) {
        begun = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        run(begun, first_life, NULL);
    }
    sim_disk_copy(disk, begun);
    Input in = {&ways[data[0] % COUNT(ways)], slice(data + 2, size - 2), 1 + data[1] * 16u};
    run(disk, life, &in);
    return 0;
}
