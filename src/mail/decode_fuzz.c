/* First octet: the encoding, second: how the rest is cut. Cut anywhere, the same result. */
#include "base/fuzz.h"
#include "mail/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    Buf whole buf_scoped = {0}, cut buf_scoped = {0};
    ContentDecoder a = {.encoding = data[0] % (CTE_UNKNOWN + 1)}, b = a;
    Slice text = slice(data + 2, size - 2);
    content_decode(&a, text, &whole);
    content_decode_end(&a, &whole);
    for (size_t i = 0, n; i < text.len; i += n) {
        n = MIN(1u + data[1] % 16, text.len - i);
        content_decode(&b, slice(text.at + i, n), &cut);
    }
    content_decode_end(&b, &cut);
    must(slice_eq(buf_slice(&whole), buf_slice(&cut)) && a.bad == b.bad);
    must(whole.len <= text.len);
    return 0;
}
