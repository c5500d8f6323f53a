/* undelete: brings expunged messages back while they are kept (store.h, Deletion). */
#include "base/text.h"
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

static bool take_ago(Slice text, uint32_t *since)
{
    static const struct {
        char letter;
        uint32_t seconds;
    } units[] = {
        {'s', 1    },
        {'m', 60   },
        {'h', 3600 },
        {'d', 86400}
    };
    uint64_t n;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (!text.len || text.at[text.len - 1] != units[i].letter) continue;
        if (!slice_to_u64(slice_first(text, text.len - 1), &n) || n > UINT32_MAX) return false;
        uint64_t now = (uint64_t)wall_seconds(), ago = n * units[i].seconds;
        *since = ago < now ? (uint32_t)(now - ago) : 0;
        return true;
    }
    return false;
}

/* A day as the clock on the wall here has it. */
static bool take_day(Slice text, uint32_t *since)
{
    uint64_t year, month, day;
    Slice y, m;
    if (!slice_cut(&text, '-', &y) || !slice_cut(&text, '-', &m)) return false;
    if (!slice_to_u64(y, &year) || !slice_to_u64(m, &month) || !slice_to_u64(text, &day))
        return false;
    if (year < 1970 || year > 2105 || month < 1 || month > 12 || day < 1 || day > 31) return false;
    struct tm tm = {
        .tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day, .tm_isdst = -1};
    time_t at = mktime(&tm);
    if (at < 0 || at > UINT32_MAX) return false;
    *since = (uint32_t)at;
    return true;
}

static Err take_option(Undelete *u, Slice name, Slice value)
{
    if (slice_eq(name, S("--folder")))
        u->folder = value;
    else if (slice_eq(name, S("--message-id")))
        u->message_id = value;
    else if (!slice_eq(name, S("--since")))
        return fail(ERR_SYNTAX, "%.*s: not understood", SP(name));
    else if (!take_ago(value, &u->since) && !take_day(value, &u->since))
        return fail(ERR_SYNTAX, "--since %.*s: not like 30m, 2h, 3d or 2026-11-22", SP(value));
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
