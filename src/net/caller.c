#include "net/wire.h"

#include "base/text.h"
#include "run/log.h"

#include <stdlib.h>

enum {
    ERR_COUNT = 1
#define ERR(name, meaning) +1
#include "base/err.def"
#undef ERR
};

enum { LOOK_MS = 1000 }; /* whether the program ends, while nobody is there to answer */

typedef struct {
    Link of_caller;
    uint32_t number;
    const Memo *memo;
    Memo *answer;
    Buf *memory;
    Err err;
    bool done;
    Cond answered;
} Question;

struct Caller {
    CastRole self, peer;
    Loop *home;
    Link questions;
    unsigned waiting, waiting_most;
    uint32_t last;
    Wire *wire;         /* NULL: nobody is there */
    Fiber *listener;    /* who reads it */
    unsigned listeners; /* those of wires before it end by and by */
    bool is_over;
    Cond listener_ended;
};

typedef struct {
    Caller *caller;
    Wire *wire;
} Line;

/* ---- questions ---- */

static void settle(Caller *c, Question *q, Err err)
{
    q->err = err;
    q->done = true;
    list_remove(&q->of_caller);
    c->waiting--;
    cond_signal(&q->answered);
}

static Err refusal(const Memo *memo)
{
    bool known = memo->number[0] > OK && memo->number[0] < ERR_COUNT;
    Slice story = slice_first(memo->text[0], 300);
    return fail(known ? (Err)memo->number[0] : ERR_SYNTAX, "%.*s", SP(story));
}

/* The answer is read where it will stay. */
static Err take_answer(Caller *c, Question *q, const Message *m)
{
    buf_clear(q->memory);
    buf_add(q->memory, m->fields);
    TRY(memo_read(c->peer, c->self, m->kind, buf_slice(q->memory), q->answer));
    return q->answer->kind == MEMO_REFUSED ? refusal(q->answer) : OK;
}

/* One that nobody waits for any more is passed over. */
static void hear(Caller *c, const Message *m)
{
    list_each (link, &c->questions) {
        Question *q = CONTAINER(link, Question, of_caller);
        if (q->number != m->number) continue;
        settle(c, q, take_answer(c, q, m));
        return;
    }
}

/* ---- the other end ---- */

static void give_up(Caller *c)
{
    c->is_over = true;
    while (!list_is_empty(&c->questions))
        settle(c, CONTAINER(c->questions.next, Question, of_caller), ERR_CANCELLED);
}

PARKS static void listen(void *arg)
{
    Line *line = arg;
    Caller *c = line->caller;
    Message m;
    Err err;
    while (!(err = wire_next(line->wire, &m)))
        hear(c, &m);
    if (run_is_cancelled()) give_up(c);
    if (c->wire == line->wire) {
        c->wire = NULL;
        if (!c->is_over)
            log_err(LOG_LEVEL_WARN, "caller_gone", err, KV_TEXT("role", cast_names[c->peer]));
    }
    wire_free(line->wire);
    free(line);
    c->listeners--;
    cond_broadcast(&c->listener_ended);
}

static void hang_up(Caller *c)
{
    if (!c->wire) return;
    wire_stop(c->wire);
    fiber_nudge(c->listener);
    c->wire = NULL;
}

void caller_replace(Caller *c, Sock *sock)
{
    must(c->home == loop_current());
    hang_up(c);
    if (!sock) return;
    Line *line = NEW(Line);
    *line = (Line){c, wire_new(sock)};
    c->wire = line->wire;
    c->listeners++;
    c->listener = fiber_start("listener", listen, line);
    list_each (link, &c->questions) {
        const Question *q = CONTAINER(link, Question, of_caller);
        wire_put(c->wire, q->number, q->memo);
    }
}

bool caller_is_joined(const Caller *c)
{
    return c->wire != NULL;
}

/* ---- asking ---- */

PARKS static Err ask_here(Caller *c, Question *q, int64_t deadline_ms)
{
    if (c->is_over || run_is_cancelled()) return fail(ERR_CANCELLED, "stopping");
    if (c->waiting >= c->waiting_most)
        return fail(ERR_TEMPORARY, "too many questions to the %s", cast_names[c->peer]);
    q->number = ++c->last;
    list_add(&c->questions, &q->of_caller);
    c->waiting++;
    if (c->wire) wire_put(c->wire, q->number, q->memo);
    while (!q->done) {
        if (cond_wait(&q->answered, MIN(deadline_ms, now_ms() + LOOK_MS)) || q->done) continue;
        if (now_ms() >= deadline_ms) settle(c, q, ERR_TEMPORARY);
        if (!c->wire && run_is_cancelled()) give_up(c);
    }
    return q->err == ERR_TEMPORARY && now_ms() >= deadline_ms
               ? fail(q->err, "the %s does not answer", cast_names[c->peer])
               : q->err;
}

typedef struct {
    Caller *caller;
    Question question;
    int64_t deadline_ms;
    Err err;
} Call;

PARKS static void ask_there(void *arg)
{
    Call *call = arg;
    call->err = ask_here(call->caller, &call->question, call->deadline_ms);
}

PARKS Err caller_ask(Caller *c, const Memo *question, int64_t deadline_ms, Memo *answer,
                     Buf *memory)
{
    Call call = {
        c, {.memo = question, .answer = answer, .memory = memory},
         deadline_ms, OK
    };
    loop_call(c->home, ask_there, &call);
    return call.err;
}

/* ---- its life ---- */

Caller *caller_new(CastRole self, CastRole peer, unsigned waiting_most)
{
    Caller *c = NEW(Caller);
    *c = (Caller){.self = self, .peer = peer, .home = loop_current(), .waiting_most = waiting_most};
    list_init(&c->questions);
    return c;
}

PARKS void caller_free(Caller *c)
{
    if (!c) return;
    give_up(c);
    hang_up(c);
    while (c->listeners)
        cond_wait(&c->listener_ended, NEVER);
    free(c);
}
