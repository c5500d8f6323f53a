/* REPLACE and UID REPLACE, RFC 8508. */
#include "imap/incoming.h"

typedef struct {
    Target target;
    uint32_t old; /* UID of the message that goes */
    Slice code;   /* APPENDUID */
    bool unknown; /* the view has none of that number or UID */
    bool here;    /* the new one came into the selected mailbox */
} Replace;

/* seq-number, or with UID a uid. "*" is the last message. */
static Err find_old(Imap *s, uint32_t number, Replace *r)
{
    UidRange one = {number, number};
    ImapSet set = {.ranges = &one, .count = 1};
    UidSet uids;
    TRY(imap_resolve(s, &set, &uids));
    r->old = uids.count ? uids.ranges[0].first : 0;
    r->unknown = !r->old || !view_number(s->view, r->old);
    if (r->unknown) return fail(ERR_NOT_FOUND, "there is no such message");
    const Message *m = mailbox_message(s->box, r->old);
    if (!m) return fail(ERR_EXPUNGED, "somebody expunged it");
    r->target.replaces = true;
    r->target.frees = m->size;
    return OK;
}

/* RFC 8508 4.1: the rights that UID STORE, UID EXPUNGE and APPEND need. */
static Err check_rights(const Imap *s)
{
    unsigned both = RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE;
    if (mailbox_status(s->box).kept) return fail(ERR_CANNOT, "what was deleted stays as it is");
    if ((mailbox_rights(s->box) & both) == both) return OK;
    return fail(ERR_FORBIDDEN, "no right to expunge");
}

/* Into another account: there is no step that both take together, so the new one comes first. */
PARKS static Err replace_elsewhere(Imap *s, Replace *r, const Incoming *m, uint32_t *uid)
{
    DraftPlace place = incoming_place(m);
    TRY(draft_commit(m->draft, r->target.box, &place, uid));
    r->code = target_append_uid(&r->target, *uid, *uid);
    UidRange one = {r->old, r->old};
    imap_go_back(s);
    Err err = mailbox_expunge(s->box, &(UidSet){.ranges = &one, .count = 1}, true, &s->arena, NULL);
    imap_go(s, r->target.acct);
    return err;
}

PARKS static Err replace_with(Imap *s, Replace *r, const Incoming *m)
{
    uint32_t uid;
    Mailbox *box = r->target.box;
    bool same = mailbox_account(box) == mailbox_account(s->box);
    if (!same) return replace_elsewhere(s, r, m, &uid);
    DraftPlace place = incoming_place(m);
    TRY(draft_replace(m->draft, box, &place, s->box, r->old, &uid));
    r->code = target_append_uid(&r->target, uid, uid);
    r->here = mailbox_status(box).id == mailbox_status(s->box).id;
    return OK;
}

PARKS static Err read_and_replace(Imap *s, Replace *r)
{
    Incoming m = {0};
    Err err = incoming_read(&r->target, &m);
    if (!err) err = imap_end(s->in);
    if (!err) err = replace_with(s, r, &m);
    draft_free(m.draft);
    return err;
}

/* RFC 8508 5: replace = "REPLACE" SP seq-number SP mailbox append-message */
PARKS static Err replace(Imap *s, Replace *r)
{
    imap_space(s->in);
    uint32_t number = imap_see(s->in, "*") ? 0 : imap_nz_number(s->in);
    imap_space(s->in);
    r->target.name = imap_mailbox(s->in, NULL);
    TRY(imap_syntax(s->in));
    TRY(find_old(s, number, r));
    TRY(check_rights(s));
    return read_and_replace(s, r);
}

/* RFC 8508 4.3: APPENDUID comes untagged, before the message that went is told; 3.2: and EXISTS
 * too, so that the client knows the new one first. */
Err imap_cmd_replace(Imap *s)
{
    Replace r = {.target.s = s};
    Err err = replace(s, &r);
    target_close(&r.target);
    if (r.unknown) return imap_no(s, "[NONEXISTENT] There is no such message");
    if (err) return target_answer(&r.target, err);
    imap_go_back(s);
    imap_say(s, "OK %.*sReplacement message ready", SP(r.code));
    if (r.here) imap_tell_news(s, false);
    Slice modseq = imap_modseq_code(s, true);
    return imap_ok(s, "%.*sREPLACE completed", SP(modseq));
}
