/* Names on the simulated disk. They live in one table by their full path; what has changed since
 * the directory was last synced is also kept as a journal, so that a power cut can undo any of it.
 */
#include "run/sim_disk.h"
#include "run/sim_world.h"

bool sim_name_normal(const char *path, char out[SIM_PATH])
{
    size_t n = 0;
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
        while (*path == '/')
            path++;
    }
    for (; *path; path++) {
        if (*path == '/' && n && out[n - 1] == '/') continue;
        if (n == SIM_PATH - 1) return false;
        out[n++] = *path;
    }
    if (n > 1 && out[n - 1] == '/') n--;
    if (!n) out[n++] = '.';
    out[n] = 0;
    return true;
}

uint32_t name_find(const SimDisk *d, const char *path)
{
    for (uint32_t i = 1; i < d->name_count; i++)
        if (!strcmp(d->names[i].path, path)) return i;
    return 0;
}

uint32_t name_make(SimDisk *d, const char *path)
{
    uint32_t i = name_find(d, path);
    if (i) return i;
    for (i = 1; i < d->name_count; i++) /* one that is spent */
        if (!d->names[i].now && !d->names[i].safe && !d->names[i].pending) break;
    must(i < SIM_NAMES);
    d->name_count = MAX(d->name_count, i + 1);
    d->names[i] = (SimName){0};
    memcpy(d->names[i].path, path, strlen(path) + 1);
    return i;
}

uint32_t name_inode(const SimDisk *d, const char *path)
{
    uint32_t name = name_find(d, path);
    return name ? d->names[name].now : 0;
}

bool name_is_dir(const SimDisk *d, const char *path)
{
    if (!strcmp(path, ".") || !strcmp(path, "/")) return true;
    uint32_t inode = name_inode(d, path);
    return inode && d->inodes[inode].is_dir;
}

Slice name_parent(const char *path)
{
    Slice p = slice_of(path);
    size_t slash = slice_find_last(p, '/');
    if (slash == p.len) return S(".");
    return slash ? slice_first(p, slash) : S("/");
}

bool inode_is_named(const SimDisk *d, uint32_t inode)
{
    for (uint32_t i = 1; i < d->name_count; i++)
        if (d->names[i].now == inode || d->names[i].safe == inode) return true;
    for (uint32_t i = 0; i < d->change_count; i++)
        for (uint32_t k = 0; k < d->changes[i].count; k++)
            if (d->changes[i].set[k].inode == inode) return true;
    return false;
}

static void point(SimDisk *d, uint32_t name, uint32_t inode)
{
    uint32_t before = d->names[name].now;
    d->names[name].now = inode;
    if (inode) d->inodes[inode].links++;
    if (before) d->inodes[before].links--;
}

void name_change(SimDisk *d, SimChange change)
{
    must(d->change_count < SIM_CHANGES);
    uint32_t touched[2] = {0};
    for (uint32_t k = 0; k < change.count; k++) {
        touched[k] = d->names[change.set[k].name].now;
        d->names[change.set[k].name].pending++;
        point(d, change.set[k].name, change.set[k].inode);
    }
    d->changes[d->change_count++] = change;
    for (uint32_t k = 0; k < change.count; k++) {
        inode_settle(d, touched[k]);
        inode_settle(d, change.set[k].inode);
    }
}

static void make_safe(SimDisk *d, const SimChange *c)
{
    for (uint32_t k = 0; k < c->count; k++)
        d->names[c->set[k].name].safe = c->set[k].inode;
}

static bool touches(const SimDisk *d, const SimChange *c, Slice dir)
{
    for (uint32_t k = 0; k < c->count; k++) {
        const SimName *n = &d->names[c->set[k].name];
        if (n->wanted || slice_eq(name_parent(n->path), dir)) return true;
    }
    return false;
}

/* A rename between two directories is safe when either is synced, and then everything that happened
 * to its names before it has to be, too: hence the walk backwards. */
static void choose_for_sync(SimDisk *d, Slice dir, bool *chosen)
{
    for (uint32_t i = d->change_count; i-- > 0;) {
        const SimChange *c = &d->changes[i];
        chosen[i] = touches(d, c, dir);
        for (uint32_t k = 0; chosen[i] && k < c->count; k++)
            d->names[c->set[k].name].wanted = true;
    }
    for (uint32_t i = 1; i < d->name_count; i++)
        d->names[i].wanted = false;
}

void name_sync_dir(SimDisk *d, const char *path)
{
    static _Thread_local bool chosen[SIM_CHANGES];
    choose_for_sync(d, slice_of(path), chosen);
    uint32_t kept = 0, before = d->change_count;
    for (uint32_t i = 0; i < before; i++) {
        SimChange c = d->changes[i];
        if (!chosen[i]) {
            d->changes[kept++] = c;
            continue;
        }
        make_safe(d, &c);
        for (uint32_t k = 0; k < c.count; k++)
            d->names[c.set[k].name].pending--;
    }
    if (kept == before) return;
    d->change_count = kept;
    for (uint32_t i = 1; i < d->inode_count; i++)
        if (!d->inodes[i].links) inode_settle(d, i);
}

/* Half of the time what is lost is the end of the journal, as on ext4; else any part of it. */
static void undo_some(SimDisk *d, uint64_t *random)
{
    bool in_order = sim_next(random) % 2;
    uint64_t first_lost = sim_next(random) % (d->change_count + 1);
    for (uint32_t i = 0; i < d->change_count; i++) {
        bool kept = in_order ? i < first_lost : sim_next(random) % 2;
        if (kept) make_safe(d, &d->changes[i]);
    }
    d->change_count = 0;
}

static bool has_parent(const SimDisk *d, const char *path)
{
    char parent[SIM_PATH] = "";
    Slice p = name_parent(path);
    memcpy(parent, p.at, p.len);
    return name_is_dir(d, parent);
}

void name_power_cut(SimDisk *d, uint64_t *random)
{
    undo_some(d, random);
    for (uint32_t i = 1; i < d->name_count; i++) {
        d->names[i].pending = 0;
        point(d, i, d->names[i].safe);
    }
    for (bool again = true; again;) { /* what lay in a directory that is not there */
        again = false;
        for (uint32_t i = 1; i < d->name_count; i++) {
            if (!d->names[i].now || has_parent(d, d->names[i].path)) continue;
            d->names[i].safe = 0;
            point(d, i, 0);
            again = true;
        }
    }
}
