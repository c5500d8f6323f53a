#pragma once
/* What single octets are, for this room's parsers. */
#include "base/text.h"

static inline bool is_white(char c) /* WSP, RFC 5234 */
{
    return c == ' ' || c == '\t';
}

static inline bool is_folding_white(char c)
{
    return is_white(c) || c == '\r' || c == '\n';
}

static inline int hex_value(char c) /* -1: none */
{
    if (is_digit((unsigned char)c)) return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
