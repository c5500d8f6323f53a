#include "base/test.h"
#include "run/file.h"
#include "run/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SECTOR = 512, DISK = 64 << 20 };

static void disk_done(SimDisk **d)
{
    sim_disk_free(*d);
}
#define DISK_SCOPED SimDisk *disk __attribute__((cleanup(disk_done))) = sim_disk_new(DISK)

static void on_disk(SimDisk *d, uint64_t seed, void (*fn)(void *), void *arg)
{
    check_ok(sim_run(&(SimConfig){.seed = seed, .disk = d, .disk_latency_us = 100}, fn, arg));
}

/* ---- a file against a model of it: what is there now, and what was when it was last synced ----
 */

enum { MOST = 20000 };
typedef struct {
    char now[MOST], safe[MOST];
    uint64_t size, safe_size;
    int steps, old_sectors, new_sectors;
} Model;

static void model_zero(Model *m, uint64_t from, uint64_t to)
{
    if (from < to) memset(m->now + from, 0, (size_t)(to - from));
}

static void one_write(File *f, Model *m, uint64_t at, uint64_t len)
{
    static char bytes[3000];
    memset(bytes, (char)sim_random(), (size_t)len);
    Slice parts[2] = {slice(bytes, len / 3), slice(bytes + len / 3, len - len / 3)};
    check_ok(file_write_at(f, at, parts, 2));
    memcpy(m->now + at, bytes, (size_t)len);
    m->size = MAX(m->size, at + len);
}

static void one_step(File *f, Model *m)
{
    uint64_t at = sim_random() % (MOST - 3000), len = sim_random() % 3000 + 1;
    switch (sim_random() % 8) {
    case 0:
        check_ok(file_punch(f, at, len * 3));
        model_zero(m, at, MIN(at + len * 3, m->size));
        return;
    case 1:
        check_ok(file_truncate(f, at));
        model_zero(m, at, m->size);
        m->size = at;
        return;
    case 2:
        check_ok(file_allocate(f, at, len));
        m->size = MAX(m->size, at + len);
        return;
    case 3:
        check_ok(file_sync(f));
        memcpy(m->safe, m->now, MOST);
        m->safe_size = m->size;
        return;
    default:
        one_write(f, m, at, len);
    }
}

static void compare(File *f, const Model *m)
{
    static char got[MOST];
    uint64_t size;
    check_ok(file_size(f, &size));
    check_u64(size, m->size);
    if (size != m->size) return;
    check_ok(file_read_at(f, 0, got, (size_t)size));
    check(!memcmp(got, m->now, (size_t)size));
}

PARKS static void random_steps(void *arg)
{
    Model *m = arg;
    File *f scoped(file) = NULL;
    check_ok(file_open(S("model"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(path_sync_dir(S(".")));
    for (int i = 0; i < m->steps; i++) {
        one_step(f, m);
        compare(f, m);
    }
}

/* Every sector is the old or the new one; what lies beyond the size on that side reads as zeros. */
static void compare_after_cut(void *arg)
{
    static char got[MOST];
    Model *m = arg;
    File *f scoped(file) = NULL;
    check_ok(file_open(S("model"), FILE_READ, &f));
    uint64_t size;
    check_ok(file_size(f, &size));
    check(size >= MIN(m->size, m->safe_size) && size <= MAX(m->size, m->safe_size));
    check_ok(file_read_at(f, 0, got, (size_t)size));
    for (uint64_t at = 0; at < size; at += SECTOR) {
        size_t n = (size_t)MIN((uint64_t)SECTOR, size - at);
        bool is_new = !memcmp(got + at, m->now + at, n),
             is_old = !memcmp(got + at, m->safe + at, n);
        if (!is_new && !is_old)
            test_failed(__FILE__, __LINE__, "sector %llu is neither",
                        (unsigned long long)at / SECTOR);
        m->new_sectors += !is_old;
        m->old_sectors += !is_new;
    }
}

TEST(sim_disk_holds_what_is_written_and_loses_only_what_is_not_synced)
{
    int torn = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        DISK_SCOPED;
        Model *m = mem_zero(sizeof *m);
        m->steps = (int)(seed % 40);
        on_disk(disk, seed, random_steps, m);
        sim_disk_kill(disk); /* loses nothing */
        sim_disk_power_cut(disk, seed);
        on_disk(disk, seed, compare_after_cut, m);
        torn += m->new_sectors && m->old_sectors;
        free(m);
    }
    check(torn > 100);
}

/* ---- names ---- */

static void write_names(void *arg)
{
    (void)arg;
    check_ok(path_mkdir(S("dir")));
    check_ok(path_sync_dir(S(".")));
    check_ok(path_replace(S("dir/synced"), S("old")));
    check_ok(path_replace(S("./dir//synced"), S("new")));
    File *f scoped(file) = NULL;
    check_ok(file_open(S("dir/loose"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_sync(f)); /* the bytes, not the name */
    check_ok(path_rename(S("dir/synced"), S("dir/renamed")));
    PathInfo info;
    check_ok(path_info(S("dir/renamed"), &info));
    check(info.size == 3 && !info.is_dir);
    check_err(path_info(S("dir/synced"), &info), ERR_NOT_FOUND);
    check_err(path_unlink(S("nowhere/x")), ERR_NOT_FOUND);
    check_err(file_open(S("nowhere/x"), FILE_WRITE | FILE_CREATE, &f), ERR_NOT_FOUND);
}

typedef struct {
    int loose, renamed;
} Seen;

static void look_at_names(void *arg)
{
    Seen *s = arg;
    Arena a arena_scoped = {0};
    Slice text = {0};
    PathInfo info;
    bool renamed = path_info(S("dir/renamed"), &info) == OK;
    bool synced = path_info(S("dir/synced"), &info) == OK;
    check(renamed != synced); /* a rename happens or does not */
    check_ok(path_read(renamed ? S("dir/renamed") : S("dir/synced"), 10, &a, &text));
    check_slice(text, S("new"));
    s->renamed += renamed;
    s->loose += path_info(S("dir/loose"), &info) == OK;
}

TEST(sim_disk_names_need_their_directory_synced)
{
    Seen seen = {0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        DISK_SCOPED;
        on_disk(disk, seed, write_names, NULL);
        sim_disk_power_cut(disk, seed);
        on_disk(disk, seed, look_at_names, &seen);
    }
    check(seen.loose > 5 && seen.loose < 55);
    check(seen.renamed > 5 && seen.renamed < 55);
}

/* ---- a log, cut at every operation: what was acknowledged is there ---- */

enum { RECORD = 700, RECORDS = 12 };
typedef struct {
    uint32_t acknowledged, found;
} Ledger;

static void append_records(void *arg)
{
    Ledger *ledger = arg;
    File *f scoped(file) = NULL;
    if (file_open(S("log"), FILE_WRITE | FILE_CREATE, &f)) return;
    if (path_sync_dir(S("."))) return;
    for (uint32_t i = 0; i < RECORDS; i++) {
        char record[RECORD];
        memset(record, (int)('a' + i), sizeof record);
        Slice part = slice(record, sizeof record);
        if (file_write_at(f, (uint64_t)i * RECORD, &part, 1) || file_sync(f)) return;
        ledger->acknowledged = i + 1;
    }
}

PARKS static void append_aside(void *arg)
{
    aside(append_records, arg);
}

static void count_records(void *arg)
{
    Ledger *ledger = arg;
    File *f scoped(file) = NULL;
    ledger->found = 0;
    if (file_open(S("log"), FILE_READ, &f)) return;
    for (;; ledger->found++) {
        char record[RECORD];
        size_t got;
        check_ok(file_read_some(f, (uint64_t)ledger->found * RECORD, record, RECORD, &got));
        if (got < RECORD) return;
        for (size_t i = 0; i < RECORD; i++)
            if (record[i] != (char)('a' + ledger->found)) return;
    }
}

static Ledger *shared_ledger(void)
{
    void *at =
        mmap(NULL, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    return at;
}

TEST(sim_disk_cut_at_every_operation)
{
    Ledger *ledger = shared_ledger();
    int code = SIM_CRASHED, more = 0, crashes = 0;
    for (uint64_t at = 1; code == SIM_CRASHED; at++) {
        DISK_SCOPED;
        *ledger = (Ledger){0};
        sim_disk_plan(disk)->crash_at = at;
        SimConfig c = {.seed = at, .disk = disk, .disk_latency_us = 100};
        check_ok(sim_run_child(&c, append_aside, ledger, &code));
        crashes += code == SIM_CRASHED;
        sim_disk_plan(disk)->crash_at = 0;
        sim_disk_power_cut(disk, at);
        on_disk(disk, at, count_records, ledger);
        check(ledger->found >= ledger->acknowledged && ledger->found <= ledger->acknowledged + 1);
        more += ledger->found > ledger->acknowledged;
    }
    check(code == 0);
    check_u64(crashes, 2 + RECORDS * 2); /* create, sync of the name, and two for each record */
    check(more > 0); /* sometimes what was not acknowledged is there all the same */
    munmap(ledger, sizeof *ledger);
}

TEST(sim_disk_fails_at_every_operation)
{
    for (uint64_t at = 1; at <= 2 + RECORDS * 2; at++) {
        DISK_SCOPED;
        Ledger ledger = {0};
        sim_disk_plan(disk)->fail_at = at;
        sim_disk_plan(disk)->failure = ERR_DISK_FULL;
        on_disk(disk, at, append_aside, &ledger);
        check(ledger.acknowledged < RECORDS);
        sim_disk_plan(disk)->fail_at = 0;
        sim_disk_power_cut(disk, at);
        on_disk(disk, at, count_records, &ledger);
        check(ledger.found >= ledger.acknowledged);
    }
}

/* What was dropped by a failed sync stays dropped, though the next sync says all is well. */
static void sync_twice(void *arg)
{
    (void)arg;
    File *f scoped(file) = NULL;
    check_ok(file_open(S("f"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(path_sync_dir(S(".")));
    Slice part = S("dropped");
    check_ok(file_write_at(f, 0, &part, 1));
    check_err(file_sync(f), ERR_IO);
    part = S("kept");
    check_ok(file_write_at(f, 4096, &part, 1));
    check_ok(file_sync(f));
}

static void read_both(void *arg)
{
    File *f scoped(file) = NULL;
    check_ok(file_open(S("f"), FILE_READ, &f));
    char text[8];
    check_ok(file_read_at(f, 4096, text, 4));
    check_slice(slice(text, 4), S("kept"));
    check_ok(file_read_at(f, 0, text, 7));
    if (slice_eq(slice(text, 7), S("dropped"))) ++*(int *)arg;
}

TEST(sim_disk_a_failed_sync_is_not_made_good)
{
    int survived = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        DISK_SCOPED;
        sim_disk_plan(disk)->fail_at = 4;
        on_disk(disk, seed, sync_twice, NULL);
        sim_disk_power_cut(disk, seed);
        on_disk(disk, seed, read_both, &survived);
    }
    check(survived > 2 && survived < 28);
}

/* ---- room ---- */

static void fill(void *arg)
{
    (void)arg;
    uint64_t left;
    check_ok(path_free_space(S("."), &left));
    check_u64(left, 10 * 4096);
    File *f scoped(file) = NULL, *g scoped(file) = NULL;
    check_ok(file_open(S("f"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_open(S("g"), FILE_WRITE | FILE_CREATE, &g));
    check_ok(file_allocate(f, 0, 6 * 4096));
    static char bytes[6 * 4096];
    Slice part = slice(bytes, sizeof bytes);
    check_ok(file_write_at(f, 0, &part, 1)); /* its room is there */
    check_err(file_write_at(g, 0, &part, 1), ERR_DISK_FULL);
    check_err(file_allocate(g, 0, sizeof bytes), ERR_DISK_FULL);
    check_ok(file_punch(f, 0, 2 * 4096));
    check_ok(file_write_at(g, 0, &part, 1));
    check_ok(path_unlink(S("f"))); /* still open */
    check_ok(path_free_space(S("."), &left));
    check_u64(left, 0);
    file_close(f);
    f = NULL;
    check_ok(path_free_space(S("."), &left));
    check_u64(left, 4 * 4096);
}

TEST(sim_disk_gets_full)
{
    DISK_SCOPED;
    sim_disk_plan(disk)->capacity_bytes = 10 * 4096;
    on_disk(disk, 1, fill, NULL);
}

/* ---- locks, lists, damage ---- */

static void lock_twice(void *arg)
{
    (void)arg;
    File *f scoped(file) = NULL, *g scoped(file) = NULL;
    check_ok(file_open(S("LOCK"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_open(S("LOCK"), FILE_WRITE, &g));
    check_ok(file_lock(f));
    check_ok(file_lock(f));
    check_err(file_lock(g), ERR_IN_USE);
    file_close(f);
    f = NULL;
    check_ok(file_lock(g));
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    check_ok(path_mkdir(S("b")));
    check_ok(path_mkdir(S("b/c")));
    check_ok(path_replace(S("a"), S("text")));
    check_ok(path_list(S("."), &a, &names, &count));
    check_u64(count, 3);
    check_slice(names[0], S("LOCK"));
    check_slice(names[1], S("a"));
    check_slice(names[2], S("b"));
    check_err(path_list(S("a"), &a, &names, &count), ERR_NOT_FOUND);
}

static void read_damaged(void *arg)
{
    Arena a arena_scoped = {0};
    Slice text = {0};
    check_ok(path_read(S("a"), 10, &a, &text));
    check_slice(text, slice_of(arg));
}

TEST(sim_disk_locks_lists_and_flips)
{
    DISK_SCOPED;
    on_disk(disk, 1, lock_twice, NULL);
    sim_disk_kill(disk); /* the lock goes with its holder */
    on_disk(disk, 2, read_damaged, "text");
    sim_disk_flip_bit(disk, S("a"), 8);
    on_disk(disk, 3, read_damaged, "tdxt");
}

/* ---- the same seed, the same loss ---- */

TEST(sim_disk_the_same_seed_gives_the_same_loss)
{
    Ledger found[2];
    for (uint64_t seed = 0; seed < 10; seed++) {
        for (int i = 0; i < 2; i++) {
            DISK_SCOPED;
            int code;
            sim_disk_plan(disk)->crash_at = 3 + seed;
            SimConfig c = {.seed = seed, .disk = disk};
            check_ok(sim_run_child(&c, append_aside, &found[i], &code));
            sim_disk_plan(disk)->crash_at = 0;
            sim_disk_power_cut(disk, seed);
            on_disk(disk, seed, count_records, &found[i]);
        }
        check_u64(found[0].found, found[1].found);
    }
}
