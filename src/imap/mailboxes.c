/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. */
#include "imap/session.h"

/* What the store calls a wrong name is no mistake of grammar here. */
static Err name_err(Imap *s, Err err)
{
    if (err != ERR_SYNTAX) return err;
    s->in->err = ERR_FORBIDDEN; /* NO [CANNOT] */
    return fail(ERR_FORBIDDEN, "a mailbox cannot have that name");
}

/* RFC 8474 4.1: the tagged OK says MAILBOXID. */
PARKS static Err created(Imap *s, Slice name)
{
    Buf id buf_scoped = {0};
    Mailbox *box scoped(mailbox) = NULL;
    if (imap_open(s, name, &box)) return imap_ok(s, "CREATE completed"); /* deleted again */
    MailboxStatus status = mailbox_status(box);
    imap_put_object_id(&id, OBJECT_MAILBOX, status.acct, status.id);
    return imap_ok(s, "[MAILBOXID (%.*s)] CREATE completed", SP(buf_slice(&id)));
}

typedef struct {
    Role uses;
    Slice refused; /* the first special use that cannot be had */
} CreateParams;

/* RFC 6154 6: create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")" */
static void use_param(In *in, CreateParams *p)
{
    imap_need(in, "USE (");
    if (imap_see(in, ")")) return;
    do {
        Role role = ROLE_NONE;
        imap_need(in, "\\");
        Slice atom = imap_atom(in), attribute = arena_printf(in->arena, "\\%.*s", SP(atom));
        if (imap_role_named(attribute, &role))
            p->uses = role_with(p->uses, role);
        else if (!p->refused.at)
            p->refused = attribute;
    } while (imap_see(in, " "));
    imap_need(in, ")");
}

/* RFC 4466 2.2: [SP "(" create-param *(SP create-param) ")"] */
static CreateParams create_params(In *in)
{
    CreateParams p = {0};
    if (!imap_see(in, " (")) return p;
    do
        use_param(in, &p);
    while (imap_see(in, " "));
    imap_need(in, ")");
    return p;
}

/* Special uses belong to the user (RFC 6154 2): those of a shared mailbox would be its owner's. */
PARKS static Err create(Imap *s, const Place *place, const CreateParams *p)
{
    if (p->uses == ROLE_NONE)
        return mailbox_create_as(place->account, s->user.acct, place->name, ROLE_NONE);
    if (account_number(place->account) != s->user.acct)
        return fail(ERR_FORBIDDEN, "a special use of another's mailbox");
    return mailbox_create_for(place->account, place->name, p->uses);
}

/* RFC 9051 6.3.4: a separator at the end was no part of the name, so leaving it out is no news. */
static bool is_name_as_sent(Slice name, Slice as_sent)
{
    return slice_starts(as_sent, name) && as_sent.len <= name.len + 1;
}

/* RFC 9051 6.3.4: create = "CREATE" SP mailbox, and RFC 4466's parameters */
Err imap_cmd_create(Imap *s)
{
    imap_space(s->in);
    Slice as_sent, name = imap_mailbox(s->in, &as_sent);
    CreateParams params = create_params(s->in);
    TRY(imap_end(s->in));
    if (slice_eq(name, S("INBOX"))) return imap_no(s, "[ALREADYEXISTS] INBOX is always there");
    Place place place_scoped = {0};
    if (params.refused.at) /* RFC 6154 3 */
        return imap_no(s, "[USEATTR] %.*s not supported", SP(params.refused));
    TRY(imap_place(s, name, &place));
    TRY(imap_may_name(s, name, &place));
    TRY(name_err(s, create(s, &place, &params)));
    if (imap_has(s, ENABLED_REV2) && !is_name_as_sent(name, as_sent))
        imap_tell_name(s, name, as_sent);
    return created(s, name);
}

/* RFC 9051 6.3.5: delete = "DELETE" SP mailbox. Our own selected mailbox is closed first; others
 * who have it selected are sent away (untagged.c). */
Err imap_cmd_delete(Imap *s)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));
    if (slice_eq(name, S("INBOX"))) return imap_no(s, "[CANNOT] INBOX cannot be deleted");
    Place place place_scoped = {0};
    TRY(imap_place(s, name, &place));
    TRY(name_err(s, mailbox_delete_as(place.account, s->user.acct, place.name)));
    imap_go_back(s);
    if (s->box && mailbox_is_deleted(s->box)) {
        imap_unselect(s);
        imap_say(s, "OK [CLOSED] The selected mailbox was deleted");
    }
    return imap_ok(s, "DELETE completed");
}

/* Between accounts the messages would have to be copied: clients do that, and say so. */
PARKS static Err rename_mailbox(Imap *s, Slice from, Slice to)
{
    Mailbox *box scoped(mailbox) = NULL;
    Place old place_scoped = {0}, new place_scoped = {0};
    TRY(imap_place(s, to, &new));
    TRY(imap_may_name(s, to, &new));
    TRY(imap_place(s, from, &old));
    if (account_number(old.account) == account_number(new.account))
        return mailbox_rename_as(old.account, s->user.acct, old.name, new.name);
    TRY(mailbox_open(old.account, s->user.acct, old.name, &box));
    TRY(mailbox_need(box, RIGHT_DELETE_MAILBOX));
    return fail(ERR_CANNOT, "it cannot be renamed into another account");
}

/* RFC 9051 6.3.6: rename = "RENAME" SP mailbox SP mailbox */
Err imap_cmd_rename(Imap *s)
{
    imap_space(s->in);
    Slice from = imap_mailbox(s->in, NULL);
    imap_space(s->in);
    Slice to = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));
    if (slice_eq(to, S("INBOX"))) return imap_no(s, "[ALREADYEXISTS] INBOX is always there");
    TRY(imap_neither_remote(s, from, to));
    TRY(name_err(s, rename_mailbox(s, from, to)));
    if (imap_has(s, ENABLED_REV2) && !slice_eq(from, S("INBOX"))) imap_tell_name(s, to, from);
    return imap_ok(s, "RENAME completed");
}

PARKS static Err subscribe(Imap *s, bool on)
{
    imap_space(s->in);
    Slice name = imap_mailbox(s->in, NULL);
    TRY(imap_end(s->in));
    imap_go(s, s->user.acct);
    TRY(name_err(s, mailbox_subscribe(s->account, name, on)));
    return imap_ok(s, "%s completed", on ? "SUBSCRIBE" : "UNSUBSCRIBE");
}

/* RFC 9051 6.3.7: subscribe = "SUBSCRIBE" SP mailbox */
Err imap_cmd_subscribe(Imap *s)
{
    return subscribe(s, true);
}

/* RFC 9051 6.3.8: unsubscribe = "UNSUBSCRIBE" SP mailbox */
Err imap_cmd_unsubscribe(Imap *s)
{
    return subscribe(s, false);
}
