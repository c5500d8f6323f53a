#include "store/model.h"

/* Access control lists, RFC 4314: who may do what with a mailbox. */

enum { ACL_OCTETS = 64 * 1024, OWNER_KEEPS = RIGHT_LOOKUP | RIGHT_ADMIN };
/* RFC 4314 4, MYRIGHTS: with one of these a mailbox can be used for something. */
enum {
    ANY_USE =
        RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | RIGHT_CREATE | RIGHT_DELETE_MAILBOX | RIGHT_ADMIN
};

/* ---- letters ---- */

static const struct {
    char letter;
    uint16_t rights;
} letters[] = {
    {'l', RIGHT_LOOKUP                        },
    {'r', RIGHT_READ                          },
    {'s', RIGHT_SEEN                          },
    {'w', RIGHT_WRITE                         },
    {'i', RIGHT_INSERT                        },
    {'p', RIGHT_POST                          },
    {'k', RIGHT_CREATE                        },
    {'x', RIGHT_DELETE_MAILBOX                },
    {'t', RIGHT_DELETE_MESSAGE                },
    {'e', RIGHT_EXPUNGE                       },
    {'a', RIGHT_ADMIN                         },
    {'n', RIGHT_ANNOTATE                      }, /* RFC 5257 3.4 */
  /* RFC 4314 2.1.1: told when one of those they stand for is there. "c" is "kx", "d" is "te". */
    {'c', RIGHT_CREATE | RIGHT_DELETE_MAILBOX },
    {'d', RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE},
};

Rights rights_of_letter(char letter)
{
    for (size_t i = 0; i < COUNT(letters); i++)
        if (letters[i].letter == letter) return (Rights)letters[i].rights;
    return (Rights)0;
}

void rights_put(Buf *out, Rights rights)
{
    for (size_t i = 0; i < COUNT(letters); i++)
        if (rights & letters[i].rights) buf_char(out, letters[i].letter);
}

/* ---- what it comes to ---- */

static bool applies(Slice identifier, Slice login)
{
    return slice_eq(identifier, login) || slice_eq(identifier, S("anyone")) ||
           slice_eq(identifier, S("authenticated"));
}

/* RFC 4314 2 leaves it to us how entries combine: what is granted adds up, then what is taken away
 * is taken away. Whoever wants to keep somebody out need not look for all entries that let him in.
 */
Rights box_rights(const Box *b, Slice login)
{
    uint32_t granted = 0, denied = 0, some;
    bool owner = slice_eq(login, b->account->h.login), named = false;
    Reader in = reader(b->s.acl);
    Slice identifier;
    while (acl_next(&in, &identifier, &some)) {
        if (owner && slice_eq(identifier, login)) named = true;
        if (applies(identifier, login)) granted |= some;
        if (identifier.len && identifier.at[0] == '-' && applies(slice_from(identifier, 1), login))
            denied |= some;
    }
    if (owner && !named) granted = RIGHTS_ALL;
    if (box_is_kept(b)) return owner ? RIGHT_LOOKUP | RIGHT_READ : (Rights)0;
    return (Rights)(((granted & ~denied) | (owner ? OWNER_KEEPS : 0)) & RIGHTS_ALL);
}

static Err check_rights(Rights have, Rights all)
{
    if ((have & all) == all && have & ANY_USE) return OK;
    if (have & RIGHT_LOOKUP) return fail(ERR_FORBIDDEN, "the rights do not allow this");
    return fail(ERR_NOT_FOUND, "no such mailbox");
}

Err box_need(const Box *b, Slice login, Rights all)
{
    return check_rights(b ? box_rights(b, login) : 0, all);
}

Err mailbox_need(const Mailbox *m, Rights all)
{
    return check_rights(m->rights, all);
}

/* Who looks at it may find that he no longer can: imap/untagged.c asks. */
void box_acl_changed(Box *b)
{
    list_each (link, &b->opened) {
        Mailbox *m = CONTAINER(link, Mailbox, of_box);
        m->rights = box_rights(b, m->login);
    }
}

/* ---- inheritance ---- */

Box *box_parent(Account *a, Slice name)
{
    size_t cut;
    while ((cut = slice_find_last(name, MAILBOX_SEPARATOR)) < name.len) {
        name = slice_first(name, cut);
        Box *parent = box_by_name(a, name);
        if (parent) return parent;
    }
    return NULL;
}

/* RFC 4314 4, CREATE: SHOULD inherit the ACL from the parent. */
void acl_inherit(Change *c, uint32_t id, Slice name)
{
    const Box *parent = box_parent(c->account, name);
    if (!parent) return;
    Reader in = reader(parent->s.acl);
    Slice identifier;
    uint32_t rights;
    while (acl_next(&in, &identifier, &rights))
        change_op(c, &(Op){.kind = OP_ACL, .mailbox = id, .rights = rights, .name = identifier},
                  NULL);
}

/* ---- the list itself ---- */

bool acl_names(const Box *b, Slice identifier)
{
    Reader in = reader(b->s.acl);
    Slice one;
    uint32_t rights;
    while (acl_next(&in, &one, &rights))
        if (slice_eq(one, identifier)) return true;
    return false;
}

static Rights entry_rights(const Box *b, Slice identifier)
{
    Reader in = reader(b->s.acl);
    Slice one;
    uint32_t rights;
    while (acl_next(&in, &one, &rights))
        if (slice_eq(one, identifier)) return (Rights)rights;
    return slice_eq(identifier, b->account->h.login) ? RIGHTS_ALL : (Rights)0;
}

Err mailbox_acl(const Mailbox *m, Arena *a, AclEntry **entries, size_t *count)
{
    const Box *b = m->box;
    Slice owner = b->account->h.login, identifier;
    uint32_t rights;
    size_t n = 1;
    TRY(mailbox_check(m));
    TRY(mailbox_need(m, RIGHT_ADMIN));
    for (Reader in = reader(b->s.acl); acl_next(&in, &identifier, &rights);)
        n++;
    AclEntry *list = arena_array(a, AclEntry, n);
    list[0] = (AclEntry){arena_copy(a, owner), entry_rights(b, owner)};
    n = 1;
    for (Reader in = reader(b->s.acl); acl_next(&in, &identifier, &rights);)
        if (!slice_eq(identifier, owner))
            list[n++] = (AclEntry){arena_copy(a, identifier), (Rights)rights};
    *entries = list;
    *count = n;
    return OK;
}

/* What the entry is to be, as it is kept: 0 is no entry, and so are all rights of the owner. */
static Rights new_rights(const Box *b, Slice identifier, AclHow how, Rights rights)
{
    Rights now = entry_rights(b, identifier);
    if (how == ACL_DELETE) return 0;
    if (how == ACL_ADD) rights |= now;
    if (how == ACL_REMOVE) rights = now & ~rights;
    if (!slice_eq(identifier, b->account->h.login)) return rights;
    rights |= (Rights)OWNER_KEEPS;
    return rights == RIGHTS_ALL ? 0 : rights;
}

PARKS Err acl_change(Mailbox *m, Slice identifier, AclHow how, Rights rights)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(m->account, &c));
    TRY(mailbox_check(m));
    TRY(mailbox_need(m, RIGHT_ADMIN));
    rights = new_rights(m->box, identifier, how, rights & RIGHTS_ALL);
    if (rights && m->box->s.acl.len > ACL_OCTETS) return fail(ERR_LIMIT, "too many identifiers");
    change_op(&c,
              &(Op){.kind = OP_ACL, .mailbox = m->box->s.id, .rights = rights, .name = identifier},
              NULL);
    return change_commit(&c);
}
