#include "base/text.h"
#include "run/log.h"
#include "store/model.h"

#include <stdlib.h>

/* What expunged messages are kept in: a mailbox like others, so that uids, tombstones, counters and
 * views need nothing of their own. deletion.c moves messages in; here they are shown, brought back
 * and, in the end, dropped. That a message was in mailbox X, and when it left, stands in its link
 * (EmailLink.origin, .saved). */

enum { PURGE_AT_ONCE = 1000, SWEEP_ACCOUNTS = 100 };
#define SWEEP_PAUSE_MS ((int64_t)6 * 3600 * 1000)

static Box *kept_box(Account *a)
{
    return box_by_name(a, KEPT_NAME);
}

/* ---- the view ---- */

/* A mailbox of that very name is older than the view, and wins. */
Slice kept_view_name(Account *a)
{
    Slice name = a->store->options.deleted_view;
    Deletion d;
    bool shown = name.len && kept_box(a) && !box_by_name(a, name);
    return shown && !account_deletion(a, &d) && d.keep_days ? name : (Slice){0};
}

bool kept_view_has(Account *a, Slice name)
{
    Slice view = kept_view_name(a);
    return view.len && slice_starts(name, view) &&
           (name.len == view.len || name.at[view.len] == MAILBOX_SEPARATOR);
}

/* ---- where it was ---- */

static const EmailLink *kept_link(const Box *kept, Email *e, uint32_t uid)
{
    for (uint32_t i = 0; i < e->link_count; i++) {
        const EmailLink *l = email_links(e, i);
        if (l->mailbox == kept->s.id && l->uid == uid) return l;
    }
    return NULL;
}

/* "TIME NAME", see deletion.c. */
static Slice name_of_gone(Account *a, uint32_t origin, Arena *arena)
{
    Slice value, when;
    Slice id = arena_printf(arena, "%08x", origin);
    if (object_find(a, S("kept"), id, arena, &value, NULL)) return (Slice){0};
    return slice_cut(&value, ' ', &when) ? value : (Slice){0};
}

/* Where a message of that origin belongs now; a mailbox made anew under the old name will do. */
static Box *home_of(Account *a, uint32_t origin, Arena *arena)
{
    Box *b = origin ? box_by_id(a, origin) : NULL;
    if (!b && origin) b = box_by_name(a, name_of_gone(a, origin, arena));
    return b ? b : box_by_name(a, S("INBOX"));
}

static Err describe(Account *a, const Message *m, Arena *arena, KeptMessage *k)
{
    Email *e;
    TRY(email_entry(a, m->eid, &e));
    const EmailLink *l = kept_link(kept_box(a), e, m->uid);
    Box *b = l && l->origin ? box_by_id(a, l->origin) : NULL;
    *k = (KeptMessage){.uid = m->uid,
                       .eid = m->eid,
                       .size = m->size,
                       .date = m->date,
                       .deleted = l ? l->saved : 0,
                       .folder_is_gone = !b};
    if (b) k->folder = arena_copy(arena, b->s.name);
    if (!b && l) k->folder = name_of_gone(a, l->origin, arena);
    return OK;
}

PARKS Err account_kept(Account *a, uint32_t after, size_t most, Arena *arena, KeptMessage **list,
                       size_t *count)
{
    Box *b = kept_box(a);
    *list = arena_array(arena, KeptMessage, most + 1);
    *count = 0;
    if (!b) return OK;
    TRY(box_load(b));
    const Message *m = after < UINT32_MAX ? box_next(b, after + 1) : NULL;
    for (; m && *count < most; m = box_next(b, m->uid + 1))
        TRY(describe(a, m, arena, &(*list)[(*count)++]));
    return OK;
}

/* ---- back ---- */

typedef struct {
    Box *to;
    UidSet uids;
    uint32_t count;
} Return;
typedef struct {
    Account *account;
    Box *kept;
    Arena *arena;
    Return *returns; /* one for each mailbox */
    size_t count;
    uint64_t octets, messages;
    NumberTable seen; /* eids that are on their way already */
} Undelete;

static Return *return_to(Undelete *u, Box *to)
{
    for (size_t i = 0; i < u->count; i++)
        if (u->returns[i].to == to) return &u->returns[i];
    u->returns[u->count] = (Return){.to = to};
    return &u->returns[u->count++];
}

static bool is_alive(const Undelete *u, Email *e)
{
    for (uint32_t i = 0; i < e->link_count; i++)
        if (email_links(e, i)->mailbox != u->kept->s.id) return true;
    return false;
}

static Err choose(Undelete *u, const Message *m)
{
    Email *e;
    TRY(email_entry(u->account, m->eid, &e));
    if (is_alive(u, e) || number_table_get(&u->seen, m->eid)) return OK;
    const EmailLink *l = kept_link(u->kept, e, m->uid);
    Box *to = home_of(u->account, l ? l->origin : 0, u->arena);
    if (!to) return fail(ERR_NOT_FOUND, "no INBOX");
    Return *r = return_to(u, to);
    uidset_add(u->arena, &r->uids, m->uid, m->uid);
    r->count++;
    u->octets += m->size;
    u->messages++;
    number_table_put(&u->seen, m->eid, u);
    return OK;
}

static Err choose_all(Undelete *u, const UidSet *uids)
{
    for (size_t i = 0; i < uids->count; i++) {
        const Message *m = box_next(u->kept, uids->ranges[i].first);
        for (; m && m->uid <= uids->ranges[i].last; m = box_next(u->kept, m->uid + 1))
            TRY(choose(u, m));
    }
    return OK;
}

static Err return_ops(Undelete *u, Change *c)
{
    for (size_t i = 0; i < u->count; i++) {
        Return *r = &u->returns[i];
        uint32_t first = r->to->next_uid;
        if (r->count > UINT32_MAX - 1 - first) return fail(ERR_LIMIT, "uids are used up");
        Op move = {.kind = OP_MOVE,
                   .mailbox = u->kept->s.id,
                   .to = r->to->s.id,
                   .uid = first,
                   .who = NOTES_OF_ALL,
                   .on = true};
        change_op(c, &move, &(OpLists){.uids = &r->uids});
    }
    for (size_t i = 0; i < u->count; i++)
        u->returns[i].to->next_uid += u->returns[i].count;
    return OK;
}

static PARKS Err undelete(Undelete *u, Change *c, const UidSet *uids)
{
    TRY(change_begin_alone(u->account, c));
    u->kept = kept_box(u->account);
    if (!u->kept) return OK;
    TRY(box_load(u->kept));
    u->returns = arena_array(u->arena, Return, u->account->box_count + 1);
    TRY(choose_all(u, uids));
    if (!u->messages) return OK;
    TRY(change_reserve(c, u->octets, u->messages));
    TRY(return_ops(u, c));
    return change_commit(c);
}

PARKS Err account_undelete(Account *a, const UidSet *uids, Arena *arena, size_t *back)
{
    Change c change_scoped = {0};
    Undelete u = {.account = a, .arena = arena};
    *back = 0;
    Err err = undelete(&u, &c, uids);
    if (!err) *back = (size_t)u.messages;
    number_table_done(&u.seen);
    return err;
}

/* ---- long enough ---- */

/* They came in the order of their uids; so the first one that stays ends it. A clock that went back
 * keeps some longer. */
static Err choose_old(Account *a, Box *b, Arena *arena, UidSet *old)
{
    Deletion d;
    Quota q = account_quota(a);
    uint64_t left = b->s.size_octets, now = (uint64_t)wall_seconds();
    TRY(account_deletion(a, &d));
    TRY(box_load(b));
    const Message *m = box_next(b, 1);
    for (size_t n = 0; m && n < PURGE_AT_ONCE; m = box_next(b, m->uid + 1), n++) {
        Email *e;
        Err err = email_entry(a, m->eid, &e);
        if (err && err != ERR_EXPUNGED) continue; /* nobody knows how old it is */
        const EmailLink *l = err ? NULL : kept_link(b, e, m->uid);
        bool is_old = !l || (uint64_t)l->saved + d.keep_days * UINT64_C(86400) <= now;
        bool is_too_much = left > q.limit[QUOTA_STORAGE];
        if (d.keep_days && !is_old && !is_too_much) break;
        left -= MIN((uint64_t)m->size, left);
        uidset_add(arena, old, m->uid, m->uid);
    }
    return OK;
}

/* One record. *more: there may be as many again. */
static PARKS Err purge(Account *a, bool *more)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    UidSet old = {0};
    *more = false;
    TRY(change_begin_alone(a, &c));
    Box *b = kept_box(a);
    if (!b || !b->s.exists) return OK;
    TRY(choose_old(a, b, &arena, &old));
    if (!old.count) return OK;
    change_op(&c, &(Op){.kind = OP_UNLINK, .mailbox = b->s.id}, &(OpLists){.uids = &old});
    TRY(change_commit(&c));
    *more = true;
    return OK;
}

/* Names of deleted mailboxes of which nothing is kept any more. */
static PARKS Err forget_names(Account *a)
{
    Arena arena arena_scoped = {0};
    Slice *ids, value, when;
    size_t count;
    uint64_t since;
    Deletion d;
    TRY(account_deletion(a, &d));
    TRY(object_list(a, S("kept"), (Slice){0}, PURGE_AT_ONCE, &arena, &ids, &count));
    for (size_t i = 0; i < count; i++) {
        Err err = object_find(a, S("kept"), ids[i], &arena, &value, NULL);
        if (err) continue;
        bool known = slice_cut(&value, ' ', &when) && slice_to_u64(when, &since);
        if (known && since + (d.keep_days + 1) * UINT64_C(86400) > (uint64_t)wall_seconds())
            continue;
        TRY(object_delete(a, S("kept"), ids[i]));
    }
    return OK;
}

static PARKS void sweep_account(Home *home, uint32_t acct)
{
    Account *a scoped(account) = NULL;
    bool more = true;
    Err err = account_open(home->store, acct, &a);
    if (err || !kept_box(a)) return;
    while (!err && more && !home->stopping)
        err = purge(a, &more);
    if (!err) err = forget_names(a);
    if (!err || home->stopping) return;
    /* the disk is full, or the account damaged: what does not go now goes the next time */
    log_err(LOG_LEVEL_WARN, "kept_purge", err, KV_NUM("account", acct));
}

static void keep_place(Home *home, Slice login)
{
    char *copy = mem_new(login.len + 1);
    if (login.len) memcpy(copy, login.at, login.len);
    free((char *)home->swept.at);
    home->swept = slice(copy, login.len);
}

/* So many accounts, then somebody else's turn: an account that nobody opens is looked at too. */
PARKS void kept_sweep(Home *home)
{
    Arena arena arena_scoped = {0};
    Slice *logins;
    uint32_t *accts;
    size_t count;
    if (!home->store->is_open || now_ms() < home->sweep_at_ms) return;
    if (store_list_accounts(home->store, home->swept, SWEEP_ACCOUNTS, &arena, &logins, &accts,
                            &count))
        return;
    for (size_t i = 0; i < count && !home->stopping; i++)
        if (store_home(home->store, accts[i]) == home->loop) sweep_account(home, accts[i]);
    keep_place(home, count ? logins[count - 1] : (Slice){0});
    if (count < SWEEP_ACCOUNTS) {
        keep_place(home, (Slice){0});
        home->sweep_at_ms = now_ms() + SWEEP_PAUSE_MS;
    }
}
