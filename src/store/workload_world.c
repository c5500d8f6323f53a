#include "store/workload_step.h"

#include <stdio.h>

/* All clients together, and the recount. */

typedef struct {
    WorkWorld *w;
    Store *store;
    unsigned steps, working;
    Cond ended;
} Crowd;
typedef struct {
    Crowd *crowd;
    Client *client;
} Worker;

/* Segments are only given up when a copy of the index no longer needs them. */
typedef struct {
    Crowd *crowd;
    uint64_t random;
    bool stop;
} Sweeper;

static void one_ended(void *arg)
{
    Crowd *crowd = arg;
    crowd->working--;
    cond_signal(&crowd->ended);
}

static PARKS void worker(void *arg)
{
    Worker *k = arg;
    k->client->stopped = false;
    for (unsigned i = 0; i < k->crowd->steps && !k->client->stopped; i++)
        client_step(k->crowd->w, k->client, k->crowd->store);
    loop_call(loop_at(0), one_ended, k->crowd);
}

static PARKS void sweep(void *arg)
{
    Sweeper *k = arg;
    WorkWorld *w = k->crowd->w;
    Engine *e = store_engine(k->crowd->store);
    uint64_t freed;
    while (!k->stop) {
        bool copy = work_random(&k->random) % 2;
        Err err = copy ? engine_copy_index(e) : engine_compact(e, &freed);
        if (err && !work_may_fail(w, err))
            work_failed(w, "sweep: %s (%s)", err_name(err), err_story());
        fiber_sleep((int64_t)(work_random(&k->random) % 30));
    }
    one_ended(k->crowd);
}

PARKS void world_work(WorkWorld *w, Store *store, unsigned steps, bool sweeps)
{
    Worker workers[WORK_CLIENTS];
    Crowd crowd = {.w = w, .store = store, .steps = steps, .working = WORK_CLIENTS};
    for (unsigned i = 0; i < WORK_CLIENTS; i++) {
        workers[i] = (Worker){&crowd, &w->clients[i]};
        fiber_start_on(loop_at(i % loop_count()), "client", worker, &workers[i]);
    }
    Sweeper k = {.crowd = &crowd, .random = w->seed};
    if (sweeps) fiber_start("sweeper", sweep, &k);
    while (crowd.working)
        cond_wait(&crowd.ended, NEVER);
    crowd.working += k.stop = sweeps;
    while (crowd.working)
        cond_wait(&crowd.ended, NEVER);
}

typedef struct {
    WorkWorld *w;
    Store *store;
    Unit *u;
} Errand;

/* Trash is not among the unit's mailboxes: whether it was emptied shows there only. */
static PARKS bool trash_was_emptied(const Unit *u, Account *a)
{
    if (!u->in_flight || u->policy != WORK_TRASH || u->pending.kept_count >= u->acked.kept_count)
        return false;
    for (uint32_t i = 0; i < u->acked.kept_count; i++) {
        Arena arena arena_scoped = {0};
        UidSet none = {0};
        if (!kept_find(a, u->policy, &u->acked.kept[i].message, &arena, &none)) return true;
    }
    return false;
}

/* Nothing at all in an account is to be there that its units do not know. */
static PARKS void verify_unit(void *arg)
{
    Errand *e = arg;
    Unit *u = e->u;
    Account *a scoped(account) = NULL;
    Buf old buf_scoped = {0}, new buf_scoped = {0};
    Err err = account_open(e->store, u->acct, &a);
    if (err) work_failed(e->w, "account %u: %s (%s)", u->acct, err_name(err), err_story());
    bool is_old = !u->answered && !trash_was_emptied(u, a) &&
                  state_compare(e->w, u, a, &u->acked, &u->acked, true, &old);
    bool is_new =
        !is_old && u->in_flight && state_compare(e->w, u, a, &u->acked, &u->pending, true, &new);
    if (!is_old && !is_new)
        work_failed(e->w, "client %u, account %u, %s %s: not as before: %.*s; not as after: %.*s",
                    u->client, u->acct,
                    u->answered    ? "acknowledged"
                    : u->in_flight ? "in flight"
                                   : "at rest, last",
                    u->what, SP(buf_slice(&old)), SP(buf_slice(&new)));
    if (is_new) u->acked = u->pending;
    u->in_flight = u->answered = false;
}

typedef struct {
    WorkWorld *w;
    Store *store;
    unsigned account;
} PlaceErrand;

static PARKS void verify_place(void *arg)
{
    PlaceErrand *e = arg;
    Account *a scoped(account) = NULL;
    Buf why buf_scoped = {0};
    uint32_t acct = e->w->clients[0].units[e->account].acct;
    Err err = account_open(e->store, acct, &a);
    if (err) work_failed(e->w, "account %u: %s (%s)", acct, err_name(err), err_story());
    if (!kept_compare(e->w, e->account, a, &why))
        work_failed(e->w, "account %u: %.*s", acct, SP(buf_slice(&why)));
}

static void report(void *arg, Slice line)
{
    const WorkWorld *w = arg;
    fprintf(stderr, "seed %llu: %.*s\n", (unsigned long long)w->seed, SP(line));
}

PARKS void world_verify(WorkWorld *w, Store *store)
{
    CheckResult result = {0};
    for (unsigned i = 0; i < WORK_CLIENTS; i++)
        for (unsigned j = 0; j < WORK_ACCOUNTS; j++) {
            Errand e = {w, store, &w->clients[i].units[j]};
            loop_call(store_home(store, e.u->acct), verify_unit, &e);
        }
    for (unsigned j = 0; j < WORK_ACCOUNTS; j++) {
        PlaceErrand e = {w, store, j};
        loop_call(store_home(store, w->clients[0].units[j].acct), verify_place, &e);
    }
    Err err = store_check(store, false, report, w, &result);
    if (err) work_failed(w, "check: %s (%s)", err_name(err), err_story());
    if (result.findings) work_failed(w, "%llu findings", (unsigned long long)result.findings);
}

static PARKS void make_first_box(void *arg)
{
    Errand *e = arg;
    Account *a scoped(account) = NULL;
    WorkState *s = &e->u->acked;
    Err err = account_open(e->store, e->u->acct, &a);
    if (err) work_failed(e->w, "account %u: %s", e->u->acct, err_story());
    static const Deletion policies[WORK_POLICIES] = {
        [WORK_KEEP] = {.keep_days = 30          },
        [WORK_TRASH] = { .expunge_to_trash = true, .deleted_to_trash = true},
    };
    model_names(e->u, s);
    model_create(&s->boxes[0]);
    err = account_set_deletion(a, &policies[e->u->policy]);
    if (err) work_failed(e->w, "policy: %s", err_story());
    err = mailbox_create(a, slice_of(s->boxes[0].name), ROLE_NONE);
    if (err && err != ERR_EXISTS) work_failed(e->w, "create %s: %s", s->boxes[0].name, err_story());
}

static PARKS uint32_t make_account(WorkWorld *w, Store *store, unsigned number)
{
    Arena arena arena_scoped = {0};
    uint32_t acct = 0;
    Slice login = arena_printf(&arena, "user%u", number);
    Err err = store_find_account(store, login, &acct);
    if (err == ERR_NOT_FOUND) err = store_create_account(store, login, &acct);
    if (err) work_failed(w, "%.*s: %s (%s)", SP(login), err_name(err), err_story());
    return acct;
}

PARKS void world_prepare(WorkWorld *w, Store *store)
{
    for (unsigned j = 0; j < WORK_ACCOUNTS && !w->ready; j++) {
        uint32_t acct = make_account(w, store, j);
        for (unsigned i = 0; i < WORK_CLIENTS; i++) {
            Errand e = {w, store, &w->clients[i].units[j]};
            e.u->acct = acct;
            e.u->policy = (WorkPolicy)(j % WORK_POLICIES);
            loop_call(store_home(store, acct), make_first_box, &e);
        }
    }
    w->ready = true;
}

void world_init(WorkWorld *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    for (unsigned i = 0; i < WORK_CLIENTS; i++) {
        w->clients[i].number = i;
        w->clients[i].random = seed * WORK_CLIENTS + i;
        for (unsigned j = 0; j < WORK_ACCOUNTS; j++)
            w->clients[i].units[j].client = i;
    }
}
