#include "store/apply.h"

#include <stdlib.h>

/* An operation about an email or mailbox that is not there is passed over (apply.c). */

void apply_loose_ends(Applying *ap)
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

Err apply_add(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    EmailPage *p;
    apply_loose_ends(ap);
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

Err message_link(Applying *ap, Box *b, const Message *m)
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

Err apply_link(Applying *ap, const Op *op)
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
    apply_came(b, m.uid, m.uid);
    TRY(message_link(ap, b, &m));
    apply_box_changed(ap, b);
    return OK;
}

Err message_unlink(Applying *ap, const Box *b, const Message *m)
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

Err message_move(Applying *ap, Box *from, Box *to, const Message *was, const Message *copy)
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
