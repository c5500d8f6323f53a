#include "store/salvage.h"

#include "run/file.h"
#include "store/index.h"
#include "store/index_walk.h"

#include <stdlib.h>

enum { AT_ONCE = 1000 };

typedef struct {
    Slice dir;
    const StoreOptions *options;
    void (*report)(void *arg, Slice);
    void *arg;
    Arena memory;
    Index *fresh; /* an index made from good entries */
    IndexChange changes[AT_ONCE];
    size_t count;
    Err err;
} Salvage;

static void say(Salvage *s, const char *fmt, ...) PRINTF(2, 3);
static void say(Salvage *s, const char *fmt, ...)
{
    Buf line buf_scoped = {0};
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&line, fmt, args);
    va_end(args);
    s->report(s->arg, buf_slice(&line));
}

static Slice in_idx(Salvage *s, Slice name)
{
    return arena_printf(&s->memory, "%.*s/idx/%.*s", SP(s->dir), SP(name));
}

static Err set_aside(Salvage *s, Slice path)
{
    Slice lock = arena_printf(&s->memory, "%.*s-lock", SP(path));
    TRY(path_rename(path, arena_printf(&s->memory, "%.*s.damaged", SP(path))));
    Err err = path_unlink(lock);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* ---- which files are whole ---- */

static bool is_whole(Salvage *s, Slice path)
{
    IndexWalk walk = {0};
    PathInfo info;
    if (path_info(path, &info)) return false;
    Err err = index_walk(path, &walk);
    if (!err && !walk.damaged) return true;
    say(s, "%.*s is damaged: %llu entries are good, %llu pages or entries are not%s%s", SP(path),
        (unsigned long long)walk.entries, (unsigned long long)walk.damaged, err ? ": " : "",
        err ? err_story() : "");
    return false;
}

/* Copies that are not whole go aside, so that nobody takes one. */
static Err look_at_copies(Salvage *s, bool *whole)
{
    Slice *names;
    size_t count;
    *whole = false;
    TRY(path_list(in_idx(s, S("")), &s->memory, &names, &count));
    for (size_t i = 0; i < count; i++) {
        if (!slice_starts(names[i], S("copy-")) || !slice_ends(names[i], S(".mdb"))) continue;
        Slice path = in_idx(s, names[i]);
        if (is_whole(s, path))
            *whole = true;
        else
            TRY(set_aside(s, path));
    }
    return OK;
}

static bool log_is_complete(Salvage *s)
{
    PathInfo info;
    return !path_info(arena_printf(&s->memory, "%.*s/log/00000001.seg", SP(s->dir)), &info);
}

/* ---- an index from what is good of the old one ---- */

static bool write_some(Salvage *s)
{
    if (s->count && !s->err) s->err = index_write(s->fresh, s->changes, s->count);
    s->count = 0;
    return !s->err;
}

static bool take_entry(void *arg, Slice key, Slice value)
{
    Salvage *s = arg;
    s->changes[s->count++] =
        (IndexChange){.key = arena_copy(&s->memory, key), .value = arena_copy(&s->memory, value)};
    return s->count < AT_ONCE || write_some(s);
}

static Err make_from_entries(Salvage *s, Slice damaged, Slice path)
{
    IndexWalk walk = {.entry = take_entry, .arg = s};
    TRY(index_open(&index_lmdb, path, s->options->engine.map_bytes, &s->fresh));
    Err err = index_walk(damaged, &walk);
    if (!err) write_some(s);
    index_close(s->fresh);
    TRY(err);
    TRY(s->err);
    say(s, "%.*s is made of %llu good entries of the old one", SP(path),
        (unsigned long long)walk.entries);
    return path_sync_dir(in_idx(s, S("")));
}

static Err mend_index(Salvage *s)
{
    Slice path = in_idx(s, S("data.mdb")), damaged = in_idx(s, S("data.mdb.damaged"));
    PathInfo info;
    bool copies, whole = is_whole(s, path), there = !path_info(path, &info);
    TRY(look_at_copies(s, &copies));
    if (whole) return OK;
    if (there) TRY(set_aside(s, path));
    if (copies || log_is_complete(s)) {
        say(s, "the index is made again from %s", copies ? "a copy and the log" : "the log");
        return OK; /* by those who open the store */
    }
    if (!there)
        return fail(ERR_CORRUPT, "there is no index, no copy of it, and not all of the log");
    return make_from_entries(s, damaged, path);
}

/* ---- the rest ---- */

static PARKS Err look_at_all(Salvage *s)
{
    Store *store = NULL;
    CheckResult result = {0};
    uint64_t checked = 0, bad = 0;
    TRY(store_open(s->dir, s->options, &store));
    Err err = store_check(store, true, s->report, s->arg, &result);
    if (!err) err = engine_scrub(store_engine(store), s->report, s->arg, &checked, &bad);
    if (!err)
        say(s, "%llu messages are kept; %llu findings, %llu damaged records or bodies",
            (unsigned long long)result.messages, (unsigned long long)result.findings,
            (unsigned long long)bad);
    store_close(store);
    return err;
}

static Err hold(Salvage *s, File **lock)
{
    TRY(file_open(arena_printf(&s->memory, "%.*s/LOCK", SP(s->dir)), FILE_WRITE, lock));
    return file_lock(*lock);
}

PARKS Err store_salvage(Slice dir, const StoreOptions *options, void (*report)(void *arg, Slice),
                        void *arg)
{
    Salvage *s = NEW(Salvage);
    *s = (Salvage){.dir = dir, .options = options, .report = report, .arg = arg};
    File *lock = NULL;
    Err err = hold(s, &lock);
    if (!err) err = mend_index(s);
    file_close(lock);
    if (!err) err = look_at_all(s);
    arena_done(&s->memory);
    free(s);
    return err;
}
