#include "house/verbs.h"

typedef struct {
    Talk *talk;
    uint32_t acct;
    Err err;
    bool unknown;
} Call;

PARKS static void list(Talk *t, Account *account)
{
    Arena a arena_scoped = {0};
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(account, &a, &entries, &count);
    talk_out(t, "%10s %10s %14s %12s  %s\n", "messages", "unseen", "octets", "uidvalidity", "name");
    for (size_t i = 0; i < count; i++) {
        const MailboxStatus *s = &entries[i].status;
        if (!entries[i].exists) continue;
        talk_out(t, "%10u %10u %14llu %12u  %.*s\n", s->exists, s->unseen,
                 (unsigned long long)s->size_octets, s->uid_validity, SP(entries[i].name));
    }
}

PARKS static Err change(Talk *t, Account *account, bool *unknown)
{
    Slice what = t->args[1], name = t->args[3];
    if (slice_eq(what, S("create"))) return mailbox_create(account, name, ROLE_NONE);
    if (slice_eq(what, S("delete"))) return mailbox_delete(account, name);
    if (slice_eq(what, S("subscribe"))) return mailbox_subscribe(account, name, true);
    if (slice_eq(what, S("unsubscribe"))) return mailbox_subscribe(account, name, false);
    if (slice_eq(what, S("rename")) && t->arg_count > 4)
        return mailbox_rename(account, name, t->args[4]);
    *unknown = true;
    return OK;
}

PARKS static void on_account(void *arg)
{
    Call *c = arg;
    Talk *t = c->talk;
    Account *account scoped(account) = NULL;
    c->err = account_open(t->house->store, c->acct, &account);
    if (c->err) return;
    if (slice_eq(t->args[1], S("list")))
        list(t, account);
    else if (t->arg_count > 3)
        c->err = change(t, account, &c->unknown);
    else
        c->unknown = true;
}

PARKS int verb_mailbox(Talk *t)
{
    Call c = {.talk = t};
    if (t->arg_count > 1 && slice_eq(t->args[1], S("acl"))) return verb_mailbox_acl(t);
    if (t->arg_count < 3) return talk_usage(t);
    Err err = talk_account(t, t->args[2], &c.acct);
    if (err) return talk_fail(t, err);
    talk_on_loop(t, store_home(t->house->store, c.acct), on_account, &c);
    if (c.unknown) return talk_usage(t);
    return c.err ? talk_fail(t, c.err) : EXIT_OK;
}
