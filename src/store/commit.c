#include "store/model.h"

/* Numbers are handed out when a record is made and become visible when it is applied. When a commit
 * fails, the engine fails everything of the account that was handed over behind it; once nothing is
 * in flight the numbers go back to what is visible. They were never shown, so they may be used
 * again. */
static void numbers_anew(Account *a)
{
    a->failing = false;
    a->next_seq = a->h.seq + 1;
    a->next_eid = a->h.next_eid;
    a->next_mailbox = a->h.next_mailbox;
    a->next_uid_validity = a->h.next_uid_validity;
    for (uint32_t i = 0; i < a->box_count; i++)
        a->boxes[i]->next_uid = a->boxes[i]->s.uid_next;
    text_table_cut(&a->keywords, a->keywords.visible);
    text_table_cut(&a->prefixes, a->prefixes.visible);
}

static void unreserve(Change *c)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++) {
        c->account->pending[i] -= c->reserved[i];
        c->reserved[i] = 0;
    }
}

typedef Err Apply(Account *a, uint64_t seq, Slice record, BlobRef body);

static void finish(Change *c, Apply *apply)
{
    Commit *commit = &c->commit;
    Account *a = c->account;
    must(commit->err || a->broken || commit->seq == a->h.seq + 1);
    a->by = c->by;
    if (!commit->err && !a->broken)
        a->broken = apply(a, commit->seq, buf_slice(&c->record), commit->ref);
    a->by = NULL;
    a->in_flight--;
    unreserve(c);
    if (!commit->err) commit->err = a->broken;
    if (commit->err) a->failing = true;
    if (a->failing && !a->in_flight) numbers_anew(a);
    c->finished = true;
    cond_broadcast(&c->done);
    if (!a->in_flight) cond_broadcast(&a->quiet);
}

/* ---- what changes very much comes into memory in pieces ---- */

enum { MANY_MESSAGES = 4096, LONG_RECORD_KB = 64 };

static bool is_long(const Change *c)
{
    if (c->commit.err) return false;
    return c->touches > piece_of(MANY_MESSAGES) || c->record.len > piece_of(LONG_RECORD_KB) * 1024;
}

PARKS static void apply_waiting(void *arg)
{
    Account *a = arg;
    for (Change *c; (c = a->waiting);) {
        if (a->held) {
            cond_wait(&a->quiet, NEVER);
            continue;
        }
        a->waiting = c->next;
        finish(c, is_long(c) ? apply_in_pieces : apply_record);
    }
    a->in_pieces = false;
    cond_broadcast(&a->quiet);
    views_nudge_again(a);
    account_close(a);
}

/* Those behind a long one wait for it. For the checkpoint it is done: gather (fold.c) waits, too.
 */
static void apply_later(Change *c)
{
    Account *a = c->account;
    c->next = NULL;
    *(a->waiting ? &a->waiting_last->next : &a->waiting) = c;
    a->waiting_last = c;
    account_touch(a);
    if (a->in_pieces) return;
    a->in_pieces = true;
    account_ref(a);
    fiber_start("apply", apply_waiting, a);
}

static void committed(Commit *commit)
{
    Change *c = CONTAINER(commit, Change, commit);
    if (c->account->in_pieces || c->account->held || is_long(c))
        apply_later(c);
    else
        finish(c, apply_record);
}

static PARKS Err begin(Account *a, Change *c, bool alone, bool last)
{
    *c = (Change){.account = a, .by = fiber_current()};
    account_ref(a);
    while (a->alone || a->failing || a->in_pieces)
        cond_wait(&a->quiet, NEVER);
    if (alone) {
        c->alone = a->alone = true;
        while (a->in_flight)
            cond_wait(&a->quiet, NEVER);
    }
    if (a->broken) return fail(a->broken, "account %u is damaged", a->number);
    if (a->closing && !last) return fail(ERR_NOT_FOUND, "account %u is removed", a->number);
    record_begin(&c->record, (uint32_t)wall_seconds());
    return OK;
}

PARKS Err change_begin(Account *a, Change *c)
{
    return begin(a, c, false, false);
}

PARKS Err change_begin_alone(Account *a, Change *c)
{
    return begin(a, c, true, false);
}

PARKS Err change_begin_last(Account *a, Change *c)
{
    return begin(a, c, true, true);
}

void change_op(Change *c, const Op *op, const OpLists *lists)
{
    if (lists && lists->uids) c->touches += uidset_size(lists->uids);
    const Box *b = op->kind == OP_DELETE ? box_by_id(c->account, op->mailbox) : NULL;
    if (b) c->touches += b->s.exists;
    record_op(&c->record, op, lists);
}

Err change_reserve_one(Change *c, QuotaResource resource, uint64_t amount)
{
    Account *a = c->account;
    Quota q = account_quota(a);
    uint64_t used = q.used[resource] + a->pending[resource], limit = q.limit[resource];
    bool over = used > limit || amount > limit - used;
    if (amount && over && !PLANTED("quota_passed"))
        return fail(ERR_OVER_QUOTA, "%llu %s more, %llu of %llu used", (unsigned long long)amount,
                    quota_word(resource), (unsigned long long)used, (unsigned long long)limit);
    c->reserved[resource] += amount, a->pending[resource] += amount;
    return OK;
}

Err change_reserve(Change *c, uint64_t octets, uint64_t messages)
{
    TRY(change_reserve_one(c, QUOTA_STORAGE, octets));
    return change_reserve_one(c, QUOTA_MESSAGE, messages);
}

void change_send(Change *c)
{
    Account *a = c->account;
    c->commit.acct = a->number;
    c->commit.seq = a->next_seq++;
    c->commit.record = buf_slice(&c->record);
    c->commit.loop = a->home->loop;
    c->commit.done = committed;
    a->in_flight++;
    c->sent = true;
    engine_commit(a->store->engine, &c->commit);
}

PARKS Err change_wait(Change *c)
{
    while (!c->finished)
        cond_wait(&c->done, NEVER);
    if (c->commit.err) return fail(c->commit.err, "the change could not be stored");
    return OK;
}

PARKS Err change_commit(Change *c)
{
    change_send(c);
    return change_wait(c);
}

uint64_t change_seq(const Change *c)
{
    return c->commit.seq;
}

void change_done(Change *c)
{
    if (!c->account) return;
    must(!c->sent || c->finished);
    if (!c->sent) unreserve(c);
    if (c->alone) {
        c->account->alone = false;
        cond_broadcast(&c->account->quiet);
    }
    account_close(c->account);
    buf_done(&c->record);
    *c = (Change){0};
}
