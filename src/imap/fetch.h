#pragma once
/* FETCH, RFC 9051 6.4.5: what was asked for (fetch_parse.c), which octets that is (section.c), and
 * sending it (fetch.c). */
#include "imap/session.h"
#include "mail/mail.h"

typedef enum {
    ITEM_UID,
    ITEM_FLAGS,
    ITEM_MODSEQ,
    ITEM_INTERNALDATE,
    ITEM_SIZE,
    ITEM_ENVELOPE,
    ITEM_BODY,
    ITEM_BODYSTRUCTURE,
    ITEM_SECTION, /* BODY[...], RFC822, RFC822.HEADER, RFC822.TEXT */
    ITEM_BINARY,
    ITEM_BINARY_SIZE,
} ItemType;

typedef enum { /* section-msgtext / "MIME" */
               SECTION_WHOLE,
               SECTION_HEADER,
               SECTION_FIELDS,
               SECTION_FIELDS_NOT,
               SECTION_TEXT,
               SECTION_MIME,
} SectionText;

typedef struct {
    const uint32_t *path; /* section-part */
    size_t depth;
    SectionText text;
    const Slice *fields;
    size_t field_count;
} Section;

typedef struct {
    ItemType type;
    Section section;
    bool partial;
    uint64_t offset, most; /* partial: "<" offset "." most ">" */
    Slice name; /* what the response calls it: BODY[1.HEADER], RFC822.TEXT ... without "<origin>" */
} FetchItem;

typedef struct {
    ImapSet set;
    FetchItem *items;
    size_t count;
    bool sets_seen; /* some item without PEEK */
    bool wants_flags;
    bool changed_since, vanished;
    uint64_t modseq; /* CHANGEDSINCE, RFC 7162 3.1.4.1 */
} Fetch;
PARKS Err fetch_parse(Imap *s, Fetch *f) MUST_USE;

/* The octets a section means. `decoded`: made up in the arena (HEADER.FIELDS); otherwise octets
 * at..at+len of the message. ERR_NOT_FOUND: no such part; the answer is NIL. */
typedef struct {
    uint64_t at, len;
    Slice made;
    bool is_made;
} SectionOctets;
PARKS Err section_find(Imap *s, const Message *m, const Section *section, Arena *a,
                       SectionOctets *out) MUST_USE;
/* The leaf part of a BINARY item and its encoding. ERR_UNKNOWN_CTE, ERR_SYNTAX (not a leaf),
 * ERR_NOT_FOUND. */
PARKS Err section_binary(Imap *s, const Message *m, const Section *section, Arena *a,
                         MailPart *part) MUST_USE;
