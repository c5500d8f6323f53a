/* IDLE, RFC 2177: what others do is told as it happens. */
#include "imap/session.h"

#include <stdlib.h>

enum { STILL_HERE_MS = 2 * 60 * 1000 };

/* At rest nothing is kept but the session; the tag, which the arena held, is kept apart. */
PARKS static Wake rest(Imap *s, int64_t deadline)
{
    if (imap_keep(s)) return WOKEN_READY;
    if (stream_flush(s->stream)) return WOKEN_READY;
    s->in->tag = (Slice){0};
    arena_done(&s->arena);
    stream_rest(s->stream);
    return imap_wait(s, deadline);
}

/* Until the client speaks. Nudges come from the view when its mailbox changes. A line every now and
 * then keeps a NAT between us from forgetting the connection, and finds peers that are gone: so
 * there is no other limit to how long a client may be idle here (Dovecot does the same, and phones
 * rely on it). */
PARKS static Wake idle(Imap *s)
{
    int64_t every = s->config->still_here_ms ? s->config->still_here_ms : STILL_HERE_MS;
    int64_t next = now_ms() + every;
    for (;;) {
        imap_tell_unasked(s, true);
        if (s->state == LEAVING) return WOKEN_CANCELLED;
        Wake wake = rest(s, next);
        if (wake != WOKEN_NUDGED && wake != WOKEN_TIMEOUT) return wake;
        s->is_kept = false;
        if (wake == WOKEN_TIMEOUT) imap_say(s, "OK Still here");
        if (now_ms() >= next) next = now_ms() + every;
    }
}

/* Clients that shut down forget the DONE (imapclient and what is built upon it) and wait for the
 * answer to LOGOUT: they get it. */
PARKS static Err logout(Imap *s, Slice line)
{
    size_t space = slice_find(line, ' ');
    if (!space || !slice_eq_nocase(slice_from(line, MIN(space + 1, line.len)), S("LOGOUT")))
        return OK;
    s->in->tag = slice_first(line, space);
    return imap_cmd_logout(s);
}

PARKS static Err done(Imap *s, Wake wake)
{
    if (s->state == LEAVING) return OK;
    if (wake == WOKEN_CANCELLED) {
        imap_say(s, "BYE The server is shutting down");
        s->state = LEAVING;
        return OK;
    }
    Slice line;
    stream_set_deadline(s->stream, imap_deadline(s));
    TRY(imap_line(s->in, &line));
    if (slice_eq_nocase(line, S("DONE"))) return imap_ok(s, "IDLE completed");
    TRY(imap_bad(s, "DONE was expected"));
    return logout(s, line);
}

Err imap_idle(Imap *s)
{
    Wake wake = idle(s);
    imap_listen_no_more(s);
    if (s->handed.len) return OK;
    s->in->tag = arena_copy(&s->arena, slice_of(s->idle_tag));
    free(s->idle_tag);
    s->idle_tag = NULL;
    return done(s, wake);
}

/* RFC 9051 6.3.13: idle = "IDLE" CRLF "DONE" */
Err imap_cmd_idle(Imap *s)
{
    TRY(imap_end(s->in));
    buf_add(stream_out(s->stream), S("+ idling\r\n"));
    Slice tag = s->in->tag;
    s->idle_tag = mem_zero(tag.len + 1);
    memcpy(s->idle_tag, tag.at, tag.len);
    s->in->scan = scan((Slice){0});
    return imap_idle(s);
}
