#include "imap/merge.h"
#include "run/run.h"

#include <stdlib.h>

enum { BREATH = 4096 };

typedef struct {
    bool (*comes_before)(const void *arg, uint32_t a, uint32_t b);
    const void *arg;
    const uint32_t *from;
    uint32_t *to;
    size_t work;
} Merge;

PARKS static void merge(Merge *m, size_t left, size_t middle, size_t right)
{
    size_t a = left, b = middle;
    for (size_t i = left; i < right; i++) {
        bool first = b == right || (a < middle && !m->comes_before(m->arg, m->from[b], m->from[a]));
        m->to[i] = m->from[first ? a++ : b++];
        if (++m->work % BREATH == 0) breathe();
    }
}

/* Mail comes nearly in order of date: then there is nothing to merge. */
PARKS static void merge_or_copy(Merge *m, size_t left, size_t middle, size_t right)
{
    if (++m->work % BREATH == 0) breathe();
    if (middle < right && m->comes_before(m->arg, m->from[middle], m->from[middle - 1]))
        merge(m, left, middle, right);
    else
        memcpy(m->to + left, m->from + left, (right - left) * sizeof *m->to);
}

PARKS void merge_sort(uint32_t *rows, size_t count,
                      bool (*comes_before)(const void *arg, uint32_t a, uint32_t b),
                      const void *arg)
{
    if (count < 2) return;
    uint32_t *other = mem_new(array_bytes(count, sizeof *other)), *from = rows, *to = other;
    Merge m = {.comes_before = comes_before, .arg = arg};
    for (size_t width = 1; width < count; width *= 2) {
        m.from = from, m.to = to;
        for (size_t left = 0; left < count; left += 2 * width)
            merge_or_copy(&m, left, MIN(left + width, count), MIN(left + 2 * width, count));
        to = from, from = m.to;
        breathe();
    }
    if (from != rows) memcpy(rows, from, count * sizeof *rows);
    free(other);
}
