#include "base/text.h"
#include "net/inside.h"

/* A failure of the input leaves the output open: "* BYE Autologout", "421 too slow" and the answers
 * to the last commands of a peer that has closed its half still have to go out. */
static bool no_more(Stream *s, Err err)
{
    if (!s->error) s->error = err;
    s->deaf = true;
    return false;
}

/* One try to get more into the inbox; OK and *got 0: wait for *wants first. */
static Err try_fill(Stream *s, size_t *got, SockEvents *wants)
{
    *got = 0;
    if (!s->budget) return fail(ERR_LIMIT, "the peer sent more than allowed");
    size_t room = (size_t)MIN((uint64_t)s->chunk, s->budget);
    char *to = inbox_reserve(&s->in, room);
    TRY(press_try_read(s, to, room, got, wants));
    s->in.bytes.len += *got;
    s->octets_in += *got;
    if (s->was_deflated && *got) {
        s->was_deflated = false;
        press_skip_end(&s->in);
    }
    if (s->budget != UINT64_MAX) s->budget -= *got;
    if (*got == s->chunk)
        s->chunk = MIN(s->chunk * 2, MOST_CHUNK);
    else if (*got && *got < s->chunk / 4)
        s->chunk = MAX(s->chunk / 2, FIRST_CHUNK);
    return OK;
}

/* The deadline also holds for a peer that is never silent, a byte now and a byte then. */
PARKS static Err fill_or_err(Stream *s)
{
    for (;;) {
        size_t got;
        SockEvents wants = SOCK_READABLE;
        if (now_ms() >= s->deadline_ms) return fail(ERR_TIMEOUT, "the peer was too slow");
        TRY(try_fill(s, &got, &wants));
        if (got) break;
        stream_rest(s);
        Wake why = press_wait(s, wants, s->deadline_ms, false);
        if (why == WOKEN_CANCELLED) return fail(ERR_CANCELLED, "stopped while reading");
        if (why == WOKEN_TIMEOUT) return fail(ERR_TIMEOUT, "the peer was silent for too long");
    }
    breathe();
    return OK;
}

PARKS static bool fill(Stream *s)
{
    if (s->deaf) return false;
    Err err = fill_or_err(s);
    return err ? no_more(s, err) : true;
}

PARKS LineEnd stream_line(Stream *s, size_t most, Slice *line)
{
    LineSearch search = {0};
    *line = (Slice){0};
    for (;;) {
        if (s->mute && s->deaf) return LINE_NONE;
        LineEnd end = inbox_line(&s->in, &search, most, line);
        if (end != LINE_NONE) return end;
        if (!fill(s)) return LINE_NONE;
    }
}

PARKS Slice stream_some(Stream *s, size_t most)
{
    if (s->mute && s->deaf) return (Slice){0};
    if (most && !stream_buffered(s) && !fill(s)) return (Slice){0};
    return inbox_take(&s->in, most);
}

PARKS bool stream_read(Stream *s, void *out, size_t len)
{
    char *to = out;
    while (len) {
        Slice part = stream_some(s, len);
        if (!part.len) return false;
        memcpy(to, part.at, part.len);
        to += part.len;
        len -= part.len;
    }
    return true;
}

PARKS bool stream_skip(Stream *s, uint64_t len)
{
    while (len) {
        Slice part = stream_some(s, (size_t)MIN(len, (uint64_t)MOST_CHUNK));
        if (!part.len) return false;
        len -= part.len;
    }
    return true;
}

Slice stream_peek(const Stream *s)
{
    return s->mute && s->deaf ? (Slice){0} : inbox_waiting(&s->in);
}

size_t stream_buffered(const Stream *s)
{
    return stream_peek(s).len;
}

void stream_forget(Stream *s)
{
    Buf *b = &s->in.bytes;
    if (!b->at) return;
    wipe(b->at, s->in.start);
    wipe(b->at + b->len, b->room - b->len);
}

void stream_discard_input(Stream *s)
{
    inbox_done(&s->in);
}

/* With TLS a readable sock may bring a ticket or half a record and no octet for us, so every
 * wake-up is followed by a try. */
PARKS Wake stream_wait(Stream *s, int64_t deadline_ms)
{
    for (;;) {
        if (s->deaf || stream_buffered(s)) return WOKEN_READY;
        size_t got;
        SockEvents wants = SOCK_READABLE;
        Err err = try_fill(s, &got, &wants);
        if (err) no_more(s, err);
        if (err || got) return WOKEN_READY;
        stream_rest(s);
        Wake wake = press_wait(s, wants, deadline_ms, true);
        if (wake != WOKEN_READY) return wake;
    }
}
