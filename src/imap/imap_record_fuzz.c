/* Records of sessions: what fits is the same when it is written again. The first octet chooses. */
#include "base/fuzz.h"
#include "imap/record.h"

static void at_rest(Slice body)
{
    Arena arena arena_scoped = {0};
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    ImapRecord r;
    if (imap_read_at_rest(body, &arena, &r)) return;
    imap_record_at_rest(&once, &r);
    must(!imap_read_at_rest(buf_slice(&once), &arena, &r));
    imap_record_at_rest(&twice, &r);
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

static void logged_in(Slice body)
{
    Buf once buf_scoped = {0}, twice buf_scoped = {0};
    ImapRecord r;
    if (imap_read_logged_in(body, &r)) return;
    for (size_t i = 0; i < r.tag.len; i++)
        must(r.tag.at[i] > ' ' && r.tag.at[i] < 0x7f);
    imap_record_logged_in(&once, &r);
    must(!imap_read_logged_in(buf_slice(&once), &r));
    imap_record_logged_in(&twice, &r);
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    Slice body = slice((const char *)data + 1, size - 1);
    if (data[0] % 2)
        at_rest(body);
    else
        logged_in(body);
    return 0;
}
