/* Search keys about threads: INTHREAD, THREADROOT, THREADLEAF, draft-ietf-morg-inthread 3. They ask
 * about other messages than the one, so they are answered for the whole mailbox before the search,
 * and are sets then. */
#include "imap/search.h"
#include "imap/thread.h"

#include <stdlib.h>

enum { BREATH = 4096 };

typedef struct {
    bool is_built;
    Threads threads;
    bool *wanted; /* one for each message and one for each node, cleared for every key */
    uint32_t *thread_of;
} Threaded;

typedef struct {
    Imap *s;
    View *view;
    Threaded by[3]; /* algorithm */
} Keys;

static bool asks_threads(const SearchKey *key)
{
    return key->type == KEY_INTHREAD || key->type == KEY_THREADROOT || key->type == KEY_THREADLEAF;
}

/* ---- the threads of the mailbox ---- */

PARKS static UidSet everything(Keys *k)
{
    UidSet all = {0};
    Message m;
    bool gone;
    for (uint32_t uid = 1; uid && view_next(k->view, uid, &m, NULL, &gone); uid = m.uid + 1) {
        if (!gone) uidset_add(&k->s->arena, &all, m.uid, m.uid);
        breathe();
    }
    return all;
}

PARKS static Err build(Keys *k, ThreadAlgorithm algorithm, Threaded *t)
{
    if (t->is_built) return OK;
    UidSet all = everything(k);
    TRY(thread_read(k->s, k->view, algorithm, &all, &t->threads));
    t->is_built = true;
    t->wanted = mem_zero(t->threads.count + 1 + t->threads.node_count);
    t->thread_of = mem_zero(array_bytes(t->threads.count + 1, sizeof *t->thread_of));
    threads_mark(&t->threads, t->thread_of);
    return OK;
}

static void threaded_done(Threaded *t)
{
    threads_done(&t->threads);
    free(t->wanted);
    free(t->thread_of);
}

/* ---- the keys ---- */

/* "Matches a message if its subsidiary search-key matches at least one message in the same thread."
 */
PARKS static Err in_thread(Keys *k, SearchKey *key, Threaded *t)
{
    SearchFound found;
    TRY(search_run(k->s, k->view, NULL, key->child, &found));
    const Threads *threads = &t->threads;
    bool *has_one = t->wanted + threads->count + 1;
    for (uint32_t i = 1; i <= threads->count; i++) {
        if (uidset_has(&found.uids, threads->messages[i].uid)) has_one[t->thread_of[i]] = true;
        if (i % BREATH == 0) breathe();
    }
    for (uint32_t i = 1; i <= threads->count; i++)
        t->wanted[i] = has_one[t->thread_of[i]];
    return OK;
}

/* "Does not have any extant parent", "no extant children in the same mailbox": dummies do not
 * count. */
PARKS static void ends(const SearchKey *key, Threaded *t)
{
    uint32_t seen = 0;
    const Threads *threads = &t->threads;
    for (uint32_t n = threads_next(threads, 0); n; n = threads_next(threads, n)) {
        const ThreadNode *node = &threads->nodes[n];
        bool is_root = !node->parent || !threads->nodes[node->parent].message;
        t->wanted[node->message] = key->type == KEY_THREADROOT ? is_root : !node->first;
        if (++seen % BREATH == 0) breathe();
    }
}

PARKS static Err answer(Keys *k, SearchKey *key)
{
    Threaded *t = &k->by[key->number];
    TRY(build(k, (ThreadAlgorithm)key->number, t));
    memset(t->wanted, 0, t->threads.count + 1 + t->threads.node_count);
    if (key->type == KEY_INTHREAD)
        TRY(in_thread(k, key, t));
    else
        ends(key, t);
    key->uids = (UidSet){0};
    for (uint32_t i = 1; i <= t->threads.count; i++)
        if (t->wanted[i])
            uidset_add(&k->s->arena, &key->uids, t->threads.messages[i].uid,
                       t->threads.messages[i].uid);
    return OK;
}

/* Depth is bounded by the parser. What is below INTHREAD is looked up when it is searched for. */
PARKS static Err look_up(Keys *k, SearchKey *key)
{
    if (asks_threads(key)) return answer(k, key);
    for (SearchKey *c = key->child; c; c = c->next)
        TRY(look_up(k, c));
    return OK;
}

bool search_asks_threads(const SearchKey *key)
{
    bool asks = asks_threads(key);
    for (const SearchKey *c = key->child; c && !asks; c = c->next)
        asks = search_asks_threads(c);
    return asks;
}

PARKS Err search_look_up_threads(Imap *s, View *view, SearchKey *key)
{
    if (!search_asks_threads(key)) return OK;
    Keys k = {.s = s, .view = view};
    Err err = look_up(&k, key);
    for (size_t i = 0; i < COUNT(k.by); i++)
        threaded_done(&k.by[i]);
    return err;
}
