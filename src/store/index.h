#pragma once
/* The index of the local engine: ordered keys and values, changed in batches that happen whole or
 * not at all and are durable when index_write returns. Derived data: it can be rebuilt from the
 * log. Two kinds: LMDB (index_lmdb.c), and a sorted table in memory whose batches stand in a file
 * (index_memory.c), for the simulated world where LMDB's own I/O cannot go.
 *
 * Keys (numbers big-endian, so that octet order is number order):
 *
 *   'p' account u32, the host's key        a page
 *   's' at u64, account u32, eid u32        this email of this account refers to this shared body
 *   'd' at u64 -> length, CRC              a body nobody refers to, not yet marked dead in the log
 *   'b' id u64                             a big body that some durable record refers to
 *   'g' segment u32 -> end, bodies, live   what a segment holds
 *   'm'                                    position: how far the log is in the pages
 *
 * In the file every value is followed by the CRC32C of key and value: LMDB has no checksums. */
#include "run/run.h"

enum { INDEX_KEY_MOST = 500 };

typedef struct {
    Slice key, value;
    bool remove;
} IndexChange;
typedef bool IndexEach(void *arg, Slice key, Slice value);

typedef struct Index Index;
typedef struct {
    const char *file; /* its name in DIR/idx */
    const char *copy; /* the ending of its copies: copy-LSN.this */
    Err (*open)(Slice path, uint64_t map_bytes, Index **index);
    void (*close)(Index *x);
    Err (*get)(Index *x, Slice key, Arena *a, Slice *value);
    Err (*scan)(Index *x, Slice prefix, Slice from, IndexEach *each, void *arg);
    Err (*write)(Index *x, const IndexChange *changes, size_t count);
    Err (*copy_to)(Index *x, Slice path); /* complete and synced when it returns */
    void (*rest)(Index *x);               /* NULL: there is nothing to give back */
} IndexKind;
struct Index {
    const IndexKind *kind;
};
extern const IndexKind index_lmdb, index_memory;

/* The batches of index_memory.c taken apart. The first takes one batch off; false: none that holds.
 */
bool index_batch_decode(Slice *bytes, Slice *changes) MUST_USE;
bool index_change_decode(Reader *r, IndexChange *c) MUST_USE; /* false: the end, or r->bad */

/* ERR_CORRUPT, ERR_IO: the file is of no use. */
static inline Err index_open(const IndexKind *kind, Slice path, uint64_t map_bytes, Index **x)
{
    return kind->open(path, map_bytes, x);
}
static inline void index_close(Index *x)
{
    if (x) x->kind->close(x);
}
/* Any thread. ERR_NOT_FOUND, ERR_CORRUPT. */
static inline Err index_get(Index *x, Slice key, Arena *a, Slice *value)
{
    if (FAULT("index.read")) return fail(ERR_CORRUPT, "index.read: a fault was asked for");
    return x->kind->get(x, key, a, value);
}
/* All keys with this prefix, from `from` on, until each returns false. Any thread; each must not
 * wait or call the index. */
static inline Err index_scan(Index *x, Slice prefix, Slice from, IndexEach *each, void *arg)
{
    if (FAULT("index.read")) return fail(ERR_CORRUPT, "index.read: a fault was asked for");
    return x->kind->scan(x, prefix, from, each, arg);
}
/* In the order given, a later change of the same key wins. One writer at a time. ERR_DISK_FULL:
 * nothing happened, try again later. */
static inline Err index_write(Index *x, const IndexChange *changes, size_t count)
{
    return x->kind->write(x, changes, count);
}
/* Gives back what reading has taken. Blocks for milliseconds. */
static inline void index_rest(Index *x)
{
    if (x->kind->rest) x->kind->rest(x);
}
static inline Err index_copy_to(Index *x, Slice path)
{
    return x->kind->copy_to(x, path);
}
