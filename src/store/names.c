#include "store/model.h"

#include "base/text.h"
#include "mail/casemap.h"

#include <stdlib.h>

enum { LEVELS_MOST = 50 };

/* ---- what a name may be ---- */

static Err check_levels(Slice name)
{
    size_t levels = 0;
    Slice rest = name, level;
    while (slice_cut(&rest, MAILBOX_SEPARATOR, &level)) {
        levels++;
        if (!level.len) return fail(ERR_SYNTAX, "a mailbox name with an empty level");
    }
    if (!name.len || name.at[name.len - 1] == MAILBOX_SEPARATOR)
        return fail(ERR_SYNTAX, "a mailbox name with an empty level");
    if (levels > LEVELS_MOST) return fail(ERR_SYNTAX, "a mailbox name of %zu levels", levels);
    return OK;
}

static bool has_control(Slice name)
{
    for (size_t at = 0, n; at < name.len; at += n) {
        uint32_t c;
        n = utf8_decode(slice_from(name, at), &c);
        must(n); /* nfc has taken it for UTF-8 */
        if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) return true;
    }
    return false;
}

/* RFC 9051 5.1: INBOX is case-insensitive; we say so for its children's first level too. */
static Slice inbox_in_capitals(Arena *arena, Slice name)
{
    Slice first = slice_first(name, slice_find(name, MAILBOX_SEPARATOR));
    if (!slice_eq_nocase(first, S("INBOX")) || slice_eq(first, S("INBOX"))) return name;
    return arena_printf(arena, "INBOX%.*s", SP(slice_from(name, first.len)));
}

Err name_normal(Arena *arena, Slice name, Slice *out)
{
    if (name.len > NAME_MOST) return fail(ERR_SYNTAX, "a mailbox name of %zu octets", name.len);
    if (!text_is_ascii(name)) {
        Buf composed buf_scoped = {0};
        TRY(nfc(name, &composed));
        name = arena_copy(arena, buf_slice(&composed));
    }
    if (name.len > NAME_MOST) return fail(ERR_SYNTAX, "a mailbox name of %zu octets", name.len);
    if (has_control(name)) return fail(ERR_SYNTAX, "a control character in a mailbox name");
    TRY(check_levels(name));
    *out = inbox_in_capitals(arena, name);
    return OK;
}

/* ---- names in memory: those that every account has are there once ---- */

static const Slice usual[] = {
    {"INBOX",   5},
    {"Drafts",  6},
    {"Sent",    4},
    {"Trash",   5},
    {"Junk",    4},
    {"Archive", 7},
    {"\1kept",  5}
};

Slice name_keep(Slice name)
{
    for (size_t i = 0; i < COUNT(usual); i++)
        if (slice_eq(usual[i], name)) return usual[i];
    char *copy = mem_new(name.len + 1);
    if (name.len) memcpy(copy, name.at, name.len);
    return slice(copy, name.len);
}

void name_free(Slice name)
{
    for (size_t i = 0; i < COUNT(usual); i++)
        if (name.at == usual[i].at) return;
    free((char *)name.at);
}

/* ---- subscriptions: names, whether or not there is such a mailbox (RFC 9051 6.3.7) ---- */

static uint32_t subscribed_position(const Account *a, Slice name)
{
    uint32_t low = 0, high = a->subscribed_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_order(a->subscribed[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool subscribed_has(const Account *a, Slice name)
{
    uint32_t i = subscribed_position(a, name);
    return i < a->subscribed_count && slice_eq(a->subscribed[i], name);
}

static void subscribed_insert(Account *a, uint32_t at, Slice name)
{
    if (a->subscribed_count == a->subscribed_room) {
        a->subscribed_room = MAX(a->subscribed_room * 2, 8u);
        a->subscribed =
            mem_grow(a->subscribed, array_bytes(a->subscribed_room, sizeof *a->subscribed));
    }
    memmove(&a->subscribed[at + 1], &a->subscribed[at], (a->subscribed_count - at) * sizeof(Slice));
    a->subscribed[at] = name_keep(name);
    a->subscribed_count++;
}

void subscribed_set(Account *a, Slice name, bool on)
{
    uint32_t at = subscribed_position(a, name);
    if (subscribed_has(a, name) == on) return;
    a->subscribed_state |= PAGE_DIRTY;
    if (on) {
        subscribed_insert(a, at, name);
        return;
    }
    name_free(a->subscribed[at]);
    a->subscribed_count--;
    memmove(&a->subscribed[at], &a->subscribed[at + 1], (a->subscribed_count - at) * sizeof(Slice));
}

/* ---- the list ---- */

typedef struct {
    Arena *arena;
    Slice *names;
    size_t count, room;
} Names;

static void names_add(Names *n, Slice name)
{
    if (n->count == n->room) {
        n->room = MAX(n->room * 2, (size_t)16);
        Slice *more = arena_array(n->arena, Slice, n->room);
        if (n->count) memcpy(more, n->names, n->count * sizeof *more);
        n->names = more;
    }
    n->names[n->count++] = name;
}

static void names_add_with_parents(Names *n, Slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == MAILBOX_SEPARATOR) names_add(n, slice_first(name, i));
    names_add(n, name);
}

static int order_names(const void *a, const void *b)
{
    Slice x = *(const Slice *)a, y = *(const Slice *)b;
    bool inbox_x = slice_eq(x, S("INBOX")), inbox_y = slice_eq(y, S("INBOX"));
    if (inbox_x != inbox_y) return inbox_x ? -1 : 1;
    return slice_order(x, y);
}

static void names_unique(Names *n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++)
        if (!kept || !slice_eq(n->names[kept - 1], n->names[i])) n->names[kept++] = n->names[i];
    n->count = kept;
}

static bool is_child(Slice name, Slice parent)
{
    return name.len > parent.len && slice_starts(name, parent) &&
           name.at[parent.len] == MAILBOX_SEPARATOR;
}

/* The first mailbox that sorts behind "parent/" is a child, or there is none. */
static bool has_children(const Account *a, Slice parent)
{
    Buf from buf_scoped = {0};
    buf_add(&from, parent);
    buf_char(&from, MAILBOX_SEPARATOR);
    uint32_t i = box_position(a, buf_slice(&from));
    return i < a->box_count && is_child(a->boxes[i]->s.name, parent);
}

void account_mailboxes(Account *a, Arena *arena, MailboxEntry **entries, size_t *count)
{
    Names n = {.arena = arena};
    for (uint32_t i = 0; i < a->box_count; i++)
        if (!box_is_kept(a->boxes[i])) names_add_with_parents(&n, a->boxes[i]->s.name);
    Slice kept = kept_view_name(a);
    if (kept.len) names_add(&n, kept);
    for (uint32_t i = 0; i < a->subscribed_count; i++)
        names_add(&n, a->subscribed[i]);
    if (n.count) qsort(n.names, n.count, sizeof *n.names, order_names);
    names_unique(&n);
    MailboxEntry *list = arena_array(arena, MailboxEntry, n.count + 1);
    for (size_t i = 0; i < n.count; i++) {
        Box *b = box_by_name(a, kept.len && slice_eq(n.names[i], kept) ? KEPT_NAME : n.names[i]);
        list[i] = (MailboxEntry){.name = arena_copy(arena, n.names[i]),
                                 .exists = b,
                                 .subscribed = subscribed_has(a, n.names[i]),
                                 .rights = b ? box_rights(b, a->h.login) : 0,
                                 .has_children = has_children(a, n.names[i])};
        if (b) list[i].status = box_status(b);
    }
    *entries = list;
    *count = n.count;
}

bool account_mailbox(Account *a, Slice name, MailboxEntry *entry)
{
    Slice kept = kept_view_name(a);
    bool is_view = kept.len && slice_eq(name, kept);
    Box *b = box_by_name(a, is_view ? KEPT_NAME : name);
    *entry = (MailboxEntry){.name = b && !is_view ? b->s.name : name,
                            .exists = b,
                            .subscribed = subscribed_has(a, name),
                            .has_children = has_children(a, name)};
    if (b) entry->status = box_status(b);
    return entry->exists || entry->subscribed || entry->has_children;
}

bool account_mailbox_id(Account *a, uint32_t id, MailboxEntry *entry)
{
    Box *b = box_by_id(a, id);
    Slice name = b && box_is_kept(b) ? kept_view_name(a) : b ? b->s.name : (Slice){0};
    return name.len && account_mailbox(a, name, entry);
}

/* ---- create, delete, rename, subscribe ---- */

uint32_t change_create(Change *c, Slice name, Role role)
{
    Account *a = c->account;
    uint32_t id = a->next_mailbox++;
    uint32_t validity = MAX(a->next_uid_validity, (uint32_t)wall_seconds());
    a->next_uid_validity = validity + 1;
    change_op(c,
              &(Op){.kind = OP_CREATE,
                    .mailbox = id,
                    .uid_validity = validity,
                    .role = (uint8_t)role,
                    .name = name},
              NULL);
    acl_inherit(c, id, name);
    return id;
}

/* The parents of a new name that are no mailboxes (RFC 9051 6.3.4: SHOULD create them). */
static void create_parents(Change *c, Slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        Slice parent = slice_first(name, i);
        if (name.at[i] == MAILBOX_SEPARATOR && !box_by_name(c->account, parent))
            change_create(c, parent, ROLE_NONE);
    }
}

/* A role belongs to one mailbox (RFC 8621 2); INBOX's is not to be had. */
Err role_fits(Account *a, Role role, const Box *except)
{
    if (role == ROLE_INBOX || role > ROLE_IMPORTANT)
        return fail(ERR_FORBIDDEN, "role %d", (int)role);
    for (uint32_t i = 0; role && i < a->box_count; i++)
        if (a->boxes[i] != except && role_has((Role)a->boxes[i]->s.role, role))
            return fail(ERR_EXISTS, "another mailbox has this role");
    return OK;
}

/* RFC 9208 5.3: every mailbox counts, those made on the way too. */
static Err created_fit(Change *c, uint32_t first)
{
    return change_reserve_one(c, QUOTA_MAILBOX, c->account->next_mailbox - first);
}

/* RFC 4314 4: "k" in the nearest parent that exists. Above the top there is only the owner. */
static Err may_create(Account *a, Slice login, Slice name)
{
    const Box *parent = box_parent(a, name);
    if (!parent && slice_eq(login, a->h.login)) return OK;
    return box_need(parent, login, RIGHT_CREATE);
}

PARKS Err change_create_new(Change *c, uint32_t who, Slice name, Role role, Arena *arena)
{
    Account *a = c->account;
    Slice login;
    TRY(name_normal(arena, name, &name));
    TRY(login_of(a, who, arena, &login));
    TRY(may_create(a, login, name));
    if (box_by_name(a, name)) return fail(ERR_EXISTS, "mailbox %.*s", SP(name));
    if (kept_view_has(a, name)) return fail(ERR_CANNOT, "%.*s shows what was deleted", SP(name));
    uint32_t first = a->next_mailbox;
    create_parents(c, name);
    change_create(c, name, role);
    return created_fit(c, first);
}

PARKS Err mailbox_create_as(Account *a, uint32_t who, Slice name, Role role)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    TRY(change_begin_alone(a, &c));
    TRY(role_fits(a, role, NULL));
    TRY(change_create_new(&c, who, name, role, &arena));
    return change_commit(&c);
}

PARKS Err mailbox_create(Account *a, Slice name, Role role)
{
    return mailbox_create_as(a, a->number, name, role);
}

/* Those that have an entry in its ACL. */
static size_t identifiers(const Box *b, Arena *arena, Slice **list)
{
    size_t n = 0;
    Slice one;
    uint32_t rights;
    for (Reader in = reader(b->s.acl); acl_next(&in, &one, &rights);)
        n++;
    *list = arena_array(arena, Slice, n + 1);
    n = 0;
    for (Reader in = reader(b->s.acl); acl_next(&in, &one, &rights);)
        (*list)[n++] = arena_copy(arena, one);
    return n;
}

static PARKS Err delete_one(Account *a, Slice login, Slice name, Arena *arena, Slice **shared,
                            size_t *count)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(a, &c));
    Box *b = box_by_name(a, name);
    if (!b && kept_view_has(a, name)) return fail(ERR_CANNOT, "it shows what was deleted");
    TRY(box_need(b, login, RIGHT_DELETE_MAILBOX));
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): box_need refuses NULL */
    if (b->s.role == ROLE_INBOX) return fail(ERR_FORBIDDEN, "INBOX cannot be deleted");
    TRY(change_expunge_all(&c, b, arena));
    TRY(annotations_delete(&c, b->s.id));
    *count = identifiers(b, arena, shared);
    change_op(&c, &(Op){.kind = OP_DELETE, .mailbox = b->s.id}, NULL);
    return change_commit(&c);
}

PARKS Err mailbox_delete_as(Account *a, uint32_t who, Slice name)
{
    Arena arena arena_scoped = {0};
    Slice login, *shared;
    size_t count;
    TRY(name_normal(&arena, name, &name));
    TRY(login_of(a, who, &arena, &login));
    TRY(delete_one(a, login, name, &arena, &shared, &count));
    if (count) grants_prune(a, shared, count);
    return OK;
}

PARKS Err mailbox_delete(Account *a, Slice name)
{
    return mailbox_delete_as(a, a->number, name);
}

/* RFC 9051 6.3.6: renaming INBOX moves its messages; its children stay where they are. Annotations
 * are copied (RFC 5464 4.1), those of messages go along. */
static PARKS Err rename_inbox(Change *c, Box *inbox, Slice to)
{
    Arena arena arena_scoped = {0};
    UidSet all = {0};
    TRY(box_load(inbox));
    uint32_t id = change_create(c, to, ROLE_NONE);
    TRY(annotations_copy(c, inbox->s.id, id));
    if (inbox->s.uid_next == 1) return OK;
    uidset_add(&arena, &all, 1, inbox->s.uid_next - 1);
    Op move = {.kind = OP_MOVE,
               .mailbox = inbox->s.id,
               .to = id,
               .uid = 1,
               .who = NOTES_OF_ALL,
               .on = true};
    change_op(c, &move, &(OpLists){.uids = &all});
    return OK;
}

static Err rename_one(Change *c, Box *b, Slice from, Slice to)
{
    Buf name buf_scoped = {0};
    buf_add(&name, to);
    buf_add(&name, slice_from(b->s.name, from.len));
    if (name.len > NAME_MOST) return fail(ERR_SYNTAX, "a mailbox name of %zu octets", name.len);
    TRY(check_levels(buf_slice(&name)));
    if (box_by_name(c->account, buf_slice(&name)))
        return fail(ERR_EXISTS, "mailbox %.*s", SP(buf_slice(&name)));
    change_op(c, &(Op){.kind = OP_RENAME, .mailbox = b->s.id, .name = buf_slice(&name)}, NULL);
    if (subscribed_has(c->account, b->s.name))
        change_op(c, &(Op){.kind = OP_SUBSCRIBE, .on = true, .name = buf_slice(&name)}, NULL);
    return OK;
}

/* Subscriptions to the old names stay (RFC 3501 6.3.9: never removed by us); the new ones get one
 * too, so that a folder does not drop out of a client's sight by being renamed. */
static Err rename_tree(Change *c, Slice from, Slice to)
{
    Account *a = c->account;
    if (is_child(to, from)) return fail(ERR_CANNOT, "a mailbox cannot become its own child");
    for (uint32_t i = 0; i < a->box_count; i++) {
        Box *b = a->boxes[i];
        if (slice_eq(b->s.name, from) || is_child(b->s.name, from)) TRY(rename_one(c, b, from, to));
    }
    return OK;
}

/* RFC 4314 4: "x" on the mailbox, "k" in the new parent. What is below it moves along. */
static Err may_rename(Account *a, Slice login, const Box *b, Slice from, Slice to)
{
    bool owner = slice_eq(login, a->h.login);
    if (!b && owner && has_children(a, from)) return OK;
    TRY(box_need(b, login, RIGHT_DELETE_MAILBOX));
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): box_need refuses NULL */
    if (b->s.role == ROLE_INBOX && !owner) return fail(ERR_FORBIDDEN, "INBOX of somebody else");
    return may_create(a, login, to);
}

PARKS Err mailbox_rename_as(Account *a, uint32_t who, Slice from, Slice to)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    Slice login;
    TRY(name_normal(&arena, from, &from));
    TRY(name_normal(&arena, to, &to));
    TRY(login_of(a, who, &arena, &login));
    TRY(change_begin_alone(a, &c));
    Box *b = box_by_name(a, from);
    if ((!b && kept_view_has(a, from)) || kept_view_has(a, to))
        return fail(ERR_CANNOT, "it shows what was deleted");
    TRY(may_rename(a, login, b, from, to));
    if (box_by_name(a, to)) return fail(ERR_EXISTS, "mailbox %.*s", SP(to));
    uint32_t first = a->next_mailbox;
    create_parents(&c, to);
    if (b && b->s.role == ROLE_INBOX)
        TRY(rename_inbox(&c, b, to));
    else
        TRY(rename_tree(&c, from, to));
    TRY(created_fit(&c, first));
    return change_commit(&c);
}

PARKS Err mailbox_rename(Account *a, Slice from, Slice to)
{
    return mailbox_rename_as(a, a->number, from, to);
}

PARKS Err mailbox_subscribe(Account *a, Slice name, bool subscribed)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    TRY(name_normal(&arena, name, &name));
    TRY(change_begin(a, &c));
    if (subscribed_has(a, name) == subscribed && !a->in_flight) return OK;
    change_op(&c, &(Op){.kind = OP_SUBSCRIBE, .on = subscribed, .name = name}, NULL);
    return change_commit(&c);
}

PARKS Err mailbox_set_role(Account *a, Slice name, Role role)
{
    Arena arena arena_scoped = {0};
    Change c change_scoped = {0};
    TRY(name_normal(&arena, name, &name));
    TRY(change_begin_alone(a, &c));
    Box *b = box_by_name(a, name);
    if (!b && kept_view_has(a, name)) return fail(ERR_CANNOT, "it shows what was deleted");
    if (!b) return fail(ERR_NOT_FOUND, "mailbox %.*s", SP(name));
    if (b->s.role == ROLE_INBOX) return fail(ERR_FORBIDDEN, "the role of INBOX");
    TRY(role_fits(a, role, b));
    change_op(&c, &(Op){.kind = OP_ROLE, .mailbox = b->s.id, .role = (uint8_t)role}, NULL);
    return change_commit(&c);
}
