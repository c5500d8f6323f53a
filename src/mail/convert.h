#pragma once
/* What CONVERT (RFC 5259) makes of texts and headers. Pure: UTF-8 in, octets of a charset out. */
#include "mail/charset.h"

/* A text/plain as text/html: what HTML would take for its own is escaped, lines stay as they are.
 */
void convert_to_html(Slice utf8, Slice charset_name, Buf *out);
/* Every bare LF becomes CRLF. */
void convert_line_ends(Slice text, Buf *out);
/* RFC 5259 6: encoded words of a header block are decoded and encoded again in charset c; what
 * cannot be decoded stays as it is. False: c does not have some character, and there is no
 * replacement. */
bool convert_header(Slice header, const Charset *c, Slice replacement, Buf *out) MUST_USE;
