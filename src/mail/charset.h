#pragma once
/* Charsets by iconv behind an allow-list (specs: a sender's string never reaches iconv). Names are
 * mapped through our alias table; HZ and both UTF-7s are ours. */
#include "base/base.h"

typedef struct Charset Charset; /* a row of the table; never freed */
const Charset *charset_find(
    Slice name); /* NULL: not on the list. RFC 2978 names, case ignored, common misspellings */
Slice charset_name(const Charset *c); /* the preferred MIME name */
/* Appends the text as UTF-8; what is invalid becomes U+FFFD. Never fails; NULL charset:
 * windows-1252 unless valid UTF-8. */
void charset_to_utf8(const Charset *c, Slice text, Buf *out);
/* Whether that would be the text as it is. */
bool charset_is_utf8(const Charset *c, Slice text);
/* The other way, for the charsets that are written at all: UTF-8, US-ASCII and those that do not
 * shift. Characters that it does not have become `replacement` (UTF-8); false: there is none, or it
 * does not have that either. What was written so far stays in out. */
bool charset_can_write(const Charset *c);
bool charset_from_utf8(const Charset *c, Slice utf8, Slice replacement, Buf *out) MUST_USE;
/* Opens every converter once, so that a sandbox may close later. */
void charset_warm_up(void);

/* Modified UTF-7 of mailbox names, RFC 3501 5.1.3: strict both ways. */
Err utf7_decode(Slice modified_utf7, Buf *utf8) MUST_USE;
void utf7_encode(Slice utf8, Buf *modified_utf7);
