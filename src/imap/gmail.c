/* X-GM-EXT-1: labels, as clients made for Gmail know them
 * (https://developers.google.com/gmail/imap).
 *
 * A message that is in several mailboxes is one email linked into each of them; its labels are
 * those mailboxes, without the one that is selected, as Gmail does. INBOX is "\Inbox"; mailboxes
 * with a special use are "\Sent", "\Draft", "\Spam", "\Trash", "\Important"; others go by their
 * name.
 * "\Starred" is \Flagged. To add a label is to link, to remove it is to take the link away, to add
 * one that does not exist creates the mailbox. X-GM-MSGID and X-GM-THRID are the numbers of EMAILID
 * and THREADID, with the account in front. Mailboxes of others have no labels. */
#include "imap/gmail.h"

static const struct {
    const char *label;
    Role role;
} specials[] = {
    {"\\Sent",      ROLE_SENT     },
    {"\\Draft",     ROLE_DRAFTS   },
    {"\\Spam",      ROLE_JUNK     },
    {"\\Trash",     ROLE_TRASH    },
    {"\\Important", ROLE_IMPORTANT},
};

static bool is_own(const Imap *s)
{
    return account_number(mailbox_account(s->box)) == s->user.acct;
}

uint64_t gmail_id(uint32_t acct, uint64_t id)
{
    return (uint64_t)acct << 32 | (id & UINT32_MAX);
}

uint64_t gmail_number_of(uint64_t id, uint32_t acct)
{
    return id >> 32 == acct ? id & UINT32_MAX : 0;
}

/* ---- telling ---- */

static void put_label(Imap *s, Buf *out, const MailboxEntry *entry)
{
    if (slice_eq(entry->name, S("INBOX"))) {
        imap_put_string(out, S("\\Inbox"));
        return;
    }
    for (size_t i = 0; i < COUNT(specials); i++) {
        if (!role_has(entry->status.role, specials[i].role)) continue;
        imap_put_string(out, slice_of(specials[i].label));
        return;
    }
    imap_put_mailbox(s, out, entry->name);
}

static void put_space(Buf *out)
{
    if (out->at[out->len - 1] != '(') buf_char(out, ' ');
}

/* In the order in which the mailboxes were made. 0: no more. */
static uint32_t next_mailbox(const EmailDetails *d, uint32_t after)
{
    uint32_t next = 0;
    for (size_t i = 0; i < d->link_count; i++) {
        uint32_t id = d->links[i].mailbox_id;
        if (id > after && (!next || id < next)) next = id;
    }
    return next;
}

void gmail_put_labels(Imap *s, const Message *m, Arena *a)
{
    EmailDetails d = {0};
    MailboxEntry entry;
    uint32_t here = mailbox_status(s->box).id, id = 0;
    if (is_own(s) && email_details(mailbox_account(s->box), m->eid, a, &d)) d.link_count = 0;
    Buf *out = stream_out(s->stream);
    buf_add(out, S("X-GM-LABELS ("));
    while ((id = next_mailbox(&d, id))) {
        if (id == here || !account_mailbox_id(mailbox_account(s->box), id, &entry)) continue;
        put_space(out);
        put_label(s, out, &entry);
    }
    if (m->flags & FLAG_FLAGGED) {
        put_space(out);
        imap_put_string(out, S("\\Starred"));
    }
    buf_char(out, ')');
}

/* ---- STORE ---- */

enum { LABELS_MOST = 100 };

/* A label with a backslash comes quoted or as it is. */
PARKS Slice gmail_label(In *in)
{
    if (imap_peek(in) != '\\') return imap_mailbox(in, NULL);
    imap_need(in, "\\");
    Slice word = imap_atom(in);
    return arena_printf(in->arena, "\\%.*s", SP(word));
}

void gmail_labels(In *in, GmailLabels *labels)
{
    bool list = imap_see(in, "(");
    labels->names = arena_array(in->arena, Slice, LABELS_MOST);
    if (list && imap_see(in, ")")) return;
    do {
        if (labels->count == LABELS_MOST) {
            imap_mistake(in, "Too many labels");
            return;
        }
        labels->names[labels->count++] = gmail_label(in);
    } while (imap_see(in, " "));
    if (list) imap_need(in, ")");
}

/* The mailbox of a label; its name is empty when there is none. */
static Slice mailbox_of(Imap *s, Slice label)
{
    MailboxEntry *entries;
    size_t count, i = 0;
    if (slice_eq_nocase(label, S("\\Inbox"))) return S("INBOX");
    if (!slice_starts(label, S("\\"))) return label;
    while (i < COUNT(specials) && !slice_eq_nocase(label, slice_of(specials[i].label)))
        i++;
    if (i == COUNT(specials) && !slice_eq_nocase(label, S("\\Drafts"))) return (Slice){0};
    Role role = i < COUNT(specials) ? specials[i].role : ROLE_DRAFTS;
    account_mailboxes(s->account, &s->arena, &entries, &count);
    for (size_t k = 0; k < count; k++)
        if (entries[k].exists && role_has(entries[k].status.role, role)) return entries[k].name;
    return (Slice){0};
}

/* Those of the messages that have, or have not, a link into that mailbox; the links' UIDs there. */
PARKS static Err links(Imap *s, const UidSet *uids, uint32_t id, UidSet *without, UidSet *there)
{
    uint32_t uid = 1;
    while (uidset_next(uids, &uid)) {
        const Message *m = mailbox_message(s->box, uid);
        EmailDetails d;
        bool linked = false;
        Err err = m ? email_details(s->account, m->eid, &s->arena, &d) : ERR_EXPUNGED;
        if (err && err != ERR_EXPUNGED) return err;
        for (size_t i = 0; !err && i < d.link_count; i++) {
            if (d.links[i].mailbox_id != id) continue;
            linked = true;
            uidset_add(&s->arena, there, d.links[i].uid, d.links[i].uid);
        }
        if (!err && !linked) uidset_add(&s->arena, without, uid, uid);
        if (uid++ == UINT32_MAX) break;
    }
    return OK;
}

PARKS static Err set_label(Imap *s, const UidSet *uids, Slice name, bool on)
{
    Mailbox *box scoped(mailbox) = NULL;
    UidSet without = {0}, there = {0};
    CopyResult copied;
    Err err = mailbox_open(s->account, s->user.acct, name, &box);
    if (err == ERR_NOT_FOUND && !on) return OK;
    if (err == ERR_NOT_FOUND) {
        TRY(mailbox_create(s->account, name, ROLE_NONE));
        err = mailbox_open(s->account, s->user.acct, name, &box);
    }
    TRY(err);
    TRY(links(s, uids, mailbox_status(box).id, &without, &there));
    if (on && without.count) return mailbox_copy(s->box, &without, box, &s->arena, &copied);
    if (!on && there.count) return mailbox_expunge(box, &there, true, &s->arena, NULL);
    return OK;
}

PARKS static Err star(Imap *s, const UidSet *uids, bool on)
{
    FlagChange change = {.how = on ? CHANGE_ADD : CHANGE_REMOVE, .flags = FLAG_FLAGGED};
    uint64_t modseq;
    return mailbox_change(s->box, uids, &change, &s->arena, NULL, &modseq);
}

static bool is_listed(Imap *s, const GmailLabels *labels, Slice name)
{
    for (size_t i = 0; i < labels->count; i++)
        if (slice_eq(mailbox_of(s, labels->names[i]), name)) return true;
    return false;
}

/* What is not among the new labels goes, but never the mailbox that is selected. */
PARKS static Err drop_others(Imap *s, const UidSet *uids, const GmailLabels *labels)
{
    MailboxEntry *entries;
    size_t count;
    uint32_t here = mailbox_status(s->box).id;
    bool starred = false;
    account_mailboxes(s->account, &s->arena, &entries, &count);
    for (size_t i = 0; i < count; i++)
        if (entries[i].exists && entries[i].status.id != here &&
            !is_listed(s, labels, entries[i].name))
            TRY(set_label(s, uids, entries[i].name, false));
    for (size_t i = 0; i < labels->count; i++)
        starred = starred || slice_eq_nocase(labels->names[i], S("\\Starred"));
    return starred ? OK : star(s, uids, false);
}

Err gmail_store(Imap *s, const UidSet *uids, ChangeHow how, const GmailLabels *labels)
{
    if (!is_own(s)) return fail(ERR_UNSUPPORTED, "mailboxes of others have no labels");
    if (!uids->count) return OK;
    if (how == CHANGE_REPLACE) TRY(drop_others(s, uids, labels));
    for (size_t i = 0; i < labels->count; i++) {
        bool on = how != CHANGE_REMOVE;
        if (slice_eq_nocase(labels->names[i], S("\\Starred"))) {
            TRY(star(s, uids, on));
            continue;
        }
        Slice name = mailbox_of(s, labels->names[i]);
        if (!name.len) return fail(ERR_UNSUPPORTED, "there is no such label");
        TRY(set_label(s, uids, name, on));
    }
    return OK;
}
