#include "store/fault_walk.h"

#include "run/file.h"
#include "store/workload_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

Play *s;
SimDisk *disk;

enum { STEPS = 40, TURNS = 400, LOOKS_MOST = 1 << 30 };
static const char LOOK[] = "index.read";

static void stage(const char *name)
{
    snprintf(s->stage, sizeof s->stage, "%s", name);
}

/* ---- arming ---- */

static void arm(void)
{
    SimDiskPlan *plan = sim_disk_plan(disk);
    const Fault *f = s->fault;
    if (s->again) return;
    s->first_operation = plan->operations;
    s->first_read = plan->reads;
    s->armed = true;
    fault_set(LOOK, LOOKS_MOST);
    s->first_look = LOOKS_MOST;
    fault_index_spoil(0);
    mem_plan = (MemPlan){.counting = true};
    if (!f) return;
    s->world.damaged = f->kind == A_LOOK || f->kind == A_PAGE;
    plan->failing = f->failing;
    plan->failure = f->failure;
    plan->crash = f->crash;
    if (f->kind == AN_ALLOCATION)
        mem_plan.refuse_at = s->at;
    else if (f->kind != A_READ && f->kind != A_LOOK && f->kind != A_PAGE)
        *(fault_is_crash(f) ? &plan->crash_at : &plan->fail_at) = plan->operations + s->at;
}

static void disarm(void)
{
    SimDiskPlan *plan = sim_disk_plan(disk);
    if (!s->armed) return;
    s->armed = false;
    mem_plan.counting = false;
    s->operations = plan->operations - s->first_operation;
    s->reads = plan->reads - s->first_read;
    s->memory = mem_plan.count;
    s->looks = s->first_look - fault_left(LOOK);
    fault_set(LOOK, 0);
    s->pages = fault_index_pages();
    fault_index_spoil(0);
    plan->fail_at = plan->fail_read_at = plan->crash_at = 0;
}

/* What is read before is the test's own reading. */
static void arm_reads(void)
{
    SimDiskPlan *plan = sim_disk_plan(disk);
    if (!s->armed) return;
    s->first_read = plan->reads;
    s->first_look = fault_left(LOOK);
    fault_index_spoil(s->fault && s->fault->kind == A_PAGE ? s->at : 0);
    if (s->fault && s->fault->kind == A_LOOK) fault_set(LOOK, (unsigned)s->at);
    if (s->fault && s->fault->kind == A_READ) plan->fail_read_at = plan->reads + s->at;
}

void fault_moment(WorkWorld *w, Client *c, bool ended)
{
    (void)w;
    (void)c;
    if (ended)
        disarm();
    else
        arm_reads();
}

/* ---- operations of the engine ---- */

static void well(Err err, const char *what)
{
    disarm();
    if (!err || s->world.damaged || work_may_fail(&s->world, err)) return;
    work_failed(&s->world, "%s: %s (%s)", what, err_name(err), err_story());
}

static PARKS void checkpoint(Store *store)
{
    well(engine_checkpoint(store_engine(store)), "checkpoint");
}

static PARKS void compact(Store *store)
{
    uint64_t freed;
    well(engine_compact(store_engine(store), &freed), "compact");
}

static PARKS void copy_index(Store *store)
{
    well(engine_copy_index(store_engine(store)), "copy");
}

void fault_ignore(void *arg, Slice line)
{
    (void)arg;
    (void)line;
}

static PARKS void scrub(Store *store)
{
    uint64_t checked, bad;
    well(engine_scrub(store_engine(store), fault_ignore, NULL, &checked, &bad), "scrub");
    if (bad && !s->world.may_fail) work_failed(&s->world, "scrub finds %u", (unsigned)bad);
}

static PARKS void repair(Store *store)
{
    CheckResult result;
    well(store_check(store, true, fault_ignore, NULL, &result), "check");
    if (result.findings && !s->world.may_fail) work_failed(&s->world, "check finds something");
}

const Operation engine_operations[ENGINE_OPERATIONS] = {
    {"append of 2 MB", NULL,       DURING,  WORK_APPEND,  BIG         },
    {"new segment",    NULL,       DURING,  WORK_REPLACE, ROLLS       },
    {"checkpoint",     checkpoint, DURING,  WORK_OPS,     0           },
    {"compact",        compact,    DURING,  WORK_OPS,     0           },
    {"copy of index",  copy_index, DURING,  WORK_OPS,     0           },
    {"scrub",          scrub,      DURING,  WORK_OPS,     0           },
    {"check",          repair,     DURING,  WORK_OPS,     0           },
    {"close",          NULL,       CLOSING, WORK_OPS,     0           },
    {"open",           NULL,       OPENING, WORK_OPS,     0           },
    {"recovery",       NULL,       OPENING, WORK_OPS,     DIRTY       },
    {"index lost",     NULL,       OPENING, WORK_OPS,     LOST        },
    {"log alone",      NULL,       OPENING, WORK_OPS,     LOST | ALONE},
};

/* ---- one life ---- */

static StoreOptions options(void)
{
    return (StoreOptions){
        .engine = {.index_in_memory = true, .segment_bytes = 256 << 10, .checkpoint_ms = 3600000}
    };
}

static bool has_come_to_it(const EngineStatus *first, Store *store)
{
    EngineStatus now;
    engine_status(store_engine(store), &now);
    return s->operations && (!(s->op->ways & ROLLS) || now.segments > first->segments);
}

/* The same choices each time, from the state of the base on. The first time, without a fault, tells
 * which turn it is that comes to what the operation is about; those before find nothing to do, and
 * need not be done again. */
static PARKS void work(Store *store)
{
    Client *c = &s->world.clients[0];
    EngineStatus first;
    engine_status(store_engine(store), &first);
    c->stopped = false;
    c->random = 7 + s->again;
    s->world.big = s->op->ways & BIG;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        bool armed = !s->again && (!s->fault || turn == s->turn);
        if (!s->again && s->fault && !armed && !(s->op->ways & ROLLS)) continue;
        if (!(s->op->ways & ROLLS)) c->random = 7 + s->again + turn * UINT64_C(1000003);
        if (armed) arm();
        client_do(&s->world, c, store, s->account, s->op->work);
        disarm();
        if (s->again ? c->begun > s->before.clients[0].begun : s->fault && armed) return;
        if (s->fault || s->again || !has_come_to_it(&first, store)) continue;
        s->turn = turn;
        return;
    }
}

static PARKS void do_it(Store *store)
{
    if (!s->op->run && !(s->op->ways & CHORE)) {
        work(store);
        return;
    }
    arm();
    arm_reads();
    if (s->op->run)
        s->op->run(store);
    else
        well(chore_run(store, s->op->chore), s->op->name);
    disarm();
}

/* The world does not fail any more: what is there must be right, and the operation must work,
 * unless the store has said that it takes no changes. */
static PARKS void look(Store *store)
{
    s->world.may_fail = false;
    stage("verify");
    s->before = s->world;
    world_verify(&s->world, store);
    if (engine_health(store_engine(store))) {
        s->world = s->before; /* what failed may be there after a restart, all of it */
        return;
    }
    s->again = true;
    stage("do it again");
    if (s->op->when == DURING) do_it(store);
    stage("verify again");
    world_verify(&s->world, store);
    s->again = false;
}

static void lose_index(void)
{
    Arena arena arena_scoped = {0};
    Slice *names;
    size_t count;
    if (path_list(S("store/idx"), &arena, &names, &count)) _exit(2);
    for (size_t i = 0; i < count; i++) {
        bool copy = slice_starts(names[i], S("copy-"));
        if (!slice_eq(names[i], S("data.tab")) && !(copy && s->op->ways & ALONE)) continue;
        if (path_unlink(arena_printf(&arena, "store/idx/%.*s", SP(names[i])))) _exit(2);
    }
}

PARKS void fault_live(void *arg)
{
    Store *store = NULL;
    StoreOptions o = options();
    bool second = *(bool *)arg;
    When when = second ? DURING : s->op->when;
    stage(second ? "open again" : "open");
    s->world.may_fail = !second && s->fault && s->fault->failure;
    s->world.damaged = false; /* arm() says */
    if (!second && s->op->ways & LOST) lose_index();
    if (when == OPENING) arm(), arm_reads();
    Err err = store_open(S("store"), &o, &store);
    if (when == OPENING) disarm();
    if (err && s->world.may_fail) return;
    if (err) work_failed(&s->world, "open: %s (%s)", err_name(err), err_story());
    fault_index_through(store);
    stage("do it");
    if (!second && when == DURING) do_it(store);
    /* an annotation that recovery could not read is lost, the rest of its account is not */
    if (second && s->op->ways & DIRTY && s->fault && s->fault->failure == ERR_CORRUPT) _exit(0);
    if (s->world.damaged) _exit(0); /* memory may lack what could not be read; the log does not */
    look(store);
    stage("close");
    if (when == CLOSING) arm(), arm_reads();
    store_close(store);
    disarm();
}

/* So that each operation finds something to do. */
static PARKS void have_something(Store *store, unsigned account)
{
    static const WorkOp some[] = {WORK_APPEND, WORK_COPY, WORK_EXPUNGE, WORK_APPEND};
    Client *c = &s->world.clients[0];
    const Unit *u = &c->units[account];
    for (unsigned i = 0; i < 24; i++)
        client_do(&s->world, c, store, account, some[i % COUNT(some)]);
    while (!u->acked.boxes[1].exists)
        client_do(&s->world, c, store, account, WORK_CREATE_DELETE);
}

PARKS void fault_prepare(void *arg)
{
    Store *store = NULL;
    StoreOptions o = options();
    bool dirty = *(bool *)arg;
    if (store_open(S("store"), &o, &store)) _exit(2);
    world_prepare(&s->world, store);
    world_work(&s->world, store, STEPS, false);
    for (unsigned account = 0; account < WORK_ACCOUNTS; account++)
        have_something(store, account);
    Err err = chores_prepare(store);
    if (err) work_failed(&s->world, "chores: %s (%s)", err_name(err), err_story());
    for (unsigned account = 0; dirty && account < WORK_ACCOUNTS; account++)
        have_something(store, account); /* which is in the log only */
    if (dirty) _exit(SIM_CRASHED);
    store_close(store);
}
