#include "auth/keeping.h"
#include "auth/scram.h"
#include "auth/state.h"

#include "base/json.h"
#include "base/text.h"
#include "net/caller.h"

#include <sodium.h>
#include <stdlib.h>

enum { ASK_MS = 15 * 1000 };

/* ---- asking ---- */

typedef struct {
    MemoKind question, answer;
} Pair;

static const Pair pairs[] = {
    {MEMO_VERIFY,      MEMO_VERDICT     },
    {MEMO_SCRAM_BEGIN, MEMO_SCRAM_SALT  },
    {MEMO_SCRAM_END,   MEMO_VERDICT     },
    {MEMO_APOP,        MEMO_VERDICT     },
    {MEMO_TOKEN,       MEMO_VERDICT     },
    {MEMO_VOUCH,       MEMO_VERDICT     },
    {MEMO_WRONG,       MEMO_VERDICT     },
    {MEMO_CANONICAL,   MEMO_LOGIN       },
    {MEMO_SET,         MEMO_DONE        },
    {MEMO_REMOVE,      MEMO_DONE        },
    {MEMO_HAS,         MEMO_DONE        },
    {MEMO_GRANT_KEY,   MEMO_GRANT_KEY_IS},
};

static bool fits(MemoKind question, MemoKind answer)
{
    for (size_t i = 0; i < COUNT(pairs); i++)
        if (pairs[i].question == question) return pairs[i].answer == answer;
    return false;
}

PARKS Err keeper_ask(Keeper *k, const Memo *question, Memo *answer, Buf *memory)
{
    *answer = (Memo){0};
    TRY(k->caller ? caller_ask(k->caller, question, now_ms() + ASK_MS, answer, memory)
                  : keeper_judge(k, question, false, answer, memory));
    return fits(question->kind, answer->kind)
               ? OK
               : fail(ERR_TEMPORARY, "the keeper answers %s with %s", memo_name(question->kind),
                      memo_name(answer->kind));
}

/* ---- opening ---- */

/* u00001 to the number configured, with exactly five digits (six for the hundred-thousandth). */
bool keeper_is_demo(const AuthConfig *config, Slice login)
{
    uint64_t n;
    if (!config->demo_accounts || login.len < 6 || login.len > 7 || login.at[0] != 'u')
        return false;
    if (!slice_to_u64(slice_from(login, 1), &n) || (login.len == 7 && n < 100000)) return false;
    return n >= 1 && n <= config->demo_accounts;
}

Keeper *keeper_remote(struct Caller *caller)
{
    Keeper *k = NEW(Keeper);
    k->caller = caller;
    return k;
}

void keeper_reload(Keeper *k, const AuthConfig *config)
{
    if (!k->caller) atomic_store(&k->config, config_keep(&k->memory, config));
}

/* Made when it is first asked for: nobody's start waits for it. */
Err keeper_demo(Keeper *k, Credential *c)
{
    const AuthConfig *config = keeper_config(k);
    mutex_lock(&k->demo_lock);
    Err err = k->demo.iterations ? OK : credential_make(&k->demo, config->demo_password, config);
    if (err) k->demo = (Credential){0};
    *c = k->demo;
    mutex_unlock(&k->demo_lock);
    return err;
}

static Err open_here(Keeper *k)
{
    const AuthConfig *config = keeper_config(k);
    random_bytes(k->secret, sizeof k->secret);
    random_bytes(k->cache_key, sizeof k->cache_key);
    TRY(oauth_load(k->oauth, &config->oauth));
    TRY(credential_invent(&k->nobody, config));
    if (config->dir.len) TRY(keeper_db_open(k, config->dir));
    scram_hmac(SCRAM_SHA256, slice(k->secret, sizeof k->secret), S("grant"), k->grant.octets);
    return OK;
}

typedef struct {
    Keeper *keeper;
    Err err;
} Opening;

static void work_open(void *arg)
{
    Opening *o = arg;
    o->err = open_here(o->keeper);
}

void keeper_close(Keeper *k)
{
    if (!k) return;
    if (k->env) mdb_env_close(k->env);
    buf_done(&k->plain);
    number_table_done(&k->verified);
    throttle_free(k->throttle);
    oauth_free(k->oauth);
    arena_done(&k->memory);
    wipe(k, sizeof *k);
    free(k);
}

PARKS Err keeper_open(const AuthConfig *config, Keeper **keeper)
{
    if (sodium_init() < 0) return fail(ERR_TEMPORARY, "libsodium does not start");
    Keeper *k = NEW(Keeper);
    Opening o = {.keeper = k};
    json_seed(random_u64());
    k->oauth = oauth_new();
    if (config->throttle) k->throttle = throttle_new();
    atomic_store(&k->config, config_keep(&k->memory, config));
    aside(work_open, &o);
    if (o.err)
        keeper_close(k);
    else
        *keeper = k;
    return o.err;
}
