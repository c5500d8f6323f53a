#pragma once
/* The grammar of the envelope: what stands behind MAIL FROM: and RCPT TO: (RFC 5321 4.1.2), with
 * the UTF-8 of RFC 6531 3.3. Pure. A mistake sticks in the Scan. */
#include "base/scan.h"

enum { /* RFC 5321 4.5.3.1 names the least one must take; real senders (VERP, SRS) need more */
       SMTP_LOCAL_MOST = 255,
       SMTP_DOMAIN_MOST = 255,
};
typedef struct {
    Slice mailbox; /* as written, without brackets and source route; empty: the null reverse-path */
    Slice local;   /* its local part, still quoted if it was */
    Slice domain;  /* as written, with the brackets of an address literal; empty: none */
    bool is_utf8;  /* not all of it is ASCII */
} SmtpPath;

/* Reverse-path = Path / "<>" */
SmtpPath smtp_reverse_path(Scan *s);
/* Forward-path = Path / "<" Local-part ">": who may be written without domain is the caller's to
 * say. */
SmtpPath smtp_forward_path(Scan *s);
/* SP esmtp-keyword ["=" esmtp-value]; false: no more, or a mistake. */
typedef struct {
    Slice name, value; /* value.at NULL: no "=" */
} SmtpParameter;
bool smtp_parameter(Scan *s, SmtpParameter *p);
/* Domain / address-literal, all of the text: the argument of EHLO. */
bool smtp_is_host(Slice text);
/* Lower-case A-labels (RFC 5890) of a domain; an address literal stays as it is. ERR_SYNTAX. */
Err smtp_domain_to_ascii(Arena *a, Slice domain, Slice *ascii) MUST_USE;
