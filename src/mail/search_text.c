/* What SEARCH looks at of a header field. RFC 9051 6.4.4 compares FROM, TO, CC and BCC with the
 * envelope's words, HEADER and TEXT with the field as it stands: so where the two read differently
 * (comments, quoted pairs, white space), addresses are there in both forms. */
#include "mail/header.h"

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

/* Most are the same in both forms, quotes around names apart, which matter to no substring. */
static bool may_read_differently(Slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i], next = i + 1 < value.len ? value.at[i + 1] : 0;
        if (c == '(' || c == '\\') return true;
        if (is_white(c) && (is_white(next) || next == '\r' || next == '@')) return true;
    }
    return false;
}

static bool holds_addresses(Slice name)
{
    static const char *const names[] = {"From", "To", "Cc", "Bcc", "Sender", "Reply-To"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (slice_eq_nocase(name, slice_of(names[i]))) return true;
    return false;
}

/* name <mailbox@host> */
static void add_address(Buf *out, const MailAddress *m)
{
    buf_char(out, '\n');
    if (m->name.len) {
        header_decode(out, m->name);
        buf_add(out, S(" <"));
    }
    buf_add(out, m->mailbox);
    if (m->host.len) {
        buf_char(out, '@');
        buf_add(out, m->host);
    }
    if (m->name.len) buf_char(out, '>');
}

void header_search_text(Buf *out, Slice name, Slice value)
{
    Arena a arena_scoped = {0};
    MailAddress *list;
    header_decode(out, value);
    if (!holds_addresses(name) || !may_read_differently(value)) return;
    size_t n = header_addresses(&a, value, &list);
    for (size_t i = 0; i < n; i++)
        if (list[i].mailbox.len) add_address(out, &list[i]);
}
