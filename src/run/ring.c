/* Both ends of a ring, in both worlds. The order of things, which is all there is to it:
 *
 *   to put:   the octets, then `put` (release); at the end of the turn a full fence, and a look
 *             whether the reader sleeps
 *   to sleep: `sleeps`, a full fence, a last look at `put`
 *
 * Either the reader sees the message before it sleeps, or the writer sees it asleep. The same holds
 * for room, with `took`. */
#include "run/ring_world.h"

#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { HEAD = sizeof(uint32_t), GRAIN = 8, LONGEST = RING_MESSAGE_MOST + HEAD + GRAIN };
enum { LATE_MS = 100 };

static size_t padded(size_t octets)
{
    return (octets + HEAD + GRAIN - 1) & ~(size_t)(GRAIN - 1);
}

Err ring_error(const Ring *r)
{
    return r->error;
}

void ring_fail(Ring *r, Err err)
{
    if (r->error) return;
    r->error = err;
    sock_announce(&r->sock, SOCK_READABLE);
}

static void touch(Ring *r)
{
    must(r->sock.loop == loop_now);
    r->sock.world->ring_show(r);
    if (!r->touched.next) list_add(&r->sock.loop->touched, &r->touched);
}

static void wake_other(Ring *r)
{
    list_remove(&r->touched);
    r->told = r->put;
    r->sock.world->ring_turn_ends(r);
}

void ring_hurry(Ring *r)
{
    if (r->touched.next) wake_other(r);
}

void loop_end_turn(Loop *loop)
{
    list_each (link, &loop->touched) {
        wake_other(CONTAINER(link, Ring, touched));
    }
}

/* ---- writing ---- */

static bool layout_is_broken(Ring *r, const char *what)
{
    ring_fail(r, fail(ERR_SYNTAX, "ring: the other end's %s cannot be", what));
    return false;
}

static size_t room(Ring *r)
{
    uint64_t took = __atomic_load_n(&r->theirs->took, __ATOMIC_ACQUIRE);
    if (r->put - took > r->put - r->their_took)
        layout_is_broken(r, "taking");
    else
        r->their_took = took;
    return RING_BYTES - (size_t)(r->put - r->their_took);
}

static bool fits(Ring *r, size_t bytes)
{
    if (r->error) return false;
    if (bytes <= RING_BYTES - (size_t)(r->put - r->their_took)) return true;
    return bytes <= room(r) && !r->error;
}

bool ring_has_room(Ring *r, size_t octets)
{
    return fits(r, padded(octets));
}

/* The other processor has read what was here before, so each line would have to be taken from its
 * cache first: 2 GB/s. Written past the caches it is 16, and no slower to read. */
#if defined(__SSE2__)
static char *copy_past_caches(char *to, Slice from)
{
    enum { LINE = 64, WORD = sizeof(__m128i) };
    size_t odd = MIN(-(uintptr_t)to % LINE, from.len);
    memcpy(to, from.at, odd);
    from = slice_from(from, odd);
    for (to += odd; from.len >= LINE; to += LINE, from = slice_from(from, LINE))
        for (size_t i = 0; i < LINE; i += WORD)
            _mm_stream_si128((__m128i *)(void *)(to + i),
                             _mm_loadu_si128((const __m128i *)(const void *)(from.at + i)));
    _mm_sfence(); /* `put` says that all of it is there */
    memcpy(to, from.at, from.len);
    return to + from.len;
}
#else
static char *copy_past_caches(char *to, Slice from)
{
    memcpy(to, from.at, from.len);
    return to + from.len;
}
#endif

static char *copy(char *to, Slice from)
{
    enum { FEW = 2048 };
    if (from.len >= FEW) return copy_past_caches(to, from);
    if (from.len) memcpy(to, from.at, from.len);
    return to + from.len;
}

static bool put(Ring *r, const Slice *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    must(len && len <= RING_MESSAGE_MOST);
    if (!fits(r, padded(len))) return false;
    char *at = r->out + r->put % RING_BYTES;
    uint32_t head = (uint32_t)len;
    memcpy(at, &head, HEAD);
    at += HEAD;
    for (size_t i = 0; i < count; i++)
        at = copy(at, parts[i]);
    r->put += padded(len);
    return true;
}

bool ring_put(Ring *r, const Slice *parts, size_t count)
{
    if (!put(r, parts, count)) return false;
    r->urgent = r->put;
    touch(r);
    if (r->put - r->told >= RING_BYTES / 2) wake_other(r);
    return true;
}

static void is_late(Timer *t)
{
    Ring *r = CONTAINER(t, Ring, late);
    r->urgent = r->put;
    touch(r);
}

bool ring_put_late(Ring *r, const Slice *parts, size_t count)
{
    if (!put(r, parts, count)) return false;
    r->sock.world->ring_show(r);
    r->late.fire = is_late;
    if (!r->late.place) timer_set(&r->sock.loop->timers, &r->late, now_ms() + LATE_MS);
    return true;
}

/* ---- reading ---- */

static size_t waiting(Ring *r)
{
    if (r->their_put != r->took) return (size_t)(r->their_put - r->took);
    uint64_t put = __atomic_load_n(&r->theirs->put, __ATOMIC_ACQUIRE);
    if (put - r->took > RING_BYTES || put % GRAIN)
        layout_is_broken(r, "putting");
    else
        r->their_put = put;
    return (size_t)(r->their_put - r->took);
}

bool ring_next(Ring *r, Slice *message)
{
    size_t there = r->error ? 0 : waiting(r);
    if (!there) return false;
    const char *at = r->in + r->took % RING_BYTES;
    uint32_t len = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);
    if (!len || len > RING_MESSAGE_MOST || padded(len) > there)
        return layout_is_broken(r, "length");
    r->taking = padded(len);
    *message = slice(at + HEAD, len);
    return true;
}

void ring_took(Ring *r)
{
    must(r->taking);
    r->took += r->taking;
    r->taking = 0;
    touch(r);
}

bool ring_untaken(Ring *r, size_t *done, Slice *message)
{
    size_t there = RING_BYTES - room(r);
    if (r->error || *done >= there) return false;
    const char *at = r->out + (r->their_took + *done) % RING_BYTES;
    uint32_t len = __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_RELAXED);
    if (!len || len > RING_MESSAGE_MOST || padded(len) > there - *done) return false;
    *done += padded(len);
    *message = slice(at + HEAD, len);
    return true;
}

/* ---- waking and waiting ---- */

/* A writer is woken when half is free: not for each message that goes. */
uint32_t ring_heed(Ring *r)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint32_t sleeps = __atomic_load_n(&r->theirs->sleeps, __ATOMIC_RELAXED);
    if (!sleeps) return 0;
    uint64_t their_put = __atomic_load_n(&r->theirs->put, __ATOMIC_RELAXED);
    uint32_t heeded = 0;
    int64_t urgent = (int64_t)(r->urgent - __atomic_load_n(&r->theirs->took, __ATOMIC_RELAXED));
    if (urgent > 0) heeded |= SLEEPS_READING;
    if (their_put - r->took <= RING_BYTES / 2) heeded |= SLEEPS_WRITING;
    heeded &= sleeps;
    if (heeded) __atomic_and_fetch(&r->theirs->sleeps, ~heeded, __ATOMIC_SEQ_CST);
    return heeded;
}

static bool is_ready(Ring *r, bool readable, bool writable)
{
    return r->error || (readable && waiting(r)) || (writable && fits(r, LONGEST)) || r->error;
}

Wake ring_wait(Ring *r, bool readable, bool writable, int64_t deadline_ms, bool nudges)
{
    uint32_t sleeps = (readable ? SLEEPS_READING : 0u) | (writable ? SLEEPS_WRITING : 0u);
    for (;;) {
        if (run_is_cancelled()) return WOKEN_CANCELLED;
        __atomic_store_n(&r->ours->sleeps, sleeps, __ATOMIC_SEQ_CST);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        r->sock.ready = 0;
        bool ready = is_ready(r, readable, writable);
        Wake wake = ready ? WOKEN_READY : sock_wait(&r->sock, SOCK_READABLE, deadline_ms, nudges);
        __atomic_store_n(&r->ours->sleeps, 0, __ATOMIC_RELAXED);
        if (ready || wake != WOKEN_READY) return wake;
    }
}

/* ---- opening and closing ---- */

Err ring_pair(Ring **first, Ring **second)
{
    return world->ring_pair(first, second);
}

Err ring_attach(Ring *r)
{
    must(loop_now && !r->sock.loop);
    r->sock.loop = loop_now;
    Err err = r->sock.world->ring_attach(r);
    if (err) r->sock.loop = NULL;
    return err;
}

void ring_close(Ring *r)
{
    if (!r) return;
    must(!r->sock.reader);
    if (r->late.place) timer_clear(&r->sock.loop->timers, &r->late);
    ring_hurry(r); /* last words are to be heard */
    r->sock.world->ring_close(r);
}

Err rings_open(const RingFds *fds, size_t count, bool first, Ring ***rings)
{
    Ring **all = mem_new(array_bytes(count + 1, sizeof *all));
    size_t opened = 0;
    Err err = OK;
    for (size_t i = 0; i < count;
         i++) { /* each takes its descriptors over, also behind a failure */
        Err bad = ring_open(&fds[i], first, &all[opened]);
        if (!bad) opened++;
        if (bad && !err) err = bad;
    }
    if (!err) {
        *rings = all;
        return OK;
    }
    while (opened)
        ring_close(all[--opened]);
    free(all);
    return err;
}
