/* posthouse [-c FILE] [-o KEY=VALUE]... VERB ...: finds the verb and runs it as the first fiber. */
#include "house/verbs.h"
#include "run/file.h"
#include "run/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct {
    Config config;
    CommandLine line;
    const Verb *verb;
    char **options; /* the -o ones */
    int option_count;
    int stopped_by; /* a signal */
} Program;

static Err load_config(Program *p)
{
    Config *config = &p->config;
    PathInfo info;
    Slice path = p->line.config_path.len ? p->line.config_path : slice_of(default_config);
    if (p->line.config_path.len || path_info(path, &info) == OK) {
        p->line.config_path = path;
        TRY(config_load(config, path));
    } else {
        config_defaults(config);
    }
    for (int i = 0; i < p->option_count; i++) {
        Slice option = slice_of(p->options[i]);
        size_t at = slice_find(option, '=');
        if (at == option.len)
            return fail(ERR_CONFIG, "-o wants KEY=VALUE, not \"%.*s\"", SP(option));
        TRY(config_set(config, slice_first(option, at), slice_from(option, at + 1)));
    }
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
    int opt;
    while ((opt = getopt(argc, argv, "+c:o:h")) != -1) {
        switch (opt) {
        case 'c':
            p->line.config_path = slice_of(optarg);
            break;
        case 'o':
            p->options[p->option_count++] = optarg;
            break;
        case 'h':
            exit(verbs_usage(stdout));
        default:
            exit(verbs_usage(stderr));
        }
    }
    return optind;
}

static int run_program(Program *p)
{
    Err err = load_config(p);
    if (!err) {
        RunConfig run = {.loops = (unsigned)p->config.loops};
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
    raise_descriptor_limit();
    return run_program(p);
}

int main(int argc, char **argv)
{
    Program p = {.options = mem_zero(array_bytes((size_t)argc + 1, sizeof(char *)))};
    int code = find_verb_and_run(&p, argc, argv);
    config_done(&p.config);
    free(p.options);
    return code;
}
