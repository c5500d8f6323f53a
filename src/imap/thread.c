/* THREAD, RFC 5256 3 and 4. */
#include "imap/thread.h"

static const struct {
    const char *word;
    ThreadAlgorithm algorithm;
} algorithms[] = {
    {"ORDEREDSUBJECT ", THREAD_ORDEREDSUBJECT},
    {"REFERENCES ",     THREAD_REFERENCES    },
    {"REFS ",           THREAD_REFS          },
};

bool thread_algorithm_of(Slice word, ThreadAlgorithm *algorithm)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        if (!slice_eq_nocase(word, slice_trim(slice_of(algorithms[i].word)))) continue;
        *algorithm = algorithms[i].algorithm;
        return true;
    }
    return false;
}

bool thread_see_algorithm(In *in, ThreadAlgorithm *algorithm)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        if (!imap_see(in, algorithms[i].word)) continue;
        *algorithm = algorithms[i].algorithm;
        return true;
    }
    return false;
}

/* ---- the answer ---- */

static uint32_t as_told(Imap *s, const Threads *t, const ThreadNode *n)
{
    uint32_t uid = t->messages[n->message].uid;
    return s->by_uid ? uid : view_number(s->view, uid);
}

static bool has_several(const ThreadNode *n)
{
    return n->first != n->last;
}

/* thread-list opens for every thread, and for every child of who has several; a single child goes
 * on in its parent's list. */
static void open_node(Imap *s, const Threads *t, uint32_t node, bool in_list)
{
    const ThreadNode *n = &t->nodes[node];
    Buf *out = stream_out(s->stream);
    buf_char(out, in_list ? ' ' : '(');
    if (n->message) buf_number(out, as_told(s, t, n));
    if (n->message && has_several(n)) buf_char(out, ' ');
}

/* Behind a node without children: the lists that end with it. Gives the next node. */
static uint32_t close_lists(Imap *s, const Threads *t, uint32_t node)
{
    Buf *out = stream_out(s->stream);
    buf_char(out, ')');
    while (node && !t->nodes[node].next) {
        node = t->nodes[node].parent;
        if (node && has_several(&t->nodes[node])) buf_char(out, ')');
    }
    return node ? t->nodes[node].next : 0;
}

/* thread-data = "THREAD" [SP 1*thread-list]; thread-list = "(" (thread-members / thread-nested)
 * ")"; thread-members = nz-number *(SP nz-number) [SP thread-nested]; thread-nested = 2*thread-list
 */
PARKS static void tell(Imap *s, const Threads *t)
{
    Buf *out = stream_out(s->stream);
    uint32_t node = threads_next(t, 0), told = 0;
    bool in_list = false;
    buf_add(out, node ? S("* THREAD ") : S("* THREAD"));
    while (node) {
        open_node(s, t, node, in_list);
        in_list = t->nodes[node].message && t->nodes[node].first && !has_several(&t->nodes[node]);
        node = t->nodes[node].first ? t->nodes[node].first : close_lists(s, t, node);
        if (stream_drain(s->stream)) return;
        if (++told % 64 == 0) breathe();
    }
    buf_add(out, S("\r\n"));
}

/* ---- the command ---- */

/* RFC 5256 5: thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria */
PARKS static Err thread(Imap *s, Search *search, Threads *t)
{
    ThreadAlgorithm algorithm = THREAD_REFERENCES;
    SearchFound found;
    imap_space(s->in);
    if (!thread_see_algorithm(s->in, &algorithm))
        imap_mistake(s->in, "Unknown threading algorithm");
    TRY(search_parse_criteria(s, search));

    if (search->uses_modseq)
        imap_use_condstore(s); /* RFC 7162 3.1.9: the response stays as it is */
    TRY(imap_within_limit(s, search->key));
    TRY(search_run(s, s->view, NULL, search->key, &found));
    TRY(thread_read(s, s->view, algorithm, &found.uids, t));
    tell(s, t);
    return OK;
}

Err imap_cmd_thread(Imap *s)
{
    Search search = {0};
    Threads threads = {0};
    Err err = thread(s, &search, &threads);
    threads_done(&threads);
    if (err) return search_failed(s, &search, err);
    return imap_ok(s, "THREAD completed");
}
