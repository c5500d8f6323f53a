#pragma once
#include "mail/fields.h"

/* ENVELOPE, RFC 9051 7.5.2. Scratch memory is taken from the arena. */
void envelope(Buf *out, Arena *a, const Fields *f);
#define EMPTY_ENVELOPE S("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")
