#include "store/draft.h"

#include "base/text.h"
#include "store/signature.h"

#include <stdlib.h>

enum { PIECE = 64 * 1024 };

/* ---- beginning and end of life ---- */

PARKS Err draft_begin(Store *store, uint64_t size_hint, Draft **draft)
{
    if (size_hint > store->options.message_most)
        return fail(ERR_TOO_BIG, "a message of %llu octets", (unsigned long long)size_hint);
    if (!mem_fits((size_t)MIN(size_hint, (uint64_t)BLOB_INLINE_MOST)))
        return fail(ERR_NO_MEMORY, "a message of %llu octets", (unsigned long long)size_hint);
    Draft *d = NEW(Draft);
    d->store = store;
    d->scan = mail_scan_new(&d->text);
    d->digest = digest_new();
    if (size_hint && size_hint <= BLOB_INLINE_MOST) buf_reserve(&d->body, (size_t)size_hint);
    *draft = d;
    return OK;
}

void draft_free(Draft *d)
{
    if (!d) return;
    if (d->writer) blob_abort(d->writer);
    mail_scan_free(d->scan);
    buf_done(&d->text);
    digest_free(d->digest);
    buf_done(&d->body);
    buf_done(&d->stored);
    arena_done(&d->arena);
    free(d);
}

uint64_t draft_size(const Draft *d)
{
    return d->size;
}

Slice draft_peek(const Draft *d)
{
    return d->writer ? (Slice){0} : buf_slice(&d->body);
}

/* ---- octets on their way ---- */

static void look_at_new(Draft *d)
{
    Slice fresh = slice_from(buf_slice(&d->body), d->scanned);
    if (!fresh.len) return;
    mail_scan_feed(d->scan, fresh);
    digest_add(d->digest, fresh);
    d->scanned = d->body.len;
}

static void keep_head(Draft *d)
{
    Slice body = buf_slice(&d->body), end = S("\r\n\r\n");
    d->head = arena_copy(&d->arena, slice_first(body, slice_find_slice(body, end) + end.len));
}

static PARKS Err spill(Draft *d)
{
    if (!d->writer) {
        TRY(blob_begin(d->store->engine, &d->writer));
        keep_head(d);
    }
    look_at_new(d);
    TRY(blob_write(d->writer, buf_slice(&d->body)));
    if (d->body.len > 2 * PIECE)
        buf_done(&d->body); /* from now on it is small */
    else
        buf_clear(&d->body);
    d->scanned = 0;
    return OK;
}

static PARKS Err settle(Draft *d)
{
    if (d->size > d->store->options.message_most)
        return fail(ERR_TOO_BIG, "a message of more than %llu octets",
                    (unsigned long long)d->store->options.message_most);
    if (d->body.len - d->scanned >= PIECE) look_at_new(d);
    bool full = d->writer ? d->body.len >= PIECE : d->body.len > BLOB_INLINE_MOST;
    return full ? spill(d) : OK;
}

static void put(Draft *d, Slice s)
{
    buf_add(&d->body, s);
    d->size += s.len;
}

/* Every line end becomes CRLF: a bare LF, and a bare CR too (RFC 5321 2.3.8 allows neither). */
static void put_line(Draft *d, Slice line)
{
    while (line.len) {
        size_t cr = slice_find(line, '\r');
        put(d, slice_first(line, cr));
        if (cr == line.len) return;
        put(d, S("\r\n"));
        line = slice_from(line, cr + 1);
    }
}

/* A CR at the end of what we have is held back: its LF may be the next octet. */
static void put_line_ends(Draft *d, Slice s)
{
    if (d->last_cr) {
        put(d, S("\r\n"));
        d->last_cr = false;
        if (*s.at == '\n') s = slice_from(s, 1);
    }
    while (s.len) {
        size_t lf = slice_find(s, '\n');
        bool ended = lf < s.len;
        Slice line = slice_first(s, lf);
        bool cr = line.len && line.at[line.len - 1] == '\r';
        put_line(d, slice_first(line, line.len - cr));
        d->last_cr = cr && !ended;
        if (ended) put(d, S("\r\n"));
        s = slice_from(s, lf + 1);
    }
}

/* A Buf that doubles. */
static size_t growth(const Buf *b, size_t more)
{
    return b->room - b->len >= more ? 0 : MAX(2 * b->room, b->len + more);
}

/* Line ends may double them; the text is taken from the body. What is small is not asked for. */
static Err has_memory(const Draft *d, size_t octets)
{
    size_t most = 2 * MIN(octets, (size_t)BLOB_INLINE_MOST);
    bool fits = mem_fits(growth(&d->body, most) + growth(&d->text, octets));
    return fits ? OK
                : fail(ERR_NO_MEMORY, "a message of more than %llu octets",
                       (unsigned long long)d->size);
}

PARKS Err draft_write(Draft *d, Slice octets)
{
    must(!d->ended);
    if (!d->err) d->err = has_memory(d, octets.len);
    while (octets.len && !d->err) {
        put_line_ends(d, slice_first(octets, PIECE));
        octets = slice_from(octets, PIECE);
        d->err = settle(d);
    }
    return d->err;
}

/* ---- what it says ---- */

/* RFC 8621 3: emails share a thread when they share a message id and a base subject. */
static void add_hash(Draft *d, Slice id)
{
    if (!id.len || d->hash_count == RECORD_HASHES_MOST) return;
    uint32_t hash = crc32c(crc32c(crc32c(0, id), slice("", 1)), d->summary.base_subject);
    for (uint32_t i = 0; i < d->hash_count; i++)
        if (d->hashes[i] == hash) return;
    d->hashes[d->hash_count++] = hash;
}

/* Its own id, the thread's root, and the nearest ancestors. */
static void make_hashes(Draft *d)
{
    add_hash(d, d->summary.message_id);
    Slice refs = d->summary.references, rest = refs;
    add_hash(d, slice_first(refs, slice_find(refs, ' ')));
    while (rest.len) {
        size_t space = slice_find_last(rest, ' ');
        bool first = space == rest.len;
        add_hash(d, first ? rest : slice_from(rest, space + 1));
        rest = first ? (Slice){0} : slice_first(rest, space);
    }
}

/* Header and body as SEARCH TEXT sees them. */
static void make_text(Draft *d)
{
    Buf text = {0};
    Slice head = d->writer ? d->head : buf_slice(&d->body);
    signature_header_text(&text, slice_first(head, d->summary.header_len), NULL);
    d->text_whole = signature_is_whole(buf_slice(&d->text));
    buf_add(&text, buf_slice(&d->text));
    buf_done(&d->text);
    d->text = text;
}

static PARKS Err end(Draft *d)
{
    if (!mem_fits(2 * d->text.len)) return fail(ERR_NO_MEMORY, "the text of a message");
    if (d->last_cr) put(d, S("\r\n"));
    d->last_cr = false;
    look_at_new(d);
    if (d->writer) {
        TRY(spill(d));
        TRY(blob_end(d->writer, &d->big));
    }
    mail_scan_end(d->scan, &d->arena, &d->summary);
    digest_end(d->digest, d->sha256);
    mail_summary_encode(&d->stored, &d->summary);
    make_hashes(d);
    make_text(d);
    return OK;
}

PARKS Err draft_end(Draft *d)
{
    if (d->ended) return d->err; /* several loops may ask at once, after the first has ended it */
    if (!d->err) d->err = end(d);
    d->ended = true;
    return d->err;
}
