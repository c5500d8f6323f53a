/* Questions between processes, and facts of TLS, from one that has been taken over, in the
 * simulated world. The first octet says who lies (bit 0: who asks; else who answers), how the
 * octets are cut, whether another end comes behind it (ANOTHER), which is honest, what the liar
 * does besides (bits below), and whether the program ends meanwhile; the rest is what he says
 * (fuzz_spread).
 *
 * Who asks hears an answer that is of the right direction, or why not; from the honest end always
 * the true one. Who answers is asked nothing that is no question to it, and what it says are whole
 * messages with numbers that were asked. */
#include "base/fuzz.h"
#include "base/text.h"
#include "net/caller.h"
#include "net/facts.h"
#include "net/stream.h"
#include "run/log.h"
#include "run/sim.h"

#include <stdlib.h>

enum { LIAR_ASKS = 1, ANOTHER = 2, STOPS = 4, QUICK = 32, DEAF = 64, CANCELLED = 128 };
enum { QUESTIONS = 3, HEAD = 9, DISK_BYTES = 1 << 20, LIES_MOST = 256 << 10 };

typedef struct {
    uint8_t how;
    Slice lies;
    unsigned running; /* fibers that have to end */
    Caller *caller;
    Buf said;
    Cond one_ended;
} Case;

typedef struct {
    Case *of;
    Sock *sock;
} Side;

static void ends(Side *s)
{
    s->of->running--;
    cond_broadcast(&s->of->one_ended);
    free(s);
}

PARKS static void join(Case *c)
{
    while (c->running)
        cond_wait(&c->one_ended, NEVER);
}

/* ---- an honest answerer ---- */

PARKS_UNCHECKED static Err answer(void *arg, const Memo *question, Memo *reply, Buf *memory)
{
    (void)arg;
    must(question->kind < MEMO_COUNT && question->kind != MEMO_VERDICT);
    Slice login = question->text[0];
    if (slice_starts(login, S("wait"))) fiber_sleep(50);
    if (slice_starts(login, S("no"))) return fail(ERR_AUTH, "%.*s is nobody", SP(login));
    buf_printf(memory, "<%.*s>", SP(slice_first(login, 200)));
    *reply = (Memo){.kind = MEMO_LOGIN, .text = {buf_slice(memory)}};
    return OK;
}

PARKS_UNCHECKED static void answers(void *arg)
{
    Side *s = arg;
    Answerer config = {
        .self = CAST_KEEPER, .peer = CAST_HOUSE, .at_once = 2, .answer = answer, .arg = s->of};
    Err err = answerer_serve(&config, s->sock);
    must(!err || (err == ERR_SYNTAX && s->of->how & LIAR_ASKS) || err == ERR_IO);
    ends(s);
}

static void start(Case *c, void (*what)(void *), Sock *sock)
{
    Side *s = NEW(Side);
    *s = (Side){c, sock};
    c->running++;
    fiber_start("side", what, s);
}

/* ---- a liar ---- */

PARKS_UNCHECKED static void lie(void *arg)
{
    Side *s = arg;
    Stream *stream scoped(stream) = stream_new(s->sock);
    Slice rest = s->of->lies;
    size_t step = s->of->how & 8 ? 64 << 10 : s->of->how & 16 ? 60 : 1;
    for (; rest.len && !stream_error(stream); rest = slice_from(rest, step)) {
        stream_put(stream, slice_first(rest, step));
        (void)!stream_flush(stream);
    }
    if (!(s->of->how & QUICK)) fiber_sleep(200);
    sock_shutdown(s->sock);
    stream_set_deadline(stream, now_ms() + 1000);
    for (Slice some; !(s->of->how & DEAF) && (some = stream_some(stream, 4096)).len;)
        buf_add(&s->of->said, some);
    ends(s);
}

/* ---- who asks ---- */

PARKS_UNCHECKED static void asks(void *arg)
{
    Side *s = arg;
    Buf memory buf_scoped = {0};
    Memo question = {.kind = MEMO_CANONICAL, .text = {S("anna")}}, reply = {0};
    Err err = caller_ask(s->of->caller, &question, now_ms() + 3000, &reply, &memory);
    bool honest = !err && reply.kind == MEMO_LOGIN && slice_eq(reply.text[0], S("<anna>"));
    must(!err || slice_of(err_story()).len || err == ERR_CANCELLED || err == ERR_SYNTAX);
    must(err || reply.kind != MEMO_REFUSED);
    must(honest || err == ERR_TEMPORARY || s->of->lies.len || !(s->of->how & ANOTHER) ||
         s->of->how & (STOPS | CANCELLED));
    ends(s);
}

PARKS static void ask_in_vain(const Case *c)
{
    Buf memory buf_scoped = {0};
    Memo question = {.kind = MEMO_CANONICAL, .text = {S("anna")}}, reply = {0};
    must(caller_ask(c->caller, &question, NEVER, &reply, &memory) == ERR_CANCELLED);
}

PARKS static void play_answers(Case *c)
{
    Sock *ours, *theirs;
    c->caller = caller_new(CAST_HOUSE, CAST_KEEPER, QUESTIONS - 1);
    start(c, asks, NULL);
    fiber_sleep(1);
    must(!sock_pair(&ours, &theirs));
    caller_replace(c->caller, ours);
    start(c, lie, theirs);
    for (int i = 1; i < QUESTIONS; i++)
        start(c, asks, NULL);
    fiber_sleep(c->how & ANOTHER ? 100 : c->how & QUICK ? 4000 : 1000);
    if (c->how & CANCELLED) run_cancel();
    if (c->how & ANOTHER) {
        must(!sock_pair(&ours, &theirs));
        caller_replace(c->caller, ours);
        must(caller_is_joined(c->caller));
        start(c, answers, theirs);
        fiber_sleep(100);
    }
    if (c->how & STOPS) caller_replace(c->caller, NULL);
    fiber_sleep(10);
    if (c->how & CANCELLED) ask_in_vain(c);
    caller_free(c->caller);
    caller_free(NULL);
    join(c);
}

/* Whole messages, each with the number of a question. */
static void check_said(const Case *c)
{
    Reader said = reader(buf_slice(&c->said));
    while (said.rest.len) {
        Memo memo = {0};
        uint32_t len = read_u32(&said), number;
        uint8_t kind = read_u8(&said);
        number = read_u32(&said);
        must(!said.bad && len >= HEAD - 4 && len <= CALLER_MESSAGE_MOST);
        Slice fields = read_raw(&said, len - (HEAD - 4));
        char octets[4] = {(char)number, (char)(number >> 8), (char)(number >> 16),
                          (char)(number >> 24)};
        must(!said.bad && !memo_read(CAST_KEEPER, CAST_HOUSE, kind, fields, &memo));
        must(slice_find_slice(c->lies, slice(octets, 4)) < c->lies.len);
    }
}

PARKS static void play_questions(Case *c)
{
    Sock *ours, *theirs;
    must(!sock_pair(&ours, &theirs));
    start(c, answers, ours);
    start(c, lie, theirs);
    if (c->how & CANCELLED) {
        fiber_sleep(10);
        run_cancel();
    }
    join(c);
    if (!(c->how & (DEAF | CANCELLED))) check_said(c);
}

PARKS_UNCHECKED static void life(void *arg)
{
    Case *c = arg;
    if (c->how & LIAR_ASKS)
        play_questions(c);
    else
        play_answers(c);
}

/* ---- facts ---- */

static void check_facts(Slice facts)
{
    for (unsigned kind = 0; kind < 2 * FACT_NAME; kind++) {
        Slice cursor = facts, fact;
        while (facts_next(&cursor, kind, &fact)) {
            must(fact.at >= facts.at && fact.at + fact.len <= facts.at + facts.len);
            must(cursor.len < facts.len && cursor.at == fact.at + fact.len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *disk;
    if (!size) return 0;
    if (!disk) disk = sim_disk_new(DISK_BYTES);
    log_set_level_by_name(S("none"));
    Buf lies buf_scoped = {0};
    fuzz_spread(slice(data + 1, size - 1), LIES_MOST, &lies);
    Case c = {.how = data[0], .lies = buf_slice(&lies)};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1, .net_latency_us = 50};
    if (lies.len <= 4096) check_facts(c.lies);
    must(!sim_run(&config, life, &c));
    buf_done(&c.said);
    return 0;
}
