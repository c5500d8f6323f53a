/* The scanner: one pass over a message in pieces of any size.
 *
 * It lives on lines. Most are only counted (memchr for LF); one is looked at whole when it may mean
 * something: in a header when it may be the empty line, and anywhere when it begins with "--" and a
 * multipart is open. Such a line is held until its end has come; one longer than LINE_MOST means
 * nothing.
 *
 * Open parts form a stack of frames, from the message down to the part that is being read. A
 * delimiter (RFC 2046 5.1.1) closes every frame above its multipart. The line end before a
 * delimiter belongs to the delimiter, so the last line end of a body is withheld from the decoders
 * until the next line is known. */
#include "mail/body_text.h"
#include "mail/columns.h"
#include "mail/envelope.h"
#include "mail/structure.h"

#include <stdlib.h>

enum {
    LINE_MOST = 512,              /* "--" boundary "--" and white space */
    STRUCTURE_MOST = 1024 * 1024, /* octets said of all parts; those beyond are said to be opaque */
};

typedef struct {
    uint16_t part;
    bool is_open;         /* a multipart whose delimiters count */
    uint32_t boundary_at; /* in boundaries */
    uint32_t boundary_len;
} Frame;

typedef struct {
    uint32_t lines_before; /* line ends of the message before this part's body */
    uint16_t last_child;
    bool is_digest;
    bool is_attached; /* it or what holds it */
} PartTrack;

struct MailScan {
    uint32_t at, lines; /* octets and line ends gone by */
    bool in_header;     /* of the part on top */
    bool mid_line;
    char last[2]; /* the two octets before at */
    char line_end[2];
    uint8_t line_end_len; /* withheld from the text */
    Buf held;             /* the beginning of a line that may mean something */
    Buf header, top_header, boundaries;
    size_t depth, open; /* frames; those that are open */
    Frame frames[MAIL_DEPTH_MOST + 2];
    MailPart *parts;
    PartText *texts;
    PartTrack *tracks;
    uint16_t count, room;
    Arena kept, scratch;
    BodyText text;
    bool has_attachment;
    MailTextOf text_of;
};

static Frame *top(MailScan *s)
{
    return &s->frames[s->depth - 1];
}

/* ---- text of the part on top ---- */

/* How much of the end of a run may be the line end before a delimiter. */
static size_t line_end_at_tail(Slice run)
{
    char last = run.at[run.len - 1];
    if (last == '\r') return 1;
    if (last != '\n') return 0;
    return run.len > 1 && run.at[run.len - 2] == '\r' ? 2 : 1;
}

static void give_line_end(MailScan *s)
{
    body_text_feed(&s->text, slice(s->line_end, s->line_end_len));
    s->line_end_len = 0;
}

static void text_run(MailScan *s, Slice run)
{
    bool split = s->line_end_len == 1 && s->line_end[0] == '\r' && run.at[0] == '\n';
    if (split) {
        s->line_end[s->line_end_len++] = '\n';
        run = slice_from(run, 1);
        if (!run.len) return;
    }
    give_line_end(s);
    size_t tail = line_end_at_tail(run);
    body_text_feed(&s->text, slice_first(run, run.len - tail));
    memcpy(s->line_end, run.at + run.len - tail, tail);
    s->line_end_len = (uint8_t)tail;
}

/* ---- octets go by ---- */

static void pass(MailScan *s, Slice run)
{
    if (!run.len) return;
    s->at += (uint32_t)run.len;
    s->last[0] = run.len > 1 ? run.at[run.len - 2] : s->last[1];
    s->last[1] = run.at[run.len - 1];
}

/* Octets that mean nothing to the structure. */
static void ordinary(MailScan *s, Slice run)
{
    if (!run.len) return;
    pass(s, run);
    if (s->in_header)
        buf_add(&s->header, slice_first(run, MAIL_HEADER_MOST - s->header.len));
    else if (body_text_wants(&s->text))
        text_run(s, run);
}

/* ---- parts ---- */

static void make_room(MailScan *s)
{
    if (s->count < s->room) return;
    s->room = (uint16_t)(s->room ? s->room * 4 : 8);
    s->parts = mem_grow(s->parts, s->room * sizeof *s->parts);
    s->texts = mem_grow(s->texts, s->room * sizeof *s->texts);
    s->tracks = mem_grow(s->tracks, s->room * sizeof *s->tracks);
}

/* Lists a part that begins here; parent == its own number: the message. */
static uint16_t list_part(MailScan *s, uint16_t parent, uint32_t at)
{
    make_room(s);
    uint16_t i = s->count++;
    s->parts[i] = (MailPart){.header_at = at, .body_at = at, .parent = parent};
    s->texts[i] = (PartText){.envelope = EMPTY_ENVELOPE};
    s->tracks[i] = (PartTrack){0};
    if (!i) return i;
    s->parts[i].depth = (uint8_t)(s->parts[parent].depth + 1);
    uint16_t before = s->tracks[parent].last_child;
    *(before ? &s->parts[before].next : &s->parts[parent].first_child) = i;
    s->tracks[parent].last_child = i;
    return i;
}

static void open_part(MailScan *s, uint16_t parent)
{
    uint16_t i = list_part(s, parent, s->at);
    s->frames[s->depth++] = (Frame){.part = i, .boundary_at = (uint32_t)s->boundaries.len};
    s->in_header = true;
    buf_clear(&s->header);
}

static bool is_message_root(const MailScan *s, uint16_t i)
{
    return !i || s->parts[s->parts[i].parent].kind == PART_MESSAGE;
}

/* Is there room for what this part holds? */
static bool may_look_inside(const MailScan *s, uint16_t i)
{
    return s->parts[i].depth < MAIL_DEPTH_MOST && s->count < MAIL_PARTS_MOST - 1;
}

static Slice keep(MailScan *s, const Buf *b)
{
    return arena_copy(&s->kept, buf_slice(b));
}

static void describe(MailScan *s, uint16_t i, const Fields *f, PartHeader *p)
{
    Buf said buf_scoped = {0};
    Fields nothing = {0};
    if (s->kept.used > STRUCTURE_MOST) {
        if (p->kind == PART_BASIC) part_header_opaque(p);
        p->parameters.count = 0, p->transfer_encoding = S("7bit");
        f = &nothing;
    }
    part_front(&said, &s->scratch, f, p);
    s->texts[i].front = keep(s, &said);
    buf_clear(&said);
    part_back(&said, &s->scratch, f, p);
    s->texts[i].back = keep(s, &said);
    s->parts[i].kind = (uint8_t)p->kind;
    s->parts[i].encoding = (uint8_t)p->encoding;
    s->parts[i].charset = arena_copy(&s->kept, p->charset);
}

static void embedded_message(MailScan *s, uint16_t i, const Fields *f)
{
    Buf said buf_scoped = {0};
    if (s->kept.used > STRUCTURE_MOST) return;
    envelope(&said, &s->scratch, f);
    s->texts[i].envelope = keep(s, &said);
}

static void read_header(MailScan *s, uint16_t i, PartHeader *p)
{
    Fields f;
    fields_read(buf_slice(&s->header), &f);
    bool in_digest = i && s->tracks[s->parts[i].parent].is_digest;
    part_header_read(&s->scratch, &f, in_digest, p);
    bool holds_parts = p->kind == PART_MULTIPART || p->kind == PART_MESSAGE;
    if (holds_parts && !may_look_inside(s, i)) part_header_opaque(p);
    describe(s, i, &f, p);
    s->tracks[i].is_digest = p->is_digest;
    s->has_attachment |= p->is_attachment;
    s->tracks[i].is_attached = p->is_attachment || s->tracks[s->parts[i].parent].is_attached;
    if (i && is_message_root(s, i)) embedded_message(s, i, &f);
    if (s->text_of == MAIL_TEXT_FILE_NAMES)
        body_text_line(&s->text, part_file_name(&s->scratch, &f, p));
    if (!i || s->text_of != MAIL_TEXT_ALL) return; /* the message header is not ours to tell */
    body_text_header(&s->text, f.header);
    body_text_line(&s->text, p->file_name);
}

static void open_boundary(MailScan *s, Slice boundary)
{
    top(s)->is_open = true;
    top(s)->boundary_len = (uint32_t)boundary.len;
    buf_add(&s->boundaries, boundary);
    s->open++;
}

static bool is_wanted(const MailScan *s, uint16_t i)
{
    if (s->text_of == MAIL_TEXT_FILE_NAMES) return false;
    return s->text_of != MAIL_TEXT_ATTACHMENTS || s->tracks[i].is_attached;
}

/* The header of the part on top is whole; its body begins here. */
static void end_header(MailScan *s)
{
    uint16_t i = top(s)->part;
    PartHeader p;
    s->in_header = false;
    s->parts[i].header_len = s->at - s->parts[i].header_at;
    s->parts[i].body_at = s->at;
    s->tracks[i].lines_before = s->lines;
    read_header(s, i, &p);
    if (!i) { /* the columns are made of it at the end */
        buf_done(&s->top_header);
        s->top_header = s->header;
        s->header = (Buf){0};
    }
    if (p.kind == PART_MULTIPART) open_boundary(s, p.boundary);
    if (p.kind == PART_TEXT && is_wanted(s, i)) body_text_begin(&s->text, &p);
    s->text.charset = s->parts[i].charset; /* outlives the scratch memory */
    if (p.kind == PART_MESSAGE) open_part(s, i);
    arena_reset(&s->scratch);
}

/* RFC 9051 knows no multipart without parts: one that has none gets an empty text. */
static void give_empty_part(MailScan *s, uint16_t parent, uint32_t at)
{
    uint16_t i = list_part(s, parent, at);
    s->parts[i].kind = PART_TEXT;
    s->parts[i].charset = S("us-ascii");
    s->texts[i].front = S("\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\"");
    s->texts[i].back = S("NIL NIL NIL NIL");
}

/* The body of the part on top ends at `end`, before which there were `lines` line ends. */
static void close_part(MailScan *s, uint32_t end, uint32_t lines)
{
    const Frame *f = top(s);
    MailPart *part = &s->parts[f->part];
    part->body_len = end - part->body_at;
    part->lines = lines - s->tracks[f->part].lines_before;
    s->boundaries.len = f->boundary_at;
    s->open -= f->is_open;
    s->depth--;
    if (part->kind == PART_MULTIPART && !part->first_child) give_empty_part(s, f->part, end);
}

/* ---- delimiters ---- */

static Slice without_tail(Slice line)
{
    while (line.len && memchr(" \t\r\n", line.at[line.len - 1], 4))
        line.len--;
    return line;
}

/* The open frame this line delimits, innermost first, or -1. RFC 2046 5.1.1: "--" boundary ["--"]
 * *LWSP. Whole lines are compared, as one boundary may begin with another. */
static int delimited(const MailScan *s, Slice line, bool *closes)
{
    Slice name = slice_from(without_tail(line), 2);
    if (!s->open || !slice_starts(line, S("--"))) return -1;
    for (size_t i = s->depth; i-- > 0;) {
        const Frame *f = &s->frames[i];
        if (!f->is_open || (name.len != f->boundary_len && name.len != f->boundary_len + 2))
            continue;
        if (memcmp(name.at, s->boundaries.at + f->boundary_at, f->boundary_len)) continue;
        *closes = name.len > f->boundary_len;
        if (*closes && !slice_ends(name, S("--"))) continue;
        return (int)i;
    }
    return -1;
}

static uint32_t line_end_before(const MailScan *s)
{
    if (!s->at || s->last[1] != '\n') return 0;
    return s->at > 1 && s->last[0] == '\r' ? 2 : 1;
}

/* Too many parts: no delimiter counts any more, the last part takes the rest. */
static void stop_delimiting(MailScan *s)
{
    for (size_t i = 0; i < s->depth; i++)
        s->frames[i].is_open = false;
    s->open = 0;
}

/* Ends what is above frame f. When the part on top has no body at all, the line end before the
 * delimiter is its empty line's. */
static void close_down_to(MailScan *s, size_t f)
{
    while (s->in_header)
        end_header(s);
    uint32_t floor = s->parts[top(s)->part].body_at;
    uint32_t end = MAX(s->at - line_end_before(s), floor);
    uint32_t lines = s->lines - (end < s->at);
    s->line_end_len = 0;
    body_text_end(&s->text);
    while (s->depth > f + 1)
        close_part(s, end, lines);
}

static void pass_line(MailScan *s, Slice line)
{
    s->lines += line.at[line.len - 1] == '\n';
    s->mid_line = line.at[line.len - 1] != '\n';
    pass(s, line);
}

static void delimiter(MailScan *s, size_t f, bool closes, Slice line)
{
    if (!closes && s->count >= MAIL_PARTS_MOST - 1) {
        stop_delimiting(s);
        s->lines += line.at[line.len - 1] == '\n';
        ordinary(s, line);
        return;
    }
    close_down_to(s, f);
    pass_line(s, line);
    if (!closes) {
        open_part(s, s->frames[f].part);
        return;
    }
    s->frames[f].is_open = false; /* what follows is the epilogue */
    s->open--;
}

/* ---- lines ---- */

static bool is_empty_line(Slice line)
{
    return slice_eq(line, S("\r\n")) || slice_eq(line, S("\n"));
}

/* A line that may mean something, with its end unless the message ends without. */
static void meaningful_line(MailScan *s, Slice line)
{
    bool closes;
    int f = delimited(s, line, &closes);
    if (f >= 0) {
        delimiter(s, (size_t)f, closes, line);
    } else if (s->in_header && is_empty_line(line)) {
        pass_line(s, line);
        end_header(s);
    } else {
        s->lines += line.at[line.len - 1] == '\n';
        s->mid_line = line.at[line.len - 1] != '\n';
        ordinary(s, line);
    }
}

static bool may_mean_something(const MailScan *s, Slice rest)
{
    char c = rest.at[0];
    if (c == '-') return s->open && (rest.len == 1 || rest.at[1] == '-');
    return s->in_header && (c == '\r' || c == '\n');
}

/* Lines at the front that mean nothing; the octets taken. */
static size_t plain_lines(MailScan *s, Slice piece)
{
    size_t i = 0;
    while (i < piece.len) {
        if (!s->mid_line && may_mean_something(s, slice_from(piece, i))) break;
        const char *nl = memchr(piece.at + i, '\n', piece.len - i);
        s->mid_line = !nl;
        i = nl ? (size_t)(nl - piece.at) + 1 : piece.len;
        s->lines += nl != NULL;
    }
    ordinary(s, slice_first(piece, i));
    return i;
}

/* At a line that may mean something, of which `held` has the beginning; the octets taken. */
static size_t held_line(MailScan *s, Slice piece)
{
    Slice most = slice_first(piece, LINE_MOST - s->held.len);
    size_t n = MIN(slice_find(most, '\n') + 1, most.len);
    bool whole = piece.at[n - 1] == '\n';
    if (whole && !s->held.len) {
        meaningful_line(s, slice_first(piece, n));
        return n;
    }
    buf_add(&s->held, slice_first(piece, n));
    if (whole) {
        meaningful_line(s, buf_slice(&s->held));
    } else if (s->held.len == LINE_MOST) {
        s->mid_line = true;
        ordinary(s, buf_slice(&s->held));
    } else {
        return n;
    }
    buf_clear(&s->held);
    return n;
}

void mail_scan_feed(MailScan *s, Slice piece)
{
    uint64_t left = UINT32_MAX - (uint64_t)s->at - s->held.len; /* offsets have 32 bits */
    piece = slice_first(piece, left);
    while (piece.len) {
        size_t n = s->held.len ? 0 : plain_lines(s, piece);
        piece = slice_from(piece, n);
        if (piece.len) piece = slice_from(piece, held_line(s, piece));
    }
}

/* ---- the end ---- */

static void finish(MailScan *s)
{
    if (s->held.len) meaningful_line(s, buf_slice(&s->held));
    while (s->in_header)
        end_header(s);
    if (body_text_wants(&s->text)) give_line_end(s);
    body_text_end(&s->text);
    while (s->depth)
        close_part(s, s->at, s->lines);
}

void mail_scan_end(MailScan *s, Arena *a, MailSummary *out)
{
    Fields f;
    Buf said buf_scoped = {0};
    finish(s);
    *out = (MailSummary){.size = s->at, .lines = s->lines, .part_count = s->count};
    out->header_len = s->parts[0].header_len;
    out->has_attachment = s->has_attachment;
    out->parts = arena_array(a, MailPart, s->count);
    memcpy(out->parts, s->parts, s->count * sizeof *s->parts);
    for (size_t i = 0; i < s->count; i++)
        out->parts[i].charset = arena_copy(a, s->parts[i].charset);
    fields_read(buf_slice(&s->top_header), &f);
    columns(out, a, &f);
    envelope(&said, &s->scratch, &f);
    out->envelope = arena_copy(a, buf_slice(&said));
    buf_clear(&said);
    structure(&said, s->parts, s->texts);
    out->body_structure = arena_copy(a, buf_slice(&said));
    out->preview = arena_copy(a, buf_slice(&s->text.preview));
}

MailScan *mail_scan_new(Buf *text)
{
    MailScan *s = NEW(MailScan);
    s->text.search = text;
    s->text.search_start = text ? text->len : 0;
    open_part(s, 0);
    return s;
}

void mail_scan_fold_with(MailScan *s, MailFold *fold)
{
    s->text.fold = fold;
}

void mail_scan_text_of(MailScan *s, MailTextOf what)
{
    s->text_of = what;
}

void mail_scan_free(MailScan *s)
{
    if (!s) return;
    buf_done(&s->held), buf_done(&s->header), buf_done(&s->top_header), buf_done(&s->boundaries);
    free(s->parts), free(s->texts), free(s->tracks);
    arena_done(&s->kept), arena_done(&s->scratch);
    body_text_done(&s->text);
    free(s);
}

void mail_summarise(Slice message, Arena *a, Buf *text, MailSummary *out)
{
    MailScan *s scoped(mail_scan) = mail_scan_new(text);
    mail_scan_feed(s, message);
    mail_scan_end(s, a, out);
}
