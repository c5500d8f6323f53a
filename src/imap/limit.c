/* MESSAGELIMIT and SAVELIMIT, RFC 9738: how many messages one command may deal with. The newest are
 * dealt with, and the answer says which one was the last; COPY, APPEND, SORT and THREAD do nothing
 * at all. */
#include "imap/search.h"

static uint64_t limit_of(const Imap *s)
{
    return s->config->message_limit;
}

/* Messages of the view below this UID. */
static uint32_t rank(Imap *s, uint64_t uid)
{
    Message m;
    uint32_t number;
    if (uid > UINT32_MAX || !view_next(s->view, (uint32_t)uid, &m, &number, NULL))
        return view_exists(s->view);
    return number - 1;
}

static uint64_t count_of(Imap *s, const UidSet *uids)
{
    uint64_t count = 0;
    for (size_t i = 0; i < uids->count; i++)
        count += rank(s, (uint64_t)uids->ranges[i].last + 1) - rank(s, uids->ranges[i].first);
    return count;
}

/* The UID of the most-th newest of them; there are more than that. */
static uint32_t lowest_of(Imap *s, const UidSet *uids, uint64_t most)
{
    for (size_t i = uids->count; i-- > 0;) {
        uint32_t from = rank(s, uids->ranges[i].first);
        uint32_t to = rank(s, (uint64_t)uids->ranges[i].last + 1);
        if (to - from >= most) return view_uid(s->view, (uint32_t)(to - most) + 1);
        most -= to - from;
    }
    return 1;
}

static void cut(Imap *s, UidSet *uids, uint32_t lowest)
{
    UidSet kept = {0};
    for (size_t i = 0; i < uids->count; i++) {
        UidRange r = uids->ranges[i];
        if (r.last >= lowest) uidset_add(&s->arena, &kept, MAX(r.first, lowest), r.last);
    }
    *uids = kept;
}

void imap_keep_to_limit(Imap *s, UidSet *uids)
{
    uint64_t limit = limit_of(s);
    if (!limit || count_of(s, uids) <= limit) return;
    s->limited_uid = lowest_of(s, uids, limit);
    cut(s, uids, s->limited_uid);
}

/* UID EXPUNGE deals with those that are \Deleted (RFC 9738 3.1). */
void imap_keep_deleted_to_limit(Imap *s, UidSet *uids)
{
    UidSet deleted = {0};
    Message m;
    bool gone;
    if (!limit_of(s)) return;
    for (uint32_t uid = 1; uidset_next(uids, &uid) && view_next(s->view, uid, &m, NULL, &gone);
         uid = m.uid + 1) {
        if (uidset_has(uids, m.uid) && !gone && (m.flags & FLAG_DELETED))
            uidset_add(&s->arena, &deleted, m.uid, m.uid);
        if (m.uid == UINT32_MAX) break;
    }
    imap_keep_to_limit(s, &deleted);
    if (s->limited_uid) cut(s, uids, s->limited_uid);
}

bool imap_is_over_limit(Imap *s, const UidSet *uids, bool saves, Slice *code)
{
    uint64_t limit = limit_of(s) || !saves ? limit_of(s) : s->config->save_limit;
    if (!limit || count_of(s, uids) <= limit) return false;
    *code = arena_printf(&s->arena, "[MESSAGELIMIT %llu %u]", (unsigned long long)limit,
                         lowest_of(s, uids, limit));
    return true;
}

uint64_t imap_save_limit(const Imap *s)
{
    return limit_of(s) ? limit_of(s) : s->config->save_limit;
}

/* ---- SEARCH ---- */

static UidSet common(Imap *s, const UidSet *a, const UidSet *b)
{
    UidSet both = {0};
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        uint32_t first = MAX(a->ranges[i].first, b->ranges[j].first);
        uint32_t last = MIN(a->ranges[i].last, b->ranges[j].last);
        if (first <= last) uidset_add(&s->arena, &both, first, last);
        if (a->ranges[i].last < b->ranges[j].last)
            i++;
        else
            j++;
    }
    return both;
}

/* Sets that every message found has to be in narrow down what is searched; below OR and NOT they do
 * not. */
static void narrow(Imap *s, const SearchKey *key, UidSet *scope)
{
    if (key->type == KEY_SET) {
        UidSet uids;
        imap_resolve_key(s, s->view, &key->set, key->of_uids, &uids);
        *scope = common(s, scope, &uids);
    }
    if (key->type != KEY_AND) return;
    for (const SearchKey *child = key->child; child; child = child->next)
        if (child->type != KEY_AND) narrow(s, child, scope);
    for (const SearchKey *child = key->child; child; child = child->next)
        for (const SearchKey *k = child->type == KEY_AND ? child->child : NULL; k; k = k->next)
            if (k->type == KEY_SET) narrow(s, k, scope);
}

static UidSet scope_of(Imap *s, const SearchKey *key)
{
    UidSet scope = {0};
    uidset_add(&s->arena, &scope, 1, UINT32_MAX);
    narrow(s, key, &scope);
    return scope;
}

const UidSet *imap_search_scope(Imap *s, const SearchKey *key)
{
    if (!limit_of(s)) return NULL;
    UidSet *scope = arena_new(&s->arena, UidSet);
    *scope = scope_of(s, key);
    imap_keep_to_limit(s, scope);
    return s->limited_uid ? scope : NULL;
}

/* RFC 9738 3.3 */
Err imap_within_limit(Imap *s, const SearchKey *key)
{
    if (!limit_of(s)) return OK;
    UidSet scope = scope_of(s, key);
    if (count_of(s, &scope) <= limit_of(s)) return OK;
    return fail(ERR_LIMIT, "[MESSAGELIMIT %u] Too many messages", s->config->message_limit);
}
