#include "store/apply.h"

#include <stdlib.h>

/* The one place where a record changes memory; live commits and replay come through here alike, so
 * what a restart finds is what the sessions saw. An operation about a mailbox or email that is not
 * there is passed over: after damage to the medium records may be missing, and what is left still
 * counts. */

enum { OP_WEIGHT = 16 }; /* ADD takes as long as so many messages */

void apply_rest(Applying *ap, size_t did)
{
    if (!ap->pause || (ap->done += (uint32_t)did) < ap->piece) return;
    ap->done = 0;
    ap->pause();
}

void apply_news(Applying *ap, uint32_t mailbox)
{
    for (uint32_t i = 0; i < MIN(ap->news_count, COUNT(ap->news)); i++)
        if (ap->news[i] == mailbox) return;
    if (ap->news_count < COUNT(ap->news)) ap->news[ap->news_count] = mailbox;
    ap->news_count++;
}

/* ---- the feed ---- */

void apply_happened(Account *a, Happening h)
{
    h.by = a->by;
    list_each (l, &a->listeners) {
        Listener *listener = CONTAINER(l, Listener, link);
        if (listener->happened) listener->happened(listener, &h);
    }
}

Happening happening_about(HappeningKind kind, const Box *b)
{
    return (Happening){.kind = kind, .mailbox_id = b->s.id, .name = b->s.name};
}

void apply_came(Box *b, uint32_t first, uint32_t last)
{
    Happening h = happening_about(HAPPENED_NEW, b);
    h.uids = (UidRange){first, last};
    apply_happened(b->account, h);
}

void apply_box_changed(Applying *ap, Box *b)
{
    b->s.highest_modseq = ap->seq;
    b->state |= PAGE_DIRTY;
    ap->account->h.last_mail_seq = ap->seq;
    apply_news(ap, b->s.id);
}

void apply_boxes_changed(Applying *ap, uint32_t id)
{
    ap->account->h.last_mailbox_seq = ap->seq;
    apply_news(ap, id);
}

/* ---- the rest ---- */

static void tell_annotation(Account *a, Slice id)
{
    Happening h = {.kind = HAPPENED_METADATA};
    if (!annotation_id_parse(id, &h.mailbox_id, &h.who, &h.identifier)) return;
    const Box *b = box_by_id(a, h.mailbox_id);
    if (b) h.name = b->s.name;
    apply_happened(a, h);
}

static void apply_object(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    object_apply(a, ap->seq, op->name, op->id, op->on ? &op->value : NULL);
    if (slice_eq(op->name, S("annotation"))) tell_annotation(a, op->id);
    apply_happened(a, (Happening){.kind = HAPPENED_OBJECT, .name = op->name, .identifier = op->id});
    apply_news(ap, 0);
}

static void apply_quota(Applying *ap, const Op *op)
{
    Head *h = &ap->account->h;
    h->has_limit = true;
    memcpy(h->limit, op->limit, sizeof h->limit);
    apply_news(ap, 0);
}

static Slice keep(Slice s)
{
    char *copy = mem_new(s.len + 1);
    if (s.len) memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

static void apply_login(Applying *ap, const Op *op)
{
    Head *h = &ap->account->h;
    free((char *)h->login.at);
    h->login = keep(op->name);
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
    ap.piece = piece_of(APPLY_PIECE);
    RecordReader r;
    Op op;
    TRY(record_open(record, &r));
    ap.time = a->time = r.time;
    for (bool more = true; more;) {
        TRY(record_next(&r, &op, &more));
        if (more) TRY(apply_op(&ap, &op));
        apply_rest(&ap, OP_WEIGHT);
    }
    apply_loose_ends(&ap);
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
