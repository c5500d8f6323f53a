/* UIDBATCHES, draft-ietf-mailmaint-imap-uidbatches (RFC 10022): ranges of UIDs that cut the mailbox
 * into batches of so many messages, newest first, without a gap between them. */
#include "imap/session.h"

enum {
    SIZE_LEAST = 500,     /* 3.1.3.2: smaller ones would be message numbers again */
    BATCHES_MOST = 20000, /* in one answer; at least 100,000 messages have to fit */
};

/* Batch number n from 1 holds the messages first..last of the view. */
static uint32_t lowest_uid(Imap *s, uint64_t n, uint32_t size)
{
    uint64_t newer = n * size;
    uint32_t exists = view_exists(s->view);
    return newer < exists ? view_uid(s->view, (uint32_t)(exists - newer) + 1) : 1;
}

PARKS static void tell_batches(Imap *s, uint32_t size, uint64_t from, uint64_t to)
{
    Buf *out = stream_out(s->stream);
    uint32_t exists = view_exists(s->view);
    buf_add(out, S("* UIDBATCHES (TAG "));
    imap_put_string(out, s->in->tag);
    buf_char(out, ')');
    for (uint64_t n = from; n <= to && (n - 1) * size < exists; n++) {
        uint32_t high = n > 1 ? lowest_uid(s, n - 1, size) - 1 : view_uid(s->view, exists);
        buf_printf(out, "%c%u:%u", n == from ? ' ' : ',', high, lowest_uid(s, n, size));
        (void)stream_drain(s->stream);
    }
    buf_add(out, S("\r\n"));
}

/* "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number] */
Err imap_cmd_uidbatches(Imap *s)
{
    imap_space(s->in);
    uint32_t size = imap_nz_number(s->in), from = 1, to = 0;
    if (imap_see(s->in, " ")) {
        from = imap_nz_number(s->in);
        imap_need(s->in, ":");
        to = imap_nz_number(s->in);
    }
    TRY(imap_end(s->in));
    if (to && to < from) return imap_bad(s, "[CLIENTBUG] The first batch comes behind the last");
    if (size < SIZE_LEAST) return imap_no(s, "[TOOFEW] Minimum batch size is %d", SIZE_LEAST);
    uint64_t all = ((uint64_t)view_exists(s->view) + size - 1) / size;
    uint64_t last = to ? MIN((uint64_t)to, all) : all;
    if (last >= from && last - from >= BATCHES_MOST)
        return imap_no(s, "[TOOMANY] Too many batches; ask for some of them");
    tell_batches(s, size, from, last);
    return imap_ok(s, "UIDBATCHES completed");
}
