#pragma once
/* Push decoders: content transfer encodings and HTML to text. State in a struct, no I/O, the same result however the input is
 * cut. */
#include "base/base.h"
#include "mail/mail.h"

typedef struct {
    uint8_t encoding; /* PartEncoding */
    uint8_t held_len;
    char held[4];
    uint64_t white;   /* quoted-printable: trailing white space held back */
    bool ended;       /* base64: padding seen */
    bool bad;         /* something did not fit; went on as RFC 2045 6.7, 6.8 advise */
} ContentDecoder;
void content_decode(ContentDecoder *d, Slice piece, Buf *out);
void content_decode_end(ContentDecoder *d, Buf *out);

/* HTML without its tags, scripts, styles and comments; entities decoded; block elements become line ends. UTF-8 in and out. */
typedef struct {
    uint8_t state, skip; /* skip: inside script, style, title */
    uint8_t held_len;
    char held[40];
    bool space;
} HtmlText;
void html_text(HtmlText *h, Slice piece, Buf *out);
void html_text_end(HtmlText *h, Buf *out);
