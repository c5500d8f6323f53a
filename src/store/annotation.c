#include "store/model.h"

/* Annotations are objects. Those of mailboxes and of the server (RFC 5464) are one object for each
 * value, in the collection "annotation", so that a change costs what it changes:
 *
 *     id     u32 mailbox (0: the server)   u32 who (0: shared)   entry name      (big-endian)
 *
 * They follow RENAME, as the mailbox keeps its number, and go in the record that deletes it. Those
 * of messages are in note.c. What counts for the quota is the octets of value and id beyond the two
 * numbers. */

enum { VALUE_MOST = 64 * 1024, COUNT_MOST = 100 };

uint64_t annotation_value_most(const Store *store)
{
    uint64_t most = store->options.annotation_most;
    return MIN(most ? most : VALUE_MOST, (uint64_t)VALUE_MOST);
}

size_t annotations_most(const Account *a)
{
    size_t most = a->store->options.annotations_most;
    return most ? most : COUNT_MOST;
}

/* ---- ids ---- */

static void put_be(char *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(n >> (24 - 8 * i));
}

static uint32_t get_be(const char *from)
{
    uint32_t n = 0;
    for (int i = 0; i < 4; i++)
        n = n << 8 | (unsigned char)from[i];
    return n;
}

AnnotationId annotation_id(uint32_t mailbox, uint32_t number, Slice entry)
{
    AnnotationId id = {.len = ANNOTATION_ID_NUMBERS + entry.len};
    must(entry.len <= ANNOTATION_NAME_MOST);
    put_be(id.at, mailbox);
    put_be(id.at + 4, number);
    if (entry.len) memcpy(id.at + ANNOTATION_ID_NUMBERS, entry.at, entry.len);
    return id;
}

bool annotation_id_parse(Slice id, uint32_t *mailbox, uint32_t *who, Slice *entry)
{
    if (id.len <= ANNOTATION_ID_NUMBERS) return false;
    *mailbox = get_be(id.at);
    *who = get_be(id.at + 4);
    *entry = slice_from(id, ANNOTATION_ID_NUMBERS);
    return true;
}

bool annotation_collection(Slice collection)
{
    return slice_eq(collection, S("annotation")) || slice_eq(collection, S("note"));
}

uint64_t annotation_octets(Slice id, uint64_t value)
{
    return (id.len > ANNOTATION_ID_NUMBERS ? id.len - ANNOTATION_ID_NUMBERS : 0) + value;
}

/* ---- of mailboxes and the server ---- */

static Err check_value(const Account *a, const Annotation *one)
{
    uint64_t most = annotation_value_most(a->store);
    if (!one->entry.len || one->entry.len > ANNOTATION_NAME_MOST)
        return fail(ERR_SYNTAX, "an entry name of %zu octets", one->entry.len);
    if (one->value.len > most)
        return fail(ERR_TOO_BIG, "an annotation of %zu octets", one->value.len);
    return OK;
}

/* All with this owner, in order of their names. */
static PARKS Err list_owned(Account *a, uint32_t mailbox, uint32_t who, Arena *arena,
                            Annotations *out, size_t room)
{
    AnnotationId from = annotation_id(mailbox, who, (Slice){0});
    Slice *ids;
    size_t count;
    TRY(object_list(a, S("annotation"), id_slice(&from), room - out->count, arena, &ids, &count));
    for (size_t i = 0; i < count && slice_starts(ids[i], id_slice(&from)); i++) {
        Annotation one = {.entry = slice_from(ids[i], ANNOTATION_ID_NUMBERS), .shared = !who};
        Err err = object_find(a, S("annotation"), ids[i], arena, &one.value, NULL);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        must(out->count < room);
        out->list[out->count++] = one;
    }
    return OK;
}

PARKS Err account_annotations(Account *a, uint32_t mailbox, uint32_t who, Arena *arena,
                              Annotations *out)
{
    size_t room = 2 * annotations_most(a) + 2;
    *out = (Annotations){.list = arena_array(arena, Annotation, room)};
    if (who) TRY(list_owned(a, mailbox, who, arena, out, room));
    return list_owned(a, mailbox, 0, arena, out, room);
}

typedef struct {
    Change *change;
    uint32_t mailbox, who;
    size_t count[2]; /* private, shared */
    uint64_t grows, shrinks;
} Annotating;

static PARKS Err count_owned(Annotating *t)
{
    Arena arena arena_scoped = {0};
    Annotations now;
    TRY(account_annotations(t->change->account, t->mailbox, t->who, &arena, &now));
    for (size_t i = 0; i < now.count; i++)
        t->count[now.list[i].shared]++;
    return OK;
}

uint32_t annotation_who(const Annotation *one, uint32_t asks)
{
    return one->who ? one->who : asks;
}

static PARKS Err annotate_one(Annotating *t, const Annotation *one)
{
    Account *a = t->change->account;
    uint32_t who = one->shared ? 0 : annotation_who(one, t->who);
    AnnotationId id = annotation_id(t->mailbox, who, one->entry);
    bool counts = one->shared || who == t->who;
    uint64_t old = 0;
    Err err = object_length(a, S("annotation"), id_slice(&id), &old);
    bool was = !err;
    if (err && err != ERR_NOT_FOUND) return err;
    if (!was && !one->value.at) return OK;
    if (was) t->shrinks += annotation_octets(id_slice(&id), old);
    if (one->value.at) t->grows += annotation_octets(id_slice(&id), one->value.len);
    if (!was && counts && ++t->count[one->shared] > annotations_most(a))
        return fail(ERR_LIMIT, "too many annotations");
    change_op(t->change,
              &(Op){.kind = OP_OBJECT,
                    .on = one->value.at,
                    .name = S("annotation"),
                    .id = id_slice(&id),
                    .value = one->value},
              NULL);
    return OK;
}

static PARKS Err annotate(Annotating *t, const Annotations *set)
{
    TRY(count_owned(t));
    for (size_t i = 0; i < set->count; i++)
        TRY(annotate_one(t, &set->list[i]));
    if (t->grows <= t->shrinks) return OK;
    return change_reserve_one(t->change, QUOTA_ANNOTATION, t->grows - t->shrinks);
}

Err annotations_check(const Account *a, const Annotations *set)
{
    for (size_t i = 0; i < set->count; i++)
        TRY(check_value(a, &set->list[i]));
    return OK;
}

/* RFC 5464 3.3: "l", and any of "r", "s", "w", "i", "p". */
static Err may_annotate(const Mailbox *box)
{
    unsigned any = RIGHT_READ | RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT | RIGHT_POST;
    if (!(box->rights & RIGHT_LOOKUP)) return fail(ERR_NOT_FOUND, "no right to see it");
    if (box->rights & any) return OK;
    return fail(ERR_FORBIDDEN, "no right to annotations");
}

PARKS Err mailbox_annotations(Mailbox *box, Arena *arena, Annotations *out)
{
    TRY(may_annotate(box));
    TRY(mailbox_check(box));
    return account_annotations(box->account, box->box->s.id, box->who, arena, out);
}

static Err set_uses(Change *c, Mailbox *box, Role uses)
{
    bool own = box->who == box->account->number;
    if (!own || change_uses(c, box->box, uses))
        return fail(ERR_CANNOT, "that special use of this mailbox");
    return OK;
}

PARKS Err mailbox_annotate(Mailbox *box, const Annotations *set, const Role *role)
{
    Change c change_scoped = {0};
    Annotating t = {.change = &c, .mailbox = box->box->s.id, .who = box->who};
    TRY(may_annotate(box));
    TRY(annotations_check(box->account, set));
    TRY(change_begin_alone(box->account, &c));
    TRY(mailbox_check(box));
    TRY(annotate(&t, set));
    if (role && box->box->s.role != *role) TRY(set_uses(&c, box, *role));
    return change_commit(&c);
}

/* At the account's home. */
static PARKS Err account_annotate_as(Account *a, uint32_t who, const Annotations *set)
{
    Change c change_scoped = {0};
    Annotating t = {.change = &c, .who = who};
    TRY(annotations_check(a, set));
    TRY(change_begin_alone(a, &c));
    TRY(annotate(&t, set));
    return change_commit(&c);
}

PARKS Err account_annotate(Account *a, const Annotations *set)
{
    return account_annotate_as(a, a->number, set);
}

/* ---- of the server, shared: in the directory, account 0 ---- */

typedef struct {
    Store *store;
    Arena *arena;
    const Annotations *set;
    Annotations got;
    Err err;
} Ask;

static PARKS void ask_directory(void *arg)
{
    Ask *q = arg;
    Account *a scoped(account) = NULL;
    q->err = account_load(q->store, 0, &a);
    if (q->err) return;
    account_ref(a);
    q->err = q->set ? account_annotate_as(a, 0, q->set)
                    : account_annotations(a, 0, 0, q->arena, &q->got);
}

PARKS Err store_annotations(Store *store, Arena *arena, Annotations *out)
{
    Ask q = {.store = store, .arena = arena};
    loop_call(store_home(store, 0), ask_directory, &q);
    *out = q.got;
    return q.err ? fail(q.err, "the server's annotations") : OK;
}

PARKS Err store_annotate(Store *store, const Annotations *set)
{
    Ask q = {.store = store, .set = set};
    loop_call(store_home(store, 0), ask_directory, &q);
    return q.err ? fail(q.err, "the server's annotations") : OK;
}

/* ---- with the mailbox ---- */

/* Everybody's annotations of a mailbox, some at a time: calls take for each. */
static PARKS Err each_annotation(Change *c, uint32_t mailbox,
                                 Err (*take)(Change *c, Slice id, uint32_t to), uint32_t to)
{
    enum { AT_ONCE = 200 };
    char number[4];
    put_be(number, mailbox);
    Buf after buf_scoped = {0};
    buf_add(&after, slice(number, sizeof number));
    for (size_t count = AT_ONCE; count == AT_ONCE;) {
        Arena arena arena_scoped = {0};
        Slice *ids;
        TRY(object_list(c->account, S("annotation"), buf_slice(&after), AT_ONCE, &arena, &ids,
                        &count));
        for (size_t i = 0; i < count; i++) {
            if (!slice_starts(ids[i], slice(number, sizeof number))) return OK;
            TRY(take(c, ids[i], to));
        }
        if (!count) break;
        buf_clear(&after);
        buf_add(&after, ids[count - 1]);
    }
    return OK;
}

static Err take_away(Change *c, Slice id, uint32_t to)
{
    (void)to;
    change_op(c, &(Op){.kind = OP_OBJECT, .name = S("annotation"), .id = id}, NULL);
    return OK;
}

PARKS Err annotations_delete(Change *c, uint32_t mailbox)
{
    return each_annotation(c, mailbox, take_away, 0);
}

static Err take_over(Change *c, Slice id, uint32_t to)
{
    Arena arena arena_scoped = {0};
    uint32_t mailbox, who;
    Slice entry, value;
    if (!annotation_id_parse(id, &mailbox, &who, &entry)) return OK;
    if (entry.len > ANNOTATION_NAME_MOST) return OK;
    TRY(object_find(c->account, S("annotation"), id, &arena, &value, NULL));
    TRY(change_reserve_one(c, QUOTA_ANNOTATION, annotation_octets(id, value.len)));
    AnnotationId copy = annotation_id(to, who, entry);
    change_op(c,
              &(Op){.kind = OP_OBJECT,
                    .on = true,
                    .name = S("annotation"),
                    .id = id_slice(&copy),
                    .value = value},
              NULL);
    return OK;
}

PARKS Err annotations_copy(Change *c, uint32_t from, uint32_t to)
{
    return each_annotation(c, from, take_over, to);
}

/* ---- all of them ---- */

typedef struct {
    Account *account;
    Arena *arena;
    Annotations *out;
    size_t room;
} Gathering;

static void gather(Gathering *g, const Annotation *one)
{
    if (g->out->count == g->room) {
        size_t room = MAX((size_t)16, g->room * 2);
        Annotation *more = arena_array(g->arena, Annotation, room);
        if (g->room) memcpy(more, g->out->list, g->room * sizeof *more);
        g->out->list = more;
        g->room = room;
    }
    g->out->list[g->out->count++] = *one;
}

static Err gather_one(Gathering *g, Slice id)
{
    Annotation one = {0};
    uint32_t mailbox;
    if (!annotation_id_parse(id, &mailbox, &one.who, &one.entry)) return OK;
    one.shared = !one.who;
    Err err = object_find(g->account, S("annotation"), id, g->arena, &one.value, NULL);
    if (!err) gather(g, &one);
    return err == ERR_NOT_FOUND ? OK : err;
}

PARKS Err mailbox_annotations_of_all(Mailbox *box, Arena *arena, Annotations *out)
{
    enum { AT_ONCE = 200 };
    Gathering g = {.account = box->account, .arena = arena, .out = out};
    char number[4];
    *out = (Annotations){0};
    if (box->who != box->account->number) return fail(ERR_FORBIDDEN, "not the owner");
    TRY(mailbox_check(box));
    put_be(number, box->box->s.id);
    Slice prefix = slice(number, sizeof number), after = prefix, *ids;
    for (size_t count = AT_ONCE; count == AT_ONCE; after = ids[count - 1]) {
        TRY(object_list(g.account, S("annotation"), after, AT_ONCE, arena, &ids, &count));
        for (size_t i = 0; i < count; i++) {
            if (!slice_starts(ids[i], prefix)) return OK;
            TRY(gather_one(&g, ids[i]));
        }
        if (!count) break;
    }
    return OK;
}

/* ---- counting again ---- */

static PARKS Err count_collection(Account *a, Slice collection, uint64_t *octets)
{
    enum { AT_ONCE = 500 };
    Buf after buf_scoped = {0};
    for (size_t count = AT_ONCE; count == AT_ONCE;) {
        Arena arena arena_scoped = {0};
        Slice *ids;
        TRY(object_list(a, collection, buf_slice(&after), AT_ONCE, &arena, &ids, &count));
        for (size_t i = 0; i < count; i++) {
            uint64_t len;
            if (!object_length(a, collection, ids[i], &len))
                *octets += annotation_octets(ids[i], len);
        }
        if (!count) break;
        buf_clear(&after);
        buf_add(&after, ids[count - 1]);
    }
    return OK;
}

PARKS Err annotations_count(Account *a, uint64_t *octets)
{
    *octets = 0;
    TRY(count_collection(a, S("annotation"), octets));
    return count_collection(a, S("note"), octets);
}
