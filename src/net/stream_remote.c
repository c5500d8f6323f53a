/* A stream whose connection a front has: what the front does for it. */
#include "net/inside.h"
#include "net/remote.h"

bool stream_is_remote(const Stream *s)
{
    return s->remote != NULL;
}

PARKS static Err wait_for(Stream *s, SockEvents what, int64_t deadline_ms)
{
    return sock_await(s->sock, what, deadline_ms, "asking the front");
}

PARKS static Err put(Stream *s, const Memo *memo)
{
    for (bool done = false; !done;) {
        Err err = remote_try_put(s->remote, memo, &done);
        if (!err && !done) err = wait_for(s, SOCK_WRITABLE, stream_from_now(s->write_timeout_ms));
        if (!err) continue;
        stream_fail(s, err);
        return err;
    }
    return OK;
}

/* A frame behind all that was put so far. */
PARKS static Err say(Stream *s, const Memo *memo)
{
    TRY(stream_flush(s));
    return put(s, memo);
}

/* In front of the words by which the client knows: its first octets of TLS or DEFLATE may be with
 * the front before the frame that is behind these words, and would come to us as they are. */
PARKS static Err hold(Stream *s)
{
    return put(s, FRAME(MEMO_CONN_HOLD, s->remote->connection));
}

/* ---- TLS ---- */

/* As with a handshake of our own: what was sent in the clear before it is not read. */
static void throw_input(Stream *s)
{
    Remote *r = s->remote;
    stream_discard_input(s);
    for (size_t got = 1; got;) {
        char waste[1024];
        if (sock_try_read(s->sock, waste, sizeof waste, &got)) break;
    }
    r->shakes_hands = true;
}

PARKS static Err wait_for_handshake(Stream *s)
{
    Remote *r = s->remote;
    while (r->shakes_hands) {
        if (r->ended) return fail(r->end, "the client went in the TLS handshake");
        if (r->leg->end->over) return fail(ERR_END, "the front went in the TLS handshake");
        r->sock.ready &= (uint8_t)~SOCK_READABLE;
        TRY(wait_for(s, SOCK_READABLE, s->deadline_ms));
    }
    return r->tls ? fail(r->tls, "the front could not make TLS of it") : OK;
}

PARKS Err remote_start_tls(Stream *s)
{
    Slice alpn = slice_from(buf_slice(&s->alpn), 1);
    TRY(hold(s));
    TRY(stream_flush(s));
    if (s->deaf) return s->error;
    Memo ask = {.kind = MEMO_CONN_START_TLS, .number = {s->remote->connection}, .text = {alpn}};
    throw_input(s);
    TRY(say(s, &ask));
    Err err = wait_for_handshake(s);
    if (err) stream_fail(s, err);
    return err;
}

bool remote_is_tls(const Stream *s)
{
    return remote_about(s->remote, ABOUT_VERSION).len > 0;
}

Slice remote_tls_text(const Stream *s, bool cipher)
{
    return remote_about(s->remote, cipher ? ABOUT_CIPHER : ABOUT_VERSION);
}

Err remote_channel_binding(Stream *s, ChannelBinding type, Buf *out)
{
    Slice facts = remote_about(s->remote, ABOUT_FACTS), binding;
    if (!facts_next(&facts, type, &binding))
        return fail(ERR_UNSUPPORTED, "channel binding: the front knows none");
    buf_add(out, binding);
    return OK;
}

size_t remote_client_names(const Stream *s, ClientName kind, Arena *a, Slice **names)
{
    Slice name;
    size_t count = 0, room = 0;
    for (Slice f = remote_about(s->remote, ABOUT_FACTS); facts_next(&f, FACT_NAME + kind, &name);)
        room++;
    if (room) *names = arena_array(a, Slice, room);
    for (Slice f = remote_about(s->remote, ABOUT_FACTS); facts_next(&f, FACT_NAME + kind, &name);)
        (*names)[count++] = arena_copy(a, name);
    return count;
}

/* ---- DEFLATE ---- */

PARKS Err remote_set_deflate(Stream *s, bool on)
{
    must(s->remote->deflated != on);
    s->remote->deflated = on;
    if (on) TRY(hold(s));
    MemoKind kind = on ? MEMO_CONN_START_DEFLATE : MEMO_CONN_END_DEFLATE;
    return say(s, FRAME(kind, s->remote->connection));
}

bool remote_is_deflated(const Stream *s)
{
    return s->remote->deflated;
}

/* ---- records ---- */

PARKS void stream_keep(Stream *s, Slice record)
{
    if (!s->remote || s->mute || stream_flush(s)) return;
    if (record.len > TUNNEL_RECORD_MOST) record.len = 0;
    uint64_t taken = s->remote->taken - inbox_waiting(&s->in).len;
    (void)say(s, &(Memo){
                     .kind = MEMO_CONN_KEEP,
                     .number = {s->remote->connection, taken},
                     .text = {record                    }
    }); /* a failure sticks */
}

/* The front says no more than CONN_END now, and then all it said is here. */
PARKS static Err wait_for_end(Stream *s)
{
    Remote *r = s->remote;
    int64_t until = stream_from_now(s->write_timeout_ms);
    while (!r->ended) {
        if (r->leg->end->over) return fail(ERR_END, "the front went");
        r->sock.ready &= (uint8_t)~SOCK_READABLE;
        TRY(wait_for(s, SOCK_READABLE, until));
    }
    return OK;
}

PARKS void stream_hand_back(Stream *s, Slice record)
{
    Remote *r = s->remote;
    must(r);
    must(record.len <= TUNNEL_RECORD_MOST);
    Memo back = {.kind = MEMO_CONN_BACK, .number = {r->connection}, .text = {record}};
    if (say(s, &back) || wait_for_end(s)) {
        stream_fail(s, ERR_END);
        return;
    }
    buf_add(&s->out, inbox_waiting(&s->in));
    buf_add(&s->out, inbox_waiting(&r->in));
    inbox_done(&r->in);
    r->end = ERR_END; /* it is ours to say a little more */
    (void)stream_flush(s);
    sock_shutdown(s->sock);
    stream_fail(s, ERR_END);
}
