#include "mail/fields.h"
#include "mail/header.h"
#include "mail/mail.h"

static const Slice names[FIELD_COUNT] = {
#define NAME(field, text) [FIELD_##field] = {text, sizeof(text) - 1}
    NAME(DATE, "Date"),
    NAME(SUBJECT, "Subject"),
    NAME(FROM, "From"),
    NAME(SENDER, "Sender"),
    NAME(REPLY_TO, "Reply-To"),
    NAME(TO, "To"),
    NAME(CC, "Cc"),
    NAME(BCC, "Bcc"),
    NAME(IN_REPLY_TO, "In-Reply-To"),
    NAME(MESSAGE_ID, "Message-ID"),
    NAME(REFERENCES, "References"),
    NAME(CONTENT_TYPE, "Content-Type"),
    NAME(CONTENT_TRANSFER_ENCODING, "Content-Transfer-Encoding"),
    NAME(CONTENT_ID, "Content-ID"),
    NAME(CONTENT_DESCRIPTION, "Content-Description"),
    NAME(CONTENT_DISPOSITION, "Content-Disposition"),
    NAME(CONTENT_LANGUAGE, "Content-Language"),
    NAME(CONTENT_LOCATION, "Content-Location"),
    NAME(CONTENT_MD5, "Content-MD5"),
#undef NAME
};

static Field field_of(Slice name)
{
    Field i = 0;
    while (i < FIELD_COUNT && !slice_eq_nocase(names[i], name))
        i++;
    return i;
}

void fields_read(Slice header, Fields *f)
{
    *f = (Fields){0};
    HeaderField h = {0};
    for (size_t n = 0; n < MAIL_FIELDS_MOST && header_next(header, &h); n++) {
        Field field = field_of(h.name);
        if (field == FIELD_COUNT) continue;
        if (!f->count[field]++) f->first[field] = h.value;
    }
    f->header = slice_first(header, h.next);
}

bool fields_each(const Fields *f, Field field, size_t *next, Slice *value)
{
    if (!f->count[field]) return false;
    if (f->count[field] == 1) {
        *value = f->first[field];
        return !(*next)++;
    }
    HeaderField h = {.next = *next};
    bool found = header_find(f->header, names[field], &h);
    *next = h.next;
    *value = h.value;
    return found;
}

Slice fields_text(Arena *a, const Fields *f, Field field)
{
    if (!f->count[field]) return (Slice){0};
    Buf text buf_scoped = {0};
    header_unfold(&text, f->first[field]);
    Slice trimmed = slice_trim(buf_slice(&text));
    return trimmed.len ? arena_copy(a, trimmed) : S("");
}
