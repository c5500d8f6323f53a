#include "store/model.h"

#include <stdlib.h>

/* ---- handles ---- */

MailboxStatus box_status(const Box *b)
{
    return (MailboxStatus){.acct = b->account->number,
                           .id = b->s.id,
                           .uid_validity = b->s.uid_validity,
                           .uid_next = b->s.uid_next,
                           .exists = b->s.exists,
                           .unseen = b->s.unseen,
                           .deleted = b->s.deleted,
                           .deleted_octets = b->s.deleted_octets,
                           .recent = b->s.recent,
                           .size_octets = b->s.size_octets,
                           .highest_modseq = b->s.highest_modseq,
                           .created_modseq = b->s.created_modseq,
                           .role = box_is_kept(b) ? ROLE_NONE : (Role)b->s.role,
                           .kept = box_is_kept(b)};
}

/* RFC 4314: the rights of an identifier and of "anyone" add up. */
static Rights acl_rights(const Box *b, Slice login)
{
    uint32_t rights = 0, some;
    Reader in = reader(b->s.acl);
    Slice identifier;
    while (acl_next(&in, &identifier, &some))
        if (slice_eq(identifier, login) || slice_eq(identifier, S("anyone"))) rights |= some;
    return (Rights)(rights & RIGHTS_ALL);
}

static PARKS Err rights_of(Account *a, const Box *b, uint32_t who, Rights *rights)
{
    if (who == a->number) {
        *rights = box_is_kept(b) ? RIGHT_LOOKUP | RIGHT_READ : RIGHTS_ALL;
        return OK;
    }
    if (!b->s.acl.len) return fail(ERR_NOT_FOUND, "mailbox %u is not shared", b->s.id);
    Arena arena arena_scoped = {0};
    uint32_t id = b->s.id;
    Slice login;
    TRY(directory_login(a->store, who, &arena, &login));
    b = box_by_id(a, id);
    *rights = b ? acl_rights(b, login) : 0;
    if (!(*rights & RIGHT_LOOKUP)) return fail(ERR_NOT_FOUND, "no right to see mailbox %u", id);
    return OK;
}

static Mailbox *handle(Account *a, uint32_t who, Box *b, Rights rights)
{
    Mailbox *m = NEW(Mailbox);
    *m = (Mailbox){.account = a, .box = b, .who = who, .rights = rights};
    account_ref(a);
    b->handles++;
    return m;
}

static PARKS Err open_box(Account *a, uint32_t who, Box *b, Mailbox **box)
{
    Rights rights = 0;
    uint32_t id = b->s.id;
    TRY(rights_of(a, b, who, &rights));
    b = box_by_id(a, id); /* we may have waited */
    if (!b) return fail(ERR_NOT_FOUND, "mailbox %u", id);
    if (a->broken) return a->broken;
    TRY(box_load(b));
    *box = handle(a, who, b, rights);
    return OK;
}

static Err find_box(Account *a, Slice name, Box **b)
{
    Arena arena arena_scoped = {0};
    if (name_normal(&arena, name, &name)) return fail(ERR_NOT_FOUND, "no such mailbox name");
    *b = box_by_name(a, name);
    if (!*b && slice_eq(name, kept_view_name(a))) *b = box_by_name(a, KEPT_NAME);
    return *b ? OK : fail(ERR_NOT_FOUND, "mailbox %.*s", SP(name));
}

PARKS Err mailbox_open(Account *a, uint32_t who, Slice name, Mailbox **box)
{
    Box *b;
    TRY(find_box(a, name, &b));
    return open_box(a, who, b, box);
}

Err mailbox_open_lightly(Account *a, Slice name, Mailbox **box)
{
    Box *b;
    TRY(find_box(a, name, &b));
    if (box_is_kept(b)) return fail(ERR_CANNOT, "nothing can be put there");
    *box = handle(a, a->number, b, RIGHTS_ALL);
    return OK;
}

PARKS Err mailbox_open_id(Account *a, uint32_t who, uint32_t id, Mailbox **box)
{
    Box *b = box_by_id(a, id);
    if (!b) return fail(ERR_NOT_FOUND, "mailbox %u", id);
    return open_box(a, who, b, box);
}

static void close_here(Task *t)
{
    mailbox_close(CONTAINER(t, Mailbox, closing));
}

/* A session that has gone on elsewhere need not come back for that. */
void mailbox_close(Mailbox *m)
{
    if (!m) return;
    if (loop_current() != m->account->home->loop) {
        m->closing.run = close_here;
        loop_post(m->account->home->loop, &m->closing);
        return;
    }
    if (!--m->box->handles && m->box->gone) box_free(m->box);
    account_close(m->account);
    free(m);
}

Account *mailbox_account(const Mailbox *m)
{
    return m->account;
}

Rights mailbox_rights(const Mailbox *m)
{
    return m->rights;
}

Slice mailbox_name(const Mailbox *m)
{
    return box_is_kept(m->box) ? m->account->store->options.deleted_view : m->box->s.name;
}

bool mailbox_is_deleted(const Mailbox *m)
{
    return m->box->gone;
}

MailboxStatus mailbox_status(const Mailbox *m)
{
    return box_status(m->box);
}

PARKS Err mailbox_set_acl(Mailbox *m, Slice identifier, Rights rights)
{
    Change c change_scoped = {0};
    if (!(m->rights & RIGHT_ADMIN)) return fail(ERR_FORBIDDEN, "no right to administer");
    if (!identifier.len || identifier.len > NAME_MOST) return fail(ERR_SYNTAX, "an identifier");
    TRY(change_begin_alone(m->account, &c));
    TRY(mailbox_check(m));
    if (m->box->s.acl.len > 64 * 1024) return fail(ERR_LIMIT, "too many identifiers");
    change_op(&c,
              &(Op){.kind = OP_ACL,
                    .mailbox = m->box->s.id,
                    .rights = rights & RIGHTS_ALL,
                    .name = identifier},
              NULL);
    return change_commit(&c);
}

PARKS Err mailbox_set_uid_validity(Mailbox *m, uint32_t uid_validity, uint32_t uid_next)
{
    Change c change_scoped = {0};
    if (!(m->rights & RIGHT_ADMIN)) return fail(ERR_FORBIDDEN, "no right to administer");
    if (!uid_validity || uid_validity == UINT32_MAX || uid_next == UINT32_MAX)
        return fail(ERR_SYNTAX, "uidvalidity %u, uidnext %u", uid_validity, uid_next);
    TRY(change_begin_alone(m->account, &c));
    TRY(mailbox_check(m));
    const BoxState *now = &m->box->s;
    if (uid_validity == now->uid_validity && uid_next <= now->uid_next) return OK;
    if (uid_validity != now->uid_validity && now->uid_next != 1)
        return fail(ERR_CONFLICT, "%.*s has had messages under uidvalidity %u", SP(now->name),
                    now->uid_validity);
    change_op(&c,
              &(Op){.kind = OP_VALIDITY,
                    .mailbox = now->id,
                    .uid_validity = uid_validity,
                    .uid = MAX(uid_next, now->uid_next)},
              NULL);
    return change_commit(&c);
}

Err mailbox_check(const Mailbox *m)
{
    return m->box->gone ? fail(ERR_NOT_FOUND, "the mailbox was deleted") : OK;
}

/* ---- messages as `who` sees them ---- */

/* Another user's \Seen is his own; a page that cannot be read counts as nothing seen. */
const Message *mailbox_see(Mailbox *m, const Message *message)
{
    if (!message || m->who == m->account->number) return message;
    SeenPage *p;
    m->scratch = *message;
    m->scratch.flags &= (uint8_t)~FLAG_SEEN;
    if (seen_page(m->account, m->box->s.id, m->who, &p)) return &m->scratch;
    if (uidset_has(&p->seen, message->uid)) m->scratch.flags |= FLAG_SEEN;
    return &m->scratch;
}

const Message *mailbox_message(Mailbox *m, uint32_t uid)
{
    return mailbox_see(m, box_message(m->box, uid));
}

const Message *mailbox_next(Mailbox *m, uint32_t uid)
{
    return mailbox_see(m, box_next(m->box, uid));
}

const Message *mailbox_next_changed(Mailbox *m, uint32_t uid, uint64_t modseq)
{
    return mailbox_see(m, box_next_changed(m->box, uid, modseq));
}
