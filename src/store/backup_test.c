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
    BackupTold *told; /* of the next backups */
    void *told_arg;
    bool with_keeper;
} Fixture;

static Slice path(Fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/%s", f->dir, name);
}

static PARKS void begin_with(Fixture *f, const StoreOptions *options)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/posthouse-backup-XXXXXX");
    check(mkdtemp(f->dir));
    world_open(&f->w, options);
}

static PARKS void begin(Fixture *f)
{
    begin_with(f, NULL);
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
    BackupJob j = {.store = slice_of(f->w.dir),
                   .dir = path(f, "backup"),
                   .full = full,
                   .told = f->told,
                   .told_arg = f->told_arg};
    EngineBackup plan = {0};
    Engine *e = store_engine(f->w.store);
    if (f->with_keeper) {
        j.keeper = path(f, "keeper-state");
        check_ok(path_replace(j.keeper, S("what the keeper knows")));
    }
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
    begin_with(&f, &o);
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

/* ---- files ---- */

/* What is zero from end to end of a unit is left out; it reads the same. */
TEST(holes_stay_holes_in_a_copy)
{
    enum { UNIT = 64 * 1024, ALL = 40 * UNIT + 100 };
    char dir[] = "/tmp/posthouse-copy-XXXXXX";
    Arena arena arena_scoped = {0};
    Buf octets buf_scoped = {0};
    PathInfo info;
    Slice copied = {0};
    uint8_t sha256[32];
    check(mkdtemp(dir));
    Slice from = arena_printf(&arena, "%s/from", dir), to = arena_printf(&arena, "%s/to", dir);
    memset(buf_reserve(&octets, ALL), 0, ALL);
    octets.len = ALL;
    octets.at[0] = 'a';
    octets.at[UNIT] = 'b';
    octets.at[6 * UNIT - 1] = 'c'; /* the last octet of a unit of zeros */
    octets.at[30 * UNIT] = 'd';
    check_ok(path_replace(from, buf_slice(&octets)));
    BackupCopy c = {.from = from, .to = to, .end = ALL};
    check_ok(backup_copy_file(&c));
    check_ok(path_read(to, ALL, &arena, &copied));
    check(slice_eq(copied, buf_slice(&octets)));
    check_ok(path_info(to, &info));
    check(info.blocks_bytes <= 8 * UNIT);
    digest_of(copied, sha256);
    check(!memcmp(sha256, c.sha256, sizeof sha256));
    c = (BackupCopy){.from = from, .to = to, .begin = UNIT, .end = ALL, .known = sha256};
    check_err(backup_copy_file(&c), ERR_CORRUPT); /* the sum of all, not of the first unit */
    c.begin = ALL + 1;
    check_err(backup_copy_file(&c), ERR_CORRUPT); /* there is not so much of it */
    Slice rm = arena_printf(&arena, "rm -r %s", dir);
    check(system(arena_cstr(&arena, rm)) == 0);
}

typedef struct {
    unsigned left;
} Patience;

static bool lose_patience(void *arg, uint64_t octets)
{
    Patience *p = arg;
    check(octets > 0);
    return p->left-- > 0;
}

/* Wherever it is stopped; the next time it is done. */
TEST(whatever_takes_long_can_be_stopped)
{
    Fixture f = {.with_keeper = true};
    Patience p;
    uint64_t files, bad;
    unsigned lines = 0, taken, verified, restored;
    Err err = ERR_CANCELLED;
    begin(&f);
    add_big(&f);
    f.told = lose_patience;
    f.told_arg = &p;
    for (taken = 0; err; taken++) {
        p.left = taken;
        err = take(&f, false);
        check(!err || err == ERR_CANCELLED);
    }
    err = ERR_CANCELLED;
    for (verified = 0; err; verified++) {
        p.left = verified;
        err =
            backup_verify(path(&f, "backup"), count_line, &lines, lose_patience, &p, &files, &bad);
        check(!err || err == ERR_CANCELLED);
        check_u64(bad, 0);
    }
    err = ERR_CANCELLED;
    for (restored = 0; err; restored++) {
        p.left = restored;
        Restoring r = {.dir = path(&f, "backup"),
                       .store = arena_printf(&f.arena, "%s/store-%u", f.dir, restored),
                       .told = lose_patience,
                       .told_arg = &p};
        err = backup_restore(&r);
        check(!err || err == ERR_CANCELLED);
    }
    check(taken > 4 && verified > 4 && restored > 4); /* index, keeper, segment, body */
    done(&f);
}

/* ---- what the store has meanwhile ---- */

static Slice set_file(Fixture *f, const char *name)
{
    return arena_printf(&f->arena, "%s/backup/full-000001/%s", f->dir, name);
}

/* A body that is still being written is copied as far as it goes, and the rest the next time. */
TEST(a_body_that_grows_is_copied_again)
{
    Fixture f = {0};
    Draft *d = NULL;
    Buf piece buf_scoped = {0};
    uint32_t uid;
    begin(&f);
    Mailbox *box = world_box(&f.w, "INBOX");
    buf_add(&piece, S("Subject: grows\r\n\r\n"));
    while (piece.len < BLOB_INLINE_MOST + 100000)
        buf_printf(&piece, "%0100zu\r\n", piece.len);
    check_ok(draft_begin(f.w.store, 0, &d));
    check_ok(draft_write(d, buf_slice(&piece)));
    check_ok(take(&f, false));
    check_ok(draft_write(d, slice_from(buf_slice(&piece), 20)));
    check_ok(draft_commit(d, box, &(DraftPlace){0}, &uid));
    draft_free(d);
    mailbox_close(box);
    check_ok(take(&f, false));
    check(!f.full && broken(&f) == 0);
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
    Store *back = NULL;
    uint64_t checked, bad;
    unsigned lines = 0;
    check_ok(backup_restore(&r));
    check_ok(store_open(r.store, &f.w.options, &back));
    check_ok(engine_scrub(store_engine(back), count_line, &lines, &checked, &bad));
    check_u64(bad, 0);
    store_close(back);
    done(&f);
}

typedef struct {
    Fixture *f;
    Slice bodies;
    bool over;
} Vanishing;

/* As drafts that are given up, while a backup copies others. */
static bool unlink_bodies(void *arg, uint64_t octets)
{
    Vanishing *v = arg;
    Slice rm = arena_printf(&v->f->arena, "rm -f %.*s", SP(v->bodies));
    (void)octets;
    if (!v->over) check(system(arena_cstr(&v->f->arena, rm)) == 0);
    v->over = true;
    return true;
}

TEST(a_draft_that_is_given_up_is_not_missed)
{
    Fixture f = {0};
    Vanishing v = {.f = &f};
    begin(&f);
    append(&f, 3);
    Slice make = arena_printf(&f.arena,
                              "cd %s/big && mkdir -p 00 01 && echo x >00/not-a-body && echo one "
                              ">00/1111111111111100 && echo two >00/2222222222222200 && echo "
                              ">01/1111111111111101",
                              f.w.dir);
    check(system(arena_cstr(&f.arena, make)) == 0);
    v.bodies = arena_printf(&f.arena, "%s/big/0?/[12]*", f.w.dir);
    f.told = unlink_bodies;
    f.told_arg = &v;
    check_ok(take(&f, false));
    check(v.over && broken(&f) == 0);
    done(&f);
}

/* Somebody has tidied up the backup and taken the empty directory: it is an error, the body is not
 * taken for one that is not there. */
TEST(a_backup_without_a_place_for_bodies_is_not_finished)
{
    Fixture f = {0};
    begin(&f);
    append(&f, 3);
    check_ok(take(&f, false));
    Slice rm = arena_printf(&f.arena, "rmdir %.*s", SP(set_file(&f, "big")));
    check(system(arena_cstr(&f.arena, rm)) == 0);
    add_big(&f);
    check_err(take(&f, false), ERR_IO);
    Slice mkdir = arena_printf(&f.arena, "mkdir %.*s", SP(set_file(&f, "big")));
    check(system(arena_cstr(&f.arena, mkdir)) == 0);
    check_ok(take(&f, false));
    check(broken(&f) == 0 && !f.full);
    done(&f);
}

/* Two stores into one directory: neither builds upon what is of the other, finished or not. */
TEST(another_store_begins_a_new_set)
{
    Fixture f = {0}, other = {0};
    begin(&f);
    begin(&other);
    append(&f, 20);
    append(&other, 20);
    check_ok(take(&f, false));
    char own[sizeof f.dir];
    memcpy(own, other.dir, sizeof own);
    memcpy(other.dir, f.dir, sizeof other.dir);
    check_ok(take(&other, false));
    check(other.full && broken(&f) == 0);
    append(&other, 5);
    stop_half(&other);
    check_ok(take(&f, false)); /* there is progress of the other one */
    check(f.full && broken(&f) == 0);
    memcpy(other.dir, own, sizeof own);
    done(&other);
    done(&f);
}

/* ---- manifests that hold, and say what is not so ---- */

static PARKS void remake(Fixture *f, const char *name, void (*change)(Fixture *f, Manifest *m))
{
    Manifest m;
    Slice text = {0};
    Buf again buf_scoped = {0};
    check_ok(path_read(set_file(f, name), 1 << 20, &f->arena, &text));
    check_ok(manifest_decode(text, &m));
    change(f, &m);
    manifest_encode(&again, &m);
    check_ok(path_replace(set_file(f, name), buf_slice(&again)));
    manifest_done(&m);
}

static void no_segments(Fixture *f, Manifest *m)
{
    (void)f;
    m->segments.count = 0;
}

static void a_gap(Fixture *f, Manifest *m)
{
    const BackupFile *last = &m->segments.items[m->segments.count - 1];
    BackupFile far = *last;
    (void)f;
    far.id += 2;
    *backup_file_add(&m->segments) = far;
}

static void a_longer_index(Fixture *f, Manifest *m)
{
    (void)f;
    m->index.size += 5;
}

static void no_keeper(Fixture *f, Manifest *m)
{
    (void)f;
    m->keeper.size++;
}

TEST(what_a_manifest_says_must_be_there)
{
    static const struct {
        void (*change)(Fixture *f, Manifest *m);
        Err err;
    } rows[] = {
        {no_segments,    ERR_CORRUPT  },
        {a_gap,          ERR_NOT_FOUND},
        {a_longer_index, ERR_IO       },
        {no_keeper,      ERR_IO       },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        Fixture f = {.with_keeper = true};
        begin(&f);
        append(&f, 3);
        check_ok(take(&f, false));
        remake(&f, "gen-000001/manifest", rows[i].change);
        Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
        check_err(backup_restore(&r), rows[i].err);
        done(&f);
    }
}

static void long_ago(Fixture *f, Manifest *m)
{
    (void)f;
    m->moment -= 1000;
}

/* Its segments are what they are now. */
static void as_it_is(Fixture *f, Manifest *m)
{
    for (size_t i = 0; i < m->segments.count; i++) {
        BackupFile *s = &m->segments.items[i];
        char name[40];
        snprintf(name, sizeof name, "log/%08llu.seg", (unsigned long long)s->id);
        check_ok(backup_hash_file(set_file(f, name), s->size, s->sha256, NULL, NULL));
    }
}

static const StoreOptions short_segments = {.engine = {.segment_bytes = 128 << 10}};

/* 400 messages, a backup long ago, 400 more, another backup. */
static PARKS void two_backups(Fixture *f)
{
    begin_with(f, &short_segments);
    append(f, 400);
    check_ok(take(f, false));
    append(f, 400);
    check_ok(take(f, false));
    check(!f->full);
    remake(f, "gen-000001/manifest", long_ago);
}

static PARKS uint32_t messages_in(Fixture *f, Slice dir, bool look)
{
    Store *store = NULL;
    Account *a scoped(account) = NULL;
    StoreOptions o = short_segments;
    MailboxEntry inbox = {.name = S("INBOX")};
    o.engine.look_only = look;
    o.engine.map_bytes = f->w.options.engine.map_bytes;
    check_ok(store_open(dir, &o, &store));
    check_ok(account_open(store, f->w.acct, &a));
    check(account_mailbox(a, S("INBOX"), &inbox));
    account_close(a);
    a = NULL;
    store_close(store);
    return inbox.status.exists;
}

TEST(a_moment_between_two_backups)
{
    Fixture f = {.with_keeper = true};
    two_backups(&f);
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store"), .look = true};
    r.at = wall_seconds() - 500;
    check_ok(backup_restore(&r));
    check_u64(messages_in(&f, r.store, true), 400);
    r.store = path(&f, "whole");
    r.look = false;
    check_ok(backup_restore(&r));
    check_u64(messages_in(&f, r.store, false), 400);
    r.store = path(&f, "newest");
    r.at = 0;
    check_ok(backup_restore(&r));
    check_u64(messages_in(&f, r.store, false), 800);
    check_ok(path_unlink(set_file(&f, "log/00000001.seg")));
    r = (Restoring){.dir = r.dir, .store = path(&f, "gone"), .look = true};
    check_err(backup_restore(&r), ERR_IO);
    done(&f);
}

/* Sums hold, records do not: the moment is looked for in them. */
TEST(a_moment_in_a_damaged_log_is_not_found)
{
    Fixture f = {0};
    Generations g = {0};
    two_backups(&f);
    check_ok(generations_read(path(&f, "backup"), &g));
    uint64_t end = g.items[0].m.end;
    generations_done(&g);
    char name[40];
    snprintf(name, sizeof name, "log/%08u.seg", (unsigned)(end >> 32));
    File *file = NULL;
    Slice junk = S("this is no record of anything");
    check_ok(file_open(set_file(&f, name), FILE_WRITE, &file));
    check_ok(file_write_at(file, (uint32_t)end, &junk, 1));
    file_close(file);
    remake(&f, "gen-000002/manifest", as_it_is);
    check(broken(&f) == 0);
    Restoring r = {.dir = path(&f, "backup"), .store = path(&f, "store")};
    r.at = wall_seconds() - 500;
    check_err(backup_restore(&r), ERR_CORRUPT);
    done(&f);
}

static void longer_segments(Fixture *f, Manifest *m)
{
    (void)f;
    m->segments.items[m->segments.count - 1].size += UINT64_C(1) << 31;
}

TEST(a_log_that_has_become_shorter_is_not_added_to)
{
    Fixture f = {0};
    begin(&f);
    append(&f, 3);
    check_ok(take(&f, false));
    append(&f, 1);
    remake(&f, "gen-000001/manifest", longer_segments);
    check_err(take(&f, false), ERR_CORRUPT);
    check_ok(take(&f, true));
    done(&f);
}

TEST(what_is_to_be_copied_is_known_before)
{
    Fixture f = {0};
    begin_with(&f, &short_segments);
    append(&f, 400);
    for (int i = 0; i < 2; i++) {
        BackupJob j = {.store = slice_of(f.w.dir), .dir = path(&f, "backup")};
        EngineBackup plan = {0};
        uint64_t log = 0;
        check_ok(job_open(&j));
        check_ok(engine_backup_begin(store_engine(f.w.store), &f.arena, &plan));
        check_ok(job_begin(&j, &plan));
        for (size_t k = 0; k < plan.segment_count; k++)
            log += plan.segments[k].end;
        check(plan.segment_count > 1 && (i ? job_octets(&j) < log : job_octets(&j) == log));
        engine_backup_end(store_engine(f.w.store), &plan, false);
        job_close(&j);
        if (!i) check_ok(take(&f, false));
        append(&f, 5);
    }
    done(&f);
}

/* Heads of a progress that is not this store's, or not of this set: what it says is not believed.
 */
TEST(a_progress_of_something_else_is_not_gone_on_with)
{
    static const char *const heads[] = {
        "",         "\n",         "aabb 1 2 3\n",  "%s\n",          "%s 1\n",
        "%s 1 2\n", "%s 1 0 5\n", "%s 1 4104 5\n", "%s 2 4096 5\n", "%s 1 99999999999999 5\n",
    };
    Fixture f = {0};
    Generations g = {0};
    Buf uuid buf_scoped = {0};
    begin(&f);
    append(&f, 5);
    check_ok(take(&f, false));
    check_ok(generations_read(path(&f, "backup"), &g));
    hex_encode(&uuid, slice(g.items[0].m.uuid, sizeof g.items[0].m.uuid));
    generations_done(&g);
    for (size_t i = 0; i < COUNT(heads); i++) {
        Slice format = slice_of(heads[i]), rest = format;
        Buf text buf_scoped = {0};
        bool names = slice_starts(format, S("%s"));
        if (names) buf_add(&text, buf_slice(&uuid));
        buf_add(&text, slice_from(rest, names ? 2 : 0));
        /* a segment that would not be copied, if this were believed */
        buf_add(&text, S("segment 1 1000000 "));
        for (int k = 0; k < 64; k++)
            buf_char(&text, '0');
        buf_char(&text, '\n');
        check_ok(path_replace(set_file(&f, "progress"), buf_slice(&text)));
        append(&f, 1);
        stop_half(&f);
        check(broken(&f) == 0);
    }
    check_ok(take(&f, false));
    check(!f.full && broken(&f) == 0);
    done(&f);
}

/* A new set of which nothing was finished: the next backup goes on with it. */
TEST(an_unfinished_full_backup_is_gone_on_with)
{
    Fixture f = {0};
    begin(&f);
    append(&f, 2000);
    check_ok(take(&f, false));
    BackupJob j = {.store = slice_of(f.w.dir), .dir = path(&f, "backup"), .full = true};
    EngineBackup plan = {0};
    Engine *e = store_engine(f.w.store);
    check_ok(job_open(&j));
    check_ok(engine_backup_begin(e, &f.arena, &plan));
    check_ok(job_begin(&j, &plan));
    check_ok(job_index(&j));
    check_ok(job_big(&j));
    check_ok(job_segment(&j, 0));
    uint64_t copied = j.copied;
    engine_backup_end(e, &plan, false);
    job_close(&j);
    append(&f, 1);
    check_ok(take(&f, false));
    check(f.full && f.copied < copied && broken(&f) == 0); /* the segment was there */
    check_u64(only_set(&f).len, path(&f, "backup/full-000002").len);
    check(slice_ends(only_set(&f), S("full-000002")));
    done(&f);
}

/* Bodies that go between two backups: each backup has its own, pruning takes what nobody needs. */
TEST(bodies_that_go_between_two_backups)
{
    Fixture f = {0};
    uint64_t freed;
    unsigned dropped;
    Slice *names;
    size_t count;
    begin(&f);
    append(&f, 3);
    for (int i = 0; i < 3; i++)
        add_big(&f);
    check_ok(take(&f, false));
    Mailbox *box = world_box(&f.w, "INBOX");
    world_expunge(box, 4, 6);
    mailbox_close(box);
    add_big(&f);
    for (int i = 0; i < 2; i++)
        check_ok(engine_compact(store_engine(f.w.store), &freed));
    check_ok(take(&f, false));
    check_ok(path_list(set_file(&f, "big"), &f.arena, &names, &count));
    check_u64(count, 4);
    check(!f.full && broken(&f) == 0);
    check_ok(backup_prune(path(&f, "backup"), wall_seconds() + 10, &dropped));
    check_u64(dropped, 1);
    check_ok(path_list(set_file(&f, "big"), &f.arena, &names, &count));
    check_u64(count, 1);
    check(broken(&f) == 0);
    done(&f);
}
