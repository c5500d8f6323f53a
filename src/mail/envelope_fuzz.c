/* An ENVELOPE as it is stored, which is untrusted: reading its values stays within it; and what is
 * made of a header is read back. */
#include "base/fuzz.h"
#include "mail/envelope.h"
#include "mail/wire.h"

static void read_all(Slice text)
{
    static const EnvelopeField fields[] = {ENVELOPE_SUBJECT, ENVELOPE_FROM, ENVELOPE_TO,
                                           ENVELOPE_CC};
    Arena a arena_scoped = {0};
    for (size_t i = 0; i < COUNT(fields); i++) {
        MailAddress first;
        must(envelope_text(text, fields[i], &a).len <= text.len);
        if (envelope_first_address(text, fields[i], &a, &first))
            must(first.mailbox.len + first.host.len <= text.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Buf made buf_scoped = {0};
    Fields fields;
    Slice text = slice(data, size);
    must(wire_skip(text) <= size);
    read_all(text);
    fields_read(text, &fields);
    envelope(&made, &a, &fields);
    must(wire_skip(buf_slice(&made)) == made.len);
    read_all(buf_slice(&made));
    return 0;
}
