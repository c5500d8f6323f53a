#pragma once
/* Strings and lists as IMAP sends them, RFC 9051 section 9: string, nstring. */
#include "base/base.h"

/* Quoted when 7-bit, else a literal "{n}\r\n...". A NUL, which IMAP cannot carry, becomes "?", a
 * stray line end SP. */
void wire_string(Buf *out, Slice s);
void wire_nstring(Buf *out, Slice s); /* .at NULL: NIL */
/* Steps over one value (a string, a literal, an atom, a parenthesised list) at the front; 0: none
 * is whole. No recursion. */
size_t wire_skip(Slice s);
