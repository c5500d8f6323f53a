#include "base/text.h"
#include "house/restore.h"

enum { TOLD_MOST = 20, DIRECTORY = 0 };

typedef struct {
    Belongings *b;
    const Thing *t;
    Account *account;
    Arena arena;
    Err err;
} Taking;

/* ---- telling ---- */

PARKS void belongings_left_out(Belongings *b, Slice mailbox, const char *what)
{
    b->left_out++;
    if (b->left_out > TOLD_MOST) return;
    talk_err(b->talk, "posthouse restore: %.*s%s%s is left out: %s\n", SP(mailbox),
             mailbox.len ? ": " : "", what, *err_story() ? err_story() : "not possible");
}

/* One that does not fit is left out; what a disk refuses ends it. */
PARKS static Err settle(Taking *k, Err err, const char *what)
{
    static const Err unfit[] = {ERR_NOT_FOUND, ERR_FORBIDDEN,  ERR_CANNOT, ERR_LIMIT,
                                ERR_TOO_BIG,   ERR_OVER_QUOTA, ERR_SYNTAX};
    k->b->done += err == OK;
    k->b->there += err == ERR_EXISTS;
    if (err == ERR_EXISTS) return OK;
    for (size_t i = 0; i < COUNT(unfit); i++) {
        if (err != unfit[i]) continue;
        belongings_left_out(k->b, k->t->mailbox, what);
        return OK;
    }
    return err;
}

PARKS uint32_t belongings_who(Belongings *b, Slice login, uint32_t acct, Slice what)
{
    uint32_t now = 0;
    if (slice_eq(login, buf_slice(&b->login))) return b->acct;
    Err err = store_find_account(b->talk->house->store, login, &now);
    if (!err && now == acct) return now;
    (void)!fail(ERR_NOT_FOUND, "%.*s is %s now", SP(login), err ? "nobody" : "somebody else");
    belongings_left_out(b, what, "what is his");
    return 0;
}

/* ---- mailboxes that were made ---- */

static Slice mark_of(Arena *a, Slice mailbox)
{
    return arena_printf(a, "%016llx", (unsigned long long)transfer_mark(mailbox, S("restore")));
}

PARKS Err belongings_mailbox(Belongings *b, Account *account, Slice name, Mailbox **box)
{
    Arena a arena_scoped = {0};
    Err err = mailbox_open(account, b->acct, name, box);
    if (err != ERR_NOT_FOUND) return err;
    if (!b->wanted) return transfer_mailbox(account, b->acct, name, box);
    TRY(object_put(account, S("restore"), mark_of(&a, name), S("made"), NULL));
    err = mailbox_create(account, name, ROLE_NONE);
    if (err && err != ERR_EXISTS) return err;
    return mailbox_open(account, b->acct, name, box);
}

PARKS static bool was_made(Taking *k)
{
    Slice value, id = mark_of(&k->arena, k->t->mailbox);
    return !object_get(k->account, S("restore"), id, &k->arena, &value, NULL);
}

/* ---- the account ---- */

typedef struct {
    Belongings *b;
    MarkWhat what;
    Err err;
} Marking;

PARKS static Err mark_account(const Marking *m, Account *directory)
{
    Arena a arena_scoped = {0};
    Slice value, id = mark_of(&a, buf_slice(&m->b->login));
    if (m->what == MARK_MAKING) return object_put(directory, S("restore"), id, S("making"), NULL);
    Err err = m->what == MARK_ASK ? object_get(directory, S("restore"), id, &a, &value, NULL)
                                  : object_delete(directory, S("restore"), id);
    if (m->what == MARK_ASK) m->b->made = !err;
    return err == ERR_NOT_FOUND ? OK : err;
}

PARKS static void mark_there(void *arg)
{
    Marking *m = arg;
    Account *directory scoped(account) = NULL;
    m->err = account_open(m->b->talk->house->store, DIRECTORY, &directory);
    if (!m->err) m->err = mark_account(m, directory);
}

PARKS Err belongings_mark(Belongings *b, MarkWhat what)
{
    Marking m = {.b = b, .what = what};
    loop_call(store_home(b->talk->house->store, DIRECTORY), mark_there, &m);
    return m.err;
}

/* A new account has mailboxes that this one may not have had; they would have its special uses. */
PARKS static Err make_empty(Taking *k)
{
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(k->account, &k->arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        const MailboxEntry *e = &entries[i];
        if (e->subscribed) TRY(mailbox_subscribe(k->account, e->name, false));
        bool goes = e->exists && e->status.role != ROLE_INBOX && !e->status.exists;
        if (goes) TRY(mailbox_delete(k->account, e->name));
    }
    return OK;
}

/* Room for all that there was, should that be more than the limits. */
PARKS static Err begin_limits(Taking *k)
{
    Belongings *b = k->b;
    Quota then, now = account_quota(k->account);
    TRY(thing_quota(k->t->value, &then));
    if (!(k->t->number & THING_LIMITED)) return OK;
    if (now.own && !b->replace) {
        b->there++;
        return OK;
    }
    for (size_t i = 0; i < QUOTA_RESOURCES; i++)
        then.limit[i] = MAX(then.limit[i], then.used[i]);
    b->limits_follow = true;
    return account_set_quota(k->account, then.limit);
}

PARKS static Err take_whole(Taking *k)
{
    k->b->wanted = true;
    k->b->replace = k->t->number & THING_REPLACE;
    if (k->b->made) {
        TRY(make_empty(k));
        TRY(belongings_mark(k->b, MARK_MADE));
    }
    return begin_limits(k);
}

static Err take_folder(Taking *k)
{
    k->b->wanted = true;
    k->b->replace = k->t->number & THING_REPLACE;
    return OK;
}

PARKS static Err take_limits(Taking *k)
{
    Quota then, now = account_quota(k->account);
    TRY(thing_quota(k->t->value, &then));
    if (!k->b->limits_follow) return OK;
    k->b->done++;
    bool same = !memcmp(then.limit, now.limit, sizeof now.limit);
    return same ? OK : account_set_quota(k->account, then.limit);
}

PARKS static Err take_pref(Taking *k)
{
    const Thing *t = k->t;
    Slice value;
    bool known = slice_eq(t->name, S("deletion")) || slice_eq(t->name, S("pop3"));
    if (!known) return fail(ERR_SYNTAX, "a preference");
    Err err = object_get(k->account, S("pref"), t->name, &k->arena, &value, NULL);
    if (err && err != ERR_NOT_FOUND) return err;
    if (!err && (!k->b->replace || slice_eq(value, t->value))) return ERR_EXISTS;
    return object_put(k->account, S("pref"), t->name, t->value, NULL);
}

PARKS static Err take_subscription(Taking *k)
{
    MailboxEntry e;
    if (account_mailbox(k->account, k->t->mailbox, &e) && e.subscribed) return ERR_EXISTS;
    return mailbox_subscribe(k->account, k->t->mailbox, true);
}

/* ---- special uses ---- */

PARKS static Err take_role_from_others(Taking *k, Role role)
{
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(k->account, &k->arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        Role has = entries[i].status.role, left = role_without(has, role);
        if (!entries[i].exists || slice_eq(entries[i].name, k->t->mailbox)) continue;
        if (has == role) left = ROLE_NONE;
        if (left != has) TRY(mailbox_set_role(k->account, entries[i].name, left));
    }
    return OK;
}

PARKS static Err take_role(Taking *k)
{
    MailboxEntry e;
    Role role = (Role)k->t->number;
    bool one = role > ROLE_INBOX && role <= ROLE_IMPORTANT;
    if (!one && role_without(role, role) == role) return fail(ERR_SYNTAX, "a special use");
    if (!account_mailbox(k->account, k->t->mailbox, &e) || !e.exists)
        return fail(ERR_NOT_FOUND, "no such mailbox");
    if (e.status.role == role || (e.status.role && !k->b->replace)) return ERR_EXISTS;
    if (k->b->replace) TRY(take_role_from_others(k, role));
    return mailbox_set_role(k->account, k->t->mailbox, role);
}

/* ---- annotations ---- */

static bool is_there(const Annotations *list, const Annotation *one, bool replace)
{
    for (size_t i = 0; i < list->count; i++) {
        const Annotation *have = &list->list[i];
        if (have->who != one->who || !slice_eq(have->entry, one->entry)) continue;
        return !replace || slice_eq(have->value, one->value);
    }
    return false;
}

PARKS static Err annotate_server(Taking *k, Annotation *one)
{
    Annotations set = {.list = one, .count = 1}, now;
    TRY(account_annotations(k->account, 0, k->b->acct, &k->arena, &now));
    one->who = 0; /* who asks */
    return is_there(&now, one, k->b->replace) ? ERR_EXISTS : account_annotate(k->account, &set);
}

PARKS static Err annotate_mailbox(Taking *k, Annotation *one)
{
    Mailbox *box scoped(mailbox) = NULL;
    Annotations set = {.list = one, .count = 1}, now;
    TRY(mailbox_open(k->account, k->b->acct, k->t->mailbox, &box));
    TRY(mailbox_annotations_of_all(box, &k->arena, &now));
    return is_there(&now, one, k->b->replace) ? ERR_EXISTS : mailbox_annotate(box, &set, NULL);
}

PARKS static Err take_annotation(Taking *k)
{
    const Thing *t = k->t;
    Annotation one = {.entry = t->name, .value = t->value, .shared = !t->login.len};
    if (!one.value.at) one.value = S("");
    if (!one.shared) one.who = belongings_who(k->b, t->login, t->acct, t->mailbox);
    if (!one.shared && !one.who) return OK;
    return settle(k, t->mailbox.len ? annotate_mailbox(k, &one) : annotate_server(k, &one),
                  "an annotation");
}

/* ---- rights ---- */

static bool names(Slice rights, Slice identifier)
{
    Reader in = reader(rights);
    Slice one;
    uint32_t acct;
    Rights r;
    bool more;
    while (!thing_right(&in, &one, &acct, &r, &more) && more)
        if (slice_eq(one, identifier)) return true;
    return false;
}

PARKS static Err clear_rights(Taking *k, Mailbox *box)
{
    AclEntry *now;
    size_t count;
    TRY(mailbox_acl(box, &k->arena, &now, &count));
    for (size_t i = 1; i < count; i++)
        if (!names(k->t->value, now[i].identifier))
            TRY(mailbox_set_acl(box, now[i].identifier, ACL_DELETE, 0));
    return OK;
}

/* A login that has been given to somebody else, or to nobody, must not inherit. */
PARKS static Err put_rights(Taking *k, Mailbox *box, bool denied)
{
    Reader in = reader(k->t->value);
    Slice identifier;
    uint32_t acct;
    Rights rights;
    for (;;) {
        bool more;
        TRY(thing_right(&in, &identifier, &acct, &rights, &more));
        if (!more) return OK;
        if (slice_starts(identifier, S("-")) != denied) continue;
        if (acct && !belongings_who(k->b, identifier, acct, k->t->mailbox)) continue;
        TRY(mailbox_set_acl(box, identifier, ACL_REPLACE, rights));
    }
}

/* What is taken away comes before what is given. */
PARKS static Err take_rights(Taking *k)
{
    Mailbox *box scoped(mailbox) = NULL;
    bool made = was_made(k);
    if (!made && !k->b->replace) return ERR_EXISTS;
    TRY(mailbox_open(k->account, k->b->acct, k->t->mailbox, &box));
    TRY(clear_rights(k, box));
    TRY(put_rights(k, box, true));
    TRY(put_rights(k, box, false));
    return made ? object_delete(k->account, S("restore"), mark_of(&k->arena, k->t->mailbox)) : OK;
}

/* ---- which ---- */

PARKS static Err take(Taking *k)
{
    switch (k->t->kind) {
    case THING_WHOLE:
        return take_whole(k);
    case THING_FOLDER:
        return take_folder(k);
    case THING_LIMITS:
        return take_limits(k);
    case THING_SUBSCRIBED:
        return settle(k, take_subscription(k), "its subscription");
    case THING_PREF:
        return settle(k, take_pref(k), "a preference");
    case THING_ROLE:
        return settle(k, take_role(k), "its special use");
    case THING_RIGHTS:
        return settle(k, take_rights(k), "its rights");
    case THING_ANNOTATION:
        return take_annotation(k);
    case THING_NOTE:
    case THING_SEEN:
    case THING_NONE:
    case THING_END:
        break;
    }
    return fail(ERR_SYNTAX, "a thing out of place");
}

PARKS static void take_at_home(void *arg)
{
    Taking *k = arg;
    k->err = account_open(k->b->talk->house->store, k->b->acct, &k->account);
    if (k->err) return;
    k->err = take(k);
    account_close(k->account);
}

PARKS Err belongings_take(Belongings *b, const Thing *t)
{
    Taking k = {.b = b, .t = t};
    talk_on_loop(b->talk, store_home(b->talk->house->store, b->acct), take_at_home, &k);
    arena_done(&k.arena);
    return k.err;
}

void belongings_done(Belongings *b)
{
    buf_done(&b->login);
}
