#pragma once
/* Push decoders: content transfer encodings and HTML to text. State in a struct, no I/O, the same
 * result however the input is cut. */
#include "base/base.h"
#include "mail/mail.h"

typedef struct {
    uint8_t encoding; /* PartEncoding */
    uint8_t held_len;
    char held[4];
    uint8_t white_len; /* quoted-printable: white space held back, as it may end the line */
    uint64_t white;    /* which of it are HTABs, the first in the highest of white_len bits */
    bool ended;        /* base64: padding seen */
    bool bad;          /* something did not fit; went on as RFC 2045 6.7, 6.8 advise */
} ContentDecoder;
void content_decode(ContentDecoder *d, Slice piece, Buf *out);
void content_decode_end(ContentDecoder *d, Buf *out);

/* HTML without its tags, scripts, styles and comments; entities decoded; block elements become line
 * ends. UTF-8 in and out. */
typedef struct {
    uint8_t state, skip; /* skip: inside script, style, title */
    uint8_t held_len;
    uint8_t gap; /* white space owed before the next text: 1 SP, 2 line end */
    bool any;    /* there was text already */
    char held[40];
} HtmlText;
void html_text(HtmlText *h, Slice piece, Buf *out);
void html_text_end(HtmlText *h, Buf *out);
