/* GETQUOTA, GETQUOTAROOT, SETQUOTA: RFC 9208, and clients of RFC 2087.
 *
 * Every account is one quota root, "user/LOGIN"; its mailboxes have no other. "" is the user's own
 * root too, as the examples of RFC 2087 have it. Guests are told nothing (RFC 9208 8). The roots of
 * others are for administrators; an unknown root and one that is not ours answer alike. Each root
 * is asked at its account's home. */
#include "imap/session.h"

static const struct {
    const char *name;
    uint64_t unit;
} resources[QUOTA_RESOURCES] = {
    [QUOTA_STORAGE] = {"STORAGE",            1024},
    [QUOTA_MESSAGE] = {"MESSAGE",            1   },
    [QUOTA_MAILBOX] = {"MAILBOX",            1   },
    [QUOTA_ANNOTATION] = {"ANNOTATION-STORAGE", 1024},
};

bool imap_is_administrator(const Imap *s)
{
    for (size_t i = 0; i < s->config->administrator_count; i++)
        if (slice_eq_nocase(s->config->administrators[i], slice_of(s->user.login))) return true;
    return false;
}

/* ---- a root ---- */

#define ROOT_PREFIX "user/"

/* The account of a root that this user may look at. */
PARKS static Err find_root(Imap *s, Slice root, uint32_t *acct)
{
    Slice login = slice_from(root, sizeof ROOT_PREFIX - 1);
    bool named = slice_starts(root, S(ROOT_PREFIX)) && login.len;
    *acct = s->user.acct;
    if (!root.len || (named && slice_eq(login, slice_of(s->user.login)))) return OK;
    if (!named || !imap_is_administrator(s)) return fail(ERR_FORBIDDEN, "another's quota root");
    return auth_account(s->config->auth, login, acct);
}

typedef struct {
    Store *store;
    uint32_t acct;
    const uint64_t *limit; /* to set first; NULL: only asks */
    Quota quota;
    Err err;
} Ask;

PARKS static void ask_at_home(void *arg)
{
    Ask *q = arg;
    Account *account scoped(account) = NULL;
    q->err = account_open(q->store, q->acct, &account);
    if (!q->err && q->limit) q->err = account_set_quota(account, q->limit);
    if (!q->err) q->quota = account_quota(account);
}

PARKS static Err ask(Imap *s, uint32_t acct, const uint64_t *limit, Quota *quota)
{
    Ask q = {.store = s->config->store, .acct = acct, .limit = limit};
    loop_call(store_home(q.store, acct), ask_at_home, &q);
    *quota = q.quota;
    return q.err ? fail(q.err, "the quota of account %u", acct) : OK;
}

/* What is begun counts as a whole unit. */
static unsigned long long units(uint64_t n, uint64_t unit)
{
    return n / unit + (n % unit != 0);
}

/* quota-response = "QUOTA" SP quota-root-name SP quota-list: resources without a limit are left out
 * (RFC 9208 4.2.1). quota-list may not be empty (7), as it might in RFC 2087: a root without limits
 * has no such line. Delta Chat shows "()" as a failure, and "not supported" without the line. */
static void tell_quota(Imap *s, Slice root, const Quota *q)
{
    Buf list buf_scoped = {0};
    for (int i = 0; i < QUOTA_RESOURCES; i++) {
        if (q->limit[i] == QUOTA_NONE) continue;
        buf_printf(&list, "%s%s %llu %llu", list.len ? " " : "", resources[i].name,
                   units(q->used[i], resources[i].unit), units(q->limit[i], resources[i].unit));
    }
    if (!list.len) return;
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* QUOTA "));
    imap_put_string(out, root);
    buf_printf(out, " (%.*s)\r\n", SP(buf_slice(&list)));
}

/* ---- commands ---- */

/* getquota = "GETQUOTA" SP quota-root-name; quota-root-name = astring */
Err imap_cmd_getquota(Imap *s)
{
    imap_space(s->in);
    Slice root = imap_astring(s->in);
    TRY(imap_end(s->in));
    uint32_t acct;
    Quota quota;
    if (find_root(s, root, &acct)) return imap_no(s, "[NOPERM] No such quota root for you");
    TRY(ask(s, acct, NULL, &quota));
    tell_quota(s, root, &quota);
    return imap_ok(s, "GETQUOTA completed");
}

/* Whose quota a name counts for: also a name of which nothing exists yet (RFC 9208 4.1.2). The
 * quota tells of the mailbox's messages, so it wants their right (6). */
PARKS static Err owner(Imap *s, Slice name, Slice *login, uint32_t *acct)
{
    Mailbox *box scoped(mailbox) = NULL;
    *login = slice_of(s->user.login);
    *acct = s->user.acct;
    Err err = imap_open(s, name, &box);
    if (!err) err = mailbox_need(box, RIGHT_READ);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    *login = arena_copy(&s->arena, account_login(mailbox_account(box)));
    *acct = account_number(mailbox_account(box));
    return OK;
}

/* getquotaroot = "GETQUOTAROOT" SP mailbox */
Err imap_cmd_getquotaroot(Imap *s)
{
    imap_space(s->in);
    Slice as_sent, login, name = imap_mailbox(s->in, &as_sent);
    TRY(imap_end(s->in));
    uint32_t acct;
    Quota quota;
    TRY(owner(s, name, &login, &acct));
    TRY(ask(s, acct, NULL, &quota));
    Slice root = arena_printf(&s->arena, ROOT_PREFIX "%.*s", SP(login));
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* QUOTAROOT "));
    imap_put_mailbox(s, out, as_sent);
    buf_char(out, ' ');
    imap_put_string(out, root);
    buf_add(out, S("\r\n"));
    tell_quota(s, root, &quota);
    return imap_ok(s, "GETQUOTAROOT completed");
}

/* setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"; setquota-resource =
 * resource-name SP resource-limit. What is not named has no limit any more. *unknown: a resource
 * that we do not have. */
static void read_limits(In *in, uint64_t limit[QUOTA_RESOURCES], bool *unknown)
{
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        limit[i] = QUOTA_NONE;
    imap_need(in, "(");
    bool more = !imap_see(in, ")");
    while (more) {
        Slice name = imap_atom(in);
        imap_space(in);
        uint64_t n = imap_number64(in);
        bool found = false;
        for (int i = 0; i < QUOTA_RESOURCES; i++) {
            if (!slice_eq_nocase(name, slice_of(resources[i].name))) continue;
            limit[i] = n <= INT64_MAX / resources[i].unit ? n * resources[i].unit : INT64_MAX;
            found = true;
        }
        if (!found) *unknown = true;
        more = imap_see(in, " ");
        if (!more) imap_need(in, ")");
    }
}

/* setquota = "SETQUOTA" SP quota-root-name SP setquota-list */
Err imap_cmd_setquota(Imap *s)
{
    uint64_t limit[QUOTA_RESOURCES];
    bool unknown = false;
    imap_space(s->in);
    Slice root = imap_astring(s->in);
    imap_space(s->in);
    read_limits(s->in, limit, &unknown);
    TRY(imap_end(s->in));
    uint32_t acct;
    Quota quota;
    if (!imap_is_administrator(s) || find_root(s, root, &acct))
        return imap_no(s, "[NOPERM] Not your quota root to set");
    if (unknown) return imap_no(s, "[CANNOT] That resource has no limits here");
    TRY(ask(s, acct, limit, &quota));
    tell_quota(s, root, &quota);
    return imap_ok(s, "SETQUOTA completed");
}
