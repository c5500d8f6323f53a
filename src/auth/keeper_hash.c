/* Argon2id takes 19 MiB and a core for each password: few at a time, or mail stands still. Whoever
 * guesses from many connections waits behind whoever does not. */
#include "auth/keeping.h"
#include "base/metric.h"

#include "base/text.h"

#include <sodium.h>

enum {
    HASHES_AT_ONCE = 2,
    HASHES_WAITING_MOST = 256,
    VERIFIED_MOST = 65536,
    VERIFIED_MS = 5 * 60 * 1000,
};

typedef struct {
    Link of_queue;
    uint64_t network, login; /* login: and network */
    int rank;
    unsigned behind, behind_own; /* how many of the same network, and login, stand before it */
    Loop *loop;
    Task task;
    Cond called;
    bool is_called, is_sent_away;
} Waiter;

/* In turn by login, then by network: neither who guesses at one from many connections nor who tries
 * many logins keeps the others waiting. */
static bool goes_first(const Waiter *a, const Waiter *b)
{
    if (a->rank != b->rank) return a->rank < b->rank;
    if (a->behind_own != b->behind_own) return a->behind_own < b->behind_own;
    return a->behind < b->behind;
}

static void wake(Task *t)
{
    Waiter *w = CONTAINER(t, Waiter, task);
    w->is_called = true;
    cond_signal(&w->called);
}

static void leave(HashQueue *q, Waiter *w)
{
    list_remove(&w->of_queue);
    q->count--;
    list_each (link, &q->waiting) {
        Waiter *other = CONTAINER(link, Waiter, of_queue);
        other->behind -= other->network == w->network && other->behind > w->behind;
        other->behind_own -= other->login == w->login && other->behind_own > w->behind_own;
    }
    loop_post(w->loop, &w->task); /* which may be the last that is seen of it */
}

/* The first of those who go first, or the last of those who go last. */
static Waiter *find(HashQueue *q, bool first)
{
    Waiter *found = NULL;
    list_each (link, &q->waiting) {
        Waiter *w = CONTAINER(link, Waiter, of_queue);
        if (!found || (first ? goes_first(w, found) : !goes_first(w, found))) found = w;
    }
    return found;
}

/* Into the queue, or at once to work (true). */
static bool enter(HashQueue *q, Waiter *w)
{
    if (!q->waiting.next) list_init(&q->waiting);
    if (q->running < HASHES_AT_ONCE) {
        q->running++;
        return true;
    }
    list_each (link, &q->waiting) {
        const Waiter *other = CONTAINER(link, Waiter, of_queue);
        w->behind += other->network == w->network;
        w->behind_own += other->login == w->login;
    }
    list_add(&q->waiting, &w->of_queue);
    if (++q->count > HASHES_WAITING_MOST) {
        Waiter *last = find(q, false);
        must(last); /* at least w */
        last->is_sent_away = true;
        leave(q, last);
    }
    return false;
}

static void end(HashQueue *q)
{
    mutex_lock(&q->lock);
    Waiter *next = find(q, true);
    if (next)
        leave(q, next);
    else
        q->running--;
    mutex_unlock(&q->lock);
}

Err hash_aside(Keeper *k, int rank, Slice address, Slice login, void (*work)(void *), void *arg)
{
    Waiter w = {.rank = rank, .loop = loop_current()};
    w.network = throttle_network(address);
    w.login = w.network ^ keyed_hash(login);
    w.task.run = wake;
    mutex_lock(&k->queue.lock);
    bool now = enter(&k->queue, &w);
    mutex_unlock(&k->queue.lock);
    if (!now) metric_add(METRIC_PASSWORDS_WAITING, 1);
    while (!now && !w.is_called)
        cond_wait(&w.called, NEVER);
    if (!now) metric_add(METRIC_PASSWORDS_WAITING, -1);
    if (w.is_sent_away) return fail(ERR_TEMPORARY, "too many passwords are being checked");
    metric_add(METRIC_PASSWORDS_CHECKED, 1);
    aside(work, arg);
    end(&k->queue);
    return OK;
}

/* ---- what was verified a moment ago ---- */

uint64_t verified_key(Keeper *k, const Credential *c, Slice password)
{
    uint64_t out;
    uint8_t full[16];
    crypto_generichash_state state;
    crypto_generichash_init(&state, k->cache_key, sizeof k->cache_key, sizeof full);
    if (!PLANTED("old_password"))
        crypto_generichash_update(&state, (const uint8_t *)&c->generation, sizeof c->generation);
    crypto_generichash_update(&state, (const uint8_t *)password.at, password.len);
    crypto_generichash_final(&state, full, sizeof full);
    memcpy(&out, full, sizeof out);
    wipe(&state, sizeof state);
    return out;
}

static int64_t remember_ms(const Keeper *k)
{
    int64_t ms = keeper_config(k)->password_remember_ms;
    return ms ? ms : VERIFIED_MS;
}

bool was_verified(Keeper *k, uint64_t key)
{
    mutex_lock(&k->lock);
    int64_t when = (int64_t)(intptr_t)number_table_get(&k->verified, key) - 1;
    bool fresh = when >= 0 && now_ms() - when < remember_ms(k);
    mutex_unlock(&k->lock);
    return fresh;
}

void remember_verified(Keeper *k, uint64_t key)
{
    mutex_lock(&k->lock);
    if (k->verified.count >= VERIFIED_MOST) number_table_done(&k->verified);
    number_table_put(&k->verified, key, (void *)(intptr_t)(now_ms() + 1));
    mutex_unlock(&k->lock);
}
