#pragma once
/* SEARCH, RFC 9051 6.4.4: the program (search_parse.c), asking it of many messages at once
 * (search_run.c), the answer (search.c). */
#include "imap/session.h"

typedef enum {
    KEY_ALL,
    KEY_AND,     /* children */
    KEY_OR,      /* two children or more */
    KEY_NOT,     /* one child */
    KEY_FLAG,    /* flags: all of them set */
    KEY_KEYWORD, /* text: its name */
    KEY_RECENT,
    KEY_SET,    /* set, of_uids; uids once search_run has looked them up */
    KEY_BEFORE, /* number: days since 1970; INTERNALDATE, without time and zone */
    KEY_ON,
    KEY_SINCE,
    KEY_SENT_BEFORE, /* the Date: field's date, in its own zone */
    KEY_SENT_ON,
    KEY_SENT_SINCE,
    KEY_LARGER, /* number: octets */
    KEY_SMALLER,
    KEY_MODSEQ, /* number */
    KEY_FROM,   /* text: casemapped */
    KEY_TO,
    KEY_CC,
    KEY_BCC,
    KEY_SUBJECT,
    KEY_HEADER, /* field, text */
    KEY_BODY,   /* text */
    KEY_TEXT,
} KeyType;

typedef struct SearchKey {
    KeyType type;
    uint8_t flags;
    uint64_t number;
    Slice text, field;
    ImapSet set;
    bool of_uids;
    UidSet uids;
    int cost; /* to ask: 1 of the slot, 2 of the summary, 3 the header, 4 the text */
    struct SearchKey *child, *next; /* by rising cost */
} SearchKey;

enum { RETURN_MIN = 1, RETURN_MAX = 2, RETURN_ALL = 4, RETURN_COUNT = 8, RETURN_SAVE = 16 };
typedef struct {
    SearchKey *key;
    unsigned wants; /* RETURN_...; 0 with extended: () */
    bool extended;  /* RETURN was there */
    bool uses_modseq;
    Slice bad_charset; /* ERR_CHARSET */
} Search;
PARKS Err search_parse(Imap *s, Search *search) MUST_USE;
/* The same in pieces, for SORT and THREAD: ["RETURN (" ... ")" SP], and charset 1*(SP search-key).
 */
void search_parse_return(Imap *s, Search *search);
PARKS Err search_parse_criteria(Imap *s, Search *search) MUST_USE;
/* The tagged NO for ERR_CHARSET. */
PARKS Err search_bad_charset(Imap *s);

/* Which messages of the view fit: their UIDs, ascending, and the highest of their mod-sequences. */
PARKS Err search_run(Imap *s, SearchKey *key, UidSet *uids, uint64_t *modseq) MUST_USE;
