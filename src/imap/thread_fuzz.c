/* Threads of any references: every message is told exactly once, whoever is below somebody has him
 * as the parent, siblings are in order, and it comes to an end. */
#include "base/fuzz.h"
#include "imap/thread.h"
#include "run/sim.h"

#include <stdlib.h>

typedef struct {
    Slice input;
    size_t at;
    ThreadAlgorithm algorithm;
} Case;

static uint8_t next(Case *c)
{
    return c->at < c->input.len ? (uint8_t)c->input.at[c->at++] : 0;
}

/* One of 32 ids; sometimes none. */
static void put_id(Buf *out, uint8_t which)
{
    if (which % 33) buf_printf(out, "<%u@x>", which % 33);
}

static void add_message(Case *c, Threads *t)
{
    Buf id buf_scoped = {0}, references buf_scoped = {0};
    uint8_t looks = next(c), count = next(c) % 6;
    ThreadMessage m = {.uid = t->count + 1, .arrival = looks % 8, .sent = looks / 16};
    m.subject = looks % 5;
    m.is_reply = looks % 3 == 0;
    put_id(&id, next(c));
    for (uint8_t i = 0; i < count; i++) {
        put_id(&references, next(c));
        buf_char(&references, ' ');
    }
    threads_add(t, &m, buf_slice(&id), buf_slice(&references));
}

static void check_node(const Threads *t, uint32_t node, bool *seen)
{
    const ThreadNode *n = &t->nodes[node];
    must(n->message <= t->count);
    must(n->message || (!n->parent && n->first && n->first != n->last)); /* step 3 */
    if (n->message) must(!seen[n->message]);
    seen[n->message] = true;
    uint32_t before = 0;
    for (uint32_t c = n->first; c; before = c, c = t->nodes[c].next) {
        must(t->nodes[c].parent == node);
        must(!before || thread_is_before(t, t->nodes[before].message, t->nodes[c].message));
    }
    must(before == n->last);
}

PARKS static void check_threads(const Threads *t)
{
    bool *seen = mem_zero(t->count + 1);
    uint32_t *thread = mem_zero(array_bytes(t->count + 1, sizeof *thread)), told = 0;
    for (uint32_t n = threads_next(t, 0); n; n = threads_next(t, n)) {
        must(++told < t->node_count);
        check_node(t, n, seen);
    }
    threads_mark(t, thread);
    for (uint32_t i = 1; i <= t->count; i++)
        must(seen[i] && thread[i] && !t->nodes[thread[i]].parent);
    free(seen);
    free(thread);
}

PARKS_UNCHECKED static void run_case(void *arg)
{
    Case *c = arg;
    Threads t = {0};
    while (c->at < c->input.len)
        add_message(c, &t);
    threads_build(&t, c->algorithm);
    check_threads(&t);
    threads_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ThreadAlgorithm algorithms[] = {THREAD_REFS, THREAD_REFERENCES,
                                                 THREAD_ORDEREDSUBJECT};
    if (size > 4096) return 0;
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        Case c = {.input = slice(data, size), .algorithm = algorithms[i]};
        must(!sim_run(&(SimConfig){.seed = 1, .loops = 1}, run_case, &c));
    }
    return 0;
}
