#pragma once
/* What a literal8 may bring (RFC 3516 4.4): a message whose parts of Content-Transfer-Encoding
 * "binary" hold any octets, NUL and bare CR and LF among them. Such parts become base64 here, their
 * header says so, and the multipart and embedded messages around them become "8bit" (RFC 2045 6.4:
 * they have no encoding of their own); everything else stays as it is. A push filter: no I/O, the
 * same result however the input is cut. */
#include "base/base.h"

typedef struct BinaryFilter BinaryFilter;
BinaryFilter *binary_filter_new(void);
void binary_filter_free(BinaryFilter *f);
SCOPED(BinaryFilter, binary_filter, binary_filter_free)
void binary_filter_feed(BinaryFilter *f, Slice piece, Buf *out);
void binary_filter_end(BinaryFilter *f, Buf *out);
/* A NUL stood where no part of encoding "binary" was: no transfer encoding can be put there. */
bool binary_filter_met_nul(const BinaryFilter *f);
