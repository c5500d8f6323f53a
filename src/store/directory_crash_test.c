#include "base/test.h"
#include "run/sim.h"
#include "store/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Accounts made and removed by many at once while the power goes off: whoever was told of his
 * account has it, with its number and its mailboxes; nobody else has that number.
 *
 *   DIRECTORY_LIVES=1000  how many       DIRECTORY_SEED=7  where to begin */

enum { DISK = 64 << 20, LOGINS = 24, MAKERS = 8, TURNS = 3 };

typedef enum { UNKNOWN, THERE, GONE } Known; /* what somebody was told; UNKNOWN: nobody yet */
typedef struct {                             /* shared with the children */
    Known known[LOGINS];
    uint32_t accts[LOGINS];
    uint64_t made, crashes;
} Ledger;

typedef struct {
    Ledger *ledger;
    Store *store;
    unsigned makers, making[LOGINS];
    bool removing[LOGINS];
} Life;

static Slice login_of_number(Arena *a, unsigned i)
{
    return arena_printf(a, "user%u", i);
}

/* ---- what has to be there ---- */

typedef struct {
    Store *store;
    Slice login;
    uint32_t acct;
} Visit;

static PARKS void visit(void *arg)
{
    const Visit *v = arg;
    Account *a scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    check_ok(account_open(v->store, v->acct, &a));
    if (!a) return;
    check_slice(account_login(a), v->login);
    check_ok(mailbox_open(a, v->acct, S("INBOX"), &box));
}

static PARKS void look_at_those_told(Life *life)
{
    Arena a arena_scoped = {0};
    Ledger *l = life->ledger;
    for (unsigned i = 0; i < LOGINS; i++) {
        uint32_t acct = 0;
        Err err = store_find_account(life->store, login_of_number(&a, i), &acct);
        if (l->known[i] == THERE) check_ok(err);
        if (l->known[i] == THERE) check_u64(acct, l->accts[i]);
        if (l->known[i] == GONE) check_err(err, ERR_NOT_FOUND);
        l->known[i] = err ? GONE : THERE;
        l->accts[i] = acct;
    }
}

static PARKS void look(Life *life)
{
    Arena a arena_scoped = {0};
    Slice *logins;
    uint32_t *accts;
    size_t count;
    look_at_those_told(life);
    check_ok(store_list_accounts(life->store, (Slice){0}, LOGINS, &a, &logins, &accts, &count));
    for (size_t i = 0; i < count; i++) {
        Visit v = {life->store, logins[i], accts[i]};
        loop_call(store_home(life->store, accts[i]), visit, &v);
        for (size_t j = 0; j < i; j++)
            check(accts[i] != accts[j]);
    }
}

/* ---- what goes on ---- */

static PARKS void make(Life *life, unsigned i, Slice login)
{
    Ledger *l = life->ledger;
    uint32_t acct;
    if (l->known[i] == GONE) l->known[i] = UNKNOWN;
    life->making[i]++;
    Err err = store_create_account(life->store, login, &acct);
    life->making[i]--;
    check(!err || err == ERR_EXISTS); /* then somebody else is told, or was */
    if (err) return;
    check(l->known[i] == UNKNOWN);
    l->known[i] = THERE;
    l->accts[i] = acct;
    l->made++;
}

static PARKS void remove_again(Life *life, unsigned i, Slice login)
{
    Ledger *l = life->ledger;
    l->known[i] = UNKNOWN;
    life->removing[i] = true;
    check_ok(store_remove_account(life->store, login));
    life->removing[i] = false;
    l->known[i] = GONE;
}

static PARKS void make_or_remove(Life *life, unsigned i)
{
    Arena a arena_scoped = {0};
    Slice login = login_of_number(&a, i);
    if (life->removing[i]) return;
    if (life->ledger->known[i] == THERE && !life->making[i] && sim_random() % 2)
        remove_again(life, i, login);
    else
        make(life, i, login);
}

static PARKS void make_some(void *arg)
{
    Life *life = arg;
    for (int i = 0; i < TURNS; i++)
        make_or_remove(life, (unsigned)(sim_random() % LOGINS));
    life->makers--;
}

static PARKS void live(void *arg)
{
    Life life = {.ledger = arg, .makers = MAKERS};
    StoreOptions options = {
        .engine = {.segment_bytes = 128 * 1024, .index_in_memory = true, .checkpoint_ms = 5}
    };
    check_ok(store_open(S("store"), &options, &life.store));
    if (!life.store) exit(1);
    look(&life);
    for (int i = 0; i < MAKERS; i++)
        fiber_start_on(loop_at((unsigned)i % loop_count()), "maker", make_some, &life);
    while (life.makers)
        fiber_sleep(1);
    look_at_those_told(&life);
    store_close(life.store);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(accounts_made_at_once_outlive_crashes)
{
    uint64_t lives = from_environment("DIRECTORY_LIVES", 60);
    uint64_t seed = from_environment("DIRECTORY_SEED", 1);
    Ledger *ledger =
        mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(ledger != MAP_FAILED);
    SimDisk *disk = sim_disk_new(DISK);
    SimDiskPlan *plan = sim_disk_plan(disk);
    for (uint64_t i = 0; i < lives; i++, seed++) {
        int code = 0;
        plan->crash_at = plan->operations + 1 + seed * 7919 % 97;
        check_ok(sim_run_child(&(SimConfig){.seed = seed, .disk = disk, .disk_latency_us = 200},
                               live, ledger, &code));
        if (code != 0 && code != SIM_CRASHED)
            test_failed(__FILE__, __LINE__, "DIRECTORY_SEED=%llu: the child ended with %d",
                        (unsigned long long)seed, code);
        ledger->crashes += code == SIM_CRASHED;
        if (seed % 4)
            sim_disk_power_cut(disk, seed);
        else
            sim_disk_kill(disk);
    }
    check(ledger->crashes > lives / 4 && ledger->made > lives);
    sim_disk_free(disk);
    munmap(ledger, sizeof *ledger);
}
