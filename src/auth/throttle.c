#include "auth/throttle.h"

#include "base/table.h"

#include <stdlib.h>

enum {
    KNOWN_MOST = 65536,    /* addresses and logins remembered; then all is forgotten at once */
    FORGET_MS = 60 * 1000, /* one failure less each minute */
    FREE_FAILURES = 1,     /* a typo costs nothing */
    PAUSE_FIRST_MS = 500,
    PAUSE_MOST_MS = 15 * 1000,
    WAITING_MOST = 8, /* attempts in flight of an address that has failed lately */
};

typedef struct {
    uint32_t failures, in_flight;
    int64_t last_ms;
} Record;

struct Throttle {
    Mutex lock;
    Table records; /* "a:" address or "l:" login */
};

Throttle *throttle_new(void)
{
    return NEW(Throttle);
}

static void forget_all(Throttle *t)
{
    size_t cursor = 0;
    Slice key;
    void *record;
    while (table_next(&t->records, &cursor, &key, &record))
        free(record);
    table_done(&t->records);
}

void throttle_free(Throttle *t)
{
    if (!t) return;
    forget_all(t);
    free(t);
}

/* The first 64 bits of an IPv6 address belong to one customer. */
static Slice network_of(Slice address)
{
    size_t colons = 0;
    for (size_t i = 0; i < address.len; i++)
        if (address.at[i] == ':' && ++colons == 4) return slice_first(address, i);
    return address;
}

static Record *record_of(Throttle *t, char kind, Slice name)
{
    char key[300] = {kind, ':'};
    name = slice_first(name, sizeof key - 2);
    if (name.len) memcpy(key + 2, name.at, name.len);
    Slice k = slice(key, name.len + 2);
    Record *r = table_get(&t->records, k);
    if (!r) table_put(&t->records, k, r = NEW(Record));
    int64_t fewer = (now_ms() - r->last_ms) / FORGET_MS;
    if (r->failures && fewer > 0) {
        r->failures -= (uint32_t)MIN((int64_t)r->failures, fewer);
        r->last_ms = now_ms();
    }
    return r;
}

static bool is_crowded(const Record *r)
{
    return r->failures > FREE_FAILURES && r->in_flight >= WAITING_MOST;
}

Err throttle_begin(Throttle *t, Slice address)
{
    mutex_lock(&t->lock);
    if (t->records.count > KNOWN_MOST) forget_all(t);
    Record *r = record_of(t, 'a', network_of(address));
    bool crowded = is_crowded(r);
    if (!crowded) r->in_flight++;
    mutex_unlock(&t->lock);
    return crowded ? fail(ERR_THROTTLED, "too many attempts from this address") : OK;
}

void throttle_abandon(Throttle *t, Slice address)
{
    mutex_lock(&t->lock);
    Record *r = record_of(t, 'a', network_of(address));
    if (r->in_flight) r->in_flight--;
    mutex_unlock(&t->lock);
}

static int64_t pause_for(uint32_t failures)
{
    if (failures <= FREE_FAILURES) return 0;
    uint32_t doublings = MIN(failures - FREE_FAILURES - 1, 10u);
    return MIN((int64_t)PAUSE_FIRST_MS << doublings, (int64_t)PAUSE_MOST_MS);
}

int64_t throttle_end(Throttle *t, Slice address, Slice login, bool failed)
{
    mutex_lock(&t->lock);
    Record *a = record_of(t, 'a', network_of(address)), *l = record_of(t, 'l', login);
    if (a->in_flight) a->in_flight--;
    if (failed) {
        a->failures++, l->failures++;
        a->last_ms = l->last_ms = now_ms();
    } else {
        l->failures = 0;
        a->failures /= 2;
    }
    int64_t pause = failed ? pause_for(MAX(a->failures, l->failures)) : 0;
    mutex_unlock(&t->lock);
    return pause;
}
