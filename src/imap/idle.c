/* IDLE, RFC 2177: what others do is told as it happens. */
#include "imap/session.h"

#include <stdlib.h>

/* At rest nothing is kept but the session; the tag, which the arena held, is kept apart. */
PARKS static Wake rest(Imap *s, int64_t deadline)
{
    if (stream_flush(s->stream)) return WOKEN_READY;
    s->in->tag = (Slice){0};
    arena_done(&s->arena);
    stream_rest(s->stream);
    return stream_wait(s->stream, deadline);
}

/* Until the client speaks. Nudges come from the view when its mailbox changes. */
PARKS static Wake idle(Imap *s)
{
    int64_t deadline = imap_deadline(s);
    for (;;) {
        if (s->state == SELECTED) imap_tell_news(s, true);
        if (s->state == LEAVING) return WOKEN_CANCELLED;
        Wake wake = rest(s, deadline);
        if (wake != WOKEN_NUDGED) return wake;
    }
}

PARKS static Err done(Imap *s, Wake wake)
{
    if (s->state == LEAVING) return OK;
    if (wake == WOKEN_TIMEOUT || wake == WOKEN_CANCELLED) {
        imap_say(s, "BYE %s", wake == WOKEN_TIMEOUT ? "Idle for too long" : "Shutting down");
        s->state = LEAVING;
        return OK;
    }
    Slice line;
    stream_set_deadline(s->stream, imap_deadline(s));
    TRY(imap_line(s->in, &line));
    if (!slice_eq_nocase(line, S("DONE"))) return imap_bad(s, "DONE was expected");
    return imap_ok(s, "IDLE completed");
}

/* RFC 9051 6.3.13: idle = "IDLE" CRLF "DONE" */
Err imap_cmd_idle(Imap *s)
{
    TRY(imap_end(s->in));
    buf_add(stream_out(s->stream), S("+ idling\r\n"));
    Slice tag = s->in->tag;
    char *kept = mem_new(tag.len);
    memcpy(kept, tag.at, tag.len);
    s->in->scan = scan((Slice){0});

    if (s->view) view_listen(s->view, fiber_current());
    Wake wake = idle(s);
    if (s->view) view_listen(s->view, NULL);
    s->in->tag = arena_copy(&s->arena, slice(kept, tag.len));
    free(kept);
    return done(s, wake);
}
