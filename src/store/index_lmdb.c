#include "base/text.h"
#include "run/file.h"
#include "run/run.h"
#include "store/index.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* LMDB does its own I/O, so this file is the one place outside run/ that lets somebody else touch
 * the disk. No NOSYNC, NOMETASYNC or WRITEMAP: a commit that returned is durable, and a process
 * that dies in the middle harms nothing. MDB_NOTLS: a read transaction belongs to whoever holds it,
 * not to a thread; they are kept for reuse, renewing one costs a fraction of beginning one. */

enum { READERS_MOST = 512, READERS_KEPT = 16, CRC_BYTES = 4, READS_MOST = 1024 };

typedef struct {
    Index index;
    MDB_env *env;
    MDB_dbi table;
    Mutex lock; /* of the idle readers */
    MDB_txn *idle[READERS_KEPT];
    size_t idle_count;
    char *map;                 /* of the file; NULL: not known */
    atomic_uint reads, rested; /* the reads when it rested last */
} Lmdb;

static Lmdb *lmdb_of(Index *x)
{
    return CONTAINER(x, Lmdb, index);
}

static Err lmdb_fail(int rc, const char *what)
{
    Err err = ERR_IO;
    if (rc == MDB_NOTFOUND) err = ERR_NOT_FOUND;
    if (rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL) err = ERR_DISK_FULL;
    if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID ||
        rc == MDB_VERSION_MISMATCH || rc == MDB_PANIC || rc == MDB_BAD_TXN)
        err = ERR_CORRUPT;
    if (rc == ENOMEM || rc == MDB_READERS_FULL) err = ERR_TEMPORARY;
    return fail(err, "index: %s: %s", what, mdb_strerror(rc));
}

static MDB_val val_of(Slice s)
{
    return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.at};
}

static Slice slice_of_val(MDB_val v)
{
    return slice(v.mv_data, v.mv_size);
}

static uint32_t entry_crc(Slice key, Slice value)
{
    return crc32c(crc32c(0, key), value);
}

/* Takes the checksum off. */
static Err entry_value(Slice key, MDB_val stored, Slice *value)
{
    Slice all = slice_of_val(stored);
    if (all.len < CRC_BYTES) return fail(ERR_CORRUPT, "index: an entry is too short");
    Slice content = slice_first(all, all.len - CRC_BYTES);
    Reader r = reader(slice_from(all, content.len));
    if (read_u32(&r) != entry_crc(key, content))
        return fail(ERR_CORRUPT, "index: an entry does not fit its checksum");
    *value = content;
    return OK;
}

/* ---- memory ---- */

/* LMDB does not tell where its mapping is. NULL: nobody does. */
static char *map_of(Slice path)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL, *found = NULL;
    size_t room = 0;
    while (maps && !found && getline(&line, &room, maps) > 0)
        if (slice_ends(slice_trim(slice_of(line)), path)) found = (char *)strtoull(line, NULL, 16);
    if (maps) fclose(maps);
    free(line);
    return found;
}

/* A page that was read is mapped, with its neighbours, and would count as ours for ever, though it
 * is only the system's cache: 10,000 accounts opened once were 90 MB. Now and then all is unmapped;
 * what is needed again costs a fault of a microsecond. */
static void unmap(Lmdb *l)
{
    MDB_envinfo info = {0}; /* what fills them fails only without an env */
    MDB_stat stat = {0};
    if (!l->map) return;
    mdb_env_info(l->env, &info);
    mdb_env_stat(l->env, &stat);
    madvise(l->map, (info.me_last_pgno + 1) * stat.ms_psize, MADV_DONTNEED);
}

static void unmap_read(Lmdb *l)
{
    if (atomic_fetch_add(&l->reads, 1) % READS_MOST == READS_MOST - 1) unmap(l);
}

/* For the last ones, behind which nothing is read any more. */
static void lmdb_rest(Index *x)
{
    Lmdb *l = lmdb_of(x);
    unsigned reads = atomic_load(&l->reads);
    if (atomic_exchange(&l->rested, reads) != reads) unmap(l);
}

/* ---- readers ---- */
static Err reader_begin(Lmdb *l, MDB_txn **txn)
{
    mutex_lock(&l->lock);
    MDB_txn *kept = l->idle_count ? l->idle[--l->idle_count] : NULL;
    mutex_unlock(&l->lock);
    int rc = kept ? mdb_txn_renew(kept) : mdb_txn_begin(l->env, NULL, MDB_RDONLY, &kept);
    if (rc) {
        if (kept) mdb_txn_abort(kept);
        return lmdb_fail(rc, "begin to read");
    }
    *txn = kept;
    return OK;
}

static void reader_end(Lmdb *l, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    unmap_read(l);
    mutex_lock(&l->lock);
    bool keep = l->idle_count < READERS_KEPT;
    if (keep) l->idle[l->idle_count++] = txn;
    mutex_unlock(&l->lock);
    if (!keep) mdb_txn_abort(txn);
}

static Err lmdb_get(Index *x, Slice key, Arena *a, Slice *value)
{
    Lmdb *l = lmdb_of(x);
    MDB_txn *txn;
    TRY(reader_begin(l, &txn));
    MDB_val k = val_of(key), v;
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): reader_begin is OK only with one */
    int rc = mdb_get(txn, l->table, &k, &v);
    Slice content = {0};
    Err err = rc ? lmdb_fail(rc, "read") : entry_value(key, v, &content);
    if (!err) *value = arena_copy(a, content);
    reader_end(l, txn);
    return err;
}

static Err scan_cursor(MDB_cursor *cursor, Slice prefix, Slice from, IndexEach *each, void *arg)
{
    MDB_val k = val_of(from.len ? from : prefix), v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    for (; !rc && slice_starts(slice_of_val(k), prefix);
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        Slice value;
        TRY(entry_value(slice_of_val(k), v, &value));
        if (!each(arg, slice_of_val(k), value)) return OK;
    }
    return !rc || rc == MDB_NOTFOUND ? OK : lmdb_fail(rc, "scan");
}

static Err lmdb_scan(Index *x, Slice prefix, Slice from, IndexEach *each, void *arg)
{
    must(prefix.len > 0);
    Lmdb *l = lmdb_of(x);
    MDB_txn *txn;
    MDB_cursor *cursor;
    TRY(reader_begin(l, &txn));
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): reader_begin is OK only with one */
    int rc = mdb_cursor_open(txn, l->table, &cursor);
    Err err = rc ? lmdb_fail(rc, "scan") : scan_cursor(cursor, prefix, from, each, arg);
    if (!rc) mdb_cursor_close(cursor);
    reader_end(l, txn);
    return err;
}

/* ---- the writer ---- */
static int put_entry(MDB_txn *txn, MDB_dbi table, const IndexChange *c)
{
    MDB_val k = val_of(c->key);
    MDB_val v = {.mv_size = c->value.len + CRC_BYTES};
    int rc = mdb_put(txn, table, &k, &v, MDB_RESERVE);
    if (rc) return rc;
    uint32_t crc = entry_crc(c->key, c->value);
    uint8_t *end = (uint8_t *)v.mv_data + c->value.len;
    if (c->value.len) memcpy(v.mv_data, c->value.at, c->value.len);
    for (int i = 0; i < CRC_BYTES; i++)
        end[i] = (uint8_t)(crc >> (8 * i));
    return 0;
}

static int change_entry(MDB_txn *txn, MDB_dbi table, const IndexChange *c)
{
    must(c->key.len > 0 && c->key.len <= INDEX_KEY_MOST);
    if (!c->remove) return put_entry(txn, table, c);
    MDB_val k = val_of(c->key);
    int rc = mdb_del(txn, table, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* LMDB says EIO when a write was short, and that is how a disk gets full. To say so of another EIO
 * does no harm: what it had written is not referred to and will be written again, and where its
 * meta page is in doubt it refuses everything from then on by itself. */
static bool disk_is_full(const Lmdb *l)
{
    enum { LITTLE = 16 << 20 };
    const char *path = "";
    uint64_t left;
    mdb_env_get_path(l->env, &path);
    return !path_free_space(slice_of(path), &left) && left < LITTLE;
}

static Err lmdb_write(Index *x, const IndexChange *changes, size_t count)
{
    Lmdb *l = lmdb_of(x);
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);
    if (rc) return lmdb_fail(rc, "begin to write");
    for (size_t i = 0; i < count && !rc; i++)
        rc = change_entry(txn, l->table, &changes[i]);
    if (rc) {
        mdb_txn_abort(txn);
        return lmdb_fail(rc, "write");
    }
    rc = mdb_txn_commit(txn);
    if (rc == EIO && disk_is_full(l)) rc = ENOSPC;
    return rc ? lmdb_fail(rc, "commit") : OK;
}

/* A compact copy first; that refuses (MDB_INCOMPATIBLE) when a page has leaked, then a plain one.
 * Neither syncs. */
static Err lmdb_copy_to(Index *x, Slice path)
{
    Lmdb *l = lmdb_of(x);
    Arena arena_scoped a = {0};
    const char *name = arena_cstr(&a, path);
    int rc = mdb_env_copy2(l->env, name, MDB_CP_COMPACT);
    if (rc && rc != ENOSPC) {
        Err gone = path_unlink(path);
        if (gone && gone != ERR_NOT_FOUND) return gone;
        rc = mdb_env_copy2(l->env, name, 0);
    }
    if (rc) return lmdb_fail(rc, "copy");
    File *file = NULL;
    TRY(file_open(path, FILE_WRITE, &file));
    Err err = file_sync(file);
    file_close(file);
    return err;
}

/* ---- opening ---- */
static void lmdb_close(Index *x)
{
    Lmdb *l = lmdb_of(x);
    for (size_t i = 0; i < l->idle_count; i++)
        mdb_txn_abort(l->idle[i]);
    if (l->env) mdb_env_close(l->env);
    free(l);
}

static int open_table(Lmdb *l)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(l->env, NULL, 0, &txn);
    if (rc) return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &l->table);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* The thread sanitizer has no room for a mapping of 1 TiB. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MAP_BYTES (UINT64_C(8) << 30)
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(MAP_BYTES)
#define MAP_BYTES (UINT64_C(8) << 30)
#endif
#ifndef MAP_BYTES
#define MAP_BYTES (UINT64_C(1) << 40)
#endif

#define MAP_LEAST (UINT64_C(1) << 30)

static int open_env(Lmdb *l, const char *path, uint64_t map_bytes)
{
    int rc = mdb_env_create(&l->env);
    if (rc) return rc;
    rc = mdb_env_set_mapsize(l->env, map_bytes);
    if (!rc) rc = mdb_env_set_maxreaders(l->env, READERS_MOST);
    if (!rc) rc = mdb_env_open(l->env, path, MDB_NOTLS | MDB_NOSUBDIR, 0600);
    return rc ? rc : open_table(l);
}

/* Where the address space is limited (ulimit -v, valgrind) less has to do. */
static int open_mapped(Lmdb *l, const char *path, uint64_t map_bytes)
{
    int rc = open_env(l, path, map_bytes);
    while ((rc == ENOMEM || rc == EINVAL) && map_bytes > MAP_LEAST) {
        mdb_env_close(l->env);
        l->env = NULL;
        map_bytes /= 4;
        rc = open_env(l, path, map_bytes);
    }
    return rc;
}

static Err lmdb_open(Slice path, uint64_t map_bytes, Index **index)
{
    Arena arena_scoped a = {0};
    Lmdb *l = NEW(Lmdb);
    l->index.kind = &index_lmdb;
    int rc = open_mapped(l, arena_cstr(&a, path), map_bytes ? map_bytes : MAP_BYTES);
    if (rc) {
        lmdb_close(&l->index);
        return lmdb_fail(rc, "open");
    }
    l->map = map_of(path);
    *index = &l->index;
    return OK;
}

const IndexKind index_lmdb = {
    .file = "data.mdb",
    .copy = "mdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .get = lmdb_get,
    .scan = lmdb_scan,
    .write = lmdb_write,
    .copy_to = lmdb_copy_to,
    .rest = lmdb_rest,
};
