#include "auth/credential.h"
#include "auth/scram.h"
#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    ScramFirst first;
    ScramFinal final;
    Credential c;
    Slice text = slice(data, size);
    if (!scram_first_parse(text, &a, &first)) {
        must(first.header.len + first.bare.len == size);
        must(first.username.len && first.nonce.len);
    }
    if (!scram_final_parse(text, &a, &final)) must(final.without_proof.len < size);
    if (!credential_decode(text, &c) && data[0] == 2) { /* version 1 is written as 2 */
        Buf again buf_scoped = {0};
        credential_encode(&again, &c);
        must(slice_eq(buf_slice(&again), text));
    }
    return 0;
}
