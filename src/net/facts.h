#pragma once
/* Internal to net/: what a front knows of a connection's TLS, for a service in the house that
 * authenticates: each fact is its kind (an octet), its length (u16) and its octets. */
#include "net/stream.h"

enum { /* the bindings, then the names, by their own numbers */
       FACT_NAME = 8,
       FACTS_MOST = 8 * 1024,
};

void facts_put(Stream *s, Buf *out);
/* The next of that kind behind *cursor (which begins as all the facts); false: no more. */
bool facts_next(Slice *cursor, unsigned kind, Slice *fact);
