#include "net/remote.h"

#include <stdlib.h>

void tunnel_unref(Tunnel *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_SEQ_CST)) return;
    for (size_t i = 0; i < t->ends; i++)
        free(t->end[i].legs);
    free(t);
}

/* ---- the end ---- */

static void end_is_over(TunnelEnd *end)
{
    end->over = true;
    end->reader = NULL;
    frame_done(&end->frames);
    leg_end_all(end);
    tunnel_unref(end->tunnel);
}

static void ends(Task *task)
{
    TunnelEnd *end = CONTAINER(task, TunnelEnd, ending);
    Tunnel *t = end->tunnel;
    if (end->reader)
        fiber_nudge(end->reader);
    else if (!end->over)
        end_is_over(end);
    tunnel_unref(t);
}

static void end_all(Tunnel *t, Err why)
{
    if (__atomic_exchange_n(&t->ended, true, __ATOMIC_SEQ_CST)) return;
    __atomic_add_fetch(&t->refs, (unsigned)t->ends, __ATOMIC_SEQ_CST);
    if (t->config.over) t->config.over(t->config.arg, why);
    for (size_t i = 0; i < t->ends; i++) {
        t->end[i].ending.run = ends;
        loop_post(t->end[i].loop, &t->end[i].ending);
    }
}

void tunnel_end(Tunnel *t)
{
    end_all(t, fail(ERR_END, "the front has gone"));
    tunnel_unref(t);
}

/* ---- a connection comes ---- */

typedef struct {
    Tunnel *tunnel;
    Stream *stream;
    size_t service, record;
    char octets[];
} Guest;

PARKS_UNCHECKED static void serve(void *arg)
{
    Guest *g = arg;
    const TunnelConfig *c = &g->tunnel->config;
    Slice service = slice(g->octets, g->service);
    c->serve(c->arg, g->stream, service, slice(g->octets + g->service, g->record));
    tunnel_unref(g->tunnel);
    free(g);
}

static void welcome(Tunnel *t, Remote *r, Slice service, Slice record)
{
    Guest *g = mem_new(sizeof *g + service.len + record.len);
    *g = (Guest){t, stream_new(&r->sock), service.len, record.len};
    if (service.len) memcpy(g->octets, service.at, service.len);
    if (record.len) memcpy(g->octets + service.len, record.at, record.len);
    __atomic_add_fetch(&t->refs, 1, __ATOMIC_SEQ_CST);
    fiber_start("tunnel connection", serve, g);
}

static Err take_open(TunnelEnd *end, const Frame *frame)
{
    Tunnel *t = end->tunnel;
    Buf memory buf_scoped = {0};
    Memo m = {0};
    TRY(frame_fields(CAST_FRONT, CAST_HOUSE, frame, &memory, &m));
    if (frame->connection >= TUNNEL_CONNECTIONS_MOST || !leg_is_free(end, frame->connection))
        return fail(ERR_SYNTAX, "connection %u cannot begin", frame->connection);
    Leg *leg = leg_new(end, frame->connection, NULL);
    leg->begun = leg->speaks = true;
    uint32_t count = __atomic_add_fetch(&t->count, 1, __ATOMIC_SEQ_CST);
    if (t->config.most && count > t->config.most) {
        leg->closed = true;
        frame_say(&end->frames, FRAME(MEMO_CONN_DROP, frame->connection));
        return OK;
    }
    welcome(t, remote_new(t, leg, &m), m.text[2], m.text[6]);
    return OK;
}

/* ---- the reader of a ring ---- */

void tunnel_wants_room(TunnelEnd *end)
{
    if (end->reader) fiber_nudge(end->reader);
}

static Err take_frame(TunnelEnd *end, Slice message)
{
    Frame frame;
    TRY(frame_read(message, &frame));
    if (frame.kind == MEMO_CONN_OPEN) return take_open(end, &frame);
    return leg_take(end, &frame);
}

static void take_frames(TunnelEnd *end)
{
    enum { IN_A_TURN = 64 };
    Ring *ring = end->frames.ring;
    Slice message;
    for (int i = 0; i < IN_A_TURN && ring_next(ring, &message); i++) {
        Err err = take_frame(end, message);
        ring_took(ring);
        if (err) {
            ring_fail(ring, err);
            end_all(end->tunnel, err); /* while the story is fresh */
        }
    }
}

static bool wants_room(const TunnelEnd *end)
{
    return frame_owes(&end->frames) || !list_is_empty(&end->thirsty);
}

/* Everybody who waits gets a turn, in the order in which they came. */
static void give_room(TunnelEnd *end)
{
    if (frame_owes(&end->frames)) frame_settle(&end->frames);
    if (frame_owes(&end->frames)) return;
    leg_said(end);
    if (!ring_has_room(end->frames.ring, RING_MESSAGE_MOST)) return;
    list_each (link, &end->thirsty) {
        Remote *r = CONTAINER(link, Remote, thirst);
        list_remove(link);
        r->granted = true;
        sock_announce(&r->sock, SOCK_WRITABLE);
    }
}

PARKS_UNCHECKED static void read_ring(void *arg)
{
    TunnelEnd *end = arg;
    Tunnel *t = end->tunnel;
    Ring *ring = end->frames.ring;
    Wake wake = WOKEN_READY;
    while (wake != WOKEN_CANCELLED && !__atomic_load_n(&t->ended, __ATOMIC_SEQ_CST)) {
        take_frames(end);
        give_room(end);
        breathe();
        if (ring_error(ring)) end_all(t, ring_error(ring));
        wake = ring_wait(ring, true, wants_room(end), NEVER, true);
    }
    end->reader = NULL; /* cancelled: what is said still goes out, but nothing comes in */
    if (__atomic_load_n(&t->ended, __ATOMIC_SEQ_CST)) end_is_over(end);
}

/* ---- opening ---- */

typedef struct {
    TunnelEnd *end;
    Err err;
} Opening;

PARKS_UNCHECKED static void open_end(void *arg)
{
    Opening *o = arg;
    o->err = ring_attach(o->end->frames.ring);
}

PARKS_UNCHECKED static void start_end(void *arg)
{
    Opening *o = arg;
    o->end->reader = fiber_start("tunnel", read_ring, o->end);
}

PARKS static Err open_ends(Tunnel *t)
{
    Opening o = {0};
    for (size_t i = 0; i < t->ends && !o.err; i++) {
        o.end = &t->end[i];
        loop_call(o.end->loop, open_end, &o);
    }
    if (o.err) return o.err;
    for (size_t i = 0; i < t->ends; i++) {
        o.end = &t->end[i];
        loop_call(o.end->loop, start_end, &o);
    }
    return OK;
}

PARKS Err tunnel_open(const TunnelConfig *config, Ring **rings, size_t count, Tunnel **tunnel)
{
    must(count == loop_count());
    Tunnel *t = mem_zero(sizeof *t + array_bytes(count, sizeof *t->end));
    t->config = *config;
    t->refs = (unsigned)count + 1;
    t->ends = count;
    for (size_t i = 0; i < count; i++) {
        TunnelEnd *end = &t->end[i];
        *end = (TunnelEnd){.tunnel = t, .loop = loop_at((unsigned)i), .frames = {.ring = rings[i]}};
        list_init(&end->all);
        list_init(&end->thirsty);
        list_init(&end->unsaid);
    }
    Err err = open_ends(t);
    if (!err) {
        *tunnel = t;
        return OK;
    }
    for (size_t i = 0; i < count; i++)
        ring_close(rings[i]);
    free(t);
    return err;
}
