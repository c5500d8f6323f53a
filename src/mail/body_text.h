#pragma once
/* The text of a message's parts, for SEARCH and for the preview. One part at a time: begin, feed,
 * end. */
#include "mail/decode.h"
#include "mail/part.h"

typedef struct {
    MailFold *fold;      /* NULL: casemap */
    Buf *search;         /* the caller's; NULL: not wanted */
    size_t search_start; /* what stood there before */
    Buf preview;
    bool preview_is_final; /* from text/plain: nothing better comes */
    /* the part that is being read */
    ContentDecoder decoder;
    Buf raw; /* decoded, in the part's charset */
    size_t raw_most;
    Slice charset;
    bool is_html, for_preview;
} BodyText;
void body_text_begin(BodyText *t, const PartHeader *p);
void body_text_feed(BodyText *t, Slice piece);
void body_text_end(BodyText *t);
void body_text_header(BodyText *t, Slice header); /* of a part or an embedded message */
void body_text_line(BodyText *t, Slice utf8);
void body_text_done(BodyText *t);
/* Appends the text folded (NULL: casemap), at most that many octets of it. */
void body_text_fold(Buf *out, Slice utf8, MailFold *fold, size_t most);
static inline bool body_text_wants(const BodyText *t)
{
    return t->raw.len < t->raw_most;
}
