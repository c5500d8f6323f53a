#include "store/record.h"

#include "base/test.h"

static UidRange some_ranges[] = {
    {1,           1          },
    {3,           5          },
    {4000000000u, 4000000001u}
};
static const UidSet some_uids = {.ranges = some_ranges, .count = 3};
static const uint32_t some_ids[] = {1, 300, 70000};

/* One of each kind, with every field it has. */
static const Op ops[] = {
    {.kind = OP_ADD,
     .eid = 77,
     .blob = {.at = UINT64_C(0x123456789abcdef0), .len = 70000, .crc = 0xdeadbeef},
     .shared = true,
     .header_len = 500,
     .prefix = 3,
     .hashes = {1, 2, 0xffffffff},
     .hash_count = 3,
     .summary = {"summary", 7}},
    {.kind = OP_LINK,             .eid = 77,                                            .mailbox = 5,.uid = 9, .date = 1234567890, .flags = 31},
    {.kind = OP_COPY,     .mailbox = 1,                            .to = 2,.uid = 100},
    {.kind = OP_MOVE,                 .mailbox = 1,.to = 2,.uid = 100, .who = 7, .on = true},
    {.kind = OP_UNLINK,                             .mailbox = 1                                     },
    {.kind = OP_FLAG,                   .mailbox = 1,                                          .who = 4,.flags = 1, .clear = 30, .how = FLAG_HOW_REPLACE},
    {.kind = OP_CREATE,                      .mailbox = 8,                                               .uid_validity = 99,               .role = 3, .name = {"x/y", 3}},
    {.kind = OP_RENAME,                             .mailbox = 8,                                    .name = {"z", 1}                                 },
    {.kind = OP_DELETE,               .mailbox = 8       },
    {.kind = OP_ROLE,                  .mailbox = 8,                  .role = 2},
    {.kind = OP_ACL,.mailbox = 8,.rights = 4095,.name = {"bob", 3}},
    {.kind = OP_SUBSCRIBE,                             .on = true,                                    .name = {"z", 1}},
    {.kind = OP_KEYWORD,                             .uid = 6,                                    .name = {"$Junk", 5}},
    {.kind = OP_PREFIX,               .uid = 6,         .name = {"X: y\r\n", 6}},
    {.kind = OP_OBJECT,                .on = true,                                .name = {"pref", 4},.id = {"a", 1}, .value = {"v", 1}},
    {.kind = OP_QUOTA,
     .limit[0] = UINT64_C(1) << 60,
     .limit[1] = 12,
     .limit[2] = QUOTA_NONE,
     .limit[3] = QUOTA_NONE},
    {.kind = OP_LIMITS,
     .limit[0] = 0,
     .limit[1] = QUOTA_NONE,
     .limit[2] = 1,
     .limit[3] = UINT64_C(1) << 60},
    {.kind = OP_LOGIN,                             .name = {"anna", 4}                                   },
    {.kind = OP_VALIDITY,                             .mailbox = 8,                                    .uid = 500,.uid_validity = 1234567890},
    {.kind = OP_SKIP,               .eid = 1 << 20                    },
    {.kind = OP_ANNOTATE, .mailbox = 8,                                         .value = {"\0\1\2/a\1v\5\0\2/b\0", 13}},
};

static bool has_uids(OpKind k)
{
    return k == OP_COPY || k == OP_MOVE || k == OP_UNLINK || k == OP_FLAG || k == OP_ANNOTATE;
}

static OpLists lists_of(const Op *op)
{
    OpLists l = {0};
    if (has_uids(op->kind)) l.uids = &some_uids;
    if (op->kind == OP_FLAG || op->kind == OP_LINK) l.keywords = some_ids, l.keyword_count = 3;
    if (op->kind == OP_FLAG) l.unwanted = some_ids + 1, l.unwanted_count = 2;
    return l;
}

static void write_all(Buf *out)
{
    record_begin(out, 1700000000);
    for (size_t i = 0; i < COUNT(ops); i++) {
        OpLists l = lists_of(&ops[i]);
        record_op(out, &ops[i], &l);
    }
}

static void check_lists(const Op *got)
{
    OpRanges uids = got->uids;
    OpNumbers ids = got->keywords;
    UidRange range;
    uint32_t id;
    for (size_t i = 0; has_uids(got->kind) && i < 3; i++) {
        check(op_range_next(&uids, &range));
        check_u64(range.first, some_ranges[i].first);
        check_u64(range.last, some_ranges[i].last);
    }
    check(!op_range_next(&uids, &range));
    for (size_t i = 0; (got->kind == OP_FLAG || got->kind == OP_LINK) && i < 3; i++) {
        check(op_number_next(&ids, &id));
        check_u64(id, some_ids[i]);
    }
    check(!op_number_next(&ids, &id));
    check_u64(got->unwanted.count, got->kind == OP_FLAG ? 2 : 0);
}

static void check_same(const Op *got, const Op *wanted)
{
    check_u64(got->kind, wanted->kind);
    check_u64(got->eid, wanted->eid);
    check_u64(got->mailbox, wanted->mailbox);
    check_u64(got->to, wanted->to);
    check_u64(got->uid, wanted->uid);
    check_u64(got->who, wanted->who);
    check_u64(got->date, wanted->date);
    check_u64(got->header_len, wanted->header_len);
    check_u64(got->prefix, wanted->prefix);
    check_u64(got->blob.at, wanted->blob.at);
    check_u64(got->blob.len, wanted->blob.len);
    check_u64(got->blob.crc, wanted->blob.crc);
    check_u64(got->shared, wanted->shared);
    check_u64(got->on, wanted->on);
    check_u64(got->flags, wanted->flags);
    check_u64(got->clear, wanted->clear);
    check_u64(got->how, wanted->how);
    check_u64(got->role, wanted->role);
    check_u64(got->rights, wanted->rights);
    check_u64(got->uid_validity, wanted->uid_validity);
    check_u64(got->hash_count, wanted->hash_count);
    check(!memcmp(got->hashes, wanted->hashes, sizeof got->hashes));
    check_slice(got->name, wanted->name);
    check_slice(got->id, wanted->id);
    check_slice(got->value, wanted->value);
    check_slice(got->summary, wanted->summary);
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        check_u64(got->limit[i], wanted->limit[i]);
}

TEST(a_record_comes_back_as_it_was)
{
    Buf record buf_scoped = {0};
    write_all(&record);
    RecordReader r;
    Op op;
    bool more;
    check_ok(record_open(buf_slice(&record), &r));
    check_u64(r.time, 1700000000);
    for (size_t i = 0; i < COUNT(ops); i++) {
        check_ok(record_next(&r, &op, &more));
        check(more);
        check_same(&op, &ops[i]);
        check_lists(&op);
    }
    check_ok(record_next(&r, &op, &more));
    check(!more);
    check_u64(COUNT(ops), OP_END - 1); /* every kind is in the table */
}

static Err read_all(Slice record)
{
    RecordReader r;
    Op op;
    TRY(record_open(record, &r));
    for (bool more = true; more;)
        TRY(record_next(&r, &op, &more));
    return OK;
}

/* Cut inside an operation nothing is left to be misread; between two it is a shorter record. */
TEST(a_cut_record_is_refused_or_shorter)
{
    Buf record buf_scoped = {0};
    write_all(&record);
    size_t whole = 0;
    for (size_t len = 0; len <= record.len; len++)
        whole += read_all(slice(record.at, len)) == OK;
    check_u64(whole, COUNT(ops) + 1);
}

static const struct {
    const char *what;
    Slice record;
} bad[] = {
    {"empty",                   {"", 0}                                                          },
    {"version 2",               {"\2\0\0\0\0", 5}                                                },
    {"kind 0",                  {"\1\0\0\0\0\0\0", 7}                                            },
    {"kind 22",                 {"\1\0\0\0\0\x16\0", 7}                                          },
    {"payload too long",        {"\1\0\0\0\0\x09\2\1\1", 9}                                      },
    {"payload too short",       {"\1\0\0\0\0\x09\0", 7}                                          },
    {"length beyond the end",   {"\1\0\0\0\0\x09\5\1", 8}                                        },
    {"length not minimal",      {"\1\0\0\0\0\x09\x81\0\1", 9}                                    },
    {"range of gap 0",          {"\1\0\0\0\0\5\4\1\1\0\0", 11}                                   },
    {"range beyond 2^32",       {"\1\0\0\0\0\5\10\1\1\1\xff\xff\xff\xff\x0f", 15}                },
    {"more ranges than octets", {"\1\0\0\0\0\5\3\1\x7f\1", 10}                                   },
    {"empty name",              {"\1\0\0\0\0\x11\1\0", 8}                                        },
    {"flag of 2",               {"\1\0\0\0\0\x0c\3\2\1x", 10}                                    },
    {"mailbox 0 created",       {"\1\0\0\0\0\7\5\0\1\0\1x", 12}                                  },
    {"link of uid 0",           {"\1\0\0\0\0\2\x9\1\1\0\0\0\0\0\0\0", 16}                        },
    {"mailbox 2^32",            {"\1\0\0\0\0\x09\5\x80\x80\x80\x80\x10", 12}                     },
    {"keywords that end",       {"\1\0\0\0\0\2\x9\1\1\1\0\0\0\0\0\1", 16}                        },
    {"more hashes than 8",      {"\1\0\0\0\0\1\x15\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x9\0\0", 28}},
    {"copy, nobody's notes",    {"\1\0\0\0\0\3\6\1\2\1\0\0\0", 13}                               },
    {"quota of 2^64-1 octets",  {"\1\0\0\0\0\x10\xb\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\0", 18}},
    {"quota of 2^64-1 emails",  {"\1\0\0\0\0\x10\xb\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 18}},
};

TEST(bad_records_are_refused)
{
    for (size_t i = 0; i < COUNT(bad); i++)
        if (read_all(bad[i].record) != ERR_CORRUPT)
            check_slice(S("accepted"), slice_of(bad[i].what));
}

#define LONG_NAME                                                                                  \
    "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "   \
    "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "   \
    "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "

/* What nobody would write; with the first ranges of some_uids, that is 6 uids, where it has any. */
/* clang-format dies of rows of so many forms */
/* clang-format off */
static const Op unsound[] = {
    {.kind = OP_ADD},
    {.kind = OP_ADD, .eid = UINT32_MAX},
    {.kind = OP_LINK, .uid = 1},
    {.kind = OP_LINK, .eid = 1, .uid = UINT32_MAX},
    {.kind = OP_FLAG, .how = FLAG_HOW_REPLACE + 1},
    {.kind = OP_COPY},
    {.kind = OP_MOVE, .uid = UINT32_MAX - 6},
    {.kind = OP_OBJECT, .name = {"a\0b", 3}, .id = {"x", 1}},
    {.kind = OP_OBJECT, .name = {"a", 1}, .id = {LONG_NAME, 256}},
    {.kind = OP_KEYWORD, .uid = 1, .name = {LONG_NAME, 256}},
    {.kind = OP_CREATE, .mailbox = UINT32_MAX, .uid_validity = 1, .name = {"x", 1}},
    {.kind = OP_CREATE, .mailbox = 1, .name = {"x", 1}},
    {.kind = OP_CREATE, .mailbox = 1, .uid_validity = UINT32_MAX, .name = {"x", 1}},
    {.kind = OP_VALIDITY, .mailbox = 1, .uid = 1},
    {.kind = OP_VALIDITY, .mailbox = 1, .uid_validity = UINT32_MAX, .uid = 1},
    {.kind = OP_VALIDITY, .mailbox = 1, .uid_validity = 1},
    {.kind = OP_VALIDITY, .mailbox = 1, .uid_validity = 1, .uid = UINT32_MAX},
    {.kind = OP_ANNOTATE, .mailbox = 1, .value = {"\0\1\0\1v", 5}}, /* of no name */
    {.kind = OP_ANNOTATE, .mailbox = 1, .value = {"\0\1\xc9\1" LONG_NAME "\1v", 207}},
    {.kind = OP_ANNOTATE, .mailbox = 1, .value = {"\0\1\2/a\5v", 7}},
};
/* clang-format on */

static Err written_and_read(const Op *op)
{
    Buf record buf_scoped = {0};
    OpLists l = lists_of(op);
    record_begin(&record, 1);
    record_op(&record, op, &l);
    return read_all(buf_slice(&record));
}

TEST(what_no_operation_can_be_is_refused)
{
    for (size_t i = 0; i < COUNT(unsound); i++)
        if (written_and_read(&unsound[i]) != ERR_CORRUPT)
            check_u64(i, COUNT(unsound)); /* says which */
    check_ok(written_and_read(&(Op){.kind = OP_MOVE, .uid = UINT32_MAX - 7}));
}

TEST(a_quota_of_the_first_version_has_no_limits_but_two)
{
    static const uint64_t limits[] = {0, 1, QUOTA_NONE};
    for (size_t i = 0; i < COUNT(limits) * COUNT(limits); i++) {
        Buf record buf_scoped = {0};
        uint64_t octets = limits[i / COUNT(limits)], messages = limits[i % COUNT(limits)];
        RecordReader r;
        Op op;
        bool more;
        record_begin(&record, 1);
        record_op(&record,
                  &(Op){
                      .kind = OP_QUOTA, .limit = {octets, messages}
        },
                  NULL);
        check_ok(record_open(buf_slice(&record), &r));
        check_ok(record_next(&r, &op, &more));
        check_u64(op.limit[QUOTA_STORAGE], octets ? octets : QUOTA_NONE);
        check_u64(op.limit[QUOTA_MESSAGE], messages ? messages : QUOTA_NONE);
        check_u64(op.limit[QUOTA_ANNOTATION], QUOTA_NONE);
    }
}

TEST(a_list_that_was_not_given_is_empty)
{
    Buf record buf_scoped = {0};
    RecordReader r;
    Op op;
    bool more;
    UidRange range;
    record_begin(&record, 1);
    record_op(&record, &(Op){.kind = OP_UNLINK, .mailbox = 1}, NULL);
    check_ok(record_open(buf_slice(&record), &r));
    check_ok(record_next(&r, &op, &more));
    check(!op_range_next(&op.uids, &range));
}

TEST(changes_of_notes_end_where_they_are_bad)
{
    Reader in = reader(S("\0\1\2/a\1v"));
    NoteChange n;
    check(note_change_next(&in, &n));
    check(!note_change_next(&in, &n));
    check(!in.bad);
    in = reader(S("\0\2\2/a\1v\0\1\2/b\1w")); /* present: 2 */
    check(!note_change_next(&in, &n));
    check(!note_change_next(&in, &n));
}

TEST(ten_thousand_flags_are_one_small_operation)
{
    Buf record buf_scoped = {0};
    UidRange range = {1, 10000};
    UidSet all = {.ranges = &range, .count = 1};
    record_begin(&record, 1700000000);
    record_op(&record, &(Op){.kind = OP_FLAG, .mailbox = 1, .flags = 1}, &(OpLists){.uids = &all});
    check(record.len < 24);
    check_ok(read_all(buf_slice(&record)));
}

TEST(long_payloads_get_longer_lengths)
{
    for (size_t len = 100; len < 70000; len = len * 5 / 4) {
        Buf record buf_scoped = {0}, value buf_scoped = {0};
        memset(buf_reserve(&value, len), 'v', len);
        value.len = len;
        Op put = {.kind = OP_OBJECT,
                  .on = true,
                  .name = S("c"),
                  .id = S("i"),
                  .value = buf_slice(&value)};
        record_begin(&record, 1);
        record_op(&record, &put, NULL);
        RecordReader r;
        Op op;
        bool more;
        check_ok(record_open(buf_slice(&record), &r));
        check_ok(record_next(&r, &op, &more));
        check_slice(op.value, put.value);
        check_ok(record_next(&r, &op, &more));
        check(!more);
    }
}
