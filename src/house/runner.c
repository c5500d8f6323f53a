/* Our end of the runner: a fiber on loop 0 reads its answers and wakes whoever asked. */
#include "house/runner.h"

#include "base/text.h"
#include "run/child.h"
#include "run/log.h"

#include <stdlib.h>

enum { WAITING_MOST = 256 };

typedef struct {
    Link of_runner;
    uint32_t number;
    Slice token;
    Buf *answer;
    Err err;
    bool done;
    Cond answered;
} Question;

struct Runner {
    Stream *stream;
    Link questions;
    size_t waiting;
    uint32_t last;
    bool is_writing, is_gone, has_ended;
};

/* ---- messages ---- */

void runner_put(Buf *out, RunnerKind kind, uint32_t number, const Slice *fields, size_t count)
{
    Buf body buf_scoped = {0};
    buf_u8(&body, (uint8_t)kind);
    buf_u32(&body, number);
    for (size_t i = 0; i < count; i++)
        buf_bytes(&body, fields[i]);
    buf_u32(out, (uint32_t)body.len);
    buf_add(out, buf_slice(&body));
}

Err runner_read(Stream *s, Buf *message, RunnerKind *kind, uint32_t *number, Reader *fields)
{
    char head[4];
    if (!stream_read(s, head, sizeof head)) return ERR_END;
    Reader r = reader(slice(head, sizeof head));
    uint32_t len = read_u32(&r);
    if (len > RUNNER_MESSAGE_MOST) return fail(ERR_SYNTAX, "a message of %u octets", len);
    buf_clear(message);
    if (len && !stream_read(s, buf_reserve(message, len), len)) return ERR_END;
    message->len = len;
    *fields = reader(buf_slice(message));
    *kind = (RunnerKind)read_u8(fields);
    *number = read_u32(fields);
    return fields->bad ? fail(ERR_SYNTAX, "a message without a head") : OK;
}

/* ---- on loop 0 ---- */

/* Several fibers ask; one of them sends what all have put there. */
PARKS static void send(Runner *r)
{
    if (r->is_writing) return;
    r->is_writing = true;
    (void)stream_flush(r->stream);
    r->is_writing = false;
}

static void settle(Runner *r, Question *q, Err err, Slice json)
{
    if (!err) buf_add(q->answer, json);
    q->err = err;
    q->done = true;
    list_remove(&q->of_runner);
    r->waiting--;
    cond_signal(&q->answered);
}

PARKS static void ask_here(Runner *r, Question *q)
{
    q->err = ERR_TEMPORARY;
    if (r->is_gone || r->waiting >= WAITING_MOST) return;
    q->number = ++r->last;
    list_add(&r->questions, &q->of_runner);
    r->waiting++;
    runner_put(stream_out(r->stream), RUNNER_ASK, q->number, &q->token, 1);
    send(r);
    int64_t deadline = now_ms() + RUNNER_MS + 1000; /* it has its own */
    while (!q->done)
        if (!cond_wait(&q->answered, deadline)) settle(r, q, ERR_TEMPORARY, (Slice){0});
}

static void take_answer(Runner *r, uint32_t number, Reader fields)
{
    Err err = (Err)read_u8(&fields);
    Slice json = read_bytes(&fields);
    list_each (link, &r->questions) {
        Question *q = CONTAINER(link, Question, of_runner);
        if (q->number != number) continue;
        settle(r, q, err || fields.bad ? ERR_TEMPORARY : OK, json);
        return;
    }
}

PARKS static void listen(void *arg)
{
    Runner *r = arg;
    Buf message buf_scoped = {0};
    RunnerKind kind;
    uint32_t number;
    Reader fields;
    while (!runner_read(r->stream, &message, &kind, &number, &fields))
        if (kind == RUNNER_ANSWER) take_answer(r, number, fields);
    r->is_gone = true;
    if (!run_is_cancelled()) log_event(LOG_LEVEL_ERROR, "runner_gone");
    list_each (link, &r->questions)
        settle(r, CONTAINER(link, Question, of_runner), ERR_TEMPORARY, (Slice){0});
    r->has_ended = true;
}

/* ---- from anywhere ---- */

typedef struct {
    Runner *runner;
    Question question;
} Call;

PARKS_UNCHECKED static void ask_there(void *arg)
{
    Call *c = arg;
    ask_here(c->runner, &c->question);
}

Err runner_introspect(void *arg, Slice token, Buf *answer)
{
    Call call = {
        arg, {.token = token, .answer = answer}
    };
    loop_call(loop_at(0), ask_there, &call);
    return call.question.err ? fail(ERR_TEMPORARY, "the issuer cannot be asked") : OK;
}

/* ---- starting ---- */

/* RFC 6749 2.3.1: HTTP Basic of the client's name and secret. */
static Slice authorization(const Config *c, Arena *a)
{
    Buf pair buf_scoped = {0}, text buf_scoped = {0};
    if (!c->oauth_client.len) return (Slice){0};
    buf_printf(&pair, "%.*s:%.*s", SP(c->oauth_client), SP(c->oauth_client_secret));
    buf_add(&text, S("Basic "));
    base64_encode(&text, buf_slice(&pair));
    return arena_copy(a, buf_slice(&text));
}

Err runner_start(const Config *config, Runner **runner)
{
    static const char *const args[] = {"posthouse", "-c",     "/dev/null", "-o",
                                       "loops=1",   "runner", NULL};
    Arena a arena_scoped = {0};
    Sock *sock;
    *runner = NULL;
    if (!config->oauth_introspection.len) return OK;
    TRY(child_start(args, &sock));
    Runner *r = NEW(Runner);
    r->stream = stream_new(sock);
    list_init(&r->questions);
    Slice fields[] = {config->oauth_introspection, authorization(config, &a),
                      config->oauth_introspection_authority};
    runner_put(stream_out(r->stream), RUNNER_CONFIG, 0, fields, COUNT(fields));
    send(r);
    fiber_start("runner", listen, r);
    *runner = r;
    return OK;
}

void runner_stop(Runner *r)
{
    if (!r) return;
    Cond nobody = {0};
    stream_fail(r->stream, ERR_END);
    while (!r->has_ended)
        cond_wait(&nobody, now_ms() + 5);
    stream_free(r->stream);
    free(r);
}
