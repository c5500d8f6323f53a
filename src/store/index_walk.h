#pragma once
/* Reads the file of an LMDB index without LMDB, which believes what it finds there: a flipped bit
 * in the structure of its tree can hide entries from it, or end the process. Here every page is
 * checked before it is used, and every entry against its own checksum. For salvage: slow, whole,
 * read-only, while nobody writes. */
#include "base/base.h"

typedef struct {
    bool (*entry)(void *arg, Slice key, Slice value); /* a good one, in order; false: no more */
    void *arg;
    uint64_t entries, damaged; /* out: good ones; pages and entries that are not what was written */
} IndexWalk;
/* ERR_CORRUPT: not even the root can be found; ERR_IO. */
Err index_walk(Slice path, IndexWalk *walk) MUST_USE;
