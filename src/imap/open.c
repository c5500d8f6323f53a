/* Mailboxes by name, as this client may see them: RFC 2342's three namespaces. The personal one has
 * no prefix; "Shared/LOGIN/..." are mailboxes that other users have granted, "Public/..." those of
 * the public account. */
#include "imap/session.h"

#define SHARED_PREFIX S("Shared/")
#define PUBLIC_PREFIX S("Public/")

/* ---- a login as a level of a name: what would be a separator or a wildcard is "=XX" ---- */

static void put_login(Buf *out, Slice login)
{
    for (size_t i = 0; i < login.len; i++) {
        unsigned char c = (unsigned char)login.at[i];
        if (c == '/' || c == '%' || c == '*' || c == '=')
            buf_printf(out, "=%02X", c);
        else
            buf_char(out, (char)c);
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static Slice read_login(Arena *a, Slice level)
{
    char *out = arena_alloc(a, level.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < level.len; i++) {
        bool escaped = level.at[i] == '=' && level.len - i > 2;
        int high = escaped ? hex_digit(level.at[i + 1]) : -1;
        int low = escaped ? hex_digit(level.at[i + 2]) : -1;
        bool octet = high >= 0 && low >= 0;
        out[n++] = (char)(octet ? high << 4 | low : level.at[i]);
        if (octet) i += 2;
    }
    return slice(out, n);
}

/* ---- where a name leads ---- */

PARKS static Err public_account(Imap *s, uint32_t *acct)
{
    if (!s->config->public_account.len) return fail(ERR_NOT_FOUND, "there is no public account");
    return auth_account(s->config->auth, s->config->public_account, acct);
}

/* "Shared/" login "/" name. What was not granted is answered from what is known at home: nobody
 * learns from it, nor from the time it takes, whether there is such a user or mailbox. */
PARKS static bool granted(Imap *s, Slice name, uint32_t *acct, Slice *there)
{
    if (!s->config->shared_namespace || !slice_starts(name, SHARED_PREFIX)) return false;
    Slice rest = slice_from(name, SHARED_PREFIX.len), level;
    if (slice_find(rest, MAILBOX_SEPARATOR) == rest.len) return false;
    slice_cut(&rest, MAILBOX_SEPARATOR, &level);
    *there = rest;
    return rest.len && !account_granted_by(s->account, read_login(&s->arena, level), acct);
}

PARKS static bool is_public(Imap *s, Slice name, uint32_t *acct, Slice *there)
{
    *there = slice_from(name, PUBLIC_PREFIX.len);
    return slice_starts(name, PUBLIC_PREFIX) && there->len && !public_account(s, acct);
}

/* A personal mailbox that has a name of another namespace, from an import or from before, stays to
 * be had where nothing else has that name. */
Err imap_place(Imap *s, Slice name, Place *place)
{
    uint32_t acct;
    Slice there;
    TRY(imap_not_remote(s, name));
    imap_go(s, s->user.acct);
    if (!granted(s, name, &acct, &there) && !is_public(s, name, &acct, &there))
        acct = s->user.acct, there = name;
    imap_go(s, acct);
    TRY(account_open(s->config->store, acct, &place->account));
    place->name = there;
    return OK;
}

void place_done(Place *place)
{
    account_close(place->account);
}

Err imap_open(Imap *s, Slice name, Mailbox **box)
{
    Place place place_scoped = {0};
    TRY(imap_place(s, name, &place));
    return mailbox_open(place.account, s->user.acct, place.name, box);
}

static bool is_root(Slice name, Slice prefix)
{
    return slice_starts(name, prefix) || slice_eq(name, slice_first(prefix, prefix.len - 1));
}

Err imap_may_name(Imap *s, Slice name, const Place *place)
{
    bool own = account_number(place->account) == s->user.acct && slice_eq(name, place->name);
    bool taken = (s->config->shared_namespace && is_root(name, SHARED_PREFIX)) ||
                 (s->config->public_account.len && is_root(name, PUBLIC_PREFIX));
    return own && taken ? fail(ERR_NOT_FOUND, "a name of another namespace") : OK;
}

/* ---- names as they are shown ---- */

static bool is_public_login(const Imap *s, Slice login)
{
    return s->config->public_account.len && slice_eq(login, s->config->public_account);
}

static Slice shown(Imap *s, Slice login, Slice name)
{
    Buf out buf_scoped = {0};
    buf_add(&out, is_public_login(s, login) ? PUBLIC_PREFIX : SHARED_PREFIX);
    if (!is_public_login(s, login)) {
        put_login(&out, login);
        buf_char(&out, MAILBOX_SEPARATOR);
    }
    buf_add(&out, name);
    return arena_copy(&s->arena, buf_slice(&out));
}

Slice imap_shown_name(Imap *s, const Account *account, Slice name)
{
    if (account_number(account) == s->user.acct) return name;
    return shown(s, account_login(account), name);
}

/* ---- all of them ---- */

static void add(Imap *s, const Shared *from, MailboxEntry *entries, size_t *count)
{
    for (size_t i = 0; i < from->count; i++) {
        MailboxEntry *e = &entries[(*count)++];
        *e = from->entries[i];
        e->name = shown(s, from->login, e->name);
        e->status.role = ROLE_NONE;
    }
}

PARKS static Err read_public(Imap *s, bool unseen, Shared *out)
{
    uint32_t acct;
    Err err = public_account(s, &acct);
    if (err == ERR_NOT_FOUND || (!err && acct == s->user.acct)) return OK;
    TRY(err);
    err = account_shared_by(s->config->store, acct, s->user.acct, unseen, &s->arena, out);
    return err == ERR_NOT_FOUND ? OK : err;
}

Err imap_others(Imap *s, bool unseen, MailboxEntry **entries, size_t *count)
{
    Shared common = {0}, *list = NULL;
    size_t shared = 0, all = 0;
    imap_go(s, s->user.acct);
    TRY(read_public(s, unseen, &common));
    if (s->config->shared_namespace)
        TRY(account_shared(s->account, unseen, &s->arena, &list, &shared));
    all = common.count;
    for (size_t i = 0; i < shared; i++)
        all += list[i].count;
    *entries = arena_array(&s->arena, MailboxEntry, all + 1);
    *count = 0;
    for (size_t i = 0; i < shared; i++)
        if (!is_public_login(s, list[i].login)) add(s, &list[i], *entries, count);
    add(s, &common, *entries, count);
    return OK;
}

/* ---- whose they are ---- */

Err imap_sharers(Imap *s, Shared **list, size_t *count)
{
    Shared common = {0}, *others = NULL;
    size_t n = 0;
    imap_go(s, s->user.acct);
    *count = 0;
    TRY(read_public(s, false, &common));
    if (s->config->shared_namespace) TRY(account_shared(s->account, false, &s->arena, &others, &n));
    *list = arena_array(&s->arena, Shared, n + 1);
    for (size_t i = 0; i < n; i++)
        if (!is_public_login(s, others[i].login)) (*list)[(*count)++] = others[i];
    if (common.count) (*list)[(*count)++] = common;
    return OK;
}

Slice imap_prefix_of(Imap *s, Slice login)
{
    return shown(s, login, (Slice){0});
}
