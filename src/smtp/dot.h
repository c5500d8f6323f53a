#pragma once
/* The text of DATA: takes the transparency of RFC 5321 4.5.2 off and finds its end. A push decoder:
 * no I/O, nothing copied, the same result however the input is cut.
 *
 * Only <CRLF>.<CRLF> ends the text (RFC 5321 2.3.8: no other sequence is a line
 * terminator; 4.1.1.4: lines ending only in <LF> "MUST NOT" be accepted as such), so nobody can
 * hide a second message in a first one by line ends that one server takes for an end and the other
 * does not. A bare CR or LF is an octet of text like any other; what happens to it is the draft's
 * business (store.h: it becomes CRLF, after the end has been decided). But who sends bare LFs has
 * doubled dots behind them too, as a rule, so two there become one. */
#include "base/base.h"

typedef enum {
    DOT_LINE_START, /* behind CRLF */
    DOT_TEXT,
    DOT_CR,
    DOT_LF,     /* behind a bare LF */
    DOT_LF_DOT, /* and a dot, held back */
    DOT_DOT,    /* a dot that begins a line, taken off */
    DOT_DOT_CR, /* and a CR, held back */
    DOT_ENDED
} DotState;
typedef struct {
    DotState state; /* {0}: before the first line, which counts as behind a CRLF */
} DotDecoder;

/* Takes octets off `in` and returns those of the text, borrowed from there (or static). Call until
 * it returns nothing: then `in` is empty, or the text has ended and `in` is what follows. */
Slice dot_decode(DotDecoder *d, Slice *in);
static inline bool dot_has_ended(const DotDecoder *d)
{
    return d->state == DOT_ENDED;
}
