/* One part of one message in another type or charset. */
#include "imap/convert.h"

#include "imap/urlauth.h"
#include "mail/decode.h"

static void failed(Converted *out, ConvertState state, const char *why)
{
    out->state = state;
    out->why = why;
}

/* Octets of the part without their transfer encoding. */
PARKS static Err read_decoded(Account *account, const Message *m, const MailPart *part, Buf *out)
{
    enum { PIECE = 64 * 1024 };
    ContentDecoder decoder = {.encoding = part->encoding};
    Buf raw buf_scoped = {0};
    buf_reserve(&raw, PIECE);
    for (uint32_t at = 0; at < part->body_len; at += MIN(part->body_len - at, (uint32_t)PIECE)) {
        size_t len = MIN(part->body_len - at, (uint32_t)PIECE);
        TRY(email_read(account, m->eid, part->body_at + at, raw.at, len));
        content_decode(&decoder, slice(raw.at, len), out);
        breathe();
    }
    content_decode_end(&decoder, out);
    return OK;
}

static void change_type(Slice utf8, const Converted *c, Buf *out)
{
    Buf text buf_scoped = {0};
    HtmlText html = {0};
    if (slice_eq(c->from, c->to)) {
        convert_line_ends(utf8, out);
    } else if (slice_eq(c->to, S("text/html"))) {
        convert_line_ends(utf8, &text);
        convert_to_html(buf_slice(&text), c->charset, out);
    } else {
        html_text(&html, utf8, &text);
        html_text_end(&html, &text);
        convert_line_ends(buf_slice(&text), out);
    }
}

static void encode(Slice utf8, const ConvertHow *how, Arena *a, Converted *out)
{
    Buf octets buf_scoped = {0};
    if (!charset_from_utf8(how->charset, utf8, how->replacement, &octets)) {
        failed(out, CONVERT_BAD, "A character is not in that charset");
        return;
    }
    out->octets = arena_copy(a, buf_slice(&octets));
    for (size_t i = 0; i < octets.len; i++)
        out->lines += octets.at[i] == '\n';
}

PARKS static void convert_text(Account *account, const Message *m, const MailPart *part,
                               const ConvertHow *how, Arena *a, Converted *out)
{
    Buf raw buf_scoped = {0}, utf8 buf_scoped = {0}, text buf_scoped = {0};
    if (read_decoded(account, m, part, &raw)) {
        failed(out, CONVERT_TEMPFAIL, "The message cannot be read now");
        return;
    }
    charset_to_utf8(charset_find(part->charset), buf_slice(&raw), &utf8);
    change_type(buf_slice(&utf8), out, &text);
    encode(buf_slice(&text), how, a, out);
}

PARKS static Err find_part(Account *account, const Message *m, const Section *section, Arena *a,
                           MailPart *part, Slice *type)
{
    MailSummary summary;
    TRY(section_binary(account, m, section, a, part));
    TRY(section_summary(account, m, false, a, &summary));
    *type = urlauth_part_type(summary.body_structure, section, a);
    return OK;
}

void convert_part(Account *account, const Message *m, const Convert *c, const Section *section,
                  bool only_type, Arena *a, Converted *out)
{
    ConvertHow how;
    MailPart part;
    *out = (Converted){.to = c->to.at ? c->to : S("text/plain")};
    Err err = find_part(account, m, section, a, &part, &out->from);
    const char *why = "There is no such part";
    ConvertState state = convert_how(c, &how, &why);
    Slice to = err ? (Slice){0} : convert_target(c, out->from);
    if (!how.charset) how.charset = charset_find(S("utf-8"));
    out->charset = charset_name(how.charset);
    if (err)
        failed(out, err == ERR_UNKNOWN_CTE || err == ERR_NOT_FOUND ? CONVERT_BAD : CONVERT_TEMPFAIL,
               "That part cannot be read");
    else if (!to.len)
        failed(out, CONVERT_BAD, "There is no such conversion");
    else if (state)
        failed(out, state, why);
    else if (part.body_len > CONVERT_OCTETS_MOST)
        failed(out, CONVERT_BAD, "That part is too large to be converted");
    if (out->state) return;
    out->to = to;
    if (!only_type) convert_text(account, m, &part, &how, a, out);
}

/* ---- headers ---- */

PARKS static Err read_header(Account *account, const Message *m, const Section *section, Arena *a,
                             Slice *header)
{
    SectionOctets octets;
    TRY(section_find(account, m, section, a, &octets));
    size_t len = (size_t)MIN(octets.len, (uint64_t)MAIL_HEADER_MOST);
    char *to = arena_alloc(a, len + 1);
    TRY(email_read(account, m->eid, octets.at, to, len));
    *header = slice(to, len);
    return OK;
}

void convert_header_of(Account *account, const Message *m, const Convert *c, const Section *section,
                       Arena *a, Converted *out)
{
    ConvertHow how;
    Slice header;
    Buf octets buf_scoped = {0};
    const char *why = NULL;
    *out = (Converted){.to = S("text/rfc822-headers")};
    ConvertState state = convert_how(c, &how, &why);
    Err err = read_header(account, m, section, a, &header);
    if (!err) out->from = out->to;
    if (err)
        failed(out, err == ERR_NOT_FOUND ? CONVERT_BAD : CONVERT_TEMPFAIL, "There is no such part");
    else if (state)
        failed(out, state, why);
    else if (!how.charset)
        failed(out, CONVERT_MISSING, "Headers want a charset");
    else if (!convert_header(header, how.charset, how.replacement, &octets))
        failed(out, CONVERT_BAD, "A character is not in that charset");
    if (!out->state) out->octets = arena_copy(a, buf_slice(&octets));
}
