/* NOTIFY, RFC 5465: the command, and when its news are told. */
#include "imap/notify.h"
#include "imap/annotate.h"
#include "run/log.h"

#include <stdlib.h>

/* ---- the selected mailbox ---- */

/* Its id, if it is of that account; 0: none. At the home of the mailbox. */
static uint32_t selected_id(const Imap *s)
{
    return s->box ? mailbox_status(s->box).id : 0;
}

bool imap_notifies_annotations(const Imap *s)
{
    return s->notify && !s->notify->implied && (s->notify->selected & EVENT_ANNOTATION_CHANGE);
}

unsigned imap_notify_selected(const Imap *s)
{
    return s->notify ? s->notify->selected : EVENTS_ALL;
}

/* What this session has put there itself is left out (RFC 5465 5.2). */
static void add_others(Imap *s, uint32_t first, uint32_t last, UidSet *uids)
{
    uint32_t acct = account_number(mailbox_account(s->box)), id = selected_id(s);
    for (Watch *w = s->notify->watches; w; w = w->next) {
        if (w->acct != acct || w->own_mailbox != id) continue;
        for (uint32_t i = 0; i < w->own_count; i++) {
            if (first < w->own[i].first) uidset_add(&s->arena, uids, first, w->own[i].first - 1);
            first = MAX(first, w->own[i].last + 1);
        }
        w->own_count = 0;
    }
    if (first <= last) uidset_add(&s->arena, uids, first, last);
}

void imap_notify_tell_new(Imap *s, uint32_t after)
{
    Notify *n = s->notify;
    uint32_t exists = view_exists(s->view), last = exists ? view_uid(s->view, exists) : 0;
    UidSet uids = {0};
    if (!n || last <= after) return;
    add_others(s, after + 1, last, &uids);
    if (n->fetch.count && (n->selected & EVENT_MESSAGE_NEW) && uids.count)
        (void)fetch_tell(s, &n->fetch, &uids); /* what cannot be read is left out */
}

/* ---- the end ---- */

PARKS static void end_watches(Imap *s, Notify *n)
{
    while (n->watches) {
        Watch *w = n->watches;
        n->watches = w->next;
        watch_end(s, w);
    }
}

PARKS static void notify_free(Imap *s, Notify *n)
{
    if (!n) return;
    end_watches(s, n);
    imap_go_back(s);
    bell_unref(n->bell);
    free((char *)(uintptr_t)n->written.at);
    arena_done(&n->arena);
    free(n);
}

void imap_notify_free(Imap *s)
{
    Notify *n = s->notify;
    s->notify = NULL;
    notify_free(s, n);
}

static void keep_written(Imap *s, Notify *n, Slice written)
{
    free((char *)(uintptr_t)n->written.at);
    n->written = (Slice){0};
    if (!written.len || !imap_may_be_kept(s)) return;
    char *copy = mem_new(written.len);
    memcpy(copy, written.at, written.len);
    n->written = slice(copy, written.len);
}

/* RFC 5465 5.8: as if NOTIFY NONE had come. */
PARKS static void give_up(Imap *s)
{
    Notify *n = s->notify;
    keep_written(s, n, S(" NONE"));
    end_watches(s, n);
    imap_go_back(s);
    n->group_count = 0;
    n->events = n->selected = 0;
    imap_say(s, "OK [NOTIFICATIONOVERFLOW] Too much has happened: NOTIFY is off");
}

/* ---- other accounts ---- */

static Watch *watch_of(const Notify *n, uint32_t acct)
{
    for (Watch *w = n->watches; w; w = w->next)
        if (w->acct == acct) return w;
    return NULL;
}

/* What the user has subscribed to, from his own account. Goes home. */
PARKS static void subscribed_names(Imap *s, Slice **names, size_t *count)
{
    MailboxEntry *entries;
    size_t all;
    imap_go(s, s->user.acct);
    account_mailboxes(s->account, &s->arena, &entries, &all);
    *names = arena_array(&s->arena, Slice, all);
    *count = 0;
    for (size_t i = 0; i < all; i++)
        if (entries[i].subscribed) (*names)[(*count)++] = entries[i].name;
}

PARKS static Err watch_other(Imap *s, Notify *n, const Shared *from, Slice prefix)
{
    Account *account scoped(account) = NULL;
    Slice *names;
    size_t count;
    subscribed_names(s, &names, &count);
    imap_go(s, from->acct);
    TRY(account_open(s->config->store, from->acct, &account));
    TRY(watch_begin(n, account, prefix));
    for (size_t i = 0; i < from->count; i++)
        if (from->entries[i].exists) watch_set_seen(n->watches, from->entries[i].status.id, true);
    watch_set_subscribed(n->watches, names, count);
    return OK;
}

/* Those who let this user see something that a group reaches. `granted`: others are watched
 * already; what is new is told. */
PARKS static Err watch_others(Imap *s, Notify *n, bool granted)
{
    Shared *list;
    size_t count;
    TRY(imap_sharers(s, &list, &count));
    for (size_t i = 0; i < count; i++) {
        Slice prefix = imap_prefix_of(s, list[i].login);
        if (watch_of(n, list[i].acct) || !notify_reaches(n, prefix)) continue;
        TRY(watch_other(s, n, &list[i], prefix));
        if (granted) notify_tell_granted(s, n->watches);
    }
    return OK;
}

PARKS static void subscribe_others(Imap *s, const Notify *n)
{
    Slice *names;
    size_t count;
    subscribed_names(s, &names, &count);
    for (Watch *w = n->watches; w; w = w->next) {
        if (w->acct == s->user.acct) continue;
        imap_go(s, w->acct);
        watch_set_subscribed(w, names, count);
    }
}

/* ---- telling ---- */

/* The hint that told us of it is written before the right itself (store/grants.c). */
PARKS static void watch_granted(Imap *s, Notify *n)
{
    const Watch *newest = n->watches;
    for (int64_t ms = 10; ms < 200 && n->watches == newest; ms *= 2) {
        if (fiber_sleep(ms) == WOKEN_CANCELLED || watch_others(s, n, true)) return;
    }
}

/* Somebody has granted something, or the subscriptions are others. What fails here is seen by the
 * next NOTIFY. */
PARKS static void look_around(Imap *s)
{
    Notify *n = s->notify;
    bool granted = __atomic_exchange_n(&n->granted, false, __ATOMIC_SEQ_CST);
    bool subscribed = __atomic_exchange_n(&n->subscribed, false, __ATOMIC_SEQ_CST);
    if (granted) watch_granted(s, n);
    if (subscribed && n->watches && n->watches->next) subscribe_others(s, n);
}

PARKS static void tell_watches(Imap *s)
{
    uint32_t id = selected_id(s), acct = s->box ? account_number(mailbox_account(s->box)) : 0;
    bool overflow = false;
    for (Watch *w = s->notify->watches; w && !overflow; w = w->next) {
        if (!__atomic_exchange_n(&w->rung, false, __ATOMIC_SEQ_CST)) continue;
        imap_go(s, w->acct);
        overflow = w->overflow && !s->notify->implied;
        if (!overflow) w->overflow = false; /* nobody asked for all of it */
        if (!overflow) notify_tell_watch(s, w, w->acct == acct ? id : 0);
    }
    if (!overflow) look_around(s);
    imap_go_back(s);
    if (overflow) give_up(s);
}

PARKS static void tell_selected(Imap *s, bool idle)
{
    if (s->state != SELECTED || (s->notify->implied && !idle)) return;
    view_listen(s->view, fiber_current());
    imap_tell_news(s, idle || !s->notify->delayed);
}

void imap_tell_unasked(Imap *s, bool idle)
{
    if (!s->notify) {
        if (s->state != SELECTED) return;
        view_listen(s->view, fiber_current());
        imap_tell_news(s, true);
        return;
    }
    tell_selected(s, idle);
    while (s->state != LEAVING && bell_has_rung(s->notify->bell)) {
        imap_listen_no_more(s); /* we go to other loops */
        tell_watches(s);
        tell_selected(s, idle);
    }
}

void imap_listen_no_more(Imap *s)
{
    if (s->view) view_listen(s->view, NULL);
}

Wake imap_wait(Imap *s, int64_t deadline)
{
    if (s->notify && !bell_arm(s->notify->bell)) return WOKEN_NUDGED;
    fiber_rests(true); /* all that others know of us is on the heap */
    Wake wake = stream_wait(s->stream, deadline);
    fiber_rests(false);
    if (s->notify) bell_disarm(s->notify->bell);
    return wake;
}

/* ---- the command ---- */

/* ENABLE METADATA is an event group of its own. */
static void add_metadata(const Imap *s, Notify *n)
{
    unsigned events = EVENT_MAILBOX_METADATA_CHANGE | EVENT_SERVER_METADATA_CHANGE;
    if (!imap_has(s, ENABLED_METADATA)) return;
    n->groups[n->group_count++] = (NotifyGroup){.filter = FILTER_PERSONAL, .events = events};
    n->events |= events;
}

static void keep_groups(Notify *n, const NotifyArgs *args)
{
    n->groups = arena_array(&n->arena, NotifyGroup, args->group_count + 1);
    n->group_count = args->group_count;
    for (size_t i = 0; i < n->group_count; i++) {
        NotifyGroup *g = &n->groups[i];
        *g = args->groups[i];
        g->names = arena_array(&n->arena, Slice, g->name_count);
        for (size_t k = 0; k < g->name_count; k++)
            g->names[k] = arena_copy(&n->arena, args->groups[i].names[k]);
        n->events |= g->events;
    }
}

static Notify *notify_new(const Imap *s, const NotifyArgs *args)
{
    Notify *n = NEW(Notify);
    n->self = fiber_current();
    n->bell = bell_new();
    n->arena.budget = 640; /* what a phone asks for; a session at rest shall not hold a kilobyte */
    n->login = arena_copy(&n->arena, slice_of(s->user.login));
    n->user = s->user.acct;
    keep_groups(n, args);
    add_metadata(s, n);
    n->selected = args->selected;
    n->delayed = args->delayed;
    n->fetch = args->fetch;
    if (n->fetch.count) fetch_keep(&n->fetch, &n->arena);
    return n;
}

/* The server's shared entries are in the directory, account 0. */
PARKS static Err watch_server(Imap *s, Notify *n)
{
    Account *directory scoped(account) = NULL;
    imap_go(s, 0);
    Err err = account_open(s->config->store, 0, &directory);
    if (!err) err = watch_begin(n, directory, (Slice){0});
    return err;
}

/* Own messages are to be known even where only the selected mailbox is watched. */
PARKS static Err watch_all(Imap *s, Notify *n)
{
    if (!n->events && !n->selected) return OK;
    imap_go(s, s->user.acct);
    Err err = watch_begin(n, s->account, (Slice){0});
    if (!err) err = watch_others(s, n, false);
    if (!err && n->events & EVENT_SERVER_METADATA_CHANGE) err = watch_server(s, n);
    imap_go_back(s);
    return err;
}

PARKS static void tell_beginning(Imap *s, bool all)
{
    uint32_t id = selected_id(s), acct = s->box ? account_number(mailbox_account(s->box)) : 0;
    for (Watch *w = s->notify->watches; w; w = w->next) {
        imap_go(s, w->acct);
        notify_tell_no_access(s, w);
        if (all) notify_tell_statuses(s, w, w->acct == acct ? id : 0);
    }
    imap_go_back(s);
}

/* RFC 5465 3.1: what has gathered is told as by NOOP, before the new order begins. */
PARKS static Err set(Imap *s, const NotifyArgs *args, Slice written)
{
    Notify *n = notify_new(s, args);
    Err err = watch_all(s, n);
    if (err) {
        notify_free(s, n);
        return err;
    }
    keep_written(s, n, written);
    imap_notify_free(s);
    if (!args->none) imap_tell_news(s, true);
    s->notify = n;
    if (s->box && !s->annotate_news && imap_notifies_annotations(s)) annotate_watch(s);
    if (s->state != LEAVING) tell_beginning(s, args->status);
    return imap_ok(s, "NOTIFY completed");
}

void imap_notify_metadata(Imap *s)
{
    Notify *old = s->notify;
    NotifyArgs args = {.selected = EVENTS_ALL};
    if (old && !old->implied) {
        args.groups = old->groups;
        args.group_count = old->group_count;
        args.selected = old->selected;
        args.delayed = old->delayed;
        args.fetch = old->fetch;
    }
    Notify *n = notify_new(s, &args);
    n->implied = !old || old->implied;
    Err err = watch_all(s, n);
    if (err) log_err(LOG_LEVEL_WARN, "imap_metadata", err, KV_TEXT("user", s->user.login));
    if (old) keep_written(s, n, old->written);
    imap_notify_free(s);
    s->notify = n;
}

/* One with a literal in it goes over several lines: those nobody keeps. */
Err imap_cmd_notify(Imap *s)
{
    NotifyArgs args = {0};
    const Scan *line = &s->in->scan;
    Slice written = slice(line->at, (size_t)(line->end - line->at));
    Err err = notify_parse(s, &args);
    if (args.too_many) return imap_no(s, "[NOTIFICATIONOVERFLOW] That is more than we can watch");
    TRY(err);
    if (args.unknown) {
        Buf known buf_scoped = {0};
        notify_put_events(&known);
        return imap_no(s, "[BADEVENT (%.*s)] There is an unknown event", SP(buf_slice(&known)));
    }
    return set(s, &args, s->in->literal.is_there ? (Slice){0} : written);
}

/* ---- again, for a session that is taken up ---- */

bool imap_notify_written(const Imap *s, Slice *written)
{
    *written = s->notify ? s->notify->written : (Slice){0};
    return !s->notify || s->notify->implied || written->len;
}

/* What does not end like this could end with a literal, and somebody would be asked for it. */
static bool is_whole(Slice written)
{
    return slice_ends(written, S(")")) || slice_eq_nocase(written, S(" NONE"));
}

Err imap_notify_again(Imap *s, Slice written)
{
    NotifyArgs args = {0};
    if (!is_whole(written)) return fail(ERR_SYNTAX, "no arguments of NOTIFY");
    s->in->scan = scan(written);
    TRY(notify_parse(s, &args));
    if (args.unknown || args.too_many) return fail(ERR_SYNTAX, "no arguments of NOTIFY");
    Notify *n = notify_new(s, &args);
    Err err = watch_all(s, n);
    if (err) {
        notify_free(s, n);
        return err;
    }
    keep_written(s, n, written);
    s->notify = n;
    return OK;
}

void imap_notify_heard(const Imap *s, Buf *out)
{
    for (const Watch *w = s->notify ? s->notify->watches : NULL; w; w = w->next) {
        buf_varint(out, w->acct);
        buf_varint(out, __atomic_load_n(&w->heard, __ATOMIC_SEQ_CST));
    }
}

Err imap_notify_catch_up(Imap *s, Slice heard)
{
    Reader in = reader(heard);
    while (in.rest.len && !in.bad) {
        uint64_t acct = read_varint(&in), since = read_varint(&in);
        Watch *w = in.bad || acct > UINT32_MAX ? NULL : watch_of(s->notify, (uint32_t)acct);
        if (!w) continue; /* who has taken away what he granted */
        imap_go(s, w->acct);
        watch_catch_up(w, since, &s->arena);
    }
    imap_go_back(s);
    return in.bad ? fail(ERR_SYNTAX, "watches that do not fit") : OK;
}
