#include "store/workload_step.h"

#include <stdio.h>

/* Operations on mailboxes and accounts, and on what expunges have left. */

PARKS void op_box_note(Step *t)
{
    WorkBox *b = &t->s->boxes[step_any_box(t)];
    uint8_t note = (uint8_t)client_below(t->c, WORK_NOTES);
    b->note = note;
    Annotations set = step_notes(t, note);
    Mailbox *box scoped(mailbox) = step_open(t, (unsigned)(b - t->s->boxes));
    if (t->c->stopped) return;
    step_begins(t, "annotation %u of %s", note, b->name);
    step_ends(t, mailbox_annotate(box, &set, NULL));
}

/* The chosen messages in their order, added to `to` and gone from b if they move. */
void model_create(WorkBox *b)
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
PARKS void op_create_delete(Step *t)
{
    WorkBox *b = &t->s->boxes[1 + client_below(t->c, WORK_BOXES - 1)];
    Slice name = slice_of(b->name);
    if (b->exists) {
        if (client_below(t->c, 3) || step_place_is_full(t, b)) return;
        model_delete(t, b);
        step_begins(t, "delete %s", b->name);
        step_ends(t, mailbox_delete(t->account, name));
        return;
    }
    if (b == &t->s->boxes[2] && !t->s->boxes[1].exists) return;
    model_create(b);
    b->rights = b == &t->s->boxes[2] ? t->s->boxes[1].rights : 0; /* a child inherits */
    step_begins(t, "create %s", b->name);
    step_ends(t, mailbox_create(t->account, name, ROLE_NONE));
}

void model_names(const Unit *u, WorkState *s)
{
    WorkBox *b = s->boxes;
    if (u->client)
        snprintf(b[0].name, sizeof b[0].name, "c%u-box", u->client);
    else
        snprintf(b[0].name, sizeof b[0].name, "INBOX");
    snprintf(b[1].name, sizeof b[1].name, "c%u-%u", u->client, b[1].generation);
    snprintf(b[2].name, sizeof b[2].name, "c%u-%u/kid", u->client, b[1].generation);
}

PARKS void op_rename(Step *t)
{
    WorkBox *b = &t->s->boxes[1];
    if (!b->exists) return;
    b->generation++;
    model_names(t->u, t->s);
    step_begins(t, "rename to %s", b->name);
    step_ends(t,
              mailbox_rename(t->account, slice_of(t->u->acked.boxes[1].name), slice_of(b->name)));
}

PARKS void op_subscribe(Step *t)
{
    Slice name = arena_printf(&t->arena, "c%u-elsewhere", t->u->client);
    t->s->subscribed = !t->s->subscribed;
    step_begins(t, "subscribe %d", t->s->subscribed);
    step_ends(t, mailbox_subscribe(t->account, name, t->s->subscribed));
}

PARKS void op_share(Step *t)
{
    unsigned number = step_any_box(t);
    WorkBox *b = &t->s->boxes[number];
    Mailbox *box scoped(mailbox) = step_open(t, number);
    if (!box) return;
    b->rights = (uint16_t)(client_below(t->c, 3) ? client_below(t->c, RIGHTS_ALL + 1) : 0);
    step_begins(t, "share %s: %x", b->name, b->rights);
    step_ends(t, mailbox_set_acl(box, S("friend"), ACL_REPLACE, b->rights));
}

PARKS void op_object(Step *t)
{
    unsigned i = client_below(t->c, WORK_OBJECTS);
    Slice id = arena_printf(&t->arena, "c%u-%u", t->u->client, i);
    uint32_t value = client_below(t->c, 3) ? 1 + client_below(t->c, 5000) : 0;
    if (!value && !t->s->objects[i]) return;
    t->s->objects[i] = value;
    char *text = arena_alloc(&t->arena, value);
    memset(text, (int)('a' + value % 26), value);
    step_begins(t, "object %u to %u", i, value);
    step_ends(t, value ? object_put(t->account, S("work"), id, slice(text, value), NULL)
                       : object_delete(t->account, S("work"), id));
}

/* Limits so high that nobody reaches them: they only have to be remembered. The account is shared,
 * its limit is the first client's. */
PARKS void op_quota(Step *t)
{
    if (t->c->number) return;
    uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    limit[QUOTA_MESSAGE] = t->s->quota = WORK_QUOTA_LEAST + client_below(t->c, 1000);
    step_begins(t, "quota of %u messages", t->s->quota);
    step_ends(t, account_set_quota(t->account, limit));
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
        if (client_below(t->c, 2) || (keeps && (!b || b->count == WORK_MESSAGES))) continue;
        uint32_t uid = kept_find(t->account, t->u->policy, &k->message, &t->arena, uids);
        if (!uid) work_failed(t->w, "a message of %s is lost", k->name);
        uidset_add(&t->arena, uids, uid, uid);
        if (keeps) model_add(b, &k->message);
        model_forget(t->s, --i);
        wanted++;
    }
    return wanted;
}

PARKS void op_place(Step *t)
{
    bool keeps = t->u->policy == WORK_KEEP;
    UidSet uids = {0}, got = {0};
    size_t wanted = choose_kept(t, keeps, &uids), back = 0;
    if (!wanted) return;
    step_begins(t, "%s %zu", keeps ? "undelete" : "empty Trash of", wanted);
    if (keeps) {
        Err err = account_undelete(t->account, &uids, &t->arena, &back);
        if (!err && back != wanted) work_failed(t->w, "%s: %zu came", t->u->what, back);
        step_ends(t, err);
        return;
    }
    Mailbox *trash scoped(mailbox) = NULL;
    Err err = mailbox_open(t->account, t->u->acct, S("Trash"), &trash);
    if (!err) err = mailbox_expunge(trash, &uids, true, &t->arena, &got);
    step_ends(t, err);
}
