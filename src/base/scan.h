#pragma once
/* A cursor over text whose first mistake sticks: it remembers the first byte that did not fit and
 * stays put. Write the happy path, ask once with scan_end. Grammar words are those of RFC 5234. */
#include "base/base.h"

typedef struct {
    const char *at, *end, *start;
    const char *mistake; /* the first byte that did not fit; NULL: none so far */
} Scan;

Scan scan(Slice text);
static inline bool scan_is_ok(const Scan *s)
{
    return !s->mistake;
}
static inline bool scan_is_done(const Scan *s)
{
    return s->mistake || s->at == s->end;
}
static inline int scan_peek(const Scan *s)
{
    return scan_is_done(s) ? -1 : (unsigned char)*s->at;
}
bool scan_see(Scan *s, char c);          /* is c next? then step over it */
bool scan_see_word(Scan *s, Slice word); /* is this next, ignoring ASCII case? then step over it */
void scan_need(Scan *s, char c);         /* c has to be next */
void scan_need_word(Scan *s, Slice word);
uint32_t scan_number(Scan *s);                            /* 1*DIGIT, fits 32 bits */
uint64_t scan_number64(Scan *s);                          /* 1*DIGIT, fits 63 bits */
Slice scan_while(Scan *s, bool (*fits)(unsigned char c)); /* may be empty */
Slice scan_until(Scan *s, char c);                        /* up to c or the end; c is not taken */
Slice scan_rest(Scan *s);
void scan_fail(Scan *s); /* a mistake here */
Err scan_end(
    const Scan *s) MUST_USE; /* ERR_SYNTAX with the place, also when something is left over */
