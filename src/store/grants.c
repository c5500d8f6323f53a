#include "store/model.h"

/* Hints: who has been granted something by whom. In the account of who gets it, collection
 * "granted": the owner's login -> his number; what is granted to everybody is kept the same way in
 * account 0, and what to a login without an account waits there (granted_later.c). A hint too many
 * costs a look and is removed by it; a hint too few would lock somebody out, so it is written
 * before the right and removed after it, and grants_begin keeps those two from crossing. */

static const Slice granted = {"granted", 7};

static bool is_everybody(Slice identifier)
{
    return slice_eq(identifier, S("anyone")) || slice_eq(identifier, S("authenticated"));
}

/* ---- one at a time ---- */

PARKS void grants_begin(Account *a)
{
    while (a->granting)
        cond_wait(&a->granted, NEVER);
    a->granting = true;
}

void grants_end(Account *a)
{
    a->granting = false;
    cond_signal(&a->granted);
}

/* ---- writing and removing a hint, at the home of who gets it ---- */

typedef struct {
    Store *store;
    uint32_t acct, owner; /* owner 0: whoever has, or had, that login */
    Slice login;          /* the owner's */
    bool on;
    Err err;
} Hint;

static bool hint_is_there(Account *a, const Hint *h)
{
    Arena arena arena_scoped = {0};
    Slice value;
    uint64_t number;
    if (object_find(a, granted, h->login, &arena, &value, NULL)) return false;
    return !h->owner || (slice_to_u64(value, &number) && number == h->owner);
}

static PARKS Err set_hint(const Hint *h)
{
    Arena arena arena_scoped = {0};
    Account *a scoped(account) = NULL;
    TRY(account_open(h->store, h->acct, &a));
    if (hint_is_there(a, h) == h->on) return OK;
    if (!h->on) return object_delete(a, granted, h->login);
    return object_put(a, granted, h->login, arena_printf(&arena, "%u", h->owner), NULL);
}

static PARKS void set_hint_there(void *arg)
{
    Hint *h = arg;
    h->err = set_hint(h);
}

/* The account that the hint for an identifier belongs into; *told: for a login without an account
 * it has been told already. */
static PARKS Err hint_place(const Hint *h, Slice identifier, uint32_t *acct, bool *told)
{
    bool known = true;
    *acct = 0;
    *told = false;
    if (is_everybody(identifier)) return OK;
    Err err = store_find_account(h->store, identifier, acct);
    if (err != ERR_NOT_FOUND) return err;
    TRY(later_tell(h->store, identifier, h->owner, h->on, &known));
    *told = !known;
    return known ? store_find_account(h->store, identifier, acct) : OK;
}

static PARKS Err tell(Account *owner, Slice identifier, bool on)
{
    Hint h = {.store = owner->store, .owner = owner->number, .login = owner->h.login, .on = on};
    bool told;
    if (slice_starts(identifier, S("-"))) return OK; /* gives nobody anything */
    TRY(hint_place(&h, identifier, &h.acct, &told));
    if (told || h.acct == owner->number) return OK;
    loop_call(store_home(h.store, h.acct), set_hint_there, &h);
    return h.err;
}

/* ---- changing rights ---- */

static bool names_somewhere(const Account *a, Slice identifier)
{
    for (uint32_t i = 0; i < a->box_count; i++)
        if (acl_names(a->boxes[i], identifier)) return true;
    return false;
}

/* A hint that cannot be removed is one too many: it is tried again by who follows it in vain. */
PARKS void grants_prune(Account *a, const Slice *identifiers, size_t count)
{
    grants_begin(a);
    for (size_t i = 0; i < count; i++)
        if (!names_somewhere(a, identifiers[i])) (void)!tell(a, identifiers[i], false);
    grants_end(a);
}

static PARKS Err set_acl(Mailbox *m, Slice identifier, AclHow how, Rights rights)
{
    Account *a = m->account;
    bool gives = rights && (how == ACL_REPLACE || how == ACL_ADD);
    if (gives) TRY(tell(a, identifier, true));
    TRY(acl_change(m, identifier, how, rights));
    if (!names_somewhere(a, identifier)) (void)!tell(a, identifier, false);
    return OK;
}

PARKS Err mailbox_set_acl(Mailbox *m, Slice identifier, AclHow how, Rights rights)
{
    if (!identifier.len || identifier.len > NAME_MOST) return fail(ERR_SYNTAX, "an identifier");
    TRY(mailbox_need(m, RIGHT_ADMIN)); /* asked again when nobody else can change it */
    grants_begin(m->account);
    Err err = set_acl(m, identifier, how, rights);
    grants_end(m->account);
    return err;
}

/* ---- what is granted to somebody ---- */

typedef struct {
    Store *store;
    Slice login;
    Arena *arena;
    Slice *logins;
    uint32_t *accts;
    size_t count;
    Err err;
} Everybody;

enum { GRANTS_MOST = 10000 };

static PARKS Err list_hints(Account *a, Arena *arena, Slice **logins, uint32_t **accts,
                            size_t *count)
{
    TRY(object_list(a, granted, (Slice){0}, GRANTS_MOST, arena, logins, count));
    *accts = arena_array(arena, uint32_t, *count + 1);
    for (size_t i = 0; i < *count; i++) {
        Slice value;
        uint64_t number = 0;
        TRY(object_find(a, granted, (*logins)[i], arena, &value, NULL));
        if (slice_to_u64(value, &number) && number <= UINT32_MAX) (*accts)[i] = (uint32_t)number;
    }
    return OK;
}

static PARKS void list_everybodys(void *arg)
{
    Everybody *e = arg;
    Account *a scoped(account) = NULL;
    e->err = account_open(e->store, 0, &a);
    if (e->err) return;
    e->err = list_hints(a, e->arena, &e->logins, &e->accts, &e->count);
}

static Err find_hint(Account *a, Slice login, Arena *arena, uint32_t *acct)
{
    Slice value;
    uint64_t number;
    TRY(object_find(a, granted, login, arena, &value, NULL));
    if (!slice_to_u64(value, &number) || number > UINT32_MAX) return fail(ERR_NOT_FOUND, "a hint");
    *acct = (uint32_t)number;
    return OK;
}

static PARKS void find_everybodys(void *arg)
{
    Everybody *e = arg;
    Account *a scoped(account) = NULL;
    e->err = account_open(e->store, 0, &a);
    if (e->err) return;
    uint32_t acct = 0;
    e->err = find_hint(a, e->login, e->arena, &acct);
    e->accts = arena_new(e->arena, uint32_t);
    if (!e->err) *e->accts = acct;
}

PARKS Err account_granted_by(Account *own, Slice login, uint32_t *acct)
{
    Arena arena arena_scoped = {0};
    if (!find_hint(own, login, &arena, acct)) return OK;
    Everybody e = {.store = own->store, .login = login, .arena = &arena};
    loop_call(store_home(own->store, 0), find_everybodys, &e);
    if (e.err) return fail(ERR_NOT_FOUND, "nothing was granted");
    *acct = *e.accts;
    return OK;
}

/* ---- the mailboxes another account lets somebody look up ---- */

typedef struct {
    Store *store;
    uint32_t acct, who;
    Slice who_login;
    bool unseen;
    Arena *arena;
    Shared *out;
    Err err;
} Look;

static bool can_look(const Account *a, Slice login, Slice parent)
{
    Buf from buf_scoped = {0};
    buf_add(&from, parent);
    buf_char(&from, MAILBOX_SEPARATOR);
    for (uint32_t i = box_position(a, buf_slice(&from)); i < a->box_count; i++) {
        if (!slice_starts(a->boxes[i]->s.name, buf_slice(&from))) return false;
        if (box_rights(a->boxes[i], login) & RIGHT_LOOKUP) return true;
    }
    return false;
}

static Err entry_of(const Look *l, Account *a, Box *b, MailboxEntry *e)
{
    *e = (MailboxEntry){.name = arena_copy(l->arena, b->s.name),
                        .exists = true,
                        .has_children = can_look(a, l->who_login, b->s.name),
                        .status = box_status(b),
                        .rights = box_rights(b, l->who_login)};
    if (!l->unseen || !(e->rights & RIGHT_READ) || l->who == a->number) return OK;
    TRY(box_load(b));
    e->status.unseen = b->s.exists - box_seen(b, l->who);
    return OK;
}

static PARKS Err look(Look *l)
{
    Account *a scoped(account) = NULL;
    TRY(account_open(l->store, l->acct, &a));
    l->out->login = arena_copy(l->arena, a->h.login);
    l->out->acct = l->acct;
    l->out->count = 0;
    l->out->entries = arena_array(l->arena, MailboxEntry, a->box_count + 1);
    for (uint32_t i = 0; i < a->box_count; i++) {
        Box *b = a->boxes[i];
        if (!(box_rights(b, l->who_login) & RIGHT_LOOKUP)) continue;
        TRY(entry_of(l, a, b, &l->out->entries[l->out->count]));
        l->out->count++;
    }
    Slice hints[] = {l->who_login, S("anyone")};
    if (!l->out->count && l->who != l->acct) grants_prune(a, hints, COUNT(hints));
    return OK;
}

static PARKS void look_there(void *arg)
{
    Look *l = arg;
    l->err = look(l);
}

PARKS Err account_shared_by(Store *store, uint32_t acct, uint32_t who, bool unseen, Arena *a,
                            Shared *shared)
{
    Look l = {
        .store = store, .acct = acct, .who = who, .unseen = unseen, .arena = a, .out = shared};
    *shared = (Shared){.acct = acct};
    TRY(directory_login(store, who, a, &l.who_login));
    loop_call(store_home(store, acct), look_there, &l);
    return l.err;
}

/* Both lists are sorted. */
static size_t merge(Arena *a, Everybody *all, Everybody *own)
{
    size_t n = 0, i = 0, k = 0;
    Slice *logins = arena_array(a, Slice, all->count + own->count + 1);
    uint32_t *accts = arena_array(a, uint32_t, all->count + own->count + 1);
    while (i < all->count || k < own->count) {
        int order = i == all->count   ? 1
                    : k == own->count ? -1
                                      : slice_order(all->logins[i], own->logins[k]);
        logins[n] = order < 0 ? all->logins[i] : own->logins[k];
        accts[n++] = order < 0 ? all->accts[i] : own->accts[k];
        i += order <= 0;
        k += order >= 0;
    }
    all->logins = logins, all->accts = accts, all->count = n;
    return n;
}

/* Somebody who is gone, or was given the login of somebody who is gone. */
static PARKS void forget(Account *own, Slice login)
{
    Hint h = {.store = own->store, .acct = own->number, .login = login};
    (void)!set_hint(&h);
}

PARKS Err account_shared(Account *own, bool unseen, Arena *a, Shared **list, size_t *count)
{
    Everybody all = {.store = own->store, .arena = a}, mine = {0};
    TRY(list_hints(own, a, &mine.logins, &mine.accts, &mine.count));
    loop_call(store_home(own->store, 0), list_everybodys, &all);
    TRY(all.err);
    Shared *out = arena_array(a, Shared, merge(a, &all, &mine) + 1);
    size_t n = 0;
    for (size_t i = 0; i < all.count; i++) {
        if (all.accts[i] == own->number) continue;
        Err err = account_shared_by(own->store, all.accts[i], own->number, unseen, a, &out[n]);
        if (err == ERR_NOT_FOUND) forget(own, all.logins[i]);
        if (!err && slice_eq(out[n].login, all.logins[i]) && out[n].count) n++;
    }
    *list = out;
    *count = n;
    return OK;
}
