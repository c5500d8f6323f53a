/* DEFLATE under a stream (RFC 4978): what comes from the channel is inflated no further than the
 * reader asks for, so that a bomb costs its sender more than us and never memory. */
#include "net/inside.h"

#include <stdlib.h>

enum { RAW_MOST = 16 * 1024, KEEP_MS = 5000 };

Press *press_new(Inbox *in)
{
    Press *p = NEW(Press);
    p->in = inflater_new();
    p->out = deflater_new();
    buf_add(&p->raw, inbox_waiting(in));
    inbox_done(in);
    return p;
}

void press_free(Press *p)
{
    if (!p) return;
    inflater_free(p->in);
    deflater_free(p->out);
    buf_done(&p->raw);
    buf_done(&p->packed);
    free(p);
}

/* A peer that ends its DEFLATE with a block of its own, after a flush, sends an empty one, stored
 * (RFC 1951 3.2.4) or with fixed codes (3.2.6). No command begins like that. */
void press_skip_end(Inbox *in)
{
    Slice waiting = inbox_waiting(in);
    if (slice_starts(waiting, S("\3\0")))
        in->start += 2;
    else if (slice_starts(waiting, S("\1\0\0\xff\xff")))
        in->start += 5;
}

void press_end(Press *p, Inbox *in)
{
    Slice raw = buf_slice(&p->raw);
    if (!raw.len) return;
    memcpy(inbox_reserve(in, raw.len), raw.at, raw.len);
    in->bytes.len += raw.len;
    press_skip_end(in);
}

/* ---- in ---- */

Err press_try_read(Stream *s, void *out, size_t len, size_t *got, SockEvents *wants)
{
    Press *p = s->press;
    if (!p) return channel_try_read(s, out, len, got, wants);
    for (;;) {
        Slice raw = buf_slice(&p->raw);
        if (raw.len) p->resting = false;
        TRY(inflater_take(p->in, &raw, out, len, got));
        buf_drop_front(&p->raw, p->raw.len - raw.len);
        if (*got) return OK;
        size_t more;
        TRY(channel_try_read(s, buf_reserve(&p->raw, RAW_MOST), RAW_MOST, &more, wants));
        p->raw.len += more;
        if (more) continue;
        must(!p->raw.len); /* what brings nothing out is taken to its end */
        buf_done(&p->raw);
        return OK;
    }
}

/* ---- out ---- */

size_t press_piece(Press *p, Slice octets, DeflateWay way)
{
    octets = slice_first(octets, DEFLATE_PIECE);
    buf_clear(&p->packed);
    deflater_put(p->out, octets, way, &p->packed);
    p->resting = false;
    return octets.len;
}

bool press_at_boundary(const Press *p)
{
    return inflater_at_boundary(p->in);
}

bool press_holds(const Press *p)
{
    return deflater_holds(p->out);
}

/* ---- at rest ---- */

static void rest(Press *p)
{
    if (deflater_holds(p->out)) return;
    deflater_rest(p->out);
    inflater_rest(p->in);
    buf_done(&p->packed);
    if (!p->raw.len) buf_done(&p->raw);
    p->resting = true;
}

/* Long enough that a client in a hurry keeps its dictionary, short enough that a crowd of idle ones
 * does not. */
PARKS Wake press_wait(Stream *s, SockEvents wants, int64_t deadline_ms, bool nudges)
{
    if (s->press && !s->press->resting) {
        int64_t soon = now_ms() + KEEP_MS;
        Wake wake = sock_wait(s->sock, wants, MIN(soon, deadline_ms), nudges);
        if (wake != WOKEN_TIMEOUT || deadline_ms <= soon) return wake;
        rest(s->press);
    }
    return sock_wait(s->sock, wants, deadline_ms, nudges);
}
