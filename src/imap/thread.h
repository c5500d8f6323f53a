#pragma once
/* THREAD, RFC 5256 3 and draft-ietf-morg-inthread 4: linking messages into trees (thread_link.c,
 * thread_build.c, thread_subject.c), reading what that takes (thread_read.c), telling it
 * (thread.c).
 *
 * Vocabulary: a node stands for a Message-ID; its message is the one of that id, or it is a dummy.
 * Node 0 is the root: its children are the threads. Trees are walked along their links: no
 * recursion, and no stack that mail could make grow. Messages are counted from 1 in mailbox order.
 */
#include "base/table.h"
#include "imap/search.h"

typedef enum { THREAD_REFS, THREAD_REFERENCES, THREAD_ORDEREDSUBJECT } ThreadAlgorithm;

typedef struct {
    int64_t sent;     /* RFC 5256 2.2 */
    uint64_t subject; /* keyed hash of the base subject, folded; 0: empty */
    uint32_t uid;
    uint32_t arrival; /* INTERNALDATE */
    bool is_reply;    /* or a forward, as extracting the base subject says */
} ThreadMessage;

typedef struct {
    uint32_t message;     /* 0: a dummy */
    uint32_t parent;      /* 0: the root */
    uint32_t kids;        /* while linking: how many nodes have it as their parent */
    uint32_t first, last; /* children, once built; 0: none */
    uint32_t next;        /* the next one with the same parent; 0: none */
} ThreadNode;

/* {0} is valid. Memory: 32 octets a message, 24 a node, and 21 to 43 for its id, while it is built
 * 12 more: 1,000,000 messages take 115 MB, and at most 500 MB whatever their References say. */
typedef struct {
    ThreadMessage *messages; /* from 1 */
    ThreadNode *nodes;
    uint32_t count, room;           /* messages */
    uint32_t node_count, node_room; /* with the root */
    NumberTable ids;                /* keyed hash of a Message-ID to its node */
    uint64_t steps_left;            /* up the trees, looking for loops */
} Threads;
void threads_done(Threads *t);

/* Step 1 of REFERENCES for the next message in mailbox order: its id and references (MailSummary).
 */
void threads_add(Threads *t, const ThreadMessage *m, Slice message_id, Slice references);
/* The rest of that algorithm. Afterwards parent, first, last and next of all nodes are as they are
 * to be told. */
PARKS void threads_build(Threads *t, ThreadAlgorithm algorithm);

/* For every message, from 1: the node of the thread it is in (a child of the root). Needs a build.
 */
PARKS void threads_mark(const Threads *t, uint32_t *thread_of_message);
/* The next node, parents before children, siblings in order; begin and end with 0. */
uint32_t threads_next(const Threads *t, uint32_t node);

/* The messages of the view with these UIDs, threaded. ERR_CANCELLED. */
PARKS Err thread_read(Imap *s, View *view, ThreadAlgorithm algorithm, const UidSet *uids,
                      Threads *out) MUST_USE;
bool thread_algorithm_of(Slice word, ThreadAlgorithm *algorithm);
/* thread-alg and SP: false, and nothing taken, when there is none that we know. */
bool thread_see_algorithm(In *in, ThreadAlgorithm *algorithm);

/* ---- inside ---- */
uint32_t thread_node_new(Threads *t);
/* Puts a node that is in no list behind the children of `parent`. */
void thread_append(Threads *t, uint32_t parent, uint32_t node);
/* Gives the children of a node to another one. */
void thread_move_children(Threads *t, uint32_t from, uint32_t to);
/* The message that a child of the root goes by: its own, or its first child's (by sent date). */
PARKS uint32_t thread_head(const Threads *t, uint32_t node);
PARKS uint32_t thread_count_children(const Threads *t, uint32_t parent);
/* RFC 5256 2.2: by sent date, then in mailbox order. */
bool thread_is_before(const Threads *t, uint32_t message, uint32_t other);
PARKS void thread_sort_children(Threads *t, uint32_t parent);
PARKS void thread_gather_subjects(Threads *t); /* step 5 */
PARKS void thread_ordered_subject(Threads *t);
