#include "store/draft.h"

#include <stdlib.h>

/* One body, many recipients: the first who takes it carries the body, the others refer to it, each
 * at home on its own loop and all at once. */

typedef struct {
    Draft *draft;
    Delivery *to;
    DraftBody body;
    struct Round *round;
} Errand;

typedef struct Round {
    size_t left;
    Cond over;
} Round;

static PARKS Err open_target(Account *a, const Delivery *to, Mailbox **box)
{
    Err err = mailbox_open_lightly(a, to->mailbox, box);
    if (err == ERR_NOT_FOUND && to->create) {
        err = mailbox_create(a, to->mailbox, ROLE_NONE);
        if (!err || err == ERR_EXISTS) err = mailbox_open_lightly(a, to->mailbox, box);
    }
    /* whatever is wrong with the folder, the mail is not lost */
    return err ? mailbox_open_lightly(a, S("INBOX"), box) : OK;
}

static PARKS Err deliver_into(Errand *e)
{
    Account *a scoped(account) = NULL;
    Delivery *to = e->to;
    TRY(account_open(e->draft->store, to->acct, &a));
    for (int tries = 0; tries < 3; tries++) {
        Mailbox *box scoped(mailbox) = NULL;
        TRY(open_target(a, to, &box));
        Err err = draft_place(e->draft, box, &to->place, &e->body, &to->uid);
        if (err != ERR_NOT_FOUND) return err; /* NOT_FOUND: deleted under our hands */
    }
    return fail(ERR_TEMPORARY, "the mailbox keeps disappearing");
}

static PARKS void deliver_at_home(void *arg)
{
    Errand *e = arg;
    e->to->err = deliver_into(e);
    e->to->story = e->to->err ? slice_of(err_meaning(e->to->err)) : (Slice){0};
}

static PARKS void run_errand(Errand *e)
{
    loop_call(store_home(e->draft->store, e->to->acct), deliver_at_home, e);
}

static PARKS void errand_fiber(void *arg)
{
    Errand *e = arg;
    run_errand(e);
    if (!--e->round->left) cond_signal(&e->round->over);
}

/* The rest, in parallel. The body is pinned, so nobody's expunge takes it away meanwhile. */
static PARKS void deliver_rest(Draft *d, Delivery *list, size_t count, DraftBody body)
{
    Errand *errands = mem_zero(array_bytes(count, sizeof *errands));
    Round round = {.left = count};
    for (size_t i = 0; i < count; i++) {
        errands[i] = (Errand){.draft = d, .to = &list[i], .body = body, .round = &round};
        fiber_start("delivery", errand_fiber, &errands[i]);
    }
    while (round.left)
        cond_wait(&round.over, NEVER);
    free(errands);
}

PARKS void draft_deliver(Draft *d, Delivery *list, size_t count)
{
    Err err = draft_end(d);
    if (err) {
        for (size_t i = 0; i < count; i++)
            list[i].err = err, list[i].story = slice_of(err_meaning(err));
        return;
    }
    size_t i = 0;
    bool carried = false;
    Errand first = {.draft = d, .body = {.shared = count > 1}};
    for (; i < count && !carried; i++) {
        first.to = &list[i];
        run_errand(&first);
        carried = !list[i].err;
    }
    if (i < count && PLANTED("recipient_lost")) count--;
    if (i < count)
        deliver_rest(d, list + i, count - i,
                     (DraftBody){.ref = first.body.ref, .known = true, .shared = true});
    if (carried && first.body.shared) blob_unpin(d->store->engine, first.body.ref.at);
}
