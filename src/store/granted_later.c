#include "store/model.h"

/* What is granted to a login that has no account yet. A hint (grants.c) has no place then, so it
 * waits in account 0, and goes into the account with the record that founds it. So a login that is
 * given again inherits nothing from its last bearer here either.
 *
 *     "later"     identifier 0 owner's number  ->  ""
 *     "later by"  owner's number 0 identifier  ->  ""     so that an owner's can be counted
 */

enum {
    LATER_MOST = 100,         /* identifiers without an account that one account grants something */
    LATER_OWNERS_MOST = 1000, /* accounts that grant one of them something */
};

static const Slice later = {"later", 5}, later_by = {"later by", 8};

static Slice id_of(Arena *a, Slice identifier, uint32_t owner)
{
    return arena_printf(a, "%.*s%c%u", SP(identifier), 0, owner);
}

static Slice id_by(Arena *a, Slice identifier, uint32_t owner)
{
    return arena_printf(a, "%u%c%.*s", owner, 0, SP(identifier));
}

/* Both objects of one grant. */
static void set_both(Change *c, Slice identifier, uint32_t owner, bool on)
{
    Arena arena arena_scoped = {0};
    Op op = {.kind = OP_OBJECT, .on = on, .name = later, .value = S("")};
    op.id = id_of(&arena, identifier, owner);
    change_op(c, &op, NULL);
    op.name = later_by;
    op.id = id_by(&arena, identifier, owner);
    change_op(c, &op, NULL);
}

/* What follows `start` and a 0 in the ids of a collection. */
static PARKS Err list_behind(Account *directory, Slice collection, Slice start, size_t most,
                             Arena *a, Slice **rests, size_t *count)
{
    Slice prefix = arena_printf(a, "%.*s%c", SP(start), 0);
    TRY(object_list(directory, collection, prefix, most, a, rests, count));
    size_t n = 0;
    while (n < *count && slice_starts((*rests)[n], prefix)) {
        (*rests)[n] = slice_from((*rests)[n], prefix.len);
        n++;
    }
    *count = n;
    return OK;
}

/* ---- granting, taking back ---- */

typedef struct {
    Store *store;
    Slice identifier;
    uint32_t owner;
    bool on, known;
    Err err;
} Later;

static PARKS Err may_wait(Account *directory, const Later *l, Arena *a)
{
    Slice *list;
    size_t count, owners;
    TRY(list_behind(directory, later_by, arena_printf(a, "%u", l->owner), LATER_MOST, a, &list,
                    &count));
    TRY(list_behind(directory, later, l->identifier, LATER_OWNERS_MOST, a, &list, &owners));
    if (count < LATER_MOST && owners < LATER_OWNERS_MOST &&
        id_of(a, l->identifier, l->owner).len <= OBJECT_ID_MOST)
        return OK;
    return fail(ERR_LIMIT, "too much is granted to logins without an account");
}

/* An account of that login that comes meanwhile comes before or after it. */
static PARKS Err set_later(Later *l)
{
    Arena arena arena_scoped = {0};
    Arrival arrival arrival_scoped = {0};
    Account *a scoped(account) = NULL;
    Change c change_scoped = {0};
    Slice value;
    arrival_begin(&arrival, l->store, l->identifier);
    TRY(account_load(l->store, 0, &a));
    account_ref(a);
    TRY(change_begin_alone(a, &c));
    l->known = !object_find(a, S("login"), l->identifier, &arena, &value, NULL);
    if (l->known) return OK;
    Slice id = id_of(&arena, l->identifier, l->owner);
    Err err = object_find(a, later, id, &arena, &value, NULL);
    if (err && err != ERR_NOT_FOUND) return err;
    if (l->on == !err) return OK;
    if (l->on) TRY(may_wait(a, l, &arena));
    set_both(&c, l->identifier, l->owner, l->on);
    return change_commit(&c);
}

static PARKS void set_later_there(void *arg)
{
    Later *l = arg;
    l->err = set_later(l);
}

PARKS Err later_tell(Store *store, Slice identifier, uint32_t owner, bool on, bool *known)
{
    Later l = {.store = store, .identifier = identifier, .owner = owner, .on = on};
    *known = false;
    if (identifier.len > OBJECT_ID_MOST) return OK; /* no login is so long */
    loop_call(store_home(store, 0), set_later_there, &l);
    *known = l.known;
    return l.err ? fail(l.err, "what is granted later") : OK;
}

/* ---- for the directory, which holds the Arrival of that login ---- */

PARKS Err later_find(Account *directory, Slice login, Arena *a, GrantedLater **list, size_t *count)
{
    Slice *owners;
    size_t n;
    TRY(list_behind(directory, later, login, LATER_OWNERS_MOST, a, &owners, &n));
    *list = arena_array(a, GrantedLater, n + 1);
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        GrantedLater *g = &(*list)[*count];
        uint64_t number;
        if (!slice_to_u64(owners[i], &number) || number > UINT32_MAX) continue;
        g->owner = (uint32_t)number;
        Err err = object_find(directory, S("number"), owners[i], a, &g->login, NULL);
        if (err && err != ERR_NOT_FOUND) return err;
        *count += !err; /* an owner that is gone grants nothing */
    }
    return OK;
}

void later_found(Change *c, const GrantedLater *list, size_t count)
{
    Arena arena arena_scoped = {0};
    for (size_t i = 0; i < count; i++)
        change_op(c,
                  &(Op){.kind = OP_OBJECT,
                        .on = true,
                        .name = S("granted"),
                        .id = list[i].login,
                        .value = arena_printf(&arena, "%u", list[i].owner)},
                  NULL);
}

void later_done(Change *c, Slice login, const GrantedLater *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        set_both(c, login, list[i].owner, false);
}

PARKS Err later_forget(Change *c, uint32_t owner)
{
    Arena arena arena_scoped = {0};
    Slice *identifiers;
    size_t count;
    TRY(list_behind(c->account, later_by, arena_printf(&arena, "%u", owner), LATER_MOST, &arena,
                    &identifiers, &count));
    for (size_t i = 0; i < count; i++)
        set_both(c, identifiers[i], owner, false);
    return OK;
}
