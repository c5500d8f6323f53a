#include "store/segment.h"

#include "base/test.h"
#include "base/text.h"

#include <stdlib.h>

enum { SALT = 0x1234, CHAIN = 0x777, EPOCH = 5 };
static const uint64_t lsn = UINT64_C(3) << 32 | 8192;

/* A record as the log writes it. */
static void make_record(Buf *out, Slice record, Slice body)
{
    RecordHeader h = {.lsn = lsn,
                      .seq = 42,
                      .epoch = EPOCH,
                      .acct = 7,
                      .eid = 99,
                      .record_len = (uint32_t)record.len,
                      .body_len = (uint32_t)body.len,
                      .body_crc = crc32c(0, body),
                      .type = RECORD_COMMIT};
    uint8_t header[RECORD_HEADER];
    record_encode(&h, record, SALT, CHAIN, header);
    buf_add(out, slice(header, sizeof header));
    buf_add(out, record);
    while (out->len % 8)
        buf_u8(out, 0);
    if (body.len) {
        uint8_t locator[LOCATOR];
        locator_encode(lsn, (uint32_t)record_body_offset(h.record_len), locator);
        buf_add(out, slice(locator, sizeof locator));
        buf_add(out, body);
    }
    while (out->len % 8)
        buf_u8(out, 0);
}

static const RecordPlace place = {.lsn = lsn, .salt = SALT, .chain = CHAIN, .epoch = EPOCH};

TEST(a_record_comes_back_as_it_was)
{
    Buf buf_scoped b = {0};
    LogRecord rec;
    make_record(&b, S("a change"), S("a body of a few octets"));
    check_u64(b.len, record_size(8, 22));
    check(record_verify(buf_slice(&b), &place, &rec) == VERDICT_GOOD);
    check_slice(rec.record, S("a change"));
    check_slice(rec.content, S("a body of a few octets"));
    check_u64(rec.next, b.len);
    check_u64(rec.head.seq, 42);
    check_u64(rec.head.acct, 7);
    check_u64(rec.head.eid, 99);
    check_u64(rec.body.at, lsn + record_body_offset(8));
    Slice locator = slice(b.at + record_body_offset(8) - LOCATOR, LOCATOR);
    check_u64(locator_decode(locator, rec.body.at), lsn);
    check_u64(locator_decode(locator, rec.body.at + 8), 0);
}

TEST(no_flipped_bit_passes_for_a_good_record)
{
    Buf buf_scoped b = {0};
    make_record(&b, S("change"), S("body"));
    size_t padding = 0;
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        LogRecord rec;
        b.at[bit / 8] = (char)(b.at[bit / 8] ^ 1 << bit % 8);
        Verdict v = record_verify(buf_slice(&b), &place, &rec);
        bool in_body = bit / 8 >= record_body_offset(6) - LOCATOR;
        if (v == VERDICT_GOOD) {
            padding++;
            check_slice(rec.record, S("change"));
            check_slice(rec.content, S("body"));
        }
        check(v == VERDICT_GOOD || v == (in_body ? VERDICT_BODY_DAMAGED : VERDICT_NONE));
        b.at[bit / 8] = (char)(b.at[bit / 8] ^ 1 << bit % 8);
    }
    check_u64(padding, (2 + 4) * 8); /* the zeros behind change record and body mean nothing */
}

TEST(a_record_counts_only_in_its_place)
{
    Buf buf_scoped b = {0};
    LogRecord rec;
    make_record(&b, S("change"), (Slice){0});
    const struct {
        RecordPlace place;
        Verdict verdict;
    } rows[] = {
        {{.lsn = lsn, .salt = SALT, .chain = CHAIN, .epoch = EPOCH},                       VERDICT_GOOD},
        {{.lsn = lsn, .salt = SALT, .chain = CHAIN, .epoch = EPOCH - 1},                   VERDICT_GOOD},
        {{.lsn = lsn, .salt = SALT, .chain = CHAIN, .epoch = EPOCH + 1},                   VERDICT_NONE},
        {{.lsn = lsn, .salt = SALT, .chain = CHAIN + 1, .epoch = EPOCH},                   VERDICT_NONE},
        {{.lsn = lsn, .salt = SALT, .chain = 0, .epoch = EPOCH, .any_chain = true},        VERDICT_GOOD},
        {{.lsn = lsn, .salt = SALT + 1, .chain = 0, .epoch = 0, .any_chain = true},        VERDICT_NONE},
        {{.lsn = lsn + 8, .salt = SALT, .chain = CHAIN, .epoch = EPOCH},                   VERDICT_NONE},
        {{.lsn = lsn + (UINT64_C(1) << 32), .salt = SALT, .chain = CHAIN, .epoch = EPOCH},
         VERDICT_NONE                                                                                  },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(record_verify(buf_slice(&b), &rows[i].place, &rec) == rows[i].verdict);
}

TEST(a_dead_record_keeps_its_change_and_loses_its_body)
{
    Buf buf_scoped b = {0};
    LogRecord rec;
    make_record(&b, S("change"), S("body"));
    b.at[20] = (char)(RECORD_COMMIT | RECORD_DEAD);
    memset(b.at + record_body_offset(6), 0, 4);
    check(record_verify(buf_slice(&b), &place, &rec) == VERDICT_GOOD);
    check(rec.head.dead);
    check_slice(rec.record, S("change"));
    check_u64(rec.content.len, 0);
    check_u64(rec.body.len, 4);
}

TEST(a_record_cut_anywhere_is_none)
{
    Buf buf_scoped b = {0};
    LogRecord rec;
    make_record(&b, S("change"), S("body"));
    for (size_t len = 0; len < b.len; len++)
        check(record_verify(slice(b.at, len), &place, &rec) == VERDICT_NONE);
}

TEST(a_segment_header_comes_back_and_no_flip_passes)
{
    uint8_t bytes[SEGMENT_HEADER];
    SegmentHeader h = {
        .uuid = {1, 2, 3},
        .number = 9,
        .epoch = 4,
        .previous_chain = 77,
        .previous_end = 123456,
        .previous_lsn = lsn
    };
    SegmentHeader got;
    segment_header_encode(&h, bytes);
    check(segment_header_decode(slice(bytes, sizeof bytes), &got));
    check(!memcmp(&h, &got, sizeof h));
    for (size_t bit = 0; bit < (size_t)52 * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(!segment_header_decode(slice(bytes, sizeof bytes), &got));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

TEST(a_relocation_names_its_owners)
{
    Buf buf_scoped b = {0};
    const uint32_t owners[2][2] = {
        {1, 10},
        {2, 20}
    };
    relocation_encode(&b, lsn, owners, 2);
    uint64_t old_at;
    uint32_t count;
    Reader r;
    check(relocation_decode(buf_slice(&b), &old_at, &r, &count));
    check_u64(old_at, lsn);
    check_u64(count, 2);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            check_u64(read_u32(&r), owners[i][k]);
    for (size_t len = 0; len < b.len; len++)
        check(!relocation_decode(slice(b.at, len), &old_at, &r, &count));
}
