/* What expunges have left, by the policy of the account: among those kept, or in Trash. */
#include "store/workload.h"

#include <stdlib.h>

enum { PLACE_MOST = 2000 };

typedef struct {
    uint32_t uid, eid, size, date;
    uint8_t flags;
} Left;

static PARKS size_t list_trash(Account *a, Left *list)
{
    Mailbox *box scoped(mailbox) = NULL;
    size_t n = 0;
    if (mailbox_open(a, account_number(a), S("Trash"), &box)) return 0;
    const Message *m = mailbox_next(box, 1);
    for (; m && n < PLACE_MOST; m = mailbox_next(box, m->uid + 1))
        list[n++] = (Left){m->uid, m->eid, m->size, m->date, m->flags};
    return n;
}

static PARKS size_t list_kept(Account *a, Left *list)
{
    Arena arena arena_scoped = {0};
    KeptMessage *kept;
    size_t count;
    if (account_kept(a, 0, PLACE_MOST, &arena, &kept, &count)) return 0;
    for (size_t i = 0; i < count; i++)
        list[i] = (Left){kept[i].uid, kept[i].eid, kept[i].size, kept[i].date, 0};
    return count;
}

static PARKS size_t list_place(Account *a, WorkPolicy policy, Left *list)
{
    return policy == WORK_TRASH ? list_trash(a, list) : list_kept(a, list);
}

static PARKS bool is_that(Account *a, const Left *l, const WorkMessage *m, bool has_flags)
{
    Buf want buf_scoped = {0}, got buf_scoped = {0};
    if (l->size != m->size || l->date != m->date) return false;
    if (has_flags && l->flags != m->flags) return false;
    buf_add(&want, work_prefix(m->prefix));
    work_body(&want, m->body);
    if (email_read(a, l->eid, 0, buf_reserve(&got, m->size), m->size)) return false;
    got.len = m->size;
    return slice_eq(buf_slice(&got), buf_slice(&want));
}

PARKS uint32_t kept_find(Account *a, WorkPolicy policy, const WorkMessage *m, Arena *arena,
                         const UidSet *taken)
{
    Left *list = arena_array(arena, Left, PLACE_MOST);
    size_t n = list_place(a, policy, list);
    for (size_t i = 0; i < n; i++)
        if (!uidset_has(taken, list[i].uid) && is_that(a, &list[i], m, policy == WORK_TRASH))
            return list[i].uid;
    return 0;
}

PARKS bool kept_compare(const WorkWorld *w, unsigned account, Account *a, Buf *why)
{
    Arena arena arena_scoped = {0};
    UidSet found = {0};
    size_t wanted = 0;
    WorkPolicy policy = w->clients[0].units[account].policy;
    for (unsigned i = 0; i < WORK_CLIENTS; i++) {
        const Unit *u = &w->clients[i].units[account];
        for (uint32_t k = 0; k < u->acked.kept_count; k++, wanted++) {
            const WorkKept *kept = &u->acked.kept[k];
            uint32_t uid = kept_find(a, policy, &kept->message, &arena, &found);
            if (uid) uidset_add(&arena, &found, uid, uid);
            if (uid) continue;
            buf_printf(why, "%u of client %u, once in %s, was expunged and is lost",
                       kept->message.body, i, kept->name);
            return false;
        }
    }
    size_t is = list_place(a, policy, arena_array(&arena, Left, PLACE_MOST));
    if (is != wanted) buf_printf(why, "%zu expunged messages are left, not %zu", is, wanted);
    return is == wanted;
}
