#pragma once
/* Internal to run/: timers in a binary heap; setting, moving and clearing one is O(log n). Timers
 * of the same moment fire in the order they were set. {0} is valid for both. */
#include "base/base.h"

typedef struct Timer {
    int64_t at;
    uint64_t order;
    size_t place; /* in the heap, from 1; 0: not set */
    void (*fire)(struct Timer *);
} Timer;

typedef struct {
    Timer **heap;
    size_t count, room;
    uint64_t order;
} Timers;

void timer_set(Timers *t, Timer *timer, int64_t at); /* moves it if it was set */
void timer_clear(Timers *t, Timer *timer);
Timer *timer_take_due(Timers *t, int64_t now); /* NULL: none is due */
int64_t timers_next(const Timers *t);          /* INT64_MAX: none */
void timers_done(Timers *t);
