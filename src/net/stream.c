/* A stream as such: its life, its limits, its output. Input is in stream_input.c, TLS in
 * stream_tls.c. */
#include "net/inside.h"
#include "net/remote.h"

#include <stdlib.h>

#define DRAIN_AT      ((size_t)64 * 1024)
#define WRITE_TIMEOUT ((int64_t)5 * 60 * 1000)
#define KEEP_OUT      ((size_t)128 * 1024) /* a larger output buffer is not kept */

Stream *stream_new(Sock *sock)
{
    Stream *s = NEW(Stream);
    s->sock = sock;
    s->remote = remote_of(sock);
    s->chunk = FIRST_CHUNK;
    s->deadline_ms = NEVER;
    s->write_timeout_ms = WRITE_TIMEOUT;
    s->budget = UINT64_MAX;
    s->peer = sock_peer(sock);
    return s;
}

void stream_free(Stream *s)
{
    if (!s) return;
    if (s->on_free) s->on_free(s->on_free_arg);
    press_free(s->press);
    SSL_free(s->ssl);
    tls_unref(s->tls);
    sock_close(s->sock);
    inbox_done(&s->in);
    buf_done(&s->out);
    buf_done(&s->alpn);
    free(s);
}

void stream_on_free(Stream *s, void (*fn)(void *arg), void *arg)
{
    s->on_free = fn;
    s->on_free_arg = arg;
}

void stream_cut(Stream *s)
{
    sock_cut(s->sock);
}

Err stream_error(const Stream *s)
{
    return s->error;
}

void stream_fail(Stream *s, Err err)
{
    if (!s->error) s->error = err;
    s->deaf = s->mute = true;
    buf_clear(&s->out);
}

Address stream_peer(const Stream *s)
{
    return s->peer;
}

Address stream_local(const Stream *s)
{
    return sock_local(s->sock);
}

uint64_t stream_octets_in(const Stream *s)
{
    return s->octets_in;
}

uint64_t stream_octets_out(const Stream *s)
{
    return s->octets_out;
}

void stream_set_deadline(Stream *s, int64_t deadline_ms)
{
    s->deadline_ms = deadline_ms;
}

void stream_set_write_timeout(Stream *s, int64_t ms)
{
    s->write_timeout_ms = ms;
}

void stream_set_budget(Stream *s, uint64_t octets)
{
    s->budget = octets;
}

/* ---- output ---- */

Buf *stream_out(Stream *s)
{
    return &s->out;
}

int64_t stream_from_now(int64_t ms)
{
    int64_t now = now_ms();
    return ms > NEVER - now ? NEVER : now + ms;
}

PARKS static Err wait_to_write(Stream *s, SockEvents wants)
{
    return sock_await(s->sock, wants, stream_from_now(s->write_timeout_ms), "writing to the peer");
}

/* What is not sent is in nobody's way: a failure is found by the fiber that flushes. */
size_t stream_send_now(Stream *s, Slice octets)
{
    size_t all = 0;
    if (s->press || s->out.len || s->mute) return 0;
    for (size_t sent = 1; sent && octets.len; octets = slice_from(octets, sent)) {
        SockEvents wants;
        if (channel_try_write(s, octets, &sent, &wants)) break;
        s->octets_out += sent;
        all += sent;
    }
    return all;
}

PARKS static Err send_packed(Stream *s, Slice octets)
{
    while (octets.len && !s->mute) {
        size_t sent = 0;
        SockEvents wants = SOCK_WRITABLE;
        Err err = channel_try_write(s, octets, &sent, &wants);
        octets = slice_from(octets, sent);
        s->octets_out += sent;
        if (!err && !sent) err = wait_to_write(s, wants);
        if (err) stream_fail(s, err);
    }
    return s->mute ? s->error : OK;
}

PARKS static Err send_all(Stream *s, Slice octets)
{
    if (!s->press) return send_packed(s, octets);
    while (octets.len && !s->mute) {
        size_t len = press_piece(s->press, octets, DEFLATE_MORE);
        octets = slice_from(octets, len);
        (void)send_packed(s, buf_slice(&s->press->packed)); /* a failure makes us mute */
    }
    return s->mute ? s->error : OK;
}

/* RFC 4978 has no word for it, but a client waits for the end of an answer: all that zlib keeps
 * back goes out, and the octet boundary with it. */
PARKS static Err send_end(Stream *s, DeflateWay way)
{
    if (!s->press || s->mute) return s->mute ? s->error : OK;
    (void)press_piece(s->press, (Slice){0}, way);
    return send_packed(s, buf_slice(&s->press->packed));
}

/* The buffer is taken off while it is sent, so that a neighbour may add news to the stream while we
 * wait for the peer. */
PARKS Err stream_flush(Stream *s)
{
    while ((s->out.len || (s->press && press_holds(s->press))) && !s->mute) {
        Buf sending = s->out;
        s->out = (Buf){0};
        Err sent = send_all(s, buf_slice(&sending));
        if (!sent && !s->out.len) sent = send_end(s, DEFLATE_FLUSH);
        buf_clear(&sending);
        if (sent || s->out.at || sending.room > KEEP_OUT)
            buf_done(&sending);
        else
            s->out = sending;
        breathe();
    }
    if (!s->mute) return OK;
    buf_clear(&s->out);
    return s->error;
}

PARKS Err stream_drain(Stream *s)
{
    return s->out.len > DRAIN_AT || s->mute ? stream_flush(s) : OK;
}

/* Many octets are sent from where they are. */
PARKS void stream_put(Stream *s, Slice octets)
{
    if (s->out.len + octets.len <= DRAIN_AT) {
        if (!s->mute) buf_add(&s->out, octets);
        return;
    }
    if (stream_flush(s)) return;
    if (octets.len < DRAIN_AT / 4)
        buf_add(&s->out, octets);
    else if (!send_all(s, octets))
        breathe();
}

PARKS void stream_printf(Stream *s, const char *fmt, ...)
{
    if (s->mute) return;
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&s->out, fmt, args);
    va_end(args);
    (void)stream_drain(s); /* a failure sticks */
}

void stream_rest(Stream *s)
{
    if (!inbox_waiting(&s->in).len) inbox_done(&s->in);
    if (!s->out.len) buf_done(&s->out);
}

PARKS static void say_last(Stream *s)
{
    (void)stream_flush(s);
    stream_end_tls(s);
    sock_shutdown(s->sock);
}

/* Closing with octets unread makes the kernel reset the connection, and the reset may overtake our
 * last words on their way: a client that sends too much would never learn why it was cut off. */
#define LINGER_MS     2000
#define LINGER_OCTETS ((size_t)2 << 20)

PARKS static void linger(Stream *s)
{
    int64_t until = stream_from_now(LINGER_MS);
    for (size_t thrown = 0; thrown < LINGER_OCTETS && now_ms() < until;) {
        char waste[1024];
        size_t got;
        if (sock_try_read(s->sock, waste, sizeof waste, &got)) break;
        thrown += got;
        if (!got && sock_wait(s->sock, SOCK_READABLE, until, false) != WOKEN_READY) break;
    }
}

PARKS void stream_finish(Stream *s)
{
    if (s->adrift) return;
    say_last(s);
    linger(s);
    stream_fail(s, ERR_END);
}

PARKS void stream_finish_at_once(Stream *s)
{
    if (s->adrift) return;
    say_last(s);
    char waste[64];
    size_t got = 0;
    sock_recheck(s->sock);
    if (!sock_try_read(s->sock, waste, sizeof waste, &got) && got) linger(s);
    stream_fail(s, ERR_END);
}

/* ---- compression ---- */

PARKS Err stream_start_deflate(Stream *s)
{
    if (s->remote) return remote_set_deflate(s, true);
    must(!s->press);
    TRY(stream_flush(s));
    s->press = press_new(&s->in);
    return OK;
}

PARKS Err stream_end_deflate(Stream *s)
{
    if (s->remote) return remote_set_deflate(s, false);
    must(s->press);
    Err err = stream_flush(s);
    if (!err) err = send_end(s, DEFLATE_END); /* there may have been nothing to flush any more */
    press_end(s->press, &s->in);
    press_free(s->press);
    s->press = NULL;
    s->was_deflated = !inbox_waiting(&s->in).len;
    return err;
}

bool stream_is_deflated(const Stream *s)
{
    return s->remote ? remote_is_deflated(s) : s->press != NULL;
}

/* ---- moving, tests ---- */

void stream_detach(Stream *s)
{
    if (!s->adrift) sock_detach(s->sock);
}

Err stream_attach(Stream *s)
{
    Err err = sock_attach(s->sock);
    s->adrift = err;
    if (err) stream_fail(s, err);
    return err;
}

Err stream_pair(Stream **a, Stream **b)
{
    Sock *one, *other;
    TRY(sock_pair(&one, &other));
    *a = stream_new(one);
    *b = stream_new(other);
    return OK;
}
