/* The head of a message on its way in or out: decoded whole or refused; what was decoded comes back
 * from its encoding; no prefix of that is taken for it. */
#include "base/fuzz.h"
#include "house/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TransferMeta m, again;
    Buf frame buf_scoped = {0}, frame_again buf_scoped = {0};
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
