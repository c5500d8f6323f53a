/* The authorisation matrix: every command of access.def, by users with different rights, on a
 * mailbox that exists and on one that does not. */
#include "base/text.h"
#include "imap/session.h"
#include "net/script_test.h"

#include <stdio.h>
#include <stdlib.h>

typedef enum { REFUSED, SILENT, HIDDEN } Else;
#define NOWHERE NULL
typedef struct {
    const char *command, *form, *rights;
    Else otherwise;
} Access;
static const Access forms[] = {
#define ACCESS(name, form, rights, otherwise)     {#name, form, rights, otherwise},
#define ACCESS_TOO(name, form, rights, otherwise) {#name, form, rights, otherwise},
#include "imap/access.def"
#undef ACCESS
#undef ACCESS_TOO
};

typedef struct {
    const char *login, *rights;
    Stream *stream;
} User;

typedef struct {
    Store *store;
    Auth *auth;
    ImapConfig config;
    int sessions, ended;
    unsigned number;
    Arena arena; /* of one case */
    Stream *owner;
    char dir[40];
} World;

static User users[] = {
    {"u00001", "lrswipkxtea", NULL}, /* the owner */
    {"u00002", "lrs",         NULL}, /* a reader */
    {"u00003", "lip",         NULL}, /* an inserter */
    {"u00004", "ip",          NULL}, /* one who does not see where to */
    {"u00005", "",            NULL}, /* nobody, who was granted another mailbox */
    {"u00006", "",            NULL}, /* nobody, who was granted nothing at all */
};

/* ---- the world ---- */

static void has_ended(void *arg)
{
    __atomic_add_fetch(&((World *)arg)->ended, 1, __ATOMIC_SEQ_CST);
}

typedef struct {
    World *w;
    Stream *stream;
} Serving;

PARKS_UNCHECKED static void serve(void *arg)
{
    Serving v = *(Serving *)arg;
    free(arg);
    imap_serve(v.stream, &v.w->config, has_ended, v.w);
}

PARKS static void world_open(World *w)
{
    *w = (World){.dir = "/tmp/imap_test.XXXXXX"};
    check(mkdtemp(w->dir));
    StoreOptions options = {0};
    check_ok(store_open(slice_of(w->dir), &options, &w->store));
    AuthConfig config = {.dir = arena_printf(&w->arena, "%s/keeper", w->dir),
                         .plain_without_tls = true,
                         .demo_accounts = 9,
                         .demo_password = S("secret"),
                         .argon2_memory_kib = 64,
                         .argon2_passes = 1,
                         .scram_iterations = 16};
    check_ok(auth_open(&config, w->store, &w->auth));
    w->config = (ImapConfig){.auth = w->auth,
                             .store = w->store,
                             .hostname = S("imap.example.org"),
                             .shared_namespace = true};
}

PARKS static void hang_up(World *w, Stream *client)
{
    stream_free(client);
    w->sessions++;
    while (__atomic_load_n(&w->ended, __ATOMIC_SEQ_CST) < w->sessions)
        fiber_sleep(1);
}

PARKS static void world_close(World *w)
{
    char command[80];
    hang_up(w, w->owner);
    for (size_t i = 0; i < COUNT(users); i++)
        hang_up(w, users[i].stream);
    arena_done(&w->arena);
    auth_close(w->auth);
    store_close(w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    check(system(command) == 0);
}

/* ---- asking ---- */

/* All that comes, the tagged line without its tag last. */
PARKS static Slice ask(World *w, Stream *client, Slice command)
{
    Buf answer buf_scoped = {0};
    Slice line = {0};
    stream_put(client, S("t "));
    stream_put(client, command);
    stream_put(client, S("\r\n"));
    (void)stream_flush(client);
    while (script_line(client, &line) && !slice_starts(line, S("t "))) {
        buf_add(&answer, line);
        buf_char(&answer, '\n');
    }
    buf_add(&answer, slice_from(line, 2));
    return arena_copy(&w->arena, buf_slice(&answer));
}

static Slice status_of(Slice answer)
{
    Slice line = answer;
    size_t cut = slice_find_last(answer, '\n');
    if (cut < answer.len) line = slice_from(answer, cut + 1);
    return slice_first(line, slice_find(line, ' '));
}

PARKS static void do_it(World *w, Stream *client, Slice command)
{
    Slice answer = ask(w, client, command);
    if (!slice_eq(status_of(answer), S("OK")))
        test_failed(__FILE__, __LINE__, "%.*s: %.*s", SP(command), SP(answer));
}

PARKS static Stream *log_in(World *w, const char *login)
{
    Stream *client;
    Serving *v = NEW(Serving);
    v->w = w;
    check_ok(stream_pair(&client, &v->stream));
    fiber_start("imap", serve, v);
    script(client, "S: * OK *\n");
    do_it(w, client, arena_printf(&w->arena, "LOGIN %s secret", login));
    return client;
}

/* ---- one case ---- */

static Slice replaced(World *w, Slice text, Slice needle, Slice with)
{
    Buf out buf_scoped = {0};
    for (size_t i = 0; i < text.len;) {
        if (slice_starts(slice_from(text, i), needle)) {
            buf_add(&out, with);
            i += needle.len;
        } else {
            buf_char(&out, text.at[i++]);
        }
    }
    return arena_copy(&w->arena, buf_slice(&out));
}

static Slice shown(World *w, const User *u, Slice name)
{
    if (u == &users[0]) return name;
    return arena_printf(&w->arena, "Shared/%s/%.*s", users[0].login, SP(name));
}

#define MESSAGE "{15+}\r\nSubject: x\r\n\r\nx"

/* A new mailbox with one message, and what this user may do there. */
PARKS static Slice new_mailbox(World *w, const User *u)
{
    Slice name = arena_printf(&w->arena, "m%u", w->number);
    do_it(w, w->owner, arena_printf(&w->arena, "CREATE %.*s", SP(name)));
    do_it(w, w->owner, arena_printf(&w->arena, "APPEND %.*s " MESSAGE, SP(name)));
    if (u != &users[0] && u->rights[0])
        do_it(w, w->owner,
              arena_printf(&w->arena, "SETACL %.*s %s %s", SP(name), u->login, u->rights));
    return name;
}

static bool is_for_selected(const char *command)
{
    for (size_t i = 0; i < imap_command_count; i++)
        if (slice_eq(imap_commands[i].name, slice_of(command)))
            return (imap_commands[i].allowed & KNOWN) == SELECTED;
    return false;
}

/* What the form answers there; names are made the same, so that answers can be compared. */
PARKS static Slice try_form(World *w, const Access *a, const User *u, Slice name)
{
    Slice there = shown(w, u, name), form = slice_of(a->form);
    bool names_it = strstr(a->form, "$m");
    if (names_it && is_for_selected(a->command)) {
        do_it(w, u->stream, S("APPEND INBOX " MESSAGE));
        do_it(w, u->stream, S("SELECT INBOX"));
    }
    if (!names_it) (void)ask(w, u->stream, arena_printf(&w->arena, "SELECT %.*s", SP(there)));
    form = replaced(w, form, S("$m"), there);
    form = replaced(w, form, S("$p"), shown(w, u, S("parent")));
    form = replaced(w, form, S("$n"), arena_printf(&w->arena, "%u", w->number));
    Slice answer = ask(w, u->stream, form);
    (void)ask(w, u->stream, S("UNSELECT"));
    (void)ask(w, u->stream, S("NOTIFY NONE"));
    w->number++;
    return replaced(w, answer, there, S("$m"));
}

static bool has_all(const User *u, const char *rights)
{
    if (!strcmp(rights, "*")) return strpbrk(u->rights, "lrikxa");
    for (; *rights; rights++)
        if (!strchr(u->rights, *rights)) return false;
    return true;
}

static void wrong(const Access *a, const User *u, const char *why, Slice answer)
{
    test_failed(__FILE__, __LINE__, "%s by %s (%s): %s: %.*s", a->form, u->login, u->rights, why,
                SP(answer));
}

PARKS static void one_case(World *w, const Access *a, const User *u)
{
    bool may = has_all(u, a->rights), sees = strchr(u->rights, 'l');
    Slice there = try_form(w, a, u, new_mailbox(w, u));
    Slice nowhere = try_form(w, a, u, arena_printf(&w->arena, "x%u", w->number));
    Slice status = status_of(there);
    if (may || a->otherwise == SILENT) {
        if (!slice_eq(status, S("OK"))) wrong(a, u, "has to be OK", there);
    } else if (slice_eq(status, S("OK")) && (sees || a->otherwise == REFUSED)) {
        wrong(a, u, "must not be OK", there);
    }
    if (!may && sees && a->otherwise != SILENT && strstr(a->form, "$m") &&
        slice_find_slice(there, S("[NOPERM]")) == there.len)
        wrong(a, u, "has to be NOPERM", there);
    if (!may && !sees && !slice_eq(there, nowhere)) {
        wrong(a, u, "betrays that it is there", there);
        wrong(a, u, "when it is not", nowhere);
    }
    arena_reset(&w->arena);
}

/* What everybody may do somewhere. */
PARKS static void set_up(World *w)
{
    w->owner = log_in(w, users[0].login);
    for (size_t i = 0; i < COUNT(users); i++)
        users[i].stream = log_in(w, users[i].login);
    do_it(w, w->owner, S("CREATE parent"));
    for (size_t i = 1; i + 1 < COUNT(users); i++)
        do_it(w, w->owner, arena_printf(&w->arena, "SETACL parent %s lk", users[i].login));
}

TEST(every_command_by_everybody)
{
    World w;
    world_open(&w);
    set_up(&w);
    for (size_t i = 0; i < COUNT(forms); i++)
        for (size_t k = 0; k < COUNT(users) && forms[i].form; k++)
            one_case(&w, &forms[i], &users[k]);
    world_close(&w);
}
