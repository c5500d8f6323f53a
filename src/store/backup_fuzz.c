/* Manifests of backups: what decodes is what encodes again, and lines are read or refused. The seal
 * is put on, or nothing but it would be tried. */
#include "base/fuzz.h"
#include "base/text.h"
#include "store/backup.h"
#include "store/digest.h"

static void decode(Slice text)
{
    Manifest m, again;
    if (manifest_decode(text, &m)) return;
    Buf first buf_scoped = {0}, second buf_scoped = {0};
    manifest_encode(&first, &m);
    must(!manifest_decode(buf_slice(&first), &again));
    manifest_encode(&second, &again);
    must(slice_eq(buf_slice(&first), buf_slice(&second)));
    manifest_done(&m);
    manifest_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice text = slice(data, size);
    Buf sealed buf_scoped = {0};
    uint8_t sha256[32];
    BackupFile f;
    decode(text);
    digest_of(text, sha256);
    buf_add(&sealed, text);
    buf_add(&sealed, S("sha256 "));
    hex_encode(&sealed, slice(sha256, sizeof sha256));
    buf_char(&sealed, '\n');
    decode(buf_slice(&sealed));
    if (!backup_line_decode(text, "segment", &f)) (void)!backup_line_decode(text, "big", &f);
    return 0;
}
