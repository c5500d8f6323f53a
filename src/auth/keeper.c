#include "auth/keeper.h"

#include "auth/credential.h"
#include "base/table.h"
#include "base/text.h"
#include "run/file.h"

#include <lmdb.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    HASHES_AT_ONCE =
        2, /* argon2id takes 19 MiB and a core each: never more, or mail stands still */
    HASHES_WAITING_MOST = 64,
    VERIFIED_MOST = 65536,
    VERIFIED_MS = 5 * 60 * 1000,
};

struct Keeper {
    KeeperConfig config;
    MDB_env *env; /* NULL: nothing is kept */
    MDB_dbi logins;
    Credential demo, nobody; /* nobody: what unknown logins are compared with */
    bool has_demo;
    uint8_t secret[32]; /* drawn at start: invented salts, keys of the cache */
    Mutex lock;         /* the cache below; shared by all loops */
    NumberTable
        verified; /* keyed hash of (login, generation, password) -> when it was checked, +1 */
    atomic_int hashing, waiting;
};

/* ---- the database ---- */

static Err db_err(int rc, const char *what)
{
    if (!rc) return OK;
    Err err = rc == MDB_NOTFOUND ? ERR_NOT_FOUND : rc == MDB_MAP_FULL ? ERR_DISK_FULL : ERR_IO;
    return fail(err, "keeper: %s: %s", what, mdb_strerror(rc));
}

static Err db_open(Keeper *k)
{
    Arena a arena_scoped = {0};
    TRY(path_mkdir(k->config.dir));
    TRY(db_err(mdb_env_create(&k->env), "create"));
    TRY(db_err(mdb_env_set_mapsize(k->env, (size_t)4 << 30), "size"));
    int rc = mdb_env_open(k->env, arena_cstr(&a, k->config.dir), MDB_NOTLS, 0600);
    TRY(db_err(rc, "open"));
    MDB_txn *txn;
    TRY(db_err(mdb_txn_begin(k->env, NULL, 0, &txn), "begin"));
    rc = mdb_dbi_open(txn, NULL, 0, &k->logins);
    if (rc) {
        mdb_txn_abort(txn);
        return db_err(rc, "table");
    }
    return db_err(mdb_txn_commit(txn), "commit");
}

static Err db_get(Keeper *k, Slice login, Credential *c)
{
    if (!k->env) return ERR_NOT_FOUND;
    MDB_txn *txn;
    MDB_val key = {login.len, (void *)login.at}, value;
    TRY(db_err(mdb_txn_begin(k->env, NULL, MDB_RDONLY, &txn), "begin"));
    int rc = mdb_get(txn, k->logins, &key, &value);
    Err err = rc ? db_err(rc, "get") : credential_decode(slice(value.mv_data, value.mv_size), c);
    mdb_txn_abort(txn);
    return err;
}

/* value empty: the key goes. Durable when it returns; blocks. */
static Err db_write(Keeper *k, Slice login, Slice value)
{
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

/* Invented salts have to stay the same after a restart, or they would tell which logins exist. */
static Err keep_secret(Keeper *k)
{
    static const char name[] = "\1secret"; /* no login begins with a control character */
    MDB_txn *txn;
    MDB_val key = {sizeof name - 1, (void *)name}, value;
    TRY(db_err(mdb_txn_begin(k->env, NULL, MDB_RDONLY, &txn), "begin"));
    int rc = mdb_get(txn, k->logins, &key, &value);
    if (!rc && value.mv_size == sizeof k->secret)
        memcpy(k->secret, value.mv_data, sizeof k->secret);
    mdb_txn_abort(txn);
    if (!rc) return OK;
    return db_write(k, slice(name, sizeof name - 1), slice(k->secret, sizeof k->secret));
}

/* ---- who is it ---- */

/* u00001 to the number configured, with exactly five digits (six for the hundred-thousandth). */
bool keeper_is_demo(const KeeperConfig *config, Slice login)
{
    uint64_t n;
    if (!config->demo_accounts || login.len < 6 || login.len > 7 || login.at[0] != 'u')
        return false;
    if (!slice_to_u64(slice_from(login, 1), &n) || (login.len == 7 && n < 100000)) return false;
    return n >= 1 && n <= config->demo_accounts;
}

static Err find(Keeper *k, Slice login, Credential *c)
{
    Err err = db_get(k, login, c);
    if (err != ERR_NOT_FOUND || !keeper_is_demo(&k->config, login)) return err;
    *c = k->demo;
    return OK;
}

/* ---- what was verified a moment ago need not be hashed again ---- */

static uint64_t verified_key(Keeper *k, const Credential *c, Slice password)
{
    uint64_t out;
    crypto_generichash_state state;
    crypto_generichash_init(&state, k->secret, sizeof k->secret, 16);
    crypto_generichash_update(&state, (const uint8_t *)&c->generation, sizeof c->generation);
    crypto_generichash_update(&state, (const uint8_t *)password.at, password.len);
    uint8_t full[16];
    crypto_generichash_final(&state, full, sizeof full);
    memcpy(&out, full, sizeof out);
    return out;
}

static bool was_verified(Keeper *k, uint64_t key)
{
    mutex_lock(&k->lock);
    int64_t when = (int64_t)(intptr_t)number_table_get(&k->verified, key) - 1;
    bool fresh = when >= 0 && now_ms() - when < VERIFIED_MS;
    mutex_unlock(&k->lock);
    return fresh;
}

static void remember_verified(Keeper *k, uint64_t key)
{
    mutex_lock(&k->lock);
    if (k->verified.count >= VERIFIED_MOST) number_table_done(&k->verified);
    number_table_put(&k->verified, key, (void *)(intptr_t)(now_ms() + 1));
    mutex_unlock(&k->lock);
}

/* ---- blocking work ---- */

typedef struct {
    Keeper *keeper;
    KeeperRequest *request;
    Credential credential;
    bool right;
    Err err;
} Work;

static void work_verify(void *arg)
{
    Work *w = arg;
    w->right =
        credential_verify(&w->credential, slice(w->request->password, w->request->password_len));
}

static void work_set(void *arg)
{
    Work *w = arg;
    Slice password = slice(w->request->password, w->request->password_len);
    w->err = credential_make(&w->credential, password, &w->keeper->config);
    if (w->err) return;
    Buf stored buf_scoped = {0};
    credential_encode(&stored, &w->credential);
    w->err = db_write(w->keeper, slice_of(w->request->login), buf_slice(&stored));
    wipe(stored.at, stored.len);
}

static void work_remove(void *arg)
{
    Work *w = arg;
    w->err = db_write(w->keeper, slice_of(w->request->login), (Slice){0});
}

/* Few at a time, a bounded queue, then "later". */
PARKS static Err hash_aside(Keeper *k, void (*work)(void *), Work *w)
{
    if (atomic_fetch_add(&k->waiting, 1) >= HASHES_WAITING_MOST) {
        atomic_fetch_sub(&k->waiting, 1);
        return fail(ERR_TEMPORARY, "too many passwords are being checked");
    }
    while (atomic_fetch_add(&k->hashing, 1) >= HASHES_AT_ONCE) {
        atomic_fetch_sub(&k->hashing, 1);
        if (fiber_sleep(5) == WOKEN_CANCELLED) {
            atomic_fetch_sub(&k->waiting, 1);
            return fail(ERR_CANCELLED, "stopping");
        }
    }
    aside(work, w);
    atomic_fetch_sub(&k->hashing, 1);
    atomic_fetch_sub(&k->waiting, 1);
    return OK;
}

/* ---- the answers ---- */

PARKS static Err verify(Keeper *k, KeeperRequest *q)
{
    Work w = {.keeper = k, .request = q};
    Err found = find(k, slice_of(q->login), &w.credential);
    if (found && found != ERR_NOT_FOUND) return ERR_TEMPORARY;
    if (found) w.credential = k->nobody;
    uint64_t key = verified_key(k, &w.credential, slice(q->password, q->password_len));
    if (!found && was_verified(k, key)) return OK;
    TRY(hash_aside(k, work_verify, &w));
    wipe(w.credential.argon2, sizeof w.credential.argon2);
    if (found || !w.right) return fail(ERR_AUTH, "wrong login or password");
    remember_verified(k, key);
    return OK;
}

/* An unknown login gets a salt that is always the same for it, and the usual iterations: RFC 5802 9
 * must not tell who exists. */
static Err scram_begin(Keeper *k, const KeeperRequest *q, KeeperReply *r)
{
    Credential c;
    uint8_t invented[32];
    scram_hmac(SCRAM_SHA256, slice(k->secret, sizeof k->secret), slice_of(q->login), invented);
    Err err = find(k, slice_of(q->login), &c);
    if (err && err != ERR_NOT_FOUND) return ERR_TEMPORARY;
    r->iterations = err ? k->nobody.iterations : c.iterations;
    memcpy(r->salt, err ? invented : c.salt, SCRAM_SALT);
    return OK;
}

static Err scram_end(Keeper *k, const KeeperRequest *q, KeeperReply *r)
{
    Credential c;
    Err err = find(k, slice_of(q->login), &c);
    if (err && err != ERR_NOT_FOUND) return ERR_TEMPORARY;
    if (err) c = k->nobody;
    Slice message = slice(q->message, q->message_len);
    bool right = credential_scram(&c, (ScramHash)q->hash, message, q->proof, r->signature);
    if (!err && right) return OK;
    wipe(r->signature, sizeof r->signature);
    return fail(ERR_AUTH, "wrong login or proof");
}

static Err apop(Keeper *k, const KeeperRequest *q)
{
    Credential c;
    Err err = find(k, slice_of(q->login), &c);
    if (err && err != ERR_NOT_FOUND) return ERR_TEMPORARY;
    if (err) c = k->nobody;
    bool right = credential_apop(&c, slice(q->message, q->message_len), q->proof);
    wipe(c.secret, sizeof c.secret);
    return !err && right ? OK : fail(ERR_AUTH, "wrong login or digest");
}

PARKS static Err set(Keeper *k, KeeperRequest *q)
{
    Work w = {.keeper = k, .request = q};
    TRY(hash_aside(k, work_set, &w));
    wipe(&w.credential, sizeof w.credential);
    return w.err;
}

PARKS static Err forget(Keeper *k, KeeperRequest *q)
{
    Work w = {.keeper = k, .request = q};
    aside(work_remove, &w);
    return w.err;
}

static Err has(Keeper *k, const KeeperRequest *q)
{
    Credential c;
    return find(k, slice_of(q->login), &c);
}

static bool is_sound(const KeeperRequest *q)
{
    return q->hash <= SCRAM_SHA256 && q->password_len <= KEEPER_PASSWORD_MOST &&
           q->message_len <= SCRAM_MESSAGE_MOST && memchr(q->login, 0, sizeof q->login) &&
           q->login[0];
}

PARKS static Err answer(Keeper *k, KeeperRequest *q, KeeperReply *r)
{
    if (!is_sound(q)) return fail(ERR_SYNTAX, "the message to the keeper is not sound");
    switch ((KeeperAsk)q->ask) {
    case KEEPER_VERIFY:
        return verify(k, q);
    case KEEPER_SCRAM_BEGIN:
        return scram_begin(k, q, r);
    case KEEPER_SCRAM_END:
        return scram_end(k, q, r);
    case KEEPER_SET:
        return set(k, q);
    case KEEPER_REMOVE:
        return forget(k, q);
    case KEEPER_HAS:
        return has(k, q);
    case KEEPER_APOP:
        return apop(k, q);
    }
    return fail(ERR_SYNTAX, "unknown message to the keeper");
}

PARKS void keeper_ask(Keeper *k, KeeperRequest *request, KeeperReply *reply)
{
    *reply = (KeeperReply){0};
    reply->err = answer(k, request, reply);
    wipe(request->password, sizeof request->password);
}

/* ---- opening ---- */

static void work_open(void *arg)
{
    Work *w = arg;
    Keeper *k = w->keeper;
    uint8_t unknowable[32];
    random_bytes(unknowable, sizeof unknowable);
    w->err = credential_make(&k->nobody, slice(unknowable, sizeof unknowable), &k->config);
    if (!w->err && k->config.demo_accounts)
        w->err = credential_make(&k->demo, k->config.demo_password, &k->config);
    if (!w->err && k->config.dir.len) w->err = db_open(k);
    if (!w->err && k->env) w->err = keep_secret(k);
}

void keeper_close(Keeper *k)
{
    if (!k) return;
    if (k->env) mdb_env_close(k->env);
    number_table_done(&k->verified);
    wipe(k, sizeof *k);
    free(k);
}

PARKS Err keeper_open(const KeeperConfig *config, Keeper **keeper)
{
    if (sodium_init() < 0) return fail(ERR_TEMPORARY, "libsodium does not start");
    Keeper *k = NEW(Keeper);
    k->config = *config;
    random_bytes(k->secret, sizeof k->secret);
    Work w = {.keeper = k};
    aside(work_open, &w);
    if (w.err) {
        keeper_close(k);
        return w.err;
    }
    *keeper = k;
    return OK;
}
