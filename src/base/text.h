#pragma once
/* Small codecs and text helpers that several rooms need. Strict unless a name says otherwise. */
#include "base/base.h"

bool is_digit(unsigned char c);
bool is_alpha(unsigned char c);
bool is_alnum(unsigned char c);
char ascii_lower(char c);
char ascii_upper(char c);
bool text_is_ascii(Slice s);
bool text_has_ctl(Slice s); /* any octet below SP, or DEL */

/* UTF-8, RFC 3629: no over-long forms, no surrogates, nothing above U+10FFFF. */
bool utf8_is_valid(Slice s);
size_t utf8_decode_any(Slice s, uint32_t *codepoint);
/* Octets used; 0: not valid or empty. Most letters that are not ASCII are two octets. */
static inline size_t utf8_decode(Slice s, uint32_t *codepoint)
{
    if (s.len < 2) return utf8_decode_any(s, codepoint);
    unsigned first = (unsigned char)s.at[0], second = (unsigned char)s.at[1];
    if (first < 0xc2 || first > 0xdf || (second & 0xc0) != 0x80)
        return utf8_decode_any(s, codepoint);
    *codepoint = (first & 0x1f) << 6 | (second & 0x3f);
    return 2;
}
void utf8_encode(Buf *out, uint32_t codepoint);
size_t utf8_cut(Slice s,
                size_t most); /* the longest whole-character prefix of at most this many octets */

/* Base64, RFC 4648 section 4. */
void base64_encode(Buf *out, Slice bytes);
bool base64_decode(Buf *out,
                   Slice text) MUST_USE; /* strict: padding needed, nothing else allowed */
void hex_encode(Buf *out, Slice bytes);  /* lower case */
bool hex_decode(Buf *out, Slice text) MUST_USE;

uint32_t crc32c(uint32_t seed,
                Slice bytes); /* Castagnoli; seed 0 to begin, the previous result to go on */
bool bytes_equal_in_constant_time(Slice a, Slice b); /* length is not secret */
void wipe(void *secret, size_t len);                 /* not optimised away */
void buf_wipe(Buf *b);                               /* and given back: buf_done of a secret */
#define secret_scoped __attribute__((cleanup(buf_wipe)))

/* Proleptic Gregorian calendar; no locale, no time zone database. */
int64_t days_from_civil(int year, unsigned month, unsigned day); /* since 1970-01-01 */
void civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day);
int weekday_from_days(int64_t days);   /* 0 is Sunday */
extern const char month_names[12][4];  /* "Jan" ... as RFC 5322 3.3 spells them */
extern const char weekday_names[7][4]; /* "Sun" ... */
/* RFC 5322 3.3 date-time in UTC: "Sat, 22 Nov 2026 08:00:00 +0000". */
void date_rfc5322(Buf *out, int64_t unix_seconds);
