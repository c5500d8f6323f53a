#pragma once
/* Is a text in a message whose parts are known? The same text that a MailScan makes of the whole
 * message (mail_scan_new), but part by part, and so that what is no text need not be read at all.
 * Holds buffers: one for many messages, on one thread. */
#include "mail/mail.h"

typedef struct {
    Slice needle;   /* folded; without line ends, so that it lies in one part */
    MailFold *fold; /* by which it was; NULL: casemap */
    Buf raw, utf8, text, folded;
} MailLook;

/* The header of a part or of an embedded message, at most MAIL_HEADER_MOST of it; what its file is
 * called, too. */
bool mail_look_at_header(MailLook *l, Slice header);
/* The body of a PART_TEXT, at most MAIL_TEXT_MOST of it; `header` is the part's, of part 0 the
 * message's. */
bool mail_look_at_body(MailLook *l, const MailPart *p, Slice header, Slice body);
void mail_look_done(MailLook *l);
