#include "store/apply.h"

#include <stdlib.h>

/* The messages of an operation, so many at once that nobody waits long for them. What is seen
 * between two pieces holds together: messages are in one mailbox or the other, and views know who
 * has gone. */
typedef struct {
    Box *box;
    OpRanges uids;
    UidRange range; /* what is left of the one we are in */
    bool inside;
    uint32_t nth; /* of the uids listed, that of range.first */
    UidRange now; /* the piece ... */
    uint32_t now_nth;
    Message *messages; /* ... and who was taken or listed there */
    size_t count;
    uint32_t all, last; /* how many so far, and the last of them */
} Pieces;

static Pieces pieces_of(Box *b, OpRanges uids)
{
    size_t room = MIN(b->s.exists, (uint32_t)APPLY_PIECE) + 1;
    return (Pieces){
        .box = b, .uids = uids, .messages = mem_new(array_bytes(room, sizeof(Message)))};
}

static bool range_next(Pieces *p)
{
    if (p->inside) p->nth += p->range.last - p->range.first + 1;
    return p->inside = op_range_next(&p->uids, &p->range);
}

static bool piece_next(Pieces *p)
{
    uint32_t most = piece_of(APPLY_PIECE);
    for (;;) {
        const Message *m = p->inside ? box_next(p->box, p->range.first) : NULL;
        if (m && m->uid <= p->range.last) {
            p->now_nth = p->nth + (m->uid - p->range.first);
            p->now = (UidRange){m->uid, m->uid + MIN(most - 1, p->range.last - m->uid)};
            return true;
        }
        if (!range_next(p)) return false;
    }
}

/* Behind the piece. */
static void piece_done(Applying *ap, Pieces *p)
{
    uint32_t next = p->now.last + 1, step = next - p->range.first;
    p->all += (uint32_t)p->count;
    if (p->count) p->last = p->messages[p->count - 1].uid;
    apply_rest(ap, p->count);
    if (p->now.last == p->range.last) {
        range_next(p);
        return;
    }
    p->nth += step;
    p->range.first = next;
}

static void piece_take(Pieces *p)
{
    p->count = box_take(p->box, p->now, p->messages);
}

static void piece_list(Pieces *p)
{
    p->count = 0;
    const Message *m = box_next(p->box, p->now.first);
    for (; m && m->uid <= p->now.last; m = box_next(p->box, m->uid + 1))
        p->messages[p->count++] = *m;
}

static Err piece_expunged(Applying *ap, const Pieces *p)
{
    TRY(vanished_add(p->box, ap->seq, p->messages, p->count));
    views_expunged(p->box, p->messages, p->count, ap->seq);
    return OK;
}

static Err all_expunged(Applying *ap, const Pieces *p)
{
    Box *b = p->box;
    if (!p->all) return OK;
    if (b->s.uid_next == p->last + 1 && PLANTED("uid_again")) b->s.uid_next = --b->next_uid;
    TRY(vanished_forget(b));
    apply_happened(ap->account, happening_about(HAPPENED_EXPUNGED, b));
    apply_box_changed(ap, b);
    return OK;
}

static Err unlink_piece(Applying *ap, Pieces *p)
{
    piece_take(p);
    for (size_t i = 0; i < p->count; i++)
        TRY(message_unlink(ap, p->box, &p->messages[i]));
    return OK;
}

Err apply_unlink(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return OK;
    TRY(box_load(b));
    Pieces p = pieces_of(b, op->uids);
    Err err = OK;
    while (!err && piece_next(&p)) {
        err = unlink_piece(ap, &p);
        if (!err) err = piece_expunged(ap, &p);
        piece_done(ap, &p);
    }
    if (!err) err = all_expunged(ap, &p);
    free(p.messages);
    return err;
}

Err messages_unlink_all(Applying *ap, Box *b)
{
    Pieces p = pieces_of(b, (OpRanges){0});
    p.range = (UidRange){1, UINT32_MAX};
    p.inside = true;
    Err err = OK;
    while (!err && piece_next(&p)) {
        err = unlink_piece(ap, &p);
        if (!err) views_expunged(b, p.messages, p.count, ap->seq);
        piece_done(ap, &p);
    }
    free(p.messages);
    return err;
}

/* The i-th listed uid becomes op->uid + i. */
static Err copy_piece(Applying *ap, const Op *op, Box *to, Pieces *p, UidRange *copies)
{
    NotesCopy notes = {p->box->s.id, to->s.id, op->who, op->on};
    bool move = op->kind == OP_MOVE;
    Err err = OK;
    move ? piece_take(p) : piece_list(p);
    for (size_t i = 0; i < p->count && !err; i++) {
        const Message *source = &p->messages[i];
        Message copy = *source;
        copy.uid = op->uid + p->now_nth + (source->uid - p->now.first);
        copy.modseq = ap->seq;
        notes_apply_copy(ap->account, ap->seq, &notes, source, &copy);
        err = move ? message_move(ap, p->box, to, source, &copy) : message_link(ap, to, &copy);
        if (!copies->first) copies->first = copy.uid;
        copies->last = copy.uid;
    }
    if (move && !err) err = piece_expunged(ap, p);
    return err;
}

Err apply_copy(Applying *ap, const Op *op)
{
    Box *from = box_by_id(ap->account, op->mailbox), *to = box_by_id(ap->account, op->to);
    if (!from || !to) return OK;
    TRY(box_load(from));
    Pieces p = pieces_of(from, op->uids);
    UidRange copies = {0};
    Err err = OK;
    while (!err && piece_next(&p)) {
        err = copy_piece(ap, op, to, &p, &copies);
        piece_done(ap, &p);
    }
    if (op->kind == OP_MOVE && !err) err = all_expunged(ap, &p);
    if (copies.first) {
        apply_came(to, copies.first, copies.last);
        apply_box_changed(ap, to);
    }
    free(p.messages);
    return err;
}

/* ---- flags ---- */

static Err flag_for_other(Applying *ap, const Op *op, Box *b, UidRange range)
{
    if (op->flags & FLAG_SEEN) TRY(seen_change(ap->account, b->s.id, op->who, range, true));
    if (op->clear & FLAG_SEEN) TRY(seen_change(ap->account, b->s.id, op->who, range, false));
    return OK;
}

/* Another user's \Seen is kept apart; the rest of a change is everybody's. */
static void flag_message(Applying *ap, const Op *op, Box *b, Message *m)
{
    uint8_t ours = op->who ? (uint8_t)~FLAG_SEEN : UINT8_MAX;
    uint8_t flags = (uint8_t)((m->flags & ~(op->clear & ours)) | (op->flags & ours));
    if (!ap->kwset_known || ap->old_kwset != m->kwset)
        ap->new_kwset = kwset_change(ap->account, m->kwset, op->keywords, op->unwanted,
                                     op->how == FLAG_HOW_REPLACE);
    ap->old_kwset = m->kwset;
    ap->kwset_known = true;
    views_overlaid(b, m);
    box_flag(b, m, flags, ap->new_kwset, ap->seq);
}

Err apply_flag(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return OK;
    TRY(box_load(b));
    OpRanges uids = op->uids;
    UidRange range;
    ap->kwset_known = false;
    while (op_range_next(&uids, &range)) {
        Message *m = box_next(b, range.first);
        for (uint32_t uid; m && m->uid <= range.last; m = box_next(b, uid + 1)) {
            uid = m->uid;
            flag_message(ap, op, b, m);
            apply_rest(ap, 1);
        }
        if (op->who) TRY(flag_for_other(ap, op, b, range));
    }
    Happening h = happening_about(HAPPENED_FLAGS, b);
    h.seen = (op->flags | op->clear) & FLAG_SEEN;
    h.who = op->who;
    apply_happened(ap->account, h);
    apply_box_changed(ap, b);
    return OK;
}

/* ---- annotations of messages ---- */

static void tell_notes(Box *b, const Op *op, UidRange range)
{
    Reader in = reader(op->value);
    NoteChange n;
    while (note_change_next(&in, &n)) {
        Happening h = happening_about(HAPPENED_ANNOTATION, b);
        h.uids = range;
        h.who = n.who;
        h.identifier = n.entry;
        apply_happened(b->account, h);
    }
}

Err apply_annotate(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return OK;
    TRY(box_load(b));
    OpRanges uids = op->uids;
    UidRange range;
    while (op_range_next(&uids, &range)) {
        Message *m = box_next(b, range.first);
        for (uint32_t uid; m && m->uid <= range.last; m = box_next(b, uid + 1)) {
            uid = m->uid;
            notes_apply(ap->account, ap->seq, b->s.id, m, op->value);
            views_overlaid(b, m);
            box_flag(b, m, m->flags, m->kwset, ap->seq);
            apply_rest(ap, 1);
        }
        tell_notes(b, op, range);
    }
    apply_box_changed(ap, b);
    return OK;
}
