#pragma once
/* A message with UTF-8 in its header, for a client that has not said that it takes it (RFC 6855 8,
 * RFC 6856 2.1): the same message with a header that is ASCII, as RFC 6858 makes it: readable, not
 * reversible. Pure. */
#include "base/base.h"

/* Not all ASCII, and UTF-8. What is in no charset that can be told is sent as it is. */
bool mail_header_is_international(Slice header);
/* `header` is valid UTF-8. Fields that are ASCII stay as they are to the octet. */
void mail_surrogate_header(Buf *out, Slice header);
