/* Mailbox names and flags: the words of the grammar whose octets mean something more. */
#include "base/text.h"
#include "imap/in.h"
#include "mail/casemap.h"
#include "mail/charset.h"

static void cannot(In *in, const char *why)
{
    if (in->err || !scan_is_ok(&in->scan)) return;
    in->err = ERR_FORBIDDEN;
    in->why = slice_of(why);
}

/* RFC 9051 5.1, RFC 3501 5.1.3. Names in UTF-8 are taken from rev1 clients too where they cannot be
 * mistaken for modified UTF-7, which has no octets above 127. */
static Slice decode_name(In *in, Slice raw)
{
    Buf utf8 buf_scoped = {0};
    if (in->utf8 || (!text_is_ascii(raw) && slice_find(raw, '&') == raw.len)) {
        if (utf8_is_valid(raw)) return raw;
        cannot(in, "the mailbox name is not UTF-8");
        return (Slice){0};
    }
    if (slice_find(raw, '&') == raw.len) return raw;
    if (!utf7_decode(raw, &utf8)) return arena_copy(in->arena, buf_slice(&utf8));
    cannot(in, "the mailbox name is not modified UTF-7");
    return (Slice){0};
}

static Slice normalise(In *in, Slice name)
{
    Buf composed buf_scoped = {0};
    if (text_is_ascii(name)) return name;
    if (!nfc(name, &composed)) return arena_copy(in->arena, buf_slice(&composed));
    cannot(in, "the mailbox name is not UTF-8");
    return (Slice){0};
}

/* RFC 9051 5.1: INBOX in any case; so is the first level of what lies below it. */
static Slice with_inbox(In *in, Slice name)
{
    if (!slice_starts_nocase(name, S("INBOX")) || slice_starts(name, S("INBOX"))) return name;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it is longer than that */
    if (name.len > 5 && name.at[5] != MAILBOX_SEPARATOR) return name;
    return arena_printf(in->arena, "INBOX%.*s", SP(slice_from(name, 5)));
}

PARKS static Slice name_as_sent(In *in, Slice *as_sent)
{
    Slice decoded = decode_name(in, imap_astring(in));
    if (as_sent) *as_sent = decoded;
    return with_inbox(in, normalise(in, decoded));
}

/* RFC 9051 6.3.4: "Foo/" in CREATE says that names below it will come; the "/" is no part of the
 * name. Thunderbird then says SUBSCRIBE "Foo/" too, and others DELETE or RENAME what they created
 * under the name they gave it. No name ends with the separator, so nothing else can be meant. */
Slice imap_mailbox(In *in, Slice *as_sent)
{
    Slice name = name_as_sent(in, as_sent);
    if (name.len > 1 && name.at[name.len - 1] == MAILBOX_SEPARATOR) name.len--;
    return name;
}

/* RFC 9051 6.3.9 leaves to us what a reference means. "/" is what Outlook's "root folder path" and
 * the "IMAP path prefix" of iOS are set to when somebody wants the root; no name begins with it. */
Slice imap_reference(In *in)
{
    Slice name = name_as_sent(in, NULL);
    while (name.len && name.at[0] == MAILBOX_SEPARATOR)
        name = slice_from(name, 1);
    return name;
}

static bool is_list_char(unsigned char c)
{
    return c == '%' || c == '*' || c >= 0x80 || imap_is_astring_char(c);
}

Slice imap_list_mailbox(In *in)
{
    Slice raw = {0};
    if (imap_is_at_string(in))
        raw = imap_string(in);
    else if (!imap_at_end(in))
        raw = scan_while(&in->scan, is_list_char);
    if (!raw.at) imap_mistake(in, "a mailbox pattern is expected");
    return with_inbox(in, normalise(in, decode_name(in, raw)));
}

/* ---- flags ---- */

static const struct {
    Slice name;
    uint8_t flag;
} system_flags[] = {
    {{"Seen", 4},     FLAG_SEEN    },
    {{"Answered", 8}, FLAG_ANSWERED},
    {{"Flagged", 7},  FLAG_FLAGGED },
    {{"Deleted", 7},  FLAG_DELETED },
    {{"Draft", 5},    FLAG_DRAFT   },
};

/* RFC 9051 9: flag = "\Answered" / ... / flag-keyword / flag-extension */
static void flag(In *in, ImapFlags *f)
{
    if (imap_see(in, "\\")) {
        Slice name = imap_atom(in);
        for (size_t i = 0; i < COUNT(system_flags); i++)
            if (slice_eq_nocase(name, system_flags[i].name)) f->flags |= system_flags[i].flag;
        return;
    }
    Slice name = imap_atom(in);
    if (!name.len) return;
    if (!f->names) f->names = arena_array(in->arena, Slice, IMAP_FLAGS_MOST);
    if (f->count == IMAP_FLAGS_MOST)
        imap_mistake(in, "too many flags");
    else
        f->names[f->count++] = name;
}

/* flag *(SP flag) */
static void flags(In *in, ImapFlags *f)
{
    do
        flag(in, f);
    while (imap_see(in, " "));
}

ImapFlags imap_flag_list(In *in)
{
    ImapFlags f = {0};
    imap_need(in, "(");
    if (!imap_see(in, ")")) {
        flags(in, &f);
        imap_need(in, ")");
    }
    return f;
}

ImapFlags imap_flags(In *in)
{
    ImapFlags f = {0};
    if (imap_peek(in) == '(') return imap_flag_list(in);
    flags(in, &f);
    return f;
}
