#include "store/workload_step.h"

#include "store/draft.h"

/* Operations on messages. */

PARKS void op_append(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    if (b->count == WORK_MESSAGES) return;
    Buf body buf_scoped = {0};
    uint32_t number = step_any_body(t), uid = 0;
    work_body(&body, number);
    if (!client_below(t->c, 8))
        b->uid_next += client_below(t->c, 4); /* an import that keeps its UIDs */
    bool import = b->uid_next != t->u->acked.boxes[b - t->s->boxes].uid_next;
    WorkMessage like = step_any_message(t, buf_slice(&body), number);
    WorkMessage *m = model_add(b, &like);
    DraftPlace place = step_place(t, m);
    if (import) place.uid = m->uid;
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    Draft *draft scoped(draft) = step_draft(t, buf_slice(&body));
    if (t->c->stopped) return;
    step_begins(t, "append of %u as %u into %s", number, m->uid, b->name);
    Err err = draft_commit(draft, box, &place, &uid);
    if (!err && uid != m->uid) work_failed(t->w, "%s got uid %u", t->u->what, uid);
    step_ends(t, err);
}

/* All at once, or one after the other, the bodies of some in the log before the rest comes. */
static PARKS Err append_many(Step *t, Mailbox *box, Draft **drafts, const DraftPlace *places,
                             size_t count, uint32_t *uids)
{
    Drafts *all scoped(drafts) = NULL;
    if (client_below(t->c, 2)) return draft_commit_many(drafts, count, box, places, uids);
    TRY(drafts_begin(box, &all));
    for (size_t i = 0; i < count; i++) {
        Draft *d = drafts[i];
        drafts[i] = NULL;
        TRY(drafts_add(all, d, &places[i]));
        if (!client_below(t->c, 3)) TRY(drafts_spool(all));
    }
    return drafts_commit(all, uids);
}

PARKS void op_append_many(Step *t)
{
    enum { MANY = 4 };
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    if (b->count + MANY > WORK_MESSAGES) return;
    Draft *drafts[MANY];
    DraftPlace places[MANY];
    uint32_t uids[MANY], first = b->uid_next;
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    for (unsigned i = 0; i < MANY; i++) {
        Buf body buf_scoped = {0};
        uint32_t number = step_any_body(t);
        work_body(&body, number);
        WorkMessage like = step_any_message(t, buf_slice(&body), number);
        places[i] = step_place(t, model_add(b, &like));
        drafts[i] = step_draft(t, buf_slice(&body));
    }
    bool begins = !t->c->stopped;
    if (begins) step_begins(t, "append of %u from %u into %s", MANY, first, b->name);
    Err err = begins ? append_many(t, box, drafts, places, MANY, uids) : ERR_IO;
    for (unsigned i = 0; i < MANY; i++) {
        if (!err && uids[i] != first + i) work_failed(t->w, "%s got uid %u", t->u->what, uids[i]);
        draft_free(drafts[i]);
    }
    if (begins) step_ends(t, err);
}

/* Given up when some bodies are in the log already: nothing has changed. */
PARKS void op_append_abandoned(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    Drafts *all scoped(drafts) = NULL;
    if (t->c->stopped) return;
    step_begins(t, "append into %s that is given up", b->name);
    Err err = drafts_begin(box, &all);
    for (unsigned i = 0; i < 2 && !err; i++) {
        Buf body buf_scoped = {0};
        uint32_t number = step_any_body(t);
        work_body(&body, number);
        WorkMessage like = step_any_message(t, buf_slice(&body), number);
        DraftPlace place = step_place(t, &like);
        Draft *draft = step_draft(t, buf_slice(&body));
        err = draft ? drafts_add(all, draft, &place) : ERR_IO;
        if (!err) err = drafts_spool(all);
    }
    drafts_free(all);
    all = NULL;
    step_ends(t, err);
}

PARKS void op_replace(Step *t)
{
    unsigned from = step_any_box(t), into = step_any_box(t);
    WorkBox *b = &t->s->boxes[from], *to = &t->s->boxes[into];
    if (!b->count || to->count == WORK_MESSAGES || step_place_is_full(t, b)) return;
    Buf body buf_scoped = {0};
    uint32_t number = step_any_body(t), uid = 0,
             old = b->messages[client_below(t->c, b->count)].uid;
    work_body(&body, number);
    WorkMessage like = step_any_message(t, buf_slice(&body), number);
    WorkMessage *m = model_add(to, &like);
    DraftPlace place = step_place(t, m);
    uint32_t wanted = m->uid;
    UidRange one = {old, old};
    model_expunge(t, b, &(UidSet){.ranges = &one, .count = 1}, t->u->policy == WORK_KEEP);
    Mailbox *box scoped(mailbox) = step_open(t, from), *target scoped(mailbox) = step_open(t, into);
    Draft *draft scoped(draft) = step_draft(t, buf_slice(&body));
    if (t->c->stopped) return;
    step_begins(t, "%u in place of %u of %s into %s", number, old, b->name, to->name);
    Err err = draft_replace(draft, target, &place, box, old, &uid);
    if (!err && uid != wanted) work_failed(t->w, "%s got uid %u", t->u->what, uid);
    step_ends(t, err);
}

/* deleted=trash: what gets \Deleted and changes by it goes at once. */
static bool goes_to_trash(const Step *t, const FlagChange *change)
{
    return t->u->policy == WORK_TRASH && change->how != CHANGE_REMOVE &&
           change->flags & FLAG_DELETED;
}

static void model_change(WorkMessage *m, const FlagChange *change, uint8_t words_set)
{
    if (change->how == CHANGE_REPLACE) m->flags = change->flags, m->keywords = words_set;
    if (change->how == CHANGE_ADD) m->flags |= change->flags, m->keywords |= words_set;
    if (change->how == CHANGE_REMOVE)
        m->flags &= (uint8_t)~change->flags, m->keywords &= (uint8_t)~words_set;
    m->modseq = 0;
}

PARKS void op_change(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    if (step_place_is_full(t, b)) return;
    UidSet uids = step_some_uids(t, b, 2), modified = {0}, wanted = {0}, changed = {0};
    uint8_t set = client_below(t->c, 2) ? (uint8_t)client_below(t->c, 1 << WORK_KEYWORDS) : 0;
    FlagChange change = {.how = (ChangeHow)client_below(t->c, 3),
                         .flags = (uint8_t)client_below(t->c, 32),
                         .keywords = step_keywords(t, set)};
    uint64_t since = b->count ? b->messages[client_below(t->c, b->count)].modseq : 0, modseq = 0;
    if (!client_below(t->c, 3)) change.unchanged_since = &since;
    for (uint32_t i = 0; i < b->count; i++) {
        WorkMessage *m = &b->messages[i];
        if (!uidset_has(&uids, m->uid)) continue;
        if (change.unchanged_since && m->modseq > since) {
            uidset_add(&t->arena, &wanted, m->uid, m->uid);
            continue;
        }
        WorkMessage was = *m;
        model_change(m, &change, set);
        if (was.flags != m->flags || was.keywords != m->keywords)
            uidset_add(&t->arena, &changed, m->uid, m->uid);
    }
    if (goes_to_trash(t, &change)) model_expunge(t, b, &changed, true);
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    if (t->c->stopped) return;
    step_begins(t, "flags %u of %s to %u/%u", change.how, b->name, change.flags, set);
    Err err = mailbox_change(box, &uids, &change, &t->arena, &modified, &modseq);
    if (!err) step_check_set(t, "modified", &modified, &wanted);
    step_ends(t, err);
}

PARKS void op_note(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    UidSet uids = step_some_uids(t, b, 2);
    uint8_t note = (uint8_t)client_below(t->c, WORK_NOTES);
    uint64_t modseq = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        WorkMessage *m = &b->messages[i];
        if (!uidset_has(&uids, m->uid) || m->note == note) continue;
        m->note = note;
        m->modseq = 0;
    }
    Annotations set = step_notes(t, note);
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    if (t->c->stopped) return;
    step_begins(t, "annotation %u of messages of %s", note, b->name);
    step_ends(t, mailbox_annotate_messages(box, &uids, &set, NULL, &t->arena, NULL, &modseq));
}

static void model_transfer(Step *t, WorkBox *b, WorkBox *to, const UidSet *uids, bool move,
                           CopyResult *wanted)
{
    uint32_t count = b->count; /* to may be b */
    for (uint32_t i = 0; i < count; i++) {
        WorkMessage m = b->messages[i];
        if (!uidset_has(uids, m.uid)) continue;
        uidset_add(&t->arena, &wanted->source, m.uid, m.uid);
        uint32_t uid = model_add(to, &m)->uid;
        uidset_add(&t->arena, &wanted->copies, uid, uid);
    }
    if (move) model_expunge(t, b, &wanted->source, false);
}

static PARKS void transfer(Step *t, bool move)
{
    unsigned from = step_any_box(t), into = step_any_box(t);
    WorkBox *b = &t->s->boxes[from], *to = &t->s->boxes[into];
    UidSet uids = step_some_uids(t, b, 3);
    CopyResult got = {0}, wanted = {0};
    if ((move && from == into) || to->count + b->count > WORK_MESSAGES) return;
    model_transfer(t, b, to, &uids, move, &wanted);
    Mailbox *box scoped(mailbox) = step_open(t, from), *target scoped(mailbox) = step_open(t, into);
    if (t->c->stopped) return;
    step_begins(t, "%s from %s to %s", move ? "move" : "copy", b->name, to->name);
    Err err = move ? mailbox_move(box, &uids, target, &t->arena, &got)
                   : mailbox_copy(box, &uids, target, &t->arena, &got);
    if (!err) {
        step_check_set(t, "source", &got.source, &wanted.source);
        step_check_set(t, "copies", &got.copies, &wanted.copies);
    }
    step_ends(t, err);
}

PARKS void op_copy(Step *t)
{
    transfer(t, false);
}

PARKS void op_move(Step *t)
{
    transfer(t, true);
}

PARKS void op_expunge(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    if (step_place_is_full(t, b)) return;
    UidSet uids = step_some_uids(t, b, 2), got = {0}, wanted = {0};
    bool all = !client_below(t->c, 3), even_undeleted = !all && client_below(t->c, 2);
    for (uint32_t i = 0; i < b->count; i++) {
        const WorkMessage *m = &b->messages[i];
        if ((all || uidset_has(&uids, m->uid)) && (even_undeleted || m->flags & FLAG_DELETED))
            uidset_add(&t->arena, &wanted, m->uid, m->uid);
    }
    model_expunge(t, b, &wanted, t->u->policy != WORK_GONE_AT_ONCE);
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    if (t->c->stopped) return;
    step_begins(t, "expunge in %s", b->name);
    Err err = mailbox_expunge(box, all ? NULL : &uids, even_undeleted, &t->arena, &got);
    if (!err) step_check_set(t, "expunged", &got, &wanted);
    step_ends(t, err);
}

/* ---- delivery to several accounts ---- */

typedef struct {
    Step step;
    Delivery *delivery;
} Received;

static PARKS void received(void *arg)
{
    Received *r = arg;
    Step *t = &r->step;
    Err err = account_open(t->store, t->u->acct, &t->account);
    if (err && work_may_fail(t->w, err)) {
        t->c->stopped = true;
        return;
    }
    if (err) work_failed(t->w, "account %u: %s", t->u->acct, err_story());
    uint32_t uid = t->s->boxes[0].messages[t->s->boxes[0].count - 1].uid;
    if (!r->delivery->err && r->delivery->uid != uid)
        work_failed(t->w, "%s got uid %u", t->u->what, r->delivery->uid);
    step_ends(t, r->delivery->err);
    account_close(t->account);
}

/* One message to the first mailbox of some units. */
PARKS void op_deliver(WorkWorld *w, Client *c, Store *store)
{
    Received all[WORK_ACCOUNTS];
    Delivery deliveries[WORK_ACCOUNTS];
    Buf body buf_scoped = {0};
    Step any = {.w = w, .c = c, .store = store};
    size_t count = 0;
    uint32_t number = step_any_body(&any);
    work_body(&body, number);
    for (unsigned i = 0; i < WORK_ACCOUNTS; i++) {
        if (!client_below(c, 3) || c->units[i].acked.boxes[0].count == WORK_MESSAGES) continue;
        Step *t = &all[count].step;
        *t = step_of(w, c, store, i);
        WorkMessage like = step_any_message(t, buf_slice(&body), number);
        DraftPlace place = step_place(t, model_add(&t->s->boxes[0], &like));
        deliveries[count] =
            (Delivery){.acct = t->u->acct, .mailbox = slice_of(t->s->boxes[0].name)};
        deliveries[count].place = place;
        all[count].delivery = &deliveries[count];
        count++;
    }
    Draft *draft scoped(draft) = step_draft(&any, buf_slice(&body));
    for (size_t i = 0; i < count && draft; i++)
        step_begins(&all[i].step, "delivery of %u to %zu", number, count);
    if (count && draft) draft_deliver(draft, deliveries, count);
    for (size_t i = 0; i < count; i++) {
        all[i].step.u->answered = draft && !deliveries[i].err;
        if (draft) loop_call(store_home(store, deliveries[i].acct), received, &all[i]);
        arena_done(&all[i].step.arena);
    }
}
