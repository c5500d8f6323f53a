#include "store/backup.h"

#include "base/test.h"
#include "base/text.h"
#include "run/file.h"
#include "store/digest.h"
#include "store/test_world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- manifests ---- */
static void sample(Manifest *m)
{
    *m = (Manifest){.generation = 3, .position = 4096, .end = 99, .last = 7, .chain = 5};
    m->moment = 1790000000;
    m->index = (BackupFile){
        .size = 12, .sha256 = {1, 2}
    };
    for (uint64_t i = 1; i < 4; i++)
        *backup_file_add(&m->segments) = (BackupFile){.id = i * 2, .size = 4096 + i};
    *backup_file_add(&m->big) = (BackupFile){.id = 0xABCDEF0123456789, .size = 5, .sha256 = {9}};
}

TEST(a_manifest_says_what_was_written)
{
    Manifest m, back;
    Buf text buf_scoped = {0}, again buf_scoped = {0};
    sample(&m);
    manifest_encode(&text, &m);
    check_ok(manifest_decode(buf_slice(&text), &back));
    manifest_encode(&again, &back);
    check(slice_eq(buf_slice(&text), buf_slice(&again)));
    check(back.segments.count == 3 && back.big.items[0].id == 0xABCDEF0123456789);
    manifest_done(&m);
    manifest_done(&back);
}

TEST(a_manifest_with_any_bit_turned_or_cut_anywhere_is_none)
{
    Manifest m, back;
    Buf text buf_scoped = {0};
    sample(&m);
    manifest_encode(&text, &m);
    for (size_t i = 0; i < text.len; i++) {
        check(manifest_decode(slice_first(buf_slice(&text), i), &back) == ERR_CORRUPT);
        text.at[i] = (char)(text.at[i] ^ 1 << i % 8);
        check(manifest_decode(buf_slice(&text), &back) == ERR_CORRUPT);
        text.at[i] = (char)(text.at[i] ^ 1 << i % 8);
    }
    manifest_done(&m);
}

TEST(a_manifest_of_nonsense_is_none_though_its_seal_holds)
{
    static const char *const texts[] = {
        "posthouse backup 2\n",
        "posthouse backup 1\nstore 00\n",
        "posthouse backup 1\nstore 00112233445566778899aabbccddeeff\ngeneration 1000000\n",
        "",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        Buf text buf_scoped = {0};
        Manifest m;
        uint8_t sha256[32];
        buf_add(&text, slice_of(texts[i]));
        digest_of(buf_slice(&text), sha256);
        buf_add(&text, S("sha256 "));
        hex_encode(&text, slice(sha256, 32));
        buf_char(&text, '\n');
        check(manifest_decode(buf_slice(&text), &m) == ERR_CORRUPT);
    }
}

/* ---- a backup of a real store ---- */
typedef struct {
    World w;
    char dir[64];
    Arena arena;
    uint64_t copied;
    bool full;
    Err err;
} Fixture;

static Slice path(Fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/%s", f->dir, name);
}

static PARKS void begin(Fixture *f)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/posthouse-backup-XXXXXX");
    check(mkdtemp(f->dir));
    world_open(&f->w, NULL);
}

static PARKS void done(Fixture *f)
{
    Slice rm = arena_printf(&f->arena, "rm -r %s", f->dir);
    world_close(&f->w);
    check(system(arena_cstr(&f->arena, rm)) == 0);
    arena_done(&f->arena);
}

static PARKS Err copy_all(BackupJob *j, EngineBackup *plan)
{
    TRY(job_begin(j, plan));
    TRY(job_index(j));
    TRY(job_big(j));
    for (size_t i = 0; i < plan->segment_count; i++)
        TRY(job_segment(j, i));
    return job_finish(j);
}

static PARKS Err take(Fixture *f, bool full)
{
    BackupJob j = {.store = slice_of(f->w.dir), .dir = path(f, "backup"), .full = full};
    EngineBackup plan = {0};
    Engine *e = store_engine(f->w.store);
    TRY(job_open(&j));
    check_ok(engine_backup_begin(e, &f->arena, &plan));
    Err err = copy_all(&j, &plan);
    f->copied = j.copied;
    f->full = j.is_full;
    engine_backup_end(e, &plan, !err);
    job_close(&j);
    return err;
}

static PARKS void append(Fixture *f, size_t count)
{
    Mailbox *box scoped(mailbox) = world_box(&f->w, "INBOX");
    world_append_many(&f->w, box, count);
}

TEST(an_incremental_backup_copies_what_was_added)
{
    Fixture f = {0};
    begin(&f);
    append(&f, 2000);
    check_ok(take(&f, false));
    uint64_t all = f.copied;
    check(f.full);
    append(&f, 10);
    check_ok(take(&f, false));
    check(!f.full && f.copied < all);
    check_ok(take(&f, true));
    check(f.full && f.copied > all / 2);
    done(&f);
}

TEST(only_one_backup_is_made_at_a_time)
{
    Fixture f = {0};
    EngineBackup first = {0}, second = {0};
    begin(&f);
    Engine *e = store_engine(f.w.store);
    check_ok(engine_backup_begin(e, &f.arena, &first));
    check(engine_backup_begin(e, &f.arena, &second) == ERR_IN_USE);
    engine_backup_end(e, &first, false);
    check_ok(engine_backup_begin(e, &f.arena, &second));
    engine_backup_end(e, &second, true);
    done(&f);
}

/* The dead body's blocks stay while a backup holds, and go when it has ended. */
TEST(nothing_is_punched_while_a_backup_holds)
{
    Fixture f = {0};
    EngineBackup plan = {0};
    EngineStatus before, held, after;
    uint64_t freed;
    begin(&f);
    Engine *e = store_engine(f.w.store);
    append(&f, 3000);
    check_ok(engine_backup_begin(e, &f.arena, &plan));
    engine_status(e, &before);
    Mailbox *box = world_box(&f.w, "INBOX");
    world_expunge(box, 1, 3000);
    mailbox_close(box);
    check_ok(engine_compact(e, &freed));
    engine_status(e, &held);
    check(held.live_octets >= before.live_octets);
    engine_backup_end(e, &plan, false);
    for (int i = 0; i < 3; i++)
        check_ok(engine_compact(e, &freed));
    engine_status(e, &after);
    check(after.live_octets < before.live_octets);
    done(&f);
}

TEST(pruning_leaves_what_later_moments_need)
{
    Fixture f = {0};
    unsigned gone;
    Generations g = {0};
    begin(&f);
    for (int i = 0; i < 3; i++) {
        append(&f, 20);
        check_ok(take(&f, i == 2));
    }
    check_ok(backup_prune(path(&f, "backup"), wall_seconds() - 1000, &gone));
    check(gone == 0);
    check_ok(backup_prune(path(&f, "backup"), wall_seconds() + 1000, &gone));
    check(gone == 2);
    check_ok(generations_read(path(&f, "backup"), &g));
    check(g.count == 1);
    generations_done(&g);
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
    check_ok(backup_restore(&r));
    check(backup_restore(&r) == ERR_EXISTS);
    done(&f);
}

/* Another store of that name: one that was put back and has gone its own way. */
TEST(another_history_begins_a_new_set)
{
    Fixture f = {0};
    begin(&f);
    append(&f, 20);
    check_ok(take(&f, false));
    append(&f, 20);
    check_ok(take(&f, false));
    check(!f.full);
    Generations g = {0};
    check_ok(generations_read(path(&f, "backup"), &g));
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
    check_ok(backup_restore(&r));
    generations_done(&g);
    append(&f, 5);
    check_ok(take(&f, false)); /* which the restored one does not have */
    account_close(f.w.account), f.w.account = NULL;
    store_close(f.w.store), f.w.store = NULL;
    char live[sizeof f.w.dir];
    memcpy(live, f.w.dir, sizeof live);
    memcpy(f.w.dir, arena_cstr(&f.arena, r.store), r.store.len + 1);
    world_reopen(&f.w);
    append(&f, 7);
    check_ok(take(&f, false));
    check(f.full);
    Slice rm = arena_printf(&f.arena, "rm -r %s", live);
    check(system(arena_cstr(&f.arena, rm)) == 0);
    done(&f);
}
