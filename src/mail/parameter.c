/* RFC 2045 5.1 parameters with RFC 2231 continuations and charsets.
 *
 *   value *(";" attribute "=" (token / quoted-string))
 *   attribute = name ["*" section] ["*"]            RFC 2231: *section joins, a last "*" says
 * charset'language'%XX */
#include "mail/charset.h"
#include "mail/cursor.h"
#include "mail/header.h"
#include "mail/mail.h"
#include "mail/octets.h"

#include <stdlib.h>

static Slice keep(Arena *a, const Buf *b)
{
    return b->len ? arena_copy(a, buf_slice(b)) : S("");
}

/* ---- as written ---- */

static bool ends_word(char c)
{
    return c == ';' || is_folding_white(c);
}

/* Octets up to white space, ";" or a comment. `stop` ends it too. */
static void take_word(Cursor *c, Buf *out, char stop)
{
    while (!cursor_is_done(c)) {
        char next = cursor_peek(c);
        if (ends_word(next) || (stop && next == stop)) return;
        if (next == '(' && !c->no_comment_end && cursor_cfws(c)) return;
        buf_char(out, next), c->at++;
    }
}

/* Does the word here have a "=" before it ends? Then it is the next parameter of somebody who
 * forgot the ";". */
static bool is_parameter_next(Cursor c)
{
    size_t end = MIN(c.text.len, c.at + 64);
    while (c.at < end && !ends_word(c.text.at[c.at]) && c.text.at[c.at] != '=')
        c.at++;
    return cursor_peek(&c) == '=';
}

/* token or quoted-string; file names with spaces and no quotes are common. */
static Slice take_value(Arena *a, Cursor *c)
{
    Buf value buf_scoped = {0};
    Slice inside;
    cursor_cfws(c);
    if (cursor_quoted(c, &inside)) {
        unquote(&value, inside);
        return keep(a, &value);
    }
    take_word(c, &value, 0);
    while (cursor_cfws(c), !cursor_is_done(c) && cursor_peek(c) != ';' && !is_parameter_next(*c)) {
        buf_char(&value, ' ');
        take_word(c, &value, 0);
    }
    return keep(a, &value);
}

static Slice lower_copy(Arena *a, const Buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        b->at[i] = ascii_lower(b->at[i]);
    return keep(a, b);
}

/* At an attribute; false: nothing that has a name and a "=". */
static bool take_parameter(Arena *a, Cursor *c, MailParameter *p)
{
    Buf name buf_scoped = {0};
    take_word(c, &name, '=');
    cursor_cfws(c);
    if (cursor_peek(c) != '=') return false;
    c->at++;
    p->name = lower_copy(a, &name);
    p->value = take_value(a, c);
    return p->name.len > 0;
}

/* "text/plain", "text / plain": the value before the parameters. */
static Slice take_main_value(Arena *a, Cursor *c)
{
    Buf value buf_scoped = {0};
    cursor_cfws(c);
    take_word(c, &value, 0);
    cursor_cfws(c);
    bool slash = cursor_peek(c) == '/' || (value.len && value.at[value.len - 1] == '/');
    if (slash) {
        take_word(c, &value, '/');
        if (cursor_peek(c) == '/') buf_char(&value, '/'), c->at++;
        cursor_cfws(c);
        take_word(c, &value, 0);
    }
    return keep(a, &value);
}

static size_t most_parameters(Slice value)
{
    size_t n = 1;
    for (size_t i = 0; i < value.len; i++)
        n += value.at[i] == '=';
    return MIN(n, (size_t)MAIL_FIELDS_MOST);
}

static void as_written(Arena *a, Slice value, MailParameterised *out)
{
    Cursor c = {.text = value};
    size_t room = most_parameters(value);
    out->value = take_main_value(a, &c);
    out->parameters = arena_array(a, MailParameter, room);
    out->count = 0;
    while (cursor_cfws(&c), !cursor_is_done(&c) && out->count < room) {
        if (cursor_peek(&c) == ';' || cursor_peek(&c) == '=')
            c.at++;
        else if (take_parameter(a, &c, &out->parameters[out->count]))
            out->count++;
    }
}

/* ---- RFC 2231 ---- */

enum { WHOLE = -1 };
typedef struct {
    Slice base, value;
    int section;    /* WHOLE: not a continuation */
    bool encoded;   /* "*" at the end of the name */
    uint16_t order; /* place in the message */
} Section;

static Section section_of(const MailParameter *p, size_t order)
{
    Section s = {.base = p->name, .value = p->value, .section = WHOLE, .order = (uint16_t)order};
    if (slice_ends(s.base, S("*"))) s.encoded = true, s.base.len--;
    size_t star = slice_find_last(s.base, '*');
    uint64_t n;
    if (star < s.base.len && slice_to_u64(slice_from(s.base, star + 1), &n) && n < 10000) {
        s.section = (int)n;
        s.base.len = star;
    }
    return s;
}

/* By name; of one name first what RFC 2231 encodes whole, then continuations in order, then the
 * plain form that is there for old readers. */
static int section_rank(const Section *s)
{
    return s->section >= 0 ? 1 + s->section : s->encoded ? 0 : 20000;
}

static int section_order(const void *x, const void *y)
{
    const Section *a = x, *b = y;
    int by_name = slice_order(a->base, b->base);
    if (by_name) return by_name;
    int by_rank = section_rank(a) - section_rank(b);
    return by_rank ? by_rank : (int)a->order - (int)b->order;
}

static void percent_decode(Slice s, Buf *out)
{
    for (size_t i = 0; i < s.len; i++) {
        int high = s.at[i] == '%' && i + 2 < s.len ? hex_value(s.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.at[i + 2]) : -1;
        if (low >= 0)
            buf_char(out, (char)(high << 4 | low)), i += 2;
        else
            buf_char(out, s.at[i]);
    }
}

/* charset'language'text; false when the quotes are missing. */
static bool take_charset(Slice *value, Slice *charset)
{
    Slice rest = *value, language;
    size_t first = slice_find(rest, '\'');
    if (first == rest.len) return false;
    *charset = slice_first(rest, first);
    rest = slice_from(rest, first + 1);
    size_t second = slice_find(rest, '\'');
    if (second == rest.len) return false;
    language = slice_first(rest, second);
    *value = slice_from(rest, second + 1);
    return language.len < 64;
}

/* Joins the sections of one name, which begin at s; how many of the rows were of that name. */
static size_t join(Arena *a, const Section *s, size_t left, MailParameter *out, uint16_t *order)
{
    Buf octets buf_scoped = {0}, text buf_scoped = {0};
    Slice charset = {0};
    size_t same = 1;
    bool decoded = s->encoded || s->section >= 0;
    *order = s->order;
    for (; same < left && slice_eq(s[same].base, s->base); same++)
        *order = MIN(*order, s[same].order);
    int wanted = s->section;
    for (size_t i = 0; i < same && s[i].section == wanted; i++) {
        Slice value = s[i].value;
        if (i == 0 && s[i].encoded) take_charset(&value, &charset);
        if (s[i].encoded)
            percent_decode(value, &octets);
        else
            buf_add(&octets, value);
        if (wanted == WHOLE) break;
        wanted++;
    }
    if (decoded && charset.len)
        charset_to_utf8(charset_find(charset), buf_slice(&octets), &text);
    else
        header_decode(&text, buf_slice(&octets)); /* RFC 2047 forbids it here; everybody does it */
    *out = (MailParameter){.name = s->base, .value = keep(a, &text)};
    return same;
}

typedef struct {
    MailParameter parameter;
    uint16_t order;
} Joined;

static int joined_order(const void *x, const void *y)
{
    return (int)((const Joined *)x)->order - (int)((const Joined *)y)->order;
}

static void join_all(Arena *a, MailParameterised *p)
{
    Section *sections = arena_array(a, Section, p->count);
    Joined *joined = arena_array(a, Joined, p->count);
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        sections[i] = section_of(&p->parameters[i], i);
    qsort(sections, p->count, sizeof *sections, section_order);
    for (size_t i = 0; i < p->count; count++)
        i += join(a, &sections[i], p->count - i, &joined[count].parameter, &joined[count].order);
    qsort(joined, count, sizeof *joined, joined_order);
    for (size_t i = 0; i < count; i++)
        p->parameters[i] = joined[i].parameter;
    p->count = count;
}

/* ---- the same for BODYSTRUCTURE: pieces are joined, what is encoded stays so ---- */

/* "%" means something once a piece of the value is encoded. */
static void add_piece(Buf *out, const Section *s, bool any_encoded)
{
    if (s->encoded || !any_encoded) {
        buf_add(out, s->value);
        return;
    }
    for (size_t i = 0; i < s->value.len; i++) {
        if (s->value.at[i] == '%')
            buf_add(out, S("%25"));
        else
            buf_char(out, s->value.at[i]);
    }
}

/* The pieces 0, 1, ... of one name, which begin at s; how many there are. 0: there is no piece 0.
 */
static size_t count_pieces(const Section *s, size_t left, bool *any_encoded)
{
    size_t n = 0;
    *any_encoded = false;
    while (n < left && s[n].section == (int)n && slice_eq(s[n].base, s->base))
        *any_encoded |= s[n++].encoded;
    return n;
}

static MailParameter join_pieces(Arena *a, const Section *s, size_t n, bool any_encoded)
{
    Buf value buf_scoped = {0};
    if (any_encoded && !s->encoded) buf_add(&value, S("''")); /* no charset was said */
    for (size_t i = 0; i < n; i++)
        add_piece(&value, &s[i], any_encoded);
    return (MailParameter){.name = any_encoded ? arena_printf(a, "%.*s*", SP(s->base)) : s->base,
                           .value = arena_copy(a, buf_slice(&value))};
}

void header_join_pieces(Arena *a, MailParameterised *p)
{
    Section *sections = arena_array(a, Section, p->count);
    Joined *joined = arena_array(a, Joined, p->count);
    MailParameter *parameters = arena_array(a, MailParameter, p->count);
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        sections[i] = section_of(&p->parameters[i], i);
    qsort(sections, p->count, sizeof *sections, section_order);
    for (size_t i = 0; i < p->count; count++) {
        bool any_encoded;
        const Section *s = &sections[i];
        size_t n = count_pieces(s, p->count - i, &any_encoded);
        joined[count].order = s->order;
        joined[count].parameter = n ? join_pieces(a, s, n, any_encoded) : p->parameters[s->order];
        i += MAX(n, (size_t)1);
    }
    qsort(joined, count, sizeof *joined, joined_order);
    for (size_t i = 0; i < count; i++)
        parameters[i] = joined[i].parameter;
    p->parameters = parameters;
    p->count = count;
}

void header_parameterised(Arena *a, Slice value, bool decode, MailParameterised *out)
{
    as_written(a, value, out);
    if (decode && out->count) join_all(a, out);
}

Slice header_parameter(const MailParameterised *p, Slice name)
{
    for (size_t i = 0; i < p->count; i++)
        if (slice_eq_nocase(p->parameters[i].name, name)) return p->parameters[i].value;
    return (Slice){0};
}
