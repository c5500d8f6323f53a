/* The truth about one message: is this text in it? RFC 9051 6.4.4, BODY and TEXT. */
#include "mail/casemap.h"
#include "mail/mail.h"
#include "store/signature.h"

enum { PIECE = 64 * 1024 };

typedef struct {
    Slice needle;
    MailFold *fold; /* NULL: casemap */
    bool hunts;     /* looks for it */
    bool found;
    bool learns; /* the index lacks this message: collect its text ... */
    bool whole;  /* ... unless there is too much of it */
    Buf text;    /* what the scan has just made */
    Buf all;
    size_t body_from; /* in `all` */
} Hunt;

static void look(Hunt *h)
{
    Slice text = buf_slice(&h->text);
    if (h->hunts && !h->found) h->found = casemap_contains(text, h->needle);
    if (h->learns && h->whole) buf_add(&h->all, text);
    h->whole = h->whole && signature_is_whole(slice_from(buf_slice(&h->all), h->body_from));
    buf_clear(&h->text); /* the scan's limit counts what is in it: so the whole message is seen */
}

static PARKS Err look_at_header(Account *a, uint32_t eid, Hunt *h, uint32_t len)
{
    if (!h->hunts && !h->learns) return OK;
    Buf header buf_scoped = {0};
    len = MIN(len, (uint32_t)MAIL_TEXT_MOST);
    TRY(email_read(a, eid, 0, buf_reserve(&header, len), len));
    header.len = len;
    signature_header_text(&h->all, buf_slice(&header), h->fold);
    h->body_from = h->all.len;
    if (h->hunts) h->found = casemap_contains(buf_slice(&h->all), h->needle);
    return OK;
}

static PARKS Err look_at_body(Account *a, uint32_t eid, Hunt *h, uint32_t size, bool bodies_only)
{
    Arena arena arena_scoped = {0};
    Buf piece buf_scoped = {0};
    MailScan *scan scoped(mail_scan) = mail_scan_new(&h->text);
    if (bodies_only) mail_scan_text_of(scan, MAIL_TEXT_BODIES);
    if (h->fold) mail_scan_fold_with(scan, h->fold);
    buf_reserve(&piece, PIECE);
    for (uint32_t at = 0; at < size && ((h->hunts && !h->found) || h->learns); at += PIECE) {
        size_t len = MIN(size - at, (uint32_t)PIECE);
        TRY(email_read(a, eid, at, piece.at, len));
        mail_scan_feed(scan, slice(piece.at, len));
        look(h);
        breathe();
    }
    MailSummary summary;
    mail_scan_end(scan, &arena, &summary);
    look(h);
    return OK;
}

/* The index holds headers too, so learning and looking for a BODY (RFC 9051 6.4.4: "this doesn't
 * match any header fields") are two readings. */
static PARKS Err hunt(Account *a, uint32_t eid, Hunt *h, bool body_only)
{
    Arena arena arena_scoped = {0};
    EmailDetails details;
    TRY(email_details(a, eid, &arena, &details));
    h->hunts = !body_only;
    TRY(look_at_header(a, eid, h, details.header_len));
    if (h->learns || (h->hunts && !h->found)) TRY(look_at_body(a, eid, h, details.size, false));
    if (h->learns) signature_add(a, eid, (Slice){0}, buf_slice(&h->all), h->whole);
    h->learns = false;
    h->hunts = body_only;
    return body_only ? look_at_body(a, eid, h, details.size, true) : OK;
}

PARKS Err email_contains(Account *a, uint32_t eid, Slice needle, bool body_only, bool *found)
{
    Hunt h = {.needle = needle, .learns = signature_is_missing(a, eid), .whole = true};
    Err err = hunt(a, eid, &h, body_only);
    buf_done(&h.text);
    buf_done(&h.all);
    if (!err) *found = h.found;
    return err;
}

PARKS Err email_contains_folded(Account *a, uint32_t eid, Slice needle,
                                void (*fold)(Buf *out, Slice utf8), bool body_only, bool *found)
{
    Hunt h = {.needle = needle, .fold = fold};
    Err err = hunt(a, eid, &h, body_only);
    buf_done(&h.text);
    buf_done(&h.all);
    if (!err) *found = h.found;
    return err;
}

PARKS Err email_has(Account *a, uint32_t eid, const TextQuestion *q, bool *found)
{
    if (q->fold) return email_contains_folded(a, eid, q->needle, q->fold, q->body_only, found);
    return email_contains(a, eid, q->needle, q->body_only, found);
}

/* ---- all of it ---- */

PARKS Err email_text(Account *a, uint32_t eid, MailTextOf what, Buf *text)
{
    Arena arena arena_scoped = {0};
    Buf body buf_scoped = {0}, piece buf_scoped = {0};
    EmailDetails d;
    MailSummary summary;
    TRY(email_details(a, eid, &arena, &d));
    uint32_t len = MIN(d.header_len, (uint32_t)MAIL_TEXT_MOST);
    buf_reserve(&piece, MAX(len, (uint32_t)PIECE));
    if (what == MAIL_TEXT_ALL) {
        TRY(email_read(a, eid, 0, piece.at, len));
        signature_header_text(text, slice(piece.at, len), NULL);
    }
    MailScan *scan scoped(mail_scan) = mail_scan_new(&body);
    mail_scan_text_of(scan, what);
    for (uint32_t at = 0; at < d.size && body.len < MAIL_TEXT_MOST; at += PIECE) {
        size_t some = MIN(d.size - at, (uint32_t)PIECE);
        TRY(email_read(a, eid, at, piece.at, some));
        mail_scan_feed(scan, slice(piece.at, some));
        breathe();
    }
    mail_scan_end(scan, &arena, &summary);
    buf_add(text, buf_slice(&body));
    return OK;
}
