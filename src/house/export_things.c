/* What an account has besides messages, for restore: read from the store that was made of a backup,
 * as its owner. */
#include "house/transfer.h"

enum { LOGINS_AT_ONCE = 1000 };

PARKS static Err give(Things *t, const Thing *thing)
{
    Buf frame buf_scoped = {0};
    thing_encode(&frame, thing);
    if (frame.len > CONTROL_FRAME_MOST) return fail(ERR_TOO_BIG, "a setting");
    return talk_give(t->talk, buf_slice(&frame));
}

/* ---- logins ---- */

static void keep_logins(Things *t, const Slice *logins, const uint32_t *accts, size_t count)
{
    size_t all = t->login_count + count;
    Slice *names = arena_array(&t->arena, Slice, all + 1);
    uint32_t *numbers = arena_array(&t->arena, uint32_t, all + 1);
    for (size_t i = 0; i < t->login_count; i++)
        names[i] = t->logins[i], numbers[i] = t->accts[i];
    for (size_t i = 0; i < count; i++) {
        names[t->login_count + i] = arena_copy(&t->arena, logins[i]);
        numbers[t->login_count + i] = accts[i];
    }
    t->logins = names, t->accts = numbers, t->login_count = all;
}

PARKS static Err read_logins(Things *t)
{
    for (size_t count = LOGINS_AT_ONCE; count == LOGINS_AT_ONCE;) {
        Arena a arena_scoped = {0};
        Slice *logins, after = {0};
        uint32_t *accts;
        if (t->login_count) after = t->logins[t->login_count - 1];
        TRY(store_list_accounts(t->what->store, after, LOGINS_AT_ONCE, &a, &logins, &accts,
                                &count));
        keep_logins(t, logins, accts, count);
    }
    return OK;
}

static Slice login_of(const Things *t, uint32_t acct)
{
    for (size_t i = 0; i < t->login_count; i++)
        if (t->accts[i] == acct) return t->logins[i];
    return (Slice){0};
}

static uint32_t number_of(const Things *t, Slice login)
{
    size_t low = 0, high = t->login_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_order(t->logins[middle], login);
        if (!order) return t->accts[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

/* ---- the account ---- */

static uint32_t how_of(const Things *t, bool limited)
{
    return (t->what->replace ? THING_REPLACE : 0u) | (limited ? THING_LIMITED : 0u);
}

PARKS static Err give_limits(Things *t, ThingKind kind, Account *account)
{
    Quota q = account_quota(account);
    Buf value buf_scoped = {0};
    thing_put_quota(&value, &q);
    return give(t, &(Thing){.kind = kind, .number = how_of(t, q.own), .value = buf_slice(&value)});
}

/* What a user has set; the rest of the collection is the server's own notes. */
PARKS static Err give_prefs(Things *t, Account *account)
{
    static const Slice names[] = {
        {"deletion", 8},
        {"pop3",     4}
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        Arena a arena_scoped = {0};
        Slice value;
        Err err = object_get(account, S("pref"), names[i], &a, &value, NULL);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        TRY(give(t, &(Thing){.kind = THING_PREF, .name = names[i], .value = value}));
    }
    return OK;
}

PARKS static Err give_annotation(Things *t, ThingKind kind, Slice mailbox, const Annotation *one)
{
    Thing thing = {.kind = kind, .mailbox = mailbox, .name = one->entry, .value = one->value};
    if (!one->shared) thing.acct = one->who, thing.login = login_of(t, one->who);
    if (!one->shared && !thing.login.len) return OK; /* of somebody who was gone */
    return give(t, &thing);
}

PARKS static Err give_server_annotations(Things *t, Account *account)
{
    Arena a arena_scoped = {0};
    Annotations list;
    uint32_t own = account_number(account);
    TRY(account_annotations(account, 0, own, &a, &list));
    for (size_t i = 0; i < list.count; i++) {
        if (list.list[i].shared) continue;
        list.list[i].who = own;
        TRY(give_annotation(t, THING_ANNOTATION, (Slice){0}, &list.list[i]));
    }
    return OK;
}

PARKS Err things_begin(Things *t, Account *account)
{
    if (t->what->things || t->what->notes) TRY(read_logins(t));
    if (!t->what->things) return OK;
    if (t->what->only.len)
        return give(
            t,
            &(Thing){.kind = THING_FOLDER, .mailbox = t->what->only, .number = how_of(t, false)});
    TRY(give_limits(t, THING_WHOLE, account));
    TRY(give_prefs(t, account));
    return give_server_annotations(t, account);
}

/* Subscriptions are of names; of those without a mailbox, too. */
PARKS static Err give_subscriptions(Things *t, Account *account)
{
    Arena a arena_scoped = {0};
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(account, &a, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        Slice name = entries[i].name, only = t->what->only;
        if (!entries[i].subscribed || (only.len && !slice_eq(only, name))) continue;
        TRY(give(t, &(Thing){.kind = THING_SUBSCRIBED, .mailbox = name}));
    }
    return OK;
}

PARKS Err things_end(Things *t, Account *account)
{
    if (!t->what->things) return OK;
    TRY(give_subscriptions(t, account));
    return t->what->only.len ? OK : give_limits(t, THING_LIMITS, account);
}

static void forget_beholders(Things *t)
{
    for (size_t i = 0; i < t->beholder_count; i++)
        mailbox_close(t->beholders[i].box);
    t->beholder_count = 0;
    arena_reset(&t->beholder_arena);
}

void things_done(Things *t)
{
    forget_beholders(t);
    arena_done(&t->beholder_arena);
    arena_done(&t->arena);
}

/* ---- a mailbox ---- */

static bool is_everybody(Slice identifier)
{
    return slice_eq(identifier, S("anyone")) || slice_eq(identifier, S("authenticated"));
}

PARKS static void add_beholder(Things *t, Mailbox *box, size_t i)
{
    Mailbox *his = NULL;
    uint32_t own = t->what->acct;
    if (t->accts[i] == own) return;
    for (size_t n = 0; n < t->beholder_count; n++)
        if (t->beholders[n].who == t->accts[i]) return;
    if (mailbox_open_id(mailbox_account(box), t->accts[i], mailbox_status(box).id, &his)) return;
    MailboxStatus status = mailbox_status(his);
    if (status.unseen == status.exists)
        mailbox_close(his);
    else
        t->beholders[t->beholder_count++] = (Beholder){t->accts[i], t->logins[i], his};
}

/* Who may see the mailbox, and has seen something of it. */
PARKS static Err find_beholders(Things *t, Mailbox *box)
{
    Arena a arena_scoped = {0};
    AclEntry *acl;
    size_t count;
    TRY(mailbox_acl(box, &a, &acl, &count));
    t->beholder_count = 0;
    t->beholders = count > 1 ? arena_array(&t->beholder_arena, Beholder, t->login_count + 1) : NULL;
    for (size_t i = 1; i < count; i++)
        for (size_t n = 0; n < t->login_count; n++)
            if (is_everybody(acl[i].identifier) || slice_eq(acl[i].identifier, t->logins[n]))
                add_beholder(t, box, n);
    return OK;
}

PARKS Err things_enter(Things *t, Mailbox *box)
{
    return t->what->notes ? find_beholders(t, box) : OK;
}

PARKS Err things_of_message(Things *t, Mailbox *box, const Message *m)
{
    Arena a arena_scoped = {0};
    Annotations list;
    if (!t->what->notes) return OK;
    TRY(message_annotations_of_all(box, m, &a, &list));
    for (size_t i = 0; i < list.count; i++)
        TRY(give_annotation(t, THING_NOTE, (Slice){0}, &list.list[i]));
    for (size_t i = 0; i < t->beholder_count; i++) {
        const Beholder *b = &t->beholders[i];
        const Message *his = mailbox_message(b->box, m->uid);
        if (!his || !(his->flags & FLAG_SEEN)) continue;
        TRY(give(t, &(Thing){.kind = THING_SEEN, .login = b->login, .acct = b->who}));
    }
    return OK;
}

PARKS static Err give_annotations(Things *t, Mailbox *box)
{
    Arena a arena_scoped = {0};
    Annotations list;
    TRY(mailbox_annotations_of_all(box, &a, &list));
    for (size_t i = 0; i < list.count; i++)
        TRY(give_annotation(t, THING_ANNOTATION, mailbox_name(box), &list.list[i]));
    return OK;
}

PARKS static Err give_rights(Things *t, Mailbox *box)
{
    Arena a arena_scoped = {0};
    Buf value buf_scoped = {0};
    AclEntry *acl;
    size_t count;
    TRY(mailbox_acl(box, &a, &acl, &count));
    for (size_t i = 0; i < count; i++)
        thing_put_right(&value, acl[i].identifier, number_of(t, acl[i].identifier), acl[i].rights);
    return give(
        t,
        &(Thing){.kind = THING_RIGHTS, .mailbox = mailbox_name(box), .value = buf_slice(&value)});
}

PARKS static Err give_mailbox_things(Things *t, Mailbox *box)
{
    Role role = mailbox_status(box).role;
    if (role != ROLE_NONE && role != ROLE_INBOX)
        TRY(give(
            t,
            &(Thing){.kind = THING_ROLE, .mailbox = mailbox_name(box), .number = (uint32_t)role}));
    TRY(give_annotations(t, box));
    return give_rights(t, box);
}

PARKS Err things_leave(Things *t, Mailbox *box)
{
    forget_beholders(t);
    return t->what->things ? give_mailbox_things(t, box) : OK;
}
