/* restore at the command line: the whole store into an empty directory, or mail of one account,
 * read from a store made of the backup's files, to the house as import sends it. */
#include "base/text.h"
#include "house/backup.h"
#include "house/transfer.h"
#include "imap/session.h"
#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    Slice dir, store, account, folder, into, scratch;
    int64_t at;
    uint32_t uid;
    Slice email_id;
    bool keep_numbers, replace;
} RestoreArgs;

typedef struct {
    Restoring restoring;
    Meter meter;
    Err err;
} Files;

static void complain(CommandLine *c, Err err)
{
    fprintf(stderr, "posthouse restore: %s\n", *err_story() ? err_story() : err_meaning(err));
    c->exit_code = err == ERR_SYNTAX ? EXIT_USAGE : exit_code_of(err);
}

static void files_aside(void *arg)
{
    Files *f = arg;
    f->err = backup_restore(&f->restoring);
}

PARKS static Err put_files(Files *f)
{
    meter_begin(&f->meter, "restore");
    f->restoring.told = meter_told;
    f->restoring.told_arg = &f->meter;
    aside(files_aside, f);
    meter_end(&f->meter);
    return f->err;
}

/* ---- the whole store ---- */

static void say_line(void *arg, Slice line)
{
    (void)arg;
    fprintf(stderr, "posthouse restore: %.*s\n", SP(line));
}

PARKS static Err renew_and_check(Store *store, bool keep_numbers, CheckResult *result)
{
    uint64_t given_up = 0;
    if (!keep_numbers) TRY(store_renew(store, &given_up));
    return store_check(store, false, say_line, NULL, result);
}

PARKS static Err restore_whole(CommandLine *c, const RestoreArgs *a)
{
    Files f = {
        .restoring = {.dir = a->dir, .store = a->store, .at = a->at}
    };
    Arena arena arena_scoped = {0};
    Buf moment buf_scoped = {0};
    Store *store = NULL;
    CheckResult result = {0};
    TRY(put_files(&f));
    StoreOptions options = house_store_options(c->config, &arena);
    TRY(store_open(a->store, &options, &store));
    Err err = renew_and_check(store, a->keep_numbers, &result);
    store_close(store);
    TRY(err);
    moment_put(&moment, f.restoring.moment);
    printf("restored as of %.*s: %llu octets, %llu accounts, %llu messages, %llu findings\n",
           SP(buf_slice(&moment)), (unsigned long long)f.restoring.copied,
           (unsigned long long)result.accounts, (unsigned long long)result.messages,
           (unsigned long long)result.findings);
    if (result.findings) c->exit_code = EXIT_DATA;
    return OK;
}

/* ---- one account ---- */

typedef struct {
    ControlClient client;
    ExportWhat what;
    uint64_t sent;
    Err err;
    char story[300];
} Sending;

PARKS static Err send_all(ControlClient *client)
{
    Sending *s = CONTAINER(client, Sending, client);
    Talk talk = {.stream = client->stream, .forward = true};
    s->err = export_run(&talk, &s->what, &s->sent);
    arena_done(&talk.arena);
    snprintf(s->story, sizeof s->story, "%s", err_story());
    return OK;
}

PARKS static Err find_what(const RestoreArgs *a, Sending *s)
{
    Buf login buf_scoped = {0};
    TRY(login_normalise(a->account, &login));
    Err err = store_find_account(s->what.store, buf_slice(&login), &s->what.acct);
    if (err == ERR_NOT_FOUND)
        return fail(ERR_AUTH, "there was no user %.*s at that moment", SP(a->account));
    TRY(err);
    s->what.only = a->folder;
    s->what.uid = a->uid;
    s->what.notes = true;
    s->what.things = !a->uid && !a->email_id.len && !a->into.len;
    s->what.replace = a->replace;
    if (!a->email_id.len) return OK;
    s->what.eid = (uint32_t)imap_object_id_of(a->email_id, OBJECT_EMAIL, s->what.acct);
    return s->what.eid
               ? OK
               : fail(ERR_NOT_FOUND, "%.*s is not an EMAILID of that account", SP(a->email_id));
}

PARKS static Err send_mail(CommandLine *c, const RestoreArgs *a, Store *scratch)
{
    Slice args[] = {S("restore"), a->account, a->into};
    Sending s = {.client.source = send_all, .what.store = scratch};
    TRY(find_what(a, &s));
    verb_ask(c, args, a->into.len ? 3 : 2, &s.client);
    if (c->exit_code) return OK;
    if (s.err) return fail(s.err, "%s", s.story);
    bool one = a->uid || a->email_id.len;
    return one && !s.sent ? fail(ERR_NOT_FOUND, "there was no such message at that moment") : OK;
}

static void remove_tree(Slice path)
{
    Arena a arena_scoped = {0};
    Slice *names;
    size_t count;
    if (!unlink(arena_cstr(&a, path)) || path_list(path, &a, &names, &count)) return;
    for (size_t i = 0; i < count; i++)
        remove_tree(arena_printf(&a, "%.*s/%.*s", SP(path), SP(names[i])));
    rmdir(arena_cstr(&a, path));
}

PARKS static Err restore_mail(CommandLine *c, const RestoreArgs *a, Slice scratch)
{
    Files f = {
        .restoring = {.dir = a->dir, .store = scratch, .at = a->at, .look = true}
    };
    StoreOptions options = {
        .undelete_days = KEEP_DAYS_MOST, .engine = {.look_only = true, .force_network_fs = true}
    };
    Store *store = NULL;
    TRY(put_files(&f));
    TRY(store_open(scratch, &options, &store));
    Err err = send_mail(c, a, store);
    char story[300];
    snprintf(story, sizeof story, "%s", err_story());
    store_close(store);
    return err ? fail(err, "%s", story) : OK;
}

PARKS static Err restore_account(CommandLine *c, const RestoreArgs *a)
{
    Arena arena arena_scoped = {0};
    Slice above = a->scratch.len ? a->scratch : a->dir;
    Slice scratch = arena_printf(&arena, "%.*s/scratch-%d", SP(above), (int)getpid());
    Err err = restore_mail(c, a, scratch);
    remove_tree(scratch); /* which changes errno, not the story */
    return err;
}

/* ---- arguments ---- */

static Err take_message(RestoreArgs *a, Slice value)
{
    uint64_t uid;
    if (slice_to_u64(value, &uid) && uid && uid < UINT32_MAX)
        a->uid = (uint32_t)uid;
    else if (slice_starts(value, S("M")))
        a->email_id = value;
    else
        return fail(ERR_SYNTAX, "--message %.*s: neither a UID nor an EMAILID", SP(value));
    return OK;
}

static Err take_option(RestoreArgs *a, Slice name, Slice value)
{
    const struct {
        Slice name;
        Slice *to;
    } texts[] = {
        {S("--store"),   &a->store  },
        {S("--account"), &a->account},
        {S("--folder"),  &a->folder },
        {S("--into"),    &a->into   },
        {S("--scratch"), &a->scratch},
    };
    if (slice_eq(name, S("--at"))) return moment_parse(value, &a->at);
    if (slice_eq(name, S("--message"))) return take_message(a, value);
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (!slice_eq(name, texts[i].name)) continue;
        *texts[i].to = value;
        return OK;
    }
    return fail(ERR_SYNTAX, "%.*s: not understood", SP(name));
}

static Err take_args(CommandLine *c, RestoreArgs *a)
{
    for (int i = 1; i < c->argc; i++) {
        Slice arg = slice_of(c->argv[i]);
        if (slice_eq(arg, S("--keep-uidvalidity"))) {
            a->keep_numbers = true;
        } else if (slice_eq(arg, S("--replace"))) {
            a->replace = true;
        } else if (slice_starts(arg, S("-"))) {
            if (i + 1 == c->argc) return fail(ERR_SYNTAX, "%.*s wants a value", SP(arg));
            TRY(take_option(a, arg, slice_of(c->argv[++i])));
        } else if (!a->dir.len) {
            a->dir = arg;
        } else {
            return fail(ERR_SYNTAX, "%.*s: one argument too many", SP(arg));
        }
    }
    bool mail_only = a->folder.len || a->into.len || a->uid || a->email_id.len || a->scratch.len;
    bool fits = a->dir.len && !a->store.len != !a->account.len &&
                !(a->store.len && (mail_only || a->replace)) && !(a->uid && !a->folder.len) &&
                !(a->account.len && a->keep_numbers);
    return fits ? OK : fail(ERR_SYNTAX, "usage: posthouse %s", verb_find(S("restore"))->synopsis);
}

PARKS void restore_at_terminal(CommandLine *c)
{
    RestoreArgs a = {0};
    Err err = take_args(c, &a);
    if (!err) err = a.store.len ? restore_whole(c, &a) : restore_account(c, &a);
    if (err) complain(c, err);
}
