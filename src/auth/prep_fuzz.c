/* SASLprep: what is prepared is UTF-8 and stays as it is when it is prepared again; so is a login,
 * which is short, too. */
#include "auth/auth.h"
#include "auth/prep.h"
#include "base/fuzz.h"
#include "base/text.h"

static void check_prep(Slice given)
{
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    if (saslprep(given, &once)) return;
    must(utf8_is_valid(buf_slice(&once)));
    if (saslprep(buf_slice(&once), &twice)) return; /* "MUST NOT" of what it became */
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

static void check_login(Slice given)
{
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    if (login_normalise(given, &once)) return;
    must(once.len && once.len <= 255 && utf8_is_valid(buf_slice(&once)));
    if (login_normalise(buf_slice(&once), &twice)) return;
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_prep(slice(data, size));
    check_login(slice(data, size));
    return 0;
}
