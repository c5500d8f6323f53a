#pragma once
#include "mail/fields.h"
#include "mail/header.h"

/* ENVELOPE, RFC 9051 7.5.2. Scratch memory is taken from the arena. */
void envelope(Buf *out, Arena *a, const Fields *f);
#define EMPTY_ENVELOPE S("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")

/* ---- the same read back: what SORT looks at ---- */
typedef enum {
    ENVELOPE_SUBJECT = 1,
    ENVELOPE_FROM = 2,
    ENVELOPE_TO = 5,
    ENVELOPE_CC = 6
} EnvelopeField;
/* As in the header, unfolded, not decoded. .at NULL: NIL. Borrowed from the envelope or in the
 * arena.
 */
Slice envelope_text(Slice envelope, EnvelopeField field, Arena *a);
/* The first address structure, which may be the beginning of a group (mailbox: its name, host NIL).
 * False: the field is NIL. */
bool envelope_first_address(Slice envelope, EnvelopeField field, Arena *a, MailAddress *first);
