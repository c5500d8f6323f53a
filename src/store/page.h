#pragma once
/* Pages: the derived state of an account as the engine's index keeps it. Every value is
 *
 *     u32 crc32c of the rest   u8 version (1)   payload
 *
 * Keys (numbers big-endian, so that they sort; the engine puts the account in front):
 *
 *     h                         head
 *     k                         keywords and their combinations
 *     p                         prefixes (DraftPlace.prefix)
 *     n                         subscribed names
 *     b mailbox                 a mailbox: name, counters, ACL
 *     s mailbox uid/64          slots: up to 64 messages of 28 octets
 *     e eid/32                  emails: blob, thread, links
 *     y eid/16 first%16         summaries: single ones as they came, or all 16 in one zstd frame
 *     v mailbox number          vanished: (seq, uid, eid, count) in order of seq
 *     t bucket                  (hash32 of message-id and base subject -> thread)
 *     d eid/4096                emails that are in no mailbox and wait for their blob to be dropped
 *     o collection 0 id         object: seq, length, first octets
 *     O collection 0 id chunk   the further octets of a long object
 *     q mailbox who             uids that this other user has seen (shared mailboxes)
 *
 * Spec: storage, section 3. It has email pages of 64; 32 keep the usual one below 1.9 KB. Values
 * above that go to LMDB overflow pages: k, p, n of unusual accounts, y frames (16 summaries need
 * 2-4 KB), which are written once. */
#include "store/store.h"

enum { PAGE_VERSION = 1, PAGE_VALUE_MOST = 1900 };
enum {
    SLOTS = 64,
    EMAILS = 32,
    SUMMARIES = 16,
    DEADS = 4096,
    VANISHED_MOST = 400,
    SLOT_OCTETS = 28
};

/* ---- keys ---- */
typedef struct {
    char at[12];
    uint8_t len;
} PageKey;
PageKey page_key(char kind);
PageKey page_key_1(char kind, uint32_t a);
PageKey page_key_2(char kind, uint32_t a, uint32_t b);
/* The numbers of a key made by page_key_1 or _2. */
bool page_key_numbers(Slice key, uint32_t *numbers, size_t count);
static inline Slice page_key_slice(const PageKey *k)
{
    return slice(k->at, k->len);
}
typedef struct {
    char at[400];
    uint16_t len;
} ObjectKey;
void object_key(ObjectKey *k, Slice collection, Slice id);             /* 'o' */
void object_chunk_key(ObjectKey *k, Slice object_key, uint32_t chunk); /* 'O' */
static inline Slice object_key_slice(const ObjectKey *k)
{
    return slice(k->at, k->len);
}

/* ---- the envelope ---- */
size_t page_begin(Buf *out); /* returns where the page starts, for page_end */
void page_end(Buf *out, size_t start);
Err page_open(Slice value, Reader *payload) MUST_USE;

/* ---- payloads. Encoders append; decoders are for untrusted input and give ERR_CORRUPT. ---- */
typedef struct {
    uint64_t seq;
    uint32_t next_eid, next_mailbox, next_uid_validity;
    uint64_t used[QUOTA_RESOURCES]; /* QUOTA_MAILBOX is counted where it is asked */
    uint64_t limit[QUOTA_RESOURCES];
    bool has_limit; /* its own limits, instead of StoreOptions.quota_... */
    uint64_t last_mail_seq, last_mailbox_seq, last_object_seq; /* last change per data type */
    uint32_t thread_buckets, thread_entries;                   /* linear hashing, thread.c */
    Slice login;
} Head;
void head_encode(Buf *out, const Head *h);
Err head_decode(Reader *in, Head *h) MUST_USE;

typedef struct {
    uint32_t id, uid_validity, uid_next, recent_from;
    uint32_t exists, unseen, deleted, recent;
    uint64_t size_octets, highest_modseq, created_modseq;
    uint64_t deleted_octets; /* 0 in pages of the first version, until the slots are read */
    uint32_t vanished_first, vanished_next; /* page numbers kept; next - 1 is the one filling up */
    uint64_t vanished_floor;                /* tombstones up to this seq are gone */
    uint8_t role;
    Slice name;
    Slice acl; /* pairs: identifier bytes, rights varint */
} BoxState;
void box_encode(Buf *out, const BoxState *b);
Err box_decode(Reader *in, BoxState *b) MUST_USE;
bool acl_next(Reader *acl, Slice *identifier, uint32_t *rights);

void slots_encode(Buf *out, const Message *messages, size_t count);
/* messages has room for rest.len / SLOT_OCTETS of them, at most SLOTS. */
Err slots_decode(Reader *in, uint32_t page, Message *messages, size_t *count) MUST_USE;

typedef struct {
    uint32_t mailbox, uid, saved;
    uint64_t created_modseq;
    uint32_t origin; /* of an expunged message that is kept: the mailbox it was in */
} EmailLink;
typedef enum { SHARE_TOLD, SHARE_NEW, SHARE_TELLING } ShareNews; /* in memory only */
typedef struct {
    BlobRef ref;
    uint32_t thread; /* eid of the thread's first email; 0: this entry is empty */
    uint32_t header_len, prefix, prefix_len;
    bool shared;
    uint8_t share_news;
    bool staged; /* in memory only: in no mailbox yet, a LINK may be on its way */
    uint32_t link_count;
    uint32_t dead_time; /* without links: since when, for the undelete window (0: it was never in a
                           mailbox) ... */
    uint64_t dead_seq;  /* ... and by which change */
    EmailLink link;     /* the first one */
    EmailLink *more;    /* the others, malloc: link_count - 1 */
} Email;
void emails_encode(Buf *out, const Email emails[EMAILS]);
/* Fails with nothing allocated. */
Err emails_decode(Reader *in, Email emails[EMAILS]) MUST_USE;
void emails_done(Email emails[EMAILS]);
EmailLink *email_links(Email *e, uint32_t index); /* below link_count */

typedef struct {
    uint64_t seq;
    uint32_t uid, eid, count; /* uid .. uid+count-1 were eid .. eid+count-1 */
} Vanished;
void vanished_encode(Buf *out, const Vanished *v, size_t count);
Err vanished_decode(Reader *in, Vanished v[VANISHED_MOST], size_t *count) MUST_USE;

typedef struct {
    uint32_t hash, thread;
} ThreadHash;
void threads_encode(Buf *out, const ThreadHash *t, size_t count);
Err threads_decode(Reader *in, ThreadHash **t, size_t *count) MUST_USE; /* malloc */

typedef struct {
    uint32_t oldest; /* no earlier than this did one of them die */
    uint64_t bits[DEADS / 64];
} Dead;
void dead_encode(Buf *out, const Dead *d);
Err dead_decode(Reader *in, Dead *d) MUST_USE;

/* Text lists: keywords, prefixes, names; to the end of the page. */
void texts_encode(Buf *out, const Slice *texts, size_t count);
Err texts_next(Reader *in, Slice *text, bool *more) MUST_USE;

/* Uid ranges to the end of the page: gap and length - 1, as in records. */
void ranges_encode(Buf *out, const UidSet *s);
Err ranges_decode(Reader *in, Arena *a, UidSet *s) MUST_USE;

/* Summaries: a chunk is the summaries from one on, raw or as one zstd frame. The compressor state
 * is the caller's. */
typedef struct SummaryCodec SummaryCodec;
SummaryCodec *summary_codec_new(void);
void summary_codec_free(SummaryCodec *c);
typedef struct {
    Slice stored[SUMMARIES]; /* by eid % 16; empty: not there */
} Summaries;
void summaries_encode(SummaryCodec *c, Buf *out, const Summaries *s, bool compress);
/* Decompressed text goes to `text` (slices point there; start with an empty one); adds to *s. */
Err summaries_decode(SummaryCodec *c, Reader *in, Buf *text, Summaries *s) MUST_USE;
