/* What waits, in both worlds. Readiness is remembered in `ready` and only taken back by a try that
 * found nothing, so a wait that follows a full read costs nothing. */
#include "run/world.h"

void sock_announce(Sock *s, unsigned events)
{
    s->ready |= (uint8_t)events;
    if (s->reader && events & SOCK_READABLE) fiber_wake(s->reader, WOKEN_READY);
    if (s->writer && events & SOCK_WRITABLE) fiber_wake(s->writer, WOKEN_READY);
}

/* A peer that never lets us wait must not keep the others from their turn. */
PARKS static void take_turns(Sock *s)
{
    enum { IN_A_ROW = 16 };
    if (++s->waits_in_a_row < IN_A_ROW) return;
    s->waits_in_a_row = 0;
    breathe();
}

Wake sock_wait(Sock *s, SockEvents what, int64_t deadline_ms, bool nudges)
{
    Fiber *f = fiber_current();
    must(s->loop && s->loop == loop_now && f);
    if (run_is_cancelled()) return WOKEN_CANCELLED;
    if (s->ready & what && !(nudges && f->nudged)) {
        take_turns(s);
        return WOKEN_READY;
    }
    s->waits_in_a_row = 0;
    must(!(what & SOCK_READABLE && s->reader) && !(what & SOCK_WRITABLE && s->writer));
    if (what & SOCK_READABLE) s->reader = f;
    if (what & SOCK_WRITABLE) s->writer = f;
    if ((what & SOCK_WRITABLE || s->asks) && s->world->sock_will_wait)
        s->world->sock_will_wait(s, what);
    Wake why = fiber_wait("socket", deadline_ms, HEARS_CANCEL | (nudges ? HEARS_NUDGES : 0));
    if (s->reader == f) s->reader = NULL;
    if (s->writer == f) s->writer = NULL;
    return why;
}

Err sock_await(Sock *s, SockEvents what, int64_t deadline_ms, const char *doing)
{
    Wake why = sock_wait(s, what, deadline_ms, false);
    if (why == WOKEN_CANCELLED) return fail(ERR_CANCELLED, "%s: the server is stopping", doing);
    if (why == WOKEN_TIMEOUT) return fail(ERR_TIMEOUT, "%s: the peer took too long", doing);
    return OK;
}

Err sock_listen(const Address *at, Sock **listener)
{
    return world->sock_listen(at, listener);
}

Err sock_try_accept(Sock *listener, Sock **conn)
{
    *conn = NULL;
    if (!(listener->ready & SOCK_READABLE)) return OK;
    return listener->world->sock_try_accept(listener, conn);
}

Err sock_accept(Sock *listener, Sock **conn)
{
    for (;;) {
        if (run_is_cancelled()) return fail(ERR_CANCELLED, "accept: the server is stopping");
        Sock *got;
        TRY(sock_try_accept(listener, &got));
        if (got) {
            Err err = sock_attach(got);
            if (err)
                sock_close(got);
            else
                *conn = got;
            return err;
        }
        TRY(sock_await(listener, SOCK_READABLE, NEVER, "accept"));
    }
}

Err sock_connect(const Address *to, int64_t deadline_ms, Sock **conn)
{
    Sock *s scoped(sock) = NULL;
    TRY(world->sock_connect_begin(to, &s));
    TRY(sock_await(s, SOCK_WRITABLE, deadline_ms, "connect"));
    TRY(s->world->sock_connect_end(s));
    *conn = s;
    s = NULL;
    return OK;
}

void sock_close(Sock *s)
{
    if (!s) return;
    must(!s->reader && !s->writer);
    s->world->sock_close(s);
}

Address sock_peer(const Sock *s)
{
    return s->world->sock_peer(s);
}

Address sock_local(const Sock *s)
{
    return s->world->sock_local(s);
}

Err sock_try_read(Sock *s, void *out, size_t len, size_t *got)
{
    *got = 0;
    if (!len || !(s->ready & SOCK_READABLE)) return OK;
    return s->world->sock_try_read(s, out, len, got);
}

void sock_recheck(Sock *s)
{
    s->ready |= SOCK_READABLE;
}

void sock_more(Sock *s, bool more)
{
    s->more = more;
}

Err sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent)
{
    *sent = 0;
    if (!count || !(s->ready & SOCK_WRITABLE)) return OK;
    return s->world->sock_try_write(s, parts, count, sent);
}

void sock_shutdown(Sock *s)
{
    s->world->sock_shutdown(s);
}

void sock_cut(Sock *s)
{
    s->world->sock_cut(s);
}

void sock_detach(Sock *s)
{
    must(!s->reader && !s->writer && s->loop == loop_now);
    s->world->sock_detach(s);
    s->loop = NULL;
}

Err sock_attach(Sock *s)
{
    must(!s->loop && loop_now);
    s->loop = loop_now;
    s->ready = SOCK_READABLE | SOCK_WRITABLE;
    Err err = s->world->sock_attach(s);
    if (err) s->loop = NULL;
    return err;
}

Err sock_pair(Sock **a, Sock **b)
{
    return world->sock_pair(a, b);
}
