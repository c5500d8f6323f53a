#include "imap/status.h"

/* In the order in which they are told. RECENT is of RFC 3501, SIZE of RFC 8438, DELETED-STORAGE of
 * RFC 9208. */
typedef enum {
    MESSAGES,
    RECENT,
    UIDNEXT,
    UIDVALIDITY,
    UNSEEN,
    DELETED,
    DELETED_STORAGE,
    SIZE,
    HIGHESTMODSEQ,
    MAILBOXID,
    APPENDLIMIT /* RFC 7889 3.1 */
} Item;
static const Slice item_names[] = {
    [MESSAGES] = {"MESSAGES",        8 },
    [RECENT] = {"RECENT",          6 },
    [UIDNEXT] = {"UIDNEXT",         7 },
    [UIDVALIDITY] = {"UIDVALIDITY",     11},
    [UNSEEN] = {"UNSEEN",          6 },
    [DELETED] = {"DELETED",         7 },
    [DELETED_STORAGE] = {"DELETED-STORAGE", 15},
    [SIZE] = {"SIZE",            4 },
    [HIGHESTMODSEQ] = {"HIGHESTMODSEQ",   13},
    [MAILBOXID] = {"MAILBOXID",       9 },
    [APPENDLIMIT] = {"APPENDLIMIT",     11},
};

unsigned imap_status_items(In *in)
{
    unsigned items = 0;
    imap_need(in, "(");
    do {
        Slice name = imap_atom(in);
        unsigned before = items;
        bool known = false;
        for (size_t i = 0; i < COUNT(item_names); i++)
            if (slice_eq_nocase(name, item_names[i])) items |= 1u << i, known = true;
        if (!known && before == items) imap_mistake(in, "unknown STATUS item");
    } while (imap_see(in, " "));
    imap_need(in, ")");
    return items;
}

static uint64_t value(const MailboxStatus *status, Item item)
{
    switch (item) {
    case MESSAGES:
        return status->exists;
    case RECENT:
        return status->recent;
    case UIDNEXT:
        return status->uid_next;
    case UIDVALIDITY:
        return status->uid_validity;
    case UNSEEN:
        return status->unseen;
    case DELETED:
        return status->deleted;
    case DELETED_STORAGE: /* RFC 9208 4.1.4 */
        return status->deleted_octets;
    case SIZE:
        return status->size_octets;
    case HIGHESTMODSEQ:
        return MAX(status->highest_modseq, 1);
    case MAILBOXID:   /* no number */
    case APPENDLIMIT: /* the same for all */
        break;
    }
    return 0;
}

/* RFC 8474 4.3: "MAILBOXID" SP "(" objectid ")" */
static void put_mailbox_id(Buf *out, const MailboxStatus *status)
{
    buf_char(out, '(');
    imap_put_object_id(out, OBJECT_MAILBOX, status->acct, status->id);
    buf_char(out, ')');
}

_Static_assert(STATUS_MESSAGES == 1 << MESSAGES && STATUS_UIDNEXT == 1 << UIDNEXT &&
                   STATUS_UIDVALIDITY == 1 << UIDVALIDITY && STATUS_UNSEEN == 1 << UNSEEN &&
                   STATUS_HIGHESTMODSEQ == 1 << HIGHESTMODSEQ,
               "status.h says the same");

void imap_tell_status_news(Imap *s, Slice name, const MailboxStatus *status, unsigned items)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* STATUS "));
    imap_put_mailbox(s, out, name);
    buf_add(out, S(" ("));
    bool first = true;
    for (size_t i = 0; i < COUNT(item_names); i++) {
        if (!(items & 1u << i)) continue;
        if (!first) buf_char(out, ' ');
        first = false;
        buf_add(out, item_names[i]);
        buf_char(out, ' ');
        if (i == MAILBOXID)
            put_mailbox_id(out, status);
        else if (i == APPENDLIMIT)
            buf_number(out, imap_append_limit(s));
        else
            buf_number(out, value(status, (Item)i));
    }
    buf_add(out, S(")\r\n"));
}

void imap_tell_status(Imap *s, Slice name, const MailboxStatus *status, unsigned items)
{
    if (items & STATUS_HIGHESTMODSEQ) imap_use_condstore(s);
    imap_tell_status_news(s, name, status, items);
}

/* RFC 9051 6.3.11: status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" */
Err imap_cmd_status(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    unsigned items = imap_status_items(s->in);
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_need(box, RIGHT_READ));
    MailboxStatus status = mailbox_status(box);
    imap_tell_status(s, name, &status, items);
    return imap_ok(s, "STATUS completed");
}
