#pragma once
/* A message with UTF-8 in its header, for a client that has not said UTF8 (RFC 6856 2.1): the same
 * message with a header that is ASCII, as RFC 6858 makes it: readable, not reversible. Pure. */
#include "base/base.h"

/* Octets of the header with its empty line; all of `block` when it ends before. */
size_t pop3_header_length(Slice block);
/* `header` is valid UTF-8. Fields that are ASCII stay as they are to the octet. */
void pop3_surrogate_header(Buf *out, Slice header);
