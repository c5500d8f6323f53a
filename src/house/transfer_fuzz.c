/* The head of a message on its way in or out, and what restore brings besides: decoded whole or
 * refused; what was decoded comes back from its encoding; no prefix of that is taken for it. */
#include "base/fuzz.h"
#include "house/transfer.h"

static void feed_rights(Slice value)
{
    Buf again buf_scoped = {0};
    Reader in = reader(value);
    Slice identifier;
    uint32_t acct;
    Rights rights;
    bool more = true;
    while (more && !thing_right(&in, &identifier, &acct, &rights, &more))
        if (more) thing_put_right(&again, identifier, acct, rights);
    must(again.len <= value.len);
}

static void feed_thing(Slice frame)
{
    Thing t, again;
    Quota q;
    Buf out buf_scoped = {0}, value buf_scoped = {0};
    Err err = thing_decode(frame, &t);
    must(err == OK || err == ERR_SYNTAX);
    if (err) return;
    thing_encode(&out, &t);
    must(thing_decode(buf_slice(&out), &again) == OK);
    must(t.kind == again.kind && slice_eq(t.mailbox, again.mailbox) &&
         slice_eq(t.name, again.name) && slice_eq(t.value, again.value) &&
         slice_eq(t.login, again.login) && t.acct == again.acct && t.number == again.number);
    for (size_t len = 0; len < out.len; len++)
        must(thing_decode(slice(out.at, len), &again) == ERR_SYNTAX);
    feed_rights(t.value);
    if (thing_quota(t.value, &q)) return;
    thing_put_quota(&value, &q);
    must(slice_eq(buf_slice(&value), t.value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TransferMeta m, again;
    Buf frame buf_scoped = {0}, frame_again buf_scoped = {0};
    feed_thing(slice(data, size));
    Err err = transfer_meta_decode(slice(data, size), &m);
    must(err == OK || err == ERR_SYNTAX);
    if (err) return 0;
    transfer_meta_encode(&frame, &m);
    must(transfer_meta_decode(buf_slice(&frame), &again) == OK);
    must(slice_eq(m.mailbox, again.mailbox) && slice_eq(m.keywords, again.keywords) &&
         slice_eq(m.key, again.key) && m.date == again.date && m.size == again.size &&
         m.uid == again.uid && m.uid_validity == again.uid_validity &&
         m.uid_next == again.uid_next && m.flags == again.flags);
    transfer_meta_encode(&frame_again, &again);
    must(slice_eq(buf_slice(&frame), buf_slice(&frame_again)));
    for (size_t len = 0; len < frame.len; len++)
        must(transfer_meta_decode(slice(frame.at, len), &again) == ERR_SYNTAX);
    return 0;
}
