/* FETCH BINARY[part] and BINARY.SIZE[part], RFC 3516 and RFC 9051 6.4.5: a part is decoded twice,
 * once to know what its literal has to announce, once to send it; so nothing has to be held. */
#include "imap/fetch.h"
#include "mail/decode.h"

enum { PIECE = 64 * 1024 };

typedef struct {
    Stream *stream;
    Account *account;
    uint32_t eid;
    const MailPart *part;
    ContentDecoder decoder;
    Buf raw, decoded;
    bool to_crlf; /* RFC 3516 6: line-oriented text goes out with CRLF */
    char last;    /* octet before `decoded` */
    /* what the partial asks for, and what was found */
    uint64_t from, end;
    uint64_t size, lines;
    bool has_nul; /* in from..end */
    bool looks;   /* at lines and 8 bits, too */
    bool has_8bit;
    bool is_sent; /* second time: from..end goes to the stream */
} Decoding;

static void decoding_done(Decoding *d)
{
    buf_done(&d->raw);
    buf_done(&d->decoded);
}

/* Only what was hidden by an encoding: everything else is stored with CRLF. UTF-16 and UTF-32 have
 * octets that look like LF. */
static bool needs_crlf(const MailPart *part)
{
    bool hidden = part->encoding == CTE_BASE64 || part->encoding == CTE_QUOTED_PRINTABLE;
    bool wide = slice_starts_nocase(part->charset, S("utf-16")) ||
                slice_starts_nocase(part->charset, S("utf-32")) ||
                slice_starts_nocase(part->charset, S("ucs-")) ||
                slice_starts_nocase(part->charset, S("iso-10646-ucs-"));
    return part->kind == PART_TEXT && hidden && !wide;
}

static void give(Decoding *d, Slice octets)
{
    uint64_t at = d->size;
    d->size += octets.len;
    if (d->size <= d->from || at >= d->end) return;
    if (at < d->from) octets = slice_from(octets, (size_t)(d->from - at)), at = d->from;
    octets = slice_first(octets, (size_t)MIN(d->end - at, (uint64_t)SIZE_MAX));
    if (d->is_sent)
        buf_add(stream_out(d->stream), octets);
    else if (octets.len && !d->has_nul)
        d->has_nul = memchr(octets.at, 0, octets.len) != NULL;
}

/* For its BODY: all of it, before anything is sent. */
static void look(Decoding *d, Slice octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        d->lines += octets.at[i] == '\n';
        d->has_8bit = d->has_8bit || (unsigned char)octets.at[i] >= 0x80;
    }
}

/* Bare LFs become CRLF. */
static void give_lines(Decoding *d, Slice octets)
{
    while (octets.len) {
        size_t nl = slice_find(octets, '\n');
        give(d, slice_first(octets, nl));
        if (nl) d->last = octets.at[nl - 1];
        if (nl == octets.len) return;
        give(d, d->last == '\r' ? S("\n") : S("\r\n"));
        d->last = '\n';
        octets = slice_from(octets, nl + 1);
    }
}

static void give_decoded(Decoding *d)
{
    if (d->looks) look(d, buf_slice(&d->decoded));
    if (d->to_crlf)
        give_lines(d, buf_slice(&d->decoded));
    else
        give(d, buf_slice(&d->decoded));
    buf_clear(&d->decoded);
}

PARKS static Err decode_once(Decoding *d)
{
    const MailPart *part = d->part;
    d->decoder = (ContentDecoder){.encoding = part->encoding};
    d->size = 0, d->last = 0;
    buf_reserve(&d->raw, PIECE);
    for (uint64_t done = 0; done < part->body_len && !stream_error(d->stream);) {
        size_t len = (size_t)MIN((uint64_t)PIECE, part->body_len - done);
        TRY(email_read(d->account, d->eid, part->body_at + done, d->raw.at, len));
        content_decode(&d->decoder, slice(d->raw.at, len), &d->decoded);
        done += len;
        if (done == part->body_len) content_decode_end(&d->decoder, &d->decoded);
        give_decoded(d);
        if (d->is_sent) (void)stream_drain(d->stream);
        breathe();
    }
    return OK;
}

static Decoding decoding(Fetching *f, const FetchItem *item, const MailPart *part)
{
    Decoding d = {.stream = f->s->stream,
                  .account = mailbox_account(f->s->box),
                  .eid = f->m.eid,
                  .part = part,
                  .end = UINT64_MAX,
                  .to_crlf = needs_crlf(part)};
    if (item->partial) {
        d.from = item->offset;
        d.end = item->offset + item->most; /* both have 63 bits */
    }
    return d;
}

static void put_nothing(Fetching *f, const FetchItem *item, Err err)
{
    Buf *out = stream_out(f->s->stream);
    fetch_name(out, item);
    buf_add(out, item->type == ITEM_BINARY ? S("NIL") : S("0"));
    if (err != ERR_NOT_FOUND && !f->trouble) f->trouble = err;
}

/* The literal, when decode_once has told how long it is. */
PARKS static void put_octets(Decoding *d, const FetchItem *item)
{
    uint64_t at = 0, len = d->size;
    fetch_clip(item, &at, &len);
    fetch_literal_head(stream_out(d->stream), len, d->has_nul);
    d->is_sent = true;
    Err err = decode_once(d);
    if (err) stream_fail(d->stream, err); /* the literal is announced already */
}

PARKS static void put_decoded(Decoding *d, const FetchItem *item)
{
    fetch_name(stream_out(d->stream), item);
    put_octets(d, item);
}

void fetch_binary(Fetching *f, const FetchItem *item)
{
    MailPart part;
    Err err = section_binary(mailbox_account(f->s->box), &f->m, &item->section, &f->arena, &part);
    Decoding d = err ? (Decoding){0} : decoding(f, item, &part);
    if (!err) err = decode_once(&d);
    if (err)
        put_nothing(f, item, err);
    else
        put_decoded(&d, item);
    decoding_done(&d);
}

void fetch_binary_size(Fetching *f, const FetchItem *item)
{
    MailPart part;
    Err err = section_binary(mailbox_account(f->s->box), &f->m, &item->section, &f->arena, &part);
    Decoding d = err ? (Decoding){0} : decoding(f, item, &part);
    bool as_it_is = part.encoding != CTE_BASE64 && part.encoding != CTE_QUOTED_PRINTABLE;
    if (!err && as_it_is)
        d.size = part.body_len;
    else if (!err)
        err = decode_once(&d);
    if (err) {
        put_nothing(f, item, err);
    } else {
        fetch_name(stream_out(f->s->stream), item);
        buf_number(stream_out(f->s->stream), d.size);
    }
    decoding_done(&d);
}

/* ---- of any message (urlfetch.c) ---- */

/* Which of the encodings that change nothing (RFC 2045 6.2) it would be sent with. */
static const char *identity(const Decoding *d)
{
    if (d->has_nul || d->part->kind != PART_TEXT) return "BINARY";
    return d->has_8bit ? "8BIT" : "7BIT";
}

PARKS Err fetch_decoded_shape(Stream *stream, Account *account, uint32_t eid, const MailPart *part,
                              FetchDecoded *shape)
{
    Decoding d = {.stream = stream,
                  .account = account,
                  .eid = eid,
                  .part = part,
                  .end = UINT64_MAX,
                  .looks = true,
                  .to_crlf = needs_crlf(part)};
    Err err = decode_once(&d);
    *shape = (FetchDecoded){.size = d.size, .lines = d.lines, .encoding = identity(&d)};
    decoding_done(&d);
    return err;
}

PARKS Err fetch_put_decoded(Stream *stream, Account *account, uint32_t eid, const MailPart *part,
                            const FetchItem *range)
{
    Decoding d = {.stream = stream,
                  .account = account,
                  .eid = eid,
                  .part = part,
                  .end = UINT64_MAX,
                  .to_crlf = needs_crlf(part)};
    if (range->partial) d.from = range->offset, d.end = range->offset + range->most;
    Err err = decode_once(&d);
    if (!err) put_octets(&d, range);
    decoding_done(&d);
    return err;
}
