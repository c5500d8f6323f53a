#include "mail/binary.h"

#include "base/text.h"
#include "mail/part.h"

#include <stdlib.h>

enum {
    LOOK = MAIL_BOUNDARY_MOST + 80, /* octets of a line that are looked at for a boundary */
    ROW = 57,                       /* octets of a line of base64: 76 characters */
};
typedef enum { IN_HEADER, IN_TEXT, IN_BINARY } Where;

typedef struct {
    Slice boundary; /* malloc */
    bool digest;
} Level;

struct BinaryFilter {
    Where where;
    Buf line;    /* the line under way, as far as it is looked at */
    bool inside; /* of a line whose beginning went its way already */
    Buf header;
    Buf row;       /* of a binary part, not encoded yet */
    bool begun;    /* the binary part under way has octets */
    bool held_end; /* of a binary part: a CRLF that may belong to the boundary behind it */
    bool digest;   /* the header under way is that of a part of multipart/digest */
    bool met_nul;
    Level levels[MAIL_DEPTH_MOST];
    size_t depth;
};

BinaryFilter *binary_filter_new(void)
{
    return NEW(BinaryFilter);
}

static void leave(BinaryFilter *f, size_t depth)
{
    while (f->depth > depth)
        free((char *)(uintptr_t)f->levels[--f->depth].boundary.at);
}

void binary_filter_free(BinaryFilter *f)
{
    if (!f) return;
    leave(f, 0);
    buf_done(&f->line);
    buf_done(&f->header);
    buf_done(&f->row);
    free(f);
}

bool binary_filter_met_nul(const BinaryFilter *f)
{
    return f->met_nul;
}

/* ---- octets out ---- */

static void plain(BinaryFilter *f, Slice octets, Buf *out)
{
    if (octets.len && memchr(octets.at, 0, octets.len)) f->met_nul = true;
    buf_add(out, octets);
}

static void put_row(Slice row, Buf *out)
{
    base64_encode(out, row);
    buf_add(out, S("\r\n"));
}

static void encode(BinaryFilter *f, Slice octets, Buf *out)
{
    buf_add(&f->row, octets);
    Slice rest = buf_slice(&f->row);
    for (; rest.len >= ROW; rest = slice_from(rest, ROW))
        put_row(slice_first(rest, ROW), out);
    if (rest.len && rest.at != f->row.at) memmove(f->row.at, rest.at, rest.len);
    f->row.len = rest.len;
}

/* The CRLF in front of a boundary belongs to the boundary (RFC 2046 5.1.1); a row ends with one. */
static void end_binary(BinaryFilter *f, Buf *out)
{
    if (f->row.len) put_row(buf_slice(&f->row), out);
    buf_clear(&f->row);
    f->held_end = false;
}

/* ---- headers ---- */

static Slice field_with(Slice name, const char *value, Arena *a)
{
    return arena_printf(a, "%.*s: %s\r\n", SP(name), value);
}

/* The header again, with another Content-Transfer-Encoding. */
static void put_encoding(BinaryFilter *f, const char *encoding, Arena *a, Buf *out)
{
    HeaderField h = {0};
    Slice header = buf_slice(&f->header);
    size_t end = 0;
    while (header_next(header, &h)) {
        bool it = slice_eq_nocase(h.name, S("Content-Transfer-Encoding"));
        plain(f, it ? field_with(h.name, encoding, a) : h.whole, out);
        end = h.next;
    }
    plain(f, slice_from(header, end), out);
}

static void enter(BinaryFilter *f, Slice boundary, bool digest)
{
    if (f->depth == MAIL_DEPTH_MOST) return;
    char *copy = mem_new(boundary.len);
    memcpy(copy, boundary.at, boundary.len);
    f->levels[f->depth++] = (Level){slice(copy, boundary.len), digest};
}

static Where behind_header(BinaryFilter *f, const PartHeader *p)
{
    if (p->kind == PART_MULTIPART) {
        if (p->boundary.len) enter(f, p->boundary, p->is_digest);
        return IN_TEXT;
    }
    if (p->kind == PART_MESSAGE) return IN_HEADER;
    f->begun = false;
    return p->encoding == CTE_BINARY ? IN_BINARY : IN_TEXT;
}

static void end_header(BinaryFilter *f, Buf *out)
{
    Arena a arena_scoped = {0};
    Fields fields;
    PartHeader p;
    fields_read(buf_slice(&f->header), &fields);
    part_header_read(&a, &fields, f->digest, &p);
    bool whole = p.kind == PART_MULTIPART || p.kind == PART_MESSAGE;
    if (p.encoding == CTE_BINARY)
        put_encoding(f, whole ? "8bit" : "base64", &a, out);
    else
        plain(f, buf_slice(&f->header), out);
    buf_clear(&f->header);
    f->digest = false;
    f->where = behind_header(f, &p);
}

/* One too long to be looked at, or cut off by a boundary, stays as it is. */
static void give_up_header(BinaryFilter *f, Buf *out)
{
    plain(f, buf_slice(&f->header), out);
    buf_clear(&f->header);
    f->digest = false;
    f->where = IN_TEXT;
}

/* ---- lines ---- */

static bool is_blank(Slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != ' ' && s.at[i] != '\t') return false;
    return true;
}

/* RFC 2046 5.1.1: "--" boundary ["--"] transport-padding. The number of its level from 1; 0: none.
 */
static size_t boundary_level(const BinaryFilter *f, Slice line, bool *closes)
{
    if (!slice_starts(line, S("--"))) return 0;
    Slice text = slice_from(line, 2);
    for (size_t i = f->depth; i > 0; i--) {
        Slice b = f->levels[i - 1].boundary;
        if (!slice_starts(text, b)) continue;
        Slice rest = slice_from(text, b.len);
        *closes = slice_starts(rest, S("--"));
        if (is_blank(*closes ? slice_from(rest, 2) : rest)) return i;
    }
    return 0;
}

static bool take_boundary(BinaryFilter *f, Slice text, Slice line, Buf *out)
{
    bool closes = false;
    size_t level = boundary_level(f, text, &closes);
    if (!level) return false;
    if (f->where == IN_BINARY) end_binary(f, out);
    if (f->where == IN_HEADER) give_up_header(f, out);
    bool digest = f->levels[level - 1].digest;
    leave(f, closes ? level - 1 : level);
    f->where = closes ? IN_TEXT : IN_HEADER;
    f->digest = !closes && digest;
    plain(f, line, out);
    return true;
}

/* Octets of the line under way, its end among them perhaps. */
static void put_some(BinaryFilter *f, Slice octets, bool ends, Buf *out)
{
    if (f->where == IN_TEXT) {
        plain(f, octets, out);
        return;
    }
    if (f->where == IN_HEADER) {
        buf_add(&f->header, octets);
        if (f->header.len > MAIL_HEADER_MOST) give_up_header(f, out);
        return;
    }
    bool crlf = ends && slice_ends(octets, S("\r\n"));
    if (f->held_end) encode(f, S("\r\n"), out);
    encode(f, slice_first(octets, octets.len - 2u * crlf), out);
    f->held_end = crlf;
    f->begun = true;
}

static void whole_line(BinaryFilter *f, Slice line, Buf *out)
{
    size_t end = slice_ends(line, S("\r\n")) ? 2 : 1;
    Slice text = slice_first(line, line.len - end);
    /* in binary data a bare LF is no line end */
    bool may_be = f->where != IN_BINARY || (end == 2 && (f->held_end || !f->begun));
    if (may_be && take_boundary(f, text, line, out)) return;
    put_some(f, line, true, out);
    if (f->where == IN_HEADER && !text.len) end_header(f, out);
}

/* What has come of a line that is too long for a boundary goes its way; a CR at its end waits for
 * its LF. */
static void long_line(BinaryFilter *f, Buf *out)
{
    bool cr = f->line.at[f->line.len - 1] == '\r';
    put_some(f, slice_first(buf_slice(&f->line), f->line.len - cr), false, out);
    f->inside = true;
    f->line.at[0] = '\r';
    f->line.len = cr;
}

static void end_of_line(BinaryFilter *f, Buf *out)
{
    if (f->inside)
        put_some(f, buf_slice(&f->line), true, out);
    else
        whole_line(f, buf_slice(&f->line), out);
    f->inside = false;
    buf_clear(&f->line);
}

void binary_filter_feed(BinaryFilter *f, Slice piece, Buf *out)
{
    while (piece.len) {
        size_t lf = slice_find(piece, '\n');
        size_t some = MIN(lf + (lf < piece.len), LOOK - f->line.len);
        buf_add(&f->line, slice_first(piece, some));
        piece = slice_from(piece, some);
        if (f->line.at[f->line.len - 1] == '\n')
            end_of_line(f, out);
        else if (f->line.len == LOOK)
            long_line(f, out);
    }
}

/* The last line may be a boundary without a line end. */
void binary_filter_end(BinaryFilter *f, Buf *out)
{
    Slice line = buf_slice(&f->line);
    bool may_be = !f->inside && (f->where != IN_BINARY || f->held_end || !f->begun);
    if (line.len && !(may_be && take_boundary(f, line, line, out))) put_some(f, line, false, out);
    if (f->where == IN_BINARY && f->held_end) encode(f, S("\r\n"), out);
    if (f->where == IN_BINARY) end_binary(f, out);
    if (f->where == IN_HEADER) give_up_header(f, out);
    buf_clear(&f->line);
}
