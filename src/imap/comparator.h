#pragma once
/* Comparators of RFC 4790, the one a session compares text with (RFC 5255 4): SEARCH, SORT and
 * THREAD ask for it here. The zero value is the default, i;unicode-casemap (RFC 5051). */
#include "mail/mail.h"

typedef enum { COMPARE_UNICODE_CASEMAP, COMPARE_ASCII_CASEMAP, COMPARE_OCTET } Collation;
typedef struct {
    uint8_t collation;
    bool descending; /* "-i;octet": RFC 4790 3.3 */
} Comparator;

/* What makes of a text what is compared octet by octet. */
MailFold *comparator_folder(Collation c);

/* RFC 4790 3: collation-order = ["+" / "-"] collation-wild, or "default". False: not of that form.
 */
bool comparator_pattern_is_valid(Slice pattern);
/* Those that fit, the most useful first; their number, at most COMPARATORS. */
enum { COMPARATORS = 3 };
size_t comparator_match(Slice pattern, Comparator found[COMPARATORS]);
Slice comparator_name(Comparator c); /* without the direction */
