/* THREAD=REFERENCES step 5, and THREAD=ORDEREDSUBJECT: RFC 5256 3. */
#include "imap/merge.h"
#include "imap/thread.h"

#include <stdlib.h>

enum { BREATH = 4096 };

/* ---- step 5 ---- */

typedef struct {
    Threads *t;
    NumberTable subjects; /* (A) the subject table: hash to node */
    uint32_t *threads;    /* children of the root */
    uint64_t *of;         /* the thread subject of each; does not change while they merge */
    uint32_t count;
} Subjects;

static bool is_dummy(const Threads *t, uint32_t node)
{
    return !t->nodes[node].message;
}

static bool is_reply(const Threads *t, uint32_t node)
{
    return !is_dummy(t, node) && t->messages[t->nodes[node].message].is_reply;
}

static uint32_t look_up(const Subjects *s, uint64_t subject)
{
    return (uint32_t)(uintptr_t)number_table_get(&s->subjects, subject);
}

static void enter(Subjects *s, uint64_t subject, uint32_t node)
{
    number_table_put(&s->subjects, subject,
                     (void *)(uintptr_t)node); // NOLINT(performance-no-int-to-ptr): as there
}

/* (B) One message for each subject: a dummy rather than a message, what is no reply rather than
 * one. */
static void populate(Subjects *s, uint32_t node, uint64_t subject)
{
    const Threads *t = s->t;
    if (!subject) return;
    uint32_t known = look_up(s, subject);
    bool better = known && !is_dummy(t, known) &&
                  (is_dummy(t, node) || (is_reply(t, known) && !is_reply(t, node)));
    if (!known || better) enter(s, subject, node);
}

/* (C) The thread goes, unless it is the one in the table; false: it stays. */
static bool merge_thread(Subjects *s, uint32_t node, uint64_t subject)
{
    Threads *t = s->t;
    uint32_t known = subject ? look_up(s, subject) : node;
    if (known == node) return false;
    if (is_dummy(t, known) && is_dummy(t, node)) {
        thread_move_children(t, node, known);
    } else if (is_dummy(t, known) || (is_reply(t, node) && !is_reply(t, known))) {
        thread_append(t, known, node);
    } else {
        uint32_t dummy = thread_node_new(t);
        thread_append(t, dummy, known);
        thread_append(t, dummy, node);
        enter(s, subject, dummy);
    }
    return true;
}

/* "Each child of the root", as step 4 left them. */
PARKS static void list_threads(Subjects *s)
{
    Threads *t = s->t;
    size_t count = thread_count_children(t, 0);
    s->threads = mem_new(array_bytes(count + 1, sizeof *s->threads));
    s->of = mem_new(array_bytes(count + 1, sizeof *s->of));
    number_table_reserve(&s->subjects, count);
    for (uint32_t c = t->nodes[0].first; c; c = t->nodes[c].next) {
        s->threads[s->count] = c;
        s->of[s->count++] = t->messages[thread_head(t, c)].subject;
        if (s->count % BREATH == 0) breathe();
    }
    t->nodes[0].first = t->nodes[0].last = 0;
}

/* Those that stayed, and the dummies made meanwhile, are the root's children again. A thread that
 * was in the table may have gone under a dummy: whoever is in the table for the subject stays. */
PARKS static void list_again(Subjects *s, const bool *gone)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t node = s->of[i] ? look_up(s, s->of[i]) : s->threads[i];
        if (!gone[i]) thread_append(s->t, 0, node);
        if (i % BREATH == 0) breathe();
    }
}

PARKS void thread_gather_subjects(Threads *t)
{
    Subjects s = {.t = t};
    list_threads(&s);
    bool *gone = mem_zero(s.count + 1);
    for (uint32_t i = 0; i < s.count; i++) {
        populate(&s, s.threads[i], s.of[i]);
        if (i % BREATH == 0) breathe();
    }
    for (uint32_t i = 0; i < s.count; i++) {
        gone[i] = merge_thread(&s, s.threads[i], s.of[i]);
        if (i % BREATH == 0) breathe();
    }
    list_again(&s, gone);
    number_table_done(&s.subjects);
    free(s.threads), free(s.of), free(gone);
}

/* ---- ORDEREDSUBJECT ---- */

static bool subject_is_before(const void *arg, uint32_t a, uint32_t b)
{
    const Threads *t = arg;
    uint64_t x = t->messages[a].subject, y = t->messages[b].subject;
    return x != y ? x < y : thread_is_before(t, a, b);
}

static uint32_t node_for(Threads *t, uint32_t message)
{
    uint32_t node = thread_node_new(t);
    t->nodes[node].message = message;
    return node;
}

/* "The messages are sorted by base subject and then by the sent date": any order of subjects will
 * do, as the threads are sorted by date afterwards. Whatever has been linked is forgotten. */
PARKS void thread_ordered_subject(Threads *t)
{
    uint32_t *rows = mem_new(array_bytes(t->count, sizeof *rows)), thread = 0;
    t->node_count = 0;
    for (uint32_t i = 0; i < t->count; i++)
        rows[i] = i + 1;
    merge_sort(rows, t->count, subject_is_before, t);
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t node = node_for(t, rows[i]);
        bool begins = !i || t->messages[rows[i]].subject != t->messages[rows[i - 1]].subject;
        if (begins) thread = node;
        thread_append(t, begins ? 0 : thread, node);
        if (i % BREATH == 0) breathe();
    }
    free(rows);
    thread_sort_children(t, 0);
}
