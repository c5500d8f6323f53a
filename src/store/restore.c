#include "store/model.h"

#include <stdlib.h>

/* What a store needs that was put back from a backup: later than the moment it is of, clients may
 * have seen numbers that are free again. So every mailbox gets a new UIDVALIDITY, greater than any
 * that was given out, and eids (EMAILID) go on far behind. Bodies nobody refers to are given up. */

enum { EIDS_PASSED_OVER = 1 << 20 };

typedef struct {
    Store *store;
    NumberTable alive; /* places of bodies */
    uint32_t acct;
    Err err;
} Renewal;

static PARKS Err note_bodies(Renewal *r, Account *a)
{
    for (uint32_t number = 0; number <= a->h.next_eid / EMAILS; number++) {
        EmailPage *p;
        TRY(email_page(a, number, &p));
        for (uint32_t i = 0; i < EMAILS; i++)
            if (p->emails[i].thread && p->emails[i].ref.len)
                number_table_put(&r->alive, p->emails[i].ref.at, r);
        breathe();
    }
    return OK;
}

static PARKS Err renew_numbers(Account *a)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(a, &c));
    uint32_t validity = MAX(a->next_uid_validity, (uint32_t)wall_seconds());
    uint32_t eid = MIN(a->next_eid, UINT32_MAX - 2 * EIDS_PASSED_OVER) + EIDS_PASSED_OVER;
    change_op(&c, &(Op){.kind = OP_SKIP, .eid = MAX(eid, a->next_eid)}, NULL);
    for (uint32_t i = 0; i < a->box_count; i++)
        change_op(&c,
                  &(Op){.kind = OP_VALIDITY,
                        .mailbox = a->boxes[i]->s.id,
                        .uid_validity = validity++,
                        .uid = a->boxes[i]->s.uid_next},
                  NULL);
    return change_commit(&c);
}

static PARKS void renew_account(void *arg)
{
    Renewal *r = arg;
    Account *a scoped(account) = NULL;
    r->err = account_open(r->store, r->acct, &a);
    if (!r->err) r->err = note_bodies(r, a);
    if (!r->err) r->err = renew_numbers(a);
}

static PARKS Err renew_accounts(Renewal *r)
{
    enum { AT_ONCE = 500 };
    Buf after buf_scoped = {0};
    size_t count = AT_ONCE;
    while (count == AT_ONCE) {
        Arena arena arena_scoped = {0};
        Slice *logins;
        uint32_t *accts;
        TRY(store_list_accounts(r->store, buf_slice(&after), AT_ONCE, &arena, &logins, &accts,
                                &count));
        for (size_t i = 0; i < count; i++) {
            r->acct = accts[i];
            loop_call(store_home(r->store, r->acct), renew_account, r);
            TRY(r->err);
        }
        buf_clear(&after);
        if (count) buf_add(&after, logins[count - 1]);
    }
    return OK;
}

PARKS Err store_renew(Store *store, uint64_t *given_up)
{
    Renewal r = {.store = store};
    Err err = renew_accounts(&r);
    if (!err) err = engine_reclaim(store->engine, &r.alive, given_up);
    number_table_done(&r.alive);
    return err;
}
