#include "store/local.h"

#include <stdlib.h>

/* LMDB's file has no checksums and one writer's bug could spoil it, so a copy is made every day and
 * two are kept. With a copy, everything since can be replayed from the log: which is why segments
 * with records newer than the older copy are not written again. */

enum { COPIES_KEPT = 2, A_DAY = 24 * 60 * 60, LOOK_EVERY_MS = 10 * 60 * 1000 };

static Slice copy_ending(const Engine *e)
{
    return slice_of(e->options.index_in_memory ? index_memory.copy : index_lmdb.copy);
}

/* copy-0123456789abcdef.mdb */
static bool parse_name(const Engine *e, Slice name, uint64_t *lsn)
{
    Slice ending = copy_ending(e);
    if (!slice_starts(name, S("copy-")) || !slice_ends(name, ending)) return false;
    if (name.len != 5 + 16 + 1 + ending.len) return false;
    Arena arena_scoped a = {0};
    char *end;
    *lsn = strtoull(arena_cstr(&a, slice(name.at + 5, 16)), &end, 16);
    return !*end;
}

Err copies_list(Engine *e, Arena *a, Slice **names, uint64_t **lsns, size_t *count)
{
    Slice *all;
    size_t all_count;
    TRY(path_list(engine_path(e, a, "idx"), a, &all, &all_count));
    *names = arena_array(a, Slice, all_count + 1);
    *lsns = arena_array(a, uint64_t, all_count + 1);
    *count = 0;
    /* sorted by octets, and hexadecimal of one length sorts like numbers: the newest is last */
    for (size_t i = all_count; i > 0; i--)
        if (parse_name(e, all[i - 1], &(*lsns)[*count])) (*names)[(*count)++] = all[i - 1];
    return OK;
}

typedef struct {
    Engine *e;
    Err err;
    char story[STORY_ROOM];
} Copying;

static Err drop_old(Engine *e, Arena *a)
{
    Slice *names;
    uint64_t *lsns;
    size_t count;
    TRY(copies_list(e, a, &names, &lsns, &count));
    for (size_t i = COPIES_KEPT; i < count; i++)
        TRY(path_unlink(engine_path(e, a, "idx/%.*s", SP(names[i]))));
    return OK;
}

static Err copy_now(Engine *e)
{
    Arena arena_scoped a = {0};
    Slice draft = engine_path(e, &a, "idx/copy.new");
    Slice name = engine_path(e, &a, "idx/copy-%016llx.%.*s", (unsigned long long)e->checkpoint_lsn,
                             SP(copy_ending(e)));
    Err err = path_unlink(draft);
    if (err && err != ERR_NOT_FOUND) return err;
    err = index_copy_to(e->index, draft);
    if (err) {
        char story[STORY_ROOM];
        story_keep(story, err_story());
        Err gone = path_unlink(draft);
        if (gone && gone != ERR_NOT_FOUND) return gone;
        return fail(err, "%s", story);
    }
    TRY(path_rename(draft, name));
    TRY(path_sync_dir(engine_path(e, &a, "idx")));
    return drop_old(e, &a);
}

static void copy_aside(void *arg)
{
    Copying *c = (Copying *)arg;
    c->err = copy_now(c->e);
    if (c->err) story_keep(c->story, err_story());
}

Err copies_make(Engine *e)
{
    Copying c = {.e = e};
    aside(copy_aside, &c);
    return c.err ? fail(c.err, "%s", c.story) : OK;
}

/* A young store (one segment) is read again from its beginning as fast as a copy is put back. */
static bool has_several_segments(Engine *e)
{
    mutex_lock(&e->lock); /* the log adds them on a helper thread */
    bool several = e->segment_count > 1;
    mutex_unlock(&e->lock);
    return several;
}

bool copies_are_due(Engine *e)
{
    if (e->copy_ms && now_ms() - e->copy_ms < LOOK_EVERY_MS) return false;
    e->copy_ms = now_ms();
    Arena arena_scoped a = {0};
    Slice *names;
    uint64_t *lsns;
    size_t count;
    PathInfo info;
    if (copies_list(e, &a, &names, &lsns, &count)) return false;
    if (!count) return has_several_segments(e);
    if (lsns[0] == e->checkpoint_lsn) return false;
    if (path_info(engine_path(e, &a, "idx/%.*s", SP(names[0])), &info)) return false;
    return wall_seconds() - info.mtime >= A_DAY;
}
