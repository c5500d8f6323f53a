#include "net/wire.h"

#include "base/text.h"

#include <stdlib.h>

typedef struct {
    const Answerer *config;
    Wire *wire;
    Link errands; /* fibers that answer */
    unsigned count;
    Cond one_ended;
} Serving;

typedef struct {
    Serving *serving;
    Link of_serving;
    Fiber *fiber;
    Message message; /* its fields are in `octets` */
    Buf octets;
} Errand;

/* The story may be long; the row's is bounded. */
static void refuse(Serving *s, uint32_t number, Err err)
{
    Memo no = {.kind = MEMO_REFUSED,
               .number = {(uint64_t)err},
               .text = {slice_first(slice_of(err_story()), 300)}};
    wire_put(s->wire, number, &no);
}

PARKS static void answer(const Errand *e)
{
    Serving *s = e->serving;
    const Answerer *config = s->config;
    Memo question = {0}, reply = {0};
    Buf memory secret_scoped = {0};
    Err err = memo_read(config->peer, config->self, e->message.kind, e->message.fields, &question);
    if (!err) err = config->answer(config->arg, &question, &reply, &memory);
    if (err)
        refuse(s, e->message.number, err);
    else
        wire_put(s->wire, e->message.number, &reply);
}

PARKS static void run_errand(void *arg)
{
    Errand *e = arg;
    Serving *s = e->serving;
    e->fiber = fiber_current();
    answer(e);
    buf_wipe(&e->octets);
    list_remove(&e->of_serving);
    free(e);
    s->count--;
    cond_signal(&s->one_ended);
}

static void begin_errand(Serving *s, const Message *m)
{
    Errand *e = NEW(Errand);
    *e = (Errand){.serving = s, .message = *m};
    buf_add(&e->octets, m->fields);
    e->message.fields = buf_slice(&e->octets);
    list_add(&s->errands, &e->of_serving);
    s->count++;
    e->fiber = fiber_start("answer", run_errand, e);
}

/* Who waits for something to tell is nudged: there is nobody any more to be told. */
PARKS static void end_errands(Serving *s)
{
    list_each (link, &s->errands)
        fiber_nudge(CONTAINER(link, Errand, of_serving)->fiber);
    while (s->count)
        cond_wait(&s->one_ended, NEVER);
}

PARKS Err answerer_serve(const Answerer *config, Sock *sock)
{
    Serving s = {.config = config, .wire = wire_new(sock)};
    Message m;
    Err err;
    list_init(&s.errands);
    while (!(err = wire_next(s.wire, &m))) {
        while (s.count >= config->at_once)
            cond_wait(&s.one_ended, NEVER);
        begin_errand(&s, &m);
    }
    Err read = err;
    wire_stop(s.wire);
    end_errands(&s);
    wire_free(s.wire);
    return read == ERR_END || read == ERR_CANCELLED ? OK : read;
}
