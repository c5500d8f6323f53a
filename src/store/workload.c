#include "store/workload.h"

#include "store/draft.h"

#include <stdio.h>
#include <stdlib.h>

static const Slice keywords[WORK_KEYWORDS] = {S("$Forwarded"), S("Work"), S("todo"), S("$Junk"),
                                              S("Later")};
static const Slice prefixes[] = {S(""), S("Delivered-To: a@example.org\r\n"),
                                 S("Return-Path: <>\r\nDelivered-To: bb@example.org\r\n")};
static const char *const words[] = {"store", "Mail",  "\xc3\xa4rger", "never",
                                    "lost",  "twice", "half"};

_Noreturn void work_failed(const WorkWorld *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "seed %llu: ", (unsigned long long)w->seed);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    _Exit(3);
}

uint64_t work_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(Client *c, uint32_t n)
{
    return n ? (uint32_t)(work_random(&c->random) % n) : 0;
}

Slice work_note(Arena *a, unsigned note)
{
    if (!note) return (Slice){0};
    size_t len = note * 397; /* the largest is longer than a page */
    char *text = arena_alloc(a, len);
    memset(text, (int)('a' + note), len);
    return slice(text, len);
}

Slice work_keyword(unsigned i)
{
    return keywords[i];
}

Slice work_prefix(unsigned number)
{
    return prefixes[number];
}

/* The lowest bits say how long it is; the same number always gives the same message. */
void work_body(Buf *out, uint32_t body)
{
    uint64_t r = body;
    size_t lines = body % 64 == 63 ? 40000 : body % 16 == 15 ? 400 : body % 16;
    buf_printf(out, "From: \"S %u\" <s%u@example.org>\r\nTo: u@example.org\r\n", body, body % 9);
    buf_printf(out, "Subject: number %u\r\nMessage-ID: <%u@example.org>\r\n\r\n", body % 100, body);
    for (size_t i = 0; i < lines; i++) {
        uint64_t n = work_random(&r);
        buf_printf(out, "%s %llx %s\r\n", words[n % COUNT(words)], (unsigned long long)n,
                   words[n / 8 % COUNT(words)]);
    }
}

WorkMessage *work_message(WorkBox *b, uint32_t uid)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->messages[i].uid == uid) return &b->messages[i];
    return NULL;
}

/* ---- what operations do to the model ---- */

static WorkMessage *model_add(WorkBox *b, const WorkMessage *like)
{
    WorkMessage *m = &b->messages[b->count++];
    *m = *like;
    m->uid = b->uid_next++;
    m->modseq = 0;
    return m;
}

static void model_remove(WorkBox *b, uint32_t uid)
{
    WorkMessage *m = work_message(b, uid);
    if (b->gone_count == WORK_GONE)
        memmove(b->gone, b->gone + 1, --b->gone_count * sizeof *b->gone);
    b->gone[b->gone_count++] = (WorkGone){.uid = uid};
    memmove(m, m + 1, (size_t)(b->messages + b->count - m - 1) * sizeof *m);
    b->count--;
}

/* ---- one operation of one unit, on the account's home loop ---- */

typedef struct {
    WorkWorld *w;
    Client *c;
    Store *store;
    Unit *u;
    WorkState *s; /* u->pending */
    Account *account;
    Arena arena;
} Step;

static void in_flight(Step *t, const char *fmt, ...) PRINTF(2, 3);
static void in_flight(Step *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(t->u->what, sizeof t->u->what, fmt, args);
    va_end(args);
    t->u->in_flight = true;
}

static bool may_fail(const WorkWorld *w, Err err)
{
    return w->may_fail && (err == ERR_IO || err == ERR_DISK_FULL || err == ERR_READ_ONLY);
}

static PARKS void answered(Step *t, Err err)
{
    Unit *u = t->u;
    Buf why buf_scoped = {0};
    if (err && may_fail(t->w, err)) {
        t->c->stopped = true;
        return;
    }
    if (err)
        work_failed(t->w, "client %u, account %u: %s: %s (%s)", u->client, u->acct, u->what,
                    err_name(err), err_story());
    u->answered = true;
    if (!state_compare(t->w, u, t->account, &u->acked, &u->pending, false, &why))
        work_failed(t->w, "client %u, account %u: after %s: %.*s", u->client, u->acct, u->what,
                    SP(buf_slice(&why)));
    u->acked = u->pending;
    u->in_flight = u->answered = false;
}

static PARKS Mailbox *open_box(Step *t, unsigned box)
{
    Mailbox *m = NULL;
    Slice name = slice_of(t->s->boxes[box].name);
    Err err = mailbox_open(t->account, t->u->acct, name, &m);
    if (err) work_failed(t->w, "cannot open %.*s: %s", SP(name), err_story());
    return m;
}

static unsigned any_box(Step *t)
{
    for (;;) {
        unsigned box = below(t->c, WORK_BOXES);
        if (t->s->boxes[box].exists) return box;
    }
}

/* Another copy than those that go; of several that go the last one stands for all. */
static bool model_has_copy(const Step *t, const WorkBox *b, const WorkMessage *m,
                           const UidSet *doomed)
{
    for (unsigned i = 0; i < WORK_BOXES; i++) {
        const WorkBox *other = &t->s->boxes[i];
        for (uint32_t k = 0; k < other->count; k++) {
            const WorkMessage *o = &other->messages[k];
            if (o->email != m->email) continue;
            if (other != b || !uidset_has(doomed, o->uid) || o->uid > m->uid) return true;
        }
    }
    return false;
}

static void model_keep(Step *t, const WorkBox *b, const WorkMessage *m)
{
    WorkKept *k = &t->s->kept[t->s->kept_count++];
    *k = (WorkKept){.message = *m, .origin = b->id};
    k->message.flags &= (uint8_t)~FLAG_DELETED;
    memcpy(k->name, b->name, sizeof k->name);
}

static void model_expunge(Step *t, WorkBox *b, const UidSet *doomed, bool to_place)
{
    uint32_t uid;
    for (uid = 0; to_place && uidset_next(doomed, &uid); uid++) {
        const WorkMessage *m = work_message(b, uid);
        if (!model_has_copy(t, b, m, doomed)) model_keep(t, b, m);
    }
    for (uid = 0; uidset_next(doomed, &uid); uid++)
        model_remove(b, uid);
}

static bool place_is_full(const Step *t, const WorkBox *b)
{
    return t->s->kept_count + b->count > WORK_KEPT;
}

/* Some of the messages; now and then a uid that is not there. */
static UidSet some_uids(Step *t, const WorkBox *b, unsigned one_in)
{
    UidSet uids = {0};
    for (uint32_t i = 0; i < b->count; i++)
        if (!below(t->c, one_in))
            uidset_add(&t->arena, &uids, b->messages[i].uid, b->messages[i].uid);
    if (!below(t->c, 5)) uidset_add(&t->arena, &uids, b->uid_next + 3, b->uid_next + 9);
    if (!below(t->c, 9)) uidset_add(&t->arena, &uids, 1, b->uid_next - 1);
    return uids;
}

static Keywords keywords_of(Step *t, uint8_t set)
{
    Slice *names = arena_array(&t->arena, Slice, WORK_KEYWORDS);
    size_t count = 0;
    for (unsigned i = 0; i < WORK_KEYWORDS; i++)
        if (set >> i & 1) names[count++] = keywords[i];
    return (Keywords){names, count};
}

static void check_set(Step *t, const char *what, const UidSet *got, const UidSet *wanted)
{
    Buf a buf_scoped = {0}, b buf_scoped = {0};
    uidset_print(&a, got);
    uidset_print(&b, wanted);
    if (!slice_eq(buf_slice(&a), buf_slice(&b)))
        work_failed(t->w, "%s: %s is \"%.*s\", not \"%.*s\"", t->u->what, what, SP(buf_slice(&a)),
                    SP(buf_slice(&b)));
}

static uint32_t any_body(Step *t)
{
    uint32_t body = below(t->c, 1 << 20);
    if (body % 64 == 63 && !(t->w->big && !below(t->c, 4))) body--;
    return body;
}

static WorkMessage any_message(Step *t, Slice body, uint32_t number)
{
    WorkMessage m = {.body = number, .date = 1700000000 + below(t->c, 1000000)};
    m.email = ++t->s->emails;
    m.flags = (uint8_t)below(t->c, 32);
    m.keywords = below(t->c, 2) ? (uint8_t)below(t->c, 1 << WORK_KEYWORDS) : 0;
    m.prefix = (uint8_t)below(t->c, COUNT(prefixes));
    m.note = below(t->c, 3) ? 0 : (uint8_t)below(t->c, WORK_NOTES);
    m.size = (uint32_t)(body.len + prefixes[m.prefix].len);
    return m;
}

/* Private ones of odd numbers, shared ones of even: setting the one takes the other away. */
static Annotations notes_of(Step *t, unsigned note)
{
    Annotations set = {.list = arena_array(&t->arena, Annotation, 2), .count = 2};
    for (unsigned shared = 0; shared < 2; shared++)
        set.list[shared] = (Annotation){
            S("/comment"), work_note(&t->arena, note % 2 != shared ? note : 0), shared};
    return set;
}

static DraftPlace place_of(Step *t, const WorkMessage *m)
{
    return (DraftPlace){.annotations = notes_of(t, m->note),
                        .flags = m->flags,
                        .keywords = keywords_of(t, m->keywords),
                        .date = m->date,
                        .prefix = prefixes[m->prefix]};
}

static PARKS Draft *draft_of(Step *t, Slice body)
{
    Draft *d = NULL;
    Err err = draft_begin(t->store, below(t->c, 2) ? body.len : 0, &d);
    for (size_t at = 0; !err && at < body.len;) {
        Slice piece = slice_first(slice_from(body, at), 1 + below(t->c, 70000));
        err = draft_write(d, piece);
        at += piece.len;
    }
    if (err) work_failed(t->w, "draft: %s", err_story());
    return d;
}

static PARKS void op_append(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    if (b->count == WORK_MESSAGES) return;
    Buf body buf_scoped = {0};
    uint32_t number = any_body(t), uid = 0;
    work_body(&body, number);
    if (!below(t->c, 8)) b->uid_next += below(t->c, 4); /* an import that keeps its UIDs */
    bool import = b->uid_next != t->u->acked.boxes[b - t->s->boxes].uid_next;
    WorkMessage like = any_message(t, buf_slice(&body), number);
    WorkMessage *m = model_add(b, &like);
    DraftPlace place = place_of(t, m);
    if (import) place.uid = m->uid;
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    Draft *draft scoped(draft) = draft_of(t, buf_slice(&body));
    in_flight(t, "append of %u as %u into %s", number, m->uid, b->name);
    Err err = draft_commit(draft, box, &place, &uid);
    if (!err && uid != m->uid) work_failed(t->w, "%s got uid %u", t->u->what, uid);
    answered(t, err);
}

/* All at once, or one after the other, the bodies of some in the log before the rest comes. */
static PARKS Err append_many(Step *t, Mailbox *box, Draft **drafts, const DraftPlace *places,
                             size_t count, uint32_t *uids)
{
    Drafts *all scoped(drafts) = NULL;
    if (below(t->c, 2)) return draft_commit_many(drafts, count, box, places, uids);
    TRY(drafts_begin(box, &all));
    for (size_t i = 0; i < count; i++) {
        Draft *d = drafts[i];
        drafts[i] = NULL;
        TRY(drafts_add(all, d, &places[i]));
        if (!below(t->c, 3)) TRY(drafts_spool(all));
    }
    return drafts_commit(all, uids);
}

static PARKS void op_append_many(Step *t)
{
    enum { MANY = 4 };
    WorkBox *b = &t->s->boxes[any_box(t)];
    if (b->count + MANY > WORK_MESSAGES) return;
    Draft *drafts[MANY];
    DraftPlace places[MANY];
    uint32_t uids[MANY], first = b->uid_next;
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    for (unsigned i = 0; i < MANY; i++) {
        Buf body buf_scoped = {0};
        uint32_t number = any_body(t);
        work_body(&body, number);
        WorkMessage like = any_message(t, buf_slice(&body), number);
        places[i] = place_of(t, model_add(b, &like));
        drafts[i] = draft_of(t, buf_slice(&body));
    }
    in_flight(t, "append of %u from %u into %s", MANY, first, b->name);
    Err err = append_many(t, box, drafts, places, MANY, uids);
    for (unsigned i = 0; i < MANY; i++) {
        if (!err && uids[i] != first + i) work_failed(t->w, "%s got uid %u", t->u->what, uids[i]);
        draft_free(drafts[i]);
    }
    answered(t, err);
}

/* Given up when some bodies are in the log already: nothing has changed. */
static PARKS void op_append_abandoned(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    Drafts *all scoped(drafts) = NULL;
    in_flight(t, "append into %s that is given up", b->name);
    Err err = drafts_begin(box, &all);
    for (unsigned i = 0; i < 2 && !err; i++) {
        Buf body buf_scoped = {0};
        uint32_t number = any_body(t);
        work_body(&body, number);
        WorkMessage like = any_message(t, buf_slice(&body), number);
        DraftPlace place = place_of(t, &like);
        err = drafts_add(all, draft_of(t, buf_slice(&body)), &place);
        if (!err) err = drafts_spool(all);
    }
    drafts_free(all);
    all = NULL;
    answered(t, err);
}

static PARKS void op_replace(Step *t)
{
    unsigned from = any_box(t), into = any_box(t);
    WorkBox *b = &t->s->boxes[from], *to = &t->s->boxes[into];
    if (!b->count || to->count == WORK_MESSAGES || place_is_full(t, b)) return;
    Buf body buf_scoped = {0};
    uint32_t number = any_body(t), uid = 0, old = b->messages[below(t->c, b->count)].uid;
    work_body(&body, number);
    WorkMessage like = any_message(t, buf_slice(&body), number);
    WorkMessage *m = model_add(to, &like);
    DraftPlace place = place_of(t, m);
    uint32_t wanted = m->uid;
    UidRange one = {old, old};
    model_expunge(t, b, &(UidSet){.ranges = &one, .count = 1}, t->u->policy == WORK_KEEP);
    Mailbox *box scoped(mailbox) = open_box(t, from), *target scoped(mailbox) = open_box(t, into);
    Draft *draft scoped(draft) = draft_of(t, buf_slice(&body));
    in_flight(t, "%u in place of %u of %s into %s", number, old, b->name, to->name);
    Err err = draft_replace(draft, target, &place, box, old, &uid);
    if (!err && uid != wanted) work_failed(t->w, "%s got uid %u", t->u->what, uid);
    answered(t, err);
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

static PARKS void op_change(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    if (place_is_full(t, b)) return;
    UidSet uids = some_uids(t, b, 2), modified = {0}, wanted = {0}, changed = {0};
    uint8_t set = below(t->c, 2) ? (uint8_t)below(t->c, 1 << WORK_KEYWORDS) : 0;
    FlagChange change = {.how = (ChangeHow)below(t->c, 3),
                         .flags = (uint8_t)below(t->c, 32),
                         .keywords = keywords_of(t, set)};
    uint64_t since = b->count ? b->messages[below(t->c, b->count)].modseq : 0, modseq = 0;
    if (!below(t->c, 3)) change.unchanged_since = &since;
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
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    in_flight(t, "flags %u of %s to %u/%u", change.how, b->name, change.flags, set);
    Err err = mailbox_change(box, &uids, &change, &t->arena, &modified, &modseq);
    if (!err) check_set(t, "modified", &modified, &wanted);
    answered(t, err);
}

static PARKS void op_note(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    UidSet uids = some_uids(t, b, 2);
    uint8_t note = (uint8_t)below(t->c, WORK_NOTES);
    uint64_t modseq = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        WorkMessage *m = &b->messages[i];
        if (!uidset_has(&uids, m->uid) || m->note == note) continue;
        m->note = note;
        m->modseq = 0;
    }
    Annotations set = notes_of(t, note);
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    in_flight(t, "annotation %u of messages of %s", note, b->name);
    answered(t, mailbox_annotate_messages(box, &uids, &set, NULL, &t->arena, NULL, &modseq));
}

static PARKS void op_box_note(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    uint8_t note = (uint8_t)below(t->c, WORK_NOTES);
    b->note = note;
    Annotations set = notes_of(t, note);
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    in_flight(t, "annotation %u of %s", note, b->name);
    answered(t, mailbox_annotate(box, &set, NULL));
}

/* The chosen messages in their order, added to `to` and gone from b if they move. */
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

static PARKS void op_transfer(Step *t, bool move)
{
    unsigned from = any_box(t), into = any_box(t);
    WorkBox *b = &t->s->boxes[from], *to = &t->s->boxes[into];
    UidSet uids = some_uids(t, b, 3);
    CopyResult got = {0}, wanted = {0};
    if ((move && from == into) || to->count + b->count > WORK_MESSAGES) return;
    model_transfer(t, b, to, &uids, move, &wanted);
    Mailbox *box scoped(mailbox) = open_box(t, from), *target scoped(mailbox) = open_box(t, into);
    in_flight(t, "%s from %s to %s", move ? "move" : "copy", b->name, to->name);
    Err err = move ? mailbox_move(box, &uids, target, &t->arena, &got)
                   : mailbox_copy(box, &uids, target, &t->arena, &got);
    if (!err) {
        check_set(t, "source", &got.source, &wanted.source);
        check_set(t, "copies", &got.copies, &wanted.copies);
    }
    answered(t, err);
}

static PARKS void op_expunge(Step *t)
{
    WorkBox *b = &t->s->boxes[any_box(t)];
    if (place_is_full(t, b)) return;
    UidSet uids = some_uids(t, b, 2), got = {0}, wanted = {0};
    bool all = !below(t->c, 3), even_undeleted = !all && below(t->c, 2);
    for (uint32_t i = 0; i < b->count; i++) {
        const WorkMessage *m = &b->messages[i];
        if ((all || uidset_has(&uids, m->uid)) && (even_undeleted || m->flags & FLAG_DELETED))
            uidset_add(&t->arena, &wanted, m->uid, m->uid);
    }
    model_expunge(t, b, &wanted, t->u->policy != WORK_GONE_AT_ONCE);
    Mailbox *box scoped(mailbox) = open_box(t, (unsigned)(b - t->s->boxes));
    in_flight(t, "expunge in %s", b->name);
    Err err = mailbox_expunge(box, all ? NULL : &uids, even_undeleted, &t->arena, &got);
    if (!err) check_set(t, "expunged", &got, &wanted);
    answered(t, err);
}

static void model_create(WorkBox *b)
{
    b->exists = true;
    b->note = 0;
    b->id = b->uid_validity = 0;
    b->uid_next = 1;
    b->count = b->gone_count = 0;
}

static void model_delete(Step *t, WorkBox *b)
{
    UidSet all = {0};
    for (uint32_t i = 0; i < b->count; i++)
        uidset_add(&t->arena, &all, b->messages[i].uid, b->messages[i].uid);
    model_expunge(t, b, &all, t->u->policy != WORK_GONE_AT_ONCE);
    for (uint32_t i = 0; i < t->s->kept_count; i++) {
        WorkKept *k = &t->s->kept[i];
        if (k->origin == b->id) memcpy(k->name, b->name, sizeof k->name);
    }
    b->exists = false;
    b->count = b->gone_count = 0;
}

/* Box 0 stays; box 2 is a child of box 1. */
static PARKS void op_create_delete(Step *t)
{
    WorkBox *b = &t->s->boxes[1 + below(t->c, WORK_BOXES - 1)];
    Slice name = slice_of(b->name);
    if (b->exists) {
        if (below(t->c, 3) || place_is_full(t, b)) return;
        model_delete(t, b);
        in_flight(t, "delete %s", b->name);
        answered(t, mailbox_delete(t->account, name));
        return;
    }
    if (b == &t->s->boxes[2] && !t->s->boxes[1].exists) return;
    model_create(b);
    b->rights = b == &t->s->boxes[2] ? t->s->boxes[1].rights : 0; /* a child inherits */
    in_flight(t, "create %s", b->name);
    answered(t, mailbox_create(t->account, name, ROLE_NONE));
}

static void name_boxes(const Unit *u, WorkState *s)
{
    WorkBox *b = s->boxes;
    if (u->client)
        snprintf(b[0].name, sizeof b[0].name, "c%u-box", u->client);
    else
        snprintf(b[0].name, sizeof b[0].name, "INBOX");
    snprintf(b[1].name, sizeof b[1].name, "c%u-%u", u->client, b[1].generation);
    snprintf(b[2].name, sizeof b[2].name, "c%u-%u/kid", u->client, b[1].generation);
}

static PARKS void op_rename(Step *t)
{
    WorkBox *b = &t->s->boxes[1];
    if (!b->exists) return;
    b->generation++;
    name_boxes(t->u, t->s);
    in_flight(t, "rename to %s", b->name);
    answered(t, mailbox_rename(t->account, slice_of(t->u->acked.boxes[1].name), slice_of(b->name)));
}

static PARKS void op_subscribe(Step *t)
{
    Slice name = arena_printf(&t->arena, "c%u-elsewhere", t->u->client);
    t->s->subscribed = !t->s->subscribed;
    in_flight(t, "subscribe %d", t->s->subscribed);
    answered(t, mailbox_subscribe(t->account, name, t->s->subscribed));
}

static PARKS void op_share(Step *t)
{
    unsigned number = any_box(t);
    WorkBox *b = &t->s->boxes[number];
    Mailbox *box scoped(mailbox) = open_box(t, number);
    b->rights = (uint16_t)(below(t->c, 3) ? below(t->c, RIGHTS_ALL + 1) : 0);
    in_flight(t, "share %s: %x", b->name, b->rights);
    answered(t, mailbox_set_acl(box, S("friend"), ACL_REPLACE, b->rights));
}

static PARKS void op_object(Step *t)
{
    unsigned i = below(t->c, WORK_OBJECTS);
    Slice id = arena_printf(&t->arena, "c%u-%u", t->u->client, i);
    uint32_t value = below(t->c, 3) ? 1 + below(t->c, 5000) : 0;
    if (!value && !t->s->objects[i]) return;
    t->s->objects[i] = value;
    char *text = arena_alloc(&t->arena, value);
    memset(text, (int)('a' + value % 26), value);
    in_flight(t, "object %u to %u", i, value);
    answered(t, value ? object_put(t->account, S("work"), id, slice(text, value), NULL)
                      : object_delete(t->account, S("work"), id));
}

/* ---- what expunges have left ---- */

/* Where it goes back to: its mailbox, or the one that is called so now. NULL: to INBOX, which is
 * another client's. */
static WorkBox *model_home(const Step *t, const WorkKept *k)
{
    for (unsigned i = 0; i < WORK_BOXES; i++) {
        WorkBox *b = &t->s->boxes[i];
        if (b->exists && b->id == k->origin) return b;
    }
    for (unsigned i = 0; i < WORK_BOXES; i++) {
        WorkBox *b = &t->s->boxes[i];
        if (b->exists && !strcmp(b->name, k->name)) return b;
    }
    return NULL;
}

static void model_forget(WorkState *s, uint32_t i)
{
    s->kept_count--;
    memmove(&s->kept[i], &s->kept[i + 1], (s->kept_count - i) * sizeof s->kept[0]);
}

/* keep=DAYS: some come back. Trash: some are expunged there, for good. */
static PARKS size_t choose_kept(Step *t, bool keeps, UidSet *uids)
{
    size_t wanted = 0;
    for (uint32_t i = 0; i < t->s->kept_count;) {
        WorkKept *k = &t->s->kept[i++];
        WorkBox *b = model_home(t, k);
        if (below(t->c, 2) || (keeps && (!b || b->count == WORK_MESSAGES))) continue;
        uint32_t uid = kept_find(t->account, t->u->policy, &k->message, &t->arena, uids);
        if (!uid) work_failed(t->w, "a message of %s is lost", k->name);
        uidset_add(&t->arena, uids, uid, uid);
        if (keeps) model_add(b, &k->message);
        model_forget(t->s, --i);
        wanted++;
    }
    return wanted;
}

static PARKS void op_place(Step *t)
{
    bool keeps = t->u->policy == WORK_KEEP;
    UidSet uids = {0}, got = {0};
    size_t wanted = choose_kept(t, keeps, &uids), back = 0;
    if (!wanted) return;
    in_flight(t, "%s %zu", keeps ? "undelete" : "empty Trash of", wanted);
    if (keeps) {
        Err err = account_undelete(t->account, &uids, &t->arena, &back);
        if (!err && back != wanted) work_failed(t->w, "%s: %zu came", t->u->what, back);
        answered(t, err);
        return;
    }
    Mailbox *trash scoped(mailbox) = NULL;
    Err err = mailbox_open(t->account, t->u->acct, S("Trash"), &trash);
    if (err) work_failed(t->w, "Trash: %s", err_story());
    answered(t, mailbox_expunge(trash, &uids, true, &t->arena, &got));
}

static PARKS void choose(Step *t)
{
    switch (below(t->c, 27)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        op_append(t);
        return;
    case 5:
        op_append_many(t);
        return;
    case 20:
        op_append_abandoned(t);
        return;
    case 21:
        op_replace(t);
        return;
    case 6:
    case 7:
    case 8:
    case 9:
        op_change(t);
        return;
    case 10:
    case 11:
        op_transfer(t, false);
        return;
    case 12:
    case 13:
        op_transfer(t, true);
        return;
    case 14:
    case 15:
        op_expunge(t);
        return;
    case 16:
        op_create_delete(t);
        return;
    case 17:
        op_rename(t);
        return;
    case 18:
        op_subscribe(t);
        return;
    case 22:
        op_place(t);
        return;
    case 23:
    case 24:
        op_note(t);
        return;
    case 25:
        op_box_note(t);
        return;
    case 26:
        op_share(t);
        return;
    default:
        op_object(t);
        return;
    }
}

static PARKS void at_home(void *arg)
{
    Step *t = arg;
    Err err = account_open(t->store, t->u->acct, &t->account);
    if (err) work_failed(t->w, "account %u: %s (%s)", t->u->acct, err_name(err), err_story());
    choose(t);
    account_close(t->account);
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
    if (err) work_failed(t->w, "account %u: %s", t->u->acct, err_story());
    uint32_t uid = t->s->boxes[0].messages[t->s->boxes[0].count - 1].uid;
    if (!r->delivery->err && r->delivery->uid != uid)
        work_failed(t->w, "%s got uid %u", t->u->what, r->delivery->uid);
    answered(t, r->delivery->err);
    account_close(t->account);
}

static Step step_of(WorkWorld *w, Client *c, Store *store, unsigned unit)
{
    Unit *u = &c->units[unit];
    u->pending = u->acked;
    return (Step){.w = w, .c = c, .store = store, .u = u, .s = &u->pending};
}

/* One message to the first mailbox of some units. */
static PARKS void op_deliver(WorkWorld *w, Client *c, Store *store)
{
    Received all[WORK_ACCOUNTS];
    Delivery deliveries[WORK_ACCOUNTS];
    Buf body buf_scoped = {0};
    Step any = {.w = w, .c = c, .store = store};
    size_t count = 0;
    uint32_t number = any_body(&any);
    work_body(&body, number);
    for (unsigned i = 0; i < WORK_ACCOUNTS; i++) {
        if (!below(c, 3) || c->units[i].acked.boxes[0].count == WORK_MESSAGES) continue;
        Step *t = &all[count].step;
        *t = step_of(w, c, store, i);
        WorkMessage like = any_message(t, buf_slice(&body), number);
        DraftPlace place = place_of(t, model_add(&t->s->boxes[0], &like));
        deliveries[count] =
            (Delivery){.acct = t->u->acct, .mailbox = slice_of(t->s->boxes[0].name)};
        deliveries[count].place = place;
        all[count].delivery = &deliveries[count];
        count++;
    }
    Draft *draft scoped(draft) = draft_of(&any, buf_slice(&body));
    for (size_t i = 0; i < count; i++)
        in_flight(&all[i].step, "delivery of %u to %zu", number, count);
    if (count) draft_deliver(draft, deliveries, count);
    for (size_t i = 0; i < count; i++) {
        all[i].step.u->answered = !deliveries[i].err;
        loop_call(store_home(store, deliveries[i].acct), received, &all[i]);
        arena_done(&all[i].step.arena);
    }
}

PARKS void client_step(WorkWorld *w, Client *c, Store *store)
{
    if (!below(c, 8)) {
        op_deliver(w, c, store);
    } else {
        Step t = step_of(w, c, store, below(c, WORK_ACCOUNTS));
        loop_call(store_home(store, t.u->acct), at_home, &t);
        arena_done(&t.arena);
    }
    c->done++;
}

/* ---- all together ---- */

typedef struct {
    WorkWorld *w;
    Store *store;
    unsigned steps, working;
    Cond ended;
} Crowd;
typedef struct {
    Crowd *crowd;
    Client *client;
} Worker;

/* Segments are only given up when a copy of the index no longer needs them. */
typedef struct {
    Crowd *crowd;
    uint64_t random;
    bool stop;
} Sweeper;

static void one_ended(void *arg)
{
    Crowd *crowd = arg;
    crowd->working--;
    cond_signal(&crowd->ended);
}

static PARKS void worker(void *arg)
{
    Worker *k = arg;
    k->client->stopped = false;
    for (unsigned i = 0; i < k->crowd->steps && !k->client->stopped; i++)
        client_step(k->crowd->w, k->client, k->crowd->store);
    loop_call(loop_at(0), one_ended, k->crowd);
}

static PARKS void sweep(void *arg)
{
    Sweeper *k = arg;
    WorkWorld *w = k->crowd->w;
    Engine *e = store_engine(k->crowd->store);
    uint64_t freed;
    while (!k->stop) {
        bool copy = work_random(&k->random) % 2;
        Err err = copy ? engine_copy_index(e) : engine_compact(e, &freed);
        if (err && !may_fail(w, err)) work_failed(w, "sweep: %s (%s)", err_name(err), err_story());
        fiber_sleep((int64_t)(work_random(&k->random) % 30));
    }
    one_ended(k->crowd);
}

PARKS void world_work(WorkWorld *w, Store *store, unsigned steps, bool sweeps)
{
    Worker workers[WORK_CLIENTS];
    Crowd crowd = {.w = w, .store = store, .steps = steps, .working = WORK_CLIENTS};
    for (unsigned i = 0; i < WORK_CLIENTS; i++) {
        workers[i] = (Worker){&crowd, &w->clients[i]};
        fiber_start_on(loop_at(i % loop_count()), "client", worker, &workers[i]);
    }
    Sweeper k = {.crowd = &crowd, .random = w->seed};
    if (sweeps) fiber_start("sweeper", sweep, &k);
    while (crowd.working)
        cond_wait(&crowd.ended, NEVER);
    crowd.working += k.stop = sweeps;
    while (crowd.working)
        cond_wait(&crowd.ended, NEVER);
}

typedef struct {
    WorkWorld *w;
    Store *store;
    Unit *u;
} Errand;

/* Trash is not among the unit's mailboxes: whether it was emptied shows there only. */
static PARKS bool trash_was_emptied(const Unit *u, Account *a)
{
    if (!u->in_flight || u->policy != WORK_TRASH || u->pending.kept_count >= u->acked.kept_count)
        return false;
    for (uint32_t i = 0; i < u->acked.kept_count; i++) {
        Arena arena arena_scoped = {0};
        UidSet none = {0};
        if (!kept_find(a, u->policy, &u->acked.kept[i].message, &arena, &none)) return true;
    }
    return false;
}

/* Nothing at all in an account is to be there that its units do not know. */
static PARKS void verify_unit(void *arg)
{
    Errand *e = arg;
    Unit *u = e->u;
    Account *a scoped(account) = NULL;
    Buf old buf_scoped = {0}, new buf_scoped = {0};
    Err err = account_open(e->store, u->acct, &a);
    if (err) work_failed(e->w, "account %u: %s (%s)", u->acct, err_name(err), err_story());
    bool is_old = !u->answered && !trash_was_emptied(u, a) &&
                  state_compare(e->w, u, a, &u->acked, &u->acked, true, &old);
    bool is_new =
        !is_old && u->in_flight && state_compare(e->w, u, a, &u->acked, &u->pending, true, &new);
    if (!is_old && !is_new)
        work_failed(e->w, "client %u, account %u, %s %s: not as before: %.*s; not as after: %.*s",
                    u->client, u->acct,
                    u->answered    ? "acknowledged"
                    : u->in_flight ? "in flight"
                                   : "at rest, last",
                    u->what, SP(buf_slice(&old)), SP(buf_slice(&new)));
    if (is_new) u->acked = u->pending;
    u->in_flight = u->answered = false;
}

typedef struct {
    WorkWorld *w;
    Store *store;
    unsigned account;
} PlaceErrand;

static PARKS void verify_place(void *arg)
{
    PlaceErrand *e = arg;
    Account *a scoped(account) = NULL;
    Buf why buf_scoped = {0};
    uint32_t acct = e->w->clients[0].units[e->account].acct;
    Err err = account_open(e->store, acct, &a);
    if (err) work_failed(e->w, "account %u: %s (%s)", acct, err_name(err), err_story());
    if (!kept_compare(e->w, e->account, a, &why))
        work_failed(e->w, "account %u: %.*s", acct, SP(buf_slice(&why)));
}

static void report(void *arg, Slice line)
{
    const WorkWorld *w = arg;
    fprintf(stderr, "seed %llu: %.*s\n", (unsigned long long)w->seed, SP(line));
}

PARKS void world_verify(WorkWorld *w, Store *store)
{
    CheckResult result = {0};
    for (unsigned i = 0; i < WORK_CLIENTS; i++)
        for (unsigned j = 0; j < WORK_ACCOUNTS; j++) {
            Errand e = {w, store, &w->clients[i].units[j]};
            loop_call(store_home(store, e.u->acct), verify_unit, &e);
        }
    for (unsigned j = 0; j < WORK_ACCOUNTS; j++) {
        PlaceErrand e = {w, store, j};
        loop_call(store_home(store, w->clients[0].units[j].acct), verify_place, &e);
    }
    Err err = store_check(store, false, report, w, &result);
    if (err) work_failed(w, "check: %s (%s)", err_name(err), err_story());
    if (result.findings) work_failed(w, "%llu findings", (unsigned long long)result.findings);
}

static PARKS void make_first_box(void *arg)
{
    Errand *e = arg;
    Account *a scoped(account) = NULL;
    WorkState *s = &e->u->acked;
    Err err = account_open(e->store, e->u->acct, &a);
    if (err) work_failed(e->w, "account %u: %s", e->u->acct, err_story());
    static const Deletion policies[WORK_POLICIES] = {
        [WORK_KEEP] = {.keep_days = 30          },
        [WORK_TRASH] = { .expunge_to_trash = true, .deleted_to_trash = true},
    };
    name_boxes(e->u, s);
    model_create(&s->boxes[0]);
    err = account_set_deletion(a, &policies[e->u->policy]);
    if (err) work_failed(e->w, "policy: %s", err_story());
    err = mailbox_create(a, slice_of(s->boxes[0].name), ROLE_NONE);
    if (err && err != ERR_EXISTS) work_failed(e->w, "create %s: %s", s->boxes[0].name, err_story());
}

static PARKS uint32_t make_account(WorkWorld *w, Store *store, unsigned number)
{
    Arena arena arena_scoped = {0};
    uint32_t acct = 0;
    Slice login = arena_printf(&arena, "user%u", number);
    Err err = store_find_account(store, login, &acct);
    if (err == ERR_NOT_FOUND) err = store_create_account(store, login, &acct);
    if (err) work_failed(w, "%.*s: %s (%s)", SP(login), err_name(err), err_story());
    return acct;
}

PARKS void world_prepare(WorkWorld *w, Store *store)
{
    for (unsigned j = 0; j < WORK_ACCOUNTS && !w->ready; j++) {
        uint32_t acct = make_account(w, store, j);
        for (unsigned i = 0; i < WORK_CLIENTS; i++) {
            Errand e = {w, store, &w->clients[i].units[j]};
            e.u->acct = acct;
            e.u->policy = (WorkPolicy)(j % WORK_POLICIES);
            loop_call(store_home(store, acct), make_first_box, &e);
        }
    }
    w->ready = true;
}

void world_init(WorkWorld *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    for (unsigned i = 0; i < WORK_CLIENTS; i++) {
        w->clients[i].number = i;
        w->clients[i].random = seed * WORK_CLIENTS + i;
        for (unsigned j = 0; j < WORK_ACCOUNTS; j++)
            w->clients[i].units[j].client = i;
    }
}
