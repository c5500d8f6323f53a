/* Access control lists, RFC 4314: SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS. What the rights
 * come to is the store's (store/acl.c). */
#include "imap/session.h"

/* ---- rights ---- */

static void put_rights(Buf *out, Rights rights)
{
    if (rights)
        rights_put(out, rights);
    else
        buf_add(out, S("\"\""));
}

/* mod-rights = astring: "+" or "-" or nothing, then rights. RFC 4314 3.1: one that is not known is
 * BAD. */
PARKS static Rights read_rights(In *in, AclHow *how)
{
    Slice text = imap_astring(in);
    unsigned rights = 0;
    *how = ACL_REPLACE;
    if (text.len && (text.at[0] == '+' || text.at[0] == '-')) {
        *how = text.at[0] == '+' ? ACL_ADD : ACL_REMOVE;
        text = slice_from(text, 1);
    }
    for (size_t i = 0; i < text.len; i++) {
        Rights some = rights_of_letter(text.at[i]);
        if (!some) imap_mistake(in, "there is no such right");
        rights |= some;
    }
    return (Rights)rights;
}

/* ---- identifiers ---- */

/* RFC 4314 3: SASLprep; what cannot be prepared, or is empty, is BAD. As logins they are lower
 * case.
 */
static Slice prepared(In *in, Slice identifier)
{
    Buf ready buf_scoped = {0};
    bool minus = identifier.len && identifier.at[0] == '-';
    Slice rest = slice_from(identifier, minus);
    if (login_normalise(rest, &ready) || !ready.len) {
        imap_mistake(in, "this is no identifier");
        return (Slice){0};
    }
    return arena_printf(in->arena, "%s%.*s", minus ? "-" : "", SP(buf_slice(&ready)));
}

/* ---- answers ---- */

void imap_tell_rights(Imap *s, Slice name, Rights rights)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* MYRIGHTS "));
    imap_put_mailbox(s, out, name);
    buf_char(out, ' ');
    put_rights(out, rights);
    buf_add(out, S("\r\n"));
}

/* acl-data = "ACL" SP mailbox *(SP identifier SP rights) */
static void tell_acl(Imap *s, Slice name, const AclEntry *entries, size_t count)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* ACL "));
    imap_put_mailbox(s, out, name);
    for (size_t i = 0; i < count; i++) {
        buf_char(out, ' ');
        imap_put_astring(out, entries[i].identifier);
        buf_char(out, ' ');
        put_rights(out, entries[i].rights);
    }
    buf_add(out, S("\r\n"));
}

/* listrights-data = "LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights): none are tied. */
static void tell_list_rights(Imap *s, Slice name, Slice identifier, Rights always)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* LISTRIGHTS "));
    imap_put_mailbox(s, out, name);
    buf_char(out, ' ');
    imap_put_astring(out, identifier);
    buf_char(out, ' ');
    put_rights(out, always);
    for (const char *letter = "lrswipkxtean"; *letter; letter++)
        if (!(always & rights_of_letter(*letter))) buf_printf(out, " %c", *letter);
    buf_add(out, S(" c d\r\n"));
}

/* ---- commands ---- */

/* setacl = "SETACL" SP mailbox SP identifier SP mod-rights */
Err imap_cmd_setacl(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    Slice identifier = prepared(s->in, imap_astring(s->in));
    imap_space(s->in);
    AclHow how;
    Rights rights = read_rights(s->in, &how);
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_set_acl(box, identifier, how, rights));
    return imap_ok(s, "SETACL completed");
}

/* deleteacl = "DELETEACL" SP mailbox SP identifier. The owner's entry gone, he has all rights. */
Err imap_cmd_deleteacl(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    Slice identifier = prepared(s->in, imap_astring(s->in));
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_set_acl(box, identifier, ACL_DELETE, (Rights)0));
    return imap_ok(s, "DELETEACL completed");
}

/* getacl = "GETACL" SP mailbox */
Err imap_cmd_getacl(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    AclEntry *entries;
    size_t count;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_acl(box, &s->arena, &entries, &count));
    tell_acl(s, name, entries, count);
    return imap_ok(s, "GETACL completed");
}

/* listrights = "LISTRIGHTS" SP mailbox SP identifier. The identifier goes back as it came (RFC 4314
 * 3.4). */
Err imap_cmd_listrights(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    Slice as_sent = imap_astring(s->in), identifier = prepared(s->in, as_sent);
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    TRY(mailbox_need(box, RIGHT_ADMIN));
    bool owner = slice_eq(identifier, account_login(mailbox_account(box)));
    tell_list_rights(s, name, as_sent, (Rights)(owner ? RIGHT_LOOKUP | RIGHT_ADMIN : 0));
    return imap_ok(s, "LISTRIGHTS completed");
}

/* myrights = "MYRIGHTS" SP mailbox. Whoever can open it has one of the rights that this needs. */
Err imap_cmd_myrights(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));

    Mailbox *box scoped(mailbox) = NULL;
    TRY(imap_open(s, name, &box));
    imap_tell_rights(s, name, mailbox_rights(box));
    return imap_ok(s, "MYRIGHTS completed");
}
