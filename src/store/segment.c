#include "store/segment.h"

#include "base/text.h"
#include "run/run.h"

#include <endian.h>

/* "PHrc" in a little-endian file */
static const uint32_t record_magic = 0x63724850;
static const char segment_magic[8] = "posthouS";

static void put_u32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof v);
}

static void put_u64(uint8_t *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof v);
}

static uint32_t get_u32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return le32toh(v);
}

static uint64_t get_u64(const char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return le64toh(v);
}

static uint64_t round_up_8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

void segment_header_encode(const SegmentHeader *h, uint8_t out[SEGMENT_HEADER])
{
    memset(out, 0, SEGMENT_HEADER);
    memcpy(out, segment_magic, 8);
    memcpy(out + 8, h->uuid, 16);
    put_u32(out + 24, h->number);
    put_u32(out + 28, h->epoch);
    put_u32(out + 32, h->previous_chain);
    put_u32(out + 36, h->previous_end);
    put_u64(out + 40, h->previous_lsn);
    put_u32(out + 48, crc32c(0, slice(out, 48)));
}

bool segment_header_decode(Slice bytes, SegmentHeader *h)
{
    if (bytes.len < 52 || memcmp(bytes.at, segment_magic, 8) != 0) return false;
    if (crc32c(0, slice_first(bytes, 48)) != get_u32(bytes.at + 48)) return false;
    memcpy(h->uuid, bytes.at + 8, 16);
    h->number = get_u32(bytes.at + 24);
    h->epoch = get_u32(bytes.at + 28);
    h->previous_chain = get_u32(bytes.at + 32);
    h->previous_end = get_u32(bytes.at + 36);
    h->previous_lsn = get_u64(bytes.at + 40);
    return true;
}

uint64_t record_body_offset(uint32_t record_len)
{
    return RECORD_HEADER + round_up_8(record_len) + LOCATOR;
}

uint64_t record_size(uint32_t record_len, uint32_t body_len)
{
    if (!body_len) return RECORD_HEADER + round_up_8(record_len);
    return record_body_offset(record_len) + round_up_8(body_len);
}

static void header_fields(const RecordHeader *h, uint8_t out[RECORD_HEADER])
{
    memset(out, 0, RECORD_HEADER);
    put_u32(out, record_magic);
    put_u64(out + 8, h->lsn);
    put_u32(out + 16, h->epoch);
    out[20] = (uint8_t)h->type;
    out[21] = h->flags;
    put_u32(out + 24, h->acct);
    put_u32(out + 28, h->record_len);
    put_u32(out + 32, h->body_len);
    put_u32(out + 36, h->body_crc);
    put_u64(out + 40, h->seq);
    memcpy(out + 48, h->sha256, 32);
    put_u32(out + 80, h->eid);
}

uint32_t store_salt(const uint8_t uuid[16])
{
    return crc32c(0, slice(uuid, 16));
}

static uint32_t own_crc(const uint8_t header[RECORD_HEADER], Slice record, uint32_t salt)
{
    return crc32c(crc32c(salt, slice(header, RECORD_HEADER)), record);
}

static uint32_t chain_of(uint8_t header[RECORD_HEADER], uint32_t own, Slice record, uint32_t before)
{
    put_u32(header + 84, own);
    return crc32c(crc32c(before, slice(header, RECORD_HEADER)), record);
}

void record_encode(RecordHeader *h, Slice record, uint32_t salt, uint32_t previous_chain,
                   uint8_t out[RECORD_HEADER])
{
    header_fields(h, out);
    h->own = own_crc(out, record, salt);
    h->chain = chain_of(out, h->own, record, previous_chain);
    put_u32(out + 4, h->chain);
}

void record_set_big(RecordHeader *h, BlobRef ref)
{
    h->flags |= FLAG_BIG;
    memset(h->sha256, 0, sizeof h->sha256);
    put_u64(h->sha256, ref.at);
    put_u32(h->sha256 + 8, ref.len);
    put_u32(h->sha256 + 12, ref.crc);
}

BlobRef record_big(const RecordHeader *h)
{
    if (!(h->flags & FLAG_BIG)) return (BlobRef){0};
    const char *at = (const char *)h->sha256;
    return (BlobRef){.at = get_u64(at), .len = get_u32(at + 8), .crc = get_u32(at + 12)};
}

static uint32_t locator_check(uint64_t lsn, uint32_t distance)
{
    uint8_t bytes[12];
    put_u64(bytes, lsn);
    put_u32(bytes + 8, distance);
    return crc32c(0, slice(bytes, sizeof bytes));
}

void locator_encode(uint64_t lsn, uint32_t distance, uint8_t out[LOCATOR])
{
    put_u32(out, distance);
    put_u32(out + 4, locator_check(lsn, distance));
}

uint64_t locator_decode(Slice bytes, uint64_t at)
{
    if (bytes.len < LOCATOR) return 0;
    uint32_t distance = get_u32(bytes.at);
    if (distance < RECORD_HEADER + LOCATOR || distance > lsn_offset(at)) return 0;
    uint64_t lsn = at - distance;
    return get_u32(bytes.at + 4) == locator_check(lsn, distance) ? lsn : 0;
}

static bool type_decode(uint8_t octet, RecordType *type, bool *dead)
{
    *dead = (octet & RECORD_DEAD) == RECORD_DEAD;
    uint8_t alive = *dead ? octet & 0x0F : octet;
    *type = (RecordType)alive;
    return alive == RECORD_COMMIT || alive == RECORD_RELOCATION || alive == RECORD_MARK;
}

bool record_header_decode(Slice bytes, uint64_t lsn, RecordHeader *h)
{
    if (bytes.len < RECORD_HEADER || get_u32(bytes.at) != record_magic) return false;
    *h = (RecordHeader){
        .chain = get_u32(bytes.at + 4),
        .lsn = get_u64(bytes.at + 8),
        .epoch = get_u32(bytes.at + 16),
        .flags = (uint8_t)bytes.at[21],
        .acct = get_u32(bytes.at + 24),
        .record_len = get_u32(bytes.at + 28),
        .body_len = get_u32(bytes.at + 32),
        .body_crc = get_u32(bytes.at + 36),
        .seq = get_u64(bytes.at + 40),
        .eid = get_u32(bytes.at + 80),
        .own = get_u32(bytes.at + 84),
    };
    memcpy(h->sha256, bytes.at + 48, 32);
    return type_decode((uint8_t)bytes.at[20], &h->type, &h->dead) && h->lsn == lsn &&
           h->record_len <= RECORD_MOST && h->body_len <= BLOB_INLINE_MOST && !bytes.at[22] &&
           !bytes.at[23];
}

/* The CRCs are made over the header as it was written: alive, with zeros where they stand. */
static void header_as_written(Slice bytes, const RecordHeader *h, uint8_t out[RECORD_HEADER])
{
    memcpy(out, bytes.at, RECORD_HEADER);
    out[20] = (uint8_t)h->type;
    put_u32(out + 4, 0);
    put_u32(out + 84, 0);
}

bool record_holds(const RecordHeader *h, Slice bytes, uint32_t salt)
{
    if (bytes.len < RECORD_HEADER + (uint64_t)h->record_len) return false;
    uint8_t header[RECORD_HEADER];
    header_as_written(bytes, h, header);
    return own_crc(header, slice(bytes.at + RECORD_HEADER, h->record_len), salt) == h->own;
}

static bool record_follows(const RecordHeader *h, Slice bytes, const RecordPlace *place)
{
    if (h->epoch < place->epoch) return false;
    if (place->any_chain) return true;
    uint8_t header[RECORD_HEADER];
    header_as_written(bytes, h, header);
    Slice record = slice(bytes.at + RECORD_HEADER, h->record_len);
    return chain_of(header, h->own, record, place->chain) == h->chain;
}

Verdict record_verify(Slice bytes, const RecordPlace *place, LogRecord *out)
{
    RecordHeader *h = &out->head;
    if (!record_header_decode(bytes, place->lsn, h)) return VERDICT_NONE;
    out->next = record_size(h->record_len, h->body_len);
    if (out->next > bytes.len || !record_holds(h, bytes, place->salt)) return VERDICT_NONE;
    if (!record_follows(h, bytes, place)) return VERDICT_NONE;
    out->record = slice(bytes.at + RECORD_HEADER, h->record_len);
    out->body = record_big(h);
    out->content = (Slice){0};
    if (!h->body_len) return VERDICT_GOOD;

    uint64_t distance = record_body_offset(h->record_len);
    out->body = (BlobRef){.at = h->lsn + distance, .len = h->body_len, .crc = h->body_crc};
    if (h->dead) return VERDICT_GOOD;
    Slice locator = slice(bytes.at + distance - LOCATOR, LOCATOR);
    out->content = slice(bytes.at + distance, h->body_len);
    bool good =
        locator_decode(locator, out->body.at) == h->lsn && crc32c(0, out->content) == h->body_crc;
    if (PLANTED("torn_body")) good = true;
    return good ? VERDICT_GOOD : VERDICT_BODY_DAMAGED;
}

void relocation_encode(Buf *out, uint64_t old_at, const uint32_t (*owners)[2], uint32_t count)
{
    buf_u64(out, old_at);
    buf_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buf_u32(out, owners[i][0]);
        buf_u32(out, owners[i][1]);
    }
}

bool relocation_decode(Slice record, uint64_t *old_at, Reader *owners, uint32_t *count)
{
    Reader r = reader(record);
    uint64_t at = read_u64(&r);
    uint32_t n = read_u32(&r);
    if (r.bad || r.rest.len != (uint64_t)n * 8) return false;
    *old_at = at, *count = n, *owners = r;
    return true;
}
