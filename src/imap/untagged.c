/* News of the selected mailbox, told where RFC 9051 7.5.1 and RFC 7162 allow them; and message
 * sets, which are about the same numbers. */
#include "imap/annotate.h"
#include "imap/context.h"
#include "imap/notify.h"

/* ---- telling ---- */

/* RFC 4314 5.1.1: PERMANENTFLAGS say what the rights allow. */
static Slice permanent_flags(Imap *s, Slice keywords)
{
    Rights rights = s->read_only ? (Rights)0 : mailbox_rights(s->box);
    Buf out buf_scoped = {0};
    if (rights & RIGHT_WRITE) buf_add(&out, S("\\Answered \\Flagged "));
    if (rights & RIGHT_DELETE_MESSAGE) buf_add(&out, S("\\Deleted "));
    if (rights & RIGHT_SEEN) buf_add(&out, S("\\Seen "));
    if (rights & RIGHT_WRITE) {
        buf_add(&out, S("\\Draft "));
        buf_add(&out, keywords);
        buf_add(&out, keywords.len ? S(" \\* ") : S("\\* "));
    }
    if (out.len) out.len--;
    return arena_copy(&s->arena, buf_slice(&out));
}

void imap_tell_keywords(Imap *s)
{
    s->told_keywords_version = mailbox_keywords_version(s->box);
    s->told_rights = mailbox_rights(s->box);
    Slice keywords = mailbox_keywords(s->box, &s->arena);
    const char *sp = keywords.len ? " " : "";
    s->told_keywords = slice_hash_crc(keywords);
    imap_say(s, "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft%s%.*s)", sp, SP(keywords));
    Slice permanent = permanent_flags(s, keywords);
    imap_say(s, "OK [PERMANENTFLAGS (%.*s)] %s", SP(permanent),
             permanent.len ? "Flags permitted" : "Read-only mailbox");
}

/* A keyword that is new to this mailbox is told before the FETCH that shows it (RFC 3501 7.2.6). */
void imap_tell_new_keywords(Imap *s)
{
    if (mailbox_keywords_version(s->box) == s->told_keywords_version) return;
    s->told_keywords_version = mailbox_keywords_version(s->box);
    if (slice_hash_crc(mailbox_keywords(s->box, &s->arena)) != s->told_keywords)
        imap_tell_keywords(s);
}

void imap_begin_fetch(Imap *s, uint32_t number, uint32_t uid)
{
    bool uid_only = imap_has(s, ENABLED_UIDONLY);
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* "));
    buf_number(out, uid_only && !PLANTED("number_told") ? uid : number);
    buf_add(out, uid_only ? S(" UIDFETCH (") : S(" FETCH ("));
}

bool imap_tells_uid(const Imap *s)
{
    if (imap_has(s, ENABLED_UIDONLY)) return false;
    return (s->notify && !s->notify->implied) || imap_has(s, ENABLED_CONDSTORE | ENABLED_REV2);
}

void imap_tell_flags(Imap *s, uint32_t number, const Message *m)
{
    bool condstore = imap_has(s, ENABLED_CONDSTORE);
    imap_tell_new_keywords(s);
    Buf *out = stream_out(s->stream);
    imap_begin_fetch(s, number, m->uid);
    if (imap_tells_uid(s) || (s->by_uid && !imap_has(s, ENABLED_UIDONLY))) {
        buf_add(out, S("UID "));
        buf_number(out, m->uid);
        buf_char(out, ' ');
    }
    buf_add(out, S("FLAGS "));
    imap_put_flags(s, out, m);
    if (condstore) {
        buf_add(out, S(" MODSEQ ("));
        buf_number(out, m->modseq);
        buf_char(out, ')');
    }
    buf_add(out, S(")\r\n"));
}

PARKS static void tell_expunges(Imap *s, const ViewNews *news)
{
    Buf *out = stream_out(s->stream);
    if (imap_has(s, ENABLED_QRESYNC | ENABLED_UIDONLY)) { /* RFC 7162 3.2.10, RFC 9586 3.4 */
        if (!news->vanished.count) return;
        buf_add(out, S("* VANISHED "));
        uidset_print(out, &news->vanished);
        buf_add(out, S("\r\n"));
        return;
    }
    for (size_t i = 0; i < news->expunged_count; i++) {
        buf_add(out, S("* "));
        buf_number(out, news->expunged[i]);
        buf_add(out, S(" EXPUNGE\r\n"));
        if (stream_drain(s->stream)) return;
    }
}

PARKS static void tell_changed(Imap *s, const ViewNews *news)
{
    for (size_t i = 0; i < news->changed_count; i++) {
        Message m;
        uint32_t number;
        bool gone;
        if (!view_next(s->view, news->changed[i], &m, &number, &gone)) break;
        if (m.uid != news->changed[i] || gone) continue;
        imap_tell_flags(s, number, &m);
        if (stream_drain(s->stream)) break;
    }
}

/* EXPUNGE and MOVE tell what they did, whatever NOTIFY says: it is their answer. */
static bool is_expunging(const Imap *s)
{
    return s->command && (s->command->ways & CHANGES) && !(s->command->ways & SEQS);
}

/* RFC 9051 5.5: a client should not send message numbers behind a command that may tell EXPUNGE.
 * Some do (a UID FETCH and a STORE in one packet), and would then mark another message than they
 * meant: so nothing is expunged for them while the next command is here already. What they expunge
 * themselves is told, and without numbers (UIDONLY) there is nothing to mistake. */
static bool is_pipelining(const Imap *s)
{
    return !is_expunging(s) && !imap_has(s, ENABLED_UIDONLY) && stream_buffered(s->stream);
}

/* RFC 4314 5.1.1 leaves a choice when the right to read is taken away: BYE, as when the mailbox is
 * deleted. Most clients do not understand a NO to everything. */
bool imap_lost_access(Imap *s)
{
    bool deleted = s->box && mailbox_is_deleted(s->box); /* RFC 2180 3.3: its users are sent away */
    if (!s->box || (!deleted && mailbox_rights(s->box) & RIGHT_READ)) return false;
    imap_unselect(s);
    imap_say(s, "BYE %s",
             deleted ? "The selected mailbox was deleted"
                     : "The selected mailbox may no longer be read");
    s->state = LEAVING;
    return true;
}

void imap_tell_news(Imap *s, bool expunges)
{
    unsigned wanted = imap_notify_selected(s);
    if (!s->view || (!view_has_news(s->view) && !context_is_due(s))) return;
    if (!wanted && !context_is_due(s) && !is_expunging(s) && !mailbox_is_deleted(s->box)) return;
    uint32_t exists = view_exists(s->view), last = exists ? view_uid(s->view, exists) : 0;
    ViewNews news = {0};
    context_tell_gone(s);
    view_sync(s->view, expunges && !is_pipelining(s), &s->arena, &news);
    if (imap_lost_access(s)) return;
    if (s->told_rights != mailbox_rights(s->box)) imap_tell_keywords(s);
    tell_expunges(s, &news);
    if (news.exists_changed || news.changed_count) imap_tell_new_keywords(s);
    if (news.exists_changed) imap_say(s, "%u EXISTS", view_exists(s->view));
    if (news.recent_changed && !imap_has(s, ENABLED_REV2))
        imap_say(s, "%u RECENT", view_recent(s->view));
    if (wanted & (EVENT_FLAG_CHANGE | EVENT_ANNOTATION_CHANGE)) tell_changed(s, &news);
    annotate_tell_news(s);
    context_tell_changed(s);
    if (news.exists_changed) imap_notify_tell_new(s, last);
    if (news.exists_changed) imap_warn_quota(s, false);
}

void imap_use_condstore(Imap *s)
{
    if (imap_has(s, ENABLED_CONDSTORE)) return;
    s->enabled |= ENABLED_CONDSTORE;
    if (s->state == SELECTED)
        imap_say(s, "OK [HIGHESTMODSEQ %llu] CONDSTORE enabled",
                 (unsigned long long)MAX(mailbox_status(s->box).highest_modseq, 1));
}

/* ---- message sets ---- */

static UidRange in_order(UidRange r)
{
    return (UidRange){MIN(r.first, r.last), MAX(r.first, r.last)};
}

/* "*" is the largest number in use (RFC 9051 9, seq-number). */
static UidRange without_star(UidRange r, uint32_t largest)
{
    return in_order((UidRange){r.first ? r.first : largest, r.last ? r.last : largest});
}

/* "1:*", which phones, Thunderbird and mbsync also send for a mailbox that is empty or has become
 * so: all of nothing. "*" alone is a mistake there (RFC 9051 9, seq-number). */
static bool is_everything(UidRange r)
{
    return (r.first == 1 && !r.last) || (!r.first && r.last == 1);
}

/* A view is sorted by UID, so a range of numbers is a range of UIDs. False: a number was too large,
 * which is passed over. */
static bool add_numbers(Imap *s, View *view, UidRange r, UidSet *uids)
{
    uint32_t exists = view_exists(view);
    if (!exists && is_everything(r)) return true;
    r = without_star(r, exists);
    bool fits = r.first && r.last <= exists;
    r.first = MAX(r.first, 1), r.last = MIN(r.last, exists);
    if (r.first <= r.last)
        uidset_add(&s->arena, uids, view_uid(view, r.first), view_uid(view, r.last));
    return fits;
}

/* UIDs behind the view's last are not told yet: they do not exist for this client. */
static void add_uids(Imap *s, View *view, UidRange r, UidSet *uids)
{
    uint32_t exists = view_exists(view);
    if (!exists) return;
    uint32_t largest = view_uid(view, exists);
    r = without_star(r, largest);
    r.last = MIN(r.last, largest);
    if (r.first <= r.last) uidset_add(&s->arena, uids, r.first, r.last);
}

static bool resolve(Imap *s, View *view, const ImapSet *set, bool as_uids, UidSet *uids)
{
    bool fits = true;
    if (set->saved) {
        if (view == s->view) *uids = s->saved; /* "$" is of the selected mailbox */
        return true;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (as_uids)
            add_uids(s, view, set->ranges[i], uids);
        else if (!add_numbers(s, view, set->ranges[i], uids))
            fits = false;
    }
    return fits;
}

Err imap_resolve(Imap *s, const ImapSet *set, UidSet *uids)
{
    *uids = (UidSet){0};
    if (resolve(s, s->view, set, s->by_uid, uids)) return OK;
    return fail(ERR_SYNTAX, "there is no message of that number");
}

void imap_resolve_key(Imap *s, View *view, const ImapSet *set, bool uids_given, UidSet *uids)
{
    *uids = (UidSet){0};
    (void)resolve(s, view, set, uids_given, uids);
}

void imap_save(Imap *s, const UidSet *uids)
{
    UidSet saved = {0};
    Arena kept = {0};
    for (size_t i = 0; i < uids->count; i++)
        uidset_add(&kept, &saved, uids->ranges[i].first, uids->ranges[i].last);
    arena_done(&s->saved_arena);
    s->saved_arena = kept;
    s->saved = saved;
}
