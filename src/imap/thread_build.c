/* THREAD=REFERENCES steps 2 to 4 and 6, RFC 5256 3, and REFS, draft-ietf-morg-inthread 4. */
#include "imap/merge.h"
#include "imap/thread.h"

#include <stdlib.h>

enum { BREATH = 4096 };

/* ---- lists ---- */

void thread_append(Threads *t, uint32_t parent, uint32_t node)
{
    ThreadNode *p = &t->nodes[parent];
    t->nodes[node].parent = parent;
    t->nodes[node].next = 0;
    *(p->last ? &t->nodes[p->last].next : &p->first) = node;
    p->last = node;
}

/* Their parent is put right by thread_sort_children: a list may move many times while dummies go.
 */
void thread_move_children(Threads *t, uint32_t from, uint32_t to)
{
    ThreadNode *f = &t->nodes[from], *p = &t->nodes[to];
    if (!f->first) return;
    *(p->last ? &t->nodes[p->last].next : &p->first) = f->first;
    p->last = f->last;
    f->first = f->last = 0;
}

/* ---- steps 2 and 3 ---- */

/* A dummy goes, and its children move up; but they become children of the root only if there is
 * one. */
static void settle(Threads *t, uint32_t node)
{
    const ThreadNode *n = &t->nodes[node];
    uint32_t parent = n->parent;
    if (n->message || (!parent && n->first != n->last))
        thread_append(t, parent, node);
    else
        thread_move_children(t, node, parent);
}

/* Children before their parents, beginning with those that have none: so a node's list is whole
 * when its turn comes, and a dummy whose children were all dummies without children goes, too. */
PARKS static void prune(Threads *t)
{
    uint32_t *queue = mem_new(array_bytes(t->node_count + 1, sizeof *queue)), end = 0;
    for (uint32_t i = 1; i < t->node_count; i++) {
        if (!t->nodes[i].kids) queue[end++] = i;
        if (i % BREATH == 0) breathe();
    }
    for (uint32_t i = 0; i < end; i++) {
        uint32_t parent = t->nodes[queue[i]].parent;
        settle(t, queue[i]);
        if (parent && !--t->nodes[parent].kids) queue[end++] = parent;
        if (i % BREATH == 0) breathe();
    }
    must(end + 1 == t->node_count); /* or there is a loop */
    uint32_t done = 0;
    for (uint32_t c = t->nodes[0].first; c; c = t->nodes[c].next) {
        t->nodes[c].parent = 0;
        if (++done % BREATH == 0) breathe();
    }
    free(queue);
}

uint32_t threads_next(const Threads *t, uint32_t node)
{
    if (!t->node_count) return 0;
    if (t->nodes[node].first) return t->nodes[node].first;
    while (node && !t->nodes[node].next)
        node = t->nodes[node].parent;
    return node ? t->nodes[node].next : 0;
}

/* ---- steps 4 and 6 ---- */

bool thread_is_before(const Threads *t, uint32_t message, uint32_t other)
{
    int64_t a = t->messages[message].sent, b = t->messages[other].sent;
    return a != b ? a < b : message < other;
}

PARKS uint32_t thread_head(const Threads *t, uint32_t node)
{
    uint32_t head = t->nodes[node].message, seen = 0;
    if (head) return head;
    for (uint32_t c = t->nodes[node].first; c; c = t->nodes[c].next) {
        if (!head || thread_is_before(t, t->nodes[c].message, head)) head = t->nodes[c].message;
        if (++seen % BREATH == 0) breathe();
    }
    return head;
}

typedef struct {
    const Threads *t;
    const uint32_t *heads; /* the message that each of them goes by */
} Siblings;

static bool sibling_is_before(const void *arg, uint32_t a, uint32_t b)
{
    const Siblings *s = arg;
    return thread_is_before(s->t, s->heads[a], s->heads[b]);
}

static bool arrived_later(const Threads *t, uint32_t message, uint32_t other)
{
    uint32_t a = t->messages[message].arrival, b = t->messages[other].arrival;
    return a != b ? a > b : message > other;
}

/* The message of the thread that arrived last. */
PARKS static uint32_t latest(const Threads *t, uint32_t thread)
{
    uint32_t node = thread, found = 0, seen = 0;
    do {
        if (++seen % BREATH == 0) breathe();
        uint32_t m = t->nodes[node].message;
        if (m && (!found || arrived_later(t, m, found))) found = m;
        node = threads_next(t, node);
    } while (node && t->nodes[node].parent);
    return found;
}

/* REFS: "sorts threads by the most recent INTERNALDATE in each thread". */
static bool arrived_before(const void *arg, uint32_t a, uint32_t b)
{
    const Siblings *s = arg;
    return arrived_later(s->t, s->heads[b], s->heads[a]);
}

PARKS uint32_t thread_count_children(const Threads *t, uint32_t parent)
{
    uint32_t count = 0;
    for (uint32_t c = t->nodes[parent].first; c; c = t->nodes[c].next)
        if (++count % BREATH == 0) breathe();
    return count;
}

PARKS static void sort_list(Threads *t, uint32_t parent, bool by_arrival)
{
    uint32_t count = thread_count_children(t, parent), i = 0;
    uint32_t *nodes = mem_new(array_bytes(count + 1, sizeof *nodes));
    uint32_t *heads = mem_new(array_bytes(count + 1, sizeof *heads));
    uint32_t *rows = mem_new(array_bytes(count + 1, sizeof *rows));
    for (uint32_t c = t->nodes[parent].first; c; c = t->nodes[c].next, i++) {
        nodes[i] = c, rows[i] = i;
        heads[i] = by_arrival ? latest(t, c) : thread_head(t, c);
        if (i % BREATH == 0) breathe();
    }
    merge_sort(rows, count, by_arrival ? arrived_before : sibling_is_before, &(Siblings){t, heads});
    t->nodes[parent].first = t->nodes[parent].last = 0;
    for (i = 0; i < count; i++) {
        thread_append(t, parent, nodes[rows[i]]);
        if (i % BREATH == 0) breathe();
    }
    free(nodes), free(heads), free(rows);
}

/* Most have one child or none. */
PARKS void thread_sort_children(Threads *t, uint32_t parent)
{
    const ThreadNode *p = &t->nodes[parent];
    if (p->first == p->last) {
        if (p->first) t->nodes[p->first].parent = parent;
        return;
    }
    sort_list(t, parent, false);
}

PARKS static void sort_all_but_root(Threads *t)
{
    for (uint32_t i = 1; i < t->node_count; i++) {
        thread_sort_children(t, i);
        if (i % BREATH == 0) breathe();
    }
}

PARKS void threads_mark(const Threads *t, uint32_t *thread_of_message)
{
    uint32_t thread = 0, seen = 0;
    for (uint32_t n = threads_next(t, 0); n; n = threads_next(t, n)) {
        if (++seen % BREATH == 0) breathe();
        if (!t->nodes[n].parent) thread = n;
        thread_of_message[t->nodes[n].message] = thread; /* a dummy's goes to 0 */
    }
}

PARKS void threads_build(Threads *t, ThreadAlgorithm algorithm)
{
    if (!t->count) return;
    if (algorithm == THREAD_ORDEREDSUBJECT) {
        thread_ordered_subject(t);
        return;
    }
    prune(t);
    if (algorithm == THREAD_REFERENCES) {
        thread_sort_children(t, 0);
        thread_gather_subjects(t);
    }
    sort_all_but_root(t);
    if (algorithm == THREAD_REFERENCES)
        thread_sort_children(t, 0);
    else
        sort_list(t, 0, true);
}
