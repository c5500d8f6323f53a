/* Messages with UTF-8 in their headers (RFC 6532) for clients that have enabled neither UTF8=ACCEPT
 * nor IMAP4rev2: RFC 6855 8 leaves to us what they see, and RFC 6858 says how. BODYSTRUCTURE and
 * the headers of parts stay as they are: literals may hold such octets. */
#include "base/text.h"
#include "imap/fetch.h"
#include "mail/surrogate.h"

bool surrogate_may_show(const Fetching *f, const Section *section)
{
    bool has_header = section->text != SECTION_TEXT && section->text != SECTION_MIME;
    return !imap_has(f->s, ENABLED_REV2 | ENABLED_UTF8) && !section->depth && has_header;
}

bool surrogate_shows(const Fetching *f, Slice beginning)
{
    size_t len = email_header_length(mailbox_account(f->s->box), f->m.eid);
    return !text_is_ascii(slice_first(beginning, len));
}

/* .at NULL: the header needs none, or cannot be read, which others will tell. */
PARKS static Slice read_header(Fetching *f)
{
    MailSummary summary;
    Account *account = mailbox_account(f->s->box);
    if (section_summary(account, &f->m, false, &f->arena, &summary)) return (Slice){0};
    size_t len = MIN(summary.header_len, (size_t)MIN(f->m.size, (uint32_t)MAIL_HEADER_MOST));
    if (!mem_fits(len)) return (Slice){0};
    char *header = arena_alloc(&f->arena, len + 1);
    if (email_read(account, f->m.eid, 0, header, len)) return (Slice){0};
    Slice whole = slice(header, len);
    return mail_header_is_international(whole) ? whole : (Slice){0};
}

static Slice surrogate_of(Fetching *f, Slice header)
{
    Buf made buf_scoped = {0};
    mail_surrogate_header(&made, header);
    return arena_copy(&f->arena, buf_slice(&made));
}

static void note(Fetching *f)
{
    uidset_add(&f->s->arena, &f->downgraded, f->m.uid, f->m.uid);
}

/* The surrogate's header, and behind it the body as it is stored, from `body` on. */
PARKS static void put(Fetching *f, const FetchItem *item, Slice header, uint64_t body)
{
    Buf *out = stream_out(f->s->stream);
    uint64_t at = 0, len = header.len + (f->m.size - body);
    fetch_name(out, item);
    fetch_clip(item, &at, &len);
    fetch_literal_head(out, len, false);
    if (at < header.len) {
        Slice part = slice_first(slice_from(header, (size_t)at), (size_t)MIN(len, header.len));
        buf_add(out, part);
        at += part.len, len -= part.len;
    }
    if (len) fetch_stored(f, at - header.len + body, len);
    note(f);
}

bool surrogate_section(Fetching *f, const FetchItem *item)
{
    Slice header = read_header(f);
    if (!header.at) return false;
    Slice made = surrogate_of(f, header);
    SectionText text = item->section.text;
    if (text == SECTION_WHOLE) {
        put(f, item, made, header.len);
        return true;
    }
    if (text != SECTION_HEADER) {
        Slice fields = section_select_fields(&item->section, header, &f->arena);
        if (text_is_ascii(fields)) return false; /* RFC 6858 3: not told of in DOWNGRADED */
        made = section_select_fields(&item->section, made, &f->arena);
    }
    put(f, item, made, f->m.size);
    return true;
}

Slice surrogate_envelope(Fetching *f, Slice envelope)
{
    Section section = {.text = SECTION_HEADER};
    if (text_is_ascii(envelope) || !surrogate_may_show(f, &section)) return envelope;
    f->has_summary = false;
    envelope = arena_copy(&f->arena, envelope);
    Slice header = read_header(f);
    if (!header.at) return envelope;
    MailSummary summary;
    mail_summarise(surrogate_of(f, header), &f->arena, NULL, &summary);
    note(f);
    return summary.envelope;
}
