#include "imap/annotate.h"
#include "imap/gmail.h"

enum { BREATH = 64 }; /* messages */

/* ---- what the summary holds ---- */

static const char *const summary_names[] = {[ITEM_ENVELOPE] = "ENVELOPE ",
                                            [ITEM_BODY] = "BODY ",
                                            [ITEM_BODYSTRUCTURE] = "BODYSTRUCTURE ",
                                            [ITEM_PREVIEW] = "PREVIEW "};

/* ENVELOPE and BODYSTRUCTURE have no word for "unknown": what cannot be had is left out, and the
 * command ends with NO. PREVIEW was made when the message came, so it is there for LAZY too and NIL
 * is never said (RFC 8970 3.2). */
PARKS static bool put_summary(Fetching *f, const FetchItem *item)
{
    const MailSummary *summary = &f->summary;
    Err err = f->has_summary ? OK
                             : section_summary(mailbox_account(f->s->box), &f->m, false, &f->arena,
                                               &f->summary);
    f->has_summary = !err;
    if (err) {
        if (!f->trouble) f->trouble = err;
        return false;
    }
    Buf *out = stream_out(f->s->stream);
    buf_add(out, slice_of(summary_names[item->type]));
    if (item->type == ITEM_ENVELOPE)
        buf_add(out, surrogate_envelope(f, summary->envelope));
    else if (item->type == ITEM_BODYSTRUCTURE)
        buf_add(out, summary->body_structure);
    else if (item->type == ITEM_PREVIEW)
        imap_put_string(out, summary->preview);
    else
        mail_body_of_structure(out, summary->body_structure);
    return true;
}

/* ---- what the account knows of the email ---- */

/* RFC 8474 5.3. A message that is gone altogether has no thread any more. */
PARKS static void put_gmail_thread(Fetching *f, Buf *out)
{
    EmailDetails d = {0};
    Account *account = mailbox_account(f->s->box);
    if (email_details(account, f->m.eid, &f->arena, &d)) d.thread_id = f->m.eid;
    buf_add(out, S("X-GM-THRID "));
    buf_number(out, gmail_id(account_number(account), d.thread_id));
}

PARKS static void put_thread(Fetching *f, Buf *out)
{
    EmailDetails details;
    Account *account = mailbox_account(f->s->box);
    buf_add(out, S("THREADID "));
    if (email_details(account, f->m.eid, &f->arena, &details)) {
        buf_add(out, S("NIL"));
        return;
    }
    buf_char(out, '(');
    imap_put_object_id(out, OBJECT_THREAD, account_number(account), details.thread_id);
    buf_char(out, ')');
}

/* RFC 8514 4.2: date-time / nil. NIL: it is not in this mailbox any more. */
PARKS static void put_save_date(Fetching *f, Buf *out)
{
    EmailDetails d;
    uint32_t saved = 0, id = mailbox_status(f->s->box).id;
    Err err = email_details(mailbox_account(f->s->box), f->m.eid, &f->arena, &d);
    for (size_t i = 0; !err && i < d.link_count; i++)
        if (d.links[i].mailbox_id == id && d.links[i].uid == f->m.uid) saved = d.links[i].saved;
    buf_add(out, S("SAVEDATE "));
    if (saved)
        imap_put_date_time(out, saved);
    else
        buf_add(out, S("NIL"));
}

/* ---- one message ---- */

static void put_number(Buf *out, const char *name, uint64_t n)
{
    buf_add(out, slice_of(name));
    buf_number(out, n);
}

static void put_flags(Fetching *f, Buf *out)
{
    buf_add(out, S("FLAGS "));
    imap_put_flags(f->s, out, &f->m);
}

/* False: there is nothing to tell. */
PARKS static bool put_item(Fetching *f, const FetchItem *item)
{
    Buf *out = stream_out(f->s->stream);
    switch (item->type) {
    case ITEM_UID:
        put_number(out, "UID ", f->m.uid);
        return true;
    case ITEM_FLAGS:
        put_flags(f, out);
        return true;
    case ITEM_SIZE:
        put_number(out, "RFC822.SIZE ", f->m.size);
        return true;
    case ITEM_INTERNALDATE:
        buf_add(out, S("INTERNALDATE "));
        imap_put_date_time(out, f->m.date);
        return true;
    case ITEM_MODSEQ:
        put_number(out, "MODSEQ (", f->m.modseq);
        buf_char(out, ')');
        return true;
    case ITEM_ENVELOPE:
    case ITEM_BODY:
    case ITEM_BODYSTRUCTURE:
    case ITEM_PREVIEW:
        return put_summary(f, item);
    case ITEM_SECTION:
        f->has_summary = false; /* what it has borrowed does not outlive a wait */
        fetch_section(f, item);
        return true;
    case ITEM_BINARY:
        f->has_summary = false;
        fetch_binary(f, item);
        return true;
    case ITEM_BINARY_SIZE:
        f->has_summary = false;
        fetch_binary_size(f, item);
        return true;
    case ITEM_EMAILID:
        buf_add(out, S("EMAILID ("));
        imap_put_object_id(out, OBJECT_EMAIL, account_number(mailbox_account(f->s->box)), f->m.eid);
        buf_char(out, ')');
        return true;
    case ITEM_THREADID:
        f->has_summary = false;
        put_thread(f, out);
        return true;
    case ITEM_ANNOTATION:
        f->has_summary = false;
        return annotate_put(f, item->annotation);
    case ITEM_SAVEDATE:
        f->has_summary = false;
        put_save_date(f, out);
        return true;
    case ITEM_GM_MSGID:
        put_number(out, "X-GM-MSGID ",
                   gmail_id(account_number(mailbox_account(f->s->box)), f->m.eid));
        return true;
    case ITEM_GM_THRID:
        f->has_summary = false;
        put_gmail_thread(f, out);
        return true;
    case ITEM_GM_LABELS:
        f->has_summary = false;
        gmail_put_labels(f->s, &f->m, &f->arena);
        return true;
    }
    return false;
}

/* What changed by fetching is told with it: FLAGS (RFC 9051 6.4.5, \Seen); UID and MODSEQ too, once
 * a CONDSTORE enabling command was given (RFC 7162 3.2.4). */
static void put_seen(Fetching *f, Buf *out)
{
    bool condstore = imap_has(f->s, ENABLED_CONDSTORE);
    if (imap_tells_uid(f->s) && !fetch_has(f->fetch, ITEM_UID)) put_number(out, " UID ", f->m.uid);
    if (!fetch_has(f->fetch, ITEM_FLAGS)) {
        buf_char(out, ' ');
        put_flags(f, out);
    }
    if (!condstore || fetch_has(f->fetch, ITEM_MODSEQ)) return;
    put_number(out, " MODSEQ (", f->m.modseq);
    buf_char(out, ')');
}

PARKS static void tell_message(Fetching *f)
{
    imap_tell_new_keywords(f->s); /* they may be among its FLAGS */
    Buf *out = stream_out(f->s->stream);
    size_t start = out->len, told = 0;
    f->has_summary = false;
    imap_begin_fetch(f->s, f->number, f->m.uid);
    for (size_t i = 0; i < f->fetch->count; i++) {
        size_t before = out->len;
        if (told) buf_char(out, ' ');
        if (put_item(f, &f->fetch->items[i]))
            told++;
        else
            out->len = before;
    }
    if (f->seen_now && told) put_seen(f, out);
    if (told)
        buf_add(out, S(")\r\n"));
    else
        out->len = start; /* nothing was drained either */
    if (f->arena.used) arena_reset(&f->arena);
}

/* ---- all of them ---- */

/* The first message of the view with this uid or a larger one. Counting on is cheaper than asking
 * for the number. */
static bool look(Fetching *f, uint32_t uid)
{
    bool follows = f->last_uid && uid == f->last_uid + 1;
    if (!view_next(f->s->view, uid, &f->m, follows ? NULL : &f->number, &f->gone)) return false;
    if (follows) f->number = f->last_number + 1;
    f->last_uid = f->m.uid, f->last_number = f->number;
    return true;
}

/* The next message to tell with uid >= *uid. CHANGEDSINCE jumps over what did not change. */
static bool next(Fetching *f, const UidSet *uids, uint32_t *uid)
{
    bool changed_only = f->fetch->changed_since;
    while (uidset_next(uids, uid)) {
        if (changed_only) {
            const Message *changed = mailbox_next_changed(f->s->box, *uid, f->fetch->modseq);
            if (!changed) return false;
            if (changed->uid != *uid) {
                *uid = changed->uid;
                continue;
            }
        }
        if (!look(f, *uid)) return false;
        if (f->m.uid == *uid || (!changed_only && uidset_has(uids, f->m.uid))) return true;
        *uid = f->m.uid;
    }
    return false;
}

/* \Seen is set for all of them in one commit, before the first octet goes out. A disk that is full
 * must not keep anybody from reading. */
PARKS static void set_seen(Imap *s, const Fetch *f, const UidSet *uids, UidSet *unseen)
{
    Fetching probe = {.s = s, .fetch = f};
    uint64_t modseq = 0;
    if (!f->sets_seen || s->read_only || !(mailbox_rights(s->box) & RIGHT_SEEN)) return;
    for (uint32_t uid = 1; next(&probe, uids, &uid); uid++) {
        uid = probe.m.uid;
        if (!probe.gone && !(probe.m.flags & FLAG_SEEN)) uidset_add(&s->arena, unseen, uid, uid);
        if (uid == UINT32_MAX) break;
    }
    if (!unseen->count) return;
    FlagChange seen = {.how = CHANGE_ADD, .flags = FLAG_SEEN};
    if (mailbox_change(s->box, unseen, &seen, &s->arena, NULL, &modseq)) *unseen = (UidSet){0};
    if (modseq) view_mark_own(s->view, modseq);
}

PARKS static bool pause_after(Fetching *f, uint64_t goal)
{
    if (stream_drain(f->s->stream)) return false;
    if (++f->told % BREATH) return true;
    breathe();
    imap_in_progress(f->s, f->told, goal);
    return true;
}

/* How many there may be, for imap_in_progress. */
static uint64_t goal_of(Imap *s, const Fetch *fetch, const UidSet *uids)
{
    if (fetch->changed_since) return 0;
    return MIN(uidset_size(uids), (uint64_t)view_exists(s->view));
}

PARKS static Err tell_messages(Imap *s, const Fetch *fetch, const UidSet *uids,
                               const UidSet *unseen, UidSet *downgraded)
{
    Fetching f = {.s = s, .fetch = fetch};
    uint64_t goal = goal_of(s, fetch, uids);
    for (uint32_t uid = 1; next(&f, uids, &uid); uid++) {
        uid = f.m.uid;
        f.seen_now = uidset_has(unseen, uid);
        tell_message(&f);
        if (!pause_after(&f, goal) || uid == UINT32_MAX) break;
    }
    arena_done(&f.arena);
    *downgraded = f.downgraded;
    return f.trouble;
}

Err fetch_tell(Imap *s, const Fetch *f, const UidSet *uids)
{
    UidSet none = {0}, downgraded;
    return tell_messages(s, f, uids, &none, &downgraded);
}

/* ---- VANISHED ---- */

/* The UIDs named, also those behind the last message of the view: they may be what vanished. */
static UidSet named(Imap *s, const ImapSet *set)
{
    UidSet uids = {0};
    uint32_t end = mailbox_status(s->box).uid_next;
    for (size_t i = 0; i < set->count; i++) {
        UidRange r = set->ranges[i];
        uidset_add(&s->arena, &uids, r.first ? r.first : end, r.last ? r.last : end);
    }
    return set->saved ? s->saved : uids;
}

/* Messages that are still in the view will vanish for this client when it is told so with numbers
 * in mind (RFC 7162 3.2.10.2), not "earlier". */
static UidSet not_in_view(Imap *s, const UidSet *vanished)
{
    UidSet rest = {0};
    Message m;
    for (size_t i = 0; i < vanished->count; i++) {
        uint32_t at = vanished->ranges[i].first, last = vanished->ranges[i].last;
        while (at <= last && view_next(s->view, at, &m, NULL, NULL) && m.uid <= last) {
            if (at < m.uid) uidset_add(&s->arena, &rest, at, m.uid - 1);
            at = m.uid + 1;
        }
        if (at <= last) uidset_add(&s->arena, &rest, at, last);
    }
    return rest;
}

/* RFC 7162 3.2.6: what vanished since, before the FETCH responses. */
PARKS static Err tell_vanished(Imap *s, const Fetch *f)
{
    UidSet vanished = {0};
    bool complete;
    if (!f->vanished) return OK;
    TRY(mailbox_vanished(s->box, f->modseq, &s->arena, &vanished, &complete));
    UidSet asked = named(s, &f->set), earlier = not_in_view(s, &vanished);
    imap_tell_vanished_earlier(s, &earlier, &asked, 0);
    return OK;
}

/* ---- PARTIAL ---- */

/* RFC 9394 3.3: of the messages that the set means, those in the range. A range of UIDs is a range
 * of numbers, and numbers are counted without looking at messages. */
static UidSet in_partial(Imap *s, const Fetch *f, const UidSet *uids)
{
    UidSet numbers = {0}, out = {0};
    Message m;
    uint64_t first, last;
    for (size_t i = 0; i < uids->count; i++) {
        uint32_t from, next, behind = view_exists(s->view) + 1, end = uids->ranges[i].last;
        if (!view_next(s->view, uids->ranges[i].first, &m, &from, NULL)) break;
        if (end < UINT32_MAX && view_next(s->view, end + 1, &m, &next, NULL)) behind = next;
        if (from < behind) uidset_add(&s->arena, &numbers, from, behind - 1);
    }
    if (!search_partial_of(&f->partial, uidset_size(&numbers), &first, &last)) return out;
    numbers = search_places(&s->arena, &numbers, first, last);
    for (size_t i = 0; i < numbers.count; i++)
        uidset_add(&s->arena, &out, view_uid(s->view, numbers.ranges[i].first),
                   view_uid(s->view, numbers.ranges[i].last));
    return out;
}

Err imap_cmd_fetch(Imap *s)
{
    Fetch f = {0};
    UidSet uids, unseen = {0}, downgraded;
    TRY(fetch_parse(s, &f));
    TRY(imap_resolve(s, &f.set, &uids));
    if (f.has_partial) uids = in_partial(s, &f, &uids);
    Slice code; /* RFC 9738 3.1: a range that is too large is refused */
    if (f.has_partial && imap_is_over_limit(s, &uids, false, &code))
        return imap_no(s, "[MESSAGELIMIT %u] Too many messages", s->config->message_limit);
    imap_keep_to_limit(s, &uids);
    for (size_t i = 0; i < f.count; i++)
        if (f.items[i].type == ITEM_ANNOTATION)
            annotate_check_item(s, &uids, f.items[i].annotation);
    TRY(imap_syntax(s->in));
    TRY(tell_vanished(s, &f));
    /* CHANGEDSINCE picks by the mod-sequences before \Seen is set. */
    set_seen(s, &f, &uids, &unseen);
    Err trouble = tell_messages(s, &f, &uids, &unseen, &downgraded);
    if (trouble == ERR_UNKNOWN_CTE) return imap_no(s, "[UNKNOWN-CTE] Cannot decode that part");
    if (trouble) return trouble;
    if (!downgraded.count) return imap_ok(s, "FETCH completed");
    Buf list buf_scoped = {0}; /* RFC 6858 3 */
    uidset_print(&list, &downgraded);
    return imap_ok(s, "[DOWNGRADED %.*s] FETCH completed", SP(buf_slice(&list)));
}
