/* A big body is acknowledged in a directory that somebody else made and has not synced: the power
 * is cut right behind. */
#include "run/file.h"
#include "run/sim.h"
#include "store/engine_fake.h"
#include "store/local.h"

#include <stdio.h>
#include <unistd.h>

enum { DISK = 16 << 20, BODY = 200000, CUTS = 8, WRITERS_MOST = 300 };

static const EngineOptions options = {.index_in_memory = true, .checkpoint_ms = 1000000};

PARKS static size_t directories(void)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    check_ok(path_list(S("store/big"), &a, &names, &count));
    return count;
}

/* Writers are begun until one comes to a directory that is there; the others never end. */
PARKS static BlobWriter *second_in_a_directory(Engine *e)
{
    for (size_t writers = 1; writers <= WRITERS_MOST; writers++) {
        BlobWriter *w = NULL;
        check_ok(blob_begin(e, &w));
        if (directories() < writers) return w;
    }
    return NULL;
}

PARKS static void write_one(void *arg)
{
    FakeHost h = {0};
    Buf body buf_scoped = {0};
    BlobRef ref;
    (void)arg;
    check_ok(fake_open(&h, S("store"), &options));
    fake_body(&body, 2, 1, BODY);
    BlobWriter *w = second_in_a_directory(h.engine);
    check(w);
    check_ok(blob_write(w, buf_slice(&body)));
    check_ok(blob_end(w, &ref));
    fflush(NULL);
    _exit(test_complaints() ? 1 : SIM_CRASHED);
}

PARKS static size_t bodies_in(Slice dir, Arena *a)
{
    Slice *names;
    size_t count, bodies = 0;
    check_ok(path_list(dir, a, &names, &count));
    for (size_t i = 0; i < count; i++) {
        PathInfo info;
        check_ok(path_info(arena_printf(a, "%.*s/%.*s", SP(dir), SP(names[i])), &info));
        bodies += info.size > BODY;
    }
    return bodies;
}

PARKS static void look(void *arg)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count, bodies = 0;
    (void)arg;
    check_ok(path_list(S("store/big"), &a, &names, &count));
    for (size_t i = 0; i < count; i++)
        bodies += bodies_in(arena_printf(&a, "store/big/%.*s", SP(names[i])), &a);
    check_u64(bodies, 1);
}

static void run(SimDisk *disk, uint64_t seed, void (*life)(void *), int wanted)
{
    int code = 1;
    SimConfig config = {.seed = seed, .disk = disk, .disk_latency_us = 100};
    check_ok(sim_run_child(&config, life, NULL, &code));
    check_u64((uint64_t)code, (uint64_t)wanted);
}

TEST(a_big_body_is_not_lost_with_a_directory_somebody_else_made)
{
    SimDisk *disk = sim_disk_new(DISK), *cut = sim_disk_new(DISK);
    run(disk, 1, write_one, SIM_CRASHED);
    for (uint64_t seed = 1; seed <= CUTS; seed++) {
        sim_disk_copy(cut, disk);
        sim_disk_power_cut(cut, seed);
        run(cut, seed, look, 0);
    }
    sim_disk_free(cut);
    sim_disk_free(disk);
}
