#pragma once
/* i;unicode-casemap, RFC 5051: what SEARCH compares with. ASCII goes a fast way. */
#include "base/base.h"

void casemap(Buf *out, Slice utf8); /* folds; invalid octets are kept as they are */
/* Is the folded needle in the folded haystack? Empty needles are everywhere. */
bool casemap_contains(Slice folded_haystack, Slice folded_needle);
/* Canonical composition (NFC) for mailbox names; ERR_SYNTAX when not valid UTF-8. */
Err nfc(Slice utf8, Buf *out) MUST_USE;
