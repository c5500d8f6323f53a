#include "base/scan.h"
#include "base/text.h"
#include "house/verbs.h"

#include <poll.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { AT_ONCE = 1000 };

/* ---- in the house ---- */

PARKS static int done(Talk *t, Err err)
{
    int code = err ? talk_fail(t, err) : EXIT_OK;
    return err == ERR_SYNTAX ? EXIT_USAGE : code;
}

/* What is missing is whom the command is about. */
PARKS static int done_with(Talk *t, const char *what, Err err)
{
    if (err != ERR_NOT_FOUND) return done(t, err);
    return talk_fail(t, fail(ERR_AUTH, "no %s %.*s", what, SP(t->args[2])));
}

/* Mail for an address that leads nowhere would be refused; better to hear of it now. */
PARKS static Err put_alias(Talk *t)
{
    uint32_t acct;
    for (size_t i = 3; i < t->arg_count; i++)
        TRY(talk_account(t, t->args[i], &acct));
    return alias_put(t->house->auth, t->args[2], t->args + 3, t->arg_count - 3);
}

PARKS static int list_users(Talk *t)
{
    Slice *logins, after = {0};
    size_t count;
    Buf last buf_scoped = {0};
    do {
        Arena a arena_scoped = {0};
        Err err = user_list(t->house->auth, after, AT_ONCE, &a, &logins, &count);
        if (err) return talk_fail(t, err);
        for (size_t i = 0; i < count; i++)
            talk_out(t, "%.*s\n", SP(logins[i]));
        if (count) {
            buf_clear(&last);
            buf_add(&last, logins[count - 1]);
            after = buf_slice(&last);
        }
    } while (count == AT_ONCE);
    return EXIT_OK;
}

PARKS static int list_aliases(Talk *t)
{
    Arena a arena_scoped = {0};
    Slice *lines;
    size_t count;
    Err err = alias_list(t->house->auth, &a, &lines, &count);
    if (err) return talk_fail(t, err);
    for (size_t i = 0; i < count; i++)
        talk_out(t, "%.*s\n", SP(lines[i]));
    return EXIT_OK;
}

typedef struct {
    Talk *talk;
    uint32_t acct;
    Err err;
} OnAccount;

static Err take_size(Slice text, uint64_t *octets)
{
    static const char units[] = "kmg";
    const char *unit =
        text.len ? memchr(units, ascii_lower(text.at[text.len - 1]), sizeof units - 1) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (unit) text.len--;
    if (!slice_to_u64(text, octets) || *octets >> (63 - shift))
        return fail(ERR_SYNTAX, "a quota is a number, or like 500M, 10G; 0: none");
    *octets <<= shift;
    return OK;
}

PARKS static Err quota_of(Talk *t, Account *account)
{
    static const char *const names[QUOTA_RESOURCES] = {"octets", "messages", "mailboxes",
                                                       "octets of annotations"};
    uint64_t limit[QUOTA_RESOURCES] = {QUOTA_NONE, QUOTA_NONE, QUOTA_NONE, QUOTA_NONE};
    for (size_t i = 3; i < MIN(t->arg_count, (size_t)3 + QUOTA_RESOURCES); i++) {
        TRY(take_size(t->args[i], &limit[i - 3]));
        if (!limit[i - 3]) limit[i - 3] = QUOTA_NONE;
    }
    if (t->arg_count > 3) TRY(account_set_quota(account, limit));
    Quota q = account_quota(account);
    for (int i = 0; i < QUOTA_RESOURCES; i++) {
        talk_out(t, "%s%s %llu of ", i ? ", " : "", names[i], (unsigned long long)q.used[i]);
        if (q.limit[i] == QUOTA_NONE)
            talk_out(t, "any number");
        else
            talk_out(t, "%llu", (unsigned long long)q.limit[i]);
    }
    talk_out(t, "\n");
    return OK;
}

/* ---- pop3: three settings, kept as "delete=expunge|trash expire=DAYS|never leave=yes|no" ---- */

enum { POP3_SETTINGS = 3 };
static const char *const pop3_names[POP3_SETTINGS] = {"delete=", "expire=", "leave="};

static bool pop3_fits(size_t setting, Slice value)
{
    uint64_t days;
    switch (setting) {
    case 0:
        return slice_eq(value, S("expunge")) || slice_eq(value, S("trash"));
    case 1:
        return slice_eq(value, S("never")) ||
               (slice_to_u64(value, &days) && days >= 1 && days <= 36500);
    default:
        return slice_eq(value, S("yes")) || slice_eq(value, S("no"));
    }
}

/* The word over the one of its kind in `values`. */
static Err pop3_take(Slice word, Slice values[POP3_SETTINGS])
{
    for (size_t i = 0; i < POP3_SETTINGS; i++) {
        Slice name = slice_of(pop3_names[i]);
        if (!slice_starts(word, name) || !pop3_fits(i, slice_from(word, name.len))) continue;
        values[i] = slice_from(word, name.len);
        return OK;
    }
    return fail(ERR_SYNTAX, "%.*s: not delete=expunge|trash, expire=DAYS|never, leave=yes|no",
                SP(word));
}

PARKS static Err pop3_of(Talk *t, Account *account)
{
    Arena a arena_scoped = {0};
    uint64_t days = (house_config(t->house)->pop3_expire + 86399) / 86400;
    Slice values[POP3_SETTINGS] = {S("expunge"), S("never"), S("yes")}, stored = {0}, word;
    if (days) values[1] = arena_printf(&a, "%llu", (unsigned long long)days);
    Err err = object_get(account, S("pref"), S("pop3"), &a, &stored, NULL);
    if (err && err != ERR_NOT_FOUND) return err;
    while (slice_cut(&stored, ' ', &word))
        if (word.len && pop3_take(word, values)) continue; /* of a later version */
    for (size_t i = 3; i < t->arg_count; i++)
        TRY(pop3_take(t->args[i], values));
    Slice line = arena_printf(&a, "delete=%.*s expire=%.*s leave=%.*s", SP(values[0]),
                              SP(values[1]), SP(values[2]));
    if (t->arg_count > 3) TRY(object_put(account, S("pref"), S("pop3"), line, NULL));
    talk_out(t, "%.*s\n", SP(line));
    return OK;
}

/* Words over what is in force; none: says what is. */
PARKS static Err deletion_of(Talk *t, Account *account)
{
    Buf line buf_scoped = {0};
    Deletion d;
    TRY(account_deletion(account, &d));
    for (size_t i = 3; i < t->arg_count; i++)
        if (!deletion_parse(t->args[i], &d))
            return fail(ERR_SYNTAX,
                        "%.*s: not expunge=gone|trash, keep=DAYS (up to %d), deleted=mark|trash",
                        SP(t->args[i]), KEEP_DAYS_MOST);
    if (t->arg_count > 3) TRY(account_set_deletion(account, &d));
    deletion_print(&line, &d);
    talk_out(t, "%.*s\n", SP(buf_slice(&line)));
    return OK;
}

PARKS static void on_account(void *arg)
{
    OnAccount *o = arg;
    Account *account scoped(account) = NULL;
    o->err = account_open(o->talk->house->store, o->acct, &account);
    if (o->err) return;
    Slice what = o->talk->args[1];
    if (slice_eq(what, S("quota")))
        o->err = quota_of(o->talk, account);
    else if (slice_eq(what, S("deletion")))
        o->err = deletion_of(o->talk, account);
    else
        o->err = pop3_of(o->talk, account);
}

/* The talk's stream belongs to this loop, the account perhaps to another: what is said on the way
 * is gathered first. */
PARKS static int with_account(Talk *t)
{
    OnAccount o = {.talk = t};
    Err err = talk_account(t, t->args[2], &o.acct);
    if (err) return done(t, err);
    talk_on_loop(t, store_home(t->house->store, o.acct), on_account, &o);
    return done(t, o.err);
}

PARKS int verb_user(Talk *t)
{
    Auth *auth = t->house->auth;
    Slice what = t->arg_count > 1 ? t->args[1] : (Slice){0};
    if (slice_eq(what, S("list"))) return list_users(t);
    if (slice_eq(what, S("aliases"))) return list_aliases(t);
    if (t->arg_count < 3) return talk_usage(t);
    Slice name = t->args[2];
    if (slice_eq(what, S("add")) && t->arg_count == 4)
        return done(t, user_add(auth, name, t->args[3]));
    if (slice_eq(what, S("password")) && t->arg_count == 4)
        return done_with(t, "user", user_set_password(auth, name, t->args[3]));
    if (slice_eq(what, S("remove"))) return done_with(t, "user", user_remove(auth, name));
    if (slice_eq(what, S("quota")) || slice_eq(what, S("pop3")) || slice_eq(what, S("deletion")))
        return with_account(t);
    if (slice_eq(what, S("alias")) && t->arg_count > 3) return done(t, put_alias(t));
    if (slice_eq(what, S("unalias"))) return done_with(t, "alias", alias_remove(auth, name));
    return talk_usage(t);
}

/* ---- at the terminal: the password is not an argument, others could see it ---- */

/* Reading would hold the loop, and with it the fiber that hears Ctrl-C. */
PARKS static bool wait_for_line(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!poll(&input, 1, 0))
        if (fiber_sleep(50) == WOKEN_CANCELLED) return false;
    return true;
}

PARKS static Err read_password(char *out, size_t room)
{
    struct termios old, quiet;
    bool terminal = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &old);
    if (terminal) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Password: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char *line = wait_for_line() ? fgets(out, (int)room, stdin) : NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputs("\n", stderr);
    }
    if (!line) return fail(ERR_SYNTAX, "no password");
    out[strcspn(out, "\r\n")] = 0;
    return *out ? OK : fail(ERR_SYNTAX, "an empty password");
}

PARKS void user_at_terminal(CommandLine *c)
{
    char password[1026] = {0};
    Slice args[4], what = slice_of(c->argc > 1 ? c->argv[1] : NULL);
    bool wants_password = slice_eq(what, S("add")) || slice_eq(what, S("password"));
    if (!wants_password || c->argc != 3) {
        verb_pass_on(c);
        return;
    }
    if (read_password(password, sizeof password)) {
        fprintf(stderr, "posthouse user: %s\n", err_story());
        c->exit_code = EXIT_USAGE;
        return;
    }
    for (int i = 0; i < 3; i++)
        args[i] = slice_of(c->argv[i]);
    args[3] = slice_of(password);
    ControlClient client = {0};
    verb_ask(c, args, 4, &client);
    wipe(password, sizeof password);
}
