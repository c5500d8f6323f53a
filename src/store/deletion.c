#include "base/text.h"
#include "store/model.h"

/* What an expunge means. RFC 9051 6.4.3 says "permanently removes"; whose mail it is may want it
 * otherwise. The client is told the same in every case: the message has left this mailbox. */

/* ---- the preference ---- */

static bool parse_word(Slice word, Deletion *d)
{
    uint64_t days;
    if (slice_eq(word, S("expunge=gone")))
        d->expunge_to_trash = false;
    else if (slice_eq(word, S("expunge=trash")))
        d->expunge_to_trash = true;
    else if (slice_eq(word, S("deleted=mark")))
        d->deleted_to_trash = false;
    else if (slice_eq(word, S("deleted=trash")))
        d->deleted_to_trash = true;
    else if (slice_starts(word, S("keep=")) && slice_to_u64(slice_from(word, 5), &days) &&
             days <= KEEP_DAYS_MOST)
        d->keep_days = (uint32_t)days;
    else
        return false;
    return true;
}

bool deletion_parse(Slice text, Deletion *d)
{
    bool understood = true;
    for (Slice word; slice_cut(&text, ' ', &word);)
        if (word.len && !parse_word(word, d)) understood = false;
    return understood;
}

void deletion_print(Buf *out, const Deletion *d)
{
    buf_printf(out, "expunge=%s keep=%u deleted=%s", d->expunge_to_trash ? "trash" : "gone",
               d->keep_days, d->deleted_to_trash ? "trash" : "mark");
}

Err account_deletion(Account *a, Deletion *d)
{
    Arena arena arena_scoped = {0};
    const StoreOptions *o = &a->store->options;
    Slice text;
    *d = (Deletion){.expunge_to_trash = o->expunge_to_trash,
                    .deleted_to_trash = o->deleted_to_trash,
                    .keep_days = MIN(o->undelete_days, (uint32_t)KEEP_DAYS_MOST)};
    Err err = object_find(a, S("pref"), S("deletion"), &arena, &text, NULL);
    if (!err) (void)deletion_parse(text, d); /* words of a later version are not for us */
    return err == ERR_NOT_FOUND ? OK : err;
}

/* With something to keep comes the place for it, so that its view is there from now on. */
PARKS Err account_set_deletion(Account *a, const Deletion *d)
{
    Change c change_scoped = {0};
    Buf text buf_scoped = {0};
    deletion_print(&text, d);
    TRY(change_begin_alone(a, &c));
    change_op(&c,
              &(Op){.kind = OP_OBJECT,
                    .on = true,
                    .name = S("pref"),
                    .id = S("deletion"),
                    .value = buf_slice(&text)},
              NULL);
    if (d->keep_days && !box_by_name(a, KEPT_NAME)) change_create(&c, KEPT_NAME, ROLE_KEPT);
    return change_commit(&c);
}

/* ---- where expunged messages go ---- */

typedef struct {
    Change *change;
    Box *from;
    const UidSet *doomed;
    Arena *arena;
    UidSet last, copies; /* of `doomed`: without, and with, another copy */
    uint32_t count;      /* in `last` */
    bool marked;         /* one of them is \Deleted */
} Expunge;

/* The Trash of the account, or a mailbox that is called so. */
static Box *find_trash(Account *a)
{
    for (uint32_t i = 0; i < a->box_count; i++)
        if (role_has((Role)a->boxes[i]->s.role, ROLE_TRASH)) return a->boxes[i];
    return box_by_name(a, S("Trash"));
}

/* A client that cannot MOVE copies, marks and expunges. Then the message is not lost, and a second
 * one in Trash, or back after an undelete, would be in the way. */
static bool has_copy(const Expunge *x, Email *e, const Message *m)
{
    const Box *kept = box_by_name(x->from->account, KEPT_NAME);
    for (uint32_t i = 0; i < e->link_count; i++) {
        const EmailLink *l = email_links(e, i);
        if (kept && l->mailbox == kept->s.id) continue;
        bool goes_too = l->mailbox == x->from->s.id && uidset_has(x->doomed, l->uid);
        if (!goes_too || l->uid > m->uid) return true; /* the last of several stands for all */
    }
    return false;
}

PARKS static Err sort_out(Expunge *x)
{
    enum { BREATH = 1024 };
    uint32_t seen = 0, uid;
    Box *b = x->from;
    for (size_t i = 0; i < x->doomed->count; i++) {
        const Message *m = box_next(b, x->doomed->ranges[i].first);
        for (; m && m->uid <= x->doomed->ranges[i].last; m = box_next(b, uid + 1)) {
            Email *e;
            uid = m->uid;
            TRY(email_entry(b->account, m->eid, &e));
            bool copy = has_copy(x, e, m);
            uidset_add(x->arena, copy ? &x->copies : &x->last, m->uid, m->uid);
            x->count += !copy;
            x->marked |= !copy && m->flags & FLAG_DELETED;
            if (++seen % BREATH == 0) breathe();
        }
    }
    return OK;
}

static void unlink_op(Expunge *x, const UidSet *uids)
{
    Op op = {.kind = OP_UNLINK, .mailbox = x->from->s.id};
    if (uids->count) change_op(x->change, &op, &(OpLists){.uids = uids});
}

/* \Deleted stays behind: whoever expunges Trash, or finds the message back, did not mean it. */
static Err move_op(Expunge *x, Box *to, uint32_t id)
{
    uint32_t first = to ? to->next_uid : 1;
    if (!x->count) return OK;
    if (x->count > UINT32_MAX - 1 - first) return fail(ERR_LIMIT, "uids are used up");
    UidRange range = {first, first + x->count - 1};
    Op move = {.kind = OP_MOVE,
               .mailbox = x->from->s.id,
               .to = id,
               .uid = first,
               .who = NOTES_OF_ALL,
               .on = true};
    change_op(x->change, &move, &(OpLists){.uids = &x->last});
    if (to) to->next_uid = range.last + 1;
    if (!x->marked) return OK;
    Op unmark = {.kind = OP_FLAG, .mailbox = id, .clear = FLAG_DELETED};
    change_op(x->change, &unmark,
              &(OpLists){
                  .uids = &(UidSet){.ranges = &range, .count = 1}
    });
    return OK;
}

PARKS static Err expunge(Expunge *expunge, bool to_trash, bool keep)
{
    Expunge x = *expunge;
    Change *c = x.change;
    Account *account = c->account;
    Box *trash = find_trash(account);
    to_trash = to_trash && x.from != trash;
    if (!to_trash && !keep) {
        unlink_op(&x, x.doomed);
        return OK;
    }
    TRY(sort_out(&x));
    unlink_op(&x, &x.copies);
    Box *to = to_trash ? trash : box_by_name(account, KEPT_NAME);
    uint32_t id = to ? to->s.id : 0;
    if (!to && x.count)
        id = to_trash ? change_create(c, S("Trash"), ROLE_TRASH)
                      : change_create(c, KEPT_NAME, ROLE_KEPT);
    return move_op(&x, to, id);
}

PARKS Err change_expunge(Change *c, Box *b, const UidSet *doomed, bool may_trash, Arena *a)
{
    Expunge x = {.change = c, .from = b, .doomed = doomed, .arena = a};
    Deletion d;
    TRY(account_deletion(c->account, &d));
    return expunge(&x, may_trash && d.expunge_to_trash, d.keep_days);
}

PARKS Err change_trash(Change *c, Box *b, const UidSet *doomed, Arena *a)
{
    Expunge x = {.change = c, .from = b, .doomed = doomed, .arena = a, .marked = true};
    if (b == find_trash(c->account) || box_is_kept(b)) return OK;
    return expunge(&x, true, false);
}

/* The name of a mailbox outlives it for as long as its messages can be brought back. */
static void keep_name(Change *c, const Box *b, Arena *a)
{
    Slice id = arena_printf(a, "%08x", b->s.id);
    Slice value = arena_printf(a, "%u %.*s", (unsigned)wall_seconds(), SP(b->s.name));
    change_op(c, &(Op){.kind = OP_OBJECT, .on = true, .name = S("kept"), .id = id, .value = value},
              NULL);
}

PARKS Err change_expunge_all(Change *c, Box *b, Arena *a)
{
    enum { BREATH = 4096 };
    uint32_t seen = 0, uid;
    UidSet all = {0};
    Deletion d;
    TRY(box_load_calmly(b));
    TRY(account_deletion(c->account, &d));
    for (const Message *m = box_next(b, 1); m; m = box_next(b, uid + 1)) {
        uid = m->uid;
        uidset_add(a, &all, uid, uid);
        if (++seen % BREATH == 0) breathe();
    }
    if (d.keep_days) keep_name(c, b, a);
    if (!all.count) return OK;
    return change_expunge(c, b, &all, true, a);
}
