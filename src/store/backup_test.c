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

static Err decode_sealed(Slice body)
{
    Buf text buf_scoped = {0};
    Manifest m;
    uint8_t sha256[32];
    buf_add(&text, body);
    digest_of(body, sha256);
    buf_add(&text, S("sha256 "));
    hex_encode(&text, slice(sha256, 32));
    buf_char(&text, '\n');
    Err err = manifest_decode(buf_slice(&text), &m);
    if (!err) manifest_done(&m);
    return err;
}

/* Calls each for the text without each of its words, and with another in its place. */
static PARKS void each_word(Slice text, void (*each)(void *arg, Slice changed), void *arg)
{
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        for (end = at; end < text.len && text.at[end] != ' ' && text.at[end] != '\n';)
            end++;
        static const char *const words[] = {"", "x"};
        for (size_t i = 0; i < COUNT(words); i++) {
            Buf changed buf_scoped = {0};
            buf_add(&changed, slice_first(text, at));
            buf_add(&changed, slice_of(words[i]));
            buf_add(&changed, slice_from(text, end + (!i && end < text.len)));
            each(arg, buf_slice(&changed));
        }
    }
}

static void is_none(void *arg, Slice changed)
{
    (void)arg;
    check(decode_sealed(changed) == ERR_CORRUPT);
}

TEST(a_manifest_with_another_word_is_none_though_its_seal_holds)
{
    enum { SEAL = 7 + 64 + 1 };
    Manifest m;
    Buf text buf_scoped = {0}, far buf_scoped = {0};
    sample(&m);
    manifest_encode(&text, &m);
    Slice body = slice_first(buf_slice(&text), text.len - SEAL);
    check_ok(decode_sealed(body));
    each_word(body, is_none, NULL);
    m.segments.items[1].id = m.segments.items[2].id; /* they ascend, and are segments */
    manifest_encode(&far, &m);
    check(decode_sealed(slice_first(buf_slice(&far), far.len - SEAL)) == ERR_CORRUPT);
    m.segments.items[2].id = UINT32_MAX + UINT64_C(1);
    buf_clear(&far);
    manifest_encode(&far, &m);
    check(decode_sealed(slice_first(buf_slice(&far), far.len - SEAL)) == ERR_CORRUPT);
    m.segments.items[2].id = 9;
    m.segments.items[2].size = UINT32_MAX + UINT64_C(1);
    buf_clear(&far);
    manifest_encode(&far, &m);
    check(decode_sealed(slice_first(buf_slice(&far), far.len - SEAL)) == ERR_CORRUPT);
    m.segments.items[0].id = 0;
    buf_clear(&far);
    manifest_encode(&far, &m);
    check(decode_sealed(slice_first(buf_slice(&far), far.len - SEAL)) == ERR_CORRUPT);
    manifest_done(&m);
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

/* ---- what is broken ---- */

static void count_line(void *arg, Slice line)
{
    (void)line;
    ++*(unsigned *)arg;
}

static PARKS uint64_t broken(Fixture *f)
{
    unsigned lines = 0;
    uint64_t files, bad = 0;
    Err err = backup_verify(path(f, "backup"), count_line, &lines, NULL, NULL, &files, &bad);
    check(lines == bad);
    return err ? UINT64_MAX : bad;
}

/* Stops after the bodies, with one segment copied. */
static PARKS void stop_half(Fixture *f)
{
    BackupJob j = {.store = slice_of(f->w.dir), .dir = path(f, "backup")};
    EngineBackup plan = {0};
    Engine *e = store_engine(f->w.store);
    check_ok(job_open(&j));
    BackupJob second = {.store = j.store, .dir = j.dir};
    check(job_open(&second) == ERR_IN_USE);
    job_close(&second);
    check_ok(engine_backup_begin(e, &f->arena, &plan));
    check_ok(job_begin(&j, &plan));
    check_ok(job_index(&j));
    check_ok(job_big(&j));
    check_ok(job_segment(&j, 0));
    engine_backup_end(e, &plan, false);
    job_close(&j);
}

static PARKS void add_big(Fixture *f)
{
    Mailbox *box scoped(mailbox) = world_box(&f->w, "INBOX");
    Buf body buf_scoped = {0};
    buf_printf(&body, "Subject: big\r\n\r\n");
    while (body.len < BLOB_INLINE_MOST + 70000)
        buf_printf(&body, "%0100zu\r\n", body.len);
    world_append_octets(&f->w, box, buf_slice(&body), &(DraftPlace){0});
}

static Slice only_set(Fixture *f)
{
    Generations g = {0};
    Slice set = path(f, "backup/full-000001");
    check_ok(generations_read(path(f, "backup"), &g));
    for (size_t i = 0; i < g.count; i++)
        set = arena_copy(&f->arena, g.items[i].set);
    generations_done(&g);
    return set;
}

static PARKS void go_on_with(void *arg, Slice progress)
{
    Fixture *f = arg;
    Slice set = only_set(f);
    check_ok(path_replace(arena_printf(&f->arena, "%.*s/progress", SP(set)), progress));
    append(f, 1);
    stop_half(f);
}

/* Whatever is in it, what was copied before is believed only where it holds. */
TEST(a_progress_that_says_something_else_does_no_harm)
{
    Fixture f = {0};
    Slice text = {0};
    begin(&f);
    add_big(&f);
    append(&f, 50);
    check_ok(take(&f, false));
    append(&f, 5);
    add_big(&f);
    stop_half(&f);
    Slice progress = path(&f, "backup/full-000001/progress");
    check_ok(path_read(progress, 100000, &f.arena, &text));
    each_word(text, go_on_with, &f);
    check_ok(path_replace(progress, text));
    check_ok(take(&f, false)); /* goes on with it */
    check(!f.full && broken(&f) == 0);
    stop_half(&f);
    check_ok(take(&f, false));
    check(broken(&f) == 0);
    done(&f);
}

static PARKS void damage(Fixture *f, Slice file, bool cut)
{
    File *at scoped(file) = NULL;
    uint64_t size;
    char octet;
    check_ok(file_open(file, FILE_WRITE, &at));
    check_ok(file_size(at, &size));
    if (cut) check_ok(file_truncate(at, size - 1));
    if (cut) return;
    check_ok(file_read_at(at, size / 2, &octet, 1));
    octet = (char)(octet ^ 4);
    Slice part = slice(&octet, 1);
    check_ok(file_write_at(at, size / 2, &part, 1));
    (void)f;
}

/* Each file of a backup in turn: gone, cut, another bit. It is named, and not given out. */
TEST(a_damaged_backup_says_what_is)
{
    static const char *const files[] = {"gen-000001/index", "log/00000001.seg", "keeper",
                                        "gen-000001/manifest"};
    Fixture f = {0};
    begin(&f);
    add_big(&f);
    append(&f, 50);
    for (unsigned i = 0; i < 3 * COUNT(files); i++) {
        Slice all = arena_printf(&f.arena, "rm -rf %.*s", SP(path(&f, "backup")));
        check(system(arena_cstr(&f.arena, all)) == 0);
        check_ok(take(&f, true));
        check(broken(&f) == 0);
        Slice file = path(&f, "backup/full-000001");
        if (i / 3 == 2) { /* the one over 1 MiB */
            Slice *names;
            size_t count;
            check_ok(
                path_list(arena_printf(&f.arena, "%.*s/big", SP(file)), &f.arena, &names, &count));
            file = arena_printf(&f.arena, "%.*s/big/%.*s", SP(file), SP(names[0]));
        } else {
            file = arena_printf(&f.arena, "%.*s/%s", SP(file), files[i / 3]);
        }
        if (i % 3 == 0) check_ok(path_unlink(file));
        if (i % 3) damage(&f, file, i % 3 == 1);
        check(broken(&f) > 0);
        Restoring r = {.dir = path(&f, "backup"),
                       .store = arena_printf(&f.arena, "%s/store-%u", f.dir, i)};
        check(backup_restore(&r) != OK);
        if (i / 3 == 3) continue; /* without a manifest that holds there is no backup */
        append(&f, 1);
        check_ok(take(&f, true));
    }
    done(&f);
}

static bool never(void *arg, uint64_t octets)
{
    (void)arg;
    (void)octets;
    return false;
}

TEST(moments_that_a_backup_does_not_have_are_refused)
{
    Fixture f = {0};
    unsigned gone;
    uint64_t files, bad;
    begin(&f);
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
    check(backup_restore(&r) == ERR_NOT_FOUND);
    check(backup_prune(path(&f, "backup"), 0, &gone) == ERR_NOT_FOUND);
    add_big(&f);
    append(&f, 20);
    check_ok(take(&f, false));
    r.at = wall_seconds() - 100000;
    check(backup_restore(&r) == ERR_NOT_FOUND);
    r.at = wall_seconds() + 100000;
    check(backup_restore(&r) == ERR_NOT_FOUND);
    r.at = 0;
    r.told = never;
    check(backup_restore(&r) == ERR_CANCELLED);
    check(backup_verify(r.dir, count_line, &gone, never, NULL, &files, &bad) == ERR_CANCELLED);
    done(&f);
}

/* Restored only to be looked at: most is referred to. */
TEST(a_backup_is_looked_at)
{
    Fixture f = {0};
    Store *store = NULL;
    uint32_t acct;
    begin(&f);
    add_big(&f);
    append(&f, 2000);
    check_ok(take(&f, false));
    append(&f, 5);
    check_ok(take(&f, false));
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "look"), .look = true};
    check_ok(backup_restore(&r));
    StoreOptions o = {.engine = {.look_only = true}};
    check_ok(store_open(r.store, &o, &store));
    check_ok(store_find_account(store, account_login(f.w.account), &acct));
    store_close(store);
    check(broken(&f) == 0);
    done(&f);
}

/* ---- the window after a backup ---- */

TEST(what_the_last_backup_said_may_be_nonsense)
{
    static const char *const texts[] = {"", "x", "1", "1 x", "1 2", "1 2 x\n", "1 2 3"};
    Fixture f = {0};
    StoreOptions o = {.engine = {.backup_window = 100000}};
    uint64_t freed;
    snprintf(f.dir, sizeof f.dir, "/tmp/posthouse-backup-XXXXXX");
    check(mkdtemp(f.dir));
    world_open(&f.w, &o);
    add_big(&f);
    append(&f, 2000);
    check_ok(take(&f, false));
    Mailbox *box = world_box(&f.w, "INBOX");
    world_expunge(box, 1, 1500);
    mailbox_close(box);
    append(&f, 10);
    for (int i = 0; i < 3; i++) /* all that the backup does not have is kept */
        check_ok(engine_compact(store_engine(f.w.store), &freed));
    for (size_t i = 0; i < COUNT(texts); i++) {
        Slice at = arena_printf(&f.arena, "%s/log/backed-up", f.w.dir);
        account_close(f.w.account), f.w.account = NULL;
        store_close(f.w.store), f.w.store = NULL;
        check_ok(path_replace(at, slice_of(texts[i])));
        world_reopen(&f.w);
    }
    check_ok(take(&f, false));
    check(broken(&f) == 0);
    done(&f);
}

static void note_one(void *arg)
{
    ++*(unsigned *)arg;
}

TEST(a_backup_that_was_not_begun_is_not_ended)
{
    Fixture f = {0};
    unsigned noted = 0;
    EngineBackup first = {.noted = note_one, .noted_arg = &noted}, other = {0};
    begin(&f);
    Engine *e = store_engine(f.w.store);
    check_ok(engine_backup_begin(e, &f.arena, &first));
    check(noted == 1);
    engine_backup_end(e, &other, true);
    engine_backup_passed(e, &first, first.segments[0].number);
    engine_backup_end(e, &first, false);
    done(&f);
}

/* Names that are nobody's in the directories of a backup. */
TEST(strange_files_in_a_backup_are_left_alone)
{
    Fixture f = {0};
    unsigned gone;
    begin(&f);
    add_big(&f);
    append(&f, 20);
    check_ok(take(&f, false));
    Slice make = arena_printf(&f.arena,
                              "cd %s/backup && mkdir full-x full-9999999 full-000001/gen-x && "
                              "touch full-000001/log/x full-000001/gen-000009 other",
                              f.dir);
    check(system(arena_cstr(&f.arena, make)) == 0);
    append(&f, 20);
    check_ok(take(&f, true));
    append(&f, 20);
    check_ok(take(&f, false));
    check(broken(&f) == 0);
    Restoring r = {.dir = arena_printf(&f.arena, "%s/backup/", f.dir),
                   .store = arena_printf(&f.arena, "%s/new/deep/store/", f.dir)};
    check_ok(backup_restore(&r));
    check_ok(backup_prune(path(&f, "backup"), wall_seconds() + 10, &gone));
    check(broken(&f) == 0);
    done(&f);
}

TEST(a_store_without_a_format_is_not_backed_up)
{
    static const char *const texts[] = {"", "posthouse store 1", "posthouse store 1\nxy\n",
                                        "posthouse store 1\naabb\n"};
    Fixture f = {0};
    Slice text;
    begin(&f);
    Slice at = arena_printf(&f.arena, "%s/format", f.w.dir);
    check_ok(path_read(at, 1000, &f.arena, &text));
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_ok(path_replace(at, slice_of(texts[i])));
        check(take(&f, false) == ERR_CORRUPT);
    }
    check_ok(path_replace(at, text));
    check_ok(take(&f, false));
    done(&f);
}
