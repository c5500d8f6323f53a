#pragma once
/* What a MIME header says of its part, RFC 2045 and 2183, and how BODYSTRUCTURE says it. */
#include "mail/fields.h"
#include "mail/header.h"
#include "mail/mail.h"

typedef struct {
    PartKind kind;
    PartEncoding encoding;
    Slice type, subtype;          /* as written */
    Slice transfer_encoding;      /* as written */
    Slice charset, boundary;      /* boundary.len 0: none that can be used */
    MailParameterised parameters; /* of Content-Type, as written */
    MailParameterised disposition;
    Slice file_name; /* decoded, when RFC 2231 encodes it; empty otherwise */
    bool is_html, is_plain, is_digest, is_attachment;
    bool needs_charset; /* a text without one: "us-ascii" is said for it */
} PartHeader;

/* in_digest: RFC 2046 5.1.5, the default type is message/rfc822. Slices in the arena or borrowed
 * from f. */
void part_header_read(Arena *a, const Fields *f, bool in_digest, PartHeader *p);
/* What we do not look into: application/octet-stream without parameters. */
void part_header_opaque(PartHeader *p);
/* What the part is called, decoded however it is written (RFC 2231, or RFC 2047 against the rules).
 * Empty: it has no name. */
Slice part_file_name(Arena *a, const Fields *f, const PartHeader *p);
/* "type" "subtype" (parameters) id description "encoding"; of a multipart: "subtype" (parameters).
 */
void part_front(Buf *out, Arena *a, const Fields *f, const PartHeader *p);
/* md5 disposition language location; of a multipart without md5. */
void part_back(Buf *out, Arena *a, const Fields *f, const PartHeader *p);
