#include "store/backup.h"

#include "run/file.h"

#include <stdlib.h>

/* ---- generations ---- */
static Err read_generation(Generations *g, Slice set, Slice name)
{
    Slice text;
    Manifest m;
    Slice path = arena_printf(&g->arena, "%.*s/%.*s/manifest", SP(set), SP(name));
    Err err = path_read(path, SIZE_MAX, &g->arena, &text);
    if (err == ERR_NOT_FOUND) return OK; /* unfinished */
    TRY(err);
    if (manifest_decode(text, &m)) {
        g->damaged++;
        return OK;
    }
    g->items = (Generation *)mem_grow(g->items, array_bytes(g->count + 1, sizeof *g->items));
    g->items[g->count++] = (Generation){set, m};
    return OK;
}

static Err read_set(Generations *g, Slice set)
{
    Slice *names;
    size_t count;
    TRY(path_list(set, &g->arena, &names, &count));
    for (size_t i = 0; i < count; i++)
        if (slice_starts(names[i], S("gen-"))) TRY(read_generation(g, set, names[i]));
    return OK;
}

/* Sets and generations come in the order of their names, which is that of time. */
Err generations_read(Slice dir, Generations *g)
{
    Slice *names;
    size_t count;
    TRY(path_list(dir, &g->arena, &names, &count));
    for (size_t i = 0; i < count; i++)
        if (slice_starts(names[i], S("full-")))
            TRY(read_set(g, arena_printf(&g->arena, "%.*s/%.*s", SP(dir), SP(names[i]))));
    if (g->count) return OK;
    return g->damaged ? fail(ERR_CORRUPT, "%.*s: no backup with a sound manifest", SP(dir))
                      : fail(ERR_NOT_FOUND, "%.*s: no backup there", SP(dir));
}

void generations_done(Generations *g)
{
    for (size_t i = 0; i < g->count; i++)
        manifest_done(&g->items[i].m);
    free(g->items);
    arena_done(&g->arena);
    *g = (Generations){0};
}

/* ---- verifying ---- */
typedef struct {
    void (*report)(void *arg, Slice line);
    void *arg;
    BackupTold *told;
    void *told_arg;
    uint64_t files, bad;
} Verify;

PRINTF(2, 3) static void finding(Verify *v, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    v->bad++;
    v->report(v->arg, buf_slice(&line));
}

static Err check_file(Verify *v, Slice path, const BackupFile *f)
{
    uint8_t sha256[32];
    PathInfo info;
    v->files++;
    Err err = path_info(path, &info);
    if (!err && info.size < f->size) err = fail(ERR_IO, "%.*s is too short", SP(path));
    if (!err) err = backup_hash_file(path, f->size, sha256, v->told, v->told_arg);
    if (err == ERR_CANCELLED) return err;
    if (err)
        finding(v, "%s", err_story());
    else if (memcmp(sha256, f->sha256, sizeof sha256) != 0)
        finding(v, "%.*s is damaged: its first %llu octets are not what they were", SP(path),
                (unsigned long long)f->size);
    return OK;
}

/* A segment grows from generation to generation; the longest has all of them in it, as nothing is
 * added to what does not hold. */
static bool is_longest(const Generations *g, size_t i, const BackupFile *f, bool big)
{
    for (size_t k = i + 1; k < g->count; k++) {
        if (!slice_eq(g->items[k].set, g->items[i].set)) return true;
        const BackupFiles *files = big ? &g->items[k].m.big : &g->items[k].m.segments;
        size_t low = 0, high = files->count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (files->items[middle].id < f->id)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < files->count && files->items[low].id == f->id) return false;
    }
    return true;
}

static Err check_generation(Verify *v, Generations *g, size_t i)
{
    const Generation *gen = &g->items[i];
    Arena *a = &g->arena;
    Slice own = arena_printf(a, "%.*s/gen-%06u", SP(gen->set), gen->m.generation);
    TRY(check_file(v, arena_printf(a, "%.*s/index", SP(own)), &gen->m.index));
    if (gen->m.keeper.size)
        TRY(check_file(v, arena_printf(a, "%.*s/keeper", SP(own)), &gen->m.keeper));
    for (size_t k = 0; k < gen->m.segments.count; k++) {
        const BackupFile *f = &gen->m.segments.items[k];
        if (!is_longest(g, i, f, false)) continue;
        Slice path =
            arena_printf(a, "%.*s/log/%08llu.seg", SP(gen->set), (unsigned long long)f->id);
        TRY(check_file(v, path, f));
    }
    for (size_t k = 0; k < gen->m.big.count; k++) {
        const BackupFile *f = &gen->m.big.items[k];
        if (!is_longest(g, i, f, true)) continue;
        Slice path = arena_printf(a, "%.*s/big/%016llx", SP(gen->set), (unsigned long long)f->id);
        TRY(check_file(v, path, f));
    }
    return OK;
}

Err backup_verify(Slice dir, void (*report)(void *arg, Slice line), void *arg, BackupTold *told,
                  void *told_arg, uint64_t *files, uint64_t *bad)
{
    Generations g = {0};
    Verify v = {.report = report, .arg = arg, .told = told, .told_arg = told_arg};
    Err err = generations_read(dir, &g);
    if (g.damaged) finding(&v, "%zu manifests are damaged", g.damaged);
    for (size_t i = 0; i < g.count && !err; i++)
        err = check_generation(&v, &g, i);
    generations_done(&g);
    *files = v.files;
    *bad = v.bad;
    return err;
}

/* ---- pruning ---- */
static bool still_listed(const Generations *g, size_t from, Slice set, uint64_t id, bool big)
{
    for (size_t i = from; i < g->count; i++) {
        const BackupFiles *files = big ? &g->items[i].m.big : &g->items[i].m.segments;
        if (!slice_eq(g->items[i].set, set)) continue;
        for (size_t k = 0; k < files->count; k++)
            if (files->items[k].id == id) return true;
    }
    return false;
}

static Err gone(Slice path)
{
    Err err = path_unlink(path);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* The manifest first: from then on it does not count. */
static Err drop_generation(Generations *g, size_t i)
{
    Arena *a = &g->arena;
    const Generation *gen = &g->items[i];
    Slice own = arena_printf(a, "%.*s/gen-%06u", SP(gen->set), gen->m.generation);
    TRY(gone(arena_printf(a, "%.*s/manifest", SP(own))));
    TRY(path_sync_dir(own));
    TRY(gone(arena_printf(a, "%.*s/index", SP(own))));
    TRY(gone(arena_printf(a, "%.*s/keeper", SP(own))));
    for (size_t k = 0; k < gen->m.segments.count; k++) {
        uint64_t id = gen->m.segments.items[k].id;
        if (still_listed(g, i + 1, gen->set, id, false)) continue;
        TRY(gone(arena_printf(a, "%.*s/log/%08llu.seg", SP(gen->set), (unsigned long long)id)));
    }
    for (size_t k = 0; k < gen->m.big.count; k++) {
        uint64_t id = gen->m.big.items[k].id;
        if (still_listed(g, i + 1, gen->set, id, true)) continue;
        TRY(gone(arena_printf(a, "%.*s/big/%016llx", SP(gen->set), (unsigned long long)id)));
    }
    return OK;
}

/* A moment is reached from the generation before it, so that one stays as long as its successor is
 * too young. The newest always stays. */
Err backup_prune(Slice dir, int64_t before, unsigned *dropped)
{
    Generations g = {0};
    Err err = generations_read(dir, &g);
    *dropped = 0;
    for (size_t i = 0; i + 1 < g.count && !err && g.items[i + 1].m.moment <= before; i++) {
        err = drop_generation(&g, i);
        *dropped += !err;
    }
    generations_done(&g);
    return err;
}
