/* What NOTIFY tells of mailboxes that are not selected: STATUS for their messages, LIST for their
 * names (RFC 5465 5). */
#include "imap/notify.h"
#include "imap/status.h"

/* The name as this user sees it. */
static Slice whole_name(Imap *s, const Watch *w, Slice name)
{
    if (!w->prefix.len) return name;
    return arena_printf(&s->arena, "%.*s%.*s", SP(w->prefix), SP(name));
}

/* RFC 5465 5: 'l' and 'r' are wanted of whoever observes. The owner has both. */
PARKS static Rights rights_on(Imap *s, const Watch *w, uint32_t id)
{
    Mailbox *box scoped(mailbox) = NULL;
    if (w->acct == s->user.acct) return RIGHTS_ALL;
    if (mailbox_open_id(w->account, s->user.acct, id, &box)) return 0;
    return mailbox_rights(box);
}

/* ---- STATUS ---- */

unsigned notify_status_items(const Imap *s, unsigned events, unsigned what)
{
    bool condstore = imap_has(s, ENABLED_CONDSTORE), flags = events & EVENT_FLAG_CHANGE;
    unsigned items = 0;
    if ((what & (NOTE_NEW | NOTE_EXPUNGED)) && (events & EVENT_MESSAGE_NEW)) /* 5.2, 5.3 */
        items |=
            STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UIDVALIDITY | (flags ? STATUS_UNSEEN : 0);
    if ((what & NOTE_UIDVALIDITY) && flags) /* 5.1 */
        items |= STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UIDVALIDITY | STATUS_UNSEEN;
    if (items && condstore) items |= STATUS_HIGHESTMODSEQ;
    bool changed = ((what & NOTE_FLAGS) && flags) ||
                   ((what & NOTE_ANNOTATION) && (events & EVENT_ANNOTATION_CHANGE));
    if (changed && condstore) items |= STATUS_UIDVALIDITY | STATUS_HIGHESTMODSEQ;
    if ((what & NOTE_SEEN) && flags) items |= STATUS_UIDVALIDITY | STATUS_UNSEEN;
    return items;
}

PARKS static void tell_status(Imap *s, const Watch *w, uint32_t id, unsigned items)
{
    MailboxEntry entry;
    if (!items || !account_mailbox_id(w->account, id, &entry)) return;
    if (w->acct == s->user.acct) {
        imap_tell_status_news(s, whole_name(s, w, entry.name), &entry.status, items);
        return;
    }
    Mailbox *box scoped(mailbox) = NULL; /* another one's: counted with this user's eyes */
    if (mailbox_open_id(w->account, s->user.acct, id, &box)) return;
    if (!(mailbox_rights(box) & RIGHT_READ)) return;
    MailboxStatus status = mailbox_status(box);
    imap_tell_status_news(s, whole_name(s, w, mailbox_name(box)), &status, items);
}

PARKS static void tell_messages(Imap *s, Watch *w, uint32_t selected_id, const MessageNews *news)
{
    MailboxEntry entry;
    if (news->mailbox_id == selected_id) return;
    if (!account_mailbox_id(w->account, news->mailbox_id, &entry)) return;
    unsigned events = notify_wants(w->notify, w, w->account, entry.name);
    tell_status(s, w, news->mailbox_id, notify_status_items(s, events, news->what));
}

/* RFC 5465 3.1: what a STATUS has to hold at the beginning, whatever is enabled. */
static unsigned first_items(unsigned events)
{
    unsigned items = 0;
    if (events & EVENT_MESSAGE_NEW) items |= STATUS_MESSAGES | STATUS_UIDNEXT | STATUS_UIDVALIDITY;
    if (events & (EVENT_FLAG_CHANGE | EVENT_ANNOTATION_CHANGE))
        items |= STATUS_UIDVALIDITY | STATUS_HIGHESTMODSEQ;
    if (events & EVENT_FLAG_CHANGE) items |= STATUS_UNSEEN;
    return items;
}

void notify_tell_statuses(Imap *s, Watch *w, uint32_t selected_id)
{
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(w->account, &s->arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].exists || entries[i].status.id == selected_id) continue;
        unsigned events = notify_wants(w->notify, w, w->account, entries[i].name);
        if (watch_sees(w, entries[i].status.id))
            tell_status(s, w, entries[i].status.id, first_items(events));
        if (stream_drain(s->stream)) return;
    }
}

/* ---- LIST ---- */

static void put_word(Buf *out, const char *word)
{
    if (!word) return;
    if (out->at[out->len - 1] != '(') buf_char(out, ' ');
    buf_add(out, slice_of(word));
}

/* As things are now. A name without the right to see it does not exist for this user (RFC
 * 5465 5.4), and is told at all only if he saw it before: `seen`. */
PARKS static void tell_name(Imap *s, Watch *w, Slice name, Slice old_name, bool seen)
{
    MailboxEntry entry;
    (void)account_mailbox(w->account, name, &entry);
    uint32_t id = entry.exists ? entry.status.id : 0;
    Rights rights = entry.exists ? rights_on(s, w, id) : 0;
    bool exists = rights & RIGHT_LOOKUP;
    if (id) watch_set_seen(w, id, exists);
    if (!exists && !seen) return;
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* LIST ("));
    if (!exists) put_word(out, "\\NonExistent");
    if (exists && !(rights & RIGHT_READ)) put_word(out, "\\NoAccess");
    if (entry.subscribed && w->acct == s->user.acct) put_word(out, "\\Subscribed");
    if (exists || (entry.has_children && w->acct == s->user.acct))
        put_word(out, entry.has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (exists && w->acct == s->user.acct)
        put_word(out, imap_role_attributes(&s->arena, entry.status.role));
    buf_printf(out, ") \"%c\" ", MAILBOX_SEPARATOR);
    imap_put_mailbox(s, out, whole_name(s, w, name));
    if (old_name.len) imap_put_old_name(s, whole_name(s, w, old_name));
    buf_add(out, S("\r\n"));
}

static bool wants_name(const Watch *w, Slice name)
{
    return notify_wants(w->notify, w, w->account, name) & EVENT_MAILBOX_NAME;
}

/* Is this name told by another creation or deletion of the same batch? */
static bool is_told(const Watch *w, Slice name, const NameNews *but)
{
    list_each (l, &w->names) {
        const NameNews *n = CONTAINER(l, NameNews, link);
        bool about = n->kind == HAPPENED_CREATED || n->kind == HAPPENED_DELETED;
        if (n != but && about && slice_eq(n->name, name)) return true;
    }
    return false;
}

/* Then LIST has told of it with all its attributes. */
static bool is_renamed(const Watch *w, Slice name)
{
    list_each (l, &w->names) {
        const NameNews *n = CONTAINER(l, NameNews, link);
        if (n->kind == HAPPENED_RENAMED && slice_eq(n->name, name)) return true;
    }
    return false;
}

/* Does an earlier piece of news concern the same parent? */
static bool is_parent_told(const Watch *w, Slice parent, const NameNews *but)
{
    list_each (l, &w->names) {
        const NameNews *n = CONTAINER(l, NameNews, link);
        if (n == but) return false;
        bool about = n->kind == HAPPENED_CREATED || n->kind == HAPPENED_DELETED;
        size_t cut = slice_find_last(n->name, MAILBOX_SEPARATOR);
        if (about && cut < n->name.len && slice_eq(slice_first(n->name, cut), parent)) return true;
    }
    return false;
}

PARKS static void tell_parent(Imap *s, Watch *w, const Watch *noted, const NameNews *n)
{
    size_t cut = slice_find_last(n->name, MAILBOX_SEPARATOR);
    Slice parent = slice_first(n->name, cut);
    if (cut == n->name.len || !wants_name(w, parent)) return;
    if (!is_told(noted, parent, n) && !is_parent_told(noted, parent, n))
        tell_name(s, w, parent, (Slice){0}, w->acct == s->user.acct);
}

/* RFC 5464 4.4.2: the names of entries, never values. A mailbox as it is called now; one that is
 * gone has none. */
PARKS static void tell_metadata(Imap *s, const Watch *w, const NameNews *n)
{
    MailboxEntry entry = {0};
    Slice name = {0};
    if (n->mailbox_id) {
        if (!account_mailbox_id(w->account, n->mailbox_id, &entry)) return;
        if (!(rights_on(s, w, n->mailbox_id) & RIGHT_LOOKUP)) return;
        name = whole_name(s, w, entry.name);
    }
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* METADATA "));
    imap_put_mailbox(s, out, name);
    buf_char(out, ' ');
    imap_put_astring(out, arena_printf(&s->arena, "%s%.*s", n->shared ? "/shared" : "/private",
                                       SP(n->old_name)));
    buf_add(out, S("\r\n"));
}

/* May it still, or now, be seen? */
PARKS static void look_at(Imap *s, Watch *w, uint32_t id)
{
    MailboxEntry entry;
    if (w->acct == s->user.acct || !account_mailbox_id(w->account, id, &entry)) return;
    watch_set_seen(w, id, rights_on(s, w, id) & RIGHT_LOOKUP);
}

/* `noted` is what there was to tell, taken out of w. */
PARKS static void tell_about_name(Imap *s, Watch *w, const Watch *noted, const NameNews *n)
{
    bool seen = watch_sees(w, n->mailbox_id);
    switch (n->kind) {
    case HAPPENED_CREATED:
    case HAPPENED_DELETED:
        look_at(s, w, n->mailbox_id);
        if (wants_name(w, n->name)) tell_name(s, w, n->name, (Slice){0}, seen);
        if (seen || watch_sees(w, n->mailbox_id)) tell_parent(s, w, noted, n);
        if (n->kind == HAPPENED_DELETED) watch_set_seen(w, n->mailbox_id, false);
        break;
    case HAPPENED_RENAMED:
        tell_name(s, w, n->name, n->old_name, seen);
        break;
    case HAPPENED_SUBSCRIBED:
        if (is_renamed(noted, n->name)) break; /* RENAME subscribes to the new name */
        tell_name(s, w, n->name, (Slice){0}, true);
        break;
    case HAPPENED_RIGHTS:
        look_at(s, w, n->mailbox_id);
        if (is_told(noted, n->name, n)) break; /* a new mailbox inherits its parent's */
        if (n->changes_lookup && wants_name(w, n->name)) tell_name(s, w, n->name, (Slice){0}, seen);
        break;
    case HAPPENED_METADATA:
        if (seen || !n->mailbox_id) tell_metadata(s, w, n);
        break;
    case HAPPENED_OBJECT:
    case HAPPENED_NEW:
    case HAPPENED_EXPUNGED:
    case HAPPENED_FLAGS:
    case HAPPENED_ANNOTATION:
    case HAPPENED_UIDVALIDITY:
        break;
    }
}

/* RFC 5465 3.1: what can be looked up but not read is told so at the beginning. */
void notify_tell_no_access(Imap *s, Watch *w)
{
    MailboxEntry entry;
    for (uint32_t i = 0; i < w->visible_count; i++) {
        if (!account_mailbox_id(w->account, w->visible[i], &entry)) continue;
        Slice name = arena_copy(&s->arena, entry.name);
        if (!(notify_wants(w->notify, w, w->account, name) & EVENTS_OF_MESSAGES)) continue;
        if (!(rights_on(s, w, w->visible[i]) & RIGHT_READ))
            tell_name(s, w, name, (Slice){0}, false);
    }
}

/* Those that somebody has just granted are as if they had been created. */
void notify_tell_granted(Imap *s, Watch *w)
{
    MailboxEntry entry;
    for (uint32_t i = 0; i < w->visible_count; i++) {
        if (!account_mailbox_id(w->account, w->visible[i], &entry)) continue;
        Slice name = arena_copy(&s->arena, entry.name);
        if (wants_name(w, name)) tell_name(s, w, name, (Slice){0}, false);
    }
}

/* ---- all of it ---- */

/* What was noted is taken away first: while we tell, more may come. */
void notify_tell_watch(Imap *s, Watch *w, uint32_t selected_id)
{
    Watch noted = {
        .notify = w->notify, .account = w->account, .acct = w->acct, .prefix = w->prefix};
    noted.messages = w->messages;
    noted.message_count = w->message_count;
    __atomic_store_n(&w->heard, account_seq(w->account), __ATOMIC_SEQ_CST);
    list_init(&noted.names);
    list_each (l, &w->names) {
        list_remove(l);
        list_add(&noted.names, l);
    }
    w->messages = NULL;
    w->message_count = w->message_room = 0;
    w->name_octets = 0;
    list_each (l, &noted.names) {
        tell_about_name(s, w, &noted, CONTAINER(l, NameNews, link));
        if (stream_drain(s->stream)) break;
    }
    for (uint32_t i = 0; i < noted.message_count; i++) {
        tell_messages(s, w, selected_id, &noted.messages[i]);
        if (stream_drain(s->stream)) break;
    }
    watch_forget(&noted);
}
