/* THREAD=REFERENCES step 1, RFC 5256 3: links between Message-IDs. */
#include "base/text.h"
#include "imap/thread.h"

#include <stdlib.h>

/* A message's References may name 80,000 ids, and all of them may be somebody's invention. */
enum {
    NODES_PER_MESSAGE = 4,
    NODES_LEAST = 1000 * 1000,
    STEPS_PER_MESSAGE = 256,
    STEPS_LEAST = 1000 * 1000, /* also the most for one link */
};

void threads_done(Threads *t)
{
    free(t->messages);
    free(t->nodes);
    number_table_done(&t->ids);
    *t = (Threads){0};
}

/* ---- nodes ---- */

uint32_t thread_node_new(Threads *t)
{
    if (t->node_count + 1 >= t->node_room) {
        t->node_room = MAX(t->node_room * 2, 64u);
        t->nodes = mem_grow(t->nodes, array_bytes(t->node_room, sizeof *t->nodes));
    }
    if (!t->node_count) t->nodes[t->node_count++] = (ThreadNode){0}; /* the root */
    t->nodes[t->node_count] = (ThreadNode){0};
    return t->node_count++;
}

/* Ids are compared with case (RFC 5256 3); they are normalised in the summary. Two ids with one
 * hash of 64 bits, keyed, are once in a million mailboxes of a million messages. */
static uint32_t node_of(Threads *t, Slice id, bool may_be_new)
{
    uint64_t hash = keyed_hash(id);
    uint32_t node = (uint32_t)(uintptr_t)number_table_get(&t->ids, hash);
    if (node || !may_be_new) return node;
    node = thread_node_new(t);
    number_table_put(
        &t->ids, hash,
        (void *)(uintptr_t)node); // NOLINT(performance-no-int-to-ptr): a number, kept as one
    return node;
}

static bool may_add_dummies(const Threads *t)
{
    return t->node_count < (uint64_t)t->count * NODES_PER_MESSAGE + NODES_LEAST;
}

/* ---- links ---- */

static void cut(Threads *t, uint32_t child)
{
    uint32_t parent = t->nodes[child].parent;
    if (parent) t->nodes[parent].kids--;
    t->nodes[child].parent = 0;
}

/* "Before making message A the parent of B, make sure that A is not a descendent of B." Usually B
 * has no children or A no parents, and there is nothing to walk; mail made up so that every link
 * walks far runs out of steps, and what we do not know to be no loop is not linked. */
static bool would_loop(Threads *t, uint32_t parent, uint32_t child)
{
    uint32_t most = STEPS_LEAST;
    if (parent == child) return true;
    if (!t->nodes[child].kids) return false;
    for (uint32_t up = t->nodes[parent].parent; up; up = t->nodes[up].parent) {
        if (up == child || !t->steps_left || !most) return true;
        t->steps_left--, most--;
    }
    return false;
}

static void link_under(Threads *t, uint32_t parent, uint32_t child)
{
    if (would_loop(t, parent, child)) return;
    t->nodes[child].parent = parent;
    t->nodes[parent].kids++;
}

/* (A) First reference to second, second to third ...; who has a parent keeps it. The last one. */
static uint32_t link_references(Threads *t, Slice references)
{
    uint32_t before = 0;
    for (Slice id; slice_cut(&references, ' ', &id);) {
        uint32_t node = id.len ? node_of(t, id, may_add_dummies(t)) : 0;
        if (!node) continue;
        if (before && !t->nodes[node].parent) link_under(t, before, node);
        before = node;
    }
    return before;
}

/* The node of its id, unless it has none or an earlier message has it. */
static uint32_t own_node(Threads *t, Slice id)
{
    uint32_t node = id.len ? node_of(t, id, true) : thread_node_new(t);
    return t->nodes[node].message ? thread_node_new(t) : node;
}

static void keep_message(Threads *t, const ThreadMessage *m)
{
    if (t->count + 1 >= t->room) {
        t->room = MAX(t->room * 2, 64u);
        t->messages = mem_grow(t->messages, array_bytes(t->room, sizeof *t->messages));
    }
    if (!t->count) t->steps_left = STEPS_LEAST;
    t->messages[++t->count] = *m;
    t->steps_left += STEPS_PER_MESSAGE;
}

void threads_add(Threads *t, const ThreadMessage *m, Slice message_id, Slice references)
{
    keep_message(t, m);
    uint32_t node = own_node(t, message_id);
    t->nodes[node].message = t->count;
    uint32_t last = link_references(t, references);
    cut(t, node); /* (B) what it says itself counts more than what others say */
    if (last) link_under(t, last, node);
}
