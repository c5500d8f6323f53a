/* Files and paths on the simulated disk. Every call that changes something is an operation with a
 * number, and may be the one that fails or the one at which the power goes. */
#include "base/test.h"
#include "run/sim_disk.h"
#include "run/sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    File file;
    uint32_t inode;
    bool writable;
    uint64_t lock;
    Link of_world; /* sim->files */
    const SimProcess *process;
} SimFile;

typedef enum { GOES_WELL, FAILS, IS_SHORT, IS_INTERRUPTED, CRASHES, CRASHES_AFTER } Fate;

/* The child is gone with what it knew; a check that failed in it must not be. */
static _Noreturn void crash(void)
{
    fflush(NULL);
    _exit(test_complaints() ? 1 : SIM_CRASHED);
}

static Err planned_failure(const SimDisk *d, const char *doing, const char *path)
{
    return fail(d->plan.failure ? d->plan.failure : ERR_IO,
                "%s %s: operation %llu fails as planned", doing, path,
                (unsigned long long)d->plan.operations);
}

static bool coin(void)
{
    return sim_one_in(2);
}

static Fate failing_fate(const SimDisk *d)
{
    if (d->plan.failing == SIM_SHORT) return IS_SHORT;
    return d->plan.failing == SIM_INTERRUPTED ? IS_INTERRUPTED : FAILS;
}

static Fate next_operation(SimDisk *d)
{
    uint64_t number = ++d->plan.operations;
    if (d->plan.crash_at && number == d->plan.crash_at) {
        if (d->plan.crash == SIM_CRASH_BEFORE) crash();
        return d->plan.crash == SIM_CRASH_AFTER ? CRASHES_AFTER : CRASHES;
    }
    return d->plan.fail_at && number == d->plan.fail_at ? failing_fate(d) : GOES_WELL;
}

static bool is_crash(Fate fate)
{
    return fate == CRASHES || fate == CRASHES_AFTER;
}

/* What cannot be done by half is done, or not. */
static bool is_done(Fate fate)
{
    return fate != FAILS && (fate != CRASHES || coin());
}

static SimFile *sim(const File *f)
{
    return (SimFile *)(uintptr_t)f; /* the File is its first member */
}

static void disk_works(unsigned share)
{
    sim_takes(sim_now->config.disk_latency_us / share);
}

/* ---- opening ---- */

static Err not_found(const char *doing, const char *path)
{
    return fail(ERR_NOT_FOUND, "%s %s: not there", doing, path);
}

static Err normal_path(const char *doing, const char *path, char out[SIM_PATH])
{
    if (sim_name_normal(path, out)) return OK;
    return fail(ERR_IO, "%s %s: the name is too long", doing, path);
}

/* No descriptor left, a directory that cannot be read ... */
static Err lookup(const char *doing, const char *path)
{
    SimDiskPlan *plan = &sim_now->disk->plan;
    if (++plan->lookups != plan->fail_lookup_at) return OK;
    return fail(ERR_IO, "%s %s: lookup %llu fails as planned", doing, path,
                (unsigned long long)plan->lookups);
}

static bool parent_is_there(const SimDisk *d, const char *path)
{
    char parent[SIM_PATH] = "";
    Slice p = name_parent(path);
    memcpy(parent, p.at, p.len);
    return name_is_dir(d, parent);
}

/* The change that makes path name inode, as an operation. Half of it is: not, or all of it. */
static Err change_names(SimDisk *d, const char *doing, const char *path, SimChange change)
{
    Fate fate = next_operation(d);
    if (fate == FAILS) return planned_failure(d, doing, path);
    if (is_done(fate)) name_change(d, change);
    if (is_crash(fate)) crash();
    return OK;
}

static Err create(SimDisk *d, const char *doing, const char *path, bool is_dir)
{
    if (!parent_is_there(d, path)) return not_found(doing, path);
    uint32_t name = name_make(d, path), inode = inode_new(d, is_dir);
    Err err = change_names(d, doing, path, (SimChange){1, {{name, inode}}});
    if (err) inode_settle(d, inode);
    return err;
}

static Err resize(SimDisk *d, uint32_t inode, const char *path, uint64_t size)
{
    Fate fate = next_operation(d);
    if (fate == FAILS) return planned_failure(d, "truncate", path);
    if (is_done(fate)) inode_resize(d, inode, size);
    if (is_crash(fate)) crash();
    return OK;
}

Err sim_file_open(const char *path, int flags, File **file)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("open", path, normal));
    TRY(lookup("open", path));
    uint32_t inode = name_inode(d, normal);
    if (inode && flags & FILE_CREATE && flags & FILE_EXCLUSIVE)
        return fail(ERR_EXISTS, "open %s: it is there", path);
    if (name_is_dir(d, normal)) return fail(ERR_IO, "open %s: a directory", path);
    if (!inode && !(flags & FILE_CREATE)) return not_found("open", path);
    if (!inode) {
        TRY(create(d, "open", normal, false));
        inode = name_inode(d, normal);
    }
    if (flags & FILE_EMPTY && d->inodes[inode].size) TRY(resize(d, inode, path, 0));
    d->inodes[inode].opens++;
    SimFile *f = NEW(SimFile);
    f->inode = inode;
    f->writable = flags & FILE_WRITE;
    f->process = sim_process_now();
    list_add(&sim_now->files, &f->of_world);
    *file = &f->file;
    return OK;
}

static void let_go(SimFile *f)
{
    SimInode *ino = &sim_now->disk->inodes[f->inode];
    list_remove(&f->of_world);
    if (f->lock && ino->locked == f->lock) ino->locked = 0;
    if (ino->opens) ino->opens--;
    inode_settle(sim_now->disk, f->inode);
}

void sim_file_close(File *file)
{
    if (sim_now) let_go(sim(file)); /* one that outlives its run leaves the disk alone */
    free(file);
}

void sim_files_lost(const SimProcess *p)
{
    list_each (link, &sim_now->files) {
        SimFile *f = CONTAINER(link, SimFile, of_world);
        if (f->process == p) let_go(f);
    }
}

Err sim_file_lock(File *file)
{
    SimFile *f = sim(file);
    SimInode *ino = &sim_now->disk->inodes[f->inode];
    if (ino->locked && ino->locked != f->lock)
        return fail(ERR_IN_USE, "lock %s: somebody else has it", file->path);
    ino->locked = f->lock = f->lock ? f->lock : ++sim_now->locks;
    return OK;
}

/* ---- reading ---- */

Err sim_file_size(File *f, uint64_t *bytes)
{
    TRY(lookup("size of", f->path));
    *bytes = sim_now->disk->inodes[sim(f)->inode].size;
    return OK;
}

static size_t read_here(File *f, uint64_t offset, void *out, size_t len)
{
    SimDisk *d = sim_now->disk;
    uint64_t size = d->inodes[sim(f)->inode].size;
    if (offset >= size) return 0;
    len = (size_t)MIN((uint64_t)len, size - offset);
    inode_read(d, sim(f)->inode, offset, out, len);
    return len;
}

Err sim_file_read_some(File *f, uint64_t offset, void *out, size_t len, size_t *got)
{
    SimDisk *d = sim_now->disk;
    Fate fate = ++d->plan.reads == d->plan.fail_read_at ? failing_fate(d) : GOES_WELL;
    disk_works(10);
    if (fate == FAILS) return fail(ERR_IO, "read %s: fails as planned", f->path);
    if (fate == IS_SHORT && len > 1) len = 1 + (size_t)sim_below(len - 1);
    *got = read_here(f, offset, out, len);
    return OK;
}

Err sim_file_read_cached(File *f, uint64_t offset, void *out, size_t len, size_t *got)
{
    if (sim_one_in(3)) /* not in the cache, or not all of it */
        len = coin() ? 0 : (size_t)sim_below(len);
    *got = read_here(f, offset, out, len);
    return OK;
}

/* ---- writing ---- */

static Err may_write(const File *f)
{
    return sim(f)->writable ? OK : fail(ERR_IO, "write %s: opened for reading", f->path);
}

/* As much of the parts as `most` allows. */
static void write_parts(const File *f, uint64_t offset, const Slice *parts, size_t skip,
                        size_t most)
{
    for (; most; parts++, skip = 0) {
        size_t n = MIN(parts->len - skip, most);
        if (n) inode_write(sim_now->disk, sim(f)->inode, offset, parts->at + skip, n);
        offset += n;
        most -= n;
    }
}

static size_t written_by(Fate fate, size_t room)
{
    if (fate == IS_INTERRUPTED) return 0;
    if (fate == IS_SHORT) return room > 1 ? 1 + (size_t)sim_below(room - 1) : room;
    return fate == GOES_WELL || fate == CRASHES_AFTER ? room : (size_t)sim_below(room + 1);
}

Err sim_file_write_some(File *f, uint64_t offset, const Slice *parts, size_t count, size_t skip,
                        size_t *wrote)
{
    SimDisk *d = sim_now->disk;
    TRY(may_write(f));
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    len -= skip;
    Fate fate = next_operation(d);
    size_t room = inode_room(d, sim(f)->inode, offset, len);
    *wrote = written_by(fate, room);
    write_parts(f, offset, parts, skip, *wrote);
    if (is_crash(fate)) crash();
    if (fate == FAILS) return planned_failure(d, "write", f->path);
    if (!room) return fail(ERR_DISK_FULL, "write %s: the simulated disk is full", f->path);
    disk_works(10);
    return OK;
}

Err sim_file_sync(File *f)
{
    SimDisk *d = sim_now->disk;
    Fate fate = next_operation(d);
    if (fate == FAILS) {
        inode_sync_failed(d, sim(f)->inode);
        return planned_failure(d, "sync", f->path);
    }
    /* What others write while we wait is not covered. */
    inode_sync(d, sim(f)->inode, fate == CRASHES ? coin : NULL);
    if (is_crash(fate)) crash();
    disk_works(1);
    return OK;
}

Err sim_file_allocate(File *f, uint64_t offset, uint64_t len)
{
    SimDisk *d = sim_now->disk;
    TRY(may_write(f));
    Fate fate = next_operation(d);
    if (fate == FAILS) return planned_failure(d, "allocate", f->path);
    if (fate == CRASHES) len = sim_below(len + 1);
    if (inode_room(d, sim(f)->inode, offset, (size_t)len) < len)
        return fail(ERR_DISK_FULL, "allocate %s: the simulated disk is full", f->path);
    if (len) inode_allocate(d, sim(f)->inode, offset, len);
    if (is_crash(fate)) crash();
    disk_works(10);
    return OK;
}

Err sim_file_punch(File *f, uint64_t offset, uint64_t len)
{
    SimDisk *d = sim_now->disk;
    TRY(may_write(f));
    Fate fate = next_operation(d);
    if (fate == FAILS) return planned_failure(d, "punch", f->path);
    if (fate == CRASHES) len = sim_below(len + 1);
    inode_punch(d, sim(f)->inode, offset, len);
    if (is_crash(fate)) crash();
    disk_works(10);
    return OK;
}

Err sim_file_truncate(File *f, uint64_t len)
{
    TRY(may_write(f));
    TRY(resize(sim_now->disk, sim(f)->inode, f->path, len));
    disk_works(10);
    return OK;
}

/* ---- paths ---- */

Err sim_path_rename(const char *from, const char *to)
{
    SimDisk *d = sim_now->disk;
    char a[SIM_PATH], b[SIM_PATH];
    TRY(normal_path("rename", from, a));
    TRY(normal_path("rename", to, b));
    uint32_t inode = name_inode(d, a);
    if (!inode) return not_found("rename", from);
    if (!parent_is_there(d, b)) return not_found("rename", to);
    if (name_is_dir(d, a) || name_is_dir(d, b))
        return fail(ERR_UNSUPPORTED, "rename %s: the simulated disk renames files only", from);
    if (!strcmp(a, b)) return OK;
    SimChange change = {
        2, {{name_make(d, b), inode}, {name_find(d, a), 0}}
    };
    TRY(change_names(d, "rename", from, change));
    disk_works(10);
    return OK;
}

Err sim_path_unlink(const char *path)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("unlink", path, normal));
    if (!name_inode(d, normal)) return not_found("unlink", path);
    if (name_is_dir(d, normal)) return fail(ERR_IO, "unlink %s: a directory", path);
    TRY(change_names(d, "unlink", path, (SimChange){1, {{name_find(d, normal), 0}}}));
    disk_works(10);
    return OK;
}

Err sim_path_mkdir(const char *path)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("mkdir", path, normal));
    if (name_is_dir(d, normal)) return OK;
    if (name_inode(d, normal)) return fail(ERR_EXISTS, "mkdir %s: a file has that name", path);
    return create(d, "mkdir", normal, true);
}

Err sim_path_sync_dir(const char *path)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("sync", path, normal));
    if (!name_is_dir(d, normal)) return not_found("sync", path);
    Fate fate = next_operation(d);
    if (fate == FAILS) return planned_failure(d, "sync", path);
    if (is_done(fate)) name_sync_dir(d, normal);
    if (is_crash(fate)) crash();
    disk_works(1);
    return OK;
}

Err sim_path_info(const char *path, PathInfo *info)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("stat", path, normal));
    TRY(lookup("stat", path));
    uint32_t inode = name_inode(d, normal);
    if (!inode && !name_is_dir(d, normal)) return not_found("stat", path);
    const SimInode *ino = &d->inodes[inode];
    *info = (PathInfo){ino->size, ino->taken_chunks * SIM_PAGE, ino->mtime, !inode || ino->is_dir};
    return OK;
}

Err sim_path_list(const char *path, Arena *a, Slice **names, size_t *count)
{
    SimDisk *d = sim_now->disk;
    char normal[SIM_PATH];
    TRY(normal_path("list", path, normal));
    TRY(lookup("list", path));
    if (!name_is_dir(d, normal)) return not_found("list", path);
    Slice *list = arena_array(a, Slice, d->name_count);
    size_t n = 0;
    for (uint32_t i = 1; i < d->name_count; i++) {
        const char *full = d->names[i].path;
        if (!d->names[i].now || !slice_eq(name_parent(full), slice_of(normal))) continue;
        const char *slash = strrchr(full, '/');
        list[n++] = arena_copy(a, slice_of(slash ? slash + 1 : full));
    }
    *names = list;
    *count = n;
    return OK;
}

Err sim_path_free_space(const char *path, uint64_t *bytes)
{
    (void)path;
    const SimDisk *d = sim_now->disk;
    uint64_t capacity = d->plan.capacity_bytes ? d->plan.capacity_bytes : (uint64_t)1 << 40;
    *bytes = capacity - MIN(capacity, d->taken_chunks * SIM_PAGE);
    return OK;
}

bool sim_path_overwrites(const char *path)
{
    (void)path;
    return true;
}

bool sim_path_is_network(const char *path)
{
    (void)path;
    return false;
}
