#pragma once
#include "mail/mail.h"

/* What BODYSTRUCTURE says of a part besides its sizes, made when its header was read (mail/part.h).
 */
typedef struct {
    Slice front, back;
    Slice envelope; /* of the message whose root this part is */
} PartText;
/* BODYSTRUCTURE of all parts, RFC 9051 7.5.2. text[i] belongs to parts[i]. */
void structure(Buf *out, const MailPart *parts, const PartText *text);
