/* posthouse [-c FILE] [-o KEY=VALUE]... VERB ...: finds the verb and runs it as the first fiber. */
#include "base/table.h"
#include "house/verbs.h"
#include "run/file.h"
#include "run/log.h"

#include <getopt.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    Config config;
    CommandLine line;
    const Verb *verb;
    Arena memory;
    int stopped_by; /* a signal */
} Program;

/* Verbs that a broken configuration must not keep from working. */
static bool needs_no_file(const Program *p)
{
    return !p->verb->in_house && p->verb->at_terminal != serve_at_terminal;
}

static Err load_file(Program *p)
{
    PathInfo info;
    Slice path = p->line.config_path.len ? p->line.config_path : slice_of(default_config);
    if (!p->line.config_path.len && path_info(path, &info)) {
        config_defaults(&p->config);
        return OK;
    }
    p->line.config_path = path;
    return config_load(&p->config, path);
}

static Err load_config(Program *p)
{
    if (p->verb->at_terminal == demo_at_terminal) {
        config_defaults(&p->config); /* the same for everybody, whatever this machine is set to */
        return config_options(&p->config, &p->line.options);
    }
    Err err = load_file(p);
    if (!err) err = config_options(&p->config, &p->line.options);
    if (!err || !needs_no_file(p)) return err;
    p->line.config_err = err;
    p->line.config_story = arena_copy(&p->memory, slice_of(err_story()));
    config_done(&p->config);
    config_defaults(&p->config);
    return OK;
}

/* run/ takes signals away from the process; those that serve wait for them themselves. */
PARKS static void stop_by_signal(void *arg)
{
    Program *p = arg;
    p->stopped_by = signal_wait();
    if (p->stopped_by) run_cancel();
}

PARKS static void run_verb(void *arg)
{
    Program *p = arg;
    p->line.config = &p->config;
    if (p->verb->in_house) fiber_start("signals", stop_by_signal, p);
    p->verb->at_terminal(&p->line);
}

/* Ten thousand clients are ten thousand descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int parse_options(Program *p, int argc, char **argv)
{
    static const struct option names[] = {
        {"help", no_argument, NULL, 'h'},
        {"version",  no_argument, NULL, 'V'},
        {0     }
    };
    int opt;
    p->line.options.items = arena_array(&p->memory, Slice, (size_t)argc);
    while ((opt = getopt_long(argc, argv, "+c:o:h", names, NULL)) != -1) {
        switch (opt) {
        case 'c':
            p->line.config_path = slice_of(optarg);
            break;
        case 'o':
            p->line.options.items[p->line.options.count++] = slice_of(optarg);
            break;
        case 'h':
            exit(verbs_usage(stdout));
        case 'V':
            puts("posthouse " POSTHOUSE_VERSION);
            exit(EXIT_OK);
        default:
            exit(verbs_usage(stderr));
        }
    }
    return optind;
}

/* The warden waits, and little else. */
static unsigned loops_of(const Program *p)
{
    bool serves =
        p->verb->at_terminal == serve_at_terminal || p->verb->at_terminal == demo_at_terminal;
    return serves && !p->config.single_process ? 1 : (unsigned)p->config.loops;
}

static int run_program(Program *p)
{
    Err err = load_config(p);
    if (!err) {
        RunConfig run = {.loops = loops_of(p)};
        err = run_start(&run, run_verb, p);
    }
    if (p->stopped_by) return 128 + p->stopped_by; /* as a shell says it */
    if (!err) return p->line.exit_code;
    fprintf(stderr, "posthouse: %s\n", *err_story() ? err_story() : err_meaning(err));
    return exit_code_of(err);
}

static int find_verb_and_run(Program *p, int argc, char **argv)
{
    int first = parse_options(p, argc, argv);
    if (first == argc) return verbs_usage(stderr);
    p->verb = verb_find(slice_of(argv[first]));
    if (!p->verb) {
        fprintf(stderr, "posthouse: no verb %s\n\n", argv[first]);
        return verbs_usage(stderr);
    }
    p->line.argv = argv + first;
    p->line.argc = argc - first;
    Slice next = slice_of(p->line.argc > 1 ? p->line.argv[1] : NULL);
    if (slice_eq(next, S("--help")) || slice_eq(next, S("-h"))) return verb_help(p->verb);
    raise_descriptor_limit();
    return run_program(p);
}

/* Left to itself, glibc keeps the buffers of large messages for later, in pieces that it cannot
 * give back: 20 APPENDs at once left 21 MB behind, with a fixed limit 3. */
static void give_memory_back(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
#endif
}

/* What peers send becomes keys of our tables: they must not know where those lie. */
static void draw_seeds(void)
{
    uint8_t seed[16];
    if (getentropy(seed, sizeof seed)) abort(); /* getrandom(2) does not fail for so few octets */
    table_seed(seed);
}

int main(int argc, char **argv)
{
    Program p = {0};
    draw_seeds();
    give_memory_back();
    int code = find_verb_and_run(&p, argc, argv);
    config_done(&p.config);
    arena_done(&p.memory);
    return code;
}
