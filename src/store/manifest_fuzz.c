/* A backup's manifest: with its checksum or with one that we put right; what is read and written
 * again is the same. */
#include "base/fuzz.h"
#include "store/backup.h"
#include "store/digest.h"

static void check(Slice text)
{
    Manifest m, again;
    Buf written buf_scoped = {0};
    if (manifest_decode(text, &m)) return;
    manifest_encode(&written, &m);
    must(!manifest_decode(buf_slice(&written), &again));
    must(m.segments.count == again.segments.count && m.big.count == again.big.count);
    manifest_done(&m);
    manifest_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sha256[32];
    Buf sealed buf_scoped = {0};
    Slice text = slice(data, size);
    check(text);
    digest_of(text, sha256);
    buf_add(&sealed, text);
    buf_add(&sealed, S("sha256 "));
    for (size_t i = 0; i < sizeof sha256; i++)
        buf_printf(&sealed, "%02x", sha256[i]);
    buf_char(&sealed, '\n');
    check(buf_slice(&sealed));
    return 0;
}
