#include "store/model.h"

/* What is kept of a mailbox's special uses is one octet: a Role, or SEVERAL and a bit for each of
 * those in `combinable`. */
enum { SEVERAL = 64 };

static const Role combinable[] = {ROLE_ARCHIVE, ROLE_DRAFTS, ROLE_JUNK,
                                  ROLE_SENT,    ROLE_TRASH,  ROLE_IMPORTANT};

static unsigned bits_of(Role role)
{
    unsigned number = role;
    if (number >= SEVERAL && number < 2 * SEVERAL) return number - SEVERAL;
    for (size_t i = 0; i < COUNT(combinable); i++)
        if (combinable[i] == role) return 1u << i;
    return 0;
}

static Role role_of(unsigned bits)
{
    if (bits & (bits - 1)) return (Role)(SEVERAL + bits);
    for (size_t i = 0; i < COUNT(combinable); i++)
        if (bits == 1u << i) return combinable[i];
    return ROLE_NONE;
}

bool role_has(Role roles, Role one)
{
    return roles == one || (bits_of(one) && (bits_of(roles) & bits_of(one)));
}

bool role_can_combine(Role role)
{
    return bits_of(role) != 0;
}

Role role_with(Role roles, Role more)
{
    return role_of(bits_of(roles) | bits_of(more));
}

Role role_without(Role roles, Role less)
{
    unsigned taken = bits_of(roles) & bits_of(less);
    return taken ? role_of(bits_of(roles) & ~taken) : roles;
}

/* ---- a role moves to the mailbox it is given to (RFC 6154 3) ---- */

static Err check_uses(Role uses)
{
    bool fits = uses == ROLE_NONE || role_can_combine(uses);
    return fits ? OK : fail(ERR_FORBIDDEN, "role %d", (int)uses);
}

static void take_from_others(Change *c, const Box *except, Role uses)
{
    Account *a = c->account;
    for (uint32_t i = 0; i < a->box_count; i++) {
        BoxState *s = &a->boxes[i]->s;
        Role left = role_without((Role)s->role, uses);
        if (a->boxes[i] == except || left == (Role)s->role) continue;
        change_op(c, &(Op){.kind = OP_ROLE, .mailbox = s->id, .role = (uint8_t)left}, NULL);
    }
}

PARKS Err mailbox_create_for(Account *a, Slice name, Role uses)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    TRY(check_uses(uses));
    TRY(change_begin_alone(a, &c));
    TRY(change_create_new(&c, a->number, name, uses, &arena));
    take_from_others(&c, NULL, uses);
    return change_commit(&c);
}

Err change_uses(Change *c, Box *b, Role uses)
{
    TRY(check_uses(uses));
    if (b->s.role == ROLE_INBOX) return fail(ERR_FORBIDDEN, "the role of INBOX");
    take_from_others(c, b, uses);
    change_op(c, &(Op){.kind = OP_ROLE, .mailbox = b->s.id, .role = (uint8_t)uses}, NULL);
    return OK;
}

PARKS Err mailbox_set_uses(Account *a, Slice name, Role uses)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    TRY(name_normal(&arena, name, &name));
    TRY(change_begin_alone(a, &c));
    Box *b = box_by_name(a, name);
    if (!b || box_is_kept(b)) return fail(ERR_NOT_FOUND, "mailbox %.*s", SP(name));
    TRY(change_uses(&c, b, uses));
    return change_commit(&c);
}
