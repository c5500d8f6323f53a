#include "store/model.h"

#include <stdlib.h>

/* The one place where a record changes memory; live commits and replay come through here alike, so
 * what a restart finds is what the sessions saw. An operation about a mailbox or email that is not
 * there is passed over: after damage to the medium records may be missing, and what is left still
 * counts. */

typedef struct {
    Account *account;
    uint64_t seq;
    uint32_t time;
    BlobRef body;
    uint32_t loose; /* eid of the last ADD while no LINK has taken it up */
    uint32_t news[8];
    uint32_t news_count;           /* beyond COUNT(news): tell all */
    uint16_t old_kwset, new_kwset; /* of the message flagged last: the next has mostly the same */
    bool kwset_known;
    void (*pause)(void);  /* NULL: all at once */
    uint32_t piece, done; /* how many messages between two rests, and since the last */
} Applying;

static void rest(Applying *ap, size_t did)
{
    if (!ap->pause || (ap->done += (uint32_t)did) < ap->piece) return;
    ap->done = 0;
    ap->pause();
}

static void note_news(Applying *ap, uint32_t mailbox)
{
    for (uint32_t i = 0; i < MIN(ap->news_count, COUNT(ap->news)); i++)
        if (ap->news[i] == mailbox) return;
    if (ap->news_count < COUNT(ap->news)) ap->news[ap->news_count] = mailbox;
    ap->news_count++;
}

/* ---- the feed ---- */

static void happened(Account *a, Happening h)
{
    h.by = a->by;
    list_each (l, &a->listeners) {
        Listener *listener = CONTAINER(l, Listener, link);
        if (listener->happened) listener->happened(listener, &h);
    }
}

static Happening about(HappeningKind kind, const Box *b)
{
    return (Happening){.kind = kind, .mailbox_id = b->s.id, .name = b->s.name};
}

static void came(Box *b, uint32_t first, uint32_t last)
{
    Happening h = about(HAPPENED_NEW, b);
    h.uids = (UidRange){first, last};
    happened(b->account, h);
}

static void box_changed(Applying *ap, Box *b)
{
    b->s.highest_modseq = ap->seq;
    b->state |= PAGE_DIRTY;
    ap->account->h.last_mail_seq = ap->seq;
    note_news(ap, b->s.id);
}

static void boxes_changed(Applying *ap, uint32_t id)
{
    ap->account->h.last_mailbox_seq = ap->seq;
    note_news(ap, id);
}

/* ---- emails and their links ---- */

static void loose_ends(Applying *ap)
{
    if (ap->loose) dead_mark(ap->account, ap->loose, 0);
    ap->loose = 0;
}

static void keep_summary(Account *a, uint32_t eid, Slice summary)
{
    NewSummary *s = mem_zero(sizeof *s + summary.len);
    s->eid = eid;
    s->state = PAGE_DIRTY;
    s->len = (uint32_t)summary.len;
    memcpy(s->at, summary.at, summary.len);
    free(number_table_put(&a->summaries, eid, s));
}

static Err apply_add(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    EmailPage *p;
    loose_ends(ap);
    TRY(email_page(a, op->eid / EMAILS, &p));
    Email *e = &p->emails[op->eid % EMAILS];
    if (e->thread)
        return fail(ERR_CORRUPT, "email %u of account %u added twice", op->eid, a->number);
    uint32_t thread;
    TRY(thread_join(a, op->eid, op->hashes, op->hash_count, &thread));
    bool known = op->prefix && op->prefix <= a->prefixes.count;
    *e = (Email){.ref = op->blob.at == BLOB_HERE ? ap->body : op->blob,
                 .thread = thread,
                 .header_len = op->header_len,
                 .prefix = op->prefix,
                 .prefix_len = known ? (uint32_t)a->prefixes.texts[op->prefix - 1].len : 0,
                 .shared = op->shared,
                 .staged = true,
                 .share_news = op->shared ? SHARE_NEW : SHARE_TOLD,
                 .dead_seq = ap->seq};
    email_dirty(a, p);
    if (op->summary.len) keep_summary(a, op->eid, op->summary);
    a->h.next_eid = MAX(a->h.next_eid, op->eid + 1);
    a->next_eid = MAX(a->next_eid, a->h.next_eid);
    ap->loose = op->eid;
    return OK;
}

static void link_add(Email *e, EmailLink link)
{
    if (e->link_count++) {
        e->more = mem_grow(e->more, array_bytes(e->link_count - 1, sizeof *e->more));
        e->more[e->link_count - 2] = link;
    } else {
        e->link = link;
    }
}

static void link_remove(Email *e, uint32_t mailbox, uint32_t uid)
{
    for (uint32_t i = 0; i < e->link_count; i++) {
        EmailLink *l = email_links(e, i);
        if (l->mailbox != mailbox || l->uid != uid) continue;
        *l = *email_links(e, e->link_count - 1);
        e->link_count--;
        return;
    }
}

static void quota_add(Account *a, const Box *b, const Message *m)
{
    if (box_is_kept(b)) return;
    a->h.used[QUOTA_STORAGE] += m->size;
    a->h.used[QUOTA_MESSAGE]++;
}

static void quota_less(Account *a, const Box *b, const Message *m)
{
    if (box_is_kept(b)) return;
    uint64_t *used = a->h.used;
    used[QUOTA_STORAGE] -= MIN(m->size, used[QUOTA_STORAGE]);
    if (used[QUOTA_MESSAGE]) used[QUOTA_MESSAGE]--;
}

static Err link_message(Applying *ap, Box *b, const Message *m)
{
    Account *a = ap->account;
    EmailPage *p;
    TRY(email_page(a, m->eid / EMAILS, &p));
    Email *e = &p->emails[m->eid % EMAILS];
    if (!e->thread) return OK;
    TRY(box_insert(b, m));
    if (ap->loose == m->eid)
        ap->loose = 0;
    else if (!e->link_count)
        dead_clear(a, m->eid);
    link_add(e, (EmailLink){b->s.id, m->uid, ap->time, ap->seq, 0});
    e->staged = false;
    email_dirty(a, p);
    quota_add(a, b, m);
    return OK;
}

static Err apply_link(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    Email *e;
    Err err = b ? email_entry(a, op->eid, &e) : ERR_EXPUNGED;
    if (err == ERR_EXPUNGED) return OK;
    TRY(err);
    OpNumbers none = {0};
    Message m = {.uid = op->uid,
                 .eid = op->eid,
                 .modseq = ap->seq,
                 .size = (uint32_t)email_size(e),
                 .date = op->date,
                 .flags = op->flags,
                 .kwset = kwset_change(a, 0, op->keywords, none, true)};
    came(b, m.uid, m.uid);
    TRY(link_message(ap, b, &m));
    box_changed(ap, b);
    return OK;
}

static Err unlink_message(Applying *ap, const Box *b, const Message *m)
{
    Account *a = ap->account;
    EmailPage *p;
    TRY(email_page(a, m->eid / EMAILS, &p));
    Email *e = &p->emails[m->eid % EMAILS];
    if (!PLANTED("quota_stays")) quota_less(a, b, m);
    if (m->marks & MARK_ANNOTATED) notes_drop(a, ap->seq, b->s.id, m);
    if (!e->thread) return OK;
    link_remove(e, b->s.id, m->uid);
    email_dirty(a, p);
    if (e->link_count) return OK;
    e->dead_seq = ap->seq;
    e->dead_time = ap->time;
    dead_mark(a, m->eid, ap->time);
    return OK;
}

/* ---- many messages ---- */

enum { PIECE = 1024, OP_WEIGHT = 16 /* ADD takes as long as so many messages */ };

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
    size_t room = MIN(b->s.exists, (uint32_t)PIECE) + 1;
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
    uint32_t most = piece_of(PIECE);
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
    rest(ap, p->count);
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
    happened(ap->account, about(HAPPENED_EXPUNGED, b));
    box_changed(ap, b);
    return OK;
}

static Err unlink_piece(Applying *ap, Pieces *p)
{
    piece_take(p);
    for (size_t i = 0; i < p->count; i++)
        TRY(unlink_message(ap, p->box, &p->messages[i]));
    return OK;
}

static Err apply_unlink(Applying *ap, const Op *op)
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

static Err move_message(Applying *ap, Box *from, Box *to, const Message *was, const Message *copy)
{
    EmailPage *p;
    TRY(email_page(ap->account, was->eid / EMAILS, &p));
    TRY(box_insert(to, copy));
    quota_less(ap->account, from, was);
    quota_add(ap->account, to, copy);
    Email *e = &p->emails[was->eid % EMAILS];
    if (!e->thread) return OK;
    if (was->marks & MARK_ANNOTATED) notes_drop(ap->account, ap->seq, from->s.id, was);
    link_remove(e, from->s.id, was->uid);
    uint32_t origin = box_is_kept(to) ? from->s.id : 0;
    link_add(e, (EmailLink){to->s.id, copy->uid, ap->time, ap->seq, origin});
    email_dirty(ap->account, p);
    return OK;
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
        err = move ? move_message(ap, p->box, to, source, &copy) : link_message(ap, to, &copy);
        if (!copies->first) copies->first = copy.uid;
        copies->last = copy.uid;
    }
    if (move && !err) err = piece_expunged(ap, p);
    return err;
}

static Err apply_copy(Applying *ap, const Op *op)
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
        came(to, copies.first, copies.last);
        box_changed(ap, to);
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

static Err apply_flag(Applying *ap, const Op *op)
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
            rest(ap, 1);
        }
        if (op->who) TRY(flag_for_other(ap, op, b, range));
    }
    Happening h = about(HAPPENED_FLAGS, b);
    h.seen = (op->flags | op->clear) & FLAG_SEEN;
    h.who = op->who;
    happened(ap->account, h);
    box_changed(ap, b);
    return OK;
}

/* ---- annotations of messages ---- */

static void tell_notes(Box *b, const Op *op, UidRange range)
{
    Reader in = reader(op->value);
    NoteChange n;
    while (note_change_next(&in, &n)) {
        Happening h = about(HAPPENED_ANNOTATION, b);
        h.uids = range;
        h.who = n.who;
        h.identifier = n.entry;
        happened(b->account, h);
    }
}

static Err apply_annotate(Applying *ap, const Op *op)
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
            rest(ap, 1);
        }
        tell_notes(b, op, range);
    }
    box_changed(ap, b);
    return OK;
}

/* ---- mailboxes ---- */

static Slice keep(Slice s)
{
    char *copy = mem_new(s.len + 1);
    if (s.len) memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

static void apply_create(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    if (box_by_id(a, op->mailbox) || box_by_name(a, op->name)) return;
    Box *b = NEW(Box);
    b->account = a;
    b->s = (BoxState){.id = op->mailbox,
                      .uid_validity = op->uid_validity,
                      .uid_next = 1,
                      .recent_from = 1,
                      .created_modseq = ap->seq,
                      .highest_modseq = ap->seq,
                      .role = op->role,
                      .name = name_keep(op->name)};
    b->next_uid = 1;
    b->loaded = true;
    b->state = PAGE_DIRTY;
    list_init(&b->views);
    list_init(&b->opened);
    box_file(a, b);
    a->h.next_mailbox = MAX(a->h.next_mailbox, op->mailbox + 1);
    a->next_mailbox = MAX(a->next_mailbox, a->h.next_mailbox);
    a->h.next_uid_validity = MAX(a->h.next_uid_validity, op->uid_validity + 1);
    a->next_uid_validity = MAX(a->next_uid_validity, a->h.next_uid_validity);
    happened(a, about(HAPPENED_CREATED, b));
    boxes_changed(ap, op->mailbox);
}

static void apply_rename(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    if (!b || box_by_name(a, op->name)) return;
    box_unfile(a, b);
    Slice old = b->s.name;
    b->s.name = name_keep(op->name);
    b->state |= PAGE_DIRTY;
    box_file(a, b);
    Happening h = about(HAPPENED_RENAMED, b);
    h.old_name = old;
    happened(a, h);
    name_free(old);
    boxes_changed(ap, b->s.id);
}

static void box_bury(Account *a, Box *b)
{
    if (a->dead_box_count == a->dead_box_room) {
        a->dead_box_room = MAX(a->dead_box_room * 2, 4u);
        a->dead_boxes = mem_grow(a->dead_boxes, array_bytes(a->dead_box_room, sizeof(uint32_t)));
    }
    a->dead_boxes[a->dead_box_count++] = b->s.id;
    box_unfile(a, b);
    b->gone = true;
    b->state = b->slots_state = b->vanished_state = 0;
    if (!b->handles) box_free(b);
}

static Err apply_delete(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    if (!b) return OK;
    TRY(box_load(b));
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
    TRY(err);
    happened(a, about(HAPPENED_DELETED, b));
    boxes_changed(ap, b->s.id);
    views_nudge(b);
    box_bury(a, b);
    return OK;
}

static void apply_acl(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return;
    Buf acl = {0};
    Reader in = reader(b->s.acl);
    Slice identifier;
    uint32_t rights, old_rights = 0;
    while (acl_next(&in, &identifier, &rights)) {
        if (slice_eq(identifier, op->name)) {
            old_rights = rights;
            continue;
        }
        buf_bytes(&acl, identifier);
        buf_varint(&acl, rights);
    }
    if (op->rights) {
        buf_bytes(&acl, op->name);
        buf_varint(&acl, op->rights);
    }
    free((char *)b->s.acl.at);
    b->s.acl = buf_slice(&acl);
    b->state |= PAGE_DIRTY;
    box_acl_changed(b);
    Happening h = about(HAPPENED_RIGHTS, b);
    h.identifier = op->name;
    h.old_rights = old_rights;
    h.rights = op->rights;
    happened(ap->account, h);
    boxes_changed(ap, b->s.id);
}

static void apply_role(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return;
    b->s.role = op->role;
    b->state |= PAGE_DIRTY;
    boxes_changed(ap, b->s.id);
}

static void apply_subscribe(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    if (subscribed_has(a, op->name) == op->on) return;
    subscribed_set(a, op->name, op->on);
    happened(a, (Happening){.kind = HAPPENED_SUBSCRIBED, .name = op->name, .on = op->on});
    boxes_changed(ap, 0);
}

/* ---- the rest ---- */

static void tell_annotation(Account *a, Slice id)
{
    Happening h = {.kind = HAPPENED_METADATA};
    if (!annotation_id_parse(id, &h.mailbox_id, &h.who, &h.identifier)) return;
    const Box *b = box_by_id(a, h.mailbox_id);
    if (b) h.name = b->s.name;
    happened(a, h);
}

static void apply_object(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    object_apply(a, ap->seq, op->name, op->id, op->on ? &op->value : NULL);
    if (slice_eq(op->name, S("annotation"))) tell_annotation(a, op->id);
    happened(a, (Happening){.kind = HAPPENED_OBJECT, .name = op->name, .identifier = op->id});
    note_news(ap, 0);
}

static void apply_quota(Applying *ap, const Op *op)
{
    Head *h = &ap->account->h;
    h->has_limit = true;
    memcpy(h->limit, op->limit, sizeof h->limit);
    note_news(ap, 0);
}

static void apply_login(Applying *ap, const Op *op)
{
    Head *h = &ap->account->h;
    free((char *)h->login.at);
    h->login = keep(op->name);
}

/* An imported mailbox goes on where it was (RFC 9051 2.3.1.1): its numbers stay known to clients.
 */
static void apply_validity(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    if (!b) return;
    b->s.uid_validity = op->uid_validity;
    b->s.uid_next = MAX(b->s.uid_next, op->uid);
    b->next_uid = MAX(b->next_uid, b->s.uid_next);
    b->state |= PAGE_DIRTY;
    a->h.next_uid_validity = MAX(a->h.next_uid_validity, op->uid_validity + 1);
    a->next_uid_validity = MAX(a->next_uid_validity, a->h.next_uid_validity);
    happened(a, about(HAPPENED_UIDVALIDITY, b));
    boxes_changed(ap, b->s.id);
}

static void apply_skip(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    a->h.next_eid = MAX(a->h.next_eid, op->eid);
    a->next_eid = MAX(a->next_eid, a->h.next_eid);
}

static Err apply_op(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    switch (op->kind) {
    case OP_ADD:
        return apply_add(ap, op);
    case OP_LINK:
        return apply_link(ap, op);
    case OP_COPY:
    case OP_MOVE:
        return apply_copy(ap, op);
    case OP_UNLINK:
        return apply_unlink(ap, op);
    case OP_FLAG:
        return apply_flag(ap, op);
    case OP_ANNOTATE:
        return apply_annotate(ap, op);
    case OP_CREATE:
        apply_create(ap, op);
        break;
    case OP_RENAME:
        apply_rename(ap, op);
        break;
    case OP_DELETE:
        return apply_delete(ap, op);
    case OP_ROLE:
        apply_role(ap, op);
        break;
    case OP_ACL:
        apply_acl(ap, op);
        break;
    case OP_SUBSCRIBE:
        apply_subscribe(ap, op);
        break;
    case OP_KEYWORD:
        text_table_define(&a->keywords, op->uid, op->name);
        break;
    case OP_PREFIX:
        text_table_define(&a->prefixes, op->uid, op->name);
        break;
    case OP_OBJECT:
        apply_object(ap, op);
        break;
    case OP_QUOTA:
    case OP_LIMITS:
        apply_quota(ap, op);
        break;
    case OP_LOGIN:
        apply_login(ap, op);
        break;
    case OP_SKIP:
        apply_skip(ap, op);
        break;
    case OP_VALIDITY:
        apply_validity(ap, op);
        break;
    case OP_NONE:
    case OP_END:
        break;
    }
    return OK;
}

static void tell_box(Account *a, uint32_t mailbox)
{
    Box *b = mailbox ? box_by_id(a, mailbox) : NULL;
    if (b) views_nudge(b);
    list_each (l, &a->listeners) {
        Listener *listener = CONTAINER(l, Listener, link);
        if (listener->changed) listener->changed(listener, mailbox);
    }
}

static void tell(Applying *ap)
{
    Account *a = ap->account;
    bool all = ap->news_count > COUNT(ap->news);
    for (uint32_t i = 0; !all && i < ap->news_count; i++)
        tell_box(a, ap->news[i]);
    for (uint32_t i = 0; all && i < a->box_count; i++)
        tell_box(a, a->boxes[i]->s.id);
    if (all) tell_box(a, 0);
}

static Err apply(Account *a, uint64_t seq, Slice record, BlobRef body, void (*pause)(void))
{
    Applying ap = {.account = a, .seq = seq, .body = body, .pause = pause};
    ap.piece = piece_of(PIECE);
    RecordReader r;
    Op op;
    TRY(record_open(record, &r));
    ap.time = a->time = r.time;
    for (bool more = true; more;) {
        TRY(record_next(&r, &op, &more));
        if (more) TRY(apply_op(&ap, &op));
        rest(&ap, OP_WEIGHT);
    }
    loose_ends(&ap);
    a->h.seq = seq;
    account_touch(a);
    tell(&ap);
    return OK;
}

Err apply_record(Account *a, uint64_t seq, Slice record, BlobRef body)
{
    return apply(a, seq, record, body, NULL);
}

PARKS Err apply_in_pieces(Account *a, uint64_t seq, Slice record, BlobRef body)
{
    return apply(a, seq, record, body, breathe);
}

Err apply_relocation(Account *a, uint32_t eid, uint64_t old_at, BlobRef now)
{
    EmailPage *p;
    for (uint32_t i = 0; i < a->drop_count; i++) /* one that a failed fold has left to tell */
        if (a->drops[i].ref.at == old_at) a->drops[i].ref = now;
    TRY(email_page(a, eid / EMAILS, &p));
    Email *e = &p->emails[eid % EMAILS];
    if (!e->thread || e->ref.at != old_at) return OK;
    e->ref = now;
    email_dirty(a, p);
    return OK;
}
