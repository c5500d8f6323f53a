#include "store/model.h"

/* Quota, RFC 9208: one root for each account. Octets and messages are counted by every record that
 * is applied (apply.c), mailboxes where they are asked for. */

const char *quota_word(QuotaResource resource)
{
    static const char *const words[QUOTA_RESOURCES] = {"octets", "messages", "mailboxes",
                                                       "octets of annotations"};
    return words[resource];
}

static uint64_t or_none(uint64_t limit)
{
    return limit ? limit : QUOTA_NONE;
}

Quota account_quota(const Account *a)
{
    const StoreOptions *o = &a->store->options;
    Quota q = {
        .limit = {or_none(o->quota_octets), or_none(o->quota_messages), or_none(o->quota_mailboxes),
                  or_none(o->quota_annotation_octets)}
    };
    memcpy(q.used, a->h.used, sizeof q.used);
    q.used[QUOTA_MAILBOX] = a->box_count - !!box_by_name(a, KEPT_NAME);
    q.own = a->h.has_limit;
    if (q.own) memcpy(q.limit, a->h.limit, sizeof q.limit);
    return q;
}

PARKS Err account_set_quota(Account *a, const uint64_t limit[QUOTA_RESOURCES])
{
    Change c change_scoped = {0};
    Op op = {.kind = OP_LIMITS};
    memcpy(op.limit, limit, sizeof op.limit);
    TRY(change_begin(a, &c));
    change_op(&c, &op, NULL);
    return change_commit(&c);
}

static bool has_room(const Account *a, const Quota *q, QuotaResource resource, uint64_t more)
{
    uint64_t used = q->used[resource] + a->pending[resource], limit = q->limit[resource];
    return PLANTED("quota_passed") || (used <= limit && more <= limit - used);
}

Err account_has_room(const Account *a, uint64_t octets)
{
    Quota q = account_quota(a);
    if (!has_room(a, &q, QUOTA_STORAGE, octets))
        return fail(ERR_OVER_QUOTA, "%llu octets more", (unsigned long long)octets);
    if (!has_room(a, &q, QUOTA_MESSAGE, 1)) return fail(ERR_OVER_QUOTA, "one message more");
    return OK;
}
