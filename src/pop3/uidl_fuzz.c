/* A format that passes the check makes sound ids, another one for every uid and file. */
#include "base/fuzz.h"
#include "pop3/uidl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice in = slice(data, size);
    Buf a buf_scoped = {0}, b buf_scoped = {0}, kept buf_scoped = {0};
    KeptUidl k, again;
    if (uidl_kept(in, &k)) {
        uidl_keep(&kept, &k);
        must(uidl_kept(buf_slice(&kept), &again) && slice_eq(k.id, again.id));
        must(slice_eq(k.file, again.file));
    }
    if (uidl_format_check(in)) return 0;
    must(uidl_make(&a, in, 4000000000u, 7, S("1.a")));
    must(uidl_make(&b, in, 4000000000u, 8, S("2.a")));
    must(!slice_eq(buf_slice(&a), buf_slice(&b)));
    for (size_t i = 0; i < a.len; i++)
        must(a.at[i] >= 0x21 && a.at[i] <= 0x7e);
    return 0;
}
