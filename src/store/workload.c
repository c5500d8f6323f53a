#include "store/workload_step.h"

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

uint32_t client_below(Client *c, uint32_t n)
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

WorkMessage *model_add(WorkBox *b, const WorkMessage *like)
{
    WorkMessage *m = &b->messages[b->count++];
    *m = *like;
    m->uid = b->uid_next++;
    m->modseq = 0;
    return m;
}

void model_remove(WorkBox *b, uint32_t uid)
{
    WorkMessage *m = work_message(b, uid);
    if (b->gone_count == WORK_GONE)
        memmove(b->gone, b->gone + 1, --b->gone_count * sizeof *b->gone);
    b->gone[b->gone_count++] = (WorkGone){.uid = uid};
    memmove(m, m + 1, (size_t)(b->messages + b->count - m - 1) * sizeof *m);
    b->count--;
}

void step_begins(Step *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(t->u->what, sizeof t->u->what, fmt, args);
    va_end(args);
    t->u->in_flight = true;
    t->c->begun++;
    if (t->w->moment) t->w->moment(t->w, t->c, false);
}

bool work_may_fail(const WorkWorld *w, Err err)
{
    return (w->may_fail && (err == ERR_IO || err == ERR_DISK_FULL || err == ERR_READ_ONLY)) ||
           (w->damaged && err == ERR_CORRUPT);
}

PARKS void step_ends(Step *t, Err err)
{
    Unit *u = t->u;
    Buf why buf_scoped = {0};
    if (t->w->moment) t->w->moment(t->w, t->c, true);
    if (err && work_may_fail(t->w, err)) {
        t->c->stopped = true;
        return;
    }
    if (err)
        work_failed(t->w, "client %u, account %u: %s: %s (%s)", u->client, u->acct, u->what,
                    err_name(err), err_story());
    u->answered = true;
    if (t->w->damaged) return; /* what is in memory may lack what could not be read */
    if (!state_compare(t->w, u, t->account, &u->acked, &u->pending, false, &why))
        work_failed(t->w, "client %u, account %u: after %s: %.*s", u->client, u->acct, u->what,
                    SP(buf_slice(&why)));
    u->acked = u->pending;
    u->in_flight = u->answered = false;
}

PARKS Mailbox *step_open(Step *t, unsigned box)
{
    Mailbox *m = NULL;
    Slice name = slice_of(t->s->boxes[box].name);
    Err err = mailbox_open(t->account, t->u->acct, name, &m);
    if (err && work_may_fail(t->w, err))
        t->c->stopped = true;
    else if (err)
        work_failed(t->w, "cannot open %.*s: %s", SP(name), err_story());
    return m;
}

unsigned step_any_box(Step *t)
{
    for (;;) {
        unsigned box = client_below(t->c, WORK_BOXES);
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

void model_expunge(Step *t, WorkBox *b, const UidSet *doomed, bool to_place)
{
    uint32_t uid;
    for (uid = 0; to_place && uidset_next(doomed, &uid); uid++) {
        const WorkMessage *m = work_message(b, uid);
        must(m);
        if (!model_has_copy(t, b, m, doomed)) model_keep(t, b, m);
    }
    for (uid = 0; uidset_next(doomed, &uid); uid++)
        model_remove(b, uid);
}

bool step_place_is_full(const Step *t, const WorkBox *b)
{
    return t->s->kept_count + b->count > WORK_KEPT;
}

/* Some of the messages; now and then a uid that is not there. */
UidSet step_some_uids(Step *t, const WorkBox *b, unsigned one_in)
{
    UidSet uids = {0};
    for (uint32_t i = 0; i < b->count; i++)
        if (!client_below(t->c, one_in))
            uidset_add(&t->arena, &uids, b->messages[i].uid, b->messages[i].uid);
    if (!client_below(t->c, 5)) uidset_add(&t->arena, &uids, b->uid_next + 3, b->uid_next + 9);
    if (!client_below(t->c, 9)) uidset_add(&t->arena, &uids, 1, b->uid_next - 1);
    return uids;
}

Keywords step_keywords(Step *t, uint8_t set)
{
    Slice *names = arena_array(&t->arena, Slice, WORK_KEYWORDS);
    size_t count = 0;
    for (unsigned i = 0; i < WORK_KEYWORDS; i++)
        if (set >> i & 1) names[count++] = keywords[i];
    return (Keywords){names, count};
}

void step_check_set(Step *t, const char *what, const UidSet *got, const UidSet *wanted)
{
    Buf a buf_scoped = {0}, b buf_scoped = {0};
    uidset_print(&a, got);
    uidset_print(&b, wanted);
    if (!slice_eq(buf_slice(&a), buf_slice(&b)))
        work_failed(t->w, "%s: %s is \"%.*s\", not \"%.*s\"", t->u->what, what, SP(buf_slice(&a)),
                    SP(buf_slice(&b)));
}

uint32_t step_any_body(Step *t)
{
    uint32_t body = client_below(t->c, 1 << 20);
    if (t->w->big && !client_below(t->c, t->w->big)) return body | 63;
    return body % 64 == 63 ? body - 1 : body;
}

WorkMessage step_any_message(Step *t, Slice body, uint32_t number)
{
    WorkMessage m = {.body = number, .date = 1700000000 + client_below(t->c, 1000000)};
    m.email = ++t->s->emails;
    m.flags = (uint8_t)client_below(t->c, 32);
    m.keywords = client_below(t->c, 2) ? (uint8_t)client_below(t->c, 1 << WORK_KEYWORDS) : 0;
    m.prefix = (uint8_t)client_below(t->c, COUNT(prefixes));
    m.note = client_below(t->c, 3) ? 0 : (uint8_t)client_below(t->c, WORK_NOTES);
    m.size = (uint32_t)(body.len + prefixes[m.prefix].len);
    return m;
}

/* Private ones of odd numbers, shared ones of even: setting the one takes the other away. */
Annotations step_notes(Step *t, unsigned note)
{
    Annotations set = {.list = arena_array(&t->arena, Annotation, 2), .count = 2};
    for (unsigned shared = 0; shared < 2; shared++)
        set.list[shared] = (Annotation){
            S("/comment"), work_note(&t->arena, note % 2 != shared ? note : 0), shared};
    return set;
}

DraftPlace step_place(Step *t, const WorkMessage *m)
{
    return (DraftPlace){.annotations = step_notes(t, m->note),
                        .flags = m->flags,
                        .keywords = step_keywords(t, m->keywords),
                        .date = m->date,
                        .prefix = prefixes[m->prefix]};
}

PARKS Draft *step_draft(Step *t, Slice body)
{
    Draft *d = NULL;
    Err err = draft_begin(t->store, client_below(t->c, 2) ? body.len : 0, &d);
    for (size_t at = 0; !err && at < body.len;) {
        Slice piece = slice_first(slice_from(body, at), 1 + client_below(t->c, 70000));
        err = draft_write(d, piece);
        at += piece.len;
    }
    if (!err) return d;
    if (!work_may_fail(t->w, err)) work_failed(t->w, "draft: %s", err_story());
    t->c->stopped = true;
    draft_free(d);
    return NULL;
}

/* ---- which one ---- */

static const struct {
    const char *name;
    void (*run)(Step *t);
    unsigned weight; /* how often, of all weights, when a client chooses */
} ops[WORK_OPS] = {
#define WORK_OP(name, run, weight) [WORK_##name] = {#name, run, weight},
    WORK_OP_TABLE
#undef WORK_OP
};

const char *work_op_name(WorkOp op)
{
    return ops[op].name;
}

static WorkOp choose(Client *c)
{
    unsigned sum = 0;
    for (unsigned op = 0; op < WORK_OPS; op++)
        sum += ops[op].weight;
    unsigned n = client_below(c, sum), op = 0;
    while (n >= ops[op].weight)
        n -= ops[op++].weight;
    return (WorkOp)op;
}

static PARKS void at_home(void *arg)
{
    Step *t = arg;
    Err err = account_open(t->store, t->u->acct, &t->account);
    if (err && work_may_fail(t->w, err)) {
        t->c->stopped = true;
        return;
    }
    if (err) work_failed(t->w, "account %u: %s (%s)", t->u->acct, err_name(err), err_story());
    ops[t->op].run(t);
    account_close(t->account);
}

Step step_of(WorkWorld *w, Client *c, Store *store, unsigned unit)
{
    Unit *u = &c->units[unit];
    u->pending = u->acked;
    return (Step){.w = w, .c = c, .store = store, .u = u, .s = &u->pending};
}

PARKS void client_do(WorkWorld *w, Client *c, Store *store, unsigned unit, WorkOp op)
{
    if (op == WORK_DELIVER) {
        op_deliver(w, c, store);
    } else {
        Step t = step_of(w, c, store, unit);
        t.op = op;
        loop_call(store_home(store, t.u->acct), at_home, &t);
        arena_done(&t.arena);
    }
    c->done++;
}

PARKS void client_step(WorkWorld *w, Client *c, Store *store)
{
    WorkOp op = choose(c);
    client_do(w, c, store, client_below(c, WORK_ACCOUNTS), op);
}
