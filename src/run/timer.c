#include "run/timer.h"

#include <stdlib.h>

static bool comes_before(const Timer *a, const Timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(Timers *t, size_t place, Timer *timer)
{
    t->heap[place - 1] = timer;
    timer->place = place;
}

static void move_up(Timers *t, Timer *timer)
{
    size_t i = timer->place;
    for (; i > 1 && comes_before(timer, t->heap[i / 2 - 1]); i /= 2)
        put(t, i, t->heap[i / 2 - 1]);
    put(t, i, timer);
}

static void move_down(Timers *t, Timer *timer)
{
    size_t i = timer->place;
    while (i * 2 <= t->count) {
        size_t child = i * 2;
        if (child < t->count && comes_before(t->heap[child], t->heap[child - 1])) child++;
        if (!comes_before(t->heap[child - 1], timer)) break;
        put(t, i, t->heap[child - 1]);
        i = child;
    }
    put(t, i, timer);
}

static void add_last(Timers *t, Timer *timer)
{
    if (t->count == t->room) {
        t->room = MAX(t->room * 2, (size_t)64);
        t->heap = mem_grow(t->heap, array_bytes(t->room, sizeof *t->heap));
    }
    put(t, ++t->count, timer);
}

void timer_set(Timers *t, Timer *timer, int64_t at)
{
    timer->at = at;
    timer->order = t->order++;
    if (!timer->place) add_last(t, timer);
    move_up(t, timer);
    move_down(t, timer);
}

void timer_clear(Timers *t, Timer *timer)
{
    if (!timer->place) return;
    size_t place = timer->place;
    timer->place = 0;
    Timer *last = t->heap[--t->count];
    if (last == timer) return;
    put(t, place, last);
    move_up(t, last);
    move_down(t, last);
}

Timer *timer_take_due(Timers *t, int64_t now)
{
    if (!t->count || t->heap[0]->at > now) return NULL;
    Timer *due = t->heap[0];
    timer_clear(t, due);
    return due;
}

int64_t timers_next(const Timers *t)
{
    return t->count ? t->heap[0]->at : INT64_MAX;
}

void timers_done(Timers *t)
{
    free(t->heap);
    *t = (Timers){0};
}
