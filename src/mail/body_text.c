#include "mail/body_text.h"
#include "base/text.h"
#include "mail/casemap.h"
#include "mail/charset.h"
#include "mail/header.h"
#include "mail/preview.h"

enum {
    PREVIEW_LOOK = 64 * 1024, /* octets of a part that a preview is made from */
    FOLD_STEP = 16 * 1024,    /* so that little is folded in vain at the limit */
};

static size_t search_room(const BodyText *t)
{
    if (!t->search) return 0;
    size_t used = t->search->len - t->search_start;
    return used < MAIL_TEXT_MOST ? MAIL_TEXT_MOST - used : 0;
}

void body_text_fold(Buf *out, Slice utf8, MailFold *fold, size_t most)
{
    size_t start = out->len;
    if (!fold) fold = casemap;
    while (utf8.len && out->len - start < most) {
        size_t n = utf8_cut(utf8, FOLD_STEP);
        fold(out, slice_first(utf8, n ? n : 1));
        utf8 = slice_from(utf8, n ? n : 1);
    }
    out->len = start + utf8_cut(slice_from(buf_slice(out), start), most);
}

static void add_folded(BodyText *t, Slice utf8)
{
    if (!utf8.len || !search_room(t)) return;
    if (t->search->len > t->search_start) buf_char(t->search, '\n');
    body_text_fold(t->search, utf8, t->fold, search_room(t));
}

void body_text_begin(BodyText *t, const PartHeader *p)
{
    t->decoder = (ContentDecoder){.encoding = (uint8_t)p->encoding};
    t->charset = p->charset;
    t->is_html = p->is_html;
    t->for_preview = !t->preview_is_final && !p->is_attachment && (p->is_plain || p->is_html) &&
                     !(p->is_html && t->preview.len);
    t->raw_most = search_room(t) ? MAIL_TEXT_MOST : t->for_preview ? PREVIEW_LOOK : 0;
}

/* What is kept of a part does not depend on how it came: it is cut at exactly raw_most. */
void body_text_feed(BodyText *t, Slice piece)
{
    while (piece.len && body_text_wants(t)) {
        Slice step = slice_first(piece, FOLD_STEP);
        content_decode(&t->decoder, step, &t->raw);
        piece = slice_from(piece, step.len);
    }
    t->raw.len = MIN(t->raw.len, t->raw_most);
}

/* Text of the part as UTF-8, without tags. */
static void readable(const BodyText *t, Slice raw, Buf *out)
{
    const Charset *charset = charset_find(t->charset);
    if (!t->is_html) {
        charset_to_utf8(charset, raw, out);
        return;
    }
    Buf utf8 buf_scoped = {0};
    HtmlText html = {0};
    charset_to_utf8(charset, raw, &utf8);
    html_text(&html, buf_slice(&utf8), out);
    html_text_end(&html, out);
}

/* text/plain is better than HTML, which is better than nothing. */
static void note_preview(BodyText *t, Slice utf8)
{
    Buf preview buf_scoped = {0};
    preview_of_text(&preview, utf8);
    if (!preview.len) return;
    buf_clear(&t->preview);
    buf_add(&t->preview, buf_slice(&preview));
    t->preview_is_final = !t->is_html;
}

void body_text_end(BodyText *t)
{
    if (!t->raw_most) return;
    if (body_text_wants(t)) content_decode_end(&t->decoder, &t->raw);
    t->raw.len = MIN(t->raw.len, t->raw_most);
    Buf text buf_scoped = {0};
    Slice raw = buf_slice(&t->raw), look = slice_first(raw, PREVIEW_LOOK);
    bool search = search_room(t) > 0;
    if (t->for_preview) {
        readable(t, look, &text);
        note_preview(t, buf_slice(&text));
    }
    if (search && (!t->for_preview || look.len < raw.len)) {
        buf_clear(&text);
        readable(t, raw, &text);
    }
    if (search) add_folded(t, buf_slice(&text));
    t->raw_most = 0;
    buf_clear(&t->raw);
}

void body_text_header(BodyText *t, Slice header)
{
    Buf text buf_scoped = {0};
    HeaderField f = {0};
    if (!search_room(t)) return;
    for (size_t n = 0; n < MAIL_FIELDS_MOST && header_next(header, &f); n++) {
        if (text.len) buf_char(&text, '\n');
        buf_add(&text, f.name);
        buf_add(&text, S(": "));
        header_decode(&text, f.value);
    }
    add_folded(t, buf_slice(&text));
}

void body_text_line(BodyText *t, Slice utf8)
{
    add_folded(t, utf8);
}

void body_text_done(BodyText *t)
{
    buf_done(&t->raw);
    buf_done(&t->preview);
}
