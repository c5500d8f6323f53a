#include "store/apply.h"

#include <stdlib.h>

void apply_create(Applying *ap, const Op *op)
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
    apply_happened(a, happening_about(HAPPENED_CREATED, b));
    apply_boxes_changed(ap, op->mailbox);
}

void apply_rename(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    if (!b || box_by_name(a, op->name)) return;
    box_unfile(a, b);
    Slice old = b->s.name;
    b->s.name = name_keep(op->name);
    b->state |= PAGE_DIRTY;
    box_file(a, b);
    Happening h = happening_about(HAPPENED_RENAMED, b);
    h.old_name = old;
    apply_happened(a, h);
    name_free(old);
    apply_boxes_changed(ap, b->s.id);
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

Err apply_delete(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    Box *b = box_by_id(a, op->mailbox);
    if (!b) return OK;
    TRY(box_load(b));
    TRY(messages_unlink_all(ap, b));
    apply_happened(a, happening_about(HAPPENED_DELETED, b));
    apply_boxes_changed(ap, b->s.id);
    views_nudge(b);
    box_bury(a, b);
    return OK;
}

void apply_acl(Applying *ap, const Op *op)
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
    Happening h = happening_about(HAPPENED_RIGHTS, b);
    h.identifier = op->name;
    h.old_rights = old_rights;
    h.rights = op->rights;
    apply_happened(ap->account, h);
    apply_boxes_changed(ap, b->s.id);
}

void apply_role(Applying *ap, const Op *op)
{
    Box *b = box_by_id(ap->account, op->mailbox);
    if (!b) return;
    b->s.role = op->role;
    b->state |= PAGE_DIRTY;
    apply_boxes_changed(ap, b->s.id);
}

void apply_subscribe(Applying *ap, const Op *op)
{
    Account *a = ap->account;
    if (subscribed_has(a, op->name) == op->on) return;
    subscribed_set(a, op->name, op->on);
    apply_happened(a, (Happening){.kind = HAPPENED_SUBSCRIBED, .name = op->name, .on = op->on});
    apply_boxes_changed(ap, 0);
}

/* An imported mailbox goes on where it was (RFC 9051 2.3.1.1): its numbers stay known to clients.
 */
void apply_validity(Applying *ap, const Op *op)
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
    apply_happened(a, happening_about(HAPPENED_UIDVALIDITY, b));
    apply_boxes_changed(ap, b->s.id);
}
