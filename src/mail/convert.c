#include "mail/convert.h"

#include "base/text.h"
#include "mail/header.h"
#include "mail/octets.h"

/* ---- texts ---- */

static void put_html_octet(char c, Buf *out)
{
    switch (c) {
    case '&':
        buf_add(out, S("&amp;"));
        return;
    case '<':
        buf_add(out, S("&lt;"));
        return;
    case '>':
        buf_add(out, S("&gt;"));
        return;
    default:
        buf_char(out, c);
    }
}

void convert_to_html(Slice utf8, Slice charset_name, Buf *out)
{
    buf_printf(out, "<!DOCTYPE html>\r\n<html><head><meta charset=\"%.*s\"><title></title></head>",
               SP(charset_name));
    buf_add(out, S("<body><pre>"));
    for (size_t i = 0; i < utf8.len; i++)
        put_html_octet(utf8.at[i], out);
    buf_add(out, S("</pre></body></html>\r\n"));
}

void convert_line_ends(Slice text, Buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '\n' && (!i || text.at[i - 1] != '\r')) buf_char(out, '\r');
        buf_char(out, text.at[i]);
    }
}

/* ---- encoded words, RFC 2047 2 ---- */

enum { WORD_MOST = 75 };

/* "=?charset?encoding?text?=" at the front: how long it is; 0: there is none. */
static size_t encoded_word(Slice s)
{
    if (!slice_starts(s, S("=?"))) return 0;
    size_t marks = 0;
    for (size_t i = 2; i < s.len && !is_folding_white(s.at[i]); i++) {
        if (s.at[i] == '?') marks++;
        if (marks == 3) return i + 1 < s.len && s.at[i + 1] == '=' ? i + 2 : 0;
    }
    return 0;
}

static size_t white(Slice s)
{
    size_t n = 0;
    while (n < s.len && is_folding_white(s.at[n]))
        n++;
    return n;
}

/* Words with only white space between them are one text (RFC 2047 6.2). */
static size_t run_of_words(Slice s)
{
    size_t len = encoded_word(s);
    while (len) {
        Slice rest = slice_from(s, len);
        size_t gap = white(rest), next = gap ? encoded_word(slice_from(rest, gap)) : 0;
        if (!next) return len;
        len += gap + next;
    }
    return 0;
}

typedef struct {
    const Charset *charset;
    Slice replacement;
    Buf *out;
    Buf word; /* octets of the charset, for the word under way */
    size_t words;
} Words;

static void put_word(Words *w)
{
    Buf base64 buf_scoped = {0};
    if (!w->word.len) return;
    if (w->words++) buf_add(w->out, S("\r\n "));
    base64_encode(&base64, buf_slice(&w->word));
    buf_printf(w->out, "=?%.*s?B?%.*s?=", SP(charset_name(w->charset)), SP(buf_slice(&base64)));
    buf_clear(&w->word);
}

/* A character is never cut in two (RFC 2047 5). */
static bool add_character(Words *w, Slice character)
{
    Buf octets buf_scoped = {0};
    size_t frame = charset_name(w->charset).len + 7; /* "=?" "?B?" "?=" */
    if (!charset_from_utf8(w->charset, character, w->replacement, &octets)) return false;
    if (frame + (w->word.len + octets.len + 2) / 3 * 4 > WORD_MOST) put_word(w);
    buf_add(&w->word, buf_slice(&octets));
    return true;
}

static bool put_words(Words *w, Slice utf8)
{
    bool fits = true;
    for (size_t at = 0, next; at < utf8.len && fits; at = next) {
        next = at + 1;
        while (next < utf8.len && (utf8.at[next] & 0xc0) == 0x80)
            next++;
        fits = add_character(w, slice_first(slice_from(utf8, at), next - at));
    }
    if (fits) put_word(w);
    buf_done(&w->word);
    return fits;
}

static bool put_run(Slice run, const Charset *c, Slice replacement, Buf *out)
{
    Buf text buf_scoped = {0};
    Words w = {.charset = c, .replacement = replacement, .out = out};
    /* One of nothing stays: without it what is around it might become an encoded word. */
    if (header_decode_exactly(&text, run) && text.len) return put_words(&w, buf_slice(&text));
    buf_add(out, run);
    return true;
}

bool convert_header(Slice header, const Charset *c, Slice replacement, Buf *out)
{
    for (size_t at = 0; at < header.len;) {
        Slice rest = slice_from(header, at);
        size_t run = run_of_words(rest);
        if (run) {
            if (!put_run(slice_first(rest, run), c, replacement, out)) return false;
            at += run;
        } else {
            buf_char(out, header.at[at++]);
        }
    }
    return true;
}
