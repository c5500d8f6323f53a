/* The BODY of one part, found in the BODYSTRUCTURE of its message (RFC 9051 7.5.2). */
#include "imap/urlauth.h"

#include "base/text.h"
#include "mail/wire.h"

/* The n-th value of "(...)", from 0; empty: there are fewer. */
static Slice value_of(Slice list, size_t n)
{
    Slice rest = slice_from(list, 1);
    for (;; n--) {
        if (rest.len && rest.at[0] == ' ') rest = slice_from(rest, 1);
        size_t len = rest.len && rest.at[0] != ')' ? wire_skip(rest) : 0;
        if (!len || !n) return slice_first(rest, len);
        rest = slice_from(rest, len);
    }
}

static bool is_list(Slice s)
{
    return s.len && s.at[0] == '(';
}

static bool is_multipart(Slice body)
{
    return is_list(body) && is_list(slice_from(body, 1));
}

static bool is_message(Slice body)
{
    Slice subtype = value_of(body, 1);
    return slice_eq_nocase(value_of(body, 0), S("\"message\"")) &&
           (slice_eq_nocase(subtype, S("\"rfc822\"")) || slice_eq_nocase(subtype, S("\"global\"")));
}

/* RFC 9051 6.4.5.1: the part of that number in a multipart, or 1, the only one, of another. */
static Slice child(Slice body, uint32_t number)
{
    if (!is_multipart(body)) return number == 1 ? body : (Slice){0};
    Slice part = value_of(body, number - 1);
    return is_list(part) && is_list(body) ? part : (Slice){0};
}

static Slice find_part(Slice body, const Section *section)
{
    for (size_t i = 0; i < section->depth && body.len; i++) {
        if (i && is_message(body))
            body = value_of(body, 8);
        else if (i && !is_multipart(body))
            return (Slice){0};
        body = child(body, section->path[i]);
    }
    return body;
}

/* type subtype parameters id description encoding size, and for a text its lines. */
static void put_decoded(Buf *out, Slice body, const FetchDecoded *decoded)
{
    buf_char(out, '(');
    for (size_t i = 0; i < 5; i++) {
        buf_add(out, value_of(body, i));
        buf_char(out, ' ');
    }
    buf_printf(out, "\"%s\" %llu", decoded->encoding, (unsigned long long)decoded->size);
    if (slice_eq_nocase(value_of(body, 0), S("\"text\"")))
        buf_printf(out, " %llu", (unsigned long long)decoded->lines);
    buf_char(out, ')');
}

void urlauth_part_body(Buf *out, Slice structure, const Section *section,
                       const FetchDecoded *decoded)
{
    Slice body = section->text == SECTION_WHOLE ? find_part(structure, section) : (Slice){0};
    if (!is_list(body)) return;
    if (decoded && !is_multipart(body) && !is_message(body))
        put_decoded(out, body, decoded);
    else
        mail_body_of_structure(out, body);
}

/* A type is a quoted string; a multipart has its subtype only. */
static void put_word(Buf *out, Slice quoted)
{
    for (size_t i = 1; i + 1 < quoted.len; i++)
        buf_char(out, ascii_lower(quoted.at[i]));
}

Slice urlauth_part_type(Slice structure, const Section *section, Arena *a)
{
    Buf type buf_scoped = {0};
    Slice body = find_part(structure, section);
    if (!is_list(body) || is_multipart(body)) return S("");
    put_word(&type, value_of(body, 0));
    buf_char(&type, '/');
    put_word(&type, value_of(body, 1));
    return arena_copy(a, buf_slice(&type));
}
