#include "imap/record.h"

static uint64_t number(Reader *in, uint64_t most)
{
    uint64_t n = read_varint(in);
    if (n > most) in->bad = true;
    return in->bad ? 0 : n;
}

static uint8_t octet(Reader *in, uint8_t most)
{
    uint8_t n = read_u8(in);
    if (n > most) in->bad = true;
    return in->bad ? 0 : n;
}

static Slice tag(Reader *in)
{
    Slice t = read_bytes(in);
    if (t.len > IMAP_TAG_MOST) in->bad = true;
    for (size_t i = 0; i < t.len && !in->bad; i++)
        if (t.at[i] == '+' || !imap_is_astring_char((unsigned char)t.at[i])) in->bad = true;
    return t;
}

static Err end(const Reader *in)
{
    if (!in->bad && !in->rest.len) return OK;
    return fail(ERR_SYNTAX, "a session that does not fit");
}

/* ---- just logged in ---- */

void imap_record_logged_in(Buf *out, const ImapRecord *r)
{
    buf_bytes(out, r->tag);
    buf_varint(out, r->login_ms);
    buf_varint(out, r->mistakes);
    buf_varint(out, r->language);
    buf_u8(out, r->after_literal);
}

Err imap_read_logged_in(Slice body, ImapRecord *r)
{
    Reader in = reader(body);
    *r = (ImapRecord){.tag = tag(&in)};
    if (!r->tag.len) in.bad = true;
    r->login_ms = number(&in, 24 * 3600 * 1000);
    r->mistakes = (unsigned)number(&in, UINT16_MAX);
    r->language = (uint8_t)number(&in, LANGUAGE_COUNT - 1);
    r->after_literal = octet(&in, 1);
    return end(&in);
}

/* ---- at rest ---- */

static void put_selected(Buf *out, const ImapRecord *r)
{
    buf_varint(out, r->acct);
    buf_varint(out, r->mailbox_id);
    buf_u8(out, r->how);
    buf_u32(out, r->told_keywords);
    buf_varint(out, r->told_rights);
    buf_bytes(out, r->view);
    uidset_write(out, &r->saved);
    buf_bytes(out, r->notes);
}

static void read_selected(Reader *in, Arena *a, ImapRecord *r)
{
    r->acct = (uint32_t)number(in, UINT32_MAX);
    r->mailbox_id = (uint32_t)number(in, UINT32_MAX);
    r->how = octet(in, RECORD_READ_ONLY | RECORD_EXAMINED | RECORD_ANNOTATE);
    r->told_keywords = read_u32(in);
    r->told_rights = (Rights)number(in, RIGHTS_ALL);
    r->view = read_bytes(in);
    uidset_read(in, a, &r->saved);
    r->notes = read_bytes(in);
}

void imap_record_at_rest(Buf *out, const ImapRecord *r)
{
    buf_varint(out, r->enabled);
    buf_varint(out, r->language);
    buf_u8(out, r->comparator.collation);
    buf_u8(out, r->comparator.descending);
    buf_varint(out, r->mistakes);
    buf_u8(out, (uint8_t)(r->quota_known | r->quota_over << 1 | r->after_literal << 2));
    buf_varint(out, r->quota_level);
    buf_bytes(out, r->tag);
    buf_bytes(out, r->notify);
    buf_bytes(out, r->heard);
    buf_u8(out, r->selected);
    if (r->selected) put_selected(out, r);
}

Err imap_read_at_rest(Slice body, Arena *a, ImapRecord *r)
{
    Reader in = reader(body);
    *r = (ImapRecord){.enabled = (unsigned)number(&in, ENABLED_ALL)};
    r->language = (uint8_t)number(&in, LANGUAGE_COUNT - 1);
    r->comparator.collation = octet(&in, COMPARE_OCTET);
    r->comparator.descending = octet(&in, 1);
    r->mistakes = (unsigned)number(&in, UINT16_MAX);
    uint8_t bits = octet(&in, 7);
    r->quota_known = bits & 1;
    r->quota_over = bits & 2;
    r->after_literal = bits & 4;
    r->quota_level = (uint16_t)number(&in, UINT16_MAX);
    r->tag = tag(&in);
    r->notify = read_bytes(&in);
    r->heard = read_bytes(&in);
    r->selected = octet(&in, 1);
    if (r->selected) read_selected(&in, a, r);
    return end(&in);
}
