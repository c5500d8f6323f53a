#pragma once
/* Comments and folding white space of structured fields, RFC 5322 3.2.2 with its obsolete forms.
 * What opens and never closes (a comment, a quoted string, a domain literal) opens nothing: its
 * first octet is an ordinary one, and that nothing closes is remembered, so that a field of a
 * million parentheses is looked at once. */
#include "base/base.h"

typedef struct {
    Slice text;
    size_t at;
    bool no_comment_end, no_quote_end, no_literal_end;
    Slice comment; /* inside of the last comment stepped over; .at NULL: none */
} Cursor;

static inline bool cursor_is_done(const Cursor *c)
{
    return c->at >= c->text.len;
}
static inline char
cursor_peek(const Cursor *c) /* 0 at the end; a NUL in the text is nothing special */
{
    return cursor_is_done(c) ? 0 : c->text.at[c->at];
}
bool cursor_cfws(Cursor *c); /* steps over comments and white space; was there any? */
/* At a '"': the raw inside of the quoted string, then behind it. false: no quoted string here. */
bool cursor_quoted(Cursor *c, Slice *inside);
bool cursor_literal(Cursor *c, Slice *whole); /* "[...]" */
/* Adds the inside of a quoted string without its backslashes and line ends. */
void unquote(Buf *out, Slice inside);
