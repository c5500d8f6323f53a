/* Records of conversations: what fits is the same when it is written again. The first octet says
 * whether it is LMTP. */
#include "base/fuzz.h"
#include "smtp/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    if (!size) return 0;
    Smtp s = {.lmtp = data[0] & 1};
    if (smtp_record_read(slice((const char *)data + 1, size - 1), &s)) return 0;
    must(s.stage <= GREETED && strlen(s.hello) < sizeof s.hello);
    must(smtp_record_write(&s, &once));
    must(!smtp_record_read(buf_slice(&once), &s));
    must(smtp_record_write(&s, &twice));
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
