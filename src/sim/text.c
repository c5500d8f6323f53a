/* A message's octets follow from its token, so whoever reads it can tell whether they are right. */
#include "sim/sim.h"

static const char mark[] = "X-Sim: ";

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Mostly small; some that span sectors and pages; in some worlds some that get files of their own;
 * dots where SMTP and POP3 stuff them. */
static void body(Buf *out, uint64_t random, bool big)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyz .0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    uint64_t kind = next(&random) % 64;
    size_t len = next(&random) % (kind == 0 ? 40000 : kind < 8 ? 6000 : 600);
    if (big) len += BLOB_INLINE_MOST;
    for (size_t end = out->len + len; out->len < end;) {
        uint64_t r = next(&random);
        if (r % 16 == 0) buf_char(out, '.');
        for (size_t n = r >> 8 & 63; n; n--)
            buf_char(out, letters[next(&random) % (sizeof letters - 1)]);
        buf_add(out, S("\r\n"));
    }
}

void text_put(Buf *out, const World *w, uint32_t token)
{
    uint64_t random = w->plan.seed * 1000003 + token;
    buf_printf(out,
               "%s%u\r\nFrom: sender@example.net\r\nTo: u00001@localhost\r\n"
               "Subject: token %u\r\nMessage-ID: <%u.%llu@sim>\r\n\r\n",
               mark, token, token, token, (unsigned long long)w->plan.seed);
    body(out, random, w->plan.seed % 16 == 9 && token % 16 == 3);
}

bool text_check(const World *w, Slice octets, uint32_t *token, Slice *before)
{
    size_t at = slice_find_slice(octets, slice_of(mark));
    Slice ours = slice_from(octets, at), number = slice_from(ours, sizeof mark - 1);
    uint64_t n;
    Buf wanted buf_scoped = {0};
    if (!slice_to_u64(slice_first(number, slice_find(number, '\r')), &n) || n > w->tokens)
        return false;
    text_put(&wanted, w, (uint32_t)n);
    *token = (uint32_t)n;
    *before = slice_first(octets, at);
    return slice_eq(ours, buf_slice(&wanted));
}
