/* The whole server in the simulated world, by seed.
 *
 *     whole_sim [--seeds N] [--from SEED]     many worlds; the last line is "N passed, N failed"
 *     whole_sim --seed N [--lives N] [--steps N] [--clients A,B] [--troubles A,B] [--plant NAME]
 *     ... --shrink                            looks for the smallest plan that still fails
 *     whole_sim --plants [NAME]               each mistake of plants.def has to be found
 *     ... --trace                             shows every line that clients say and hear
 *
 * A world that fails prints the command that repeats it, to the last octet. */
#include "mail/charset.h"
#include "run/sim_disk.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DISK_BYTES = 512 << 20, EXIT_WORLD = 3 };

static bool verbose, quiet, traced;
static uint64_t operations, crashes, deaths, verified, done[CLIENT_KINDS];

void world_failed(const World *w, const char *fmt, ...)
{
    va_list args;
    fprintf(stderr, "seed %llu, life %u, %s: ", (unsigned long long)w->plan.seed, w->life,
            w->doing);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    fflush(stderr);
    _Exit(EXIT_WORLD);
}

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* ---- a life, from outside ---- */

static void choose(World *w, uint64_t *random, SimConfig *sim)
{
    static const uint32_t spans[] = {10, 40, 150, 400};
    SimDiskPlan *plan = sim_disk_plan(w->disk);
    const Plan *p = &w->plan;
    bool crash = plan_has(p, TROUBLE_power) || plan_has(p, TROUBLE_kill);
    uint32_t span = spans[next(random) % COUNT(spans)];
    uint64_t crash_after = 1 + next(random) % span;
    w->last = w->life + 1 == p->lives;
    w->killed_at_rest = crash && !w->last && next(random) % 2;
    w->crash_after = crash && !w->last ? crash_after : 0;
    bool at_work = next(random) % 4; /* else while it recovers and is verified */
    plan->crash_at = w->crash_after && !at_work ? plan->operations + crash_after : 0;
    plan->crash = (SimCrash)(next(random) % 3);
    w->fails_after = 1 + next(random) % 300;
    w->read_fails_after = 1 + next(random) % 200;
    if (!plan_has(p, TROUBLE_unread) || w->last) w->read_fails_after = 0;
    w->fills = plan_has(p, TROUBLE_full) && !w->last;
    bool fails = plan_has(p, TROUBLE_eio), partly = plan_has(p, TROUBLE_partly);
    if ((!fails && !partly) || w->last) w->fails_after = 0;
    w->unsure = (fails && w->fails_after) || w->read_fails_after;
    w->apart = plan_has(p, TROUBLE_apart);
    bool goes = plan_has(p, TROUBLE_links) || plan_has(p, TROUBLE_dies);
    w->replaces = w->apart && goes && !w->last;
    w->lenient = w->unsure || w->fills || w->replaces;
    plan->failing = fails ? SIM_FAILS : next(random) % 2 ? SIM_SHORT : SIM_INTERRUPTED;
    plan->failure = next(random) % 2 ? ERR_IO : ERR_DISK_FULL;
    plan->fail_at = plan->fail_read_at = plan->capacity_bytes = 0;
    *sim = (SimConfig){.seed = next(random), .disk = w->disk, .loops = 2, .disk_latency_us = 200};
    sim->net_latency_us = plan_has(p, TROUBLE_far) ? 20000 : 50;
    int64_t day = 24 * 60 * 60 * 1000, new_year_2026 = 1767225600000;
    sim->start_wall_ms = new_year_2026 + (int64_t)w->life * 1000;
    if (plan_has(p, TROUBLE_clock)) sim->start_wall_ms += (int64_t)(next(random) % 3) * day - day;
}

/* Of the log: the index is another one than the server's, and is rebuilt. */
static void flip_bits(World *w, uint64_t *random)
{
    const SimDisk *d = w->disk;
    uint32_t logs[64], count = 0;
    for (uint32_t i = 1; i < d->name_count && count < COUNT(logs); i++)
        if (d->names[i].now && slice_starts(slice_of(d->names[i].path), S("store/log/")) &&
            d->inodes[d->names[i].now].size)
            logs[count++] = i;
    w->flips = count ? 1 + (unsigned)(next(random) % 3) : 0;
    for (unsigned i = 0; i < w->flips; i++) {
        const SimName *name = &d->names[logs[next(random) % count]];
        uint64_t bits = MIN(d->inodes[name->now].size, 1 << 16) * 8; /* most is not used yet */
        sim_disk_flip_bit(w->disk, slice_of(name->path), next(random) % bits);
    }
}

static bool one_life(World *w, uint64_t *random)
{
    SimConfig sim;
    int code;
    choose(w, random, &sim);
    if (w->last && plan_has(&w->plan, TROUBLE_flip)) flip_bits(w, random);
    Err err = sim_run_child(&sim, life, w, &code);
    bool crashed = code == SIM_CRASHED;
    if (verbose && !quiet)
        printf("life %u: %s at operation %llu, %s\n", w->life, crashed ? "crashed" : "ended",
               (unsigned long long)sim_disk_plan(w->disk)->operations, w->doing);
    if (err || (code && !crashed)) {
        if (!quiet && code != EXIT_WORLD)
            printf("seed %llu, life %u (%s): exit %d\n", (unsigned long long)w->plan.seed, w->life,
                   w->doing, code);
        return false;
    }
    crashes += crashed;
    bool power = plan_has(&w->plan, TROUBLE_power) &&
                 (!plan_has(&w->plan, TROUBLE_kill) || next(random) % 2);
    if (crashed && power)
        sim_disk_power_cut(w->disk, next(random));
    else
        sim_disk_kill(w->disk);
    return true;
}

/* ---- a world ---- */

static World *world_new(const Plan *plan)
{
    World *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(w != MAP_FAILED);
    w->plan = *plan;
    w->traced = traced;
    w->disk = sim_disk_new(DISK_BYTES);
    return w;
}

static void world_free(World *w)
{
    sim_disk_free(w->disk);
    munmap(w, sizeof *w);
}

static bool passes(const Plan *plan, uint64_t *digest)
{
    World *w = world_new(plan);
    uint64_t random = plan->seed + plan->chance * UINT64_C(0x9e3779b97f4a7c15);
    bool good = true;
    for (w->life = 0; w->life < plan->lives && good; w->life++)
        good = one_life(w, &random);
    operations += sim_disk_plan(w->disk)->operations;
    verified += w->verified;
    deaths += w->deaths;
    for (unsigned i = 0; i < CLIENT_KINDS; i++)
        done[i] += w->done[i];
    *digest = w->digest * 31 + sim_disk_plan(w->disk)->operations;
    world_free(w);
    return good;
}

static bool fails(const Plan *plan)
{
    uint64_t digest;
    return !passes(plan, &digest);
}

static void tell(const char *what, const Plan *plan)
{
    Buf options buf_scoped = {0};
    plan_print(plan, &options);
    printf("%s: build/whole_sim %.*s\n", what, SP(buf_slice(&options)));
    fflush(stdout);
}

static void shrink(Plan plan)
{
    fflush(NULL);
    int kept = dup(STDERR_FILENO);
    quiet = true;
    must(kept >= 0 && freopen("/dev/null", "w", stderr));
    plan_shrink(&plan, fails);
    quiet = false;
    fflush(NULL);
    must(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    tell("smallest", &plan);
    (void)fails(&plan);
}

/* ---- many ---- */

typedef struct {
    bool one, shrink, plants;
    uint64_t seeds, from;
    const char *argv[64];
    int argc;
} Wish;

static void usage(void)
{
    fprintf(stderr,
            "usage: whole_sim [--seeds N] [--from SEED] | --seed N; [--lives N] "
            "[--steps N] [--chance N] [--clients A,B] [--troubles A,B] [--plant NAME] [--plants] "
            "[--shrink] [--trace]\n");
    exit(2);
}

static bool number(const char *text, uint64_t *n)
{
    return text && slice_to_u64(slice_of(text), n);
}

static void read_options(Wish *w, int argc, char **argv)
{
    *w = (Wish){.seeds = 100, .from = 1};
    for (int i = 1; i < argc; i++) {
        Slice name = slice_of(argv[i]);
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (slice_eq(name, S("--shrink"))) {
            w->shrink = true;
            continue;
        }
        if (slice_eq(name, S("--plants"))) {
            w->plants = true;
            continue;
        }
        if (slice_eq(name, S("--trace"))) {
            traced = true;
            continue;
        }
        i++;
        if (slice_eq(name, S("--seeds")) && number(value, &w->seeds)) continue;
        if (slice_eq(name, S("--from")) && number(value, &w->from)) continue;
        if (slice_eq(name, S("--seed")) && number(value, &w->from)) {
            w->one = true;
            continue;
        }
        Plan any = {0};
        if (!value || w->argc + 2 > (int)COUNT(w->argv) ||
            !plan_option(&any, name, slice_of(value)))
            usage();
        w->argv[w->argc++] = argv[i - 1];
        w->argv[w->argc++] = value;
    }
}

static void plan_of(const Wish *w, uint64_t seed, Plan *p)
{
    plan_make(p, seed);
    for (int i = 0; i < w->argc; i += 2)
        must(plan_option(p, slice_of(w->argv[i]), slice_of(w->argv[i + 1])));
}

/* The same seed has to be the same run: else a failure could not be looked at again. */
static bool repeats(const Plan *plan)
{
    uint64_t first, second;
    if (!passes(plan, &first) || !passes(plan, &second)) return false;
    if (first != second) printf("seed %llu is not repeated\n", (unsigned long long)plan->seed);
    return first == second;
}

static bool one_seed(const Wish *wish, uint64_t seed)
{
    Plan plan;
    uint64_t digest;
    plan_of(wish, seed, &plan);
    if (seed % 25 == 1 && !wish->one ? repeats(&plan) : passes(&plan, &digest)) return true;
    tell("again", &plan);
    if (wish->shrink) shrink(plan);
    return false;
}

/* ---- the test of the tests ---- */

static const struct {
    const char *name;
    uint64_t within;
} plants[] = {
#define PLANT(name, within, what) {#name, within},
#include "sim/plants.def"
#undef PLANT
};

static bool is_found(const Wish *wish, const char *name, uint64_t within)
{
    for (uint64_t seed = wish->from; seed < wish->from + within; seed++) {
        Plan plan;
        plan_of(wish, seed, &plan);
        must(plan_option(&plan, S("--plant"), slice_of(name)));
        if (!fails(&plan)) continue;
        printf("ok %s: found in world %llu\n", name, (unsigned long long)seed);
        fflush(stdout);
        if (wish->shrink) shrink(plan);
        return true;
    }
    printf("%s: not found in %llu worlds\n", name, (unsigned long long)within);
    return false;
}

static int find_plants(const Wish *wish)
{
    unsigned found = 0;
    quiet = true;
    if (!traced) must(freopen("/dev/null", "w", stderr) != NULL);
    for (size_t i = 0; i < COUNT(plants); i++)
        found += is_found(wish, plants[i].name, plants[i].within);
    printf("%u passed, %u failed\n", found, (unsigned)COUNT(plants) - found);
    return found == COUNT(plants) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Of a campaign, whose log somebody looks at. */
static void tell_progress(uint64_t seed, uint64_t passed, uint64_t failed)
{
    printf("up to seed %llu: %llu passed, %llu failed\n", (unsigned long long)seed,
           (unsigned long long)passed, (unsigned long long)failed);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    Wish wish;
    uint64_t passed = 0, failed = 0;
    read_options(&wish, argc, argv);
    verbose = wish.one;
    charset_warm_up();
    if (wish.plants) return find_plants(&wish);
    for (uint64_t seed = wish.from; seed < wish.from + (wish.one ? 1 : wish.seeds); seed++) {
        if (one_seed(&wish, seed))
            passed++;
        else if (++failed == 5)
            break;
        if (passed % 1000 == 0) tell_progress(seed, passed, failed);
    }
    printf("%llu crashes, %llu houses killed, %llu verifications, %llu disk operations;",
           (unsigned long long)crashes, (unsigned long long)deaths, (unsigned long long)verified,
           (unsigned long long)operations);
    for (unsigned i = 0; i < CLIENT_KINDS; i++)
        printf(" %s %llu", client_names[i], (unsigned long long)done[i]);
    printf("\n%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
