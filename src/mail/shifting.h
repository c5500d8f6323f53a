#pragma once
/* Charsets read without iconv: those that shift between code tables by escapes, and the wide ones.
 * Each is total: what does not fit becomes U+FFFD. */
#include "base/base.h"

/* RFC 1843 HZ to GB18030 and RFC 1468 ISO-2022-JP (with JIS X 0201 kana and JIS X 0212, as
 * Microsoft's mailers send) to EUC-JP: the same characters in octets an ordinary table reads. */
void hz_to_gb(Slice text, Buf *out);
void iso2022jp_to_euc(Slice text, Buf *out);
/* To UTF-8. */
void utf16_to_utf8(Slice text, bool little, Buf *out);
void utf32_to_utf8(Slice text, bool little, Buf *out);
void utf7_to_utf8(Slice text, char shift,
                  Buf *out); /* '+': RFC 2152; '&': mailbox names sent as text */
void utf8_repair(Slice text, Buf *out);
void windows1252_to_utf8(Slice text, Buf *out);

enum { REPLACEMENT = 0xfffd };
