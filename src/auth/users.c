#include "auth/prep.h"
#include "auth/state.h"
#include "base/text.h"

/* ---- users ---- */

PARKS static Err ask(Auth *auth, MemoKind what, Slice login, Slice password)
{
    Buf memory secret_scoped = {0};
    Memo answer, question = {
                     .kind = what, .text = {login, password}
    };
    return keeper_ask(auth->keeper, &question, &answer, &memory);
}

PARKS static Err set_password(Auth *auth, Slice login, Slice password)
{
    Buf prepared secret_scoped = {0};
    TRY(saslprep(password, &prepared));
    if (!prepared.len) return fail(ERR_SYNTAX, "an empty password");
    if (prepared.len > KEEPER_PASSWORD_MOST)
        return fail(ERR_SYNTAX, "a password of %zu octets", prepared.len);
    return ask(auth, MEMO_SET, login, buf_slice(&prepared));
}

PARKS Err user_add(Auth *auth, Slice login, Slice password)
{
    Buf name buf_scoped = {0};
    uint32_t acct;
    TRY(login_normalise(login, &name));
    Err known = ask(auth, MEMO_HAS, buf_slice(&name), (Slice){0});
    if (!known) return fail(ERR_EXISTS, "there is a user %.*s", SP(buf_slice(&name)));
    if (known != ERR_NOT_FOUND) return known;
    Err err = store_create_account(auth->store, buf_slice(&name), &acct);
    if (err && err != ERR_EXISTS)
        return err; /* an account without a credential: an add that was cut short */
    return set_password(auth, buf_slice(&name), password);
}

PARKS Err user_set_password(Auth *auth, Slice login, Slice password)
{
    Buf name buf_scoped = {0};
    uint32_t acct;
    TRY(login_normalise(login, &name));
    TRY(store_find_account(auth->store, buf_slice(&name), &acct));
    return set_password(auth, buf_slice(&name), password);
}

PARKS Err user_remove(Auth *auth, Slice login)
{
    Buf name buf_scoped = {0};
    TRY(login_normalise(login, &name));
    Err err = ask(auth, MEMO_REMOVE, buf_slice(&name), (Slice){0});
    if (err && err != ERR_NOT_FOUND) return err;
    return store_remove_account(auth->store, buf_slice(&name));
}

PARKS Err user_list(Auth *auth, Slice after, size_t most, Arena *a, Slice **logins, size_t *count)
{
    uint32_t *accts;
    return store_list_accounts(auth->store, after, most, a, logins, &accts, count);
}

/* ---- aliases: objects of account 0, the store's own ---- */

enum { DIRECTORY = 0 };

typedef struct AliasCall {
    Auth *auth;
    Slice address, logins;
    Arena *a;
    Slice *lines;
    size_t count;
    Err (*fn)(Account *directory, struct AliasCall *c);
    Err err;
} AliasCall;

PARKS static void open_directory(void *arg)
{
    AliasCall *c = arg;
    Account *account scoped(account) = NULL;
    c->err = account_open(c->auth->store, DIRECTORY, &account);
    if (!c->err) c->err = c->fn(account, c);
}

PARKS static Err on_directory(Auth *auth, Err (*fn)(Account *, AliasCall *), AliasCall *call)
{
    call->auth = auth;
    call->fn = fn;
    loop_call(store_home(auth->store, DIRECTORY), open_directory, call);
    return call->err;
}

PARKS static Err get_alias(Account *directory, AliasCall *c)
{
    return object_get(directory, S("alias"), c->address, c->a, &c->logins, NULL);
}

PARKS Err alias_get(Auth *auth, Slice address, Arena *a, Slice *logins)
{
    AliasCall call = {.address = address, .a = a};
    TRY(on_directory(auth, get_alias, &call));
    *logins = call.logins;
    return OK;
}

PARKS static Err put_alias(Account *directory, AliasCall *c)
{
    return object_put(directory, S("alias"), c->address, c->logins, NULL);
}

PARKS Err alias_put(Auth *auth, Slice address, const Slice *logins, size_t count)
{
    Buf name buf_scoped = {0}, all buf_scoped = {0};
    TRY(login_normalise(address, &name));
    for (size_t i = 0; i < count; i++) {
        Buf login buf_scoped = {0};
        TRY(login_normalise(logins[i], &login));
        if (i) buf_char(&all, ' ');
        buf_add(&all, buf_slice(&login));
    }
    if (!count || memchr(name.at, ' ', name.len))
        return fail(ERR_SYNTAX, "an alias needs an address and a login");
    AliasCall call = {.address = buf_slice(&name), .logins = buf_slice(&all)};
    return on_directory(auth, put_alias, &call);
}

PARKS static Err delete_alias(Account *directory, AliasCall *c)
{
    return object_delete(directory, S("alias"), c->address);
}

PARKS Err alias_remove(Auth *auth, Slice address)
{
    Buf name buf_scoped = {0};
    TRY(login_normalise(address, &name));
    AliasCall call = {.address = buf_slice(&name)};
    return on_directory(auth, delete_alias, &call);
}

PARKS static Err list_aliases(Account *directory, AliasCall *c)
{
    Slice *ids, logins;
    TRY(object_list(directory, S("alias"), (Slice){0}, SIZE_MAX, c->a, &ids, &c->count));
    c->lines = arena_array(c->a, Slice, c->count + 1);
    for (size_t i = 0; i < c->count; i++) {
        TRY(object_get(directory, S("alias"), ids[i], c->a, &logins, NULL));
        c->lines[i] = arena_printf(c->a, "%.*s %.*s", SP(ids[i]), SP(logins));
    }
    return OK;
}

PARKS Err alias_list(Auth *auth, Arena *a, Slice **lines, size_t *count)
{
    AliasCall call = {.a = a};
    TRY(on_directory(auth, list_aliases, &call));
    *lines = call.lines;
    *count = call.count;
    return OK;
}
