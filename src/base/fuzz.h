#pragma once
/* What a fuzz target NAME_fuzz.c defines: asserts (must) properties of what is done with the bytes
 * and returns 0. Linked with libFuzzer, or with fuzz_main.c, which runs it over its corpus. */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Limits are large and seeds are small: 0xfe m n in the input says the m octets before it n * 64
 * times more. At most `most` octets. */
static inline void fuzz_spread(Slice in, size_t most, Buf *out)
{
    for (size_t i = 0; i < in.len && out->len < most; i++) {
        size_t m = i + 2 < in.len ? (uint8_t)in.at[i + 1] : 0;
        if (in.at[i] != (char)0xfe || !m || m > out->len) {
            buf_char(out, in.at[i]);
            continue;
        }
        size_t times = MIN((uint8_t)in.at[i + 2] * (size_t)64, (most - out->len) / m);
        size_t from = out->len - m;
        buf_reserve(out, m * times);
        for (size_t k = 0; k < times; k++)
            buf_add(out, slice(out->at + from, m));
        i += 2;
    }
}
