/* Where connections are, and how they get elsewhere (drawn in remote.h). */
#include "net/remote.h"

#include <stdlib.h>

enum { HELD_MOST = 2 * TUNNEL_CREDIT };

/* ---- life ---- */

static Leg **place(TunnelEnd *end, uint32_t connection)
{
    if (connection >= end->room) {
        uint32_t room = MAX(end->room, 64u);
        while (room <= connection)
            room *= 2;
        end->legs = mem_grow(end->legs, array_bytes(room, sizeof *end->legs));
        memset(end->legs + end->room, 0, (room - end->room) * sizeof *end->legs);
        end->room = room;
    }
    return &end->legs[connection];
}

bool leg_is_free(const TunnelEnd *end, uint32_t connection)
{
    const Leg *leg = connection < end->room ? end->legs[connection] : NULL;
    while (leg && leg->over)
        leg = leg->next;
    return !leg;
}

Leg *leg_new(TunnelEnd *end, uint32_t connection, Remote *sock)
{
    Leg *leg = NEW(Leg);
    *leg = (Leg){.end = end, .connection = connection, .sock = sock, .open_at = SIZE_MAX};
    Leg **at = place(end, connection);
    while (*at)
        at = &(*at)->next;
    *at = leg;
    list_add(&end->all, &leg->of_end);
    __atomic_add_fetch(&end->tunnel->refs, 1, __ATOMIC_SEQ_CST);
    return leg;
}

static void leg_forget(Leg *leg)
{
    Leg **at = &leg->end->legs[leg->connection];
    while (*at != leg)
        at = &(*at)->next;
    *at = leg->next;
    list_remove(&leg->of_end);
    list_remove(&leg->unsaid);
}

static void leg_free(Leg *leg)
{
    Tunnel *t = leg->end->tunnel;
    buf_done(&leg->held);
    free(leg);
    tunnel_unref(t);
}

/* The connection is at its end: both have said the last, or nobody listens. */
static void leg_end(Leg *leg)
{
    __atomic_sub_fetch(&leg->end->tunnel->count, 1, __ATOMIC_SEQ_CST);
    leg_forget(leg);
    leg_free(leg);
}

/* ---- frames that have to wait ---- */

static Err hold(Leg *leg, uint8_t kind, Slice fields)
{
    if (leg->held.len + fields.len > HELD_MOST)
        return fail(ERR_SYNTAX, "more came for a connection than it may");
    if (kind != MEMO_CONN_DATA || leg->open_at == SIZE_MAX) {
        leg->open_at = kind == MEMO_CONN_DATA ? leg->held.len : SIZE_MAX;
        buf_u32(&leg->held, (uint32_t)fields.len + 1);
        buf_u8(&leg->held, kind);
    } else {
        uint32_t len; /* a client that types, octet by octet */
        memcpy(&len, leg->held.at + leg->open_at, sizeof len);
        len += (uint32_t)fields.len;
        memcpy(leg->held.at + leg->open_at, &len, sizeof len);
    }
    buf_add(&leg->held, fields);
    return OK;
}

static Err take_now(Leg *leg, uint8_t kind, Slice fields)
{
    /* NOANALYZE(use-after-free): the leg goes with OVER, and take_held reads nothing behind that */
    if (leg->sock) return remote_take(leg->sock, kind, fields);
    if (kind == MEMO_CONN_OVER) leg_end(leg); /* it was closed */
    return OK;
}

/* The leg may be gone behind the last of them. */
static Err take_held(Leg *leg)
{
    Buf held = leg->held;
    leg->held = (Buf){0};
    leg->open_at = SIZE_MAX;
    Reader r = reader(buf_slice(&held));
    Err err = OK;
    while (r.rest.len && !err) {
        Slice frame = read_raw(&r, read_u32(&r));
        bool is_last = frame.at[0] == MEMO_CONN_OVER;
        err = take_now(leg, (uint8_t)frame.at[0], slice_from(frame, 1));
        if (is_last) break;
    }
    buf_done(&held);
    return err;
}

/* ---- from loop to loop ---- */

static void go_on(Leg *leg);

/* On the next leg's loop: all that came to the one before is here. */
static void leg_begin(Task *task)
{
    Leg *before = CONTAINER(task, Leg, task), *leg = before->to;
    buf_add(&before->held, buf_slice(&leg->held));
    buf_done(&leg->held);
    leg->held = before->held;
    before->held = (Buf){0};
    leg->open_at = SIZE_MAX;
    leg_free(before);
    leg->begun = true;
    leg->from = NULL;
    go_on(leg);
}

/* A leg that is left, whose last frame has come and that knows where to, passes all on. One that is
 * not left takes them. */
static void go_on(Leg *leg)
{
    if (!leg->begun) return;
    TunnelEnd *end = leg->end;
    if (leg->left) {
        if (!leg->to || !leg->out || !(leg->over || end->over)) return;
        leg_forget(leg);
        leg->task.run = leg_begin;
        loop_post(leg->to->end->loop, &leg->task);
    } else if (end->over) {
        if (leg->sock)
            remote_hang(leg->sock);
        else
            leg_end(leg);
    } else if (leg->held.len) {
        Err err = take_held(leg);
        if (err) ring_fail(end->frames.ring, err);
    }
}

/* On the leg's loop: where it came from has said CONN_LEAVES, so the front will see that first. */
static void may_speak(Leg *leg);

typedef struct {
    Task task;
    Leg *leg;
} Telling;

static void is_told(Task *task)
{
    Telling *telling = CONTAINER(task, Telling, task);
    may_speak(telling->leg);
    free(telling);
}

/* Before it is passed on, so the leg after is still there. */
static void tell_next(Leg *leg)
{
    Telling *telling = NEW(Telling);
    *telling = (Telling){{.run = is_told}, leg->to};
    loop_post(leg->to->end->loop, &telling->task);
}

static void leaves_is_out(Leg *leg)
{
    leg->out = true;
    if (leg->asked) tell_next(leg);
    leg->asked = false;
    go_on(leg);
}

static void say_leaves(Leg *leg)
{
    TunnelEnd *end = leg->end;
    if (!end->over) frame_say(&end->frames, FRAME(MEMO_CONN_LEAVES, leg->connection));
    if (end->over || !frame_owes(&end->frames)) {
        leaves_is_out(leg);
    } else {
        list_add(&end->unsaid, &leg->unsaid);
        tunnel_wants_room(end);
    }
}

static void may_speak(Leg *leg)
{
    TunnelEnd *end = leg->end;
    leg->speaks = true;
    if (!end->over) frame_say(&end->frames, FRAME(MEMO_CONN_HERE, leg->connection, leg->hop));
    if (leg->left)
        say_leaves(leg);
    else if (leg->sock)
        remote_speaks(leg->sock);
    else if (leg->last_words && !end->over)
        frame_say(&end->frames, FRAME((MemoKind)leg->last_words, leg->connection));
    if (frame_owes(&end->frames)) tunnel_wants_room(end);
}

void leg_said(TunnelEnd *end)
{
    list_each (link, &end->unsaid) {
        list_remove(link);
        leaves_is_out(CONTAINER(link, Leg, unsaid));
    }
}

/* On the loop it left: the connection is there now. */
static void leg_follow(Task *task)
{
    Leg *to = CONTAINER(task, Leg, task), *leg = to->from;
    leg->to = to;
    if (to->asks && leg->out) tell_next(leg);
    leg->asked = to->asks && !leg->out;
    go_on(leg);
}

void leg_leave(Leg *leg)
{
    Remote *r = leg->sock;
    r->from = leg;
    r->leg = NULL;
    leg->sock = NULL;
    leg->left = true;
    if (leg->speaks) say_leaves(leg);
    r->was_out = leg->out;
}

void leg_arrive(Remote *r, TunnelEnd *end)
{
    Leg *from = r->from;
    Leg *leg = leg_new(end, r->connection, r);
    r->leg = leg;
    r->from = NULL;
    leg->from = from;
    leg->hop = ++r->hops;
    leg->asks = !r->was_out;
    leg->task.run = leg_follow;
    if (r->was_out) may_speak(leg);
    loop_post(from->end->loop, &leg->task);
}

void leg_close(Leg *leg, uint8_t last_words)
{
    TunnelEnd *end = leg->end;
    bool over = leg->sock->over;
    leg->sock = NULL;
    leg->closed = true;
    leg->last_words = last_words;
    if (over || (end->over && leg->begun)) leg_end(leg);
}

Err leg_take(TunnelEnd *end, const Frame *frame)
{
    Leg *leg = frame->connection < end->room ? end->legs[frame->connection] : NULL;
    while (leg && leg->over)
        leg = leg->next;
    if (!leg) return fail(ERR_SYNTAX, "no connection %u here", frame->connection);
    if (frame->kind == MEMO_CONN_LAST) {
        leg->over = true;
        if (!leg->left) return fail(ERR_SYNTAX, "connection %u is here", frame->connection);
        go_on(leg);
        return OK;
    }
    if (frame->kind == MEMO_CONN_OVER) leg->over = true; /* the number may be another's */
    bool now = leg->begun && !leg->left;
    return now ? take_now(leg, frame->kind, frame->rest) : hold(leg, frame->kind, frame->rest);
}

void leg_end_all(TunnelEnd *end)
{
    list_each (link, &end->unsaid) {
        list_remove(link);
        leaves_is_out(CONTAINER(link, Leg, unsaid));
    }
    list_each (link, &end->all)
        go_on(CONTAINER(link, Leg, of_end));
}
