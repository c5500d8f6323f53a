#pragma once
/* Header fields and their values: RFC 5322 with its obsolete forms, RFC 2047, RFC 2231, RFC 6532.
 * Never fails: what does not parse is given as well as it can be. */
#include "base/base.h"

/* Walks the fields of a header block (with or without the empty line). `whole` includes the line
 * end and folded lines; value is raw, still folded, without the leading SP and the last line end. A
 * line that is no field is a field with an empty name. Start with {0}. */
typedef struct {
    Slice name, value, whole;
    size_t next;
} HeaderField;
bool header_next(Slice header, HeaderField *f);
bool header_find(Slice header, Slice name,
                 HeaderField *f);          /* the next one of that name after f->next */
void header_unfold(Buf *out, Slice value); /* removes CRLF before white space */
/* Unfolded, RFC 2047 encoded words decoded wherever they stand (adjacent ones joined before charset
 * decoding), raw 8-bit octets taken as UTF-8 if valid, else as windows-1252; control characters
 * become SP. */
void header_decode(Buf *out, Slice value);
/* The same for those who sort (RFC 5255 4.6 (c)): false when some encoded word is in a charset we
 * do not know, or holds what its charset does not allow; then out gets the octets of the words as
 * they are. */
bool header_decode_exactly(Buf *out, Slice value);
bool header_charsets_are_known(Slice unfolded); /* of all its encoded words */

/* What SEARCH looks at: the field decoded, and where comments, quoted pairs or white space make
 * them read differently, its addresses once more as the envelope has them, each behind '\n'. */
void header_search_text(Buf *out, Slice name, Slice value);

/* RFC 5322 3.4. One row per mailbox; groups as RFC 9051 7.5.2 wants them: a row with host NIL
 * (group_start, its name in `mailbox`) opens, one with nothing at all (group_end) closes. Slices in
 * the arena: comments and quoting removed, encoded words kept as they are. */
typedef struct {
    Slice name, route, mailbox, host; /* name and route: .at NULL when missing */
    bool group_start, group_end;
} MailAddress;
size_t header_addresses(Arena *a, Slice value, MailAddress **list);

/* RFC 5322 3.3 and 4.3 date-time, and what mailers make of it. */
Err header_date(Slice value, int64_t *unix_seconds, int16_t *zone_minutes) MUST_USE;

/* RFC 2045 5.1 parameterised value: "text/plain; charset=x". Parameters with RFC 2231 continuations
 * and charsets joined and decoded to UTF-8 when `decode`; names lower case. */
typedef struct {
    Slice name, value;
} MailParameter;
typedef struct {
    Slice value; /* "text/plain", "attachment": raw case */
    MailParameter *parameters;
    size_t count;
} MailParameterised;
void header_parameterised(Arena *a, Slice value, bool decode, MailParameterised *out);
/* For parameters as written: RFC 2231 continuations "name*0", "name*1" become one "name", or
 * "name*" with charset'language' in front and its percent-encoding kept when some piece has that.
 */
void header_join_pieces(Arena *a, MailParameterised *p);
Slice header_parameter(const MailParameterised *p, Slice name); /* .at NULL: none */
/* Every "<...@...>" in a References or In-Reply-To value, in order. */
size_t header_message_ids(Arena *a, Slice value, Slice **ids);
/* RFC 5256 2.1: of a decoded subject. *is_reply when something was removed that marks a reply or
 * forward. */
Slice header_base_subject(Arena *a, Slice subject, bool *is_reply);
