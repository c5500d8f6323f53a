#include "house/verbs.h"

#include <stdio.h>

const char default_config[] = "/etc/posthouse/posthouse.conf";

int verbs_usage(FILE *out)
{
    fprintf(out, "usage: posthouse [-c FILE] [-o KEY=VALUE]... VERB ...\n\n");
    for (size_t i = 0; i < verb_count; i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].help);
    fprintf(
        out,
        "\nposthouse help VERB says more. The configuration is %s unless -c names another file.\n",
        default_config);
    return out == stdout ? EXIT_OK : EXIT_USAGE;
}

PARKS void help_at_terminal(CommandLine *c)
{
    const Verb *v = c->argc > 1 ? verb_find(slice_of(c->argv[1])) : NULL;
    if (v)
        printf("usage: posthouse %s\n\n%s\n", v->synopsis, v->help);
    else
        c->exit_code = verbs_usage(c->argc > 1 ? stderr : stdout);
}

PARKS void version_at_terminal(CommandLine *c)
{
    (void)c;
    puts("posthouse " POSTHOUSE_VERSION);
}
