/* Records of sessions: what fits is the same when it is written again. The first octet is the kind.
 */
#include "base/fuzz.h"
#include "pop3/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena arena arena_scoped = {0};
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    Pop3Record r;
    if (!size) return 0;
    HandoverKind kind = (HandoverKind)(data[0] % 3);
    if (pop3_record_read(slice((const char *)data + 1, size - 1), kind, &arena, &r)) return 0;
    for (size_t k = 0; k < COUNT(r.marked); k++)
        for (size_t i = 0; i < r.marked[k].count; i++)
            must(r.marked[k].ranges[i].first && r.marked[k].ranges[i].last <= r.count);
    pop3_record_write(&once, kind, &r);
    must(!pop3_record_read(buf_slice(&once), kind, &arena, &r));
    pop3_record_write(&twice, kind, &r);
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
