#include "store/model.h"
#include "store/signature.h"

#include "base/text.h"

#include <stdlib.h>

/* Account 0 is the directory. Its objects: "login" name -> number, "number" number -> name,
 * "removed" number -> name of one whose mail is not all gone yet, "directory" "next" -> the next
 * number to give out, "directory" "validity" -> the highest UIDVALIDITY that a removed account may
 * have had: whoever gets its name gets higher ones. */

enum { NAMES_KNOWN = 100 * 1000 };

static Slice number_text(Arena *a, uint32_t n)
{
    return arena_printf(a, "%u", n);
}

static Err text_number(Slice text, uint32_t *n)
{
    uint64_t v;
    if (!slice_to_u64(text, &v) || !v || v > UINT32_MAX)
        return fail(ERR_CORRUPT, "the directory has no number there");
    *n = (uint32_t)v;
    return OK;
}

/* ---- what is known: login -> number, shared by the loops ---- */

static bool known_get(Store *store, Slice login, uint32_t *acct)
{
    mutex_lock(&store->names_lock);
    uintptr_t n = (uintptr_t)table_get(&store->names, login);
    mutex_unlock(&store->names_lock);
    *acct = (uint32_t)n;
    return n != 0;
}

static void known_put(Store *store, Slice login, uint32_t acct)
{
    mutex_lock(&store->names_lock);
    if (store->names.count >= NAMES_KNOWN) table_done(&store->names);
    table_put(&store->names, login, (void *)(uintptr_t)acct);
    mutex_unlock(&store->names_lock);
}

static void known_forget(Store *store, Slice login)
{
    mutex_lock(&store->names_lock);
    table_take(&store->names, login);
    mutex_unlock(&store->names_lock);
}

/* ---- calls at the home of account 0 ---- */

typedef struct {
    Store *store;
    Slice login; /* in, or out */
    uint32_t acct;
    uint32_t validity; /* of a new account's mailboxes: higher; of a removed one: the highest */
    Arena *arena;
    Slice after;
    size_t most, count;
    Slice *logins;
    uint32_t *accts;
    GrantedLater *granted; /* to one that is created */
    size_t granted_count;
    Err err;
} Ask;

static PARKS Err ask(Ask *q, void (*fn)(void *))
{
    loop_call(store_home(q->store, 0), fn, q);
    return q->err ? fail(q->err, "directory: %.*s", SP(q->login)) : OK;
}

static Err directory(Store *store, Account **a)
{
    TRY(account_load(store, 0, a));
    account_ref(*a);
    return OK;
}

static Err find(Account *a, Slice login, uint32_t *acct)
{
    Arena arena arena_scoped = {0};
    Slice value;
    TRY(object_find(a, S("login"), login, &arena, &value, NULL));
    return text_number(value, acct);
}

static PARKS void ask_find(void *arg)
{
    Ask *q = arg;
    Account *a scoped(account) = NULL;
    q->err = directory(q->store, &a);
    if (!q->err) q->err = find(a, q->login, &q->acct);
}

PARKS Err store_find_account(Store *store, Slice login, uint32_t *acct)
{
    if (known_get(store, login, acct)) return OK;
    Ask q = {.store = store, .login = login};
    TRY(ask(&q, ask_find));
    known_put(store, login, q.acct);
    *acct = q.acct;
    return OK;
}

static PARKS void ask_login(void *arg)
{
    Ask *q = arg;
    Account *a scoped(account) = NULL;
    Arena arena arena_scoped = {0};
    q->err = directory(q->store, &a);
    if (!q->err)
        q->err =
            object_find(a, S("number"), number_text(&arena, q->acct), q->arena, &q->login, NULL);
}

PARKS Err directory_login(Store *store, uint32_t acct, Arena *a, Slice *login)
{
    Ask q = {.store = store, .acct = acct, .arena = a};
    TRY(ask(&q, ask_login));
    *login = q.login;
    return OK;
}

/* ---- creating: as many at once as ask, so that they share flushes. Each login by one at a time,
 * and each with a number of its own ---- */

static bool is_arriving(const Store *store, Slice login)
{
    list_each (link, &store->arrivals) {
        if (slice_eq(CONTAINER(link, Arrival, of_store)->login, login)) return true;
    }
    return false;
}

PARKS void arrival_begin(Arrival *x, Store *store, Slice login)
{
    while (is_arriving(store, login))
        cond_wait(&store->arrived, NEVER);
    *x = (Arrival){.store = store, .login = login};
    list_add(&store->arrivals, &x->of_store);
}

void arrival_end(Arrival *x)
{
    if (!x->store) return;
    list_remove(&x->of_store);
    cond_broadcast(&x->store->arrived);
    x->store = NULL;
}

/* At the new account's home: its mailboxes, unless that number was used before (by a creation that
 * a crash cut off before it reached the directory). */
static PARKS Err found(const Ask *q)
{
    Store *store = q->store;
    static const struct {
        Slice name;
        Role role;
    } boxes[] = {
        {{"INBOX", 5},   ROLE_INBOX  },
        {{"Drafts", 6},  ROLE_DRAFTS },
        {{"Sent", 4},    ROLE_SENT   },
        {{"Trash", 5},   ROLE_TRASH  },
        {{"Junk", 4},    ROLE_JUNK   },
        {{"Archive", 7}, ROLE_ARCHIVE},
    };
    Account *a scoped(account) = NULL;
    Change c change_scoped = {0};
    TRY(account_load(store, q->acct, &a));
    account_ref(a);
    TRY(change_begin_alone(a, &c));
    if (a->h.seq) return fail(ERR_EXISTS, "account %u is not new", q->acct);
    a->next_uid_validity = MAX(a->next_uid_validity, q->validity + 1);
    change_op(&c, &(Op){.kind = OP_LOGIN, .name = q->login}, NULL);
    for (size_t i = 0; i < COUNT(boxes); i++) {
        change_create(&c, boxes[i].name, boxes[i].role);
        change_op(&c, &(Op){.kind = OP_SUBSCRIBE, .on = true, .name = boxes[i].name}, NULL);
    }
    if (store->options.undelete_days) change_create(&c, KEPT_NAME, ROLE_KEPT);
    later_found(&c, q->granted, q->granted_count);
    return change_commit(&c);
}

static PARKS void ask_found(void *arg)
{
    Ask *q = arg;
    q->err = found(q);
}

static void object_op(Change *c, Slice collection, Slice id, Slice value)
{
    change_op(c, &(Op){.kind = OP_OBJECT, .on = true, .name = collection, .id = id, .value = value},
              NULL);
}

/* *n stays what it is when there is no such number. */
static Err directory_number(Account *a, Slice id, uint32_t *n)
{
    Arena arena arena_scoped = {0};
    Slice value;
    Err err = object_find(a, S("directory"), id, &arena, &value, NULL);
    if (!err) err = text_number(value, n);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Nobody else is about to use it. One whose creation fails is not given out again before the next
 * start. */
static Err reserve_number(Account *a, uint32_t *number)
{
    Store *store = a->store;
    uint32_t next = 1;
    TRY(directory_number(a, S("next"), &next));
    next = MAX(next, store->next_account);
    if (next == UINT32_MAX) return fail(ERR_LIMIT, "all account numbers are used up");
    *number = next;
    store->next_account = next + 1;
    return OK;
}

static PARKS Err found_next(Ask *q, Account *a)
{
    do {
        TRY(reserve_number(a, &q->acct));
        loop_call(store_home(q->store, q->acct), ask_found, q);
    } while (q->err == ERR_EXISTS);
    return q->err;
}

/* Records of several creations may become durable in any order: "next" is behind the numbers of
 * them all. */
static PARKS Err enter(Ask *q, Account *a)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    Slice number = number_text(&arena, q->acct);
    TRY(change_begin(a, &c));
    later_done(&c, q->login, q->granted, q->granted_count);
    object_op(&c, S("login"), q->login, number);
    object_op(&c, S("number"), number, q->login);
    object_op(&c, S("directory"), S("next"), number_text(&arena, a->store->next_account));
    return change_commit(&c);
}

static PARKS Err create(Ask *q)
{
    Arena arena arena_scoped = {0};
    Arrival arrival arrival_scoped = {0};
    Account *a scoped(account) = NULL;
    uint32_t other;
    arrival_begin(&arrival, q->store, q->login);
    TRY(directory(q->store, &a));
    Err err = find(a, q->login, &other);
    if (!err) return fail(ERR_EXISTS, "login %.*s", SP(q->login));
    if (err != ERR_NOT_FOUND) return err;
    TRY(directory_number(a, S("validity"), &q->validity));
    TRY(later_find(a, q->login, &arena, &q->granted, &q->granted_count));
    TRY(found_next(q, a));
    return enter(q, a);
}

static PARKS void ask_create(void *arg)
{
    Ask *q = arg;
    q->err = create(q);
}

PARKS Err store_create_account(Store *store, Slice login, uint32_t *acct)
{
    if (!login.len || login.len > OBJECT_ID_MOST || text_has_ctl(login))
        return fail(ERR_SYNTAX, "a login of %zu octets", login.len);
    Ask q = {.store = store, .login = login};
    TRY(ask(&q, ask_create));
    known_put(store, login, q.acct);
    *acct = q.acct;
    return OK;
}

/* ---- removing: it takes nothing more, it cannot be found any more, then its mail and objects go;
 * a removal that was cut off is finished when the store is opened ---- */

static PARKS void ask_shut(void *arg)
{
    Ask *q = arg;
    Account *a;
    q->err = account_load(q->store, q->acct, &a);
    if (q->err) return;
    a->closing = true;
    q->validity = a->next_uid_validity;
}

static PARKS void ask_reopen(void *arg)
{
    Ask *q = arg;
    Account *a;
    if (!account_load(q->store, q->acct, &a)) a->closing = false;
}

static PARKS Err forget(Ask *q)
{
    Arena arena arena_scoped = {0};
    Account *a scoped(account) = NULL;
    Change c change_scoped = {0};
    uint32_t validity = 1, acct;
    TRY(directory(q->store, &a));
    TRY(change_begin_alone(a, &c));
    TRY(find(a, q->login, &acct));
    if (acct != q->acct) return fail(ERR_CONFLICT, "account %u is another one now", q->acct);
    TRY(directory_number(a, S("validity"), &validity));
    Slice number = number_text(&arena, q->acct);
    change_op(&c, &(Op){.kind = OP_OBJECT, .name = S("login"), .id = q->login}, NULL);
    change_op(&c, &(Op){.kind = OP_OBJECT, .name = S("number"), .id = number}, NULL);
    object_op(&c, S("removed"), number, q->login);
    object_op(&c, S("directory"), S("validity"), number_text(&arena, MAX(validity, q->validity)));
    TRY(later_forget(&c, q->acct));
    return change_commit(&c);
}

static PARKS void ask_forget(void *arg)
{
    Ask *q = arg;
    q->err = forget(q);
}

static bool collect_object(void *arg, Slice key, Slice value)
{
    (void)value;
    Buf *keys = arg;
    buf_bytes(keys, key);
    return true;
}

/* Key: 'o' collection 0 id. */
static void delete_object(Change *c, Slice key)
{
    Slice rest = slice_from(key, 1), collection;
    if (!slice_cut(&rest, 0, &collection) || !collection.len || !rest.len) return;
    change_op(c, &(Op){.kind = OP_OBJECT, .name = collection, .id = rest}, NULL);
}

static Err empty_objects(Change *c)
{
    Account *a = c->account;
    Buf keys buf_scoped = {0};
    TRY(engine_scan(a->store->engine, a->number, S("o"), (Slice){0}, collect_object, &keys));
    size_t cursor = 0;
    Slice key;
    void *value;
    while (table_next(&a->objects, &cursor, &key, &value))
        buf_bytes(&keys, key);
    Reader in = reader(buf_slice(&keys));
    while (in.rest.len)
        delete_object(c, read_bytes(&in));
    return OK;
}

static PARKS Err empty(Store *store, uint32_t acct)
{
    Account *a scoped(account) = NULL;
    Change c change_scoped = {0};
    TRY(account_load(store, acct, &a));
    account_ref(a);
    a->closing = true;
    TRY(change_begin_last(a, &c));
    for (uint32_t i = 0; i < a->box_count; i++)
        change_op(&c, &(Op){.kind = OP_DELETE, .mailbox = a->boxes[i]->s.id}, NULL);
    for (uint32_t i = 0; i < a->subscribed_count; i++)
        change_op(&c, &(Op){.kind = OP_SUBSCRIBE, .name = a->subscribed[i]}, NULL);
    TRY(empty_objects(&c));
    TRY(change_commit(&c));
    signature_remove(a);
    return OK;
}

static PARKS void ask_empty(void *arg)
{
    Ask *q = arg;
    q->err = empty(q->store, q->acct);
}

static PARKS void ask_removed(void *arg)
{
    Ask *q = arg;
    Arena arena arena_scoped = {0};
    Account *a scoped(account) = NULL;
    q->err = directory(q->store, &a);
    if (!q->err) q->err = object_delete(a, S("removed"), number_text(&arena, q->acct));
}

static PARKS Err remove_rest(Ask *q)
{
    if (PLANTED("removed_stays")) return OK;
    if (FAULT("store.remove")) return fail(ERR_IO, "a fault");
    loop_call(store_home(q->store, q->acct), ask_empty, q);
    if (q->err) return fail(q->err, "emptying account %u", q->acct);
    return ask(q, ask_removed);
}

PARKS Err store_remove_account(Store *store, Slice login)
{
    Ask q = {.store = store, .login = login};
    TRY(store_find_account(store, login, &q.acct));
    Loop *home = store_home(store, q.acct);
    loop_call(home, ask_shut, &q);
    Err err = q.err ? q.err : ask(&q, ask_forget);
    if (err) {
        loop_call(home, ask_reopen, &q);
        return err;
    }
    known_forget(store, login);
    return remove_rest(&q);
}

static PARKS void ask_unfinished(void *arg)
{
    Ask *q = arg;
    Account *a scoped(account) = NULL;
    q->err = directory(q->store, &a);
    if (!q->err)
        q->err =
            object_list(a, S("removed"), (Slice){0}, SIZE_MAX, q->arena, &q->logins, &q->count);
}

/* What cannot be done now is left for the next time. */
PARKS void directory_finish(Store *store)
{
    Arena arena arena_scoped = {0};
    Ask q = {.store = store, .arena = &arena};
    if (ask(&q, ask_unfinished)) return;
    for (size_t i = 0; i < q.count; i++)
        if (!text_number(q.logins[i], &q.acct)) (void)remove_rest(&q);
}

/* ---- listing ---- */

static PARKS void ask_list(void *arg)
{
    Ask *q = arg;
    Account *a scoped(account) = NULL;
    q->err = directory(q->store, &a);
    if (!q->err)
        q->err = object_list(a, S("login"), q->after, q->most, q->arena, &q->logins, &q->count);
    if (q->err) return;
    q->accts = arena_array(q->arena, uint32_t, q->count + 1);
    for (size_t i = 0; i < q->count && !q->err; i++)
        q->err = find(a, q->logins[i], &q->accts[i]);
}

PARKS Err store_list_accounts(Store *store, Slice after, size_t most, Arena *a, Slice **logins,
                              uint32_t **accts, size_t *count)
{
    Ask q = {.store = store, .after = after, .most = most, .arena = a};
    TRY(ask(&q, ask_list));
    *logins = q.logins, *accts = q.accts, *count = q.count;
    return OK;
}
