#include "house/verbs.h"

/* posthouse mailbox acl: what a user lets others do (RFC 4314). The administrator acts as the
 * owner.
 */

typedef struct {
    Talk *talk;
    uint32_t acct;
    Slice what, name;
    Slice identifier; /* prepared */
    AclHow how;
    Rights rights;
    Err err;
} Call;

PARKS static Err list(Talk *t, Mailbox *box)
{
    Arena a arena_scoped = {0};
    AclEntry *entries;
    size_t count;
    TRY(mailbox_acl(box, &a, &entries, &count));
    for (size_t i = 0; i < count; i++) {
        Buf rights buf_scoped = {0};
        rights_put(&rights, entries[i].rights);
        talk_out(t, "%-14.*s %.*s\n", SP(buf_slice(&rights)), SP(entries[i].identifier));
    }
    return OK;
}

PARKS static void on_account(void *arg)
{
    Call *c = arg;
    Account *account scoped(account) = NULL;
    Mailbox *box scoped(mailbox) = NULL;
    c->err = account_open(c->talk->house->store, c->acct, &account);
    if (!c->err) c->err = mailbox_open(account, c->acct, c->name, &box);
    if (c->err) return;
    if (slice_eq(c->what, S("list")))
        c->err = list(c->talk, box);
    else
        c->err = mailbox_set_acl(box, c->identifier, c->how, c->rights);
}

static Err read_identifier(Slice text, Buf *out)
{
    Buf login buf_scoped = {0};
    bool minus = slice_starts(text, S("-"));
    TRY(login_normalise(slice_from(text, minus), &login));
    if (minus) buf_char(out, '-');
    buf_add(out, buf_slice(&login));
    return OK;
}

/* "lrs", "+w", "-te", as SETACL has them. */
static Err read_rights(Slice text, AclHow *how, Rights *rights)
{
    unsigned all = 0;
    *how = slice_starts(text, S("+"))   ? ACL_ADD
           : slice_starts(text, S("-")) ? ACL_REMOVE
                                        : ACL_REPLACE;
    if (*how != ACL_REPLACE) text = slice_from(text, 1);
    for (size_t i = 0; i < text.len; i++) {
        unsigned some = rights_of_letter(text.at[i]);
        if (!some) return fail(ERR_SYNTAX, "there is no right \"%c\"", text.at[i]);
        all |= some;
    }
    *rights = (Rights)all;
    return OK;
}

/* mailbox acl list LOGIN NAME, set LOGIN NAME WHO RIGHTS, delete LOGIN NAME WHO */
PARKS int verb_mailbox_acl(Talk *t)
{
    Buf identifier buf_scoped = {0};
    Call c = {.talk = t, .how = ACL_DELETE};
    size_t wanted = 5;
    if (t->arg_count < wanted) return talk_usage(t);
    c.what = t->args[2], c.name = t->args[4];
    if (slice_eq(c.what, S("set"))) wanted = 7;
    if (slice_eq(c.what, S("delete"))) wanted = 6;
    if (t->arg_count != wanted || (wanted == 5 && !slice_eq(c.what, S("list"))))
        return talk_usage(t);
    Err err = talk_account(t, t->args[3], &c.acct);
    if (!err && wanted > 5) err = read_identifier(t->args[5], &identifier);
    if (!err && wanted > 6) err = read_rights(t->args[6], &c.how, &c.rights);
    if (err) return talk_fail(t, err);
    c.identifier = buf_slice(&identifier);
    talk_on_loop(t, store_home(t->house->store, c.acct), on_account, &c);
    return c.err ? talk_fail(t, c.err) : EXIT_OK;
}
