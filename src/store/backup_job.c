#include "store/backup.h"

#include "base/text.h"
#include "run/file.h"
#include "store/segment.h"

#include <stdlib.h>

/* ---- where it goes ---- */
static Slice set_path(Arena *a, Slice dir, unsigned number)
{
    return arena_printf(a, "%.*s/full-%06u", SP(dir), number);
}

/* Number of the newest set; 0: none. */
static Err newest_set(BackupJob *j, unsigned *number)
{
    Slice *names;
    size_t count;
    *number = 0;
    TRY(path_list(j->dir, &j->arena, &names, &count));
    for (size_t i = 0; i < count; i++) {
        uint64_t n;
        if (!slice_starts(names[i], S("full-")) || !slice_to_u64(slice_from(names[i], 5), &n))
            continue;
        if (n <= 999999) *number = MAX(*number, (unsigned)n);
    }
    return OK;
}

static Err begin_set(BackupJob *j)
{
    unsigned number;
    TRY(newest_set(j, &number));
    j->set = set_path(&j->arena, j->dir, number + 1);
    manifest_done(&j->before);
    number_table_done(&j->segments);
    number_table_done(&j->big);
    TRY(path_mkdir(j->set));
    TRY(path_mkdir(arena_printf(&j->arena, "%.*s/log", SP(j->set))));
    TRY(path_mkdir(arena_printf(&j->arena, "%.*s/big", SP(j->set))));
    return path_sync_dir(j->dir);
}

/* ---- what is there already ---- */
static Err read_before(BackupJob *j)
{
    Generations *g scoped(generations) = &(Generations){0};
    Err err = generations_read(j->dir, g);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    for (size_t i = g->count; i > 0; i--) {
        if (!slice_eq(g->items[i - 1].set, j->set)) continue;
        j->before = g->items[i - 1].m;
        g->items[i - 1].m = (Manifest){0};
        return OK;
    }
    return OK;
}

typedef struct {
    uint8_t uuid[16];
    uint64_t last, chain, generation;
} ProgressHead;

static Slice progress_path(BackupJob *j)
{
    return arena_printf(&j->arena, "%.*s/progress", SP(j->set));
}

static bool take_progress_head(Slice *text, ProgressHead *h)
{
    Slice line, part;
    Buf uuid buf_scoped = {0};
    if (!slice_cut(text, '\n', &line) || !slice_cut(&line, ' ', &part)) return false;
    if (!hex_decode(&uuid, part) || uuid.len != sizeof h->uuid) return false;
    memcpy(h->uuid, uuid.at, sizeof h->uuid);
    if (!slice_cut(&line, ' ', &part) || !slice_to_u64(part, &h->generation)) return false;
    if (!slice_cut(&line, ' ', &part) || !slice_to_u64(part, &h->last)) return false;
    return slice_to_u64(line, &h->chain);
}

static void know(BackupJob *j, NumberTable *table, const BackupFile *f)
{
    BackupFile *copy = arena_new(&j->arena, BackupFile);
    *copy = *f;
    number_table_put(table, f->id, copy);
}

/* A broken line is the last one. What it says holds for what is not in the manifest, or shorter. */
static void take_progress(BackupJob *j, Slice text)
{
    Slice line;
    BackupFile f;
    while (slice_cut(&text, '\n', &line))
        if (backup_line_decode(line, "segment", &f))
            know(j, &j->segments, &f);
        else if (backup_line_decode(line, "big", &f))
            know(j, &j->big, &f);
        else
            return;
}

static void take_before(BackupJob *j)
{
    for (size_t i = 0; i < j->before.segments.count; i++)
        know(j, &j->segments, &j->before.segments.items[i]);
    for (size_t i = 0; i < j->before.big.count; i++)
        know(j, &j->big, &j->before.big.items[i]);
}

/* ---- is the store's log the one that was copied? ---- */
/* A store that was put back from a backup and has gone on has the same name and other records. */
static bool same_history(BackupJob *j, uint64_t last, uint32_t chain)
{
    char bytes[RECORD_HEADER];
    RecordHeader h;
    File *f scoped(file) = NULL;
    Slice path = arena_printf(&j->arena, "%.*s/log/%08u.seg", SP(j->store), lsn_segment(last));
    if (!last || last >= j->plan->end || file_open(path, FILE_READ, &f)) return false;
    if (file_read_at(f, lsn_offset(last), bytes, sizeof bytes)) return false;
    return record_header_decode(slice(bytes, sizeof bytes), last, &h) && h.chain == chain;
}

static Err read_uuid(BackupJob *j)
{
    Slice text = {0}, version, line;
    Buf uuid buf_scoped = {0};
    TRY(path_read(arena_printf(&j->arena, "%.*s/format", SP(j->store)), 1000, &j->arena, &text));
    bool good = slice_cut(&text, '\n', &version) && slice_cut(&text, '\n', &line) &&
                hex_decode(&uuid, line) && uuid.len == sizeof j->now.uuid;
    if (!good) return fail(ERR_CORRUPT, "%.*s/format is not a store's", SP(j->store));
    memcpy(j->now.uuid, uuid.at, uuid.len);
    return OK;
}

/* Whether what the set has can be built upon. */
static Err look_at_set(BackupJob *j, bool *fits)
{
    ProgressHead head = {0};
    Slice text = {0};
    TRY(read_before(j));
    const Manifest *m = &j->before;
    bool had = m->generation != 0;
    take_before(j);
    *fits =
        had && !memcmp(m->uuid, j->now.uuid, sizeof m->uuid) && same_history(j, m->last, m->chain);
    Err err = path_read(progress_path(j), SIZE_MAX, &j->arena, &text);
    if (err && err != ERR_NOT_FOUND) return err;
    bool follows = !err && take_progress_head(&text, &head) && head.generation == m->generation &&
                   !memcmp(head.uuid, j->now.uuid, sizeof head.uuid) &&
                   same_history(j, head.last, (uint32_t)head.chain);
    if (follows && (*fits || !had)) take_progress(j, text), *fits = true;
    return OK;
}

static Err choose_set(BackupJob *j)
{
    unsigned number;
    bool fits = false;
    TRY(newest_set(j, &number));
    if (number && !j->full) {
        j->set = set_path(&j->arena, j->dir, number);
        TRY(look_at_set(j, &fits));
    }
    return fits ? OK : begin_set(j);
}

/* ---- progress ---- */
static Err progress_add(BackupJob *j, Slice text)
{
    TRY(file_write_at(j->progress, j->progress_at, &text, 1));
    j->progress_at += text.len;
    return file_sync(j->progress);
}

static Err progress_line(BackupJob *j, const char *word, const BackupFile *f)
{
    Buf line buf_scoped = {0};
    backup_line(&line, word, f);
    return progress_add(j, buf_slice(&line));
}

static void say_known(Buf *text, const char *word, const NumberTable *table)
{
    size_t cursor = 0;
    uint64_t id;
    void *file;
    while (number_table_next(table, &cursor, &id, &file))
        backup_line(text, word, (const BackupFile *)file);
}

/* What the last attempt has done is said again, beside our own name for the log's end. */
static Err progress_begin(BackupJob *j)
{
    Buf text buf_scoped = {0};
    hex_encode(&text, slice(j->now.uuid, sizeof j->now.uuid));
    buf_printf(&text, " %u %llu %u\n", j->before.generation, (unsigned long long)j->plan->last,
               j->plan->chain);
    say_known(&text, "segment", &j->segments);
    say_known(&text, "big", &j->big);
    TRY(path_replace(progress_path(j), buf_slice(&text)));
    TRY(file_open(progress_path(j), FILE_WRITE, &j->progress));
    j->progress_at = text.len;
    return OK;
}

/* ---- the steps ---- */
Err job_open(BackupJob *j)
{
    TRY(backup_make_dirs(j->dir));
    Slice path = arena_printf(&j->arena, "%.*s/LOCK", SP(j->dir));
    TRY(file_open(path, FILE_WRITE | FILE_CREATE, &j->lock_file));
    Err err = file_lock(j->lock_file);
    return err == ERR_IN_USE ? fail(err, "%.*s: another backup is being made there", SP(j->dir))
                             : err;
}

static Slice generation_path(BackupJob *j, const char *name)
{
    return arena_printf(&j->arena, "%.*s/gen-%06u%s%s", SP(j->set), j->now.generation,
                        *name ? "/" : "", name);
}

Err job_begin(BackupJob *j, EngineBackup *plan)
{
    j->plan = plan;
    TRY(read_uuid(j));
    TRY(choose_set(j));
    TRY(progress_begin(j));
    j->is_full = !j->before.generation;
    j->now.generation = j->before.generation + 1;
    j->now.position = plan->position;
    j->now.end = plan->end;
    j->now.last = plan->last;
    j->now.chain = plan->chain;
    j->now.moment = plan->moment;
    TRY(path_mkdir(generation_path(j, "")));
    return path_sync_dir(j->set);
}

static Err copy_whole(BackupJob *j, Slice from, const char *name, BackupFile *f)
{
    PathInfo info;
    TRY(path_info(from, &info));
    BackupCopy c = {.from = from,
                    .to = generation_path(j, name),
                    .end = info.size,
                    .told = j->told,
                    .told_arg = j->told_arg};
    TRY(backup_copy_file(&c));
    f->size = info.size;
    memcpy(f->sha256, c.sha256, sizeof f->sha256);
    j->copied += info.size;
    return OK;
}

Err job_index(BackupJob *j)
{
    Slice index = arena_printf(&j->arena, "%.*s/idx/%.*s", SP(j->store), SP(j->plan->index));
    TRY(copy_whole(j, index, "index", &j->now.index));
    if (j->keeper.len) TRY(copy_whole(j, j->keeper, "keeper", &j->now.keeper));
    return OK;
}

Err job_segment(BackupJob *j, size_t i)
{
    const BackupSegment *s = &j->plan->segments[i];
    const BackupFile *have = (const BackupFile *)number_table_get(&j->segments, s->number);
    BackupFile f = {.id = s->number, .size = s->end};
    Arena arena_scoped a = {0};
    BackupCopy c = {.from = arena_printf(&a, "%.*s/log/%08u.seg", SP(j->store), s->number),
                    .to = arena_printf(&a, "%.*s/log/%08u.seg", SP(j->set), s->number),
                    .begin = have ? have->size : 0,
                    .end = s->end,
                    .known = have ? have->sha256 : NULL,
                    .told = j->told,
                    .told_arg = j->told_arg};
    if (have && have->size > s->end)
        return fail(ERR_CORRUPT, "segment %u was longer when it was copied", s->number);
    if (have && have->size == s->end) {
        *backup_file_add(&j->now.segments) = *have;
        return OK;
    }
    TRY(backup_copy_file(&c));
    if (!c.begin) TRY(path_sync_dir(arena_printf(&a, "%.*s/log", SP(j->set))));
    memcpy(f.sha256, c.sha256, sizeof f.sha256);
    *backup_file_add(&j->now.segments) = f;
    j->copied += c.end - c.begin;
    return progress_line(j, "segment", &f);
}

uint64_t job_octets(const BackupJob *j)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < j->plan->segment_count; i++) {
        const BackupSegment *s = &j->plan->segments[i];
        const BackupFile *have = (const BackupFile *)number_table_get(&j->segments, s->number);
        sum += s->end - MIN(s->end, have ? have->size : 0);
    }
    return sum;
}

/* ---- big bodies ---- */
static int by_id(const void *a, const void *b)
{
    const BackupFile *x = (const BackupFile *)a, *y = (const BackupFile *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static Err copy_big(BackupJob *j, Slice from, BackupFile f)
{
    Arena arena_scoped a = {0};
    Slice to = arena_printf(&a, "%.*s/big/%016llx", SP(j->set), (unsigned long long)f.id);
    BackupCopy c = {
        .from = from, .to = to, .end = f.size, .told = j->told, .told_arg = j->told_arg};
    Err err = backup_copy_file(&c);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    memcpy(f.sha256, c.sha256, sizeof f.sha256);
    *backup_file_add(&j->now.big) = f;
    *backup_file_add(&j->progress_big) = f;
    j->copied += f.size;
    return OK;
}

/* One that is still being written is copied as far as it goes: no record refers to it yet, and its
 * size tells the next backup. One that is gone was a draft given up. */
static Err take_big(BackupJob *j, Slice from, uint64_t id)
{
    PathInfo info;
    Err err = path_info(from, &info);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    const BackupFile *have = (const BackupFile *)number_table_get(&j->big, id);
    if (!have || have->size != info.size)
        return copy_big(j, from, (BackupFile){.id = id, .size = info.size});
    *backup_file_add(&j->now.big) = *have;
    return OK;
}

/* Names are synced before the progress says that they are there. */
static Err big_are_there(BackupJob *j)
{
    if (!j->progress_big.count) return OK;
    TRY(path_sync_dir(arena_printf(&j->arena, "%.*s/big", SP(j->set))));
    Buf lines buf_scoped = {0};
    for (size_t i = 0; i < j->progress_big.count; i++)
        backup_line(&lines, "big", &j->progress_big.items[i]);
    j->progress_big.count = 0;
    return progress_add(j, buf_slice(&lines));
}

static Err big_dir(BackupJob *j, Slice dir)
{
    Arena arena_scoped a = {0};
    Slice *names;
    size_t count;
    TRY(path_list(dir, &a, &names, &count));
    for (size_t i = 0; i < count; i++) {
        uint64_t id;
        if (!backup_id_decode(names[i], &id)) continue;
        TRY(take_big(j, arena_printf(&a, "%.*s/%.*s", SP(dir), SP(names[i])), id));
    }
    return big_are_there(j);
}

Err job_big(BackupJob *j)
{
    Slice *names, big = arena_printf(&j->arena, "%.*s/big", SP(j->store));
    size_t count;
    TRY(path_list(big, &j->arena, &names, &count));
    for (size_t i = 0; i < count; i++)
        TRY(big_dir(j, arena_printf(&j->arena, "%.*s/%.*s", SP(big), SP(names[i]))));
    if (j->now.big.count)
        qsort(j->now.big.items, j->now.big.count, sizeof *j->now.big.items, by_id);
    return OK;
}

Err job_finish(BackupJob *j)
{
    Buf text buf_scoped = {0};
    TRY(path_sync_dir(generation_path(j, "")));
    manifest_encode(&text, &j->now);
    TRY(path_replace(generation_path(j, "manifest"), buf_slice(&text)));
    file_close(j->progress);
    j->progress = NULL;
    return path_unlink(progress_path(j));
}

void job_close(BackupJob *j)
{
    file_close(j->progress);
    file_close(j->lock_file);
    manifest_done(&j->before);
    manifest_done(&j->now);
    free(j->progress_big.items);
    number_table_done(&j->segments);
    number_table_done(&j->big);
    arena_done(&j->arena);
}
