#include "house/verbs.h"

#include <stdio.h>

const char default_config[] = "/etc/posthouse/posthouse.conf";

int verbs_usage(FILE *out)
{
    fprintf(out, "usage: posthouse [-c FILE] [-o KEY=VALUE]... VERB ...\n\n");
    for (size_t i = 0; i < verb_count; i++) {
        Slice help = slice_of(verbs[i].help); /* its first sentence */
        Slice first = slice_first(help, slice_find_slice(help, S(". ")) + 1);
        fprintf(out, "  %-9s %.*s\n", verbs[i].name, SP(first));
    }
    fprintf(
        out,
        "\nposthouse help VERB says more. The configuration is %s unless -c names another file.\n",
        default_config);
    return out == stdout ? EXIT_OK : EXIT_USAGE;
}

/* The synopsis has " | " between the ways to use it: each gets a line. */
int verb_help(const Verb *v)
{
    Slice rest = slice_of(v->synopsis);
    for (bool first = true; rest.len; first = false) {
        size_t end = slice_find_slice(rest, S(" | "));
        printf("%s posthouse %s%s%.*s\n", first ? "usage:" : "      ", first ? "" : v->name,
               first ? "" : " ", SP(slice_first(rest, end)));
        rest = slice_from(rest, end + 3);
    }
    printf("\n%s\n", v->help);
    return EXIT_OK;
}

PARKS void help_at_terminal(CommandLine *c)
{
    const Verb *v = c->argc > 1 ? verb_find(slice_of(c->argv[1])) : NULL;
    if (!v && c->argc > 1) fprintf(stderr, "posthouse: no verb %s\n\n", c->argv[1]);
    c->exit_code = v ? verb_help(v) : verbs_usage(c->argc > 1 ? stderr : stdout);
}

PARKS void version_at_terminal(CommandLine *c)
{
    (void)c;
    puts("posthouse " POSTHOUSE_VERSION);
}
