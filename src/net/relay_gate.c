#include "net/gate.h"

#include <stdlib.h>

static void wants_room(Gate *gate)
{
    if (gate->reader) fiber_nudge(gate->reader);
}

static void nudge(Relay *r)
{
    if (r->fiber) fiber_nudge(r->fiber);
}

/* What a session in the house knows of itself, and we of it, is the same: nothing is under way. */
bool relay_is_at_rest(const Relay *r)
{
    bool read_all = r->sent == r->kept_at || PLANTED("rests_at_work");
    return r->keeps && read_all && !r->said_end && !r->final;
}

/* ---- saying ---- */

void gate_say(Relay *r, const Memo *memo)
{
    if (!r->gate) return;
    frame_say(&r->gate->frames, memo);
    if (frame_owes(&r->gate->frames)) wants_room(r->gate);
}

/* The house needs it to forget the connection: no reason to wake it. */
void gate_say_over(Relay *r)
{
    if (!r->gate) return;
    frame_say_late(&r->gate->frames, FRAME(MEMO_CONN_OVER, r->connection));
    if (frame_owes(&r->gate->frames)) wants_room(r->gate);
}

static bool has_turn(Relay *r)
{
    if (r->granted || list_is_empty(&r->gate->thirsty)) return true;
    if (!r->thirst.next) list_add(&r->gate->thirsty, &r->thirst);
    return false;
}

static bool put_or_wait(Relay *r, bool put)
{
    r->granted = false;
    if (put) return true;
    if (!r->thirst.next) list_add(&r->gate->thirsty, &r->thirst);
    wants_room(r->gate);
    return false;
}

bool gate_octets(Relay *r, Slice octets)
{
    if (!has_turn(r)) return false;
    bool put = frame_data(&r->gate->frames, r->connection, &octets, 1, octets.len);
    if (!put_or_wait(r, put)) return false;
    r->credit -= (uint32_t)octets.len;
    r->sent += octets.len;
    return true;
}

static void take_number(Gates *g, Relay *r)
{
    uint32_t n = g->lowest;
    while (n < g->room && g->relays[n])
        n++;
    if (n == g->room) {
        uint32_t room = MAX(g->room * 2, 64u);
        g->relays = mem_grow(g->relays, array_bytes(room, sizeof *g->relays));
        memset(g->relays + g->room, 0, (room - g->room) * sizeof *g->relays);
        g->room = room;
    }
    g->relays[n] = r;
    g->lowest = n + 1;
    r->connection = n;
}

void gate_forget(Relay *r)
{
    Gates *g = r->gates;
    if (r->connection == NOBODY) return;
    g->relays[r->connection] = NULL;
    g->lowest = MIN(g->lowest, r->connection);
    r->connection = NOBODY;
    list_remove(&r->thirst);
    r->gate = NULL;
}

/* Where somebody's home is only the house knows, but we have seen where it took him. */
static uint16_t *home_of(const Relay *r)
{
    enum { HOMES = 4096 };
    if (!r->home) return NULL;
    if (!r->gates->homes) r->gates->homes = mem_zero(HOMES * sizeof *r->gates->homes);
    return &r->gates->homes[r->home / 2 % HOMES]; /* it is odd: never 0 */
}

static Gate *first_gate(const Relay *r)
{
    Gates *g = r->gates;
    const uint16_t *home = home_of(r);
    size_t known = home ? *home : 0;
    return g->gate[known && known <= g->count ? known - 1 : g->next++ % g->count];
}

static void remember_home(const Relay *r)
{
    const Gates *g = r->gates;
    uint16_t *home = home_of(r), at = 0;
    while (home && at < g->count && g->gate[at] != r->gate)
        at++;
    if (home) *home = (uint16_t)(at + 1);
}

bool gate_open(Relay *r, Memo *open)
{
    Gates *g = r->gates;
    if (r->connection == NOBODY) {
        take_number(g, r);
        if (r->connection >= TUNNEL_CONNECTIONS_MOST) {
            gate_forget(r);
            return false;
        }
        r->gate = first_gate(r);
    }
    open->number[0] = r->connection;
    return has_turn(r) && put_or_wait(r, frame_put(&r->gate->frames, open));
}

/* ---- frames from the house ---- */

static void note_answer(Relay *r)
{
    if (r->sent == r->answered_at) return;
    r->last_said = r->sent - r->answered_at;
    r->answered_at = r->sent;
}

static Err take_octets(Relay *r, Slice octets)
{
    if (!octets.len || octets.len > TUNNEL_CREDIT - r->unpaid)
        return fail(ERR_SYNTAX, "%zu octets beyond the credit", octets.len);
    r->unpaid += (uint32_t)octets.len;
    note_answer(r);
    if (r->returns) {
        buf_add(&r->returned, octets);
        r->written += (uint32_t)octets.len;
        relay_pay(r);
        return r->returned.len > 4 * TUNNEL_CREDIT ? fail(ERR_SYNTAX, "returns too much") : OK;
    }
    r->keeps = r->quiet = false;
    if (!r->client || r->client->mute) { /* nobody will read it */
        r->written += (uint32_t)octets.len;
        relay_pay(r);
        return OK;
    }
    if (r->queue.len || r->busy) {
        r->queued += (uint32_t)octets.len;
        buf_u32(&r->queue, (uint32_t)octets.len);
        buf_u8(&r->queue, MEMO_CONN_DATA);
        buf_add(&r->queue, octets);
        return OK;
    }
    size_t sent = r->flushes ? 0 : stream_send_now(r->client, octets);
    r->written += (uint32_t)sent;
    if (sent == octets.len) {
        relay_pay(r);
        return OK;
    }
    buf_add(stream_out(r->client), slice_from(octets, sent));
    nudge(r);
    return OK;
}

/* Half at a time, and at once: while the other half is written the house makes the next. */
void relay_pay(Relay *r)
{
    if (r->written < TUNNEL_CREDIT / 2 || !r->gate || r->final) return;
    gate_say(r, FRAME(MEMO_CONN_CREDIT, r->connection, r->written));
    ring_hurry(r->gate->frames.ring);
    r->unpaid -= r->written;
    r->written = 0;
}

static Err take_credit(Relay *r, uint64_t octets)
{
    if (!octets || octets > TUNNEL_CREDIT - r->credit)
        return fail(ERR_SYNTAX, "a credit of %llu octets more", (unsigned long long)octets);
    if (!r->credit || (r->client && r->client->press)) nudge(r);
    r->credit += (uint32_t)octets;
    return OK;
}

static Err take_keep(Relay *r, uint64_t taken, Slice record)
{
    if (taken > r->sent) return fail(ERR_SYNTAX, "it has read what was not said");
    if (record.len > r->record.room || record.len < r->record.room / 2) buf_done(&r->record);
    if (record.len && !r->record.at) r->record = (Buf){mem_new(record.len), 0, record.len};
    buf_clear(&r->record);
    buf_add(&r->record, record);
    r->kept_at = taken;
    r->keeps = record.len > 0;
    r->quiet = true;
    r->tries = 0;
    return OK;
}

/* In order, and by the relay's own fiber. */
static Err take_command(Relay *r, const Memo *m)
{
    enum { QUEUE_MOST = 2 * TUNNEL_CREDIT + 4 * TUNNEL_RECORD_MOST };
    r->keeps = false;
    if (r->queue.len > QUEUE_MOST) return fail(ERR_SYNTAX, "too much at once");
    if (m->kind == MEMO_CONN_FINISH || m->kind == MEMO_CONN_DROP) r->final = true;
    buf_u32(&r->queue, (uint32_t)m->text[0].len);
    buf_u8(&r->queue, (uint8_t)m->kind);
    buf_add(&r->queue, m->text[0]);
    nudge(r);
    return OK;
}

static void wake_stalled(Gates *g, uint32_t connection)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->gate[i]->stalled == connection) {
            g->gate[i]->stalled = NOBODY;
            wants_room(g->gate[i]);
        }
}

static Err take_leaves(Relay *r)
{
    r->left = true;
    wake_stalled(r->gates, r->connection);
    return OK;
}

/* A ring that is ahead of the other waits until that has been read so far. What is before
 * CONN_LEAVES was said before what is behind CONN_HERE, so no two rings wait for each other. */
static Err take_here(Gate *gate, Relay *r, uint64_t hop)
{
    if (hop <= r->hops) return fail(ERR_SYNTAX, "it was here before");
    if (!r->left || hop != r->hops + 1) {
        gate->stalled = r->connection;
        return OK;
    }
    gate_say(r, FRAME(MEMO_CONN_LAST, r->connection));
    r->left = false;
    r->hops++;
    r->gate = gate;
    remember_home(r);
    if (r->thirst.next) {
        list_remove(&r->thirst);
        nudge(r);
    }
    return OK;
}

void relay_free(Relay *r)
{
    gate_forget(r);
    list_remove(&r->of_gates);
    buf_done(&r->record);
    buf_done(&r->queue);
    buf_done(&r->returned);
    free(r->texts);
    free(r);
}

static Err take_other(Gate *gate, Relay *r, const Frame *frame)
{
    Buf memory buf_scoped = {0};
    Memo m = {0};
    TRY(frame_fields(CAST_HOUSE, CAST_FRONT, frame, &memory, &m));
    if (m.kind == MEMO_CONN_HERE) return take_here(gate, r, m.number[1]);
    if (m.kind == MEMO_CONN_CREDIT) return take_credit(r, m.number[1]);
    if (m.kind == MEMO_CONN_KEEP) return take_keep(r, m.number[1], m.text[0]);
    if (m.kind == MEMO_CONN_LEAVES) return take_leaves(r);
    if (m.kind == MEMO_CONN_HOLD) {
        r->holds = true;
        r->keeps = false;
        return OK;
    }
    bool last = m.kind == MEMO_CONN_FINISH || m.kind == MEMO_CONN_DROP;
    if (r->fiber) return take_command(r, &m);
    if (!last) return OK;
    gate_say_over(r); /* our own end was over before */
    relay_free(r);
    return OK;
}

static Err take_frame(Gate *gate, Slice message)
{
    Frame frame;
    TRY(frame_read(message, &frame));
    Gates *g = gate->gates;
    Relay *r = frame.connection < g->room ? g->relays[frame.connection] : NULL;
    if (!r || r->final)
        return fail(ERR_SYNTAX, "%s of no connection %u", memo_name((MemoKind)frame.kind),
                    frame.connection);
    if (frame.kind == MEMO_CONN_HERE) return take_other(gate, r, &frame);
    if (r->gate != gate || r->left)
        return fail(ERR_SYNTAX, "connection %u is not on this ring", frame.connection);
    return frame.kind == MEMO_CONN_DATA ? take_octets(r, frame.rest) : take_other(gate, r, &frame);
}

/* ---- the reader of a ring ---- */

static void take_frames(Gate *gate)
{
    enum { IN_A_TURN = 64 };
    Ring *ring = gate->frames.ring;
    Slice message;
    for (int i = 0; i < IN_A_TURN && gate->gates && ring_next(ring, &message); i++) {
        Err err = take_frame(gate, message);
        if (gate->stalled != NOBODY) return;
        ring_took(ring);
        if (err) gates_break(gate->gates, err);
    }
}

static void give_room(Gate *gate)
{
    if (frame_owes(&gate->frames)) frame_settle(&gate->frames);
    if (frame_owes(&gate->frames) || !ring_has_room(gate->frames.ring, RING_MESSAGE_MOST)) return;
    list_each (link, &gate->thirsty) {
        Relay *r = CONTAINER(link, Relay, thirst);
        list_remove(link);
        r->granted = true;
        nudge(r);
    }
}

static void gate_free(Gate *gate)
{
    frame_done(&gate->frames);
    free(gate);
}

PARKS_UNCHECKED static void read_ring(void *arg)
{
    Gate *gate = arg;
    Ring *ring = gate->frames.ring;
    Wake wake = WOKEN_READY;
    while (gate->gates && wake != WOKEN_CANCELLED) {
        if (gate->stalled == NOBODY) take_frames(gate);
        if (gate->gates) give_room(gate);
        breathe();
        if (!gate->gates) break;
        if (ring_error(ring)) {
            gates_break(gate->gates, ring_error(ring));
            break;
        }
        bool writable = frame_owes(&gate->frames) || !list_is_empty(&gate->thirsty);
        wake = ring_wait(ring, gate->stalled == NOBODY, writable, NEVER, true);
    }
    gate->reader = NULL;
    if (!gate->gates) gate_free(gate);
}

/* ---- the house comes and goes ---- */

/* What was said to a house that did not live to read it will be said to the next. Only of the ring
 * a connection is on: of two the order is not known. */
static void take_back(Gate *gate)
{
    Gates *g = gate->gates;
    size_t done = 0;
    Slice message;
    Frame frame;
    while (ring_untaken(gate->frames.ring, &done, &message)) {
        if (frame_read(message, &frame) || frame.kind != MEMO_CONN_DATA) continue;
        Relay *r = frame.connection < g->room ? g->relays[frame.connection] : NULL;
        if (r && r->gate == gate && r->fiber && !r->returns) buf_add(&r->returned, frame.rest);
    }
}

static void say_again(Relay *r)
{
    if (!r->returned.len || r->returns) return;
    if (r->keeps && !r->said_end && !r->final && r->kept_at + r->returned.len == r->sent) {
        r->sent = r->kept_at;
        inbox_prepend(&r->client->in, buf_slice(&r->returned));
    }
    buf_done(&r->returned);
}

void gates_lost(Gates *g)
{
    for (size_t i = 0; i < g->count; i++)
        take_back(g->gate[i]);
    for (size_t i = 0; i < g->count; i++) {
        Gate *gate = g->gate[i];
        list_each (link, &gate->thirsty)
            list_remove(link);
        gate->gates = NULL;
        if (gate->reader)
            fiber_nudge(gate->reader);
        else
            gate_free(gate);
    }
    g->count = 0;
    free(g->gate);
    g->gate = NULL;
    list_each (link, &g->all) {
        Relay *r = CONTAINER(link, Relay, of_gates);
        if (!r->fiber) {
            relay_free(r);
            continue;
        }
        say_again(r);
        gate_forget(r);
        r->lost = true;
        nudge(r);
    }
}

void gates_break(Gates *g, Err why)
{
    gates_lost(g);
    if (g->config.broken) g->config.broken(g->config.arg, why);
}

static void nudge_all(Gates *g)
{
    list_each (link, &g->all)
        nudge(CONTAINER(link, Relay, of_gates));
}

Err gates_replace(Gates *g, Ring **rings, size_t count)
{
    gates_lost(g);
    Err err = OK;
    for (size_t i = 0; i < count && !err; i++)
        err = ring_attach(rings[i]);
    if (err) {
        for (size_t i = 0; i < count; i++)
            ring_close(rings[i]);
        return err;
    }
    g->gate = mem_new(array_bytes(count, sizeof *g->gate));
    for (size_t i = 0; i < count; i++) {
        Gate *gate = g->gate[i] = NEW(Gate);
        *gate = (Gate){.gates = g, .frames = {.ring = rings[i]}, .stalled = NOBODY};
        list_init(&gate->thirsty);
        gate->reader = fiber_start("gate", read_ring, gate);
    }
    g->count = count;
    g->held = false;
    nudge_all(g);
    return OK;
}

void gates_hold(Gates *g, bool hold)
{
    g->held = hold;
    if (!hold) nudge_all(g);
}

size_t gates_busy(const Gates *g)
{
    size_t busy = 0;
    list_each (link, &g->all) {
        const Relay *r = CONTAINER(link, Relay, of_gates);
        if (r->fiber && r->gate && !relay_is_at_rest(r)) busy++;
    }
    return busy;
}

size_t gates_relays(const Gates *g)
{
    return g->served;
}

Gates *gates_new(const GatesConfig *config)
{
    Gates *g = NEW(Gates);
    g->config = *config;
    if (!g->config.patience_ms) g->config.patience_ms = 10000;
    list_init(&g->all);
    return g;
}

void gates_free(Gates *g)
{
    if (!g) return;
    must(!g->served);
    gates_lost(g);
    free(g->relays);
    free(g->homes);
    free(g);
}
