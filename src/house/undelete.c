/* undelete: brings expunged messages back while they are kept (store.h, Deletion). */
#include "base/text.h"
#include "house/backup.h"
#include "house/verbs.h"
#include "mail/mail.h"

#include <time.h>

enum { AT_ONCE = 1000 }; /* messages in one record */

typedef struct {
    Talk *talk;
    uint32_t acct;
    Account *account;
    bool list;
    Slice folder, message_id;
    uint32_t since; /* Unix seconds */
    size_t matched, back;
    Err err;
} Undelete;

/* ---- arguments ---- */

static Err take_since(Undelete *u, Slice value)
{
    int64_t moment;
    if (moment_parse(value, &moment) || moment > UINT32_MAX)
        return fail(ERR_SYNTAX, "--since %.*s: not like 30m, 2h, 3d or 2026-11-22", SP(value));
    u->since = (uint32_t)moment;
    return OK;
}

static Err take_option(Undelete *u, Slice name, Slice value)
{
    if (slice_eq(name, S("--folder")))
        u->folder = value;
    else if (slice_eq(name, S("--message-id")))
        u->message_id = value;
    else if (slice_eq(name, S("--since")))
        return take_since(u, value);
    else
        return fail(ERR_SYNTAX, "%.*s: not understood", SP(name));
    return OK;
}

static Err take_options(Undelete *u)
{
    Talk *t = u->talk;
    for (size_t i = 2; i < t->arg_count; i++) {
        if (slice_eq(t->args[i], S("--list"))) {
            u->list = true;
            continue;
        }
        if (i + 1 == t->arg_count) return fail(ERR_SYNTAX, "%.*s wants a value", SP(t->args[i]));
        TRY(take_option(u, t->args[i], t->args[i + 1]));
        i++;
    }
    return OK;
}

/* ---- which ---- */

/* Angle brackets or not. */
static bool is_message_id(Slice wanted, Slice id)
{
    if (slice_eq(wanted, id)) return true;
    return id.len == wanted.len + 2 && slice_eq(slice_first(slice_from(id, 1), wanted.len), wanted);
}

PARKS static bool matches(Undelete *u, const KeptMessage *k, const MailSummary *m)
{
    if (k->deleted < u->since) return false;
    if (u->folder.len && !slice_eq(u->folder, k->folder)) return false;
    return !u->message_id.len || is_message_id(u->message_id, m->message_id);
}

static Slice printable(Arena *a, Slice text)
{
    Slice copy = arena_copy(a, slice_first(text, 60));
    for (size_t i = 0; i < copy.len; i++)
        if ((unsigned char)copy.at[i] < ' ' || copy.at[i] == 0x7f) ((char *)copy.at)[i] = ' ';
    return copy;
}

PARKS static void show(Undelete *u, Arena *a, const KeptMessage *k, const MailSummary *m)
{
    char when[32] = "";
    time_t at = k->deleted;
    struct tm tm;
    if (localtime_r(&at, &tm)) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    Slice subject = printable(a, m->subject), folder = printable(a, k->folder);
    Slice id = printable(a, m->message_id);
    talk_out(u->talk, "%s  %10u  %.*s%s  %.*s  %.*s\n", when, k->size, SP(folder),
             k->folder_is_gone ? " (gone)" : "", SP(id), SP(subject));
}

PARKS static Err look_at(Undelete *u, Arena *a, const KeptMessage *k, UidSet *uids)
{
    MailSummary m = {0};
    Slice stored;
    Err err = email_summary(u->account, k->eid, &stored);
    if (!err) err = mail_summary_peek(stored, &m);
    if (err) m = (MailSummary){0}; /* damaged: it may come back all the same */
    if (!matches(u, k, &m)) return OK;
    u->matched++;
    if (u->list)
        show(u, a, k, &m);
    else
        uidset_add(a, uids, k->uid, k->uid);
    return OK;
}

PARKS static Err undelete(Undelete *u)
{
    uint32_t after = 0;
    size_t count = AT_ONCE;
    while (count == AT_ONCE) {
        Arena a arena_scoped = {0};
        KeptMessage *list;
        UidSet uids = {0};
        size_t back = 0;
        TRY(account_kept(u->account, after, AT_ONCE, &a, &list, &count));
        for (size_t i = 0; i < count; i++)
            TRY(look_at(u, &a, &list[i], &uids));
        if (count) after = list[count - 1].uid;
        if (uids.count) TRY(account_undelete(u->account, &uids, &a, &back));
        u->back += back;
    }
    return OK;
}

PARKS static void on_account(void *arg)
{
    Undelete *u = arg;
    u->err = account_open(u->talk->house->store, u->acct, &u->account);
    if (u->err) return;
    u->err = undelete(u);
    account_close(u->account);
}

PARKS int verb_undelete(Talk *t)
{
    Undelete u = {.talk = t};
    if (t->arg_count < 2) return talk_usage(t);
    Err err = take_options(&u);
    if (err) {
        (void)talk_fail(t, err);
        return EXIT_USAGE;
    }
    err = talk_account(t, t->args[1], &u.acct);
    if (err) return talk_fail(t, err);
    talk_on_loop(t, store_home(t->house->store, u.acct), on_account, &u);
    if (!u.list) talk_out(t, "%zu messages are back\n", u.back);
    if (!u.list && u.matched > u.back)
        talk_out(t, "%zu stay: there is a copy of them\n", u.matched - u.back);
    return u.err ? talk_fail(t, u.err) : EXIT_OK;
}
