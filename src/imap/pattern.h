#pragma once
/* LIST patterns, RFC 9051 6.3.9: "*" is anything, "%" anything but the hierarchy separator. */
#include "base/base.h"

enum { IMAP_PATTERN_MOST = 1024 }; /* octets; a longer one matches nothing */
/* INBOX at the first level matches in any case. */
bool imap_pattern_matches(Slice pattern, Slice name);
