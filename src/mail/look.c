#include "mail/look.h"
#include "mail/body_text.h"
#include "mail/casemap.h"
#include "mail/charset.h"

bool mail_look_at_header(MailLook *l, Slice header)
{
    Arena a arena_scoped = {0};
    Fields f;
    PartHeader p;
    buf_clear(&l->folded);
    BodyText text = {.fold = l->fold, .search = &l->folded};
    fields_read(header, &f);
    part_header_read(&a, &f, false, &p);
    body_text_header(&text, f.header);
    body_text_line(&text, p.file_name);
    return casemap_contains(buf_slice(&l->folded), l->needle);
}

/* Most of what is not HTML does not even have the word. */
static bool may_be_html(Slice header)
{
    for (size_t at = 0; at + 4 <= header.len; at++)
        if ((header.at[at] | 0x20) == 'h' && slice_starts_nocase(slice_from(header, at), S("html")))
            return true;
    return false;
}

static bool is_html(Slice header)
{
    Arena a arena_scoped = {0};
    Fields f;
    PartHeader p;
    if (!may_be_html(header)) return false;
    fields_read(header, &f);
    part_header_read(&a, &f, false, &p);
    return p.is_html;
}

static Slice decoded(MailLook *l, const MailPart *p, Slice body)
{
    if (p->encoding != CTE_BASE64 && p->encoding != CTE_QUOTED_PRINTABLE) return body;
    ContentDecoder d = {.encoding = p->encoding};
    buf_clear(&l->raw);
    content_decode(&d, body, &l->raw);
    content_decode_end(&d, &l->raw);
    return buf_slice(&l->raw);
}

static Slice as_utf8(MailLook *l, const MailPart *p, Slice raw)
{
    const Charset *charset = charset_find(p->charset);
    if (charset_is_utf8(charset, raw)) return raw;
    buf_clear(&l->utf8);
    charset_to_utf8(charset, raw, &l->utf8);
    return buf_slice(&l->utf8);
}

static Slice without_tags(MailLook *l, Slice utf8)
{
    HtmlText html = {0};
    buf_clear(&l->text);
    html_text(&html, utf8, &l->text);
    html_text_end(&html, &l->text);
    return buf_slice(&l->text);
}

bool mail_look_at_body(MailLook *l, const MailPart *p, Slice header, Slice body)
{
    Slice text = as_utf8(l, p, decoded(l, p, slice_first(body, MAIL_TEXT_MOST)));
    if (is_html(header)) text = without_tags(l, text);
    buf_clear(&l->folded);
    body_text_fold(&l->folded, text, l->fold, MAIL_TEXT_MOST);
    return casemap_contains(buf_slice(&l->folded), l->needle);
}

void mail_look_done(MailLook *l)
{
    buf_done(&l->raw), buf_done(&l->utf8), buf_done(&l->text), buf_done(&l->folded);
}
