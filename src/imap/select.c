/* SELECT and EXAMINE with CONDSTORE and QRESYNC (RFC 7162), CLOSE, UNSELECT. */
#include "imap/annotate.h"
#include "imap/context.h"

typedef struct {
    bool condstore, qresync, annotate;
    uint32_t uid_validity;
    uint64_t modseq;
    ImapSet known, numbers, uids; /* QRESYNC's optional arguments; count 0: not given */
} SelectParams;

/* ---- grammar ---- */

/* RFC 7162 7: known-uids and the sets of the match data are sequence-sets without "*". */
static ImapSet plain_set(In *in)
{
    ImapSet set = imap_sequence_set(in);
    for (size_t i = 0; i < set.count; i++)
        if (!set.ranges[i].first || !set.ranges[i].last)
            imap_mistake(in, "\"*\" is not allowed here");
    if (set.saved) imap_mistake(in, "\"$\" is not allowed here");
    return set;
}

/* select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids]
 * [SP seq-match-data] ")"; seq-match-data = "(" known-sequence-set SP known-uid-set ")" */
static void match_data(Imap *s, SelectParams *p)
{
    In *in = s->in;
    if (imap_has(s, ENABLED_UIDONLY)) /* RFC 9586 3: they are about message numbers */
        imap_mistake(in, "[UIDREQUIRED] UIDONLY is enabled: no sequence match data");
    imap_need(in, "(");
    p->numbers = plain_set(in);
    imap_space(in);
    p->uids = plain_set(in);
    imap_need(in, ")");
}

static void qresync(Imap *s, SelectParams *p)
{
    In *in = s->in;
    p->qresync = p->condstore = true;
    imap_need(in, " (");
    p->uid_validity = imap_nz_number(in);
    imap_space(in);
    p->modseq = imap_number64(in);
    bool more = imap_see(in, " ");
    if (more && imap_peek(in) != '(') {
        p->known = plain_set(in);
        more = imap_see(in, " ");
    }
    if (more) match_data(s, p);
    imap_need(in, ")");
}

/* RFC 4466 2.1: select-params = SP "(" select-param *(SP select-param) ")" */
static void params(Imap *s, SelectParams *p)
{
    In *in = s->in;
    imap_need(in, " (");
    do {
        Slice name = imap_label(in);
        if (slice_eq_nocase(name, S("CONDSTORE")))
            p->condstore = true;
        else if (slice_eq_nocase(name, S("QRESYNC")))
            qresync(s, p);
        else if (slice_eq_nocase(name, S("ANNOTATE"))) /* RFC 5257 4.2 */
            p->annotate = true;
        else
            imap_mistake(in, "unknown parameter");
    } while (imap_see(in, " "));
    imap_need(in, ")");
}

/* ---- what changed since the client was here last ---- */

/* Messages and UIDs of the match data in pairs, both ascending; the last pair that still holds says
 * that the client knows every expunge up to it (RFC 7162 3.2.5.2). 0: none holds. */
static uint32_t matched_uid(Imap *s, const SelectParams *p)
{
    uint32_t exists = view_exists(s->view), found = 0;
    size_t n = 0, u = 0;
    uint64_t number = 0, uid = 0;
    for (;;) {
        number = number ? number + 1 : 0;
        uid = uid ? uid + 1 : 0;
        if (!number || number > p->numbers.ranges[n - 1].last) {
            if (n == p->numbers.count) return found;
            number = p->numbers.ranges[n++].first;
        }
        if (!uid || uid > p->uids.ranges[u - 1].last) {
            if (u == p->uids.count) return found;
            uid = p->uids.ranges[u++].first;
        }
        if (number > exists) return found;
        if (view_uid(s->view, (uint32_t)number) == uid) found = MAX(found, (uint32_t)uid);
    }
}

static UidSet known_uids(Imap *s, const SelectParams *p)
{
    UidSet known = {0};
    for (size_t i = 0; i < p->known.count; i++)
        uidset_add(&s->arena, &known, p->known.ranges[i].first, p->known.ranges[i].last);
    uint32_t next = mailbox_status(s->box).uid_next;
    if (!p->known.count && next > 1) uidset_add(&s->arena, &known, 1, next - 1);
    return known;
}

/* The members of `a` above `floor` that are in `b` too. */
static UidSet common(Arena *arena, const UidSet *a, const UidSet *b, uint32_t floor)
{
    UidSet both = {0};
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        uint32_t first = MAX(a->ranges[i].first, b->ranges[j].first);
        uint32_t last = MIN(a->ranges[i].last, b->ranges[j].last);
        if (floor < UINT32_MAX) first = MAX(first, floor + 1);
        if (first <= last) uidset_add(arena, &both, first, last);
        if (a->ranges[i].last < b->ranges[j].last)
            i++;
        else
            j++;
    }
    return both;
}

void imap_tell_vanished_earlier(Imap *s, const UidSet *vanished, const UidSet *asked,
                                uint32_t floor)
{
    UidSet told = common(&s->arena, vanished, asked, floor);
    if (!told.count) return;
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* VANISHED (EARLIER) "));
    uidset_print(out, &told);
    buf_add(out, S("\r\n"));
}

PARKS static void tell_changed_since(Imap *s, const UidSet *known, uint64_t modseq)
{
    uint32_t uid = 0;
    const Message *m;
    while (uidset_next(known, &uid) && (m = mailbox_next_changed(s->box, uid, modseq))) {
        uint32_t found = m->uid, number = view_number(s->view, found);
        if (number && uidset_has(known, found)) imap_tell_flags(s, number, m);
        if (found == UINT32_MAX || stream_drain(s->stream)) return;
        uid = found + 1;
    }
}

PARKS static Err resync(Imap *s, const SelectParams *p)
{
    if (p->uid_validity != mailbox_status(s->box).uid_validity) return OK;
    UidSet vanished = {0}, known = known_uids(s, p);
    bool complete;
    TRY(mailbox_vanished(s->box, p->modseq, &s->arena, &vanished, &complete));
    uint32_t floor = p->numbers.count && p->uids.count ? matched_uid(s, p) : 0;
    imap_tell_vanished_earlier(s, &vanished, &known, floor);
    bool by_uid = s->by_uid;
    s->by_uid = true;
    tell_changed_since(s, &known, p->modseq);
    s->by_uid = by_uid;
    return OK;
}

/* ---- opening and closing ---- */

void imap_unselect(Imap *s)
{
    context_end_all(s);
    annotate_forget(s);
    view_close(s->view);
    mailbox_close(s->box);
    s->view = NULL;
    s->box = NULL;
    s->read_only = false;
    arena_done(&s->saved_arena); /* RFC 9051 6.4.4.1: "$" is of the selected mailbox */
    s->saved = (UidSet){0};
    if (s->state == SELECTED) s->state = AUTHENTICATED;
}

PARKS static Err open_mailbox(Imap *s, Slice name, bool examine)
{
    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_need(box, RIGHT_READ));
    Rights rights = mailbox_rights(box);
    Rights writing = RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT | RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE;
    bool read_only = examine || s->user.guest || !(rights & writing);
    TRY(view_open(box, !read_only, &s->view));
    s->box = box;
    box = NULL;
    s->read_only = read_only;
    s->examined = examine;
    s->state = SELECTED;
    return OK;
}

/* RFC 8474 4.2 */
static void tell_mailbox_id(Imap *s, const MailboxStatus *status)
{
    Buf id buf_scoped = {0};
    imap_put_object_id(&id, OBJECT_MAILBOX, status->acct, status->id);
    imap_say(s, "OK [MAILBOXID (%.*s)] Mailbox id", SP(buf_slice(&id)));
}

/* RFC 9051 6.3.2: what SELECT has to say, and what RFC 3501 wanted besides: RECENT and UNSEEN. */
static void describe(Imap *s, Slice as_sent)
{
    bool rev2 = imap_has(s, ENABLED_REV2);
    MailboxStatus status = mailbox_status(s->box);
    imap_tell_keywords(s);
    imap_say(s, "%u EXISTS", view_exists(s->view));
    if (!rev2) {
        uint32_t unseen = view_first_unseen(s->view);
        imap_say(s, "%u RECENT", view_recent(s->view));
        if (unseen && !imap_has(s, ENABLED_UIDONLY)) /* a message number, RFC 9586 3 */
            imap_say(s, "OK [UNSEEN %u] First unseen message", unseen);
    }
    imap_say(s, "OK [UIDVALIDITY %u] UIDs valid", status.uid_validity);
    imap_say(s, "OK [UIDNEXT %u] Predicted next UID", status.uid_next);
    tell_mailbox_id(s, &status);
    annotate_describe(s);
    if (s->config->urlauth) imap_say(s, "OK [URLMECH INTERNAL] Mechanisms of URLAUTH");
    imap_say(s, "OK [HIGHESTMODSEQ %llu] Highest mailbox mod-sequence",
             (unsigned long long)MAX(status.highest_modseq, 1));
    if (rev2)
        imap_tell_name(s, imap_shown_name(s, mailbox_account(s->box), mailbox_name(s->box)),
                       as_sent);
}

/* RFC 4314 5.2: of a mailbox of somebody else \Seen is everyone's own, so the right to set it alone
 * does not count. */
static bool is_read_write(const Imap *s)
{
    unsigned shared = RIGHT_WRITE | RIGHT_INSERT | RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE;
    if (account_number(mailbox_account(s->box)) == s->user.acct) shared |= RIGHT_SEEN;
    return !s->read_only && mailbox_rights(s->box) & shared;
}

PARKS static Err select_mailbox(Imap *s, bool examine)
{
    SelectParams p = {0};
    Slice as_sent;
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, &as_sent);
    if (imap_peek(s->in) == ' ') params(s, &p);
    TRY(imap_end(s->in));
    if (p.qresync && !imap_has(s, ENABLED_QRESYNC))
        return imap_bad(s, "ENABLE QRESYNC has to come first");

    /* A SELECT that fails leaves nothing selected, too (RFC 9051 6.3.2). */
    if (s->state == SELECTED) {
        imap_unselect(s);
        imap_say(s, "OK [CLOSED] The previous mailbox is closed");
    }
    if (p.condstore) imap_use_condstore(s);
    TRY(open_mailbox(s, name, examine));
    if (p.annotate || imap_notifies_annotations(s)) annotate_watch(s);
    describe(s, as_sent);
    if (p.qresync) {
        Err err = resync(s, &p);
        if (err) imap_unselect(s);
        TRY(err);
    }
    return imap_ok(s, "[%s] %s completed", is_read_write(s) ? "READ-WRITE" : "READ-ONLY",
                   examine ? "EXAMINE" : "SELECT");
}

/* RFC 9051 6.3.2: select = "SELECT" SP mailbox [select-params] */
Err imap_cmd_select(Imap *s)
{
    return select_mailbox(s, false);
}

/* RFC 9051 6.3.3: examine = "EXAMINE" SP mailbox [select-params] */
Err imap_cmd_examine(Imap *s)
{
    return select_mailbox(s, true);
}

/* RFC 9051 6.4.1: CLOSE expunges without a word; in a mailbox open read-only it only closes. */
Err imap_cmd_close(Imap *s)
{
    TRY(imap_end(s->in));
    Err err = OK;
    bool may = mailbox_rights(s->box) & RIGHT_EXPUNGE;
    if (!s->read_only && may) err = mailbox_expunge(s->box, NULL, false, &s->arena, NULL);
    imap_unselect(s);
    return err ? err : imap_ok(s, "CLOSE completed");
}

/* RFC 9051 6.4.2: unselect = "UNSELECT" */
Err imap_cmd_unselect(Imap *s)
{
    TRY(imap_end(s->in));
    imap_unselect(s);
    return imap_ok(s, "UNSELECT completed");
}
