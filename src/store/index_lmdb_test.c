#include "run/context.h"
#include "store/index.h"

#include "base/test.h"
#include "run/file.h"
#include "run/sim.h"
#include "store/index_walk.h"

#include <dlfcn.h>
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

/* Every call to LMDB failing in turn, by what it may say. Its functions stand here in front of
 * those of the library. */

enum { PRETEND = -1, MAP = 64 << 20 };
static int calls, fails_at, fails_with;
static bool on, ever;

static int next_fails(void)
{
    if (!on) return 0;
    calls++;
    return calls == fails_at || (ever && calls > fails_at) ? fails_with : 0;
}

#define FRONT(name, params, args)                                                                  \
    int name params                                                                                \
    {                                                                                              \
        static int(*real) params;                                                                  \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);                                      \
        int rc = next_fails();                                                                     \
        return rc == PRETEND ? 0 : rc ? rc : real args;                                            \
    }

FRONT(mdb_env_create, (MDB_env * *env), (env))
FRONT(mdb_env_set_mapsize, (MDB_env * env, size_t size), (env, size))
FRONT(mdb_env_set_maxreaders, (MDB_env * env, unsigned int readers), (env, readers))
FRONT(mdb_env_open, (MDB_env * env, const char *path, unsigned int flags, mdb_mode_t mode),
      (env, path, flags, mode))
FRONT(mdb_env_copy2, (MDB_env * env, const char *path, unsigned int flags), (env, path, flags))
FRONT(mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned int flags, MDB_txn **txn),
      (env, parent, flags, txn))
FRONT(mdb_txn_renew, (MDB_txn * txn), (txn))
FRONT(mdb_dbi_open, (MDB_txn * txn, const char *name, unsigned int flags, MDB_dbi *dbi),
      (txn, name, flags, dbi))
FRONT(mdb_get, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data))
FRONT(mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags),
      (txn, dbi, key, data, flags))
FRONT(mdb_del, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), (txn, dbi, key, data))
FRONT(mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor), (txn, dbi, cursor))
FRONT(mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op),
      (cursor, key, data, op))

/* It frees the transaction, whatever it says. */
int mdb_txn_commit(MDB_txn *txn)
{
    static int (*real)(MDB_txn *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "mdb_txn_commit");
    int rc = next_fails();
    if (!rc) return real(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* ---- a place ---- */

typedef struct {
    char dir[64];
    Slice file, copy;
    Arena arena;
} Place;

static void place_init(Place *p)
{
    *p = (Place){.dir = "/tmp/posthouse-lmdb-XXXXXX"};
    check(mkdtemp(p->dir) != NULL);
    p->file = arena_printf(&p->arena, "%s/index", p->dir);
    p->copy = arena_printf(&p->arena, "%s/copy", p->dir);
}

static void place_done(Place *p)
{
    Slice rm = arena_printf(&p->arena, "rm -rf %s", p->dir);
    check(!system(arena_cstr(&p->arena, rm)));
    arena_done(&p->arena);
}

static const IndexChange changes[] = {
    {{"pa", 2},   {"one", 3}, false},
    {{"pb", 2},   {"two", 3}, false},
    {{"gone", 4}, {NULL, 0},  true },
    {{"pc", 2},   {NULL, 0},  false},
};

static bool count_entry(void *arg, Slice key, Slice value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return true;
}

static Err use(Index *x, Place *p)
{
    Slice value;
    unsigned count = 0;
    TRY(index_write(x, changes, COUNT(changes)));
    TRY(index_get(x, S("pb"), &p->arena, &value));
    TRY(index_scan(x, S("p"), (Slice){0}, count_entry, &count));
    check(slice_eq(value, S("two")) && count == 3);
    return index_copy_to(x, p->copy);
}

static Err open_and_use(Place *p, Index **x)
{
    TRY(index_open(&index_lmdb, p->file, MAP, x));
    return use(*x, p);
}

/* ---- the walk ---- */

static Err said_for(int rc)
{
    if (rc == MDB_NOTFOUND) return ERR_NOT_FOUND;
    if (rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL) return ERR_DISK_FULL;
    if (rc == EIO || rc == EACCES) return ERR_IO;
    return rc == ENOMEM || rc == MDB_READERS_FULL ? ERR_TEMPORARY : ERR_CORRUPT;
}

/* False: there are not so many calls. */
static bool one_failing(int rc, int at)
{
    Place p;
    Index *x = NULL;
    place_init(&p);
    calls = 0, fails_at = at, fails_with = rc, on = true;
    Err err = open_and_use(&p, &x);
    on = false;
    bool came = calls >= at;
    /* some are gone around: less address space, another way to copy; nothing to be deleted, the end
     * of a scan */
    check(!err || err == said_for(rc));
    index_close(x);
    x = NULL;
    check_ok(open_and_use(&p, &x));
    index_close(x);
    place_done(&p);
    return came;
}

TEST(every_call_to_lmdb_may_fail)
{
    static const int codes[] = {EIO,           ENOSPC,
                                EDQUOT,        MDB_MAP_FULL,
                                MDB_CORRUPTED, MDB_PAGE_NOTFOUND,
                                MDB_INVALID,   MDB_VERSION_MISMATCH,
                                MDB_PANIC,     MDB_BAD_TXN,
                                ENOMEM,        MDB_READERS_FULL,
                                EACCES};
    for (size_t i = 0; i < COUNT(codes); i++) {
        int at = 1;
        while (at < 100 && one_failing(codes[i], at))
            at++;
        check(at > 12 && at < 100);
    }
}

TEST(where_there_is_no_address_space_no_index_is_opened)
{
    Place p;
    Index *x = NULL;
    if (RUN_TSAN) return; /* begins with so little that it does not try again */
    place_init(&p);
    calls = 0, fails_at = 1, fails_with = ENOMEM, on = ever = true;
    Err err = index_open(&index_lmdb, p.file, 0, &x);
    check(err == ERR_TEMPORARY && calls > 3);
    calls = 0, fails_at = 3, fails_with = EINVAL;
    check(index_open(&index_lmdb, p.file, 0, &x) == ERR_IO && calls > 3);
    on = ever = false;
    place_done(&p);
}

/* ---- copies ---- */

TEST(a_copy_that_is_not_there_is_no_copy)
{
    Place p;
    Index *x = NULL;
    place_init(&p);
    check_ok(index_open(&index_lmdb, p.file, MAP, &x));
    calls = 0, fails_at = 1, fails_with = PRETEND, on = true;
    check_err(index_copy_to(x, p.copy), ERR_NOT_FOUND);
    calls = 0, fails_at = 1, fails_with = EIO;
    check_ok(index_copy_to(x, p.copy)); /* not compact, but whole */
    on = false;
    check(index_copy_to(x, slice_of(p.dir)) != OK); /* cannot be unlinked */
    index_close(x);
    place_done(&p);
}

/* ---- entries that are not whole ---- */

static void put_raw(Place *p, Slice key, Slice value)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    MDB_val k = {key.len, (void *)(uintptr_t)key.at}, v = {value.len, (void *)(uintptr_t)value.at};
    must(!mdb_env_create(&env) && !mdb_env_set_mapsize(env, MAP));
    must(!mdb_env_open(env, arena_cstr(&p->arena, p->file), MDB_NOSUBDIR, 0600));
    must(!mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, NULL, 0, &table));
    must(!mdb_put(txn, table, &k, &v, 0) && !mdb_txn_commit(txn));
    mdb_env_close(env);
}

TEST(an_entry_without_its_checksum_is_damage)
{
    Place p;
    Index *x = NULL;
    Slice value;
    unsigned count = 0;
    place_init(&p);
    check_ok(open_and_use(&p, &x));
    index_close(x);
    put_raw(&p, S("pb"), S("xy"));
    put_raw(&p, S("pc"), S("xyxyxyxy"));
    check_ok(index_open(&index_lmdb, p.file, MAP, &x));
    check_err(index_get(x, S("pb"), &p.arena, &value), ERR_CORRUPT);
    check_err(index_get(x, S("pc"), &p.arena, &value), ERR_CORRUPT);
    check_ok(index_get(x, S("pa"), &p.arena, &value));
    check_err(index_scan(x, S("p"), (Slice){0}, count_entry, &count), ERR_CORRUPT);
    check_u64(count, 1);
    check_err(index_scan(x, S("p"), S("pc"), count_entry, &count), ERR_CORRUPT);
    index_close(x);
    place_done(&p);
}

/* ---- many readers ---- */

typedef struct {
    Index *x;
    unsigned depth;
} Nested;

static bool go_deeper(void *arg, Slice key, Slice value)
{
    Nested *n = arg;
    (void)key;
    (void)value;
    if (n->depth++ < 20) check_ok(index_scan(n->x, S("p"), (Slice){0}, go_deeper, n));
    return false;
}

TEST(more_readers_at_once_than_are_kept)
{
    Place p;
    Nested n = {0};
    place_init(&p);
    check_ok(open_and_use(&p, &n.x));
    check_ok(index_scan(n.x, S("p"), (Slice){0}, go_deeper, &n));
    check_u64(n.depth, 21);
    index_close(n.x);
    place_done(&p);
}

/* ---- walked through without LMDB ---- */

typedef struct {
    Slice octets;
    SimDiskPlan *plan;
    uint64_t reads; /* of a whole walk */
} Walked;

static PARKS void walk_there(void *arg)
{
    Walked *w = arg;
    IndexWalk whole = {0};
    check_err(index_walk(S("nowhere"), &whole), ERR_NOT_FOUND);
    check_ok(path_replace(S("index"), w->octets));
    uint64_t before = w->plan->reads;
    check_ok(index_walk(S("index"), &whole));
    w->reads = w->plan->reads - before;
    check(!whole.damaged && whole.entries == 300);
    for (uint64_t at = 1; at <= w->reads; at++) {
        IndexWalk walk = {0};
        w->plan->fail_read_at = w->plan->reads + at;
        Err err = index_walk(S("index"), &walk);
        check(err == ERR_CORRUPT || err == ERR_IO || walk.damaged);
        check(walk.entries < whole.entries || walk.damaged);
    }
}

TEST(an_index_is_walked_on_a_failing_disk)
{
    Place p;
    Index *x = NULL;
    Walked w = {0};
    SimDisk *disk = sim_disk_new(64 << 20);
    Buf big buf_scoped = {0};
    place_init(&p);
    check_ok(index_open(&index_lmdb, p.file, MAP, &x));
    for (unsigned i = 0; i < 300; i++) {
        buf_clear(&big);
        while (big.len < (i % 50 ? 30 : 9000))
            buf_printf(&big, "value %u ", i);
        IndexChange c = {.key = arena_printf(&p.arena, "key %u", i), .value = buf_slice(&big)};
        check_ok(index_write(x, &c, 1));
    }
    index_close(x);
    check_ok(path_read(p.file, MAP, &p.arena, &w.octets));
    w.plan = sim_disk_plan(disk);
    check_ok(sim_run(&(SimConfig){.seed = 1, .disk = disk, .loops = 1}, walk_there, &w));
    check(w.reads > 10);
    sim_disk_free(disk);
    place_done(&p);
}
