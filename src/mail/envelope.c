#include "mail/envelope.h"
#include "mail/header.h"
#include "mail/wire.h"

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")". A host of NIL marks a
 * group, so that an address without one gets an empty string. */
static void address(Buf *out, const MailAddress *m)
{
    bool mark = m->group_start || m->group_end;
    buf_char(out, '(');
    wire_nstring(out, m->name);
    buf_char(out, ' ');
    wire_nstring(out, m->route);
    buf_char(out, ' ');
    wire_nstring(out, m->group_end ? (Slice){0} : m->mailbox);
    buf_char(out, ' ');
    wire_nstring(out, mark ? (Slice){0} : m->host);
    buf_char(out, ')');
}

/* env-from = "(" 1*address ")" / nil. All fields of that name count. */
static bool addresses(Buf *out, Arena *a, const Fields *f, Field field)
{
    size_t start = out->len, next = 0;
    for (Slice value; fields_each(f, field, &next, &value);) {
        MailAddress *list;
        size_t n = header_addresses(a, value, &list);
        for (size_t i = 0; i < n; i++) {
            if (out->len == start) buf_char(out, '(');
            address(out, &list[i]);
        }
    }
    if (out->len == start) return false;
    buf_char(out, ')');
    return true;
}

static void addresses_or(Buf *out, Arena *a, const Fields *f, Field field, Slice otherwise)
{
    buf_char(out, ' ');
    if (!addresses(out, a, f, field)) buf_add(out, otherwise);
}

static void text(Buf *out, Arena *a, const Fields *f, Field field)
{
    wire_nstring(out, fields_text(a, f, field));
}

void envelope(Buf *out, Arena *a, const Fields *f)
{
    Buf from buf_scoped = {0};
    if (!addresses(&from, a, f, FIELD_FROM)) buf_add(&from, S("NIL"));
    buf_char(out, '(');
    text(out, a, f, FIELD_DATE);
    buf_char(out, ' ');
    text(out, a, f, FIELD_SUBJECT);
    buf_char(out, ' ');
    buf_add(out, buf_slice(&from));
    addresses_or(out, a, f, FIELD_SENDER, buf_slice(&from));
    addresses_or(out, a, f, FIELD_REPLY_TO, buf_slice(&from));
    addresses_or(out, a, f, FIELD_TO, S("NIL"));
    addresses_or(out, a, f, FIELD_CC, S("NIL"));
    addresses_or(out, a, f, FIELD_BCC, S("NIL"));
    buf_char(out, ' ');
    text(out, a, f, FIELD_IN_REPLY_TO);
    buf_char(out, ' ');
    text(out, a, f, FIELD_MESSAGE_ID);
    buf_char(out, ')');
}
