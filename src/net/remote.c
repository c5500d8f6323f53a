/* The Sock of a connection that a front has: what the front sent and was not read yet, and how much
 * more either side may say. */
#include "net/remote.h"

#include <stdlib.h>

static Remote *remote(const Sock *s)
{
    return (Remote *)(uintptr_t)s; /* the Sock is its first member */
}

static bool may_say(const Remote *r)
{
    return r->leg && r->leg->speaks && !r->leg->end->over;
}

static void say(Remote *r, const Memo *memo)
{
    TunnelEnd *end = r->leg->end;
    frame_say(&end->frames, memo);
    if (frame_owes(&end->frames)) tunnel_wants_room(end);
}

/* ---- what is known of it ---- */

Slice remote_about(const Remote *r, unsigned which)
{
    const char *at = r->about;
    for (;; which--) {
        uint16_t len;
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        if (!which) return slice(at, len);
        at += len;
    }
}

static void set_about(Remote *r, const Slice texts[ABOUT_COUNT])
{
    size_t total = 0;
    for (size_t i = 0; i < ABOUT_COUNT; i++)
        total += sizeof(uint16_t) + texts[i].len;
    char *about = mem_new(total), *at = about;
    for (size_t i = 0; i < ABOUT_COUNT; i++) {
        uint16_t len = (uint16_t)texts[i].len;
        memcpy(at, &len, sizeof len);
        at += sizeof len;
        if (len) memcpy(at, texts[i].at, len);
        at += len;
    }
    free(r->about);
    r->about = about;
}

static Address address(Slice host, uint16_t port)
{
    Address a = {.port = port};
    host = slice_first(host, sizeof a.host - 1);
    if (host.len) memcpy(a.host, host.at, host.len);
    return a;
}

static Address remote_peer(const Sock *s)
{
    return address(remote_about(remote(s), ABOUT_PEER), remote(s)->peer_port);
}

static Address remote_local(const Sock *s)
{
    return address(remote_about(remote(s), ABOUT_LOCAL), remote(s)->local_port);
}

/* ---- frames that come ---- */

static void allow_now(Remote *r)
{
    if (!r->to_allow || !may_say(r) || r->ended || r->silent) return;
    r->allowed += r->to_allow;
    say(r, FRAME(MEMO_CONN_CREDIT, r->connection, r->to_allow));
    r->to_allow = 0;
}

/* One frame for many octets that were taken. What a client sends behind the end of its DEFLATE must
 * not be inflated (RFC 8437 4.1), and where that end is only the session knows: then it is allowed
 * when it asks for more. */
static void allow(Remote *r, size_t octets)
{
    r->to_allow += (uint32_t)octets;
    if (r->to_allow >= TUNNEL_CREDIT / 4 && !r->deflated) allow_now(r);
}

static Err take_octets(Remote *r, Slice octets)
{
    if (!octets.len || r->ended || octets.len > r->allowed)
        return fail(ERR_SYNTAX, "%zu octets where %u are allowed", octets.len, r->allowed);
    r->allowed -= (uint32_t)octets.len;
    if (r->shakes_hands) {
        r->taken += octets.len;
        allow(r, octets.len);
        return OK;
    }
    memcpy(inbox_reserve(&r->in, octets.len), octets.at, octets.len);
    r->in.bytes.len += octets.len;
    sock_announce(&r->sock, SOCK_READABLE);
    return OK;
}

static Err err_of(uint64_t number)
{
#define ERR(name, meaning) +1
    static const uint64_t count = 1
#include "base/err.def"
        ;
#undef ERR
    return number < count ? (Err)number : ERR_IO;
}

static Err take_credit(Remote *r, uint64_t octets)
{
    if (!octets || octets > TUNNEL_CREDIT - r->credit)
        return fail(ERR_SYNTAX, "a credit of %llu octets more", (unsigned long long)octets);
    r->credit += (uint32_t)octets;
    sock_announce(&r->sock, SOCK_WRITABLE);
    return OK;
}

static Err take_tls(Remote *r, const Memo *m)
{
    if (!r->shakes_hands) return fail(ERR_SYNTAX, "nobody asked for a handshake");
    Slice texts[ABOUT_COUNT] = {remote_about(r, ABOUT_PEER), remote_about(r, ABOUT_LOCAL),
                                m->text[0], m->text[1], m->text[2]};
    r->shakes_hands = false;
    r->tls = err_of(m->number[1]);
    set_about(r, texts);
    sock_announce(&r->sock, SOCK_READABLE);
    return OK;
}

static Err take_end(Remote *r, uint64_t why)
{
    r->ended = true;
    r->end = why ? err_of(why) : ERR_END;
    r->sock.hung = true;
    sock_announce(&r->sock, SOCK_READABLE | SOCK_WRITABLE);
    return OK;
}

static Err take_over(Remote *r)
{
    r->over = true;
    return r->ended ? OK : take_end(r, ERR_END);
}

Err remote_take(Remote *r, uint8_t kind, Slice fields)
{
    if (r->over) return fail(ERR_SYNTAX, "%s behind the last", memo_name((MemoKind)kind));
    if (kind == MEMO_CONN_DATA) return take_octets(r, fields);
    Buf memory buf_scoped = {0};
    Memo m = {0};
    Frame frame = {.kind = kind, .connection = r->connection, .rest = fields};
    TRY(frame_fields(CAST_FRONT, CAST_HOUSE, &frame, &memory, &m));
    if (kind == MEMO_CONN_CREDIT) return take_credit(r, m.number[1]);
    if (kind == MEMO_CONN_TLS_DONE) return take_tls(r, &m);
    if (kind == MEMO_CONN_END) return take_end(r, m.number[1]);
    if (kind == MEMO_CONN_OVER && r->silent) return take_over(r);
    return fail(ERR_SYNTAX, "%s in the middle", memo_name(m.kind));
}

void remote_speaks(Remote *r)
{
    allow(r, 0);
    sock_announce(&r->sock, SOCK_WRITABLE);
}

void remote_hang(Remote *r)
{
    r->sock.hung = true;
    list_remove(&r->thirst);
    sock_announce(&r->sock, SOCK_READABLE | SOCK_WRITABLE);
}

/* ---- reading and writing ---- */

static Err remote_try_read(Sock *s, void *out, size_t len, size_t *got)
{
    Remote *r = remote(s);
    Slice octets = inbox_take(&r->in, len);
    if (octets.len) {
        memcpy(out, octets.at, octets.len);
        if (!inbox_waiting(&r->in).len) inbox_done(&r->in);
        r->taken += octets.len;
        allow(r, octets.len);
        *got = octets.len;
        return OK;
    }
    if (r->ended) return fail(r->end, "the client has gone");
    if (!r->leg || r->leg->end->over) return fail(ERR_END, "the front has gone");
    if (r->deflated) allow_now(r);
    s->ready &= (uint8_t)~SOCK_READABLE;
    return OK;
}

static void wait_for_turn(Remote *r)
{
    r->sock.ready &= (uint8_t)~SOCK_WRITABLE;
    if (r->thirst.next) return;
    list_add(&r->leg->end->thirsty, &r->thirst);
    tunnel_wants_room(r->leg->end);
}

/* Who comes new does not overtake who waits for room already. */
static bool has_turn(Remote *r)
{
    if (r->granted || list_is_empty(&r->leg->end->thirsty)) return true;
    wait_for_turn(r);
    return false;
}

static Err stopped(const Remote *r)
{
    if (r->silent) return fail(ERR_END, "we have said the last");
    if (r->leg->end->over) return fail(ERR_END, "the front has gone");
    if (r->end && r->end != ERR_END) return fail(r->end, "the client has gone");
    return OK;
}

static Err remote_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent)
{
    enum { PARTS = 16 };
    Remote *r = remote(s);
    TRY(stopped(r));
    size_t total = 0;
    count = MIN(count, (size_t)PARTS);
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    total = MIN(total, (size_t)MIN(r->credit, (uint32_t)FRAME_DATA_MOST));
    if (!total || !may_say(r)) {
        s->ready &= (uint8_t)~SOCK_WRITABLE;
        return OK;
    }
    if (!has_turn(r)) return OK;
    r->granted = false;
    if (!frame_data(&r->leg->end->frames, r->connection, parts, count, total)) {
        wait_for_turn(r);
        return OK;
    }
    r->credit -= (uint32_t)total;
    *sent = total;
    return OK;
}

Err remote_try_put(Remote *r, const Memo *memo, bool *done)
{
    *done = false;
    TRY(stopped(r));
    if (!may_say(r)) {
        r->sock.ready &= (uint8_t)~SOCK_WRITABLE;
        return OK;
    }
    if (!has_turn(r)) return OK;
    r->granted = false;
    *done = frame_put(&r->leg->end->frames, memo);
    if (!*done) wait_for_turn(r);
    return OK;
}

/* ---- ending and moving ---- */

static void say_last(Remote *r, MemoKind kind)
{
    if (r->silent) return;
    r->silent = true;
    if (may_say(r)) say(r, FRAME(kind, r->connection));
}

static void remote_shutdown(Sock *s)
{
    if (may_say(remote(s))) say_last(remote(s), MEMO_CONN_FINISH);
}

static void remote_free(Remote *r)
{
    list_remove(&r->thirst);
    inbox_done(&r->in);
    free(r->about);
    free(r);
}

static void close_here(Remote *r)
{
    bool could = may_say(r);
    if (could) say_last(r, MEMO_CONN_DROP);
    leg_close(r->leg, could || r->silent ? 0 : MEMO_CONN_DROP);
    remote_free(r);
}

static TunnelEnd *end_here(const Remote *r)
{
    unsigned index = loop_index(loop_current());
    must(index < r->tunnel->ends);
    return &r->tunnel->end[index];
}

static void closes_at_home(Task *task)
{
    Remote *r = CONTAINER(task, Remote, task);
    leg_arrive(r, end_here(r));
    close_here(r);
}

/* One that is between two loops goes back to where it came from, and ends there. */
static void remote_close(Sock *s)
{
    Remote *r = remote(s);
    if (r->leg) {
        close_here(r);
        return;
    }
    if (!r->from) {
        remote_free(r);
        return;
    }
    r->task.run = closes_at_home;
    loop_post(r->from->end->loop, &r->task);
}

/* The connection is over; what is left is a Sock without one. */
static void stay_behind(Remote *r)
{
    if (r->leg) leg_close(r->leg, 0);
    r->leg = NULL;
}

static void remote_detach(Sock *s)
{
    Remote *r = remote(s);
    list_remove(&r->thirst);
    r->granted = false;
    if (r->silent)
        stay_behind(r);
    else
        leg_leave(r->leg);
}

static Err remote_attach(Sock *s)
{
    if (remote(s)->from) leg_arrive(remote(s), end_here(remote(s)));
    return OK;
}

const World remote_world = {
    .name = "remote",
    .sock_close = remote_close,
    .sock_peer = remote_peer,
    .sock_local = remote_local,
    .sock_try_read = remote_try_read,
    .sock_try_write = remote_try_write,
    .sock_shutdown = remote_shutdown,
    .sock_detach = remote_detach,
    .sock_attach = remote_attach,
};

Remote *remote_of(Sock *s)
{
    return s->world == &remote_world ? remote(s) : NULL;
}

Remote *remote_new(Tunnel *t, Leg *leg, const Memo *open)
{
    Remote *r = NEW(Remote);
    *r = (Remote){.tunnel = t, .leg = leg, .connection = leg->connection};
    r->sock = (Sock){.world = &remote_world, .loop = loop_current()};
    r->sock.ready = SOCK_READABLE | SOCK_WRITABLE;
    r->credit = r->allowed = TUNNEL_CREDIT;
    r->deflated = open->number[1] & 1;
    r->peer_port = (uint16_t)open->number[2];
    r->local_port = (uint16_t)open->number[3];
    Slice texts[ABOUT_COUNT] = {open->text[0], open->text[1], open->text[3], open->text[4],
                                open->text[5]};
    set_about(r, texts);
    leg->sock = r;
    return r;
}
