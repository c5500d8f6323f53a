/* Backups of a store that is being worked on, in the simulated world: full ones and such that build
 * on others, stopped in the middle, with crashes and power cuts (of the backup's disk, too). Then
 * each moment is put back that was noted: the moment each backup stands for, in the middle of the
 * work, and moments of rest in between, whose mail was partly expunged and compacted away before
 * the next backup. What comes back has to be what the model says of that moment.
 *
 * BACKUP_SEED=n runs that one world only, BACKUP_SEEDS=n so many instead of 6. */
#include "run/file.h"
#include "run/sim.h"
#include "store/backup.h"
#include "store/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { LIVES = 4, ROUNDS = 3, STEPS = 25, GIB = 1024 * 1024 * 1024, NOTES = 64 };

typedef struct {
    WorkWorld world;
    int64_t moment;
    bool is_backup; /* else a moment of rest */
    bool sound;     /* the backup was finished */
} Noted;

typedef struct {
    WorkWorld world;
    Noted notes[NOTES];
    size_t count;
    uint64_t backups, stopped, restored, unreachable;
    uint64_t random;
    unsigned life;
} SharedMemory;

typedef struct {
    SharedMemory *s;
    Store *store;
    BackupJob job;
    EngineBackup plan;
    Arena arena;
    Err err;
    Err (*step)(BackupJob *j);
    size_t segment;
    Cond ended;
    bool over;
} Backup;

static uint64_t some(SharedMemory *s, uint64_t n)
{
    return work_random(&s->random) % n;
}

static StoreOptions options_of(const SharedMemory *s)
{
    return (StoreOptions){
        .engine = {.index_in_memory = true,
                   .segment_bytes = s->world.big ? 4u << 20 : 128u << 10,
                   .checkpoint_ms = s->world.seed % 2 ? 20 : 200,
                   .backup_window = 100000},
    };
}

/* ---- one backup, while the clients work ---- */
static void note(void *arg)
{
    Backup *b = arg;
    SharedMemory *s = b->s;
    if (s->count == NOTES) return;
    Noted *n = &s->notes[s->count];
    n->world = s->world;
    n->moment = wall_seconds();
    n->is_backup = true;
    n->sound = false;
}

static void begin_aside(void *arg)
{
    Backup *b = arg;
    b->err = job_begin(&b->job, &b->plan);
}

static void segment_aside(void *arg)
{
    Backup *b = arg;
    b->err = job_segment(&b->job, b->segment);
}

static void step_aside(void *arg)
{
    Backup *b = arg;
    b->err = b->step(&b->job);
}

static PARKS Err take(Backup *b, Err (*step)(BackupJob *j))
{
    b->step = step;
    aside(step_aside, b);
    return b->err;
}

static PARKS Err copy_all(Backup *b, bool stop)
{
    Engine *e = store_engine(b->store);
    aside(begin_aside, b);
    TRY(b->err);
    TRY(take(b, job_index));
    TRY(take(b, job_big));
    size_t most = stop ? some(b->s, b->plan.segment_count + 1) : b->plan.segment_count;
    for (b->segment = 0; b->segment < most; b->segment++) {
        aside(segment_aside, b);
        TRY(b->err);
        engine_backup_passed(e, &b->plan, b->plan.segments[b->segment].number);
        if (!some(b->s, 4)) fiber_sleep((int64_t)some(b->s, 30));
    }
    return stop ? ERR_CANCELLED : take(b, job_finish);
}

static PARKS void one_backup(void *arg)
{
    Backup *b = arg;
    SharedMemory *s = b->s;
    Engine *e = store_engine(b->store);
    bool stop = !some(s, 4);
    fiber_sleep((int64_t)some(s, 200));
    b->job = (BackupJob){.store = S("store"), .dir = S("backup"), .full = !some(s, 12)};
    b->plan = (EngineBackup){.noted = note, .noted_arg = b};
    b->err = take(b, job_open);
    if (!b->err) b->err = engine_backup_begin(e, &b->arena, &b->plan);
    if (b->err) work_failed(&s->world, "backup: %s (%s)", err_name(b->err), err_story());
    b->err = copy_all(b, stop);
    if (b->err && !stop) work_failed(&s->world, "backup: %s (%s)", err_name(b->err), err_story());
    if (s->count < NOTES && !b->err) s->notes[s->count++].sound = true;
    engine_backup_end(e, &b->plan, !b->err);
    s->backups += !b->err, s->stopped += stop;
    job_close(&b->job);
    arena_done(&b->arena);
    b->over = true;
    cond_broadcast(&b->ended);
}

static void note_rest(SharedMemory *s)
{
    if (s->count == NOTES) return;
    Noted *n = &s->notes[s->count++];
    n->world = s->world;
    n->moment = wall_seconds() - 1;
    n->is_backup = false;
    n->sound = true;
}

static PARKS void live(void *arg)
{
    SharedMemory *s = arg;
    StoreOptions options = options_of(s);
    Store *store = NULL;
    Err err = store_open(S("store"), &options, &store);
    if (err) work_failed(&s->world, "open: %s (%s)", err_name(err), err_story());
    world_prepare(&s->world, store);
    world_verify(&s->world, store);
    for (unsigned i = 0; i < ROUNDS; i++) {
        Backup b = {.s = s, .store = store};
        fiber_start("backup", one_backup, &b);
        world_work(&s->world, store, STEPS, i % 2);
        while (!b.over)
            cond_wait(&b.ended, NEVER);
        fiber_sleep(3000);
        note_rest(s);
        fiber_sleep(3000);
    }
    store_close(store);
}

/* ---- putting back ---- */
typedef struct {
    SharedMemory *s;
    Noted *note;
    unsigned number;
    Restoring r;
    Err err;
} Return;

static void restore_aside(void *arg)
{
    Return *t = arg;
    t->err = backup_restore(&t->r);
}

/* A moment of rest is reached from the sound backup before it if the next one builds on that. */
static PARKS void compare(Return *t)
{
    SharedMemory *s = t->s;
    StoreOptions options = options_of(s);
    Store *store = NULL;
    CheckResult result = {0};
    uint64_t given_up;
    Err err = store_open(t->r.store, &options, &store);
    if (err) work_failed(&s->world, "restored, open: %s (%s)", err_name(err), err_story());
    world_verify(&t->note->world, store);
    err = store_renew(store, &given_up);
    if (err) work_failed(&s->world, "renew: %s (%s)", err_name(err), err_story());
    store_close(store);
    err = store_open(t->r.store, &options, &store);
    if (!err) err = store_check(store, false, NULL, NULL, &result);
    if (err || result.findings)
        work_failed(&s->world, "renewed: %s (%s)", err_name(err), err_story());
    store_close(store);
    s->restored++;
}

static PARKS void put_back(void *arg)
{
    Return *t = arg;
    Arena a arena_scoped = {0};
    t->r = (Restoring){.dir = S("backup"),
                       .store = arena_printf(&a, "restored-%u", t->number),
                       .at = t->note->moment};
    aside(restore_aside, t);
    if (t->err == ERR_NOT_FOUND && !t->note->is_backup) {
        t->s->unreachable++;
        return;
    }
    if (t->err)
        work_failed(&t->s->world, "moment %u (%s): %s (%s)", t->number,
                    t->note->is_backup ? "backup" : "rest", err_name(t->err), err_story());
    compare(t);
}

/* ---- worlds ---- */
static bool run(SharedMemory *s, SimDisk *disk, void (*fn)(void *), void *arg, bool *crashed)
{
    SimConfig c = {.seed = some(s, UINT32_MAX), .disk = disk, .disk_latency_us = 200, .loops = 2};
    int code;
    c.start_wall_ms = INT64_C(1767225600000) + (int64_t)s->life * 1000000;
    Err err = sim_run_child(&c, fn, arg, &code);
    *crashed = code == SIM_CRASHED;
    if (!err && (!code || *crashed)) return true;
    printf("seed %llu, life %u: exit %d\n", (unsigned long long)s->world.seed, s->life, code);
    return false;
}

static bool one_life(SharedMemory *s, SimDisk *disk)
{
    SimDiskPlan *plan = sim_disk_plan(disk);
    bool crashed, last = s->life == LIVES - 1;
    plan->crash_at = last ? 0 : plan->operations + 1 + some(s, 3000);
    bool good = run(s, disk, live, s, &crashed), power = some(s, 2);
    plan->crash_at = 0;
    if (crashed && power) sim_disk_power_cut(disk, some(s, UINT32_MAX));
    if (crashed && !power) sim_disk_kill(disk);
    return good;
}

static bool one_world(SharedMemory *s, uint64_t seed)
{
    SimDisk *disk = sim_disk_new((size_t)4 * GIB);
    bool good = true, crashed;
    memset(s, 0, sizeof *s);
    world_init(&s->world, seed);
    s->random = seed;
    s->world.big = seed % 4 == 0;
    for (s->life = 0; s->life < LIVES && good; s->life++)
        good = one_life(s, disk);
    for (unsigned i = 0; i < s->count && good; i++) {
        Return t = {.s = s, .note = &s->notes[i], .number = i};
        good = run(s, disk, put_back, &t, &crashed);
    }
    if (getenv("BACKUP_SEED") || !good)
        printf("seed %llu: %llu backups, %llu stopped, %llu moments restored, %llu out of reach\n",
               (unsigned long long)seed, (unsigned long long)s->backups,
               (unsigned long long)s->stopped, (unsigned long long)s->restored,
               (unsigned long long)s->unreachable);
    sim_disk_free(disk);
    return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    uint64_t value;
    const char *text = getenv(name);
    return text && slice_to_u64(slice_of(text), &value) ? value : otherwise;
}

int main(void)
{
    SharedMemory *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(s != MAP_FAILED);
    uint64_t only = number_of("BACKUP_SEED", 0), worlds = number_of("BACKUP_SEEDS", 6);
    uint64_t restored = 0, passed = 0, failed = 0;
    for (uint64_t seed = only ? only : 1; passed + failed < (only ? 1 : worlds); seed++) {
        bool good = one_world(s, seed);
        passed += good, failed += !good;
        restored += s->restored;
    }
    printf("%llu moments restored\n%llu passed, %llu failed\n", (unsigned long long)restored,
           (unsigned long long)passed, (unsigned long long)failed);
    return failed || !restored ? EXIT_FAILURE : EXIT_SUCCESS;
}
