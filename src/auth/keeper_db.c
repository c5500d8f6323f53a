#include "auth/keeping.h"

#include "base/text.h"
#include "run/file.h"

static const char secret_name[] = "\1secret"; /* no login begins with a control character */

static Err db_err(int rc, const char *what)
{
    if (!rc) return OK;
    Err err = rc == MDB_NOTFOUND ? ERR_NOT_FOUND : rc == MDB_MAP_FULL ? ERR_DISK_FULL : ERR_IO;
    return fail(err, "keeper: %s: %s", what, mdb_strerror(rc));
}

static Err open_env(Keeper *k, Slice dir)
{
    Arena a arena_scoped = {0};
    TRY(path_mkdir(dir));
    if (mdb_env_create(&k->env) || mdb_env_set_mapsize(k->env, (size_t)4 << 30)) out_of_memory(0);
    MDB_txn *txn = NULL;
    int rc = mdb_env_open(k->env, arena_cstr(&a, dir), MDB_NOTLS, 0600);
    if (!rc) rc = mdb_txn_begin(k->env, NULL, 0, &txn);
    if (!rc) rc = mdb_dbi_open(txn, NULL, 0, &k->logins);
    if (!rc) return db_err(mdb_txn_commit(txn), "commit");
    mdb_txn_abort(txn); /* NULL is fine */
    return db_err(rc, "open");
}

/* read(value, arg) while the transaction lasts. */
static Err read_value(Keeper *k, Slice name, Err (*read)(Slice value, void *arg), void *arg)
{
    if (k->plain_path.len) return keeper_plain_read(k, name, read, arg);
    MDB_txn *txn;
    MDB_val key = {name.len, (void *)name.at}, value;
    TRY(db_err(mdb_txn_begin(k->env, NULL, MDB_RDONLY, &txn), "begin"));
    int rc = mdb_get(txn, k->logins, &key, &value);
    Err err = rc ? db_err(rc, "get") : read(slice(value.mv_data, value.mv_size), arg);
    mdb_txn_abort(txn);
    return err;
}

static Err take_secret(Slice value, void *arg)
{
    Keeper *k = arg;
    if (value.len != sizeof k->secret) return fail(ERR_CORRUPT, "the keeper's secret is damaged");
    memcpy(k->secret, value.at, sizeof k->secret);
    return OK;
}

/* Invented salts have to stay the same after a restart, or they would tell which logins exist; and
 * grants good, or sessions would end. */
static Err keep_secret(Keeper *k)
{
    Slice name = slice(secret_name, sizeof secret_name - 1);
    Err err = read_value(k, name, take_secret, k);
    if (err != ERR_NOT_FOUND) return err;
    return keeper_db_write(k, name, slice(k->secret, sizeof k->secret));
}

/* What is written there is durable only when the names that lead there are. */
Err keeper_db_open(Keeper *k, Slice dir)
{
    TRY(run_is_simulated() ? keeper_plain_open(k, dir) : open_env(k, dir));
    TRY(keep_secret(k));
    TRY(path_sync_dir(dir));
    return path_sync_dir(path_parent(dir));
}

static Err take_credential(Slice value, void *arg)
{
    return credential_decode(value, arg);
}

Err keeper_db_find(Keeper *k, Slice login, Credential *c)
{
    bool keeps = k->env || k->plain_path.len;
    Err err = keeps ? read_value(k, login, take_credential, c) : ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND || !keeper_is_demo(keeper_config(k), login)) return err;
    return keeper_demo(k, c);
}

Err keeper_db_write(Keeper *k, Slice login, Slice value)
{
    if (k->plain_path.len) return keeper_plain_write(k, login, value);
    if (!k->env) return fail(ERR_UNSUPPORTED, "this keeper keeps nothing");
    MDB_txn *txn;
    MDB_val key = {login.len, (void *)login.at}, data = {value.len, (void *)value.at};
    TRY(db_err(mdb_txn_begin(k->env, NULL, 0, &txn), "begin"));
    int rc =
        value.len ? mdb_put(txn, k->logins, &key, &data, 0) : mdb_del(txn, k->logins, &key, NULL);
    if (rc) {
        mdb_txn_abort(txn);
        return db_err(rc, "write");
    }
    return db_err(mdb_txn_commit(txn), "commit");
}
