#pragma once
/* Internal to net/: what has come in and was not taken yet, and how lines are found in it. Pure, so
 * that it can be fuzzed without a socket. */
#include "net/stream.h"

typedef struct {
    Buf bytes;
    size_t start; /* octets before it are taken; a line given out may still lie there */
} Inbox;

static inline Slice inbox_waiting(const Inbox *in)
{
    return slice_from(buf_slice(&in->bytes), in->start);
}
Slice inbox_take(Inbox *in, size_t most);
/* Room for this many more octets behind the waiting ones; what was given out is gone. */
char *inbox_reserve(Inbox *in, size_t octets);
void inbox_prepend(Inbox *in, Slice octets); /* before what waits; what was given out is gone */
void inbox_done(Inbox *in);

/* The search for one line, kept while more of it comes in; {0} to begin. */
typedef struct {
    size_t seen; /* waiting octets known to hold no LF */
    bool too_long;
} LineSearch;
/* LINE_NONE: more has to come in. */
LineEnd inbox_line(Inbox *in, LineSearch *search, size_t most, Slice *line);
