#include "imap/notify.h"

#include <stdlib.h>

/* ---- the bell ---- */

struct Bell {
    Mutex lock;
    Loop *loop;   /* where the session waits */
    Fiber *fiber; /* and who it is, while armed */
    bool armed, rung, posted;
    unsigned refs; /* the session, and a task that is posted */
    Task task;
};

static void bell_task(Task *task);

Bell *bell_new(void)
{
    Bell *b = NEW(Bell);
    b->refs = 1;
    b->task.run = bell_task;
    return b;
}

void bell_unref(Bell *b)
{
    if (!b) return;
    mutex_lock(&b->lock);
    unsigned left = --b->refs;
    mutex_unlock(&b->lock);
    if (!left) free(b);
}

/* With the lock held. A fiber may be nudged on its own loop only; what was posted to another,
 * before the session went on, is posted again. */
static void wake(Bell *b)
{
    if (!b->armed || !b->rung || b->posted) return;
    if (b->loop == loop_current()) {
        fiber_nudge(b->fiber);
        return;
    }
    b->posted = true;
    b->refs++;
    loop_post(b->loop, &b->task);
}

static void bell_task(Task *task)
{
    Bell *b = CONTAINER(task, Bell, task);
    mutex_lock(&b->lock);
    b->posted = false;
    wake(b);
    mutex_unlock(&b->lock);
    bell_unref(b);
}

void bell_ring(Bell *b)
{
    mutex_lock(&b->lock);
    b->rung = true;
    wake(b);
    mutex_unlock(&b->lock);
}

bool bell_arm(Bell *b)
{
    mutex_lock(&b->lock);
    bool free_to_wait = !b->rung;
    b->armed = free_to_wait;
    b->loop = loop_current();
    b->fiber = fiber_current();
    mutex_unlock(&b->lock);
    return free_to_wait;
}

void bell_disarm(Bell *b)
{
    mutex_lock(&b->lock);
    b->armed = false;
    mutex_unlock(&b->lock);
}

bool bell_has_rung(Bell *b)
{
    mutex_lock(&b->lock);
    bool rung = b->rung;
    b->rung = false;
    mutex_unlock(&b->lock);
    return rung;
}

/* ---- who wants what ---- */

static bool is_below(Slice name, Slice parent)
{
    if (!parent.len) return true;
    if (!slice_starts(name, parent)) return false;
    return name.len == parent.len || name.at[parent.len] == MAILBOX_SEPARATOR;
}

/* Is `whole` what `prefix` and `name` are together? */
static bool is_whole(Slice whole, Slice prefix, Slice name)
{
    return slice_starts(whole, prefix) && slice_eq(slice_from(whole, prefix.len), name);
}

/* "prefix/name" is below "prefix/name/...", or the prefix alone is. */
static bool is_whole_below(Slice whole, Slice prefix, Slice name)
{
    if (!prefix.len) return is_below(name, whole);
    if (is_below(prefix, whole)) return true;
    if (whole.len == prefix.len - 1 && slice_starts(prefix, whole)) return true;
    return slice_starts(whole, prefix) && is_below(name, slice_from(whole, prefix.len));
}

static size_t depth(Slice name)
{
    size_t separators = 0;
    for (size_t i = 0; i < name.len; i++)
        separators += name.at[i] == MAILBOX_SEPARATOR;
    return separators;
}

/* RFC 7377 2.2: SUBTREE-ONE ends with the children. */
static bool is_one_below(Slice whole, Slice prefix, Slice name)
{
    size_t children = whole.len ? depth(whole) + 1 : 0;
    return depth(prefix) + depth(name) <= children && is_whole_below(whole, prefix, name);
}

static bool matches(const NotifyGroup *g, const Watch *w, Account *account, Slice name)
{
    MailboxEntry entry;
    bool personal = !w->prefix.len;
    switch (g->filter) {
    case FILTER_SELECTED:
    case FILTER_SELECTED_DELAYED:
        return false;
    case FILTER_INBOXES: /* RFC 5465 6.3: sub-addresses deliver anywhere */
    case FILTER_PERSONAL:
        return personal;
    case FILTER_SUBSCRIBED:
        if (personal) return account_mailbox(account, name, &entry) && entry.subscribed;
        for (size_t i = 0; i < w->subscribed_count; i++)
            if (slice_eq(w->subscribed[i], name)) return true;
        return false;
    case FILTER_SUBTREE:
        for (size_t i = 0; i < g->name_count; i++)
            if (is_whole_below(g->names[i], w->prefix, name)) return true;
        return false;
    case FILTER_SUBTREE_ONE:
        for (size_t i = 0; i < g->name_count; i++)
            if (is_one_below(g->names[i], w->prefix, name)) return true;
        return false;
    case FILTER_MAILBOXES:
        for (size_t i = 0; i < g->name_count; i++)
            if (is_whole(g->names[i], w->prefix, name)) return true;
        return false;
    }
    return false;
}

bool notify_reaches(const Notify *n, Slice prefix)
{
    Slice root = slice_first(prefix, prefix.len - 1);
    for (size_t i = 0; i < n->group_count; i++) {
        const NotifyGroup *g = &n->groups[i];
        if (g->filter == FILTER_SUBSCRIBED) return true;
        for (size_t k = 0; k < g->name_count; k++)
            if (slice_starts(g->names[k], prefix) ||
                (g->filter != FILTER_MAILBOXES && is_below(root, g->names[k])))
                return true;
    }
    return false;
}

unsigned notify_wants(const Notify *n, const Watch *w, Account *account, Slice name)
{
    unsigned events = 0;
    for (size_t i = 0; i < n->group_count; i++)
        if ((events & n->groups[i].events) != n->groups[i].events &&
            matches(&n->groups[i], w, account, name))
            events |= n->groups[i].events;
    return events;
}

/* ---- what may be seen of another one's ---- */

static uint32_t seen_at(const Watch *w, uint32_t id)
{
    uint32_t at = 0;
    while (at < w->visible_count && w->visible[at] < id)
        at++;
    return at;
}

bool watch_sees(const Watch *w, uint32_t id)
{
    uint32_t at = seen_at(w, id);
    return !w->prefix.len || (at < w->visible_count && w->visible[at] == id);
}

void watch_set_seen(Watch *w, uint32_t id, bool on)
{
    if (!w->prefix.len || watch_sees(w, id) == on) return;
    uint32_t at = seen_at(w, id);
    if (on) {
        w->visible = mem_grow(w->visible, array_bytes(w->visible_count + 1, sizeof *w->visible));
        memmove(&w->visible[at + 1], &w->visible[at], (w->visible_count++ - at) * sizeof(uint32_t));
        w->visible[at] = id;
    } else {
        memmove(&w->visible[at], &w->visible[at + 1], (--w->visible_count - at) * sizeof(uint32_t));
    }
}

void watch_set_subscribed(Watch *w, const Slice *names, size_t count)
{
    for (size_t i = 0; i < w->subscribed_count; i++)
        free((char *)w->subscribed[i].at);
    free(w->subscribed);
    w->subscribed = mem_new(array_bytes(count + 1, sizeof *w->subscribed));
    w->subscribed_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!slice_starts(names[i], w->prefix)) continue;
        Slice name = slice_from(names[i], w->prefix.len);
        char *copy = mem_new(name.len + 1);
        if (name.len) memcpy(copy, name.at, name.len);
        w->subscribed[w->subscribed_count++] = slice(copy, name.len);
    }
}

/* ---- noting ---- */

enum { MESSAGES_MOST = 20000, NAME_OCTETS_MOST = 64 * 1024 };

void watch_forget(Watch *w)
{
    free(w->messages);
    w->messages = NULL;
    w->message_count = w->message_room = 0;
    list_each (l, &w->names) {
        list_remove(l);
        free(CONTAINER(l, NameNews, link));
    }
    w->name_octets = 0;
    w->own_count = 0;
    w->own_mailbox = 0;
}

static void overflow(Watch *w)
{
    watch_forget(w);
    w->overflow = w->noted = true;
}

static uint32_t find(const Watch *w, uint32_t id)
{
    uint32_t low = 0, high = w->message_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (w->messages[middle].mailbox_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void note_messages(Watch *w, uint32_t id, unsigned what)
{
    uint32_t at = find(w, id);
    w->noted = true;
    if (at < w->message_count && w->messages[at].mailbox_id == id) {
        w->messages[at].what |= what;
        return;
    }
    if (w->message_count == MESSAGES_MOST) {
        overflow(w);
        return;
    }
    if (w->message_count == w->message_room) {
        w->message_room = MAX(w->message_room * 2, 4u);
        w->messages = mem_grow(w->messages, array_bytes(w->message_room, sizeof *w->messages));
    }
    memmove(&w->messages[at + 1], &w->messages[at], (w->message_count - at) * sizeof *w->messages);
    w->messages[at] = (MessageNews){id, what};
    w->message_count++;
}

/* RFC 5465 5.4: the children of what was renamed are told of with it, not themselves. */
static bool is_renamed_along(const Watch *w, const Happening *h)
{
    list_each (l, &w->names) {
        const NameNews *n = CONTAINER(l, NameNews, link);
        if (n->kind != HAPPENED_RENAMED || !is_below(h->old_name, n->old_name)) continue;
        Slice rest = slice_from(h->old_name, n->old_name.len);
        if (is_below(h->name, n->name) && slice_eq(slice_from(h->name, n->name.len), rest))
            return true;
    }
    return false;
}

static void note_name(Watch *w, const Happening *h)
{
    if (h->kind == HAPPENED_RENAMED && is_renamed_along(w, h)) return;
    Slice second = h->kind == HAPPENED_RENAMED ? h->old_name : h->identifier;
    size_t octets = sizeof(NameNews) + h->name.len + second.len;
    w->noted = true;
    if (w->name_octets + octets > NAME_OCTETS_MOST) {
        overflow(w);
        return;
    }
    NameNews *n = mem_zero(octets);
    char *text = (char *)(n + 1);
    n->kind = h->kind;
    n->mailbox_id = h->mailbox_id;
    n->shared = !h->who;
    n->changes_lookup = (h->old_rights ^ h->rights) & RIGHT_LOOKUP;
    n->name = slice(text, h->name.len);
    n->old_name = slice(text + h->name.len, second.len);
    if (h->name.len) memcpy(text, h->name.at, h->name.len);
    if (second.len) memcpy(text + h->name.len, second.at, second.len);
    w->name_octets += octets;
    list_add(&w->names, &n->link);
}

/* New messages of our own need no FETCH (RFC 5465 5.2). */
static void note_own(Watch *w, const Happening *h)
{
    if (h->kind != HAPPENED_NEW) return;
    if (w->own_mailbox != h->mailbox_id) w->own_count = 0;
    w->own_mailbox = h->mailbox_id;
    UidRange *last = w->own_count ? &w->own[w->own_count - 1] : NULL;
    if (last && h->uids.first == last->last + 1)
        last->last = h->uids.last;
    else if (w->own_count < COUNT(w->own))
        w->own[w->own_count++] = h->uids;
}

static unsigned note_of(const Happening *h)
{
    switch (h->kind) {
    case HAPPENED_NEW:
        return NOTE_NEW;
    case HAPPENED_EXPUNGED:
        return NOTE_EXPUNGED;
    case HAPPENED_FLAGS:
        return NOTE_FLAGS | (h->seen ? NOTE_SEEN : 0);
    case HAPPENED_ANNOTATION:
        return NOTE_ANNOTATION;
    case HAPPENED_UIDVALIDITY:
    case HAPPENED_CREATED: /* perhaps where another one was */
        return NOTE_UIDVALIDITY;
    case HAPPENED_DELETED:
    case HAPPENED_RENAMED:
    case HAPPENED_RIGHTS:
    case HAPPENED_SUBSCRIBED:
    case HAPPENED_OBJECT:
    case HAPPENED_METADATA:
        break;
    }
    return 0;
}

static unsigned wanted_by(unsigned what)
{
    unsigned events = 0;
    if (what & NOTE_NEW) events |= EVENT_MESSAGE_NEW;
    if (what & NOTE_EXPUNGED) events |= EVENT_MESSAGE_EXPUNGE;
    if (what & (NOTE_FLAGS | NOTE_SEEN | NOTE_UIDVALIDITY)) events |= EVENT_FLAG_CHANGE;
    if (what & NOTE_ANNOTATION) events |= EVENT_ANNOTATION_CHANGE;
    return events;
}

static bool is_below_watched_parent(const Watch *w, Slice name)
{
    size_t cut = slice_find_last(name, MAILBOX_SEPARATOR);
    return cut < name.len &&
           notify_wants(w->notify, w, w->account, slice_first(name, cut)) & EVENT_MAILBOX_NAME;
}

static bool is_about(const Watch *w, Slice identifier)
{
    if (slice_starts(identifier, S("-"))) identifier = slice_from(identifier, 1);
    if (slice_eq(identifier, S("authenticated"))) return true;
    return slice_eq(identifier, w->notify->login) || slice_eq(identifier, S("anyone"));
}

static void note_name_if_wanted(Watch *w, const Happening *h)
{
    unsigned events = notify_wants(w->notify, w, w->account, h->name);
    bool wanted = events & EVENT_MAILBOX_NAME;
    switch (h->kind) {
    case HAPPENED_CREATED:
    case HAPPENED_DELETED: /* RFC 5465 5.4: the direct parent is affected, too */
        wanted = wanted || w->prefix.len || is_below_watched_parent(w, h->name);
        break;
    case HAPPENED_RENAMED:
        wanted =
            wanted || (notify_wants(w->notify, w, w->account, h->old_name) & EVENT_MAILBOX_NAME);
        break;
    case HAPPENED_RIGHTS: /* the owner has his rights whatever is said; l and a at least */
        wanted = w->prefix.len && is_about(w, h->identifier);
        break;
    case HAPPENED_SUBSCRIBED:
        wanted = events & EVENT_SUBSCRIPTION_CHANGE;
        for (size_t i = 0; i < w->notify->group_count; i++) /* it may have been subscribed before */
            if (w->notify->groups[i].filter == FILTER_SUBSCRIBED)
                wanted = wanted || (w->notify->groups[i].events & EVENT_SUBSCRIPTION_CHANGE);
        break;
    case HAPPENED_METADATA: /* RFC 5465 5.6, 5.7; not what others keep for themselves */
        wanted = h->mailbox_id ? events & EVENT_MAILBOX_METADATA_CHANGE
                               : w->notify->events & EVENT_SERVER_METADATA_CHANGE;
        wanted = wanted && (!h->who || h->who == w->notify->user);
        break;
    case HAPPENED_NEW:
    case HAPPENED_EXPUNGED:
    case HAPPENED_FLAGS:
    case HAPPENED_ANNOTATION:
    case HAPPENED_UIDVALIDITY:
    case HAPPENED_OBJECT:
        return;
    }
    if (wanted) note_name(w, h);
}

/* What makes other watches necessary: store/grants.c tells who has been granted something by an
 * object of this collection. */
static void note_sharing(Watch *w, const Happening *h)
{
    Notify *n = (Notify *)w->notify; /* at the home of the user's own account only */
    if (w->prefix.len) return;
    bool granted = h->kind == HAPPENED_OBJECT && slice_eq(h->name, S("granted"));
    if (granted) __atomic_store_n(&n->granted, w->noted = true, __ATOMIC_SEQ_CST);
    if (h->kind == HAPPENED_SUBSCRIBED)
        __atomic_store_n(&n->subscribed, w->noted = true, __ATOMIC_SEQ_CST);
}

static void happened(Listener *l, const Happening *h)
{
    Watch *w = CONTAINER(l, Watch, listener);
    note_sharing(w, h);
    if (h->by == w->notify->self) {
        note_own(w, h);
        return;
    }
    if (w->overflow) return;
    bool hidden = h->mailbox_id && !watch_sees(w, h->mailbox_id);
    if (hidden && h->kind != HAPPENED_RIGHTS && h->kind != HAPPENED_CREATED) return;
    unsigned what = note_of(h), events = wanted_by(what) & w->notify->events;
    if (events && (notify_wants(w->notify, w, w->account, h->name) & events))
        note_messages(w, h->mailbox_id, what);
    note_name_if_wanted(w, h);
}

/* What was noted can be looked at now. */
static void changed(Listener *l, uint32_t mailbox_id)
{
    Watch *w = CONTAINER(l, Watch, listener);
    (void)mailbox_id;
    bool quiet = !w->noted && !w->message_count && list_is_empty(&w->names) && !w->overflow;
    if (quiet) __atomic_store_n(&w->heard, account_seq(w->account), __ATOMIC_SEQ_CST);
    if (!w->noted) return;
    w->noted = false;
    __atomic_store_n(&w->rung, true, __ATOMIC_SEQ_CST);
    bell_ring(w->notify->bell);
}

/* ---- beginning, end ---- */

Err watch_begin(Notify *n, Account *account, Slice prefix)
{
    Account *reference;
    TRY(account_open(account_store(account), account_number(account), &reference));
    Watch *w = NEW(Watch);
    w->account = reference;
    w->acct = account_number(account);
    w->heard = account_seq(account);
    w->notify = n;
    w->prefix = arena_copy(&n->arena, prefix);
    w->listener = (Listener){.changed = changed, .happened = happened};
    list_init(&w->names);
    account_listen(w->account, &w->listener);
    w->next = n->watches;
    n->watches = w;
    return OK;
}

/* How it is now is told, so it does not matter what exactly happened. */
static void note_all(Watch *w, uint64_t since, Arena *a)
{
    unsigned all = NOTE_NEW | NOTE_EXPUNGED | NOTE_FLAGS | NOTE_SEEN;
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(w->account, a, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        const MailboxStatus *status = &entries[i].status;
        if (!entries[i].exists || status->highest_modseq <= since || !watch_sees(w, status->id))
            continue;
        if (notify_wants(w->notify, w, w->account, entries[i].name) & EVENTS_OF_MESSAGES)
            note_messages(w, status->id, all);
    }
}

void watch_catch_up(Watch *w, uint64_t since, Arena *a)
{
    unsigned of_names = w->notify->events & ~(unsigned)EVENTS_OF_MESSAGES;
    if (account_seq(w->account) <= since) return;
    note_all(w, since, a);
    if (of_names && account_names_seq(w->account) > since) overflow(w);
    if (!w->noted) return;
    w->heard = since;
    changed(&w->listener, 0);
}

void watch_end(Imap *s, Watch *w)
{
    imap_go(s, w->acct);
    account_unlisten(&w->listener);
    account_close(w->account);
    watch_forget(w);
    watch_set_subscribed(w, NULL, 0);
    free(w->subscribed);
    free(w->visible);
    free(w);
}
