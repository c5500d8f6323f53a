#pragma once
/* Counts the Received: fields of a message as it arrives: one that has passed too many servers goes
 * round in a circle (RFC 5321 6.3). A push decoder; {0} is the beginning. */
#include "base/base.h"

enum {
    HOPS_MOST = 100
}; /* RFC 5321 6.3: "a relatively large rejection threshold, normally at least
      100" */
typedef struct {
    uint32_t received;
    uint8_t matched; /* octets of "received:" seen on this line; 255: it is another line */
    bool started;    /* the line has an octet other than CR */
    bool in_body;
} Hops;
void hops_feed(Hops *h, Slice octets);
