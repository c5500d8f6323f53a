#include "smtp/hops.h"
#include "base/text.h"

#define WORD "received:"
enum { OTHER = 255 };

static void line_ends(Hops *h)
{
    if (!h->started) h->in_body = true; /* the empty line */
    h->matched = 0;
    h->started = false;
}

static void octet(Hops *h, char c)
{
    if (c == '\n') {
        line_ends(h);
        return;
    }
    if (c != '\r') h->started = true;
    if (h->matched == OTHER) return;
    h->matched = ascii_lower(c) == WORD[h->matched] ? h->matched + 1 : OTHER;
    if (h->matched != sizeof WORD - 1) return;
    h->received++;
    h->matched = OTHER;
}

void hops_feed(Hops *h, Slice octets)
{
    while (octets.len && !h->in_body) {
        if (h->matched == OTHER && h->started)
            octets = slice_from(octets, slice_find(octets, '\n'));
        if (!octets.len) return;
        octet(h, octets.at[0]);
        octets = slice_from(octets, 1);
    }
}
