/* What threads are made of, from the summaries: RFC 5256 3. */
#include "imap/fetch.h"
#include "imap/sort.h"
#include "imap/thread.h"

enum { BREATH = 64 };

/* A keyed hash is enough: subjects are only asked whether they are the same. */
static uint64_t subject_hash(Slice folded)
{
    uint64_t hash = folded.len ? keyed_hash(folded) : 0;
    return folded.len && !hash ? 1 : hash;
}

typedef struct {
    Imap *s;
    View *view;
    ThreadAlgorithm algorithm;
    const UidSet *uids;
} Reading;

/* A message whose summary is lost is a thread of its own. */
PARKS static Err add(const Reading *r, const Message *m, Arena *a, Threads *t)
{
    MailSummary summary = {.sent_zone = INT16_MIN};
    if (section_summary(mailbox_account(view_mailbox(r->view)), m, false, a, &summary)) {
        if (run_is_cancelled()) return fail(ERR_CANCELLED, "stopping");
        summary = (MailSummary){.sent_zone = INT16_MIN};
    }
    ThreadMessage message = {.uid = m->uid, .arrival = m->date};
    message.sent = sort_sent_date(m, &summary);
    if (r->algorithm != THREAD_REFS && summary.envelope.len) {
        bool *is_reply = r->algorithm == THREAD_REFERENCES ? &message.is_reply : NULL;
        message.subject = subject_hash(sort_base_subject(r->s->comparator, &summary, a, is_reply));
    }
    if (r->algorithm == THREAD_ORDEREDSUBJECT) summary.message_id = summary.references = S("");
    threads_add(t, &message, summary.message_id, summary.references);
    return OK;
}

PARKS static Err gather(const Reading *r, Arena *a, Threads *t)
{
    uint64_t goal = uidset_size(r->uids);
    number_table_reserve(&t->ids, (size_t)MIN(goal, (uint64_t)view_exists(r->view)));
    for (uint32_t uid = 1; uid && uidset_next(r->uids, &uid); uid++) {
        Message m;
        bool gone;
        if (!view_next(r->view, uid, &m, NULL, &gone)) break;
        if (m.uid != uid) continue;
        TRY(add(r, &m, a, t));
        if (a->used) arena_reset(a);
        if (t->count % BREATH) continue;
        breathe();
        imap_in_progress(r->s, t->count, goal);
        if (stream_error(r->s->stream) || run_is_cancelled()) return fail(ERR_CANCELLED, "gone");
    }
    return OK;
}

PARKS Err thread_read(Imap *s, View *view, ThreadAlgorithm algorithm, const UidSet *uids,
                      Threads *out)
{
    Arena scratch arena_scoped = {0};
    Reading r = {s, view, algorithm, uids};
    *out = (Threads){0};
    TRY(gather(&r, &scratch, out));
    threads_build(out, algorithm);
    return OK;
}
