/* status, check, scrub: how the house is. */
#include "house/role.h"
#include "house/verbs.h"
#include "store/salvage.h"

#include <unistd.h>

typedef struct {
    Talk *talk;
    Buf lines;
} Report;

/* Called where waiting is not allowed, or on another loop: gathered, said at the end. */
static void add_line(void *arg, Slice line)
{
    Report *r = arg;
    if (r->lines.len > 512 * 1024)
        return; /* a store that is damaged all over need not be told in full */
    buf_add(&r->lines, line);
    buf_char(&r->lines, '\n');
}

PARKS static void say_lines(Report *r)
{
    talk_out(r->talk, "%.*s", (int)r->lines.len, r->lines.at ? r->lines.at : "");
    buf_done(&r->lines);
}

PARKS int verb_check(Talk *t)
{
    Report r = {.talk = t};
    CheckResult result = {0};
    bool repair = t->arg_count > 1 && slice_eq(t->args[1], S("--repair"));
    if (t->arg_count > 1 && !repair) return talk_usage(t);
    Err err = store_check(t->house->store, repair, add_line, &r, &result);
    say_lines(&r);
    if (err) return talk_fail(t, err);
    talk_out(t, "%llu accounts, %llu mailboxes, %llu messages, %llu octets: %llu findings%s\n",
             (unsigned long long)result.accounts, (unsigned long long)result.mailboxes,
             (unsigned long long)result.messages, (unsigned long long)result.octets,
             (unsigned long long)result.findings,
             repair && result.findings ? ", repaired what can be" : "");
    return result.findings && !repair ? EXIT_FAILED : EXIT_OK;
}

static void print_line(void *arg, Slice line)
{
    (void)arg;
    printf("%.*s\n", SP(line));
}

/* No house is opened for it: that might believe a damaged index. */
PARKS void check_at_terminal(CommandLine *c)
{
    Arena a arena_scoped = {0};
    if (c->argc != 2 || !slice_eq(slice_of(c->argv[1]), S("--salvage"))) {
        verb_pass_on(c);
        return;
    }
    StoreOptions options = house_store_options(c->config, &a);
    Err err = store_salvage(c->config->store, &options, print_line, NULL);
    if (err) fprintf(stderr, "posthouse: %s\n", *err_story() ? err_story() : err_meaning(err));
    c->exit_code = exit_code_of(err);
}

PARKS int verb_scrub(Talk *t)
{
    Report r = {.talk = t};
    uint64_t checked = 0, bad = 0;
    if (t->arg_count > 1) return talk_usage(t);
    Err err = engine_scrub(store_engine(t->house->store), add_line, &r, &checked, &bad);
    say_lines(&r);
    if (err) return talk_fail(t, err);
    talk_out(t, "%llu records checked, %llu bad\n", (unsigned long long)checked,
             (unsigned long long)bad);
    return bad ? EXIT_FAILED : EXIT_OK;
}

/* ---- status ---- */

PARKS static void say(Talk *t, const char *key, uint64_t value)
{
    talk_out(t, "%-22s %llu\n", key, (unsigned long long)value);
}

PARKS static void say_connections(Talk *t)
{
    House *h = t->house;
    for (int s = 0; s < SERVICE_COUNT; s++)
        talk_out(t, "%-22s %llu now, %llu accepted\n", service_names[s],
                 (unsigned long long)board_sum(h->board, (Metric)(METRIC_CONNECTIONS_IMAP + s)),
                 (unsigned long long)board_sum(h->board, (Metric)(METRIC_ACCEPTED_IMAP + s)));
    say(t, "refused",
        board_sum(h->board, METRIC_REFUSED_TOTAL) + board_sum(h->board, METRIC_REFUSED_ADDRESS) +
            board_sum(h->board, METRIC_REFUSED_MEMORY));
}

PARKS static void say_engine(Talk *t)
{
    EngineStatus s;
    engine_status(store_engine(t->house->store), &s);
    say(t, "commits", s.commits);
    say(t, "flushes", s.flushes);
    say(t, "flush_us_mean", s.flushes ? s.flush_us_total / s.flushes : 0);
    say(t, "octets_written", s.octets_written);
    say(t, "checkpoints", s.checkpoints);
    say(t, "segments", s.segments);
    say(t, "live_octets", s.live_octets);
    say(t, "dead_octets", s.dead_octets);
    say(t, "disk_octets", s.disk_octets);
    say(t, "free_octets", s.free_octets);
    say(t, "recovered_records", s.recovered_records);
    say(t, "recovery_ms", s.recovery_ms);
}

PARKS static void say_fibers(Talk *t)
{
    Arena a arena_scoped = {0};
    FiberInfo *list;
    size_t count = fiber_list(&a, &list);
    for (size_t i = 0; i < count; i++)
        talk_out(t, "loop %u  %-16s waits for %-10s since %lld ms\n", list[i].loop, list[i].name,
                 list[i].waits_for, (long long)list[i].parked_ms);
}

PARKS static void say_members(Talk *t)
{
    Slice rest = t->house->actor ? buf_slice(&t->house->actor->members) : (Slice){0}, line;
    while (slice_cut(&rest, '\n', &line))
        talk_out(t, "%-22s %.*s\n", "process", SP(line));
}

PARKS int verb_status(Talk *t)
{
    bool fibers = t->arg_count > 1 && slice_eq(t->args[1], S("--fibers"));
    if (t->arg_count > 1 && !fibers) return talk_usage(t);
    Err health = engine_health(store_engine(t->house->store));
    talk_out(t, "%-22s %s\n", "version", POSTHOUSE_VERSION);
    talk_out(t, "%-22s %s\n", "serving", t->house->serving ? "yes" : "no");
    say(t, "pid", (uint64_t)getpid());
    say(t, "uptime_seconds", (uint64_t)(wall_seconds() - t->house->started));
    talk_out(t, "%-22s %s\n", "store", health ? err_meaning(health) : "takes changes");
    say(t, "loops", loop_count());
    say_connections(t);
    say_engine(t);
    say_members(t);
    if (fibers) say_fibers(t);
    return health ? EXIT_IO : EXIT_OK;
}
