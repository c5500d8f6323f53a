/* Whatever is in a text is never ruled out, alone or in a block. First octet: length of the needle;
 * second: where in the text it is taken from. */
#include "store/bloom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) return 0;
    Slice text = slice(data + 2, size - 2);
    size_t from = data[1] % (text.len - 2);
    Slice needle = slice_first(slice_from(text, from), 3 + (size_t)data[0]);
    Buf bits buf_scoped = {0}, rows buf_scoped = {0};
    unsigned log = bloom_make(&bits, text);
    must(log >= BLOOM_LOG_LEAST && log <= BLOOM_LOG_MOST && bits.len == bloom_octets(log));
    BloomNeedle n;
    must(bloom_needle(needle, &n));
    must(bloom_may_have(buf_slice(&bits), log, &n));
    if (log > 12) return 0;
    Slice columns[] = {buf_slice(&bits), buf_slice(&bits)};
    bloom_slice(&rows, columns, 2, log);
    uint64_t candidates[BLOOM_BLOCK / 64];
    memset(candidates, 0xff, sizeof candidates);
    for (size_t i = 0; i < n.count; i++) {
        size_t row = n.hashes[i] & ((1u << log) - 1);
        must(bloom_and_row(candidates, slice(rows.at + row * BLOOM_ROW, BLOOM_ROW)));
    }
    must(candidates[0] == 3);
    return 0;
}
