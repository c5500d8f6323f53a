#pragma once
/* Internal to the keeper: what its files share. No other file of this room includes it. */
#include "auth/credential.h"
#include "auth/grant.h"
#include "auth/oauth.h"
#include "auth/throttle.h"
#include "base/table.h"

#include <lmdb.h>
#include <stdatomic.h>

/* Passwords that wait to be hashed (keeper_hash.c). */
typedef struct {
    Mutex lock;
    Link waiting;
    unsigned count, running;
} HashQueue;

struct Keeper {
    struct Caller *caller; /* of a remote one, which has nothing else */
    Arena memory;
    _Atomic(const AuthConfig *) config;
    MDB_env *env; /* NULL: nothing is kept, or in a plain file */
    MDB_dbi logins;
    Slice plain_path; /* keeper_plain.c; empty: not there */
    Buf plain;
    Mutex plain_lock;
    Credential nobody; /* what unknown logins are compared with */
    Mutex demo_lock;
    Credential demo;
    uint8_t secret[32];    /* kept: invented salts, grants */
    uint8_t cache_key[32]; /* drawn at every start */
    GrantKey grant;
    Throttle *throttle; /* NULL: off */
    Oauth *oauth;
    HashQueue queue;
    Mutex lock;           /* the table below; shared by all loops */
    NumberTable verified; /* keyed hash of (generation, password) -> when it was checked, +1 */
};

/* ---- keeper.c ---- */
Err keeper_demo(Keeper *k, Credential *c) MUST_USE; /* of the demo's accounts */

/* ---- keeper_db.c: an LMDB environment, login -> Credential ---- */
Err keeper_db_open(Keeper *k, Slice dir) MUST_USE;
/* Those of demo accounts too. ERR_NOT_FOUND. */
Err keeper_db_find(Keeper *k, Slice login, Credential *c) MUST_USE;
/* value empty: the key goes. Durable when it returns; blocks. */
Err keeper_db_write(Keeper *k, Slice login, Slice value) MUST_USE;

/* ---- keeper_plain.c: the same on the simulated disk ---- */
Err keeper_plain_open(Keeper *k, Slice dir) MUST_USE;
Err keeper_plain_read(Keeper *k, Slice name, Err (*read)(Slice value, void *arg),
                      void *arg) MUST_USE;
Err keeper_plain_write(Keeper *k, Slice login, Slice value) MUST_USE;

/* ---- keeper_hash.c ---- */
/* Runs work(arg), which hashes, on a helper; few at a time. Who waits is served by rank, then in
 * turn by login and network. ERR_TEMPORARY: too many wait, most of them like this one. */
PARKS Err hash_aside(Keeper *k, int rank, Slice address, Slice login, void (*work)(void *),
                     void *arg) MUST_USE;
/* What was verified a moment ago need not be hashed again. */
uint64_t verified_key(Keeper *k, const Credential *c, Slice password);
bool was_verified(Keeper *k, uint64_t key);
void remember_verified(Keeper *k, uint64_t key);

/* ---- keeper_answer.c ---- */
/* sealed: a right one gets a grant, for whoever does not know us as a neighbour. */
PARKS Err keeper_judge(Keeper *k, const Memo *question, bool sealed, Memo *answer, Buf *memory);
static inline const AuthConfig *keeper_config(const Keeper *k)
{
    return atomic_load(&k->config);
}
