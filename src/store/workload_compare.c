/* Compares one unit with the store, to the last flag. */
#include "store/workload.h"

#include <stdlib.h>

typedef struct {
    const WorkWorld *w;
    const Unit *u;
    Account *account;
    const WorkState *before;
    WorkState *s;
    bool bodies;
    Buf *why;
} Compare;

static bool differs(Compare *c, const char *fmt, ...) PRINTF(2, 3);
static bool differs(Compare *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!c->why->len) buf_vprintf(c->why, fmt, args);
    va_end(args);
    return false;
}

static uint8_t keyword_bits(Slice text)
{
    uint8_t bits = 0;
    Slice word;
    while (text.len && slice_cut(&text, ' ', &word)) {
        unsigned i = 0;
        while (i < WORK_KEYWORDS && !slice_eq(work_keyword(i), word))
            i++;
        bits |= (uint8_t)(1u << i); /* an unknown one: a bit too many */
    }
    return bits;
}

static PARKS bool compare_body(Compare *c, const WorkBox *b, const WorkMessage *m, uint32_t eid)
{
    Buf want buf_scoped = {0}, got buf_scoped = {0};
    buf_add(&want, work_prefix(m->prefix));
    work_body(&want, m->body);
    Err err = email_read(c->account, eid, 0, buf_reserve(&got, m->size), m->size);
    if (err)
        return differs(c, "%s: body of %u: %s (%s)", b->name, m->uid, err_name(err), err_story());
    got.len = m->size;
    if (!slice_eq(buf_slice(&got), buf_slice(&want)))
        return differs(c, "%s: the body of %u is another", b->name, m->uid);
    return true;
}

/* Numbers that the operation gave are learned here; they may only have grown. */
static bool learn_modseq(Compare *c, const WorkBox *b, WorkBox *before, WorkMessage *m,
                         const Message *got)
{
    WorkMessage *was = before->exists && before->id == b->id ? work_message(before, m->uid) : NULL;
    bool changed =
        was && (was->flags != m->flags || was->keywords != m->keywords || was->note != m->note);
    uint64_t least = !was ? c->before->seq + 1 : was->modseq + changed;
    if (m->modseq && got->modseq != m->modseq)
        return differs(c, "%s: modseq of %u is %llu, not %llu", b->name, m->uid,
                       (unsigned long long)got->modseq, (unsigned long long)m->modseq);
    if (!m->modseq && got->modseq < least)
        return differs(c, "%s: modseq of %u is %llu, less than %llu", b->name, m->uid,
                       (unsigned long long)got->modseq, (unsigned long long)least);
    m->modseq = got->modseq;
    return true;
}

static PARKS bool compare_message(Compare *c, WorkBox *b, WorkBox *before, WorkMessage *m,
                                  const Message *now)
{
    Message got = *now; /* borrowed until we wait */
    uint8_t keywords = keyword_bits(account_keywords(c->account, got.kwset));
    if (got.uid != m->uid) return differs(c, "%s: uid %u, not %u", b->name, got.uid, m->uid);
    if (got.size != m->size || got.date != m->date)
        return differs(c, "%s: %u has size %u, date %u, not %u, %u", b->name, m->uid, got.size,
                       got.date, m->size, m->date);
    if (got.flags != m->flags || keywords != m->keywords)
        return differs(c, "%s: %u has flags %x/%x, not %x/%x", b->name, m->uid, got.flags, keywords,
                       m->flags, m->keywords);
    if (!learn_modseq(c, b, before, m, &got)) return false;
    return !c->bodies || compare_body(c, b, m, got.eid);
}

static bool is_note(const Annotations *got, unsigned note)
{
    Arena arena arena_scoped = {0};
    if (!note) return !got->count;
    return got->count == 1 && got->list[0].shared == (note % 2 == 0) &&
           slice_eq(got->list[0].entry, S("/comment")) &&
           slice_eq(got->list[0].value, work_note(&arena, note));
}

static PARKS bool compare_notes(Compare *c, Mailbox *box, WorkBox *b)
{
    Arena arena arena_scoped = {0};
    Annotations got;
    if (mailbox_annotations(box, &arena, &got) || !is_note(&got, b->note))
        return differs(c, "%s: its annotation is not number %u", b->name, b->note);
    for (uint32_t i = 0; i < b->count; i++) {
        const WorkMessage *m = &b->messages[i];
        const Message *now = mailbox_message(box, m->uid);
        if (now && (now->marks & MARK_ANNOTATED) != (m->note ? MARK_ANNOTATED : 0))
            return differs(c, "%s: uid %u has the wrong mark", b->name, m->uid);
        if (!now || message_annotations(box, now, &arena, &got) || !is_note(&got, m->note))
            return differs(c, "%s: the annotation of %u is not number %u", b->name, m->uid,
                           m->note);
    }
    return true;
}

static PARKS bool compare_messages(Compare *c, Mailbox *box, WorkBox *b, WorkBox *before)
{
    uint32_t uid = 1;
    for (uint32_t i = 0; i < b->count; i++) {
        const Message *got = mailbox_next(box, uid);
        if (!got)
            return differs(c, "%s: %u and what follows is missing", b->name, b->messages[i].uid);
        if (!compare_message(c, b, before, &b->messages[i], got)) return false;
        uid = b->messages[i].uid + 1;
    }
    const Message *more = mailbox_next(box, uid);
    return !more || differs(c, "%s: %u should not be there", b->name, more->uid);
}

static bool compare_counters(Compare *c, Mailbox *box, WorkBox *b)
{
    MailboxStatus s = mailbox_status(box);
    uint32_t unseen = 0, deleted = 0;
    uint64_t size = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        unseen += !(b->messages[i].flags & FLAG_SEEN);
        deleted += !!(b->messages[i].flags & FLAG_DELETED);
        size += b->messages[i].size;
    }
    if (s.exists != b->count || s.unseen != unseen || s.deleted != deleted || s.size_octets != size)
        return differs(c, "%s: exists %u, unseen %u, deleted %u, size %llu, not %u, %u, %u, %llu",
                       b->name, s.exists, s.unseen, s.deleted, (unsigned long long)s.size_octets,
                       b->count, unseen, deleted, (unsigned long long)size);
    if (s.uid_next != b->uid_next)
        return differs(c, "%s: uid_next %u, not %u", b->name, s.uid_next, b->uid_next);
    if (b->id && (s.id != b->id || s.uid_validity != b->uid_validity))
        return differs(c, "%s: id %u, uidvalidity %u, not %u, %u", b->name, s.id, s.uid_validity,
                       b->id, b->uid_validity);
    if (s.uid_validity < b->last_uid_validity || (!b->id && s.uid_validity == b->last_uid_validity))
        return differs(c, "%s: uidvalidity %u after %u", b->name, s.uid_validity,
                       b->last_uid_validity);
    b->id = s.id, b->uid_validity = b->last_uid_validity = s.uid_validity;
    return true;
}

/* RFC 7162 3.2.10: everything that went after `since`, nothing that is there or never was. */
static PARKS bool compare_vanished(Compare *c, Mailbox *box, WorkBox *b, uint64_t since)
{
    Arena arena arena_scoped = {0};
    UidSet got = {0};
    bool complete;
    Err err = mailbox_vanished(box, since, &arena, &got, &complete);
    if (err) return differs(c, "%s: vanished: %s", b->name, err_story());
    for (uint32_t i = 0; i < b->count; i++)
        if (uidset_has(&got, b->messages[i].uid))
            return differs(c, "%s: %u is there and vanished", b->name, b->messages[i].uid);
    for (uint32_t i = 0; i < b->gone_count; i++) {
        bool has = uidset_has(&got, b->gone[i].uid);
        if (b->gone[i].after >= since && !has)
            return differs(c, "%s: %u vanished after %llu, unnoticed", b->name, b->gone[i].uid,
                           (unsigned long long)since);
        if (complete && b->gone[i].by && b->gone[i].by <= since && has)
            return differs(c, "%s: %u vanished before %llu", b->name, b->gone[i].uid,
                           (unsigned long long)since);
    }
    uint32_t beyond = b->uid_next;
    return !uidset_next(&got, &beyond) || differs(c, "%s: %u vanished?", b->name, beyond);
}

static bool compare_changed(Compare *c, Mailbox *box, WorkBox *b, uint64_t since)
{
    uint32_t uid = 1;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->messages[i].modseq <= since) continue;
        const Message *m = mailbox_next_changed(box, uid, since);
        if (!m || m->uid != b->messages[i].uid)
            return differs(c, "%s: next changed from %u since %llu is %u, not %u", b->name, uid,
                           (unsigned long long)since, m ? m->uid : 0, b->messages[i].uid);
        uid = m->uid + 1;
    }
    const Message *m = mailbox_next_changed(box, uid, since);
    return !m || differs(c, "%s: %u has not changed since", b->name, m->uid);
}

static bool compare_rights(Compare *c, Mailbox *box, const WorkBox *b)
{
    Arena arena arena_scoped = {0};
    AclEntry *entries;
    size_t count;
    Rights rights = 0;
    Err err = mailbox_acl(box, &arena, &entries, &count);
    if (err) return differs(c, "%s: its ACL: %s", b->name, err_name(err));
    for (size_t i = 0; i < count; i++)
        if (slice_eq(entries[i].identifier, S("friend"))) rights = entries[i].rights;
    if (rights != b->rights || count != 1u + !!rights)
        return differs(c, "%s: rights %x, not %x", b->name, rights, b->rights);
    return true;
}

static PARKS bool compare_box(Compare *c, unsigned number)
{
    WorkBox *b = &c->s->boxes[number];
    Mailbox *box scoped(mailbox) = NULL;
    Err err = mailbox_open(c->account, c->u->acct, slice_of(b->name), &box);
    if (!b->exists) return err == ERR_NOT_FOUND || differs(c, "%s should not exist", b->name);
    if (err) return differs(c, "%s: %s (%s)", b->name, err_name(err), err_story());
    if (!compare_counters(c, box, b) || !compare_rights(c, box, b)) return false;
    WorkBox *before = mem_new(sizeof *before); /* c->before may be c->s */
    *before = c->before->boxes[number];
    bool same = compare_messages(c, box, b, before) && compare_notes(c, box, b);
    free(before);
    for (uint32_t i = 0; i < b->gone_count; i++)
        if (!b->gone[i].by) b->gone[i].after = c->before->seq;
    uint64_t since = b->gone_count ? b->gone[b->uid_next % b->gone_count].after : 1;
    return same && compare_vanished(c, box, b, since) && compare_changed(c, box, b, since);
}

static PARKS bool compare_objects(Compare *c)
{
    for (unsigned i = 0; i < WORK_OBJECTS; i++) {
        Arena arena arena_scoped = {0};
        Slice value = {0}, id = arena_printf(&arena, "c%u-%u", c->u->client, i);
        uint64_t seq;
        uint32_t n = c->s->objects[i];
        Err err = object_get(c->account, S("work"), id, &arena, &value, &seq);
        if (n ? err != OK : err != ERR_NOT_FOUND)
            return differs(c, "object %u: %s", i, err_name(err));
        if (n && (value.len != n || value.at[n - 1] != (char)('a' + n % 26)))
            return differs(c, "object %u has %zu octets, not %u", i, value.len, n);
    }
    return true;
}

/* Of the names that are ours, nothing is there that we do not know. */
static bool compare_names(Compare *c)
{
    Arena arena arena_scoped = {0};
    MailboxEntry *entries;
    size_t count, found = 0, wanted = 0;
    bool subscribed = false;
    Slice ours = arena_printf(&arena, "c%u-", c->u->client);
    account_mailboxes(c->account, &arena, &entries, &count);
    for (size_t i = 0; i < count; i++) {
        if (!slice_starts(entries[i].name, ours)) continue;
        found += entries[i].exists;
        subscribed |= entries[i].subscribed && slice_ends(entries[i].name, S("-elsewhere"));
    }
    for (unsigned i = 0; i < WORK_BOXES; i++)
        wanted += c->s->boxes[i].exists && slice_starts(slice_of(c->s->boxes[i].name), ours);
    if (found != wanted) return differs(c, "%zu mailboxes, not %zu", found, wanted);
    return subscribed == c->s->subscribed || differs(c, "subscribed: %d", subscribed);
}

static bool compare_quota(Compare *c)
{
    uint64_t limit = account_quota(c->account).limit[QUOTA_MESSAGE];
    if (c->u->client) return true;
    return limit == (c->s->quota ? c->s->quota : QUOTA_NONE) ||
           differs(c, "the quota is %llu messages, not %u", (unsigned long long)limit, c->s->quota);
}

PARKS bool state_compare(const WorkWorld *w, const Unit *u, Account *a, const WorkState *before,
                         WorkState *state, bool bodies, Buf *why)
{
    Compare c = {w, u, a, before, state, bodies, why};
    uint64_t seq = account_seq(a);
    if (seq < before->seq)
        return differs(&c, "seq %llu after %llu", (unsigned long long)seq,
                       (unsigned long long)before->seq);
    for (unsigned i = 0; i < WORK_BOXES; i++)
        if (!compare_box(&c, i)) return false;
    if (!compare_objects(&c) || !compare_names(&c) || !compare_quota(&c)) return false;
    for (unsigned i = 0; i < WORK_BOXES; i++)
        for (uint32_t k = 0; k < state->boxes[i].gone_count; k++)
            if (!state->boxes[i].gone[k].by) state->boxes[i].gone[k].by = account_seq(a);
    state->seq = account_seq(a);
    return true;
}
