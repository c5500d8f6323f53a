#include "base/test.h"
#include "run/file.h"
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A directory of its own for each test; what is in it goes with it. */
typedef struct {
    char at[64];
} Dir;

static Dir dir_new(void)
{
    Dir d = {"/tmp/posthouse-run-XXXXXX"};
    must(mkdtemp(d.at));
    return d;
}

static Slice in(const Dir *d, Arena *a, const char *name)
{
    return arena_printf(a, "%s/%s", d->at, name);
}

static void dir_done(Dir *d)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    check_ok(path_list(slice_of(d->at), &a, &names, &count));
    for (size_t i = 0; i < count; i++) {
        Slice path = in(d, &a, arena_cstr(&a, names[i]));
        if (path_unlink(path)) (void)!rmdir(arena_cstr(&a, path));
    }
    check(rmdir(d->at) == 0);
}

TEST(what_is_written_can_be_read)
{
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    File *f scoped(file) = NULL;
    check_ok(file_open(in(&d, &a, "f"), FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f));
    Slice parts[] = {S("one "), S(""), S("two "), S("three")};
    check_ok(file_write_at(f, 3, parts, COUNT(parts)));
    check_ok(file_sync(f));
    uint64_t size = 0;
    check_ok(file_size(f, &size));
    check_u64(size, 16);
    char out[16];
    check_ok(file_read(f, 0, out, 16));
    check_slice(slice(out, 16), S("\0\0\0one two three"));
    check_err(file_read(f, 1, out, 16), ERR_IO);
    check(strstr(err_story(), "short") != NULL);
    size_t got;
    check_ok(file_read_some(f, 12, out, 16, &got));
    check_slice(slice(out, got), S("hree"));
    check_slice(file_path(f), in(&d, &a, "f"));
}

TEST(many_parts_are_written_in_order)
{
    enum { MANY = 3000 };
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    File *f scoped(file) = NULL;
    check_ok(file_open(in(&d, &a, "f"), FILE_WRITE | FILE_CREATE, &f));
    Slice *parts = arena_array(&a, Slice, MANY);
    for (int i = 0; i < MANY; i++)
        parts[i] = arena_printf(&a, "%04d,", i);
    check_ok(file_write_at(f, 0, parts, MANY));
    char *out = arena_alloc(&a, MANY * 5);
    check_ok(file_read_at(f, 0, out, MANY * 5));
    for (int i = 0; i < MANY; i++)
        check_slice(slice(out + i * 5, 5), parts[i]);
}

TEST(room_is_made_and_given_back)
{
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    File *f scoped(file) = NULL;
    Slice path = in(&d, &a, "f");
    check_ok(file_open(path, FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_allocate(f, 0, 1 << 20));
    PathInfo info;
    check_ok(path_info(path, &info));
    check_u64(info.size, 1 << 20);
    check(info.blocks_bytes >= 1 << 20 && !info.is_dir);
    char *block = arena_alloc(&a, 65536);
    memset(block, 'x', 65536);
    Slice part = slice(block, 65536);
    check_ok(file_write_at(f, 65536, &part, 1));
    check_ok(file_punch(f, 65536, 65536));
    check_ok(file_read(f, 65536, block, 65536));
    check(block[0] == 0 && block[65535] == 0);
    check_ok(file_truncate(f, 10));
    check_ok(path_info(path, &info));
    check_u64(info.size, 10);
}

TEST(locks_exclude)
{
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    Slice path = in(&d, &a, "LOCK");
    File *f scoped(file) = NULL, *g scoped(file) = NULL;
    check_ok(file_open(path, FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_lock(f));
    check_ok(file_open(path, FILE_WRITE, &g));
    check_err(file_lock(g), ERR_IN_USE);
    file_close(f);
    f = NULL;
    check_ok(file_lock(g));
}

TEST(paths)
{
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    Slice path = in(&d, &a, "b"), content, *names;
    size_t count;
    File *f scoped(file) = NULL;
    check_err(file_open(path, FILE_READ, &f), ERR_NOT_FOUND);
    check_err(path_read(path, 100, &a, &content), ERR_NOT_FOUND);
    check_ok(path_replace(path, S("first")));
    check_ok(path_replace(path, S("second, longer")));
    check_ok(path_read(path, 100, &a, &content));
    check_slice(content, S("second, longer"));
    check_err(path_read(path, 5, &a, &content), ERR_TOO_BIG);
    check_err(file_open(path, FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE, &f), ERR_EXISTS);
    check_ok(path_mkdir(in(&d, &a, "c")));
    check_ok(path_mkdir(in(&d, &a, "c")));
    check_err(path_mkdir(path), ERR_EXISTS);
    check_ok(path_rename(path, in(&d, &a, "a")));
    check_err(path_rename(path, in(&d, &a, "x")), ERR_NOT_FOUND);
    check_ok(path_list(slice_of(d.at), &a, &names, &count));
    check_u64(count, 2);
    check_slice(names[0], S("a"));
    check_slice(names[1], S("c"));
    check_ok(path_sync_dir(slice_of(d.at)));
    uint64_t bytes = 0;
    check_ok(path_free_space(slice_of(d.at), &bytes));
    check(bytes > 0);
    check(!path_is_network(slice_of(d.at)));
    check_err(path_unlink(in(&d, &a, "none")), ERR_NOT_FOUND);
}

TEST(a_full_disk_is_told_from_a_broken_one)
{
    File *f scoped(file) = NULL;
    check_ok(file_open(S("/dev/full"), FILE_WRITE, &f));
    Slice part = S("x");
    check_err(file_write_at(f, 0, &part, 1), ERR_DISK_FULL);
}

PARKS static void read_many(void *arg)
{
    char out[1000];
    for (int i = 0; i < 200; i++)
        check_ok(file_read(arg, (uint64_t)(i % 16) * 4096, out, sizeof out));
}

TEST(reading_beside_the_loop)
{
    Arena a arena_scoped = {0};
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    File *f scoped(file) = NULL;
    check_ok(file_open(in(&d, &a, "f"), FILE_WRITE | FILE_CREATE, &f));
    check_ok(file_allocate(f, 0, 65536));
    check_ok(file_sync(f));
    read_many(f);
    loop_call(loop_at(1), read_many, f);
    aside(read_many, f);
}
