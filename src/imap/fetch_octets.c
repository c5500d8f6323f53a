/* FETCH BODY[section]: octets of a message as a literal, from where they are stored to the stream.
 */
#include "imap/fetch.h"

enum {
    PIECE = 64 * 1024,        /* a block of a large body; the buffer is kept for the next */
    WHOLE_MOST = 1024 * 1024, /* up to here a section is read at once, and its checksum verified
                                 before it is announced */
};

void fetch_literal_head(Buf *out, uint64_t len, bool eight)
{
    if (eight) buf_char(out, '~');
    buf_char(out, '{');
    buf_number(out, len);
    buf_add(out, S("}\r\n"));
}

void fetch_name(Buf *out, const FetchItem *item)
{
    buf_add(out, item->name);
    if (item->partial) {
        buf_char(out, '<');
        buf_number(out, item->offset);
        buf_char(out, '>');
    }
    buf_char(out, ' ');
}

void fetch_clip(const FetchItem *item, uint64_t *at, uint64_t *len)
{
    if (!item->partial) return;
    uint64_t skip = MIN(item->offset, *len);
    *at += skip;
    *len = MIN(*len - skip, item->most);
}

/* RFC 9051 9: literal = "{" number64 "}" CRLF *CHAR8, and CHAR8 is no NUL. Mail that has one all
 * the same is told with 0x80 there, so that the length stays; BINARY tells it as it is. */
void fetch_without_nul(char *at, size_t len)
{
    while (len) {
        char *nul = memchr(at, 0, len);
        if (!nul) return;
        len -= (size_t)(nul - at);
        for (at = nul; len && !*at; at++, len--)
            *at = '\x80';
    }
}

PARKS static Err put_piece(Fetching *f, Buf *out, uint64_t at, size_t len)
{
    char *to = buf_reserve(out, len + 1);
    TRY(email_read(mailbox_account(f->s->box), f->m.eid, at, to, len));
    fetch_without_nul(to, len);
    out->len += len;
    return OK;
}

/* A failure in the middle of a literal leaves no way to say so: the connection ends. */
PARKS static void put_long(Fetching *f, uint64_t at, uint64_t len)
{
    Stream *stream = f->s->stream;
    while (len && !stream_drain(stream)) {
        size_t piece = (size_t)MIN(len, (uint64_t)PIECE);
        Err err = put_piece(f, stream_out(stream), at, piece);
        if (err) stream_fail(stream, err);
        at += piece, len -= piece;
    }
}

PARKS void fetch_stored(Fetching *f, uint64_t at, uint64_t len)
{
    put_long(f, at, len);
}

/* What cannot be read is told as NIL, and the command ends with NO. False: nothing was told, as
 * this is the beginning of a message that needs a surrogate. */
PARKS static bool put_octets(Fetching *f, uint64_t at, uint64_t len, bool may_need_surrogate)
{
    Buf *out = stream_out(f->s->stream);
    size_t before = out->len, head;
    size_t first = (size_t)(len <= WHOLE_MOST ? len : PIECE);
    fetch_literal_head(out, len, false);
    head = out->len;
    Err err = put_piece(f, out, at, first);
    if (!err && may_need_surrogate && surrogate_shows(f, slice_from(buf_slice(out), head))) {
        out->len = before;
        return false;
    }
    if (err) {
        out->len = before;
        buf_add(out, S("NIL"));
        if (!f->trouble) f->trouble = err;
        return true;
    }
    if (first < len) put_long(f, at + first, len - first);
    return true;
}

PARKS static void put_section(Fetching *f, const FetchItem *item, bool may_need_surrogate)
{
    SectionOctets octets;
    Err err = section_find(mailbox_account(f->s->box), &f->m, &item->section, &f->arena, &octets);
    Buf *out = stream_out(f->s->stream);
    size_t before = out->len;
    fetch_name(out, item);
    if (err) {
        buf_add(out, S("NIL"));
        if (err != ERR_NOT_FOUND && !f->trouble) f->trouble = err;
        return;
    }
    uint64_t at = octets.is_made ? 0 : octets.at, len = octets.len;
    fetch_clip(item, &at, &len);
    if (octets.is_made) {
        fetch_literal_head(out, len, false);
        buf_add(out, slice(octets.made.at + at, (size_t)len));
        return;
    }
    if (put_octets(f, at, len, may_need_surrogate)) return;
    out->len = before;
    if (!surrogate_section(f, item)) put_section(f, item, false);
}

/* A whole message from its beginning tells by its octets whether it has a header in UTF-8, so that
 * nothing has to be read twice where it has not. */
void fetch_section(Fetching *f, const FetchItem *item)
{
    bool may = surrogate_may_show(f, &item->section);
    bool from_start = item->section.text == SECTION_WHOLE && !item->partial;
    if (may && !from_start && surrogate_section(f, item)) return;
    put_section(f, item, may && from_start);
}
