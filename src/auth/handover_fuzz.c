/* A record from a front that has been taken over: nobody is in it who has not been vouched for; and
 * what fits without a key says the same when it is written again. */
#include "auth/handover.h"
#include "base/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const GrantKey key = {.octets = "what the fuzzer cannot know"};
    Slice record = slice((const char *)data, size);
    Buf again buf_scoped = {0};
    Handover h, same;
    AuthUser user = {0};
    Err err = handover_read(record, S("imap"), &key, &h);
    must(err || h.kind == HANDOVER_STRANGER);
    if (handover_read(record, S("imap"), NULL, &h)) return 0;
    memcpy(user.login, h.login.at, h.login.len);
    user.guest = h.guest;
    handover_write(&again, h.kind, S("imap"), h.kind == HANDOVER_STRANGER ? NULL : &user, h.body);
    must(!handover_read(buf_slice(&again), S("imap"), NULL, &same));
    must(same.kind == h.kind && slice_eq(same.login, h.login) && slice_eq(same.body, h.body));
    must(h.kind == HANDOVER_STRANGER || same.guest == h.guest);
    return 0;
}
