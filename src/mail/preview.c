#include "mail/preview.h"
#include "base/text.h"
#include "mail/mail.h"

typedef struct {
    Buf *out;
    size_t characters;
    bool space; /* owed before the next word */
} Preview;

static bool is_space(uint32_t c)
{
    return c <= ' ' || (c >= 0x7f && c <= 0xa0) || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* What newsletters pad their first line with. */
static bool is_invisible(uint32_t c)
{
    return c == 0xad || c == 0x34f || c == 0x61c || c == 0x115f || c == 0x1160 || c == 0x17b4 ||
           c == 0x17b5 || c == 0x180e || (c >= 0x200b && c <= 0x200f) || c == 0x2060 ||
           (c >= 0x2066 && c <= 0x2069) || (c >= 0x202a && c <= 0x202e) || c == 0xfeff;
}

/* false: full */
static bool add_line(Preview *p, Slice line)
{
    while (line.len) {
        uint32_t c;
        size_t used = utf8_decode(line, &c);
        if (!used) used = 1, c = ' ';
        Slice octets = slice_first(line, used);
        line = slice_from(line, used);
        if (is_invisible(c)) continue;
        if (is_space(c)) {
            p->space = p->characters > 0;
            continue;
        }
        if (p->characters + p->space >= MAIL_PREVIEW_MOST) return false;
        if (p->space) buf_char(p->out, ' ');
        buf_add(p->out, octets);
        p->characters += 1u + p->space;
        p->space = false;
    }
    p->space = p->characters > 0;
    return true;
}

static Slice line_at(Slice *rest)
{
    size_t n = slice_find(*rest, '\n');
    Slice line = slice_trim(slice_first(*rest, n));
    *rest = slice_from(*rest, n + 1);
    return line;
}

static bool is_quoted(Slice line)
{
    return line.len && line.at[0] == '>';
}

/* Does the text go on with a quotation? Looks over a few empty lines only. */
static bool is_quote_next(Slice rest)
{
    for (int i = 0; i < 3 && rest.len; i++) {
        Slice line = line_at(&rest);
        if (line.len) return is_quoted(line);
    }
    return false;
}

static void add_text(Preview *p, Slice rest, bool quotes_too)
{
    while (rest.len) {
        Slice line = line_at(&rest);
        if (!line.len) continue;
        if (!quotes_too) {
            if (is_quoted(line)) continue;
            bool attribution = line.at[line.len - 1] == ':' && is_quote_next(rest);
            if (attribution) continue;                            /* "On Monday X wrote:" */
            if (p->characters && slice_eq(line, S("--"))) return; /* a signature follows */
        }
        if (!add_line(p, line)) return;
    }
}

void preview_of_text(Buf *out, Slice utf8)
{
    Preview p = {.out = out};
    add_text(&p, utf8, false);
    if (!p.characters) add_text(&p, utf8, true);
}
