#include "mail/surrogate.h"
#include "base/text.h"
#include "mail/header.h"

bool mail_header_is_international(Slice header)
{
    return !text_is_ascii(header) && utf8_is_valid(header);
}

/* RFC 2047 2: words of at most 75 octets, whole characters in each (5). */
static void encoded_words(Buf *out, Slice text)
{
    for (bool first = true; text.len; first = false) {
        size_t len = utf8_cut(text, 45);
        if (!first) buf_add(out, S("\r\n "));
        buf_add(out, S("=?utf-8?B?"));
        base64_encode(out, slice_first(text, len));
        buf_add(out, S("?="));
        text = slice_from(text, len);
    }
}

static bool is_phrase(Slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.at[i];
        if (!is_alnum(c) && !strchr(" !#$%&'*+-/=?^_`{|}~", c)) return false;
    }
    return name.len > 0;
}

static void quoted(Buf *out, Slice text)
{
    buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\') buf_char(out, '\\');
        buf_char(out, text.at[i]);
    }
    buf_char(out, '"');
}

static void display_name(Buf *out, Slice name)
{
    if (!text_is_ascii(name))
        encoded_words(out, name);
    else if (is_phrase(name)) /* encoded words too: they are not quoted */
        buf_add(out, name);
    else
        quoted(out, name);
}

/* RFC 6858 2.1: an address that a client without UTF-8 cannot write to becomes one that nobody has.
 */
static void one_address(Buf *out, const MailAddress *a)
{
    Buf whole buf_scoped = {0};
    buf_printf(&whole, "%.*s@%.*s", SP(a->mailbox), SP(a->host));
    bool plain = text_is_ascii(buf_slice(&whole));
    Slice name = a->name.len || plain ? a->name : buf_slice(&whole);
    if (name.len) {
        display_name(out, name);
        buf_char(out, ' ');
    }
    buf_char(out, '<');
    if (!plain)
        buf_add(out, S("invalid@internationalized-address.invalid"));
    else if (is_phrase(a->mailbox) || slice_find(a->mailbox, '.') < a->mailbox.len)
        buf_add(out, buf_slice(&whole));
    else {
        quoted(out, a->mailbox);
        buf_printf(out, "@%.*s", SP(a->host));
    }
    buf_char(out, '>');
}

static void address_field(Buf *out, Arena *arena, Slice value)
{
    MailAddress *list;
    bool comma = false;
    size_t count = header_addresses(arena, value, &list);
    for (size_t i = 0; i < count; i++) {
        if (list[i].group_end) {
            buf_char(out, ';');
            comma = true;
            continue;
        }
        if (comma) buf_add(out, S(",\r\n "));
        comma = !list[i].group_start;
        if (list[i].group_start) {
            display_name(out, list[i].mailbox);
            buf_char(out, ':');
        } else {
            one_address(out, &list[i]);
        }
    }
}

/* RFC 6858 2.2: parameters that are not ASCII go. RFC 2231 3: "name*=" is never quoted. */
static bool parameter_field(Buf *out, Arena *arena, Slice value)
{
    MailParameterised p;
    header_parameterised(arena, value, false, &p);
    if (!p.value.len || !text_is_ascii(p.value)) return false;
    buf_add(out, p.value);
    for (size_t i = 0; i < p.count; i++) {
        Slice name = p.parameters[i].name, v = p.parameters[i].value;
        if (!name.len || !text_is_ascii(name) || !text_is_ascii(v)) continue;
        buf_printf(out, ";\r\n %.*s=", SP(name));
        if (slice_ends(name, S("*")))
            buf_add(out, v);
        else
            quoted(out, v);
    }
    return true;
}

typedef enum { FIELD_GOES, FIELD_ADDRESSES, FIELD_PARAMETERS, FIELD_TEXT } FieldKind;

static FieldKind kind_of(Slice name)
{
    static const struct {
        Slice name;
        FieldKind kind;
    } rows[] = {
        {S("Bcc"),                 FIELD_ADDRESSES },
        {S("Cc"),                  FIELD_ADDRESSES },
        {S("From"),                FIELD_ADDRESSES },
        {S("Reply-To"),            FIELD_ADDRESSES },
        {S("Resent-Bcc"),          FIELD_ADDRESSES },
        {S("Resent-Cc"),           FIELD_ADDRESSES },
        {S("Resent-From"),         FIELD_ADDRESSES },
        {S("Resent-Sender"),       FIELD_ADDRESSES },
        {S("Resent-To"),           FIELD_ADDRESSES },
        {S("Return-Path"),         FIELD_ADDRESSES },
        {S("Sender"),              FIELD_ADDRESSES },
        {S("To"),                  FIELD_ADDRESSES },
        {S("Content-Type"),        FIELD_PARAMETERS},
        {S("Content-Disposition"), FIELD_PARAMETERS},
        {S("Subject"),             FIELD_TEXT      },
        {S("Comments"),            FIELD_TEXT      },
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        if (slice_eq_nocase(rows[i].name, name)) return rows[i].kind;
    return FIELD_GOES;
}

/* False: the field cannot be said in ASCII and is left out (RFC 6858 2.4). */
static bool surrogate_field(Buf *out, Arena *arena, const HeaderField *f)
{
    Buf text buf_scoped = {0};
    buf_printf(out, "%.*s: ", SP(f->name));
    switch (kind_of(f->name)) {
    case FIELD_GOES:
        return false;
    case FIELD_ADDRESSES:
        address_field(out, arena, f->value);
        return true;
    case FIELD_PARAMETERS:
        return parameter_field(out, arena, f->value);
    case FIELD_TEXT:
        header_decode(&text, f->value);
        encoded_words(out, buf_slice(&text));
        return true;
    }
    return false;
}

void mail_surrogate_header(Buf *out, Slice header)
{
    Arena arena arena_scoped = {0};
    HeaderField f = {0};
    while (header_next(header, &f)) {
        Buf field buf_scoped = {0};
        if (text_is_ascii(f.whole)) {
            buf_add(out, f.whole);
            continue;
        }
        if (!surrogate_field(&field, &arena, &f) || !text_is_ascii(buf_slice(&field))) continue;
        buf_add(out, buf_slice(&field));
        buf_add(out, S("\r\n"));
    }
    buf_add(out, slice_from(header, f.next)); /* the empty line */
}
