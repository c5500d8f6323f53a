#include "mail/columns.h"
#include "mail/casemap.h"
#include "mail/header.h"

static Slice keep(Arena *a, const Buf *b)
{
    return b->len ? arena_copy(a, buf_slice(b)) : S("");
}

static Slice decoded_column(Arena *a, const Fields *f, Field field, Slice name)
{
    Buf plain buf_scoped = {0}, folded buf_scoped = {0};
    size_t next = 0;
    for (Slice value; fields_each(f, field, &next, &value);) {
        if (plain.len) buf_char(&plain, '\n');
        header_search_text(&plain, name, value);
    }
    casemap(&folded, buf_slice(&plain));
    return keep(a, &folded);
}

static Slice base_subject(Arena *a, const Fields *f)
{
    if (!f->count[FIELD_SUBJECT]) return S("");
    Buf plain buf_scoped = {0}, folded buf_scoped = {0};
    bool is_reply;
    header_decode(&plain, f->first[FIELD_SUBJECT]);
    casemap(&folded, header_base_subject(a, buf_slice(&plain), &is_reply));
    return keep(a, &folded);
}

static Slice first_id(Arena *a, const Fields *f, Field field)
{
    Slice *ids;
    if (!f->count[field] || !header_message_ids(a, f->first[field], &ids)) return S("");
    return ids[0];
}

/* RFC 5256 THREAD=REFERENCES: References, or else the first id of In-Reply-To. */
static Slice references(Arena *a, const Fields *f)
{
    Slice *ids;
    size_t n = 0;
    if (f->count[FIELD_REFERENCES]) n = header_message_ids(a, f->first[FIELD_REFERENCES], &ids);
    if (!n) return first_id(a, f, FIELD_IN_REPLY_TO);
    Buf joined buf_scoped = {0};
    for (size_t i = 0; i < n; i++) {
        if (i) buf_char(&joined, ' ');
        buf_add(&joined, ids[i]);
    }
    return keep(a, &joined);
}

void columns(MailSummary *m, Arena *a, const Fields *f)
{
    m->sent_zone = INT16_MIN;
    if (!f->count[FIELD_DATE] || header_date(f->first[FIELD_DATE], &m->sent, &m->sent_zone))
        m->sent = 0, m->sent_zone = INT16_MIN;
    m->from = decoded_column(a, f, FIELD_FROM, S("From"));
    m->to = decoded_column(a, f, FIELD_TO, S("To"));
    m->cc = decoded_column(a, f, FIELD_CC, S("Cc"));
    m->bcc = decoded_column(a, f, FIELD_BCC, S("Bcc"));
    m->subject = decoded_column(a, f, FIELD_SUBJECT, S("Subject"));
    m->base_subject = base_subject(a, f);
    m->message_id = first_id(a, f, FIELD_MESSAGE_ID);
    m->references = references(a, f);
}
