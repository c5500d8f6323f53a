#pragma once
/* Verbs of the command line: the table is verbs.def. */
#include "house/control.h"

#include <stdio.h>

/* BSD sysexits */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_NO_INPUT = 66,
    EXIT_NO_USER = 67,
    EXIT_UNAVAILABLE = 69,
    EXIT_SOFTWARE = 70,
    EXIT_CANT_CREATE = 73,
    EXIT_IO = 74,
    EXIT_TEMPORARY = 75,
    EXIT_NO_PERMISSION = 77,
    EXIT_CONFIG = 78
};

typedef struct {
    const Config *config; /* already loaded */
    Slice config_path;
    Words options;      /* KEY=VALUE of -o, in force already */
    Err config_err;     /* only for verbs that do without: what is wrong with the file; then config
                           is the defaults */
    Slice config_story; /* of it */
    char **argv;        /* from the verb on */
    int argc;
    int exit_code;
} CommandLine;

typedef struct {
    const char *name, *synopsis, *help;
    /* In the serving process, or in one opened for it. NULL: a verb that does not go through the
     * control socket. */
    int (*in_house)(Talk *t);
    /* At the command line: prepares arguments and data, then usually verb_ask. */
    void (*at_terminal)(CommandLine *c);
} Verb;
extern const Verb verbs[];
extern const size_t verb_count;
const Verb *verb_find(Slice name);

extern const char default_config[]; /* read when -c names no other */
int verbs_usage(FILE *out);         /* prints all verbs; gives the exit code */
int verb_help(const Verb *v);
PARKS int verb_run(Talk *t); /* looks up args[0] and calls it */
int exit_code_of(Err err);
PARKS int talk_fail(Talk *t, Err err); /* says what went wrong, in one line; gives the exit code */
PARKS int talk_usage(Talk *t);
PARKS Err talk_account(Talk *t, Slice login, uint32_t *acct) MUST_USE; /* ERR_AUTH: "no user X" */
/* Asks the serving process, or opens the store here. source, sink: see control.h. */
PARKS void verb_ask(CommandLine *c, const Slice *args, size_t count, ControlClient *client);
PARKS void verb_pass_on(CommandLine *c); /* the arguments as they are */

/* user.c, mailbox.c, health.c, transfer.c ... */
PARKS int verb_user(Talk *t);
PARKS int verb_mailbox(Talk *t);
PARKS int verb_mailbox_acl(Talk *t);
PARKS int verb_undelete(Talk *t);
PARKS int verb_status(Talk *t);
PARKS int verb_upgrade(Talk *t);
PARKS int verb_metrics(Talk *t);
PARKS int verb_check(Talk *t);
PARKS void check_at_terminal(CommandLine *c);
PARKS int verb_scrub(Talk *t);
PARKS int verb_import(Talk *t);
PARKS int verb_export(Talk *t);
PARKS void role_at_terminal(CommandLine *c);
PARKS int verb_backup(Talk *t);
PARKS int verb_restore(Talk *t);
PARKS void runner_at_terminal(CommandLine *c);
PARKS void user_at_terminal(CommandLine *c);
PARKS void import_at_terminal(CommandLine *c);
PARKS void export_at_terminal(CommandLine *c);
PARKS void backup_at_terminal(CommandLine *c);
PARKS void restore_at_terminal(CommandLine *c);
PARKS void serve_at_terminal(CommandLine *c);
PARKS void demo_at_terminal(CommandLine *c);
PARKS void config_at_terminal(CommandLine *c);
PARKS void version_at_terminal(CommandLine *c);
PARKS void help_at_terminal(CommandLine *c);
