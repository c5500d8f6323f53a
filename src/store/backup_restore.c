#include "store/backup.h"

#include "base/text.h"
#include "run/file.h"
#include "store/local.h"
#include "store/record.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct {
    Restoring *r;
    Generations g;
    const Manifest *base, *next; /* next: for moments behind `base`; else NULL */
    Slice set;
    BackupFiles segments; /* what is to be put back, ascending */
} Back;

static Slice moment_text(Arena *a, int64_t moment)
{
    Buf text buf_scoped = {0};
    int year;
    unsigned month, day;
    int64_t s = moment % 86400;
    civil_from_days(moment / 86400, &year, &month, &day);
    buf_printf(&text, "%04d-%02u-%02u %02d:%02d:%02d UTC", year, month, day, (int)(s / 3600),
               (int)(s / 60 % 60), (int)(s % 60));
    return arena_copy(a, buf_slice(&text));
}

/* ---- which generation ---- */
static Err choose_generation(Back *b)
{
    Generations *g = &b->g;
    int64_t at = b->r->at;
    size_t i = g->count - 1;
    while (at && i > 0 && g->items[i].m.moment > at)
        i--;
    const Generation *base = &g->items[i];
    if (at && base->m.moment > at)
        return fail(ERR_NOT_FOUND, "this backup begins at %.*s",
                    SP(moment_text(&g->arena, base->m.moment)));
    b->base = &base->m;
    b->set = base->set;
    if (!at || base->m.moment == at) return OK;
    if (i + 1 == g->count)
        return fail(ERR_NOT_FOUND, "this backup ends at %.*s",
                    SP(moment_text(&g->arena, base->m.moment)));
    if (slice_eq(g->items[i + 1].set, base->set)) {
        b->next = &g->items[i + 1].m;
        return OK;
    }
    return fail(ERR_NOT_FOUND,
                "after %.*s a new full backup was begun at %.*s; nothing reaches in "
                "between",
                SP(moment_text(&g->arena, base->m.moment)),
                SP(moment_text(&g->arena, g->items[i + 1].m.moment)));
}

/* Those of the base, and what the next one has of the log behind it. */
static Err choose_segments(Back *b)
{
    uint64_t reaches =
        b->base->segments.count ? b->base->segments.items[b->base->segments.count - 1].id : 0;
    for (size_t i = 0; i < b->base->segments.count; i++)
        if (!b->next || b->base->segments.items[i].id < reaches)
            *backup_file_add(&b->segments) = b->base->segments.items[i];
    for (size_t i = 0; b->next && i < b->next->segments.count; i++)
        if (b->next->segments.items[i].id >= reaches)
            *backup_file_add(&b->segments) = b->next->segments.items[i];
    for (size_t i = 1; i < b->segments.count; i++) {
        uint64_t number = b->segments.items[i].id, before = b->segments.items[i - 1].id;
        bool needed = number > lsn_segment(b->base->position);
        if (needed && number != before + 1)
            return fail(ERR_NOT_FOUND,
                        "segment %llu of the log had gone before it was copied: "
                        "that moment cannot be reached",
                        (unsigned long long)before + 1);
    }
    return b->segments.count ? OK : fail(ERR_CORRUPT, "a backup without a log");
}

/* ---- files ---- */
static Err put_file(Back *b, Slice from, Slice to, const BackupFile *f)
{
    BackupCopy c = {
        .from = from, .to = to, .end = f->size, .told = b->r->told, .told_arg = b->r->told_arg};
    TRY(backup_copy_file(&c));
    if (memcmp(c.sha256, f->sha256, sizeof c.sha256) != 0)
        return fail(ERR_CORRUPT, "%.*s is damaged", SP(from));
    b->r->copied += f->size;
    return OK;
}

static Err link_file(Arena *a, Slice from, Slice to)
{
    char *whole = realpath(arena_cstr(a, from), NULL);
    Err err = whole && !symlink(whole, arena_cstr(a, to))
                  ? OK
                  : fail(ERR_IO, "%.*s: cannot be linked to", SP(from));
    free(whole);
    return err;
}

static Err put_segments(Back *b)
{
    Arena *a = &b->g.arena;
    for (size_t i = 0; i < b->segments.count; i++) {
        const BackupFile *f = &b->segments.items[i];
        unsigned long long number = f->id;
        Slice from = arena_printf(a, "%.*s/log/%08llu.seg", SP(b->set), number);
        Slice to = arena_printf(a, "%.*s/log/%08llu.seg", SP(b->r->store), number);
        /* The last segments may have to be cut. */
        bool link = b->r->look &&
                    (b->next ? number < lsn_segment(b->base->end) : i + 1 < b->segments.count);
        TRY(link ? link_file(a, from, to) : put_file(b, from, to, f));
    }
    return path_sync_dir(arena_printf(a, "%.*s/log", SP(b->r->store)));
}

static Err put_big_of(Back *b, const BackupFiles *files)
{
    Arena *a = &b->g.arena;
    for (size_t i = 0; i < files->count; i++) {
        const BackupFile *f = &files->items[i];
        unsigned long long id = f->id;
        PathInfo info;
        Slice dir = arena_printf(a, "%.*s/big/%02llx", SP(b->r->store), id & 0xFF);
        Slice to = arena_printf(a, "%.*s/%016llx", SP(dir), id);
        Slice from = arena_printf(a, "%.*s/big/%016llx", SP(b->set), id);
        if (!path_info(to, &info)) continue;
        TRY(path_mkdir(dir));
        TRY(b->r->look ? link_file(a, from, to) : put_file(b, from, to, f));
        TRY(path_sync_dir(dir));
    }
    return OK;
}

static Slice generation_file(Back *b, const char *name)
{
    return arena_printf(&b->g.arena, "%.*s/gen-%06u/%s", SP(b->set), b->base->generation, name);
}

static Err put_format(Back *b)
{
    Buf text buf_scoped = {0};
    buf_add(&text, S("posthouse store 1\n"));
    hex_encode(&text, slice(b->base->uuid, sizeof b->base->uuid));
    buf_char(&text, '\n');
    return path_replace(arena_printf(&b->g.arena, "%.*s/format", SP(b->r->store)),
                        buf_slice(&text));
}

/* LMDB's file begins with a page header and this; ours in memory does not. */
static Err index_name(Back *b, Slice *name)
{
    static const uint8_t lmdb[4] = {0xDE, 0xC0, 0xEF, 0xBE};
    char head[32] = {0};
    size_t got;
    File *f scoped(file) = NULL;
    TRY(file_open(generation_file(b, "index"), FILE_READ, &f));
    TRY(file_read_some(f, 0, head, sizeof head, &got));
    bool is = got == sizeof head && !memcmp(head + 16, lmdb, sizeof lmdb);
    *name = slice_of(is ? index_lmdb.file : index_memory.file);
    return OK;
}

static Err put_index(Back *b)
{
    Arena *a = &b->g.arena;
    Slice name, store = b->r->store;
    TRY(index_name(b, &name));
    Slice to = arena_printf(a, "%.*s/idx/%.*s", SP(store), SP(name));
    TRY(put_file(b, generation_file(b, "index"), to, &b->base->index));
    TRY(path_sync_dir(arena_printf(a, "%.*s/idx", SP(store))));
    if (!b->base->keeper.size || b->r->look) return OK;
    TRY(path_mkdir(arena_printf(a, "%.*s/keeper", SP(store))));
    to = arena_printf(a, "%.*s/keeper/data.mdb", SP(store));
    TRY(put_file(b, generation_file(b, "keeper"), to, &b->base->keeper));
    return path_sync_dir(arena_printf(a, "%.*s/keeper", SP(store)));
}

/* ---- the moment ---- */
typedef struct {
    Back *b;
    Window window;
    uint64_t cut; /* behind the last record that is not later than the moment */
} Cut;

static Err scan_for_cut(Cut *c, uint32_t number, uint64_t end, uint64_t offset)
{
    uint32_t salt = store_salt(c->b->base->uuid);
    while (offset < end) {
        RecordPlace place = {
            .lsn = lsn_make(number, (uint32_t)offset), .salt = salt, .any_chain = true};
        LogRecord rec;
        Verdict verdict;
        RecordReader reader;
        TRY(window_record(&c->window, &place, &rec, &verdict));
        if (verdict == VERDICT_NONE)
            return fail(ERR_CORRUPT, "the log is damaged at %llx", (unsigned long long)place.lsn);
        offset += rec.next;
        bool dated = rec.head.type == RECORD_COMMIT && !record_open(rec.record, &reader);
        if (dated && (int64_t)reader.time <= c->b->r->at)
            c->cut = lsn_make(number, (uint32_t)offset);
    }
    return OK;
}

static Err find_cut(Cut *c)
{
    Arena *a = &c->b->g.arena;
    uint64_t end = c->b->base->end;
    Err err = OK;
    c->cut = end;
    for (size_t i = 0; i < c->b->segments.count && !err; i++) {
        const BackupFile *f = &c->b->segments.items[i];
        uint32_t number = (uint32_t)f->id;
        if (number < lsn_segment(end)) continue;
        File *file scoped(file) = NULL;
        Slice path = arena_printf(a, "%.*s/log/%08u.seg", SP(c->b->r->store), number);
        TRY(file_open(path, FILE_READ, &file));
        c->window = (Window){.file = file, .bytes = c->window.bytes};
        buf_clear(&c->window.bytes);
        bool first = number == lsn_segment(end);
        err = scan_for_cut(c, number, f->size, first ? lsn_offset(end) : SEGMENT_HEADER);
    }
    return err;
}

static Err cut_segment(Back *b, uint32_t number, uint64_t cut)
{
    File *file scoped(file) = NULL;
    Slice path = arena_printf(&b->g.arena, "%.*s/log/%08u.seg", SP(b->r->store), number);
    if (number > lsn_segment(cut)) return path_unlink(path);
    TRY(file_open(path, FILE_WRITE, &file));
    TRY(file_truncate(file, lsn_offset(cut)));
    return file_sync(file);
}

static Err cut_log(Back *b)
{
    Cut c = {.b = b};
    Err err = b->next ? find_cut(&c) : OK;
    buf_done(&c.window.bytes);
    if (!b->next) return OK;
    TRY(err);
    for (size_t i = 0; i < b->segments.count; i++)
        if (b->segments.items[i].id >= lsn_segment(c.cut))
            TRY(cut_segment(b, (uint32_t)b->segments.items[i].id, c.cut));
    return path_sync_dir(arena_printf(&b->g.arena, "%.*s/log", SP(b->r->store)));
}

/* ---- all of it ---- */
static Err make_store(Back *b)
{
    Slice *names, store = b->r->store;
    size_t count;
    Arena *a = &b->g.arena;
    TRY(backup_make_dirs(store));
    TRY(path_list(store, a, &names, &count));
    if (count) return fail(ERR_EXISTS, "%.*s is not empty", SP(store));
    static const char *const dirs[] = {"log", "big", "idx"};
    for (size_t i = 0; i < COUNT(dirs); i++)
        TRY(path_mkdir(arena_printf(a, "%.*s/%s", SP(store), dirs[i])));
    return path_sync_dir(store);
}

/* "format" last: without it a directory is no store. */
static Err put_back(Back *b)
{
    TRY(make_store(b));
    TRY(put_segments(b));
    TRY(put_big_of(b, &b->base->big));
    if (b->next) TRY(put_big_of(b, &b->next->big));
    TRY(put_index(b));
    TRY(cut_log(b));
    b->r->moment = b->next ? b->r->at : b->base->moment;
    return put_format(b);
}

Err backup_restore(Restoring *r)
{
    Back b = {.r = r};
    Err err = generations_read(r->dir, &b.g);
    if (!err) err = choose_generation(&b);
    if (!err) err = choose_segments(&b);
    if (!err) err = put_back(&b);
    free(b.segments.items);
    generations_done(&b.g);
    return err;
}
