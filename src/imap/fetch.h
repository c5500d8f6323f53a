#pragma once
/* FETCH, RFC 9051 6.4.5: what was asked for (fetch_parse.c), which octets that is (section.c), and
 * sending it (fetch.c). */
#include "imap/search.h"
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
    ITEM_PREVIEW, /* RFC 8970 */
    ITEM_SECTION, /* BODY[...], RFC822, RFC822.HEADER, RFC822.TEXT */
    ITEM_BINARY,
    ITEM_BINARY_SIZE,
    ITEM_EMAILID, /* RFC 8474 */
    ITEM_THREADID,
    ITEM_SAVEDATE,   /* RFC 8514 */
    ITEM_ANNOTATION, /* RFC 5257 */
    ITEM_GM_MSGID,   /* X-GM-EXT-1, gmail.h */
    ITEM_GM_THRID,
    ITEM_GM_LABELS,
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

typedef struct AnnotateItem AnnotateItem; /* annotate.h */
typedef struct {
    ItemType type;
    Section section;
    const AnnotateItem *annotation;
    bool partial;
    uint64_t offset, most; /* partial: "<" offset "." most ">" */
    Slice name; /* what the response calls it: BODY[1.HEADER], RFC822.TEXT ... without "<origin>" */
} FetchItem;

struct Fetch {
    ImapSet set;
    FetchItem *items;
    size_t count;
    unsigned has;   /* a bit for each ItemType that is among them */
    bool sets_seen; /* some item without PEEK */
    bool changed_since, vanished, has_partial;
    SearchPartial partial; /* RFC 9394 3.3 */
    uint64_t modseq;       /* CHANGEDSINCE, RFC 7162 3.1.4.1 */
};
static inline bool fetch_has(const Fetch *f, ItemType type)
{
    return f->has >> type & 1;
}
PARKS Err fetch_parse(Imap *s, Fetch *f) MUST_USE;

/* A FETCH under way. */
typedef struct {
    Imap *s;
    const Fetch *fetch;
    Message m;
    uint32_t number;
    uint32_t last_uid, last_number; /* of the message before in the view; 0: none */
    bool gone;                      /* expunged by somebody, not told yet */
    bool seen_now;                  /* this FETCH has set \Seen: tell what RFC 7162 3.2.4 wants */
    size_t told;                    /* messages */
    bool has_summary;               /* of this message, and nothing has waited since */
    MailSummary summary;
    Arena arena;       /* of one message */
    UidSet downgraded; /* told as surrogates; in the command's arena */
    Err trouble;       /* the first message that could not be read, or BINARY refused */
} Fetching;

/* ---- items without a FETCH: NOTIFY's and CONTEXT's ---- */
/* "(" fetch-att *(SP fetch-att) ")" into f->items, which live in s->arena; nothing sets \Seen. */
PARKS void fetch_atts(Imap *s, Fetch *f);
/* The items copied into an arena that lives longer. */
void fetch_keep(Fetch *f, Arena *a);
/* FETCH responses of those messages of the view. */
PARKS Err fetch_tell(Imap *s, const Fetch *f, const UidSet *uids);

/* ---- octets (fetch_octets.c) ---- */
/* "{n}" or "~{n}". */
void fetch_literal_head(Buf *out, uint64_t len, bool eight);
/* What a literal must not hold: NUL becomes 0x80. */
void fetch_without_nul(char *at, size_t len);
/* "BODY[1]<0> " */
void fetch_name(Buf *out, const FetchItem *item);
/* at..at+len becomes what the partial leaves of it. */
void fetch_clip(const FetchItem *item, uint64_t *at, uint64_t *len);
PARKS void fetch_section(Fetching *f, const FetchItem *item);
/* at..at+len of the message; one that is too long for memory is sent piece by piece. */
PARKS void fetch_stored(Fetching *f, uint64_t at, uint64_t len);

/* ---- for clients without UTF-8, RFC 6855 8 (fetch_surrogate.c) ---- */
/* Whether this client may have to be shown a surrogate (RFC 6858) there. */
bool surrogate_may_show(const Fetching *f, const Section *section);
/* The same for a message that begins with these octets. */
bool surrogate_shows(const Fetching *f, Slice beginning);
/* Tells the item with a surrogate; false: there is no need, and nothing was told. */
PARKS bool surrogate_section(Fetching *f, const FetchItem *item);
PARKS Slice surrogate_envelope(Fetching *f, Slice envelope); /* in f->arena, or the same */

/* ---- BINARY, RFC 3516 (fetch_binary.c) ---- */
PARKS void fetch_binary(Fetching *f, const FetchItem *item);
PARKS void fetch_binary_size(Fetching *f, const FetchItem *item);
/* The same of any message: what it is decoded; and its literal, or what the partial of `range`
 * leaves. An error comes before anything was put out. */
typedef struct {
    uint64_t size, lines;
    const char *encoding; /* "7BIT", "8BIT", "BINARY" */
} FetchDecoded;
PARKS Err fetch_decoded_shape(Stream *stream, Account *account, uint32_t eid, const MailPart *part,
                              FetchDecoded *shape) MUST_USE;
PARKS Err fetch_put_decoded(Stream *stream, Account *account, uint32_t eid, const MailPart *part,
                            const FetchItem *range) MUST_USE;

/* section-spec by itself, as URLs have it (RFC 5092): "1.2.HEADER", empty for the whole message. */
PARKS Err fetch_section_spec(Arena *a, Slice spec, Section *out) MUST_USE;

/* ---- which octets (section.c) ---- */
/* The summary of a message: the stored one, or a new one made of its octets when that is damaged.
 * whole: with the part table; otherwise its slices may be borrowed until the next wait. */
PARKS Err section_summary(Account *account, const Message *m, bool whole, Arena *a,
                          MailSummary *out) MUST_USE;
/* The octets a section means: made up in the arena (HEADER.FIELDS), or octets at..at+len of the
 * message. ERR_NOT_FOUND: no such part; the answer is NIL. */
typedef struct {
    uint64_t at, len;
    Slice made;
    bool is_made;
} SectionOctets;
Slice section_select_fields(const Section *section, Slice header, Arena *a); /* HEADER.FIELDS */
PARKS Err section_find(Account *account, const Message *m, const Section *section, Arena *a,
                       SectionOctets *out) MUST_USE;
/* The part of a BINARY item. ERR_UNKNOWN_CTE, ERR_NOT_FOUND. */
PARKS Err section_binary(Account *account, const Message *m, const Section *section, Arena *a,
                         MailPart *part) MUST_USE;
