/* Random work on real disks against the trivial model (workload.h); the whole state is compared
 * after every operation's box and, with all bodies, after each round. POSTHOUSE_SEED=n runs one. */
#include "base/test.h"
#include "run/file.h"
#include "store/workload.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, MORE_ROUNDS = 14, STEPS = 25 }; /* more: of a world asked for */

typedef struct {
    char at[64];
} Dir;

static Dir dir_new(void)
{
    Dir d = {"/tmp/posthouse-model-XXXXXX"};
    must(mkdtemp(d.at));
    return d;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void dir_done(Dir *d)
{
    check(nftw(d->at, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static PARKS Store *open_store(WorkWorld *w, const Dir *d)
{
    StoreOptions options = {
        .engine = {.segment_bytes = 2 << 20, .checkpoint_ms = 30, .map_bytes = 1 << 30}
    };
    Store *store = NULL;
    Err err = store_open(slice_of(d->at), &options, &store);
    if (err) work_failed(w, "open: %s (%s)", err_name(err), err_story());
    return store;
}

/* The index is derived: without it everything comes back from the log, uids included. */
static void lose_index(WorkWorld *w, const Dir *d)
{
    Arena a arena_scoped = {0};
    Err err = path_unlink(arena_printf(&a, "%s/idx/data.mdb", d->at));
    if (err) work_failed(w, "no index to lose: %s", err_story());
}

static PARKS Store *between_rounds(WorkWorld *w, const Dir *d, Store *store, uint64_t *random)
{
    Engine *e = store_engine(store);
    uint64_t freed;
    Err err = OK;
    unsigned what = (unsigned)(work_random(random) % 6);
    if (what == 0) err = engine_checkpoint(e);
    if (what == 1) err = engine_compact(e, &freed);
    if (what == 2) err = engine_copy_index(e);
    if (err) work_failed(w, "between rounds, %u: %s (%s)", what, err_name(err), err_story());
    if (what < 3) return store;
    store_close(store);
    if (what == 5) lose_index(w, d);
    return open_store(w, d);
}

static PARKS void one_world(uint64_t seed, unsigned rounds)
{
    Dir d __attribute__((cleanup(dir_done))) = dir_new();
    WorkWorld *w = mem_new(sizeof *w);
    uint64_t random = seed;
    world_init(w, seed);
    w->big = seed % 2;
    Store *store = open_store(w, &d);
    world_prepare(w, store);
    for (unsigned i = 0; i < rounds; i++) {
        world_work(w, store, STEPS, i % 3 == 1);
        world_verify(w, store);
        store = between_rounds(w, &d, store, &random);
        world_verify(w, store);
    }
    store_close(store);
    free(w);
}

TEST(random_work_gives_what_the_model_says)
{
    uint64_t seed = 0;
    const char *text = getenv("POSTHOUSE_SEED");
    if (text && slice_to_u64(slice_of(text), &seed)) {
        one_world(seed, MORE_ROUNDS);
        return;
    }
    for (seed = 1; seed <= 3; seed++)
        one_world(seed, ROUNDS);
}
