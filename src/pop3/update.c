/* UPDATE (RFC 1939 6), and what a session leaves behind when it ends otherwise. */
#include "pop3/session.h"

/* RFC 2449 6.7: kept for that many days at least, counted from the day the message came here (not
 * from the date it was given, which a client or an import may have set long ago). */
PARKS static bool is_expired(Pop3 *s, const Message *m)
{
    EmailDetails details;
    if (s->pref.expire_days == POP3_NEVER) return false;
    int64_t before = wall_seconds() - (int64_t)s->pref.expire_days * 86400;
    if (m->date >= before || email_details(s->account, m->eid, &s->arena, &details)) return false;
    uint32_t inbox = mailbox_status(s->inbox).id;
    for (size_t i = 0; i < details.link_count; i++)
        if (details.links[i].mailbox_id == inbox && details.links[i].saved >= before) return false;
    return true;
}

PARKS static bool goes(Pop3 *s, uint32_t number, const Message *m)
{
    uint8_t marks = maildrop_marks(s, number);
    if (is_device(s)) return is_expired(s, m);
    if (marks & MARK_DELETED) return true;
    if (marks & MARK_RETRIEVED && !s->pref.keep_retrieved) return true;
    return is_expired(s, m);
}

/* One pass: who goes, and who becomes \Seen. */
PARKS static void sort_out(Pop3 *s, UidSet *going, UidSet *seen)
{
    Message m;
    uint32_t number = 0, uid = 1;
    bool gone;
    while (maildrop_next(s, &uid, &number, &m, &gone)) {
        if (going && !gone && goes(s, number, &m)) uidset_add(&s->arena, going, m.uid, m.uid);
        if (!gone && maildrop_marks(s, number) & MARK_RETRIEVED && !(m.flags & FLAG_SEEN))
            uidset_add(&s->arena, seen, m.uid, m.uid);
        if (number % 512 == 0) breathe();
    }
}

PARKS static Err set_seen(Pop3 *s, const UidSet *seen)
{
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_SEEN};
    uint64_t modseq;
    if (!seen->count) return OK;
    return mailbox_change(s->inbox, seen, &change, &s->arena, NULL, &modseq);
}

PARKS static Err open_trash(Pop3 *s, Mailbox **trash)
{
    MailboxEntry *entries;
    size_t count;
    account_mailboxes(s->account, &s->arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if (entries[i].exists && role_has(entries[i].status.role, ROLE_TRASH))
            return mailbox_open_id(s->account, s->who.acct, entries[i].status.id, trash);
    Err err = mailbox_create(s->account, S("Trash"), ROLE_TRASH);
    if (err && err != ERR_EXISTS) return err;
    return mailbox_open(s->account, s->who.acct, S("Trash"), trash);
}

PARKS static Err remove_messages(Pop3 *s, const UidSet *going)
{
    CopyResult moved;
    if (!going->count) return OK;
    if (PLANTED("quit_in_two")) {
        UidSet one = {0};
        uidset_add(&s->arena, &one, going->ranges[0].first, going->ranges[0].first);
        TRY(mailbox_expunge(s->inbox, &one, true, &s->arena, NULL));
    }
    if (!s->pref.delete_to_trash) return mailbox_expunge(s->inbox, going, true, &s->arena, NULL);
    Mailbox *trash scoped(mailbox) = NULL;
    TRY(open_trash(s, &trash));
    return mailbox_move(s->inbox, going, trash, &s->arena, &moved);
}

PARKS Err maildrop_update(Pop3 *s)
{
    UidSet going = {0}, seen = {0};
    if (!maildrop_is_marked(s) && s->pref.expire_days == POP3_NEVER) return OK;
    sort_out(s, &going, &seen);
    TRY(set_seen(s, &seen));
    TRY(device_update(s));
    return remove_messages(s, &going);
}

PARKS Err maildrop_mark_seen(Pop3 *s)
{
    UidSet seen = {0};
    if (!maildrop_is_marked(s)) return OK;
    sort_out(s, NULL, &seen);
    return set_seen(s, &seen);
}

/* The lock is given back before the answer, so that whoever has the answer can come again at once.
 */
PARKS void pop3_quit(Pop3 *s, Slice nothing)
{
    (void)nothing;
    Err err = OK;
    uint32_t left = s->count - s->deleted;
    bool was_open = s->state == TRANSACTION;
    if (was_open) {
        err = maildrop_update(s);
        maildrop_close(s);
    }
    if (err)
        pop3_err(s, "[SYS/TEMP] Some deleted messages were not removed");
    else if (was_open)
        pop3_ok(s, "Bye, %u messages left", (unsigned)left);
    else
        pop3_ok(s, "Bye");
    s->over = true;
}
