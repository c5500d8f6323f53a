/* STORE and UID STORE, with UNCHANGEDSINCE (RFC 7162 3.1.3). */
#include "imap/annotate.h"
#include "imap/gmail.h"

typedef struct {
    ImapSet set;
    bool conditional, silent;
    uint64_t unchanged_since;
    ChangeHow how;
    ImapFlags flags;
    bool annotates;
    Annotations annotations; /* RFC 5257 4.5 */
    bool of_labels;          /* X-GM-LABELS instead */
    GmailLabels labels;
} StoreArgs;

/* RFC 4466 2.5: store-modifiers = SP "(" store-modifier *(SP store-modifier) ")" */
static void modifiers(In *in, StoreArgs *st)
{
    if (!imap_see(in, "(")) return;
    do {
        imap_need(in, "UNCHANGEDSINCE ");
        st->unchanged_since = imap_number64(in);
        st->conditional = true;
    } while (imap_see(in, " "));
    imap_need(in, ") ");
}

/* RFC 9051 9: store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags;
 * store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag))) /
 * "ANNOTATION" ..., which is silent (RFC 5257 4.5) */
PARKS static Err read_store(Imap *s, StoreArgs *st)
{
    In *in = s->in;
    imap_space(in);
    st->set = imap_sequence_set(in);
    imap_space(in);
    modifiers(in, st);
    if (imap_see(in, "ANNOTATION")) {
        st->annotates = st->silent = true;
        st->annotations = annotate_values(in);
        return imap_end(in);
    }
    if (imap_see(in, "+"))
        st->how = CHANGE_ADD;
    else if (imap_see(in, "-"))
        st->how = CHANGE_REMOVE;
    else
        st->how = CHANGE_REPLACE;
    st->of_labels = s->config && s->config->gmail && imap_see(in, "X-GM-LABELS");
    if (!st->of_labels) imap_need(in, "FLAGS");
    st->silent = imap_see(in, ".SILENT");
    imap_space(in);
    if (st->of_labels)
        gmail_labels(in, &st->labels);
    else
        st->flags = imap_flags(in);
    return imap_end(in);
}

/* .SILENT tells only what a CONDSTORE client has to know: the new mod-sequence. */
static void tell_modseq(Imap *s, uint32_t number, const Message *m)
{
    imap_begin_fetch(s, number, m->uid);
    Buf *out = stream_out(s->stream);
    if (imap_tells_uid(s)) buf_printf(out, "UID %u ", m->uid);
    buf_printf(out, "MODSEQ (%llu))\r\n", (unsigned long long)m->modseq);
}

/* Those that failed the condition are told too, so that the client need not ask (RFC 7162 3.1.3).
 */
PARKS static void tell(Imap *s, const StoreArgs *st, const UidSet *uids, const UidSet *modified,
                       uint64_t modseq)
{
    Message m;
    uint32_t uid = 0, number;
    bool gone;
    while (uidset_next(uids, &uid) && view_next(s->view, uid, &m, &number, &gone)) {
        uid = m.uid;
        /* gone by this very change: \Deleted means Trash to this user (store.h, Deletion) */
        bool asked = uidset_has(uids, uid) && (!gone || (modseq && m.modseq == modseq));
        if (asked && (!st->silent || uidset_has(modified, uid)))
            imap_tell_flags(s, number, &m);
        else if (asked && imap_has(s, ENABLED_CONDSTORE) && m.modseq == modseq)
            tell_modseq(s, number, &m);
        if (uid++ == UINT32_MAX || stream_drain(s->stream)) return;
    }
}

/* "[MODIFIED set] ": numbers for STORE, UIDs for UID STORE. */
static void put_modified(Imap *s, const UidSet *modified, Buf *out)
{
    UidSet numbers = {0};
    buf_add(out, S("[MODIFIED "));
    for (uint32_t uid = 0; !s->by_uid && uidset_next(modified, &uid); uid++) {
        uint32_t number = view_number(s->view, uid);
        if (number) uidset_add(&s->arena, &numbers, number, number);
        if (uid == UINT32_MAX) break;
    }
    uidset_print(out, s->by_uid ? modified : &numbers);
    buf_add(out, S("] "));
}

PARKS static Err change(Imap *s, const StoreArgs *st, const UidSet *uids, UidSet *modified,
                        uint64_t *modseq)
{
    const uint64_t *since = st->conditional ? &st->unchanged_since : NULL;
    FlagChange change = {
        .how = st->how,
        .flags = st->flags.flags,
        .keywords = {st->flags.names, st->flags.count},
        .unchanged_since = since
    };
    if (!uids->count) return OK;
    if (st->annotates) return annotate_store(s, uids, &st->annotations, since, modified, modseq);
    return mailbox_change(s->box, uids, &change, &s->arena, modified, modseq);
}

/* A literal that was too long to be read has told the grammar. */
PARKS static Err refused(Imap *s, const StoreArgs *st, Err err)
{
    const char *why = st->annotates ? annotate_refusal(err) : NULL;
    return why ? imap_no(s, "%s", why) : err;
}

/* X-GM-EXT-1 */
PARKS static Err store_labels(Imap *s, const StoreArgs *st, const UidSet *uids)
{
    Message m;
    uint32_t uid = 1, number;
    TRY(gmail_store(s, uids, st->how, &st->labels));
    while (!st->silent && uidset_next(uids, &uid) && view_next(s->view, uid, &m, &number, NULL)) {
        if (uidset_has(uids, m.uid)) {
            imap_begin_fetch(s, number, m.uid);
            if (s->by_uid && !imap_has(s, ENABLED_UIDONLY))
                buf_printf(stream_out(s->stream), "UID %u ", m.uid);
            gmail_put_labels(s, &m, &s->arena);
            buf_add(stream_out(s->stream), S(")\r\n"));
        }
        uid = m.uid;
        if (uid++ == UINT32_MAX || stream_drain(s->stream)) break;
    }
    return imap_ok(s, "STORE completed");
}

Err imap_cmd_store(Imap *s)
{
    StoreArgs st = {0};
    UidSet uids, modified = {0};
    Err err = read_store(s, &st);
    if (err) return refused(s, &st, err);
    TRY(imap_resolve(s, &st.set, &uids));
    imap_keep_to_limit(s, &uids);
    if (st.conditional) imap_use_condstore(s);
    if (st.of_labels) return store_labels(s, &st, &uids);

    uint64_t modseq = 0;
    err = change(s, &st, &uids, &modified, &modseq);
    if (err) return refused(s, &st, err);
    if (modseq) view_mark_own(s->view, modseq);
    if (st.flags.count) imap_tell_new_keywords(s);
    tell(s, &st, &uids, &modified, modseq);

    Buf code buf_scoped = {0};
    if (modified.count) put_modified(s, &modified, &code);
    return imap_ok(s, "%.*sSTORE %s", SP(buf_slice(&code)),
                   modified.count ? "failed for some" : "completed");
}
