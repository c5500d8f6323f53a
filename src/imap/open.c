/* Mailboxes by name, as this client may see them. */
#include "imap/session.h"

Err imap_open(Imap *s, Slice name, Mailbox **box)
{
    return mailbox_open(s->account, s->user.acct, name, box);
}
