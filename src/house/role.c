#include "house/role.h"

#include "house/sandbox.h"
#include "house/verbs.h"
#include "run/log.h"
#include "run/process.h"

#include <stdlib.h>
#include <unistd.h>

/* A configuration that was in force once: somebody may still refer to it. */
typedef struct Kept {
    Config config;
    struct Kept *before;
} Kept;

struct ActorInside {
    Post *post;
    Buf message;
    Fds fds;  /* that came with it */
    Buf text; /* the configuration's pieces */
    Kept *kept;
    Joint coming; /* its rings so far */
    bool has_begun, stops, is_over;
    Fiber *fiber;
    bool is_upgraded; /* an answer has come */
    Err upgrade_err;
    char upgrade_story[400];
    Cond upgraded;
};

/* ---- the post ---- */

/* The warden reads; a role that finds no room has nobody to work for. */
void actor_say(Actor *a, const Memo *memo)
{
    Buf octets buf_scoped = {0};
    buf_u8(&octets, (uint8_t)memo->kind);
    memo_put(&octets, memo);
    if (post_send(a->inside->post, buf_slice(&octets), NULL))
        log_event(LOG_LEVEL_WARN, "not_said", KV_TEXT("memo", memo_name(memo->kind)),
                  KV_TEXT("story", err_story()));
}

static void say_how(Actor *a, MemoKind kind, Err err)
{
    Slice story = err ? slice_of(err_story()) : (Slice){0};
    Memo memo = {.kind = kind, .number = {err}, .text = {slice_first(story, 1000)}};
    actor_say(a, &memo);
}

void actor_is_over(Actor *a)
{
    a->inside->is_over = true;
    fiber_nudge(a->inside->fiber);
}

/* The next memo, borrowed until the next call. ERR_END: none will come. */
PARKS static Err hear(Actor *a, Memo *memo)
{
    struct ActorInside *in = a->inside;
    fds_close(&in->fds);
    for (;;) {
        TRY(post_take(in->post, &in->message, &in->fds));
        if (in->message.len) break;
        if (in->is_over) return ERR_END;
        if (post_wait(in->post, SOCK_READABLE, NEVER, true) == WOKEN_CANCELLED) return ERR_END;
    }
    Slice octets = buf_slice(&in->message);
    return memo_read(CAST_WARDEN, a->kind, (uint8_t)octets.at[0], slice_from(octets, 1), memo);
}

/* ---- answering ---- */

typedef struct {
    Answerer how;
    Sock *sock;
    unsigned *clients;
} Client;

PARKS static void serve_client(void *arg)
{
    Client *c = arg;
    Err err = answerer_serve(&c->how, c->sock);
    if (err)
        log_err(LOG_LEVEL_ERROR, "role_client", err, KV_TEXT("role", cast_names[c->how.self]),
                KV_TEXT("peer", cast_names[c->how.peer]));
    --*c->clients;
    free(c);
}

void actor_answer(Actor *a, const Joint *joint, const Answerer *how, unsigned *clients)
{
    Client *c = NEW(Client);
    *c = (Client){*how, joint->sock, clients};
    c->how.self = a->kind, c->how.peer = joint->peer;
    ++*clients;
    fiber_start("client", serve_client, c);
}

/* ---- what the warden hands over ---- */

static Err take_sock(Actor *a, Sock **sock)
{
    int fd = fds_take(&a->inside->fds);
    return fd < 0 ? fail(ERR_SYNTAX, "a descriptor is missing") : sock_of_fd(fd, sock);
}

PARKS static Err take_entrance(Actor *a, uint64_t service)
{
    Sock *sock;
    if (service >= SERVICE_COUNT) return fail(ERR_SYNTAX, "no such service");
    TRY(take_sock(a, &sock));
    if (a->inside->has_begun) {
        Entrance e = {(Service)service, sock};
        if (a->work->opened)
            a->work->opened(a, &e);
        else
            sock_close(sock);
        return OK;
    }
    a->listeners = mem_grow(a->listeners, array_bytes(a->listener_count + 1, sizeof(Entrance)));
    a->listeners[a->listener_count++] = (Entrance){(Service)service, sock};
    return OK;
}

static Err take_board(Actor *a, const Memo *m)
{
    int fd = fds_take(&a->inside->fds);
    if (fd < 0 || a->board) return fail(ERR_SYNTAX, "a board without its descriptor");
    Err err = board_open(fd, (unsigned)m->number[0], (unsigned)m->number[1], &a->board);
    close(fd);
    return err;
}

static void joint_close(Joint *j)
{
    for (size_t i = 0; i < j->ring_count; i++)
        ring_fds_close(&j->rings[i]);
    free(j->rings);
    sock_close(j->sock);
    *j = (Joint){0};
}

PARKS static void joint_is_whole(Actor *a, Joint *j)
{
    if (!a->inside->has_begun) {
        a->joints = mem_grow(a->joints, array_bytes(a->joint_count + 1, sizeof *j));
        a->joints[a->joint_count++] = *j;
    } else if (a->work->joined) {
        a->work->joined(a, j);
        free(j->rings);
    } else {
        joint_close(j);
    }
    *j = (Joint){0};
}

/* Rings come one by one, in order. */
PARKS static Err take_ring(Actor *a, const Memo *m)
{
    Joint *j = &a->inside->coming;
    Fds *fds = &a->inside->fds;
    uint64_t index = m->number[2], count = m->number[3];
    bool goes_on = !index || (m->number[0] == j->peer && m->number[1] == j->number);
    if (index != j->ring_count || index >= count || fds->count != 3 || !goes_on)
        return fail(ERR_SYNTAX, "a ring out of order");
    RingFds ring = {.memory = fds_take(fds)};
    ring.wake_first = fds_take(fds);
    ring.wake_second = fds_take(fds);
    j->peer = (CastRole)m->number[0];
    j->number = (uint32_t)m->number[1];
    j->rings = mem_grow(j->rings, array_bytes(index + 1, sizeof ring));
    j->rings[j->ring_count++] = ring;
    if (j->ring_count == count) joint_is_whole(a, j);
    return OK;
}

PARKS static Err take_joint(Actor *a, const Memo *m)
{
    if (m->number[0] >= CAST_COUNT) return fail(ERR_SYNTAX, "no such role");
    if (m->number[3]) return take_ring(a, m);
    Joint j = {.peer = (CastRole)m->number[0], .number = (uint32_t)m->number[1]};
    TRY(take_sock(a, &j.sock));
    joint_is_whole(a, &j);
    return OK;
}

static Err take_config(Actor *a, const Config **config)
{
    Kept *kept = NEW(Kept);
    config_defaults(&kept->config);
    Err err = config_parse(&kept->config, buf_slice(&a->inside->text));
    buf_clear(&a->inside->text);
    if (err) {
        config_done(&kept->config);
        free(kept);
        return err;
    }
    kept->before = a->inside->kept;
    a->inside->kept = kept;
    *config = &kept->config;
    return OK;
}

/* What is the same before the start and after it. */
PARKS static Err take_any(Actor *a, const Memo *m)
{
    if (m->kind == MEMO_CONFIG) {
        buf_add(&a->inside->text, m->text[0]);
        return a->inside->text.len > 4 << 20 ? fail(ERR_SYNTAX, "too much configuration") : OK;
    }
    if (m->kind == MEMO_JOINT) return take_joint(a, m);
    if (m->kind == MEMO_LISTENER) return take_entrance(a, m->number[0]);
    if (m->kind == MEMO_MEMBERS) {
        buf_clear(&a->members);
        buf_add(&a->members, m->text[0]);
        return OK;
    }
    return fail(ERR_SYNTAX, "%s at the wrong time", memo_name(m->kind));
}

/* ---- the start ---- */

PARKS static Err take_for_start(Actor *a, const Memo *m)
{
    if (m->kind == MEMO_CONTROL && !a->control) return take_sock(a, &a->control);
    if (m->kind == MEMO_BOARD) return take_board(a, m);
    return take_any(a, m);
}

PARKS static Err take_begin(Actor *a, Arena *memory)
{
    Memo m;
    TRY(hear(a, &m));
    while (m.kind != MEMO_BEGIN) {
        TRY(take_for_start(a, &m));
        TRY(hear(a, &m));
    }
    a->number = (uint32_t)m.number[0];
    a->demo = (Demo){(uint32_t)m.number[1], arena_copy(memory, m.text[0])};
    a->inside->has_begun = true;
    return take_config(a, &a->config);
}

PARKS static Err begin(Actor *a, Arena *memory)
{
    TRY(process_follows(true));
    TRY(take_begin(a, memory));
    TRY(process_follows(a->config->cores));
    log_set_level_by_name(a->config->log_level);
    TRY(a->work->begin(a));
    TRY(sandbox_enter(&(Sandbox){a->kind, a->config, {0}, NULL}));
    TRY(a->work->serve(a));
    actor_say(a, &(Memo){.kind = MEMO_READY});
    return OK;
}

/* ---- afterwards ---- */

PARKS static void reload(Actor *a)
{
    const Config *fresh;
    Err err = take_config(a, &fresh);
    if (!err) err = a->work->reload(a, fresh);
    if (!err) {
        a->config = fresh;
        log_set_level_by_name(fresh->log_level);
    }
    say_how(a, MEMO_RELOADED, err);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* Whoever is answered knows that every loop turns. */
PARKS static void answer_ping(Actor *a)
{
    for (unsigned i = 0; i < loop_count(); i++)
        loop_call(loop_at(i), nothing, NULL);
    actor_say(a, &(Memo){.kind = MEMO_PONG});
}

static void take_upgraded(Actor *a, const Memo *m)
{
    struct ActorInside *in = a->inside;
    in->is_upgraded = true;
    in->upgrade_err = m->number[0] ? ERR_TEMPORARY : OK;
    snprintf(in->upgrade_story, sizeof in->upgrade_story, "%.*s", SP(m->text[0]));
    cond_broadcast(&in->upgraded);
}

PARKS Err actor_upgrade(Actor *a)
{
    struct ActorInside *in = a->inside;
    in->is_upgraded = false;
    actor_say(a, &(Memo){.kind = MEMO_UPGRADE});
    while (!in->is_upgraded)
        cond_wait(&in->upgraded, NEVER);
    return in->upgrade_err ? fail(in->upgrade_err, "%s", in->upgrade_story) : OK;
}

PARKS static Err take_later(Actor *a, const Memo *m)
{
    switch ((int)m->kind) {
    case MEMO_PING:
        answer_ping(a);
        return OK;
    case MEMO_RELOAD:
        reload(a);
        return OK;
    case MEMO_GONE:
        if (a->work->gone) a->work->gone(a, (CastRole)m->number[0], (uint32_t)m->number[1]);
        return OK;
    case MEMO_RETIRE:
        if (a->work->retire) a->work->retire(a);
        return OK;
    case MEMO_HOLD:
        if (a->work->hold) a->work->hold(a);
        actor_say(a, &(Memo){.kind = MEMO_HELD});
        return OK;
    case MEMO_STOP:
        a->inside->stops = true;
        return OK;
    case MEMO_UPGRADED:
        take_upgraded(a, m);
        return OK;
    default:
        return take_any(a, m);
    }
}

/* Until the warden says STOP or is gone. */
PARKS static Err work_on(Actor *a)
{
    while (!a->inside->stops) {
        Memo m;
        Err err = hear(a, &m);
        if (err == ERR_END) return OK;
        TRY(err);
        TRY(take_later(a, &m));
    }
    return OK;
}

/* ---- the end ---- */

static void actor_done(Actor *a)
{
    struct ActorInside *in = a->inside;
    for (size_t i = 0; i < a->listener_count; i++)
        sock_close(a->listeners[i].sock);
    for (size_t i = 0; i < a->joint_count; i++)
        joint_close(&a->joints[i]);
    joint_close(&in->coming);
    sock_close(a->control);
    free(a->listeners);
    free(a->joints);
    buf_done(&a->members);
    board_free(a->board);
    fds_close(&in->fds);
    buf_done(&in->message);
    buf_done(&in->text);
    for (Kept *k = in->kept, *before; k; k = before) {
        before = k->before;
        config_done(&k->config);
        free(k);
    }
    post_close(in->post);
}

PARKS int actor_play(CastRole kind, const RoleWork *work)
{
    struct ActorInside in = {.fiber = fiber_current()};
    Actor a = {.kind = kind, .work = work, .inside = &in};
    Arena memory arena_scoped = {0};
    Err err = post_of_parent(&in.post);
    if (err) {
        fprintf(stderr, "posthouse %s: %s\n", cast_names[kind], err_story());
        return exit_code_of(err);
    }
    err = begin(&a, &memory);
    bool works = !err;
    if (works) err = work_on(&a);
    if (err) say_how(&a, MEMO_FAILED, err);
    if (works) work->stop(&a);
    actor_done(&a);
    return exit_code_of(err);
}

PARKS void role_at_terminal(CommandLine *c)
{
    static const RoleWork *const works[CAST_COUNT] = {[CAST_FRONT] = &front_work,
                                                      [CAST_KEEPER] = &keeper_work,
                                                      [CAST_HOUSE] = &house_work,
                                                      [CAST_RUNNER] = &runner_work};
    Slice name = slice_of(c->argv[0]);
    for (CastRole kind = CAST_FRONT; kind < CAST_COUNT; kind++)
        if (slice_eq(name, slice_of(cast_names[kind])))
            c->exit_code = actor_play(kind, works[kind]);
}
