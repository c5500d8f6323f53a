#include "base/fuzz.h"
#include "store/record.h"

/* What was accepted can be walked, and written again gives the same octets: there is one way to say
 * a thing. */
typedef struct {
    UidSet uids;
    uint32_t *keywords, *unwanted;
    uint32_t keyword_count, unwanted_count;
} Lists;

static uint32_t *numbers(Arena *a, OpNumbers n, uint32_t *count)
{
    uint32_t *list = arena_array(a, uint32_t, n.count + 1), id, said = n.count;
    for (*count = 0; op_number_next(&n, &id);)
        list[(*count)++] = id;
    must(*count == said);
    return list;
}

/* Ranges that touch are kept apart here, as they were written. */
static UidSet ranges(Arena *a, OpRanges r)
{
    UidSet s = {.ranges = arena_array(a, UidRange, r.count + 1)};
    uint32_t last = 0;
    for (UidRange range; op_range_next(&r, &range); last = range.last) {
        must(range.first > last && range.last >= range.first);
        s.ranges[s.count++] = range;
    }
    return s;
}

static void write_again(Buf *out, Arena *a, const Op *op)
{
    Lists l = {.uids = ranges(a, op->uids)};
    l.keywords = numbers(a, op->keywords, &l.keyword_count);
    l.unwanted = numbers(a, op->unwanted, &l.unwanted_count);
    record_op(out, op,
              &(OpLists){.uids = &l.uids,
                         .keywords = l.keywords,
                         .unwanted = l.unwanted,
                         .keyword_count = l.keyword_count,
                         .unwanted_count = l.unwanted_count});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Buf again buf_scoped = {0};
    RecordReader r;
    Op op;
    bool more = true;
    if (record_open(slice(data, size), &r)) return 0;
    record_begin(&again, r.time);
    while (more) {
        Err err = record_next(&r, &op, &more);
        if (err) return 0;
        if (more) write_again(&again, &a, &op);
    }
    must(slice_eq(buf_slice(&again), slice(data, size)));
    return 0;
}
