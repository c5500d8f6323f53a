#pragma once
/* Change records: what one operation did to one account, as the log keeps it.
 *
 *     record:  u8 version (1)   u32 time (Unix seconds)   operation ...
 *     operation:  u8 kind   varint length   payload of that length
 *
 *     ADD        eid  blob at u64  len  crc u32  shared u8  header_len  prefix  hashes n (u32 each)
 *                summary (bytes)
 *     LINK       eid  mailbox  uid  date u32  flags u8  keywords n (id each)
 *     COPY, MOVE from mailbox  to mailbox  first new uid  uid ranges  [who  shared u8]
 *     UNLINK     mailbox  uid ranges
 *     FLAG       mailbox  who  set u8  clear u8  how u8  keywords n (id each)  uid ranges
 *     CREATE     mailbox  uidvalidity  role u8  name
 *     RENAME     mailbox  name
 *     DELETE     mailbox
 *     ROLE       mailbox  role u8
 *     ACL        mailbox  rights  identifier
 *     SUBSCRIBE  on u8  name
 *     KEYWORD    id  name
 *     PREFIX     id  text
 *     OBJECT     put u8  collection  id  value
 *     QUOTA      octets  messages (0: no limit; as the first version wrote them)
 *     LOGIN      name
 *     VALIDITY   mailbox  uidvalidity  uidnext (never less than it was)
 *     ANNOTATE   mailbox  n octets of { who  present u8  entry  value } ...  uid ranges
 *     LIMITS     octets  messages  mailboxes  octets of annotations; each plus 1 (0: no limit)
 *     SKIP       eid (the next one is not less: those before may have been given out)
 *
 *     uid ranges:  n, then n times: gap to the end of the previous range (>= 1), length - 1
 *
 * Numbers are varints unless a width is given; names, texts and values are a varint length and the
 * bytes. An ADD without a LINK behind it is an email that is in no mailbox yet; a later LINK takes
 * it up, else it is dropped. COPY and MOVE give the i-th listed uid the uid first + i. A blob at 0
 * (BLOB_HERE) is the body of this very record. COPY and MOVE take along who's private annotations
 * (NOTES_OF_ALL: everybody's) and perhaps the shared ones. An unknown kind or a payload that does
 * not fit refuses the whole record: half an operation is no operation. */
#include "store/store.h"

enum {
    RECORD_VERSION = 1,
    RECORD_HASHES_MOST = 8,
    NAME_MOST = 1000,   /* octets of a mailbox name, a login, an ACL identifier */
    KEYWORD_MOST = 255, /* octets of one keyword */
    PREFIX_TEXT_MOST = 4096,
    COLLECTION_MOST = 100,
    OBJECT_ID_MOST = 255,
};
#define NOTES_OF_ALL UINT32_MAX

typedef enum {
    OP_NONE,
    OP_ADD,
    OP_LINK,
    OP_COPY,
    OP_MOVE,
    OP_UNLINK,
    OP_FLAG,
    OP_CREATE,
    OP_RENAME,
    OP_DELETE,
    OP_ROLE,
    OP_ACL,
    OP_SUBSCRIBE,
    OP_KEYWORD,
    OP_PREFIX,
    OP_OBJECT,
    OP_QUOTA,
    OP_LOGIN,
    OP_VALIDITY,
    OP_LIMITS,
    OP_ANNOTATE,
    OP_SKIP,
    OP_END,
} OpKind;

/* Numbers that ascend, still encoded; checked when the operation was decoded. Start with a copy. */
typedef struct {
    Slice bytes;    /* of the ranges or numbers, without their count */
    uint32_t count; /* of ranges, or of numbers */
    uint32_t last;  /* where the previous range ended */
} OpRanges;
bool op_range_next(OpRanges *r, UidRange *range);
typedef struct {
    Slice bytes;
    uint32_t count;
} OpNumbers;
bool op_number_next(OpNumbers *n, uint32_t *number);

typedef enum { FLAG_HOW_ADD_REMOVE, FLAG_HOW_REPLACE } FlagHow; /* of the keywords */

/* One operation. Which fields count is drawn above; slices are borrowed from the record. */
typedef struct {
    OpKind kind;
    uint32_t eid, mailbox, to, uid, who;
    uint32_t date;
    uint32_t header_len, prefix;
    BlobRef blob;
    bool shared, on; /* on: SUBSCRIBE, OBJECT (put), COPY and MOVE (shared annotations) */
    uint8_t flags;   /* LINK; FLAG: set */
    uint8_t clear, how, role;
    uint32_t rights, uid_validity;
    uint32_t hashes[RECORD_HASHES_MOST];
    uint32_t hash_count;
    OpNumbers keywords; /* LINK, FLAG: to set or to replace by */
    OpNumbers unwanted; /* FLAG: keywords to clear */
    OpRanges uids;
    Slice name; /* or text, identifier, login, collection */
    Slice id, value;
    Slice summary;
    uint64_t limit[QUOTA_RESOURCES]; /* QUOTA, LIMITS */
} Op;

/* ---- writing ---- */
void record_begin(Buf *out, uint32_t time);
/* Lists are given as arrays here; NULL and 0 where the kind has none. */
typedef struct {
    const UidSet *uids;
    const uint32_t *keywords, *unwanted;
    size_t keyword_count, unwanted_count;
} OpLists;
void record_op(Buf *out, const Op *op, const OpLists *lists);

/* ---- the value of ANNOTATE ---- */
typedef struct {
    uint32_t who; /* 0: shared */
    bool on;      /* false: it goes */
    Slice entry, value;
} NoteChange;
bool note_change_next(Reader *in, NoteChange *n);

/* ---- reading: untrusted ---- */
typedef struct {
    Reader in;
    uint32_t time;
} RecordReader;
Err record_open(Slice record, RecordReader *r) MUST_USE;
/* *more false: that was all. ERR_CORRUPT: a kind we do not know, or a payload that does not fit. */
Err record_next(RecordReader *r, Op *op, bool *more) MUST_USE;
