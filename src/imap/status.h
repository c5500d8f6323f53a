#pragma once
/* STATUS data items, RFC 9051 6.3.11: for STATUS and for LIST RETURN (STATUS ...). */
#include "imap/session.h"

/* "(" status-att *(SP status-att) ")": a bit for each. */
unsigned imap_status_items(In *in);
enum { /* some of those bits, for whoever tells them without being asked */
       STATUS_MESSAGES = 1,
       STATUS_UIDNEXT = 4,
       STATUS_UIDVALIDITY = 8,
       STATUS_UNSEEN = 16,
       STATUS_HIGHESTMODSEQ = 256,
};
/* "* STATUS name (...)". HIGHESTMODSEQ switches CONDSTORE on (RFC 7162 3.1). */
void imap_tell_status(Imap *s, Slice name, const MailboxStatus *status, unsigned items);
/* The same without that. */
void imap_tell_status_news(Imap *s, Slice name, const MailboxStatus *status, unsigned items);
