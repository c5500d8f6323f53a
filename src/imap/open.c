/* Mailboxes by name, as this client may see them. */
#include "imap/session.h"

Err imap_open(Imap *s, Slice name, Mailbox **box)
{
    imap_go(s, s->user.acct);
    return mailbox_open(s->account, s->user.acct, name, box);
}
