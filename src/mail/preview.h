#pragma once
#include "base/base.h"

/* RFC 8970 section 2: the first words a reader would read, one line, at most MAIL_PREVIEW_MOST
 * characters. Empty when there is nothing to read. */
void preview_of_text(Buf *out, Slice utf8);
