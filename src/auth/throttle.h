#pragma once
/* What guessing costs. A right password is answered at once, whatever else goes on: only wrong ones
 * wait, one behind the other. Each address (IPv6: /64) and each login has a timetable: a failure is
 * told when the one before has been told and a pause is over, which grows from nothing (a typo is
 * free) to ten seconds. So ten failures take over a minute, one after the other or all at once, by
 * one connection or by fifty.
 *
 * What is still to be told is a debt. Whoever does not wait for it has it all the same; with a debt
 * of ten minutes an address is not listened to any more (sixty guesses at first, then one in ten
 * seconds). Those who have logged in from there before are: their own debt counts, not their
 * neighbours'; and every three seconds one for a login that nobody guessed at from there. A login
 * is never shut: its owner elsewhere must not suffer from who guesses at it.
 *
 * In memory only; the oldest are forgotten first. Any loop. */
#include "run/run.h"

typedef struct Throttle Throttle;
Throttle *throttle_new(void);
void throttle_free(Throttle *t);

/* May this attempt be judged? ERR_THROTTLED: that address owes too much. */
Err throttle_admits(Throttle *t, Slice address, Slice login) MUST_USE;
/* The same, when it has waited for its turn: others may have failed in between. */
bool throttle_still_admits(Throttle *t, Slice address, Slice login);
/* It was judged wrong: how long from now it has to be held back, THROTTLE_HOLD_MOST_MS at most;
 * *told: the pause ends by then, so that the failure may be told; else it is said that there are
 * too many attempts. */
int64_t throttle_failed(Throttle *t, Slice address, Slice login, bool *told);
/* Right: from now on known there. The timetables go on as they are: whoever guesses may sit behind
 * the same address. */
void throttle_succeeded(Throttle *t, Slice address, Slice login);
/* Who goes first where many wait to be judged: 0 who has logged in from there before, 1 who is new
 * there, 2 whose login has failed there. */
int throttle_rank(Throttle *t, Slice address, Slice login);

/* The same number for all addresses of one customer. */
uint64_t throttle_network(Slice address);

enum { THROTTLE_HOLD_MOST_MS = 60 * 1000 };
