#include "store/model.h"

#include <stdlib.h>

/* COPY and MOVE from one account into another. The messages are read at home of the one and written
 * at home of the other, where one record shows all of them; only then does a MOVE remove them here.
 * So a crash between the two leaves them in both, never in none. */

typedef struct {
    uint32_t uid, eid, size, date;
    uint8_t flags;
    Slice keywords;
    Annotations annotations;
} Carried;

typedef struct {
    Mailbox *from, *to;
    Loop *source;
    Arena *arena;
    Carried *list;
    size_t count, room;
    uint32_t *uids; /* out */
    uint32_t uid_validity;
    Err err;
} Carry;

/* ---- here ---- */

/* RFC 5257 4.6: what this user sees of them, as far as he may put it there. */
static PARKS Annotations annotations_of(const Carry *c, const Message *m)
{
    Annotations all;
    (void)!message_annotations(c->from, m, c->arena, &all); /* who copies may read them */
    Annotations kept = {.list = all.list};
    for (size_t i = 0; i < all.count; i++) {
        unsigned need = all.list[i].shared ? RIGHT_ANNOTATE : RIGHT_READ;
        if (c->to->rights & need) kept.list[kept.count++] = all.list[i];
    }
    return kept;
}

static PARKS void carry_add(Carry *c, const Message *m)
{
    if (c->count == c->room) {
        c->room = MAX(c->room * 2, (size_t)16);
        c->list = mem_grow(c->list, array_bytes(c->room, sizeof *c->list));
    }
    Annotations annotations = annotations_of(c, m);
    Slice keywords = kwset_text(c->from->account, m->kwset);
    c->list[c->count++] = (Carried){.uid = m->uid,
                                    .eid = m->eid,
                                    .size = m->size,
                                    .date = m->date,
                                    .flags = m->flags,
                                    .keywords = arena_copy(c->arena, keywords),
                                    .annotations = annotations};
}

static PARKS void gather(Carry *c, const UidSet *uids)
{
    for (size_t i = 0; i < uids->count; i++) {
        UidRange r = uids->ranges[i];
        const Message *m = mailbox_next(c->from, r.first);
        for (; m && m->uid <= r.last; m = mailbox_next(c->from, m->uid + 1))
            carry_add(c, m);
    }
}

typedef struct {
    Account *account;
    const Carried *message;
    Draft *draft;
    Err err;
} Reading;

enum { PIECE = 64 * 1024 };

static PARKS Err read_all(const Reading *r)
{
    Buf piece buf_scoped = {0};
    const Carried *m = r->message;
    buf_reserve(&piece, MIN(m->size, (uint32_t)PIECE));
    for (uint32_t at = 0; at < m->size; at += MIN(m->size - at, (uint32_t)PIECE)) {
        size_t len = MIN(m->size - at, (uint32_t)PIECE);
        TRY(email_read(r->account, m->eid, at, piece.at, len));
        TRY(draft_write(r->draft, slice(piece.at, len)));
    }
    return OK;
}

static PARKS void read_here(void *arg)
{
    Reading *r = arg;
    r->err = read_all(r);
}

/* ---- there ---- */

static Keywords keywords_of(Arena *a, Slice text)
{
    size_t n = 0;
    Slice *names = arena_array(a, Slice, text.len / 2 + 1), name;
    while (slice_cut(&text, ' ', &name))
        names[n++] = name;
    return (Keywords){names, n};
}

static PARKS Err carry_one(Carry *c, const Carried *m, Drafts *drafts)
{
    Draft *draft scoped(draft) = NULL;
    Arena arena arena_scoped = {0};
    TRY(draft_begin(c->to->account->store, m->size, &draft));
    Reading r = {.account = c->from->account, .message = m, .draft = draft};
    loop_call(c->source, read_here, &r);
    TRY(r.err);
    DraftPlace place = {.flags = m->flags,
                        .keywords = keywords_of(&arena, m->keywords),
                        .date = MAX(m->date, 1u),
                        .annotations = m->annotations};
    Draft *given = draft;
    draft = NULL;
    return drafts_add(drafts, given, &place);
}

static PARKS Err carry_all(Carry *c)
{
    Drafts *drafts scoped(drafts) = NULL;
    TRY(mailbox_check(c->to));
    if (box_is_kept(c->to->box)) return fail(ERR_CANNOT, "nothing can be put there");
    TRY(mailbox_need(c->to, RIGHT_INSERT));
    TRY(drafts_begin(c->to, &drafts));
    for (size_t i = 0; i < c->count; i++)
        TRY(carry_one(c, &c->list[i], drafts));
    c->uid_validity = c->to->box->s.uid_validity;
    return drafts_commit(drafts, c->uids);
}

static PARKS void carry_there(void *arg)
{
    Carry *c = arg;
    c->err = carry_all(c);
}

/* ---- and here again ---- */

static PARKS Err remove_here(Mailbox *from, const UidSet *uids)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(from->account, &c));
    TRY(mailbox_check(from));
    TRY(box_load(from->box));
    TRY(warm_emails(from->box, uids));
    change_op(&c, &(Op){.kind = OP_UNLINK, .mailbox = from->box->s.id}, &(OpLists){.uids = uids});
    return change_commit(&c);
}

static PARKS Err carry(Carry *c, bool move, CopyResult *result)
{
    if (!c->count) return OK;
    c->uids = mem_zero(array_bytes(c->count, sizeof *c->uids));
    loop_call(c->to->account->home->loop, carry_there, c);
    TRY(c->err);
    for (size_t i = 0; i < c->count; i++) {
        uidset_add(c->arena, &result->source, c->list[i].uid, c->list[i].uid);
        uidset_add(c->arena, &result->copies, c->uids[i], c->uids[i]);
    }
    result->uid_validity = c->uid_validity;
    return move ? remove_here(c->from, &result->source) : OK;
}

PARKS Err mailbox_carry(Mailbox *from, const UidSet *uids, Mailbox *to, bool move, Arena *a,
                        CopyResult *result)
{
    Carry c = {.from = from, .to = to, .source = loop_current(), .arena = a};
    *result = (CopyResult){0};
    TRY(mailbox_check(from));
    TRY(mailbox_need(from, RIGHT_READ));
    if (move && !box_is_kept(from->box))
        TRY(mailbox_need(from, RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE));
    TRY(box_load(from->box));
    gather(&c, uids);
    Err err = carry(&c, move, result);
    free(c.list);
    free(c.uids);
    return err;
}
