/* A message from another process: what is read is within its octets, and is put again as it was. */
#include "base/fuzz.h"
#include "base/memo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    Memo memo = {0};
    Slice octets = slice(data + 3, size - 3);
    CastRole from = (CastRole)(data[0] % CAST_COUNT), to = (CastRole)(data[1] % CAST_COUNT);
    if (memo_read(from, to, data[2], octets, &memo)) return 0;
    Buf again buf_scoped = {0};
    memo_put(&again, &memo);
    must(slice_eq(buf_slice(&again), octets));
    return 0;
}
