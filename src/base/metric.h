#pragma once
/* Counters that anybody may look at while we run (metrics.def). Each process has its own; where
 * several work together they lie in memory that all of them share (metrics_use), and are added up
 * by whoever shows them. Any thread. */
#include "base/base.h"

#include <stdatomic.h>

typedef enum {
#define METRIC(symbol, name, labels, type, help) METRIC_##symbol,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
} Metric;

typedef struct {
    atomic_ulong value[METRIC_COUNT];
} Metrics;

extern Metrics *metrics_now;
/* From now on ours are there; what was counted before goes along. NULL: to ourselves again. At
 * start-up and at the end. */
void metrics_use(Metrics *shared);
static inline void metric_add(Metric m, long n)
{
    atomic_fetch_add_explicit(&metrics_now->value[m], (unsigned long)n, memory_order_relaxed);
}
static inline void metric_set(Metric m, uint64_t value)
{
    atomic_store_explicit(&metrics_now->value[m], value, memory_order_relaxed);
}
static inline uint64_t metric_of(const Metrics *of, Metric m)
{
    return atomic_load_explicit(&of->value[m], memory_order_relaxed);
}

/* The sum of all of them in the text format of Prometheus 0.0.4. */
void metrics_print(Buf *out, const Metrics *const *all, size_t count);
