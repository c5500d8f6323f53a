/* Headers in another charset: in UTF-8 everything fits, and once it is there it stays as it is. */
#include "base/fuzz.h"
#include "mail/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 16 * 1024) return 0;
    Slice header = slice((const char *)data, size);
    const Charset *utf8 = charset_find(S("utf-8")), *koi8 = charset_find(S("koi8-r"));
    Buf once = {0}, twice = {0}, other = {0};
    must(convert_header(header, utf8, S(""), &once));
    must(convert_header(buf_slice(&once), utf8, S(""), &twice));
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    must(convert_header(header, koi8, S("?"), &other));
    buf_clear(&other);
    (void)!charset_from_utf8(koi8, header, S("?"), &other);
    convert_line_ends(header, &other);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&other);
    return 0;
}
