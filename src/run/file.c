/* What is the same in both worlds: loops over short reads, paths as C strings, replacing a file. */
#include "run/loop.h"
#include "run/world.h"

#include <stdlib.h>

/* A path for a system call; freed at the end of the scope. */
typedef struct {
    char *at;
} CPath;
static void cpath_done(CPath *p)
{
    free(p->at);
}
#define CPATH(name, slice) CPath name __attribute__((cleanup(cpath_done))) = cpath(slice)

static CPath cpath(Slice path)
{
    char *at = mem_new(path.len + 1);
    if (path.len) memcpy(at, path.at, path.len);
    at[path.len] = 0;
    return (CPath){at};
}

Err file_open(Slice path, int flags, File **file)
{
    CPATH(p, path);
    File *f = NULL;
    TRY(world->file_open(p.at, flags, &f));
    f->world = world;
    f->path = p.at;
    p.at = NULL;
    *file = f;
    return OK;
}

void file_close(File *f)
{
    if (!f) return;
    free((char *)(uintptr_t)f->path);
    f->world->file_close(f);
}

Slice file_path(const File *f)
{
    return slice_of(f->path);
}

Err file_size(File *f, uint64_t *bytes)
{
    return f->world->file_size(f, bytes);
}

Err file_read_some(File *f, uint64_t offset, void *out, size_t len, size_t *got)
{
    size_t sum = 0;
    while (sum < len) {
        size_t n = 0;
        TRY(f->world->file_read_some(f, offset + sum, (char *)out + sum, len - sum, &n));
        if (!n) break;
        sum += n;
    }
    *got = sum;
    return OK;
}

Err file_read_at(File *f, uint64_t offset, void *out, size_t len)
{
    size_t got;
    TRY(file_read_some(f, offset, out, len, &got));
    if (got < len) return fail(ERR_IO, "%s: short: %zu of %zu bytes", f->path, got, len);
    return OK;
}

typedef struct {
    File *file;
    uint64_t offset;
    void *out;
    size_t len;
    Err err;
} Read;

static void read_aside(void *arg)
{
    Read *r = arg;
    r->err = file_read_at(r->file, r->offset, r->out, r->len);
}

/* In a function of its own: its frame must not weigh on the ones that find their data at once. */
PARKS static __attribute__((noinline)) Err wait_for_disk(File *f, uint64_t offset, void *out,
                                                         size_t len)
{
    Read r = {.file = f, .offset = offset, .out = out, .len = len};
    aside(read_aside, &r);
    return r.err;
}

Err file_read(File *f, uint64_t offset, void *out, size_t len)
{
    if (!fiber_current()) return file_read_at(f, offset, out, len);
    size_t got = 0;
    TRY(f->world->file_read_cached(f, offset, out, len, &got));
    if (got == len) return OK;
    return wait_for_disk(f, offset + got, (char *)out + got, len - got);
}

Err file_write_at(File *f, uint64_t offset, const Slice *parts, size_t count)
{
    size_t wrote = 0; /* of the first part */
    for (;;) {
        while (count && wrote >= parts->len) {
            wrote -= parts->len;
            parts++;
            count--;
        }
        if (!count) return OK;
        size_t more = 0;
        TRY(f->world->file_write_some(f, offset, parts, count, wrote, &more));
        offset += more;
        wrote += more;
    }
}

Err file_sync(File *f)
{
    return f->world->file_sync(f);
}

Err file_allocate(File *f, uint64_t offset, uint64_t len)
{
    return len ? f->world->file_allocate(f, offset, len) : OK;
}

Err file_punch(File *f, uint64_t offset, uint64_t len)
{
    return len ? f->world->file_punch(f, offset, len) : OK;
}

Err file_truncate(File *f, uint64_t len)
{
    return f->world->file_truncate(f, len);
}

Err file_lock(File *f)
{
    return f->world->file_lock(f);
}

/* ---- paths ---- */

Err path_read(Slice path, size_t most, Arena *a, Slice *content)
{
    File *f scoped(file) = NULL;
    TRY(file_open(path, FILE_READ, &f));
    uint64_t bytes;
    TRY(file_size(f, &bytes));
    if (bytes > most)
        return fail(ERR_TOO_BIG, "%s: %llu bytes, at most %zu", f->path, (unsigned long long)bytes,
                    most);
    char *at = arena_alloc(a, (size_t)bytes);
    size_t got;
    TRY(file_read_some(f, 0, at, (size_t)bytes, &got));
    *content = slice(at, got);
    return OK;
}

static Slice directory_of(Slice path)
{
    size_t slash = slice_find_last(path, '/');
    if (slash == path.len) return S(".");
    return slash ? slice_first(path, slash) : S("/");
}

static Err write_whole(Slice path, Slice content)
{
    File *f scoped(file) = NULL;
    TRY(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EMPTY, &f));
    TRY(file_write_at(f, 0, &content, 1));
    return file_sync(f);
}

Err path_replace(Slice path, Slice content)
{
    Buf beside buf_scoped = {0};
    buf_add(&beside, path);
    buf_add(&beside, S(".new"));
    Slice new_path = buf_slice(&beside);
    Err err = write_whole(new_path, content);
    if (!err) err = path_rename(new_path, path);
    if (!err) return path_sync_dir(directory_of(path));
    RunStory story;
    run_story_keep(&story);
    (void)!path_unlink(new_path); /* best effort: the next replace overwrites it */
    run_story_tell(&story);
    return err;
}

Err path_rename(Slice from, Slice to)
{
    CPATH(f, from);
    CPATH(t, to);
    return world->path_rename(f.at, t.at);
}

Err path_unlink(Slice path)
{
    CPATH(p, path);
    return world->path_unlink(p.at);
}

Err path_mkdir(Slice path)
{
    CPATH(p, path);
    return world->path_mkdir(p.at);
}

Slice path_parent(Slice path)
{
    while (path.len > 1 && path.at[path.len - 1] == '/')
        path.len--;
    size_t cut = slice_find_last(path, '/');
    if (cut == path.len) return S(".");
    return cut ? slice_first(path, cut) : S("/");
}

Err path_sync_dir(Slice path)
{
    CPATH(p, path);
    return world->path_sync_dir(p.at);
}

Err path_info(Slice path, PathInfo *info)
{
    CPATH(p, path);
    return world->path_info(p.at, info);
}

static int by_octets(const void *a, const void *b)
{
    return slice_order(*(const Slice *)a, *(const Slice *)b);
}

Err path_list(Slice path, Arena *a, Slice **names, size_t *count)
{
    CPATH(p, path);
    Slice *list = NULL;
    size_t n = 0;
    TRY(world->path_list(p.at, a, &list, &n));
    if (n) qsort(list, n, sizeof *list, by_octets);
    *names = list;
    *count = n;
    return OK;
}

Err path_free_space(Slice path, uint64_t *bytes)
{
    CPATH(p, path);
    return world->path_free_space(p.at, bytes);
}

bool path_is_network(Slice path)
{
    CPATH(p, path);
    return world->path_is_network(p.at);
}

bool path_overwrites(Slice path)
{
    CPATH(p, path);
    return world->path_overwrites(p.at);
}
