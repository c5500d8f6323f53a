#include "auth/throttle.h"

#include "base/table.h"
#include "run/sock.h"

#include <stdlib.h>

enum {
    KNOWN_MOST = 32768,    /* of each kind; twice as many before the oldest are forgotten */
    FORGET_MS = 60 * 1000, /* one failure less each minute */
    FREE_FAILURES = 1,     /* a typo costs nothing */
    PAUSE_FIRST_MS = 2000,
    PAUSE_MOST_MS = 10 * 1000,
    DEBT_MOST_MS = 60 * PAUSE_MOST_MS,
    OWN_DEBT_MOST_MS = 60 * 1000,
    NEWCOMER_MS = 3000,
    FAILURES_MOST = 1000, /* more make no difference */
};
#define FRIEND_MS ((int64_t)30 * 24 * 3600 * 1000)

typedef struct {
    uint32_t failures;
    int64_t last_ms; /* of the last failure, moved on as they are forgotten */
    int64_t told_ms; /* when the last one is told */
    int64_t good_ms; /* of the last success; 0: none */
    int64_t let_ms;  /* when a newcomer was listened to in spite of the debt */
} Record;

/* Two tables: what is looked up moves to the young one; when that is full the old one goes. */
typedef struct {
    Table young, old;
} Memory;

/* Kept apart, so that a flood of one kind makes us forget none of another. */
typedef enum { BY_ADDRESS, BY_LOGIN, BY_BOTH, KINDS } Kind;

struct Throttle {
    Mutex lock;
    Memory memories[KINDS];
};

/* ---- what is remembered ---- */

static void forget(Table *t)
{
    size_t cursor = 0;
    Slice key;
    void *record;
    while (table_next(t, &cursor, &key, &record))
        free(record);
    table_done(t);
}

static Record *recall(Memory *m, Slice key)
{
    Record *r = table_get(&m->young, key);
    if (r) return r;
    if (m->young.count >= KNOWN_MOST) {
        forget(&m->old);
        m->old = m->young;
        m->young = (Table){0};
    }
    r = table_take(&m->old, key);
    if (!r) r = NEW(Record);
    table_put(&m->young, key, r);
    return r;
}

uint64_t throttle_network(Slice address)
{
    char room[NETWORK_ROOM];
    return keyed_hash(address_network(address, room));
}

typedef struct {
    Record *by[KINDS];
} Records;

static void decay(Record *r, int64_t now)
{
    int64_t fewer = (now - r->last_ms) / FORGET_MS;
    if (!r->failures || fewer <= 0) return;
    r->failures -= (uint32_t)MIN((int64_t)r->failures, fewer);
    r->last_ms += fewer * FORGET_MS;
}

static Records records_of(Throttle *t, Slice address, Slice login)
{
    char room[NETWORK_ROOM];
    Slice network = address_network(address, room);
    Buf both buf_scoped = {0};
    buf_bytes(&both, network);
    buf_add(&both, login);
    Slice keys[KINDS] = {network, login, buf_slice(&both)};
    Records r;
    for (Kind k = 0; k < KINDS; k++) {
        r.by[k] = recall(&t->memories[k], keys[k]);
        decay(r.by[k], now_ms());
    }
    return r;
}

Throttle *throttle_new(void)
{
    return NEW(Throttle);
}

void throttle_free(Throttle *t)
{
    if (!t) return;
    for (Kind k = 0; k < KINDS; k++) {
        forget(&t->memories[k].young);
        forget(&t->memories[k].old);
    }
    free(t);
}

/* ---- the verdicts ---- */

static bool is_friend(const Record *both)
{
    return both->good_ms && now_ms() - both->good_ms < FRIEND_MS;
}

static int64_t debt(const Record *r)
{
    return MAX(r->told_ms - now_ms(), (int64_t)0);
}

/* Those behind the same address who do not guess. */
static bool is_let_in(const Records *r)
{
    const Record *own = r->by[BY_BOTH];
    Record *address = r->by[BY_ADDRESS];
    if (is_friend(own)) return debt(own) <= OWN_DEBT_MOST_MS;
    if (own->failures || now_ms() - address->let_ms < NEWCOMER_MS) return false;
    address->let_ms = now_ms();
    return true;
}

static bool admits(Throttle *t, Slice address, Slice login)
{
    mutex_lock(&t->lock);
    Records r = records_of(t, address, login);
    bool good = debt(r.by[BY_ADDRESS]) <= DEBT_MOST_MS || is_let_in(&r);
    mutex_unlock(&t->lock);
    return good;
}

Err throttle_admits(Throttle *t, Slice address, Slice login)
{
    bool good = !t || admits(t, address, login);
    return good ? OK : fail(ERR_THROTTLED, "too many attempts from this address");
}

bool throttle_still_admits(Throttle *t, Slice address, Slice login)
{
    if (!t) return true;
    mutex_lock(&t->lock);
    Records r = records_of(t, address, login);
    bool good = debt(r.by[BY_ADDRESS]) <= DEBT_MOST_MS || !r.by[BY_BOTH]->failures;
    mutex_unlock(&t->lock);
    return good;
}

static int64_t pause_for(uint32_t failures)
{
    if (failures <= FREE_FAILURES) return 0;
    uint32_t doublings = MIN(failures - FREE_FAILURES - 1, 8u);
    return MIN((int64_t)PAUSE_FIRST_MS << doublings, (int64_t)PAUSE_MOST_MS);
}

static void count(Record *r, int64_t debt_most)
{
    int64_t now = now_ms();
    if (!r->failures) r->last_ms = now;
    r->failures = MIN(r->failures + 1, (uint32_t)FAILURES_MOST);
    r->told_ms = MAX(r->told_ms, now) + pause_for(r->failures);
    r->told_ms = MIN(r->told_ms, now + debt_most);
}

int64_t throttle_failed(Throttle *t, Slice address, Slice login, bool *told)
{
    *told = true;
    if (!t) return 0;
    mutex_lock(&t->lock);
    Records r = records_of(t, address, login);
    count(r.by[BY_ADDRESS], INT64_MAX / 2);
    count(r.by[BY_LOGIN], THROTTLE_HOLD_MOST_MS);
    count(r.by[BY_BOTH], INT64_MAX / 2);
    int64_t wait = MAX(debt(r.by[BY_ADDRESS]), debt(r.by[BY_LOGIN]));
    mutex_unlock(&t->lock);
    *told = wait <= THROTTLE_HOLD_MOST_MS;
    return MIN(wait, (int64_t)THROTTLE_HOLD_MOST_MS);
}

void throttle_succeeded(Throttle *t, Slice address, Slice login)
{
    if (!t) return;
    mutex_lock(&t->lock);
    Records r = records_of(t, address, login);
    r.by[BY_BOTH]->failures = 0;
    r.by[BY_BOTH]->good_ms = now_ms() + 1;
    mutex_unlock(&t->lock);
}

int throttle_rank(Throttle *t, Slice address, Slice login)
{
    if (!t) return 1;
    mutex_lock(&t->lock);
    Records r = records_of(t, address, login);
    const Record *own = r.by[BY_BOTH];
    int rank = own->failures ? 2 : is_friend(own) ? 0 : 1;
    mutex_unlock(&t->lock);
    return rank;
}
