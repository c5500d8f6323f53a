#pragma once
/* The files of the local engine, and the codec of what stands in a segment. Pure: bytes in, values
 * out. All numbers are little-endian.
 *
 *   DIR/format               "posthouse store 1\n", the store's uuid in hex, "\n"
 *   DIR/LOCK                 held by the one server process
 *   DIR/log/NNNNNNNN.seg     the log, decimal, from 00000001
 *   DIR/log/free-NNNNNNNN    a dead segment that waits to be written again
 *   DIR/log/reserve          room for small records when the disk is full
 *   DIR/big/XX/ID            bodies over 1 MiB (blob.c); XX: the last two digits of ID
 *   DIR/idx/...              the index and its copies (index.h)
 *
 * A segment:
 *
 *   0                4096                                                        256 MiB
 *   +----------------+----------+----------+----------+-------------------------------+
 *   | header | zeros | record   | record   | record   | zeros, or what was there once |
 *   +----------------+----------+----------+----------+-------------------------------+
 *
 *   header   0 "posthouS"   8 uuid   24 u32 number   28 u32 epoch   32 u32 previous chain
 *           36 u32 previous end   40 u64 lsn of the previous record   48 u32 CRC32C of 0..47
 *
 * "previous" is the segment before: the chain of its last record, and where that one ended. A
 * segment with a good header says that everything in the one before was flushed.
 *
 * A record starts at a multiple of 8:
 *
 *    0 u32 magic           4 u32 chain           8 u64 lsn = segment number << 32 | offset
 *   16 u32 epoch          20 u8 type  21 u8 flags  22 u16 0
 *   24 u32 account        28 u32 record length  32 u32 body length  36 u32 CRC32C of the body
 *   40 u64 seq            48 32 octets SHA-256 of the body
 *   80 u32 eid            84 u32 own CRC32C
 *   88 change record, zeros up to a multiple of 8
 *      with a body: locator (u32 octets from the start of the record to the body, u32 check),
 *      the body, zeros up to a multiple of 8
 *
 * own CRC: header (with 0 in both CRC fields) and change record, seeded with the store's salt, so
 * that no mail can carry octets which pass for a record. chain: the same with the own CRC in place,
 * seeded with the chain of the record before; so a record counts only as the successor
 * of exactly that one. Both are made as if the record were alive: a dead mark changes nothing but
 * the type octet, and says that the body is gone. The change record of a dead record is as good as
 * ever. The locator leads from a body (all that a BlobRef knows) back to its header.
 *
 * With FLAG_BIG there is no body; the SHA-256 field holds the BlobRef of a big one: u64, u32, u32.
 * FLAG_FLUSH is on the first record of a flush: everything before it was on stable storage when it
 * was written. That tells a torn tail (nothing of the kind behind it) from damage to the medium.
 *
 * The change record of a relocation, whose body has moved here from old_at:
 *   u64 old_at   u32 n   n x { u32 account   u32 eid }                                         */
#include "store/engine.h"

enum {
    SEGMENT_HEADER = 4096,
    RECORD_HEADER = 88,
    LOCATOR = 8,
    RECORD_MOST = 64 * 1024 * 1024, /* octets of one change record */
};

typedef enum { RECORD_COMMIT = 0x01, RECORD_RELOCATION = 0x02, RECORD_MARK = 0x04 } RecordType;
enum { RECORD_DEAD = 0xF0 }; /* or-ed to the type: four bits, no single flip makes one */
enum { FLAG_SHARED = 1, FLAG_BIG = 2, FLAG_FLUSH = 4 };

static inline uint64_t lsn_make(uint32_t segment, uint32_t offset)
{
    return (uint64_t)segment << 32 | offset;
}
static inline uint32_t lsn_segment(uint64_t lsn)
{
    return (uint32_t)(lsn >> 32);
}
static inline uint32_t lsn_offset(uint64_t lsn)
{
    return (uint32_t)lsn;
}

typedef struct {
    uint8_t uuid[16];
    uint32_t number, epoch;
    uint32_t previous_chain, previous_end;
    uint64_t previous_lsn;
} SegmentHeader;
void segment_header_encode(const SegmentHeader *h, uint8_t out[SEGMENT_HEADER]);
bool segment_header_decode(Slice bytes, SegmentHeader *h) MUST_USE; /* false: not one */

typedef struct {
    uint64_t lsn, seq;
    uint32_t chain, own;
    uint32_t epoch, acct, eid;
    uint32_t record_len, body_len, body_crc;
    RecordType type;
    bool dead;
    uint8_t flags;
    uint8_t sha256[32];
} RecordHeader;

uint64_t record_body_offset(uint32_t record_len); /* from the start of the record */
uint64_t record_size(uint32_t record_len, uint32_t body_len);
uint32_t store_salt(const uint8_t uuid[16]);
/* Fills h->own and h->chain. */
void record_encode(RecordHeader *h, Slice record, uint32_t salt, uint32_t previous_chain,
                   uint8_t out[RECORD_HEADER]);
void record_set_big(RecordHeader *h, BlobRef ref);
BlobRef record_big(const RecordHeader *h);
void locator_encode(uint64_t lsn, uint32_t distance, uint8_t out[LOCATOR]);
/* The lsn of the record whose body is at `at`; 0: no locator there. */
uint64_t locator_decode(Slice bytes, uint64_t at) MUST_USE;

/* Takes the first 88 octets apart; true when they may be a record at this lsn. Nothing is proved
 * but that its sizes are sane. */
bool record_header_decode(Slice bytes, uint64_t lsn, RecordHeader *h) MUST_USE;
/* The header and change record are what was written; `bytes` holds both. */
bool record_holds(const RecordHeader *h, Slice bytes, uint32_t salt) MUST_USE;

typedef enum {
    VERDICT_GOOD,
    VERDICT_BODY_DAMAGED, /* header and change record are good, the body is not */
    VERDICT_NONE,         /* no record, or not the successor of the one before */
} Verdict;
typedef struct {
    RecordHeader head;
    Slice record;  /* borrowed from the input */
    Slice content; /* of the body, borrowed; empty: none or dead */
    BlobRef body;
    uint64_t next; /* offset of the next record from the start of this one */
} LogRecord;
/* What stands at the start of `bytes` (up to the end of the segment). chain: of the record before;
 * epoch: of it, epochs never go back. any_chain: after damage, when nobody knows the chain. */
typedef struct {
    uint64_t lsn;
    uint32_t salt, chain, epoch;
    bool any_chain;
} RecordPlace;
Verdict record_verify(Slice bytes, const RecordPlace *place, LogRecord *out);

void relocation_encode(Buf *out, uint64_t old_at, const uint32_t (*owners)[2], uint32_t count);
/* One owner at a time; false: no more, or damaged. Begin with reader(record) and *old_at from
 * read_u64, *count from read_u32. */
bool relocation_decode(Slice record, uint64_t *old_at, Reader *owners, uint32_t *count) MUST_USE;
