#pragma once
/* A message on its way in: what APPEND and REPLACE have in common. RFC 4466 6: append-message =
 * append-opts SP append-data; the data is a literal, a literal8 (RFC 3516 4.4), "UTF8" with one
 * (RFC 6855 4), or "CATENATE" with parts (RFC 4469). */
#include "imap/fetch.h"
#include "imap/url.h"

/* Where it goes. The mailbox is opened when the first octets are announced, so that everything that
 * can be refused is refused before they come. The session is at its home from then on. */
typedef struct {
    Imap *s;
    Slice name;
    Mailbox *box;
    uint32_t acct;  /* whose it is */
    bool replaces;  /* a message, whose octets go at the same time */
    uint64_t frees; /* octets of that one */
    Slice bad_url;  /* of CATENATE: the first that could not be read */
    bool annotates; /* a message does: what is too big or too many may be that */
} Target;
void target_close(Target *t);
/* What to say to the client when something failed; after target_close. Returns err if there is
 * nothing special about it. */
PARKS Err target_answer(Target *t, Err err);
/* "[APPENDUID validity first:last] ", empty when the mailbox may not be read (RFC 9051 6.3.12). */
Slice target_append_uid(const Target *t, uint32_t first, uint32_t last);

typedef struct {
    ImapFlags flags;
    int64_t date;            /* 0: not given */
    Annotations annotations; /* RFC 5257 4.7 */
    Draft *draft;
} Incoming;
/* Reads one append-message, from the SP in front of it. The caller frees the draft, also after a
 * failure. */
PARKS Err incoming_read(Target *t, Incoming *m) MUST_USE;
DraftPlace incoming_place(const Incoming *m); /* borrowed from m */

/* ---- catenate.c ---- */
/* cat-part *(SP cat-part) ")" */
PARKS Err incoming_catenate(Target *t, Incoming *m) MUST_USE;
/* ---- incoming.c, for catenate.c ---- */
/* Opens the mailbox if it is not yet, and asks whether `more` octets would be too many. */
PARKS Err target_ready(Target *t, const Incoming *m, uint64_t more) MUST_USE;
/* A literal of this size that was announced: asks for it and writes it to the draft. */
PARKS Err incoming_literal(Target *t, Incoming *m, const ImapLiteral *l) MUST_USE;

/* ---- url_part.c: the octets that a URL means ---- */
typedef struct {
    Mailbox *box;
    Message message;
    SectionOctets octets; /* the partial applied */
} UrlPart;
/* Of a mailbox that was opened for it, with the right to read. ERR_NOT_FOUND: UIDVALIDITY, UID or
 * section are not there. */
PARKS Err url_part_find(Mailbox *box, const ImapUrl *u, Arena *a, UrlPart *out) MUST_USE;
/* The next of them, at most `most`: in the arena or the buffer. */
PARKS Err url_part_read(UrlPart *p, Buf *buf, Slice *some) MUST_USE;
