#include "store/index.h"

#include "base/test.h"
#include "base/text.h"
#include "run/file.h"
#include "run/sim.h"
#include "store/engine_fake.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    char dir[64];
    Arena arena;
} Place;

static void place_done(Place *p)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    check(!system(command));
    arena_done(&p->arena);
}

static Place place_new(void)
{
    Place p = {.dir = "/tmp/posthouse-index-XXXXXX"};
    check(mkdtemp(p.dir) != NULL);
    return p;
}
#define PLACE_SCOPED(name) Place name __attribute__((cleanup(place_done))) = place_new()

static Slice path_in(Place *p, const char *name)
{
    return arena_printf(&p->arena, "%s/%s", p->dir, name);
}

enum { MAP = 64 << 20 };
static const IndexKind *const kinds[] = {&index_lmdb, &index_memory};

static bool gather_keys(void *arg, Slice key, Slice value)
{
    Buf *b = (Buf *)arg;
    buf_printf(b, "%.*s=%.*s ", SP(key), SP(value));
    return b->len < 40;
}

static void check_content(Index *x, Arena *a)
{
    Slice value;
    check_ok(index_get(x, S("pb"), a, &value));
    check_slice(value, S("two"));
    check_ok(index_get(x, S("pe"), a, &value));
    check_u64(value.len, 0);
    check_err(index_get(x, S("pa"), a, &value), ERR_NOT_FOUND);
    check_err(index_get(x, S("pbb"), a, &value), ERR_NOT_FOUND);
    Buf buf_scoped keys = {0};
    check_ok(index_scan(x, S("p"), (Slice){0}, gather_keys, &keys));
    check_slice(buf_slice(&keys), S("pb=two pd=four pe= "));
    buf_clear(&keys);
    check_ok(index_scan(x, S("p"), S("pc"), gather_keys, &keys));
    check_slice(buf_slice(&keys), S("pd=four pe= "));
}

TEST(an_index_keeps_what_was_written)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        PLACE_SCOPED(p);
        Index *x;
        Slice path = path_in(&p, "index"), copy = path_in(&p, "copy");
        check_ok(index_open(kinds[i], path, MAP, &x));
        const IndexChange first[] = {
            {S("pa"), S("one"),   false},
            {S("pb"), S("old"),   false},
            {S("q"),  S("other"), false},
            {S("pe"), (Slice){0}, false}
        };
        const IndexChange second[] = {
            {S("pb"),        S("two"),   false},
            {S("pa"),        (Slice){0}, true },
            {S("not there"), (Slice){0}, true },
            {S("pd"),        S("four"),  false}
        };
        check_ok(index_write(x, first, COUNT(first)));
        check_ok(index_write(x, second, COUNT(second)));
        check_content(x, &p.arena);
        check_ok(index_copy_to(x, copy));
        index_close(x);
        check_ok(index_open(kinds[i], path, MAP, &x));
        check_content(x, &p.arena);
        index_close(x);
        check_ok(index_open(kinds[i], copy, MAP, &x));
        check_content(x, &p.arena);
        index_close(x);
    }
}

static void flip(Slice path, uint64_t octet)
{
    File *f scoped(file) = NULL;
    char c;
    check_ok(file_open(path, FILE_WRITE, &f));
    check_ok(file_read_at(f, octet, &c, 1));
    c ^= 0x10;
    Slice part = slice(&c, 1);
    check_ok(file_write_at(f, octet, &part, 1));
}

TEST(a_flipped_bit_in_a_value_of_lmdb_is_found)
{
    PLACE_SCOPED(p);
    Index *x;
    Slice path = path_in(&p, "index"), content, value;
    const IndexChange change = {S("p1"), S("needle in the haystack"), false};
    check_ok(index_open(&index_lmdb, path, MAP, &x));
    check_ok(index_write(x, &change, 1));
    index_close(x);
    check_ok(path_read(path, MAP, &p.arena, &content));
    size_t at = slice_find_slice(content, S("needle in the"));
    check(at < content.len);
    flip(path, at + 3);
    check_ok(index_open(&index_lmdb, path, MAP, &x));
    check_err(index_get(x, S("p1"), &p.arena, &value), ERR_CORRUPT);
    index_close(x);
}

TEST(a_torn_batch_never_happened)
{
    PLACE_SCOPED(p);
    Slice path = path_in(&p, "index"), whole, value;
    Index *x;
    const IndexChange one = {S("a"), S("first"), false}, two = {S("a"), S("second"), false};
    check_ok(index_open(&index_memory, path, MAP, &x));
    check_ok(index_write(x, &one, 1));
    check_ok(index_write(x, &two, 1));
    index_close(x);
    check_ok(path_read(path, MAP, &p.arena, &whole));
    size_t first = 12 + 1 + 2 + 6;
    for (size_t len = 0; len <= whole.len; len++) {
        check_ok(path_replace(path, slice_first(whole, len)));
        check_ok(index_open(&index_memory, path, MAP, &x));
        Err err = index_get(x, S("a"), &p.arena, &value);
        check(err == (len < first ? ERR_NOT_FOUND : OK));
        if (!err) check_slice(value, len < whole.len ? S("first") : S("second"));
        index_close(x);
    }
}

TEST(a_full_map_changes_nothing_and_says_disk_full)
{
    PLACE_SCOPED(p);
    Index *x;
    Slice path = path_in(&p, "index"), value;
    Buf buf_scoped large = {0};
    fake_body(&large, 1, 1, 200000);
    const IndexChange one = {S("a"), S("kept"), false}, two = {S("b"), buf_slice(&large), false};
    check_ok(index_open(&index_lmdb, path, 128 * 1024, &x));
    check_ok(index_write(x, &one, 1));
    check_err(index_write(x, &two, 1), ERR_DISK_FULL);
    check_ok(index_write(x, &one, 1));
    check_ok(index_get(x, S("a"), &p.arena, &value));
    check_slice(value, S("kept"));
    index_close(x);
}

/* ---- the one in memory, on a disk that fails ---- */

static SimDiskPlan *plan_of_disk;

static Slice large(Arena *a, char what, size_t len)
{
    char *at = arena_alloc(a, len);
    memset(at, what, len);
    return slice(at, len);
}

PARKS static void grow_and_shrink(void *arg)
{
    Arena a arena_scoped = {0};
    Index *x = NULL;
    Slice value;
    PathInfo info;
    File *f scoped(file) = NULL;
    (void)arg;
    check_ok(index_open(&index_memory, S("index"), 0, &x));
    for (int c = 'a'; c < 'k'; c++) { /* the same key again and again: the file is written anew */
        IndexChange change = {S("key"), large(&a, (char)c, 100 * 1024), false};
        check_ok(index_write(x, &change, 1));
    }
    check_ok(path_info(S("index"), &info));
    check(info.size < 500 * 1024);
    IndexChange last = {S("key"), large(&a, 'z', 100 * 1024), false};
    plan_of_disk->fail_at = 0;
    for (int i = 0; i < 6; i++) { /* no room to write it anew: the old one goes on */
        bool again = i == 5;
        plan_of_disk->failure = ERR_DISK_FULL;
        plan_of_disk->failing = SIM_FAILS;
        plan_of_disk->fail_at = again ? 0 : plan_of_disk->operations + 3;
        Err err = index_write(x, &last, 1);
        check(!err);
    }
    check_ok(index_get(x, S("key"), &a, &value));
    check(value.len == 100 * 1024 && value.at[0] == 'z');
    index_close(x);
    check_ok(path_info(S("index"), &info));
    check_ok(file_open(S("index"), FILE_WRITE, &f));
    Slice rest = S("half a batch");
    check_ok(file_write_at(f, info.size, &rest, 1));
    plan_of_disk->failure = ERR_IO;
    plan_of_disk->fail_at = plan_of_disk->operations + 1; /* to cut it off */
    check_err(index_open(&index_memory, S("index"), 0, &x), ERR_IO);
    check_ok(index_open(&index_memory, S("index"), 0, &x));
    check_ok(index_get(x, S("key"), &a, &value));
    index_close(x);
    Buf batch buf_scoped = {0};
    buf_u32(&batch, 0x62694850);
    buf_u32(&batch, 1);
    buf_u32(&batch, crc32c(0, S("\7")));
    buf_char(&batch, 7);
    check_ok(path_replace(S("index"), buf_slice(&batch)));
    check_err(index_open(&index_memory, S("index"), 0, &x), ERR_CORRUPT);
}

TEST(an_index_in_memory_keeps_its_file_small)
{
    SimDisk *disk = sim_disk_new(64 << 20);
    plan_of_disk = sim_disk_plan(disk);
    check_ok(sim_run(&(SimConfig){.seed = 1, .disk = disk, .loops = 1}, grow_and_shrink, NULL));
    sim_disk_free(disk);
}
