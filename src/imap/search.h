#pragma once
/* SEARCH, RFC 9051 6.4.4: the program (search_parse.c, search_key.c), RETURN (search_return.c),
 * asking it of many messages at once (search_run.c), the answer (search.c). */
#include "imap/session.h"

typedef enum {
#define KEY(name, asked_of) KEY_##name,
#include "imap/search_key.def"
#undef KEY
} KeyType;
typedef struct Fetch Fetch;
typedef enum {
    ASK_PROGRAM,
    ASK_SLOT,
    ASK_NOTE,
    ASK_EMAIL,
    ASK_SUMMARY,
    ASK_HEADER,
    ASK_TEXT
} AskedOf;

AskedOf search_asked_of(KeyType type);

typedef struct SearchKey {
    KeyType type;
    uint8_t flags;
    uint64_t number;
    Slice text, field;
    ImapSet set;
    bool of_uids, frozen; /* frozen: uids stay what they are (context.c) */
    UidSet uids;
    AskedOf cost;                   /* of the dearest below */
    struct SearchKey *child, *next; /* by rising cost */
} SearchKey;

enum {
    RETURN_MIN = 1,
    RETURN_MAX = 2,
    RETURN_ALL = 4,
    RETURN_COUNT = 8,
    RETURN_SAVE = 16,
    RETURN_PARTIAL = 32, /* RFC 9394 */
    RETURN_CONTEXT = 64, /* RFC 5267: a hint that we need not take */
    RETURN_UPDATE = 128,
    RETURN_RELEVANCY = 256, /* RFC 6203 */
    RETURN_TOLD =
        RETURN_RELEVANCY | RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT | RETURN_PARTIAL,
};
/* RFC 9394 3.1: "PARTIAL 1:500", "PARTIAL -1:-100". */
typedef struct {
    bool from_end;
    uint32_t first, last; /* first <= last */
    Slice range;          /* as it is told: the lower number first */
} SearchPartial;
typedef struct {
    SearchKey *key;
    unsigned wants; /* RETURN_...; 0 with extended: () */
    SearchPartial partial;
    bool extended; /* RETURN was there */
    bool uses_modseq, is_fuzzy;
    uint8_t algorithm;      /* ThreadAlgorithm that RETURN (THREAD=...) names */
    uint64_t modseq_before; /* of the mailbox, before the search was run */
    Slice bad_charset;      /* ERR_CHARSET */
    Slice undefined_filter; /* ERR_NOT_FOUND; RFC 5466 3.1 */
    bool bad_filter_charset;
    Fetch *update; /* RFC 5465 7: UPDATE (fetch-att ...); NULL: none */
} Search;
/* SP ["RETURN (" ... ")" SP] program, to the end of the line. */
PARKS Err search_parse(Imap *s, Search *search) MUST_USE;
/* The same in pieces, for ESEARCH, SORT and THREAD: ["RETURN (" ... ")" SP], ["CHARSET" SP charset
 * SP] 1*(SP search-key), and charset 1*(SP search-key). */
PARKS void search_parse_return(Imap *s, Search *search);
PARKS Err search_parse_program(Imap *s, Search *search) MUST_USE;
PARKS Err search_parse_criteria(Imap *s, Search *search) MUST_USE;
/* May a filter have this value? (RFC 5466 3.2) */
PARKS bool search_is_program(Imap *s, Slice value);
/* The tagged NO for ERR_CHARSET. */
PARKS Err search_bad_charset(Imap *s);

/* "PARTIAL" SP range: the range. */
SearchPartial search_partial_range(In *in);
/* Of n results, the first and last index (from 1) that are in the range. False: none. */
bool search_partial_of(const SearchPartial *p, uint64_t n, uint64_t *first, uint64_t *last);
/* The members of the set whose places in it, counted from 1, are first to last. */
UidSet search_places(Arena *a, const UidSet *uids, uint64_t first, uint64_t last);

typedef struct {
    UidSet uids;     /* ascending; in s->arena */
    uint64_t modseq; /* the highest of them */
    /* With FUZZY, RFC 6203 4: the uids again, and how well each of them fits, 1 to 100. */
    uint32_t *scored;
    uint8_t *scores;
    size_t scored_count;
} SearchFound;
/* 0: not found, or nothing was fuzzy. */
unsigned search_score(const SearchFound *found, uint32_t uid);
/* Which messages of the view fit; among: only these are asked, NULL: all. */
PARKS Err search_run(Imap *s, View *view, const UidSet *among, SearchKey *key,
                     SearchFound *found) MUST_USE;

/* Keys about threads (search_thread.c) become sets of this view. */
PARKS Err search_look_up_threads(Imap *s, View *view, SearchKey *key) MUST_USE;
bool search_asks_threads(const SearchKey *key); /* does any key below? */

/* The same of all, or of as many as it takes for what is to be told (search_few.c). */
PARKS Err search_enough(Imap *s, View *view, const Search *search, SearchFound *found) MUST_USE;
/* A label as KEY_LABEL compares it. */
Slice search_label(Arena *a, Slice name);

/* ---- answers (search_tell.c) ---- */
typedef struct {
    SearchFound found;
    const uint32_t *sorted; /* SORT: the same in its order; NULL: mailbox order */
    uint64_t count;
    uint32_t min, max; /* the first and the last in that order */
    bool has_part;
    uint64_t part_first, part_last; /* PARTIAL: places in that order, from 1 */
} SearchResult;
void search_result(const Search *search, const SearchFound *found, const uint32_t *sorted,
                   SearchResult *r);
/* "* ESEARCH (TAG "a1") UID COUNT 5 ALL 4:19"; correlated: with MAILBOX and UIDVALIDITY (RFC 7377).
 * Nothing if nothing is to be told. */
PARKS void search_tell(Imap *s, View *view, bool correlated, const Search *search,
                       const SearchResult *r);
void search_save(Imap *s, const Search *search, const SearchResult *r);
/* The answer to a SEARCH that failed, or its err. */
PARKS Err search_failed(Imap *s, const Search *search, Err err);
/* "* ESEARCH (TAG "a1") UID"; box may be NULL. */
void search_put_correlator(Imap *s, Slice tag, const Mailbox *box);
void search_put_set(Imap *s, View *view, const UidSet *uids, Buf *out); /* numbers, or UIDs */

/* ---- RFC 9738 (limit.c) ---- */
/* The messages that may be searched: the newest of those that the program's own sets leave. NULL:
 * all. */
const UidSet *imap_search_scope(Imap *s, const SearchKey *key);
/* For SORT and THREAD, which do all or nothing. ERR_LIMIT, with the code in the story. */
Err imap_within_limit(Imap *s, const SearchKey *key) MUST_USE;
