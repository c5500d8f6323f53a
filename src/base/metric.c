#include "base/metric.h"

static Metrics own;
Metrics *metrics_now = &own;

void metrics_use(Metrics *shared)
{
    Metrics *before = metrics_now;
    metrics_now = shared ? shared : &own;
    if (!shared) return;
    for (Metric m = 0; m < METRIC_COUNT; m++)
        metric_add(m, (long)metric_of(before, m));
}

typedef struct {
    const char *name, *labels, *type, *help;
} Row;

#define COUNTER "counter"
#define GAUGE   "gauge"
static const Row rows[METRIC_COUNT] = {
#define METRIC(symbol, name, labels, type, help) {name, labels, type, help},
#include "base/metrics.def"
#undef METRIC
};

static void print_head(Buf *out, const Row *row)
{
    buf_printf(out, "# HELP posthouse_%s %s\n# TYPE posthouse_%s %s\n", row->name, row->help,
               row->name, row->type);
}

void metrics_print(Buf *out, const Metrics *const *all, size_t count)
{
    for (Metric m = 0; m < METRIC_COUNT; m++) {
        const Row *row = &rows[m];
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += metric_of(all[i], m);
        if (!m || !slice_eq(slice_of(row->name), slice_of(rows[m - 1].name))) print_head(out, row);
        buf_printf(out, "posthouse_%s", row->name);
        if (*row->labels) buf_printf(out, "{%s}", row->labels);
        buf_printf(out, " %llu\n", (unsigned long long)sum);
    }
}
