#include "store/fault_walk.h"

#include "store/local.h"

/* An index of which one page is not whole: the last octet is missing, so its checksum does not
 * hold. Between the engine and the index in memory. */

static uint64_t pages, spoiled_at;

static Slice spoil(Slice key, Slice value)
{
    bool page = key.len && key.at[0] == 'p' && value.len;
    return page && ++pages == spoiled_at ? slice_first(value, value.len - 1) : value;
}

static Err get(Index *x, Slice key, Arena *a, Slice *value)
{
    TRY(index_memory.get(x, key, a, value));
    *value = spoil(key, *value);
    return OK;
}

typedef struct {
    IndexEach *each;
    void *arg;
} Scan;

static bool each_spoiled(void *arg, Slice key, Slice value)
{
    const Scan *scan = arg;
    return scan->each(scan->arg, key, spoil(key, value));
}

static Err scan(Index *x, Slice prefix, Slice from, IndexEach *each, void *arg)
{
    Scan through = {each, arg};
    return index_memory.scan(x, prefix, from, each_spoiled, &through);
}

void fault_index_through(Store *store)
{
    static IndexKind kind;
    kind = index_memory;
    kind.get = get;
    kind.scan = scan;
    store_engine(store)->index->kind = &kind;
}

void fault_index_spoil(uint64_t at)
{
    pages = 0;
    spoiled_at = at;
}

uint64_t fault_index_pages(void)
{
    return pages;
}
