#pragma once
/* What a wrong password costs: a pause before the answer that doubles with each failure of the same
 * address (IPv6: /64) or the same login, and is forgotten with time. Any loop. */
#include "run/run.h"

typedef struct Throttle Throttle;
Throttle *throttle_new(void);
void throttle_free(Throttle *t);
/* ERR_THROTTLED: too many attempts of this address are waiting already. After OK call throttle_end.
 */
Err throttle_begin(Throttle *t, Slice address) MUST_USE;
/* The attempt was given up before anything was known. */
void throttle_abandon(Throttle *t, Slice address);
/* Counts the failure or forgives the login; gives the pause before the answer. */
int64_t throttle_end(Throttle *t, Slice address, Slice login, bool failed);
