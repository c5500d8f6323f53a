/* Which octets of a message a section means: RFC 9051 6.4.5.1. */
#include "imap/fetch.h"
#include "mail/header.h"

/* ---- HEADER.FIELDS ---- */

static bool is_listed(const Section *section, Slice name)
{
    for (size_t i = 0; i < section->field_count; i++)
        if (slice_eq_nocase(section->fields[i], name)) return true;
    return false;
}

/* "Subsetting does not exclude the delimiting blank line." */
static Slice select_fields(const Section *section, Slice header, Arena *a)
{
    Buf out buf_scoped = {0};
    HeaderField f = {0};
    bool wanted = section->text == SECTION_FIELDS;
    while (header_next(header, &f))
        if (f.name.len && is_listed(section, f.name) == wanted) buf_add(&out, f.whole);
    buf_add(&out, S("\r\n"));
    return arena_copy(a, buf_slice(&out));
}

PARKS static Err read_fields(Imap *s, const Message *m, const Section *section, Arena *a,
                             SectionOctets *out)
{
    size_t len = (size_t)MIN(out->len, (uint64_t)MAIL_HEADER_MOST);
    char *header = arena_alloc(a, len + 1);
    TRY(email_read(s->account, m->eid, out->at, header, len));
    out->made = select_fields(section, slice(header, len), a);
    out->is_made = true;
    out->len = out->made.len;
    return OK;
}

/* ---- parts ---- */

static void set(SectionOctets *out, uint64_t at, uint64_t len)
{
    out->at = at;
    out->len = len;
}

/* Without part numbers only the length of the header counts: no part table has to be read. */
PARKS static Err top_level(Imap *s, const Message *m, const Section *section, SectionOctets *out)
{
    MailSummary summary;
    Slice stored;
    set(out, 0, m->size);
    if (section->text == SECTION_WHOLE) return OK;
    TRY(email_summary(s->account, m->eid, &stored));
    TRY(mail_summary_peek(stored, &summary));
    if (section->text == SECTION_TEXT)
        set(out, summary.header_len, m->size - MIN(summary.header_len, m->size));
    else
        set(out, 0, summary.header_len);
    return OK;
}

PARKS static Err find_part(Imap *s, const Message *m, const Section *section, Arena *a,
                           MailSummary *summary, uint16_t *number)
{
    Slice stored;
    TRY(email_summary(s->account, m->eid, &stored));
    TRY(mail_summary_decode(arena_copy(a, stored), a, summary));
    return mail_part_find(summary, section->path, section->depth, number);
}

/* HEADER and TEXT behind numbers belong to message/rfc822 and message/global; its only child is the
 * message inside. */
static Err inside(const MailSummary *summary, const MailPart *part, SectionText text,
                  SectionOctets *out)
{
    if (part->kind != PART_MESSAGE || !part->first_child)
        return fail(ERR_NOT_FOUND, "not a message part");
    const MailPart *embedded = &summary->parts[part->first_child];
    if (text == SECTION_TEXT)
        set(out, embedded->body_at, embedded->body_len);
    else
        set(out, embedded->header_at, embedded->header_len);
    return OK;
}

/* "1.MIME" of a message that is not multipart: its header is the MIME header. */
PARKS static Err numbered(Imap *s, const Message *m, const Section *section, Arena *a,
                          SectionOctets *out)
{
    MailSummary summary;
    uint16_t number;
    TRY(find_part(s, m, section, a, &summary, &number));
    const MailPart *part = &summary.parts[number];
    switch (section->text) {
    case SECTION_WHOLE:
        set(out, part->body_at, part->body_len);
        return OK;
    case SECTION_MIME:
        set(out, part->header_at, part->header_len);
        return OK;
    case SECTION_HEADER:
    case SECTION_FIELDS:
    case SECTION_FIELDS_NOT:
    case SECTION_TEXT:
        break;
    }
    return inside(&summary, part, section->text, out);
}

PARKS Err section_find(Imap *s, const Message *m, const Section *section, Arena *a,
                       SectionOctets *out)
{
    *out = (SectionOctets){0};
    TRY(section->depth ? numbered(s, m, section, a, out) : top_level(s, m, section, out));
    if (out->at > m->size || out->len > m->size - out->at)
        return fail(ERR_CORRUPT, "a part beyond its message");
    if (section->text == SECTION_FIELDS || section->text == SECTION_FIELDS_NOT)
        return read_fields(s, m, section, a, out);
    return OK;
}

PARKS Err section_binary(Imap *s, const Message *m, const Section *section, Arena *a,
                         MailPart *part)
{
    MailSummary summary;
    uint16_t number = 0;
    static const uint32_t first[] = {1};
    Section whole = *section;
    if (!section->depth)
        whole.path = first,
        whole.depth = 1; /* RFC 3516 allows BINARY[]: of a message that is one leaf */
    TRY(find_part(s, m, &whole, a, &summary, &number));
    *part = summary.parts[number];
    bool leaf = part->kind == PART_BASIC || part->kind == PART_TEXT;
    if (!leaf || (!section->depth && summary.parts[0].kind == PART_MULTIPART))
        return fail(ERR_SYNTAX, "BINARY is for leaf parts");
    if (part->encoding == CTE_UNKNOWN)
        return fail(ERR_UNKNOWN_CTE, "unknown Content-Transfer-Encoding");
    if (part->body_at > m->size || part->body_len > m->size - part->body_at)
        return fail(ERR_CORRUPT, "a part beyond its message");
    return OK;
}
