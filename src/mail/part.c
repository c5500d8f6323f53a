#include "mail/part.h"
#include "mail/cursor.h"
#include "mail/octets.h"
#include "mail/wire.h"

enum { TYPE_MOST = 127 }; /* RFC 6838 4.2 */

/* RFC 2045 5.1 token */
static bool is_token(Slice s)
{
    if (!s.len || s.len > TYPE_MOST) return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= 32 || s.at[i] == 127 || memchr("()<>@,;:\\\"/[]?=", s.at[i], 15))
            return false;
    return true;
}

static PartEncoding encoding_of(Slice name)
{
    static const struct {
        Slice name;
        PartEncoding encoding;
    } names[] = {
        {{"7bit", 4},              CTE_7BIT            },
        {{"8bit", 4},              CTE_8BIT            },
        {{"binary", 6},            CTE_BINARY          },
        {{"quoted-printable", 16}, CTE_QUOTED_PRINTABLE},
        {{"base64", 6},            CTE_BASE64          },
        {{"7-bit", 5},             CTE_7BIT            },
        {{"8-bit", 5},             CTE_8BIT            },
    };
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq_nocase(name, names[i].name)) return names[i].encoding;
    return CTE_UNKNOWN;
}

static void read_encoding(Arena *a, const Fields *f, PartHeader *p)
{
    MailParameterised value = {0};
    p->encoding = CTE_7BIT;
    p->transfer_encoding = S("7bit");
    if (!f->count[FIELD_CONTENT_TRANSFER_ENCODING]) return;
    header_parameterised(a, f->first[FIELD_CONTENT_TRANSFER_ENCODING], false, &value);
    if (!value.value.len) return;
    p->encoding = encoding_of(value.value);
    p->transfer_encoding = value.value.len <= TYPE_MOST ? value.value : S("x-unknown");
}

/* "type/subtype" in two; false: RFC 2045 5.2 wants text/plain then, and so do we unless the
 * encoding speaks against it. */
static bool split_type(Slice value, PartHeader *p)
{
    size_t slash = slice_find(value, '/');
    p->type = slice_first(value, slash);
    p->subtype = slice_from(value, slash + 1);
    return is_token(p->type) && is_token(p->subtype);
}

static void default_type(PartHeader *p, bool in_digest)
{
    if (in_digest)
        p->type = S("message"), p->subtype = S("rfc822");
    else if (p->encoding == CTE_BASE64)
        p->type = S("application"), p->subtype = S("octet-stream");
    else
        p->type = S("text"), p->subtype = S("plain");
}

static bool is(Slice a, const char *b)
{
    return slice_eq_nocase(a, slice_of(b));
}

static PartKind kind_of(const PartHeader *p)
{
    if (is(p->type, "text")) return PART_TEXT;
    if (is(p->type, "multipart")) return PART_MULTIPART;
    if (is(p->type, "message") && (is(p->subtype, "rfc822") || is(p->subtype, "global")))
        return PART_MESSAGE;
    return PART_BASIC;
}

static bool has_extended(const MailParameterised *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (slice_find(p->parameters[i].name, '*') < p->parameters[i].name.len) return true;
    return false;
}

/* The value of one parameter; those RFC 2231 cut to pieces are joined first. */
static Slice parameter(Arena *a, const MailParameterised *p, Slice raw, Slice name)
{
    if (!has_extended(p)) return header_parameter(p, name);
    MailParameterised decoded;
    header_parameterised(a, raw, true, &decoded);
    return header_parameter(&decoded, name);
}

static Slice charset_of(Arena *a, Slice given)
{
    given = slice_first(slice_trim(given), 64);
    if (!given.len) return S("us-ascii");
    Slice lower = arena_copy(a, given);
    char *at = (char *)(uintptr_t)lower.at; /* just copied, nobody else's */
    for (size_t i = 0; i < lower.len; i++)
        at[i] = ascii_lower(at[i]);
    return lower;
}

static Slice boundary_of(Slice given)
{
    while (given.len && is_white(given.at[given.len - 1]))
        given.len--; /* lines are compared without white space at their end */
    return given.len <= MAIL_BOUNDARY_MOST ? given : (Slice){0};
}

static void look_into(Arena *a, Slice raw, PartHeader *p)
{
    p->kind = kind_of(p);
    p->charset = S("us-ascii");
    if (p->kind == PART_MULTIPART) {
        p->boundary = boundary_of(parameter(a, &p->parameters, raw, S("boundary")));
        p->is_digest = is(p->subtype, "digest");
    } else if (p->kind == PART_TEXT) {
        Slice charset = parameter(a, &p->parameters, raw, S("charset"));
        p->charset = charset_of(a, charset);
        p->needs_charset = !charset.at;
        p->is_html = is(p->subtype, "html");
        p->is_plain = is(p->subtype, "plain");
    }
}

/* A part that is meant to be saved: said so, or not text and with a file name. */
static bool attached(Arena *a, const Fields *f, Slice type, PartHeader *p)
{
    if (is(p->disposition.value, "attachment")) return true;
    if (p->kind != PART_BASIC) return false;
    Slice raw = f->first[FIELD_CONTENT_DISPOSITION];
    return parameter(a, &p->disposition, raw, S("filename")).len ||
           parameter(a, &p->parameters, type, S("name")).len;
}

static Slice encoded_file_name(Arena *a, const Fields *f, Slice type, const PartHeader *p)
{
    Slice name = {0};
    if (has_extended(&p->disposition))
        name = parameter(a, &p->disposition, f->first[FIELD_CONTENT_DISPOSITION], S("filename"));
    if (!name.len && has_extended(&p->parameters))
        name = parameter(a, &p->parameters, type, S("name"));
    return name;
}

void part_header_read(Arena *a, const Fields *f, bool in_digest, PartHeader *p)
{
    *p = (PartHeader){0};
    Slice type = f->first[FIELD_CONTENT_TYPE];
    read_encoding(a, f, p);
    if (type.at) header_parameterised(a, type, false, &p->parameters);
    if (!split_type(p->parameters.value, p)) default_type(p, in_digest && !type.at);
    look_into(a, type, p);
    if (p->kind == PART_MULTIPART &&
        !p->boundary.len) { /* nothing to cut it with: read it as it is */
        p->type = S("text"), p->subtype = S("plain");
        p->parameters.count = 0;
        look_into(a, type, p);
    }
    if (f->count[FIELD_CONTENT_DISPOSITION])
        header_parameterised(a, f->first[FIELD_CONTENT_DISPOSITION], false, &p->disposition);
    p->is_attachment = attached(a, f, type, p);
    p->file_name = encoded_file_name(a, f, type, p);
}

Slice part_file_name(Arena *a, const Fields *f, const PartHeader *p)
{
    Buf decoded buf_scoped = {0};
    if (p->file_name.len) return p->file_name;
    Slice raw = f->first[FIELD_CONTENT_DISPOSITION];
    Slice name = parameter(a, &p->disposition, raw, S("filename"));
    if (!name.len) name = parameter(a, &p->parameters, f->first[FIELD_CONTENT_TYPE], S("name"));
    header_decode(&decoded, name);
    return arena_copy(a, buf_slice(&decoded));
}

void part_header_opaque(PartHeader *p)
{
    p->kind = PART_BASIC;
    p->type = S("application"), p->subtype = S("octet-stream");
    p->parameters = (MailParameterised){0};
    p->boundary = (Slice){0};
    p->charset = S("us-ascii");
    p->is_html = p->is_plain = p->is_digest = p->needs_charset = false;
}

/* body-fld-param = "(" string SP string *(SP string SP string) ")" / nil */
static void parameters(Buf *out, Arena *a, const MailParameterised *given, bool needs_charset)
{
    MailParameterised joined = *given, *p = &joined;
    if (has_extended(p)) header_join_pieces(a, p);
    if (!p->count && !needs_charset) {
        buf_add(out, S("NIL"));
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        buf_char(out, i ? ' ' : '(');
        wire_string(out, p->parameters[i].name);
        buf_char(out, ' ');
        wire_string(out, p->parameters[i].value);
    }
    if (needs_charset) {
        buf_char(out, p->count ? ' ' : '(');
        buf_add(out, S("\"charset\" \"us-ascii\""));
    }
    buf_char(out, ')');
}

void part_front(Buf *out, Arena *a, const Fields *f, const PartHeader *p)
{
    if (p->kind != PART_MULTIPART) {
        wire_string(out, p->type);
        buf_char(out, ' ');
    }
    wire_string(out, p->subtype);
    buf_char(out, ' ');
    parameters(out, a, &p->parameters, p->needs_charset);
    if (p->kind == PART_MULTIPART) return;
    buf_char(out, ' ');
    wire_nstring(out, fields_text(a, f, FIELD_CONTENT_ID));
    buf_char(out, ' ');
    wire_nstring(out, fields_text(a, f, FIELD_CONTENT_DESCRIPTION));
    buf_char(out, ' ');
    wire_string(out, p->transfer_encoding);
}

/* body-fld-dsp = "(" string SP body-fld-param ")" / nil */
static void disposition(Buf *out, Arena *a, const Fields *f, const PartHeader *p)
{
    if (!f->count[FIELD_CONTENT_DISPOSITION]) {
        buf_add(out, S("NIL"));
        return;
    }
    buf_char(out, '(');
    wire_string(out, p->disposition.value.len ? p->disposition.value : S("attachment"));
    buf_char(out, ' ');
    parameters(out, a, &p->disposition, false);
    buf_char(out, ')');
}

/* RFC 3282: Language-List = Language-Tag *("," Language-Tag). Takes the next tag, comments left
 * out. */
static bool next_language(Cursor *c, Buf *tag)
{
    buf_clear(tag);
    while (!tag->len) {
        if (cursor_cfws(c), cursor_is_done(c)) return false;
        while (cursor_cfws(c), !cursor_is_done(c) && cursor_peek(c) != ',')
            buf_char(tag, c->text.at[c->at++]);
        if (!cursor_is_done(c)) c->at++;
    }
    return true;
}

/* body-fld-lang = nstring / "(" string *(SP string) ")" */
static void languages(Buf *out, const Fields *f)
{
    Buf tag buf_scoped = {0}, list buf_scoped = {0};
    Cursor c = {.text = f->first[FIELD_CONTENT_LANGUAGE]};
    size_t count = 0;
    for (; next_language(&c, &tag); count++) {
        if (count) buf_char(&list, ' ');
        wire_string(&list, buf_slice(&tag));
    }
    if (count > 1) buf_char(out, '(');
    buf_add(out, count ? buf_slice(&list) : S("NIL"));
    if (count > 1) buf_char(out, ')');
}

void part_back(Buf *out, Arena *a, const Fields *f, const PartHeader *p)
{
    if (p->kind != PART_MULTIPART) {
        wire_nstring(out, fields_text(a, f, FIELD_CONTENT_MD5));
        buf_char(out, ' ');
    }
    disposition(out, a, f, p);
    buf_char(out, ' ');
    languages(out, f);
    buf_char(out, ' ');
    wire_nstring(out, fields_text(a, f, FIELD_CONTENT_LOCATION));
}
