/* Streams at their edges: one way closed, a peer that stops, a loop that cannot have them, and what
 * only time shows. */
#include "base/test.h"
#include "net/inside.h"
#include "net/tls_signer.h"
#include "run/file.h"
#include "run/process.h"
#include "run/sim.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char zeros[200 * 1024];

/* ---- somebody at the other end ---- */

typedef struct {
    Stream *stream;
    TlsContext *ctx;
    Slice host;
    Err err;
    bool ended;
} Peer;

PARKS_UNCHECKED static void shakes(void *arg)
{
    Peer *p = arg;
    p->err = stream_start_tls_client(p->stream, p->ctx, p->host);
    p->ended = true;
}

PARKS_UNCHECKED static void reads(void *arg)
{
    Peer *p = arg;
    fiber_sleep(30);
    while (stream_some(p->stream, 100000).len)
        ;
    p->ended = true;
}

PARKS static void wait_for(const Peer *p)
{
    while (!p->ended)
        fiber_sleep(1);
}

static TlsContext *server_of(const char *dir)
{
    Arena a arena_scoped = {0};
    TlsContext *ctx = NULL;
    Slice names[] = {S("localhost")};
    Slice certificate = arena_printf(&a, "%s/c.pem", dir), key = arena_printf(&a, "%s/k.pem", dir);
    check_ok(tls_make_self_signed(certificate, key, names, 1));
    check_ok(tls_server_new(certificate, key, &ctx));
    check_ok(path_unlink(certificate));
    check_ok(path_unlink(key));
    return ctx;
}

static TlsContext *any_server(void)
{
    char dir[] = "/tmp/posthouse-edge-XXXXXX";
    must(mkdtemp(dir));
    TlsContext *ctx = server_of(dir);
    rmdir(dir);
    return ctx;
}

PARKS static void shake(TlsContext *ours, Stream **server, Stream **client)
{
    TlsContext *theirs scoped(tls) = tls_client_new(false);
    check_ok(stream_pair(server, client));
    Peer peer = {.stream = *client, .ctx = theirs};
    fiber_start("client", shakes, &peer);
    check_ok(stream_start_tls(*server, ours));
    wait_for(&peer);
    check_ok(peer.err);
}

/* ---- TLS ---- */

TEST(handshakes_that_do_not_begin)
{
    TlsContext *server scoped(tls) = any_server(), *client scoped(tls) = tls_client_new(false);
    static const struct {
        bool late, flushes, gone, half;
        size_t host;
        Err err;
    } rows[] = {
        {.late = true,    .err = ERR_TIMEOUT},
        {.flushes = true,               .gone = true, .err = ERR_END},
        {.half = true,.err = ERR_END},
        {.host = 300,               .err = ERR_TLS}, /* RFC 6066 3: no such name */
        {.err = ERR_TIMEOUT            }, /* nobody answers */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int is_server = 0; is_server < 2; is_server++) {
            Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
            Buf host buf_scoped = {0};
            check_ok(stream_pair(&a, &b));
            for (size_t n = 0; n < rows[i].host; n++)
                buf_char(&host, 'h');
            stream_set_deadline(a, now_ms() + (rows[i].late ? -1 : 50));
            if (rows[i].flushes) stream_put(a, S("x"));
            if (rows[i].half) sock_shutdown(b->sock);
            if (rows[i].half) check(!stream_some(a, 1).len);
            if (rows[i].gone) stream_cut(b);
            if (is_server) {
                Err err = stream_start_tls(a, server);
                check(rows[i].host || err == rows[i].err);
            } else {
                check_err(stream_start_tls_client(a, client, buf_slice(&host)), rows[i].err);
            }
        }
    }
}

/* Its octets come one by one, and the deadline passes between them. */
TEST(half_a_hello_meets_the_deadline)
{
    TlsContext *server scoped(tls) = any_server();
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    stream_put(b, S("\x16\x03\x01\x01"));
    check_ok(stream_flush(b));
    stream_set_deadline(a, now_ms() + 20);
    check_err(stream_start_tls(a, server), ERR_TIMEOUT);
}

/* What was tried on the way, and failed, is found by who flushes, and by who reads. */
TEST(tls_that_broke_stays_broken)
{
    TlsContext *server scoped(tls) = any_server();
    for (int reading = 0; reading < 2; reading++) {
        Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
        shake(server, &a, &b);
        stream_cut(b);
        for (int i = 0; i < 100 && !a->tls_is_broken; i++)
            check_u64(stream_send_now(a, S("x")) <= 1, true);
        check(a->tls_is_broken);
        if (reading) {
            check(!stream_some(a, 1).len);
        } else {
            stream_put(a, S("y"));
            check_err(stream_flush(a), ERR_TLS);
            check_u64(stream_send_now(a, S("x")), 0);
        }
        check_err(stream_error(a), ERR_TLS);
        stream_end_tls(a);
    }
}

/* Nothing goes through any more: the goodbye waits, but not for ever. */
TEST(goodbyes_wait_for_room)
{
    TlsContext *server scoped(tls) = any_server();
    for (int reading = 0; reading < 2; reading++) {
        Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
        shake(server, &a, &b);
        while (stream_send_now(a, slice(zeros, 1000)))
            ;
        Peer peer = {.stream = b};
        if (reading) fiber_start("reads", reads, &peer);
        int64_t begin = now_ms();
        stream_end_tls(a);
        check(now_ms() - begin < 3000);
        stream_end_tls(a); /* it is mute */
        stream_cut(a);
        if (reading) wait_for(&peer);
    }
}

/* One way closed: what still comes is read. */
TEST(a_mute_stream_hears)
{
    TlsContext *server scoped(tls) = any_server();
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    Slice line;
    shake(server, &a, &b);
    stream_end_tls(a);
    stream_put(b, S("one\r\ntwo\r\nthree"));
    check_ok(stream_flush(b));
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check_slice(line, S("one"));
    check(!stream_some(a, 0).len);
    check_slice(stream_peek(a), S("two\r\nthree"));
    check_slice(stream_some(a, 5), S("two\r\n"));
    stream_cut(b);
    check_slice(stream_some(a, 100), S("three"));
    check(stream_wait(a, NEVER) == WOKEN_READY);
    check(stream_line(a, 100, &line) == LINE_NONE);
    check_err(stream_error(a), ERR_END); /* the first */
}

/* ---- DEFLATE ---- */

TEST(deflate_to_who_does_not_read)
{
    for (int ends = 0; ends < 2; ends++) {
        Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
        Buf noise buf_scoped = {0};
        check_ok(stream_pair(&a, &b));
        check_ok(stream_start_deflate(a));
        stream_set_write_timeout(a, 20);
        random_bytes(buf_reserve(&noise, 4 << 20), 4 << 20);
        noise.len = 4 << 20;
        stream_put(a, buf_slice(&noise));
        check_err(stream_flush(a), ERR_TIMEOUT);
        stream_put(a, buf_slice(&noise));
        if (ends) check_err(stream_end_deflate(a), ERR_TIMEOUT);
        check_err(stream_error(a), ERR_TIMEOUT);
    }
}

/* A large text goes as it comes; what zlib keeps of it goes with the flush. */
TEST(a_flush_brings_out_what_deflate_holds)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    check_ok(stream_pair(&a, &b));
    check_ok(stream_start_deflate(a));
    check_ok(stream_start_deflate(b));
    stream_put(a, slice(zeros, 100000));
    check(!stream_out(a)->len && press_holds(a->press));
    check_ok(stream_flush(a));
    check(!press_holds(a->press));
    check(stream_skip(b, 100000));
    buf_add(stream_out(a), slice(zeros, 65000));
    stream_put(a, slice(zeros, 1000)); /* the small behind the large */
    check_u64(stream_out(a)->len, 1000);
    check_ok(stream_flush(a));
    check(stream_skip(b, 66000));
    check_ok(stream_error(a));
}

/* RFC 1951 3.2.4: an empty last block, stored, behind a flush. */
TEST(a_last_block_is_no_command)
{
    static const Slice lasts[] = {
        {"\3\0",           2},
        {"\1\0\0\xff\xff", 5},
        {"",               0}
    };
    for (size_t i = 0; i < COUNT(lasts); i++) {
        Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
        Slice line;
        check_ok(stream_pair(&a, &b));
        check_ok(stream_start_deflate(a));
        check_ok(stream_end_deflate(a));
        check(stream_skip(b, 0));
        Slice parts[] = {lasts[i], S("a NOOP\r\n")};
        size_t sent;
        check_ok(sock_try_write(b->sock, parts, 2, &sent));
        check(stream_line(a, 100, &line) == LINE_CRLF);
        check_slice(line, S("a NOOP"));
    }
}

PARKS static Wake waits(Stream *s, int64_t ms)
{
    return stream_wait(s, now_ms() + ms);
}

/* A dictionary is kept for five seconds, unless something is held back. */
PARKS_UNCHECKED static void rest_for_long(void *arg)
{
    Stream *a, *b;
    Slice line;
    (void)arg;
    check_ok(stream_pair(&a, &b));
    check_ok(stream_start_deflate(a));
    check_ok(stream_start_deflate(b));
    check(waits(a, 1000) == WOKEN_TIMEOUT && !a->press->resting);
    stream_put(a, slice(zeros, 100000)); /* and no flush */
    check(waits(a, 6000) == WOKEN_TIMEOUT && !a->press->resting);
    check_ok(stream_flush(a));
    check(waits(a, 6000) == WOKEN_TIMEOUT && a->press->resting);
    check(waits(a, 6000) == WOKEN_TIMEOUT && a->press->resting);
    check(stream_skip(b, 100000));
    stream_put(b, S("one\r\n"));
    check_ok(stream_flush(b));
    check(stream_line(a, 100, &line) == LINE_CRLF && !a->press->resting);
    check_slice(line, S("one"));
    stream_put(b, S("two\r\n"));
    check_ok(stream_flush(b));
    a->in.bytes.len = a->in.start = 0;
    check(waits(a, 100) == WOKEN_READY);
    check(stream_line(a, 100, &line) == LINE_CRLF);
    check_slice(line, S("two"));
    stream_forget(a);
    stream_free(a);
    stream_free(b);
}

static void in_virtual_time(void (*fn)(void *))
{
    SimConfig config = {.seed = 3, .loops = 1, .disk = sim_disk_new(1 << 20)};
    int code = 1;
    check_ok(sim_run_child(&config, fn, NULL, &code));
    check(code == 0);
    sim_disk_free(config.disk);
}

TEST(what_rests_is_small)
{
    in_virtual_time(rest_for_long);
}

/* ---- time and the end of the program ---- */

/* Somebody goes on sending to a connection that is over. */
PARKS_UNCHECKED static void sends_on(void *arg)
{
    Peer *p = arg;
    while (!stream_error(p->stream)) {
        stream_put(p->stream, S("more and more"));
        (void)stream_flush(p->stream);
        fiber_sleep(100);
    }
    p->ended = true;
}

PARKS_UNCHECKED static void linger(void *arg)
{
    Stream *a, *b;
    (void)arg;
    check_ok(stream_pair(&a, &b));
    Peer peer = {.stream = b};
    fiber_start("sends", sends_on, &peer);
    int64_t begin = now_ms();
    stream_put(a, S("* BYE\r\n"));
    stream_finish(a);
    check(now_ms() - begin >= 2000 && now_ms() - begin < 2500);
    stream_free(a);
    wait_for(&peer);
    stream_free(b);
}

TEST(nobody_lingers_for_ever)
{
    in_virtual_time(linger);
}

PARKS_UNCHECKED static void reads_a_line(void *arg)
{
    Peer *p = arg;
    Slice line;
    check(stream_line(p->stream, 100, &line) == LINE_NONE);
    p->err = stream_error(p->stream);
    p->ended = true;
}

PARKS_UNCHECKED static void writes_much(void *arg)
{
    Peer *p = arg;
    stream_set_write_timeout(p->stream, NEVER);
    for (int i = 0; i < 100 && !p->err; i++) {
        stream_put(p->stream, slice(zeros, sizeof zeros));
        p->err = stream_flush(p->stream);
    }
    p->ended = true;
}

PARKS_UNCHECKED static void shakes_hands(void *arg)
{
    Peer *p = arg;
    p->err = stream_start_tls(p->stream, p->ctx);
    p->ended = true;
}

PARKS_UNCHECKED static void stop_in_the_middle(void *arg)
{
    Stream *s[6];
    Peer peers[3];
    Cond later = {0};
    void (*const fns[])(void *) = {reads_a_line, writes_much, shakes_hands};
    (void)arg;
    TlsContext *ctx = server_of("");
    for (size_t i = 0; i < 3; i++) {
        check_ok(stream_pair(&s[2 * i], &s[2 * i + 1]));
        peers[i] = (Peer){.stream = s[2 * i], .ctx = ctx};
        fiber_start("stops", fns[i], &peers[i]);
    }
    fiber_sleep(100);
    run_cancel();
    for (size_t i = 0; i < 3; i++) {
        while (!peers[i].ended)
            cond_wait(&later, now_ms() + 10);
        check_err(peers[i].err, ERR_CANCELLED);
    }
    for (size_t i = 0; i < 6; i++)
        stream_free(s[i]);
    tls_unref(ctx);
}

TEST(streams_end_with_the_program)
{
    in_virtual_time(stop_in_the_middle);
}

/* ---- a loop that cannot have it ---- */

TEST(a_stream_without_a_loop_swallows_everything)
{
    int fds[2];
    Sock *one, *other;
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    check_ok(sock_of_fd(fds[0], &one));
    check_ok(sock_of_fd(fds[1], &other));
    Stream *a = stream_new(one), *b = stream_new(other);
    stream_detach(a);
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    check(dup2(none, fds[0]) == fds[0]); /* nothing that can be waited for */
    close(none);
    check(stream_attach(a) != OK);
    check(stream_error(a) != OK);
    stream_put(a, S("lost"));
    stream_finish(a);
    stream_detach(a);
    stream_forget(a);
    stream_free(a);
    stream_free(b);
}

TEST(no_pair_without_descriptors)
{
    struct rlimit before, few;
    Stream *a = NULL, *b = NULL;
    check(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = 3;
    check(setrlimit(RLIMIT_NOFILE, &few) == 0);
    Err err = stream_pair(&a, &b);
    check(setrlimit(RLIMIT_NOFILE, &before) == 0);
    check_err(err, ERR_LIMIT);
    check(!a && !b);
}

/* ---- tickets ---- */

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept);
    kept = session;
    return 1;
}

static void offer_session(const SSL *ssl, int where, int value)
{
    (void)value;
    if (where == SSL_CB_HANDSHAKE_START && kept) SSL_set_session((SSL *)(uintptr_t)ssl, kept);
}

PARKS static bool resumes(TlsContext *ours, TlsContext *theirs)
{
    Stream *a scoped(stream) = NULL, *b scoped(stream) = NULL;
    Slice line;
    check_ok(stream_pair(&a, &b));
    Peer peer = {.stream = b, .ctx = theirs};
    fiber_start("client", shakes, &peer);
    check_ok(stream_start_tls(a, ours));
    wait_for(&peer);
    check_ok(peer.err);
    stream_put(a, S("hello\r\n"));
    check_ok(stream_flush(a));
    check(stream_line(b, 100, &line) == LINE_CRLF); /* and the ticket before it */
    /* OpenSSL does not tell of a new ticket to a session of TLS 1.2 that was taken up. */
    if (SSL_version(b->ssl) == TLS1_2_VERSION) keep_session(b->ssl, SSL_get1_session(b->ssl));
    stream_end_tls(b);
    return SSL_session_reused(a->ssl);
}

static void take_keys(const char *letters)
{
    Buf keys buf_scoped = {0};
    for (; *letters; letters++)
        for (int i = 0; i < 80; i++)
            buf_char(&keys, *letters);
    check_ok(tls_tickets_take(buf_slice(&keys)));
}

/* Those who rotate them are elsewhere: a ticket is good under the key before, too, and no longer.
 */
PARKS_UNCHECKED static void keys_come_and_go(void *arg)
{
    (void)arg;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        TlsContext *ours scoped(tls) = server_of(""), *theirs scoped(tls) = tls_client_new(false);
        SSL_CTX_set_max_proto_version(theirs->ssl, version);
        SSL_CTX_set_session_cache_mode(theirs->ssl,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(theirs->ssl, keep_session);
        SSL_CTX_set_info_callback(theirs->ssl, offer_session);
        take_keys("a");
        check(!resumes(ours, theirs));
        check(resumes(ours, theirs));
        take_keys("ba");
        check(resumes(ours, theirs)); /* and its new ticket is of b */
        take_keys("cb");
        check(resumes(ours, theirs));
        take_keys("ed");
        check(!resumes(ours, theirs));
        take_keys("f");
        check(!resumes(ours, theirs));
        SSL_SESSION_free(kept);
        kept = NULL;
    }
}

TEST(tickets_live_as_long_as_two_keys)
{
    in_virtual_time(keys_come_and_go);
}
