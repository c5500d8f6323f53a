/* The verbs that serve: serve, demo. And config, which says what would be served. */
#include "house/verbs.h"
#include "house/warden.h"
#include "run/file.h"
#include "run/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void complain(CommandLine *c, Err err)
{
    fprintf(stderr, "posthouse %s: %s\n", c->argv[0],
            *err_story() ? err_story() : err_meaning(err));
    c->exit_code = err == ERR_SYNTAX ? EXIT_USAGE : exit_code_of(err);
}

/* ---- serve ---- */

/* When all ports answer. */
static void write_pid(void *arg)
{
    const Config *config = arg;
    Arena a arena_scoped = {0};
    Slice pid = arena_printf(&a, "%ld\n", (long)getpid());
    Err err = path_replace(house_path(config, &a, "pid"), pid);
    if (err) log_err(LOG_LEVEL_WARN, "pid_file", err);
}

PARKS static Err serve_by_roles(const CommandLine *c, const Config *config, const Demo *demo,
                                void (*ready)(void *))
{
    WardenStart start = {.config = config,
                         .config_path = demo ? (Slice){0} : c->config_path,
                         .options = c->options,
                         .demo = demo,
                         .ready = ready,
                         .arg = (void *)(uintptr_t)config};
    return warden_serve(&start);
}

PARKS static Err serve_alone(const CommandLine *c, const Config *config, const Demo *demo,
                             void (*ready)(void *))
{
    House *house = NULL;
    HouseStart start = {config, demo ? (Slice){0} : c->config_path, demo, NULL, NULL};
    TRY(house_open(&start, &house));
    house->options = c->options;
    Err err = house_serve(house, ready, (void *)(uintptr_t)config);
    Arena a arena_scoped = {0};
    Slice story = arena_copy(&a, slice_of(err_story())); /* those that end have stories too */
    if (err) {
        run_cancel();
        house_drain(house, 1000);
    }
    house_close(house);
    return err ? fail(err, "%.*s", SP(story)) : OK;
}

PARKS static Err serve(const CommandLine *c, const Config *config, const Demo *demo,
                       void (*ready)(void *))
{
    return config->single_process ? serve_alone(c, config, demo, ready)
                                  : serve_by_roles(c, config, demo, ready);
}

PARKS void serve_at_terminal(CommandLine *c)
{
    Err err = serve(c, c->config, NULL, write_pid);
    if (err) complain(c, err);
}

/* ---- demo: the fixed door for tools; its options stay as they are ---- */

typedef struct {
    Slice dir, password;
    uint64_t base_port, accounts;
} DemoArgs;

static bool demo_option(DemoArgs *d, Slice name, Slice value)
{
    if (slice_eq(name, S("--base-port")))
        return slice_to_u64(value, &d->base_port) && d->base_port >= 1 && d->base_port <= 65526;
    if (slice_eq(name, S("--accounts")))
        return slice_to_u64(value, &d->accounts) && d->accounts >= 1 && d->accounts <= 100000;
    d->password = value;
    return slice_eq(name, S("--password")) && value.len;
}

static Err demo_args(CommandLine *c, DemoArgs *d)
{
    *d = (DemoArgs){.accounts = 10, .password = S("secret")};
    for (int i = 1; i < c->argc; i++) {
        Slice arg = slice_of(c->argv[i]);
        bool fits = false;
        if (!slice_starts(arg, S("--"))) {
            fits = !d->dir.len;
            d->dir = arg;
        } else if (i + 1 < c->argc) {
            fits = demo_option(d, arg, slice_of(c->argv[++i]));
        }
        if (!fits)
            return fail(ERR_SYNTAX, "%.*s: not understood; see posthouse help demo", SP(arg));
    }
    if (!d->dir.len || !d->base_port)
        return fail(ERR_SYNTAX, "usage: posthouse %s", verb_find(S("demo"))->synopsis);
    return OK;
}

static Err demo_config(Config *c, const DemoArgs *d)
{
    static const char *const keys[] = {"listen_imap",  "listen_imaps", "listen_pop3",
                                       "listen_pop3s", "listen_lmtp",  "listen_smtp"};
    Arena a arena_scoped = {0};
    TRY(config_set(c, S("store"), d->dir));
    for (size_t i = 0; i < COUNT(keys); i++)
        TRY(config_set(c, slice_of(keys[i]),
                       arena_printf(&a, "127.0.0.1:%u", (unsigned)(d->base_port + i))));
    TRY(config_set(c, S("plain_without_tls"), S("yes")));
    TRY(config_set(c, S("domains"), S("localhost posthouse.test example.com example.org")));
    TRY(config_set(c, S("hostname"), S("localhost")));
    TRY(config_set(c, S("user"), S("")));
    TRY(config_set(c, S("postmaster"), S("u00001")));
    TRY(config_set(c, S("subaddress_creates"), S("yes")));
    return config_set(c, S("connections_per_address"), S("1000000"));
}

static void demo_ready(void *arg)
{
    write_pid(arg);
    puts("ready");
    fflush(stdout);
}

PARKS void demo_at_terminal(CommandLine *c)
{
    DemoArgs args;
    Config config;
    config_defaults(&config);
    Err err = demo_args(c, &args);
    if (!err) err = demo_config(&config, &args);
    if (!err) err = config_options(&config, &c->options); /* -o has the last word */
    if (err) {
        complain(c, err);
        config_done(&config);
        return;
    }
    log_event(LOG_LEVEL_WARN, "demo",
              KV_TEXT("advice", "plain-text passwords are allowed, everybody knows them"));
    Demo demo = {(uint32_t)args.accounts, args.password};
    err = serve(c, &config, &demo, demo_ready);
    if (err) complain(c, err);
    config_done(&config);
}

/* ---- config ---- */

PARKS void config_at_terminal(CommandLine *c)
{
    Buf out buf_scoped = {0};
    Config other;
    Slice what = slice_of(c->argc > 1 ? c->argv[1] : NULL);
    Err err = OK;
    if (slice_eq(what, S("--defaults"))) {
        config_print_defaults(&out);
    } else if (slice_eq(what, S("--check")) && c->argc > 2) {
        err = config_load(&other, slice_of(c->argv[2]));
        config_done(&other);
    } else if (slice_eq(what, S("--show")) || slice_eq(what, S("--check"))) {
        if (c->config_err) err = fail(c->config_err, "%.*s", SP(c->config_story));
        if (!err && slice_eq(what, S("--show"))) config_print(c->config, &out);
    } else {
        err = fail(ERR_SYNTAX, "usage: posthouse %s", verb_find(S("config"))->synopsis);
    }
    if (out.len) fwrite(out.at, 1, out.len, stdout);
    if (err) complain(c, err);
}
