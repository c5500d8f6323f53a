#include "house/metrics.h"

#include "house/verbs.h"

enum { LINE_MOST = 8 * 1024, LINES_MOST = 100, REQUEST_MS = 10 * 1000 };

/* What others know. */
PARKS static void gather(House *h)
{
    Arena a arena_scoped = {0};
    EngineStatus s;
    FiberInfo *list;
    Engine *engine = store_engine(h->store);
    engine_status(engine, &s);
    metric_set(METRIC_COMMITS, s.commits);
    metric_set(METRIC_FLUSHES, s.flushes);
    metric_set(METRIC_FLUSH_MICROSECONDS, s.flush_us_total);
    metric_set(METRIC_OCTETS_WRITTEN, s.octets_written);
    metric_set(METRIC_CHECKPOINTS, s.checkpoints);
    metric_set(METRIC_SEGMENTS, s.segments);
    metric_set(METRIC_LIVE_OCTETS, s.live_octets);
    metric_set(METRIC_DEAD_OCTETS, s.dead_octets);
    metric_set(METRIC_DISK_OCTETS, s.disk_octets);
    metric_set(METRIC_FREE_OCTETS, s.free_octets);
    metric_set(METRIC_RECOVERED_RECORDS, s.recovered_records);
    metric_set(METRIC_RECOVERY_MS, s.recovery_ms);
    metric_set(METRIC_HEALTHY, engine_health(engine) ? 0 : 1);
    metric_set(METRIC_FIBERS, fiber_list(&a, &list));
}

PARKS int verb_metrics(Talk *t)
{
    Buf out buf_scoped = {0};
    if (t->arg_count > 1) return talk_usage(t);
    gather(t->house);
    board_print_metrics(t->house->board, &out);
    talk_out(t, "%.*s", SP(buf_slice(&out)));
    return EXIT_OK;
}

/* ---- HTTP ---- */

static void answer(Stream *s, const char *status, const char *type, Slice body)
{
    Buf *out = stream_out(s);
    buf_printf(
        out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        status, type, body.len);
    buf_add(out, body);
}

/* The fields behind the request line say nothing that matters here. */
PARKS static bool skip_fields(Stream *s)
{
    Slice line;
    for (int i = 0; i < LINES_MOST; i++) {
        LineEnd end = stream_line(s, LINE_MOST, &line);
        if (end == LINE_NONE || end == LINE_TOO_LONG) return false;
        if (!line.len) return true;
    }
    return false;
}

PARKS void metrics_serve(Stream *s, House *h)
{
    Slice line, method, target;
    Arena a arena_scoped = {0};
    stream_set_deadline(s, now_ms() + REQUEST_MS);
    stream_set_budget(s, LINE_MOST * 8);
    LineEnd end = stream_line(s, LINE_MOST, &line);
    if (end == LINE_NONE) return;
    line = arena_copy(&a, line);
    bool is_http = slice_cut(&line, ' ', &method) && slice_cut(&line, ' ', &target) &&
                   slice_starts(line, S("HTTP/1."));
    if (!is_http || !skip_fields(s)) {
        answer(s, "400 Bad Request", "text/plain", S("This is not HTTP/1.1\n"));
    } else if (!slice_eq(method, S("GET"))) {
        answer(s, "405 Method Not Allowed", "text/plain", S("Only GET\n"));
    } else if (!slice_eq(target, S("/metrics"))) {
        answer(s, "404 Not Found", "text/plain", S("It is /metrics\n"));
    } else {
        Buf body buf_scoped = {0};
        gather(h);
        board_print_metrics(h->board, &body);
        answer(s, "200 OK", "text/plain; version=0.0.4; charset=utf-8", buf_slice(&body));
    }
}
