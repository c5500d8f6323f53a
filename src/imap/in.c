#include "imap/in.h"

#include "base/text.h"

/* ---- mistakes ---- */

static bool is_fine(const In *in)
{
    return !in->err && scan_is_ok(&in->scan);
}

/* The first mistake stays; a scan with a mistake keeps its own. */
static void stick(In *in, Err err, const char *why)
{
    if (!is_fine(in)) return;
    in->err = err;
    in->why = slice_of(why);
}

void imap_mistake(In *in, const char *why)
{
    if (!is_fine(in)) return;
    in->why = slice_of(why);
    scan_fail(&in->scan);
}

Err imap_syntax(const In *in)
{
    if (in->err) return fail(in->err, "%.*s", SP(in->why));
    if (scan_is_ok(&in->scan)) return OK;
    if (in->why.len) return fail(ERR_SYNTAX, "%.*s", SP(in->why));
    return scan_end(&in->scan);
}

Err imap_end(In *in)
{
    TRY(imap_syntax(in));
    return scan_end(&in->scan);
}

/* ---- lines ---- */

/* The stream has failed, or the line was too long; *line is what there was of it, in the arena. */
PARKS static Err read_line(In *in, Slice *line)
{
    Slice borrowed = {0};
    LineEnd end = stream_line(in->stream, in->line_most, &borrowed);
    if (end == LINE_NONE) {
        Err err = stream_error(in->stream);
        return err ? err : ERR_END;
    }
    *line = arena_copy(in->arena, borrowed);
    if (end == LINE_TOO_LONG) return fail(ERR_LIMIT, "the line is too long");
    if (arena_is_over(in->arena)) return fail(ERR_LIMIT, "the command is too long");
    return OK;
}

/* Reading goes on behind a literal. */
PARKS static void next_line(In *in)
{
    Slice line = {0};
    Err err = read_line(in, &line);
    if (err)
        stick(in, err, err == ERR_LIMIT ? "the command is too long" : "the connection failed");
    else
        in->scan = scan(line);
}

static bool is_tag_char(unsigned char c)
{
    return c != '+' && imap_is_astring_char(c);
}

/* RFC 9051 9: tag = 1*<any ASTRING-CHAR except "+"> */
static void read_tag(In *in)
{
    Slice tag = scan_while(&in->scan, is_tag_char);
    if (!tag.len || tag.len > IMAP_TAG_MOST) {
        imap_mistake(in, "a command begins with a tag");
        return;
    }
    if (imap_at_end(in) || imap_peek(in) == ' ') in->tag = tag;
    if (!scan_see(&in->scan, ' ')) imap_mistake(in, "a command has a tag, SP and a name");
}

Err imap_next(In *in)
{
    in->tag = in->why = (Slice){0};
    in->err = OK;
    bool after_literal = in->literal.is_there;
    in->literal_open = false;
    in->literal = (ImapLiteral){0};
    in->scan = scan((Slice){0});

    Slice line = {0};
    Err err = read_line(in, &line);
    if (err && err != ERR_LIMIT) return err;
    in->blank = !err && !line.len && after_literal;
    in->scan = scan(line);
    read_tag(in);
    if (err) {
        in->scan = scan((Slice){0}); /* its end is gone: nothing more can be known about it */
        stick(in, err, "the line is too long");
    }
    return imap_syntax(in);
}

Err imap_line(In *in, Slice *line)
{
    return read_line(in, line);
}

/* ---- literals ---- */

/* RFC 9051 9: literal = "{" number64 ["+"] "}" CRLF *CHAR8; literal8 = "~{" number64 ["+"] "}" CRLF
 * *OCTET (the "+" is RFC 7888 6). */
ImapLiteral imap_literal(In *in)
{
    ImapLiteral l = {.waits = true};
    l.binary = imap_see(in, "~");
    imap_need(in, "{");
    l.size = imap_number64(in);
    if (imap_see(in, "+")) l.waits = false;
    imap_need(in, "}");
    if (is_fine(in) && in->scan.at != in->scan.end) imap_mistake(in, "a literal ends its line");
    if (!is_fine(in)) return (ImapLiteral){0};
    l.is_there = in->literal_open = true;
    in->literal = l;
    return l;
}

Err imap_go_ahead(In *in)
{
    TRY(imap_syntax(in));
    if (!in->literal_open || !in->literal.waits) return OK;
    in->literal.waits = false;
    buf_add(stream_out(in->stream), S("+ OK\r\n"));
    return stream_flush(in->stream);
}

Slice imap_literal_some(In *in, size_t most)
{
    if (!in->literal_open || !in->literal.size) return (Slice){0};
    Slice some = stream_some(in->stream, (size_t)MIN((uint64_t)most, in->literal.size));
    in->literal.size -= some.len;
    if (!some.len) stick(in, ERR_END, "the connection failed");
    return some;
}

Err imap_literal_end(In *in)
{
    must(!in->literal_open || !in->literal.size);
    in->literal_open = false;
    if (is_fine(in)) next_line(in);
    return imap_syntax(in);
}

/* A scan of the same text elsewhere, at the same place. */
static Scan moved(const Scan *old, const char *at)
{
    Scan s = scan(slice(at, (size_t)(old->end - old->start)));
    s.at = at + (old->at - old->start);
    if (old->mistake) s.mistake = at + (old->mistake - old->start);
    return s;
}

void imap_go_on_in(In *in, Arena *a)
{
    if (in->arena == a) return;
    in->arena = a;
    if (!in->scan.start) return;
    Slice line = slice(in->scan.start, (size_t)(in->scan.end - in->scan.start));
    in->scan = moved(&in->scan, arena_copy(a, line).at);
}

/* An argument that came as a literal. */
PARKS static Slice literal_argument(In *in, bool eight)
{
    ImapLiteral l = imap_literal(in);
    if (!l.is_there) return (Slice){0};
    Arena *a = in->arena;
    if (l.binary && !eight) imap_mistake(in, "literal8 is not allowed here");
    if (l.size > in->literal_most || (a->budget && l.size > a->budget - MIN(a->used, a->budget)))
        stick(in, ERR_TOO_BIG, "the literal is too large");
    else if (!mem_fits((size_t)l.size))
        stick(in, ERR_NO_MEMORY, "a literal");
    if (imap_go_ahead(in)) return (Slice){0};

    char *octets = arena_alloc(a, (size_t)l.size + 1);
    if (!stream_read(in->stream, octets, (size_t)l.size)) {
        stick(in, ERR_END, "the connection failed");
        return (Slice){0};
    }
    in->literal_open = false;
    next_line(in);
    if (!l.binary && memchr(octets, 0, (size_t)l.size))
        imap_mistake(in, "NUL in a literal"); /* CHAR8 */
    return is_fine(in) ? slice(octets, (size_t)l.size) : (Slice){0};
}

/* Does what is left of the line end with a literal that the client sends without asking? Then it is
 * opened. */
static bool opens_literal_at_end(In *in)
{
    const char *from = in->scan.mistake ? in->scan.mistake : in->scan.at;
    Slice rest = slice(from, (size_t)(in->scan.end - from));
    size_t brace = slice_find_last(rest, '{');
    Slice tail = slice_from(rest, brace + 1);
    uint64_t size;
    if (brace == rest.len || !slice_ends(tail, S("+}"))) return false;
    if (!slice_to_u64(slice_first(tail, tail.len - 2), &size)) return false;
    in->literal = (ImapLiteral){.size = size, .is_there = true};
    return in->literal_open = true;
}

bool imap_skip_command(In *in)
{
    uint64_t skipped = 0;
    while (!stream_error(in->stream)) {
        bool open = in->literal_open ? !in->literal.waits : opens_literal_at_end(in);
        if (!open) return true;
        if (in->literal.size > in->skip_most - MIN(skipped, in->skip_most)) return false;
        skipped += in->literal.size + 1;
        if (!stream_skip(in->stream, in->literal.size)) return false;
        in->literal_open = false;

        Slice line = {0};
        Err err = read_line(in, &line);
        if (err && err != ERR_LIMIT) return false;
        if (arena_is_over(in->arena)) return false;
        in->scan = scan(err ? (Slice){0} : line);
    }
    return false;
}

/* ---- words that fit or not ---- */

int imap_peek(const In *in)
{
    return is_fine(in) ? scan_peek(&in->scan) : -1;
}

bool imap_see(In *in, const char *word)
{
    return is_fine(in) && scan_see_word(&in->scan, slice_of(word));
}

void imap_need(In *in, const char *word)
{
    if (is_fine(in)) scan_need_word(&in->scan, slice_of(word));
}

void imap_space(In *in)
{
    imap_need(in, " ");
}

bool imap_at_end(const In *in)
{
    return imap_peek(in) < 0;
}

/* ---- atoms and strings ---- */

bool imap_is_atom_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("(){%*\"\\]", c);
}

bool imap_is_astring_char(unsigned char c)
{
    return c == ']' || imap_is_atom_char(c);
}

/* Clients send UTF-8 in atoms of SEARCH and in mailbox names; what does not fit there is found when
 * the name is decoded. */
static bool is_loose_astring_char(unsigned char c)
{
    return c >= 0x80 || imap_is_astring_char(c);
}

static Slice some_of(In *in, bool (*fits)(unsigned char))
{
    if (!is_fine(in)) return (Slice){0};
    Slice s = scan_while(&in->scan, fits);
    if (!s.len) scan_fail(&in->scan);
    return s;
}

Slice imap_atom(In *in)
{
    return some_of(in, imap_is_atom_char);
}

static bool is_label_char(unsigned char c)
{
    return is_alnum(c) || (c && strchr(".-_:$", c));
}

Slice imap_label(In *in)
{
    return some_of(in, is_label_char);
}

/* RFC 9051 9: quoted = DQUOTE *QUOTED-CHAR DQUOTE. Octets above 127 are taken as they are. */
static Slice quoted(In *in)
{
    Scan *s = &in->scan;
    scan_need(s, '"');
    const char *at = s->at;
    size_t escapes = 0;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            s->at++, escapes++;
            if (s->at == s->end || (*s->at != '"' && *s->at != '\\')) break;
        }
        if (!*s->at || *s->at == '\r') break;
        s->at++;
    }
    Slice text = slice(at, (size_t)(s->at - at));
    scan_need(s, '"');
    if (!is_fine(in)) return (Slice){0};
    if (in->utf8 && !utf8_is_valid(text)) { /* RFC 6855 3: MUST reject */
        imap_mistake(in, "this is not UTF-8");
        return (Slice){0};
    }
    if (!escapes) return text;

    char *plain = arena_alloc(in->arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '\\') i++;
        plain[len++] = text.at[i];
    }
    return slice(plain, len);
}

/* "~" alone may begin an atom: ~/mail */
static bool is_at_literal(const In *in)
{
    Scan ahead = in->scan;
    return is_fine(in) && (scan_peek(&ahead) == '{' || scan_see_word(&ahead, S("~{")));
}

bool imap_is_at_string(const In *in)
{
    return imap_peek(in) == '"' || is_at_literal(in);
}

Slice imap_string(In *in)
{
    if (imap_peek(in) == '"') return quoted(in);
    if (is_at_literal(in)) return literal_argument(in, false);
    imap_mistake(in, "a string is expected");
    return (Slice){0};
}

Slice imap_nstring(In *in)
{
    if (imap_see(in, "NIL")) return (Slice){0};
    Slice s = imap_string(in);
    return s.at ? s : S("");
}

Slice imap_value(In *in)
{
    if (is_at_literal(in)) {
        Slice s = literal_argument(in, true);
        return s.at ? s : S("");
    }
    return imap_nstring(in);
}

Slice imap_astring(In *in)
{
    if (imap_is_at_string(in)) return imap_string(in);
    return some_of(in, is_loose_astring_char);
}

/* ---- numbers ---- */

uint32_t imap_number(In *in)
{
    return is_fine(in) ? scan_number(&in->scan) : 0;
}

uint32_t imap_nz_number(In *in)
{
    if (imap_peek(in) == '0') imap_mistake(in, "a number above 0 is expected");
    return imap_number(in);
}

uint64_t imap_number64(In *in)
{
    return is_fine(in) ? scan_number64(&in->scan) : 0;
}

/* ---- sequence sets ---- */

/* RFC 9051 9: seq-number = nz-number / "*", here 0 */
static uint32_t seq_number(In *in)
{
    return imap_see(in, "*") ? 0 : imap_nz_number(in);
}

ImapSet imap_sequence_set(In *in)
{
    ImapSet set = {0};
    if (imap_see(in, "$")) {
        set.saved = true;
        return set;
    }
    size_t room = 0;
    do {
        UidRange range;
        range.first = range.last = seq_number(in);
        if (imap_see(in, ":")) range.last = seq_number(in);
        if (set.count == room) {
            size_t more = room ? room * 2 : 4;
            UidRange *grown = arena_array(in->arena, UidRange, more);
            if (room) memcpy(grown, set.ranges, room * sizeof *grown);
            set.ranges = grown, room = more;
        }
        set.ranges[set.count++] = range;
    } while (imap_see(in, ","));
    return is_fine(in) ? set : (ImapSet){0};
}
