#include "store/model.h"
#include "store/signature.h"

#include <stdlib.h>

enum {
    CACHE_OCTETS = 64 * 1024 * 1024,
    MESSAGE_MOST = 100 * 1024 * 1024,
    KEEPER_MS = 10 * 1000,
};

Engine *store_engine(Store *store)
{
    return store->engine;
}

const StoreOptions *store_options(const Store *store)
{
    return &store->options;
}

Loop *store_home(const Store *store, uint32_t acct)
{
    (void)store;
    uint32_t hash = acct * UINT32_C(2654435761);
    return loop_at((hash >> 16) % loop_count());
}

/* ---- the keeper of a loop: gives back what nobody has used for a while ---- */

static void trim_aside(void *nothing)
{
    (void)nothing;
    mem_trim();
}

/* What is freed is mostly between what is not, where malloc keeps it. */
static PARKS void give_back(Home *home)
{
    if (home == home->store->homes && home->store->is_open) engine_rest(home->store->engine);
    if (!home->freed_much) return;
    home->freed_much = false;
    aside(trim_aside, NULL);
}

static PARKS void keeper(void *arg)
{
    Home *home = arg;
    home->keeper = fiber_current();
    while (!home->stopping && fiber_park(now_ms() + KEEPER_MS) != WOKEN_CANCELLED) {
        home_slim(home);
        give_back(home);
        kept_sweep(home);
    }
    home->keeper = NULL;
    home->keeper_runs = false;
    cond_broadcast(&home->keeper_ended);
}

static PARKS void home_open(void *arg)
{
    Store *store = arg;
    Home *home = home_here(store);
    home->store = store;
    home->loop = loop_current();
    list_init(&home->accounts);
    list_init(&home->dirty);
    list_init(&home->folding);
    list_init(&home->summary_pages);
    list_init(&home->evicted);
    home->codec = summary_codec_new();
    home->keeper_runs = true;
    home->keeper = fiber_start("store keeper", keeper, home);
}

static PARKS void home_stop(void *arg)
{
    Home *home = home_here(arg);
    home->stopping = true;
    if (home->keeper) fiber_nudge(home->keeper);
    while (home->keeper_runs)
        cond_wait(&home->keeper_ended, NEVER);
}

static PARKS void home_close(void *arg)
{
    Home *home = home_here(arg);
    home_done(home);
    summary_cache_done(home);
    summary_codec_free(home->codec);
    free((char *)home->swept.at);
    buf_done(&home->page);
}

static PARKS void each_home(Store *store, void (*fn)(void *))
{
    for (unsigned i = 0; i < store->home_count; i++)
        loop_call(loop_at(i), fn, store);
}

static PARKS void close_all(Store *store)
{
    signature_stop_learning(store);
    each_home(store, home_stop);
    if (store->engine) engine_close(store->engine);
    each_home(store, home_close);
    signature_settle(store);
    table_done(&store->names);
    free(store->homes);
    free((char *)store->dir.at);
    free(store);
}

static Slice keep(Slice s)
{
    char *copy = mem_new(s.len + 1);
    memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

PARKS Err store_open(Slice dir, const StoreOptions *options, Store **out)
{
    Store *store = NEW(Store);
    store->options = *options;
    if (!store->options.cache_octets) store->options.cache_octets = CACHE_OCTETS;
    if (!store->options.message_most) store->options.message_most = MESSAGE_MOST;
    store->dir = keep(dir);
    list_init(&store->arrivals);
    store->home_count = loop_count();
    store->homes = mem_zero(array_bytes(store->home_count, sizeof *store->homes));
    each_home(store, home_open);
    EngineHost host = fold_host(store);
    Err err = engine_open(dir, &store->options.engine, &host, &store->engine);
    if (err) {
        store->engine = NULL;
        close_all(store);
        return err;
    }
    signature_make_dir(dir);
    store->is_open = true;
    directory_finish(store);
    *out = store;
    return OK;
}

PARKS void store_close(Store *store)
{
    if (store) close_all(store);
}
