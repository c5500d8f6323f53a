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

/* RFC 9051 6.4.5.1: "the blank line is included in all header fetches, except in the case of a
 * message that has no body and no blank line." What ends at its last field has none. */
static bool has_blank_line(Slice header)
{
    HeaderField f = {0};
    while (header_next(header, &f)) {
    }
    return f.next < header.len;
}

Slice section_select_fields(const Section *section, Slice header, Arena *a)
{
    Buf out buf_scoped = {0};
    HeaderField f = {0};
    bool wanted = section->text == SECTION_FIELDS;
    while (header_next(header, &f))
        if ((f.name.len && is_listed(section, f.name)) == wanted) buf_add(&out, f.whole);
    if (has_blank_line(header)) buf_add(&out, S("\r\n"));
    return arena_copy(a, buf_slice(&out));
}

PARKS static Err read_fields(Account *account, const Message *m, const Section *section, Arena *a,
                             SectionOctets *out)
{
    size_t len = (size_t)MIN(out->len, (uint64_t)MAIL_HEADER_MOST);
    if (!mem_fits(3 * len)) return fail(ERR_NO_MEMORY, "a header of %zu octets", len);
    char *header = arena_alloc(a, len + 1);
    TRY(email_read(account, m->eid, out->at, header, len));
    out->made = section_select_fields(section, slice(header, len), a);
    out->is_made = true;
    out->len = out->made.len;
    return OK;
}

/* ---- the summary ---- */

enum { PIECE = 64 * 1024 };

/* The stored one cannot be used: the message says it again. */
PARKS static Err summarise_anew(Account *account, const Message *m, Arena *a, MailSummary *out)
{
    MailScan *scan scoped(mail_scan) = mail_scan_new(NULL);
    Buf piece buf_scoped = {0};
    buf_reserve(&piece, PIECE);
    for (uint32_t at = 0; at < m->size; at += MIN(m->size - at, (uint32_t)PIECE)) {
        size_t len = MIN(m->size - at, (uint32_t)PIECE);
        TRY(email_read(account, m->eid, at, piece.at, len));
        mail_scan_feed(scan, slice(piece.at, len));
        breathe();
    }
    mail_scan_end(scan, a, out);
    return OK;
}

Err section_summary(Account *account, const Message *m, bool whole, Arena *a, MailSummary *out)
{
    Slice stored;
    Err err = email_summary(account, m->eid, &stored);
    if (!err && whole) err = mail_summary_decode(arena_copy(a, stored), a, out);
    if (!err && !whole) err = mail_summary_peek(stored, out);
    return err ? summarise_anew(account, m, a, out) : OK;
}

/* ---- parts ---- */

static void set(SectionOctets *out, uint64_t at, uint64_t len)
{
    out->at = at;
    out->len = len;
}

/* Without part numbers only the length of the header counts: no part table has to be read. */
PARKS static Err top_level(Account *account, const Message *m, const Section *section, Arena *a,
                           SectionOctets *out)
{
    MailSummary summary;
    set(out, 0, m->size);
    if (section->text == SECTION_WHOLE) return OK;
    TRY(section_summary(account, m, false, a, &summary));
    if (section->text == SECTION_TEXT)
        set(out, summary.header_len, m->size - MIN(summary.header_len, m->size));
    else
        set(out, 0, summary.header_len);
    return OK;
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
PARKS static Err numbered(Account *account, const Message *m, const Section *section, Arena *a,
                          SectionOctets *out)
{
    MailSummary summary;
    uint16_t number;
    TRY(section_summary(account, m, true, a, &summary));
    TRY(mail_part_find(&summary, section->path, section->depth, &number));
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

PARKS Err section_find(Account *account, const Message *m, const Section *section, Arena *a,
                       SectionOctets *out)
{
    *out = (SectionOctets){0};
    TRY(section->depth ? numbered(account, m, section, a, out)
                       : top_level(account, m, section, a, out));
    if (out->at > m->size || out->len > m->size - out->at)
        return fail(ERR_CORRUPT, "a part beyond its message");
    if (section->text == SECTION_FIELDS || section->text == SECTION_FIELDS_NOT)
        return read_fields(account, m, section, a, out);
    return OK;
}

/* BINARY[] is the message as it is: it has no transfer encoding of its own (RFC 2046 5.2.1). */
static void whole_message(const Message *m, MailPart *part)
{
    *part = (MailPart){.body_len = m->size, .encoding = CTE_BINARY, .kind = PART_BASIC};
}

/* RFC 9051 6.4.5 wants clients to ask for leaf parts only. RFC 3516 did not, and a multipart or an
 * embedded message has a transfer encoding too, which changes nothing. */
PARKS Err section_binary(Account *account, const Message *m, const Section *section, Arena *a,
                         MailPart *part)
{
    MailSummary summary;
    uint16_t number = 0;
    *part = (MailPart){0};
    if (!section->depth) {
        whole_message(m, part);
        return OK;
    }
    TRY(section_summary(account, m, true, a, &summary));
    TRY(mail_part_find(&summary, section->path, section->depth, &number));
    *part = summary.parts[number];
    if (part->encoding == CTE_UNKNOWN)
        return fail(ERR_UNKNOWN_CTE, "unknown Content-Transfer-Encoding");
    if (part->body_at > m->size || part->body_len > m->size - part->body_at)
        return fail(ERR_CORRUPT, "a part beyond its message");
    return OK;
}
