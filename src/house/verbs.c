#include "house/verbs.h"

#include "run/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const Verb verbs[] = {
#define VERB(name, in_house, at_terminal, synopsis, help)                                          \
    {#name, synopsis, help, in_house, at_terminal},
#include "house/verbs.def"
#undef VERB
};
const size_t verb_count = COUNT(verbs);

const Verb *verb_find(Slice name)
{
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (slice_eq(name, slice_of(verbs[i].name))) return &verbs[i];
    return NULL;
}

int exit_code_of(Err err)
{
    switch (err) {
    case OK:
        return EXIT_OK;
    case ERR_SYNTAX:
    case ERR_CHARSET:
    case ERR_UNKNOWN_CTE:
        return EXIT_DATA;
    case ERR_NOT_FOUND:
    case ERR_EXPUNGED:
        return EXIT_NO_INPUT;
    case ERR_AUTH:
        return EXIT_NO_USER;
    case ERR_EXISTS:
    case ERR_HAS_CHILDREN:
        return EXIT_CANT_CREATE;
    case ERR_CANNOT:
    case ERR_FORBIDDEN:
    case ERR_NEEDS_TLS:
        return EXIT_NO_PERMISSION;
    case ERR_CONFIG:
        return EXIT_CONFIG;
    case ERR_IO:
    case ERR_DISK_FULL:
    case ERR_READ_ONLY:
    case ERR_CORRUPT:
    case ERR_TLS:
        return EXIT_IO;
    case ERR_END:
    case ERR_CANCELLED:
        return EXIT_UNAVAILABLE;
    case ERR_TIMEOUT:
    case ERR_IN_USE:
    case ERR_CONFLICT:
    case ERR_THROTTLED:
    case ERR_OVER_QUOTA:
    case ERR_LIMIT:
    case ERR_NO_MEMORY:
    case ERR_TOO_BIG:
    case ERR_TEMPORARY:
        return EXIT_TEMPORARY;
    case ERR_UNSUPPORTED:
        return EXIT_SOFTWARE;
    }
    return EXIT_SOFTWARE;
}

PARKS int talk_fail(Talk *t, Err err)
{
    talk_err(t, "posthouse %.*s: %s\n", SP(t->args[0]),
             *err_story() ? err_story() : err_meaning(err));
    return exit_code_of(err);
}

PARKS int talk_usage(Talk *t)
{
    const Verb *v = verb_find(t->args[0]);
    talk_err(t, "usage: posthouse %s\n", v ? v->synopsis : "VERB ...");
    return EXIT_USAGE;
}

PARKS Err talk_account(Talk *t, Slice login, uint32_t *acct)
{
    Buf name buf_scoped = {0};
    TRY(login_normalise(login, &name));
    Err err = auth_account(t->house->auth, buf_slice(&name), acct);
    /* ERR_AUTH: whoever asks for a message or a file can tell its absence from the user's. */
    return err == ERR_NOT_FOUND ? fail(ERR_AUTH, "no user %.*s", SP(login)) : err;
}

PARKS int verb_run(Talk *t)
{
    const Verb *v = verb_find(t->args[0]);
    if (!v || !v->in_house) {
        talk_err(t, "posthouse: no verb %.*s\n", SP(t->args[0]));
        return EXIT_USAGE;
    }
    return v->in_house(t);
}

/* ---- asking ---- */

typedef struct {
    Stream *stream;
    House *house;
    bool over;
    Cond done;
} Local;

PARKS static void serve_here(void *arg)
{
    Local *l = arg;
    control_serve(l->stream, l->house);
    l->over = true;
    cond_broadcast(&l->done);
}

/* Only serving and the first user make a store; a question about a directory mistyped must not. */
static Err store_is_there(const Config *config, const Slice *args, size_t count)
{
    Arena a arena_scoped = {0};
    PathInfo info;
    bool adds = count > 1 && slice_eq(args[0], S("user")) && slice_eq(args[1], S("add"));
    if (adds || path_info(house_path(config, &a, "format"), &info) == OK) return OK;
    return fail(ERR_NOT_FOUND, "no store in %.*s; \"posthouse user add LOGIN\" makes one",
                SP(config->store));
}

PARKS static Err ask_here(CommandLine *c, const Slice *args, size_t count, ControlClient *client)
{
    Local l = {0};
    House *house = NULL;
    TRY(store_is_there(c->config, args, count));
    TRY(house_open(&(HouseStart){.config = c->config, .config_path = c->config_path}, &house));
    l.house = house;
    Err err = stream_pair(&l.stream, &client->stream);
    if (!err) {
        fiber_start("control", serve_here, &l);
        err = control_ask(client, args, count, &c->exit_code);
        stream_free(client->stream);
        while (!l.over)
            cond_wait(&l.done, NEVER);
        stream_free(l.stream);
    }
    house_close(house);
    return err;
}

PARKS static Err ask_server(CommandLine *c, const Slice *args, size_t count, ControlClient *client,
                            Sock *sock)
{
    client->stream = stream_new(sock);
    Err err = control_ask(client, args, count, &c->exit_code);
    stream_free(client->stream);
    return err == ERR_END ? fail(err, "the server has gone away in the middle of it") : err;
}

PARKS void verb_ask(CommandLine *c, const Slice *args, size_t count, ControlClient *client)
{
    Arena a arena_scoped = {0};
    Address at;
    Sock *sock = NULL;
    client->to_terminal = isatty(STDERR_FILENO);
    Err err = address_parse(arena_printf(&a, "unix:%.*s", SP(control_path(c->config, &a))), &at);
    if (!err && !sock_connect(&at, now_ms() + 5000, &sock))
        err = ask_server(c, args, count, client, sock);
    else if (!err)
        err = ask_here(c, args, count, client);
    if (!err) return;
    fprintf(stderr, "posthouse %.*s: %s\n", SP(args[0]),
            *err_story() ? err_story() : err_meaning(err));
    c->exit_code = exit_code_of(err);
}

PARKS void verb_pass_on(CommandLine *c)
{
    Arena a arena_scoped = {0};
    ControlClient client = {0};
    Slice *args = arena_array(&a, Slice, (size_t)c->argc);
    for (int i = 0; i < c->argc; i++)
        args[i] = slice_of(c->argv[i]);
    verb_ask(c, args, (size_t)c->argc, &client);
}
