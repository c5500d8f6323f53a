#pragma once
/* SASLprep, RFC 4013: how logins and passwords are prepared before they are compared. */
#include "base/base.h"

/* ERR_SYNTAX: prohibited characters (2.3), wrong direction (2.4), or not UTF-8. */
Err saslprep(Slice given, Buf *out) MUST_USE;
