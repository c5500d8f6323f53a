#include "store/model.h"

#include <stdlib.h>

static Slice keep(Slice s)
{
    char *copy = mem_new(s.len + 1);
    if (s.len) memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

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

PARKS Err login_of(Account *a, uint32_t who, Arena *arena, Slice *login)
{
    if (who != a->number) return directory_login(a->store, who, arena, login);
    *login = a->h.login;
    return OK;
}

static Mailbox *handle(Account *a, uint32_t who, Slice login, Box *b)
{
    Mailbox *m = NEW(Mailbox);
    *m = (Mailbox){.account = a, .box = b, .who = who, .login = keep(login)};
    m->rights = box_rights(b, m->login);
    list_add(&b->opened, &m->of_box);
    account_ref(a);
    b->handles++;
    return m;
}

static PARKS Err open_box(Account *a, uint32_t who, Slice login, Box *b, Mailbox **box)
{
    if (a->broken) return a->broken;
    TRY(box_need(b, login, 0));
    Mailbox *m scoped(mailbox) = handle(a, who, login, b);
    TRY(box_load_calmly(b));
    *box = m;
    m = NULL;
    return OK;
}

static Err find_box(Account *a, Slice name, Box **b)
{
    Arena arena arena_scoped = {0};
    *b = NULL;
    if (name_normal(&arena, name, &name)) return fail(ERR_NOT_FOUND, "no such mailbox name");
    *b = box_by_name(a, name);
    if (!*b && slice_eq(name, kept_view_name(a))) *b = box_by_name(a, KEPT_NAME);
    return *b ? OK : fail(ERR_NOT_FOUND, "mailbox %.*s", SP(name));
}

/* Who asks is looked up before what he asks for, so that both answers take as long. */
PARKS Err mailbox_open(Account *a, uint32_t who, Slice name, Mailbox **box)
{
    Arena arena arena_scoped = {0};
    Slice login;
    Box *b;
    TRY(login_of(a, who, &arena, &login));
    account_settle(a);
    TRY(find_box(a, name, &b));
    return open_box(a, who, login, b, box);
}

/* The owner's mail comes in whatever he has taken from himself. */
Err mailbox_open_lightly(Account *a, Slice name, Mailbox **box)
{
    Box *b;
    TRY(find_box(a, name, &b));
    if (box_is_kept(b)) return fail(ERR_CANNOT, "nothing can be put there");
    *box = handle(a, a->number, (Slice){0}, b);
    (*box)->rights = RIGHTS_ALL;
    return OK;
}

PARKS Err mailbox_open_id(Account *a, uint32_t who, uint32_t id, Mailbox **box)
{
    Arena arena arena_scoped = {0};
    Slice login;
    TRY(login_of(a, who, &arena, &login));
    account_settle(a);
    Box *b = box_by_id(a, id);
    if (!b) return fail(ERR_NOT_FOUND, "mailbox %u", id);
    return open_box(a, who, login, b, box);
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
    list_remove(&m->of_box);
    m->box->idle_since = now_ms();
    if (!--m->box->handles && m->box->gone) box_free(m->box);
    account_close(m->account);
    free((char *)m->login.at);
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

/* The counters are the owner's; what others have not seen is counted for them. */
MailboxStatus mailbox_status(const Mailbox *m)
{
    MailboxStatus status = box_status(m->box);
    if (m->who != m->account->number) status.unseen = status.exists - box_seen(m->box, m->who);
    return status;
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
