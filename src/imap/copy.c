/* COPY, MOVE (RFC 6851), EXPUNGE, and their UID forms (RFC 4315). */
#include "imap/session.h"

/* resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set. Empty when nothing was copied. */
static void put_copy_uid(const CopyResult *r, Buf *out)
{
    if (!r->source.count) return;
    buf_printf(out, "[COPYUID %u ", r->uid_validity);
    uidset_print(out, &r->source);
    buf_char(out, ' ');
    uidset_print(out, &r->copies);
    buf_add(out, S("] "));
}

/* RFC 9051 9: copy = "COPY" SP sequence-set SP mailbox, and move likewise. ERR_NOT_FOUND is about
 * the destination. */
PARKS static Err copy_or_move(Imap *s, bool move, CopyResult *result)
{
    imap_space(s->in);
    ImapSet set = imap_sequence_set(s->in);
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));
    UidSet uids;
    TRY(imap_resolve(s, &set, &uids));
    Slice code;
    if (!move && imap_is_over_limit(s, &uids, true, &code))
        return fail(ERR_LIMIT, "%.*s Too many messages to copy", SP(code));
    if (move) imap_keep_to_limit(s, &uids);

    Mailbox *to scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &to));
    imap_go_back(s); /* the store goes where it has to */
    if (!uids.count) return OK;
    if (move) return mailbox_move(s->box, &uids, to, &s->arena, result);
    return mailbox_copy(s->box, &uids, to, &s->arena, result);
}

Slice imap_modseq_code(Imap *s, bool expunged)
{
    if (!expunged || !imap_has(s, ENABLED_QRESYNC)) return S("");
    return arena_printf(&s->arena, "[HIGHESTMODSEQ %llu] ",
                        (unsigned long long)mailbox_status(s->box).highest_modseq);
}

/* RFC 9051 6.4.7 */
Err imap_cmd_copy(Imap *s)
{
    CopyResult result = {0};
    Err err = copy_or_move(s, false, &result);
    if (err == ERR_NOT_FOUND) return imap_no(s, "[TRYCREATE] There is no such mailbox");
    TRY(err);
    Buf code buf_scoped = {0};
    put_copy_uid(&result, &code);
    return imap_ok(s, "%.*sCOPY completed", SP(buf_slice(&code)));
}

/* RFC 9051 6.4.8: COPYUID comes untagged, before the EXPUNGEs that imap_ok tells. */
Err imap_cmd_move(Imap *s)
{
    CopyResult result = {0};
    Err err = copy_or_move(s, true, &result);
    if (err == ERR_NOT_FOUND) return imap_no(s, "[TRYCREATE] There is no such mailbox");
    TRY(err);
    Buf code buf_scoped = {0};
    put_copy_uid(&result, &code);
    if (code.len) imap_say(s, "OK %.*sMoved", SP(buf_slice(&code)));
    Slice modseq = imap_modseq_code(s, code.len > 0);
    return imap_ok(s, "%.*sMOVE completed", SP(modseq));
}

/* RFC 9051 6.4.3 and 6.4.9: expunge = "EXPUNGE"; uid-expunge = "EXPUNGE" SP sequence-set */
Err imap_cmd_expunge(Imap *s)
{
    ImapSet set = {0};
    UidSet uids = {0}, expunged = {0};
    if (s->by_uid) {
        imap_space(s->in);
        set = imap_sequence_set(s->in);
    }
    TRY(imap_end(s->in));
    if (s->by_uid) TRY(imap_resolve(s, &set, &uids));
    if (s->by_uid) imap_keep_deleted_to_limit(s, &uids);
    if (!s->by_uid || uids.count)
        TRY(mailbox_expunge(s->box, s->by_uid ? &uids : NULL, false, &s->arena, &expunged));
    Slice modseq = imap_modseq_code(s, expunged.count > 0);
    return imap_ok(s, "%.*sEXPUNGE completed", SP(modseq));
}
