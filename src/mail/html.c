/* HTML to text: a tokenizer that knows as much of HTML as is needed to see where tags, comments,
 * scripts and styles end. */
#include "base/text.h"
#include "mail/decode.h"
#include "mail/shifting.h"

#include <stdlib.h>

typedef enum {
    HTML_TEXT,
    HTML_ENTITY,   /* held: "&" and what followed */
    HTML_OPEN,     /* behind "<" */
    HTML_NAME,     /* held: the tag's name in lower case, "/" in front of an end tag's */
    HTML_TAG,      /* attributes */
    HTML_VALUE,    /* behind "=" */
    HTML_QUOTED,   /* held[0]: the quote that ends it */
    HTML_BANG,     /* behind "<!", held: a "-" or nothing */
    HTML_COMMENT,  /* held_len: dashes just seen */
    HTML_DECLARED, /* "<!doctype", "<?xml": up to ">" */
    HTML_RAW,      /* inside script, style, title */
    HTML_RAW_END,  /* held: "<", "</", "</scr": perhaps its end tag */
} HtmlState;

enum { GAP_NONE, GAP_SPACE, GAP_LINE };

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void gap(HtmlText *h, uint8_t kind)
{
    if (kind > h->gap) h->gap = kind;
}

static void settle_gap(HtmlText *h, Buf *out)
{
    if (h->gap && h->any) buf_char(out, h->gap == GAP_LINE ? '\n' : ' ');
    h->gap = GAP_NONE;
    h->any = true;
}

static void text_octet(HtmlText *h, char c, Buf *out)
{
    if (is_white(c)) {
        gap(h, GAP_SPACE);
        return;
    }
    settle_gap(h, out);
    buf_char(out, c);
}

/* ---- entities ---- */

typedef struct {
    char name[10];
    uint16_t codepoint;
} Entity;
static const Entity entities[] = {
#define ENTITY(name, codepoint) {name, codepoint},
#include "mail/entity.def"
#undef ENTITY
};

static int entity_order(const void *key, const void *row)
{
    const Slice *name = key;
    const Entity *e = row;
    return slice_order(*name, slice(e->name, strnlen(e->name, sizeof e->name)));
}

/* What a numeric reference means. Numbers 128 to 159 are windows-1252, as in all browsers. */
static uint32_t numbered(uint64_t n)
{
    if (n >= 0x80 && n < 0xa0) {
        Buf utf8 buf_scoped = {0};
        uint32_t codepoint = REPLACEMENT;
        char octet = (char)n;
        windows1252_to_utf8(slice(&octet, 1), &utf8);
        return utf8_decode(buf_slice(&utf8), &codepoint) ? codepoint : REPLACEMENT;
    }
    if (!n || n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) return REPLACEMENT;
    return (uint32_t)n;
}

static bool hex_number(Slice s, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.at[i]);
        bool digit = is_digit((unsigned char)c);
        if (!digit && !(c >= 'a' && c <= 'f')) return false;
        if (*n <= 0x10ffff) *n = *n << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return s.len > 0;
}

/* "amp", "#8364", "#x20AC". 0: unknown. */
static uint32_t entity_codepoint(Slice name)
{
    uint64_t n;
    if (!name.len) return 0;
    if (slice_starts_nocase(name, S("#x")))
        return hex_number(slice_from(name, 2), &n) ? numbered(n) : 0;
    if (slice_starts(name, S("#"))) return slice_to_u64(slice_from(name, 1), &n) ? numbered(n) : 0;
    const Entity *e = bsearch(&name, entities, COUNT(entities), sizeof *entities, entity_order);
    return e ? e->codepoint : 0;
}

/* Spaces of all widths, and the invisible characters that newsletters pad their previews with. */
static bool is_spacing(uint32_t c)
{
    return c <= ' ' || c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x3000;
}

static bool is_invisible(uint32_t c)
{
    return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) || c == 0x2060 || c == 0xfeff;
}

/* held is whole. An unknown one stands for itself; `end` is the octet behind it if it is part of it
 * (";"), else 0. */
static void entity_ends(HtmlText *h, char end, Buf *out)
{
    uint32_t c = entity_codepoint(slice(h->held + 1, h->held_len - 1u));
    if (!c) {
        for (size_t i = 0; i < h->held_len; i++)
            text_octet(h, h->held[i], out);
        if (end) text_octet(h, end, out);
    } else if (is_spacing(c)) {
        gap(h, GAP_SPACE);
    } else if (!is_invisible(c)) {
        settle_gap(h, out);
        utf8_encode(out, c);
    }
    h->held_len = 0;
    h->state = HTML_TEXT;
}

/* ---- tags ---- */

static bool is_block(Slice name)
{
    static const char blocks[] =
        " address article aside blockquote body br center dd div dl dt fieldset figcaption figure "
        "footer form h1 h2 h3 h4 h5 h6 head header hr html li main nav ol option p pre section "
        "table tbody tfoot thead title tr ul ";
    char padded[16];
    if (name.len + 2 > sizeof padded) return false;
    padded[0] = ' ';
    memcpy(padded + 1, name.at, name.len);
    padded[name.len + 1] = ' ';
    return memmem(blocks, sizeof blocks - 1, padded, name.len + 2);
}

static const Slice skipped[] = {
    {"",       0},
    {"script", 6},
    {"style",  5},
    {"title",  5}
};

static void hold(HtmlText *h, char c)
{
    if (h->held_len < sizeof h->held) h->held[h->held_len++] = ascii_lower(c);
}

static void tag_named(HtmlText *h)
{
    Slice name = slice(h->held, h->held_len);
    bool ends = slice_starts(name, S("/"));
    if (ends) name = slice_from(name, 1);
    if (is_block(name)) gap(h, GAP_LINE);
    if (slice_eq(name, S("td")) || slice_eq(name, S("th"))) gap(h, GAP_SPACE);
    for (uint8_t i = 1; i < COUNT(skipped) && !ends; i++)
        if (slice_eq(name, skipped[i])) h->skip = i;
    h->held_len = 0;
}

static void tag_ends(HtmlText *h)
{
    h->state = h->skip ? HTML_RAW : HTML_TEXT;
    h->held_len = 0;
}

static void in_name(HtmlText *h, char c)
{
    if (c != '>' && c != '/' && !is_white(c)) {
        hold(h, c);
        return;
    }
    if (c == '/' && !h->held_len) { /* "</" */
        hold(h, c);
        return;
    }
    tag_named(h);
    h->state = HTML_TAG;
    if (c == '>') tag_ends(h);
}

/* Behind "<": what cannot begin a tag makes it a less-than sign. */
static bool in_open(HtmlText *h, char c, Buf *out)
{
    h->held_len = 0;
    if (is_alpha((unsigned char)c) || c == '/') {
        h->state = HTML_NAME;
        return false;
    }
    h->state = c == '!' ? HTML_BANG : c == '?' ? HTML_DECLARED : HTML_TEXT;
    if (h->state != HTML_TEXT) return true;
    text_octet(h, '<', out);
    return false;
}

static void in_tag(HtmlText *h, char c)
{
    if (c == '>')
        tag_ends(h);
    else if (c == '=')
        h->state = HTML_VALUE;
}

static void in_value(HtmlText *h, char c)
{
    if (is_white(c)) return;
    if (c == '"' || c == '\'') {
        h->held[0] = c;
        h->state = HTML_QUOTED;
        return;
    }
    h->state = HTML_TAG;
    in_tag(h, c);
}

static bool in_bang(HtmlText *h, char c)
{
    if (c != '-') {
        h->state = HTML_DECLARED;
        return false;
    }
    if (++h->held_len == 2) h->state = HTML_COMMENT; /* "<!-->" is whole: its dashes count */
    return true;
}

static void in_comment(HtmlText *h, char c)
{
    if (c == '-')
        h->held_len = (uint8_t)MIN(h->held_len + 1, 2);
    else if (c == '>' && h->held_len == 2)
        tag_ends(h);
    else
        h->held_len = 0;
}

/* In "</scr": true when c belongs to it or ends it. */
static bool in_raw_end(HtmlText *h, char c)
{
    Slice name = skipped[h->skip];
    size_t have = h->held_len;
    if (have == name.len + 2 && (c == '>' || c == '/' || is_white(c))) {
        if (is_block(name)) gap(h, GAP_LINE);
        h->skip = 0;
        h->held_len = 0;
        h->state = HTML_TAG;
        in_tag(h, c);
        return true;
    }
    bool fits = have == 1 ? c == '/' : have < name.len + 2 && ascii_lower(c) == name.at[have - 2];
    if (fits)
        hold(h, c);
    else
        h->state = HTML_RAW;
    return fits;
}

static bool in_entity(HtmlText *h, char c, Buf *out)
{
    bool belongs = is_alnum((unsigned char)c) || (c == '#' && h->held_len == 1);
    if (belongs && h->held_len < 32) {
        h->held[h->held_len++] = c; /* case matters */
        return true;
    }
    entity_ends(h, c == ';' ? c : 0, out);
    return c == ';';
}

/* One octet; false: look at it again in the new state. */
static bool octet(HtmlText *h, char c, Buf *out)
{
    switch ((HtmlState)h->state) {
    case HTML_TEXT:
        if (c == '<') {
            h->state = HTML_OPEN;
        } else if (c == '&') {
            h->state = HTML_ENTITY;
            h->held[0] = c, h->held_len = 1;
        } else {
            text_octet(h, c, out);
        }
        return true;
    case HTML_ENTITY:
        return in_entity(h, c, out);
    case HTML_OPEN:
        return in_open(h, c, out);
    case HTML_NAME:
        in_name(h, c);
        return true;
    case HTML_TAG:
        in_tag(h, c);
        return true;
    case HTML_VALUE:
        in_value(h, c);
        return true;
    case HTML_QUOTED:
        if (c == h->held[0]) h->state = HTML_TAG;
        return true;
    case HTML_BANG:
        return in_bang(h, c);
    case HTML_COMMENT:
        in_comment(h, c);
        return true;
    case HTML_DECLARED:
        if (c == '>') tag_ends(h);
        return true;
    case HTML_RAW:
        if (c == '<') h->state = HTML_RAW_END, h->held[0] = c, h->held_len = 1;
        return true;
    case HTML_RAW_END:
        return in_raw_end(h, c);
    }
    return true;
}

/* 0x80 in every octet of v that is c. */
static uint64_t octets_that_are(uint64_t v, char c)
{
    const uint64_t ones = 0x0101010101010101u, low = ones * 0x7f;
    v ^= ones * (unsigned char)c;
    return ~(((v & low) + low) | v | low);
}

/* Do these eight say what they are: no tag, no entity, no white space but a single SP between two
 * words? Begins behind an octet that is no white space. Octets lie in memory as in a little-endian
 * number, or the other way round: then two blanks follow each other just as well. */
static bool are_words(uint64_t v)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t blanks = octets_that_are(v, ' '), controls = (v - ones * ' ') & ~v & ones * 0x80;
    return !(controls | octets_that_are(v, '<') | octets_that_are(v, '&') | (blanks & blanks << 8));
}

/* Octets at the front that mean the same one by one and together: the first and the last are no
 * white space. */
static size_t text_run(Slice s)
{
    size_t i = 0;
    for (;;) {
        while (i < s.len && (unsigned char)s.at[i] > ' ' && s.at[i] != '<' && s.at[i] != '&')
            i++;
        if (!i || s.len - i < 9 || s.at[i] != ' ') break;
        size_t words = i + 1;
        for (uint64_t v; s.len - words >= sizeof v; words += sizeof v) {
            memcpy(&v, s.at + words, sizeof v);
            if (s.at[words] == ' ' && s.at[words - 1] == ' ') break;
            if (!are_words(v)) break;
        }
        while (s.at[words - 1] == ' ')
            words--;
        if (words <= i + 1) break;
        i = words;
    }
    return i;
}

void html_text(HtmlText *h, Slice piece, Buf *out)
{
    while (piece.len) {
        size_t n = h->state == HTML_TEXT ? text_run(piece) : 0;
        if (n) {
            settle_gap(h, out);
            buf_add(out, slice_first(piece, n));
        } else if (h->state == HTML_RAW) {
            n = slice_find(piece, '<'); /* styles are long */
            if (!n) n = octet(h, piece.at[0], out);
        } else {
            n = octet(h, piece.at[0], out);
        }
        piece = slice_from(piece, n);
    }
}

void html_text_end(HtmlText *h, Buf *out)
{
    if (h->state == HTML_ENTITY) entity_ends(h, 0, out);
    if (h->state == HTML_OPEN) text_octet(h, '<', out);
    h->state = HTML_TEXT;
}
