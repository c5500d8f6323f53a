#include "store/fault_walk.h"

#include "run/file.h"
#include "store/backup.h"

/* The chores that make backups and put one back. */

typedef struct {
    Store *store;
    BackupJob job;
    EngineBackup plan;
    size_t segment;
    Err (*step)(BackupJob *j);
    Err err;
} Backup;

static Err begin_job(BackupJob *j)
{
    return job_begin(j, &CONTAINER(j, Backup, job)->plan);
}

static Err copy_segment(BackupJob *j)
{
    return job_segment(j, CONTAINER(j, Backup, job)->segment);
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

static PARKS Err copy_store(Backup *b)
{
    TRY(take(b, begin_job));
    TRY(take(b, job_index));
    TRY(take(b, job_big));
    for (b->segment = 0; b->segment < b->plan.segment_count; b->segment++) {
        TRY(take(b, copy_segment));
        engine_backup_passed(store_engine(b->store), &b->plan, b->plan.segments[b->segment].number);
    }
    return take(b, job_finish);
}

static PARKS Err make_backup(Chore *c, bool full)
{
    Backup b = {.store = c->store};
    Engine *e = store_engine(c->store);
    b.job = (BackupJob){
        .store = S("store"), .dir = S("backup"), .full = full, .keeper = S("keeper-state")};
    TRY(path_replace(b.job.keeper, S("what the keeper knows")));
    Err err = take(&b, job_open);
    if (!err) err = engine_backup_begin(e, &c->arena, &b.plan);
    bool begun = !err;
    if (!err) err = copy_store(&b);
    if (begun) engine_backup_end(e, &b.plan, !err);
    job_close(&b.job);
    return err;
}

PARKS Err chore_back_up(Chore *c)
{
    TRY(make_backup(c, true));
    fiber_sleep(2000);
    TRY(chore_at_home(c, c->one, c->two, chore_look_at_view));
    s->between = wall_seconds();
    fiber_sleep(2000);
    TRY(chore_at_home(c, c->one, c->two, chore_look_at_view));
    return make_backup(c, false);
}

typedef struct {
    Restoring r;
    Err err;
} Return;

static void put_back(void *arg)
{
    Return *t = arg;
    uint64_t files, bad = 0;
    t->err = backup_verify(t->r.dir, fault_ignore, NULL, NULL, NULL, &files, &bad);
    if (!t->err) t->err = bad ? ERR_IO : backup_restore(&t->r);
}

static void prune_all(void *arg)
{
    Return *t = arg;
    unsigned gone;
    t->err = backup_prune(t->r.dir, t->r.at, &gone);
}

/* A name that is not there yet. */
static Slice fresh_dir(Arena *a)
{
    PathInfo info;
    Slice name;
    unsigned i = 0;
    do
        name = arena_printf(a, "restored-%u", i++);
    while (!path_info(name, &info));
    return name;
}

PARKS Err chore_restore(Chore *c)
{
    Return t = {
        .r = {.dir = S("backup"), .store = fresh_dir(&c->arena)}
    };
    StoreOptions options = *store_options(c->store);
    Store *store = NULL;
    uint64_t given_up;
    t.r.at = s->between;
    aside(put_back, &t);
    TRY(t.err);
    t.r.at = 0;
    t.r.store = fresh_dir(&c->arena);
    aside(put_back, &t);
    TRY(t.err);
    TRY(store_open(t.r.store, &options, &store));
    Err err = store_renew(store, &given_up);
    store_close(store);
    TRY(err);
    t.r.at = wall_seconds();
    aside(prune_all, &t);
    return t.err;
}
