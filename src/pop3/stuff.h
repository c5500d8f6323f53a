#pragma once
/* Multi-line responses (RFC 1939 3): lines that begin with "." get a second one. Push encoders: no
 * I/O, the same result however the input is cut. */
#include "base/base.h"

typedef struct {
    bool mid_line; /* {0}: at the start of a line */
} Stuffer;
/* `len` octets have been written behind out->len, into memory from buf_reserve: makes them part of
 * out, dots doubled. In place, and without a copy when no line begins with a dot. */
void stuff_written(Stuffer *st, Buf *out, size_t len);
void stuff(Stuffer *st, Buf *out, Slice octets);
void stuff_end(Stuffer *st, Buf *out); /* a line end if it is missing, then the line of one dot */

/* TOP's cut: the header, the empty line and `lines` lines of the body. */
typedef struct {
    uint64_t lines; /* of the body, still to come */
    bool in_body, has_text, done;
} TopCut;
size_t top_cut(TopCut *t, Slice octets); /* how many of these belong to it */
