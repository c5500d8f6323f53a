/* Any octets as the rest of a segment. The scanner makes progress, stays inside, and believes
 * nothing whose checksums do not hold: what it takes for good encodes to the same octets. */
#include "base/text.h"
#include "store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encodes_the_same(const LogRecord *rec, Slice bytes, uint32_t salt, uint32_t before)
{
    uint8_t header[RECORD_HEADER];
    RecordHeader h = rec->head;
    record_encode(&h, rec->record, salt, before, header);
    must(h.own == rec->head.own && h.chain == rec->head.chain);
    if (!rec->head.dead) must(!memcmp(header, bytes.at, RECORD_HEADER));
}

static void scan(Slice bytes, uint64_t lsn, uint32_t salt)
{
    RecordPlace place = {.lsn = lsn, .salt = salt, .chain = salt};
    for (;;) {
        LogRecord rec;
        Verdict v = record_verify(bytes, &place, &rec);
        if (v == VERDICT_NONE) break;
        must(rec.next >= RECORD_HEADER && rec.next <= bytes.len && rec.next % 8 == 0);
        must(rec.record.len + rec.content.len <= rec.next);
        if (v == VERDICT_GOOD && rec.content.len) must(crc32c(0, rec.content) == rec.body.crc);
        encodes_the_same(&rec, bytes, salt, place.chain);
        uint64_t old_at;
        uint32_t count;
        Reader owners;
        if (relocation_decode(rec.record, &old_at, &owners, &count))
            must(owners.rest.len == (size_t)count * 8);
        bytes = slice_from(bytes, rec.next);
        place.lsn += rec.next;
        place.chain = rec.head.chain;
        place.epoch = rec.head.epoch;
    }
}

/* The fuzzer does not find CRCs by luck: with the first octet it asks us to put them right. */
static void make_it_hold(char *bytes, size_t size, uint64_t lsn, uint32_t salt)
{
    Slice record = {0};
    RecordHeader h;
    memcpy(bytes, "PHrc", 4);
    for (int i = 0; i < 8; i++)
        bytes[8 + i] = (char)(lsn >> (8 * i));
    bytes[20] = RECORD_COMMIT;
    bytes[22] = bytes[23] = 0;
    if (!record_header_decode(slice(bytes, size), lsn, &h)) return;
    if (h.record_len > size - RECORD_HEADER) return;
    record = slice(bytes + RECORD_HEADER, h.record_len);
    uint8_t header[RECORD_HEADER];
    record_encode(&h, record, salt, salt, header);
    memcpy(bytes, header, RECORD_HEADER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 100000) return 0;
    uint64_t lsn = lsn_make(1, SEGMENT_HEADER);
    uint32_t salt = 17;
    Buf buf_scoped copy = {0};
    buf_add(&copy, slice(data + 1, size - 1));
    if (data[0] & 1 && copy.len >= RECORD_HEADER) make_it_hold(copy.at, copy.len, lsn, salt);
    scan(buf_slice(&copy), lsn, salt);
    SegmentHeader h;
    if (segment_header_decode(buf_slice(&copy), &h)) must(copy.len >= 52);
    must(!locator_decode(buf_slice(&copy), lsn) || copy.len >= LOCATOR);
    return 0;
}
