#include "store/model.h"

enum { BREATH = 1024 }; /* messages looked at while nobody else may change anything */

/* Flags, copy, move, expunge: each one record, whatever the number of messages. Flag changes are
 * masks over uid ranges and stay valid behind records in flight; those that answer with what they
 * did (COPYUID, EXPUNGE, UNCHANGEDSINCE) look first, and so wait until nothing is in flight. */

/* ---- rights, RFC 4314 section 4 ---- */

static Rights right_for(uint8_t flags, bool keywords)
{
    unsigned need = 0;
    if (flags & FLAG_SEEN) need |= RIGHT_SEEN;
    if (flags & FLAG_DELETED) need |= RIGHT_DELETE_MESSAGE;
    if (keywords || flags & (FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT)) need |= RIGHT_WRITE;
    return (Rights)need;
}

uint8_t rights_flags(Rights rights)
{
    unsigned flags = 0;
    if (rights & RIGHT_SEEN) flags |= FLAG_SEEN;
    if (rights & RIGHT_DELETE_MESSAGE) flags |= FLAG_DELETED;
    if (rights & RIGHT_WRITE) flags |= FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DRAFT;
    return (uint8_t)flags;
}

/* ---- keywords ---- */

/* Their numbers, new ones where they are not known yet. */
Err change_keywords(Change *c, Keywords names, Arena *arena, uint32_t **ids)
{
    enum { KEYWORDS_MOST = 4096, COMBINATIONS_MOST = 60000 };
    TextTable *t = &c->account->keywords;
    *ids = arena_array(arena, uint32_t, names.count + 1);
    for (size_t i = 0; i < names.count; i++) {
        Slice name = names.names[i];
        if (!name.len || name.len > KEYWORD_MOST) return fail(ERR_LIMIT, "a keyword's length");
        uint32_t id = text_table_find(t, name, true);
        if (!id && (t->count >= KEYWORDS_MOST || c->account->kwset_count > COMBINATIONS_MOST))
            return fail(ERR_LIMIT, "the account has too many keywords");
        if (!id) text_table_add(t, name), id = t->count;
        (*ids)[i] = id;
    }
    change_texts(c, OP_KEYWORD, t);
    return OK;
}

/* Every text that no applied record has defined yet: another record in flight may do it too, but
 * then in front of ours. */
void change_texts(Change *c, OpKind kind, const TextTable *t)
{
    uint32_t *told = kind == OP_KEYWORD ? &c->told_keywords : &c->told_prefixes;
    for (uint32_t id = MAX(t->visible, *told) + 1; id <= t->count; id++)
        change_op(c, &(Op){.kind = kind, .uid = id, .name = t->texts[id - 1]}, NULL);
    *told = t->count;
}

/* ---- flags ---- */

typedef struct {
    Mailbox *box;
    const FlagChange *change;
    uint8_t set, clear; /* what the rights leave of it */
    bool keywords;
    bool expunges; /* what is marked \Deleted leaves the mailbox */
    uint32_t *ids;
    size_t id_count;
    Arena *arena;
    UidSet changed, *modified;
} Flagging;

static Err allow(Flagging *f)
{
    const FlagChange *c = f->change;
    uint8_t ours = rights_flags(f->box->rights);
    bool write = f->box->rights & RIGHT_WRITE;
    bool replace = c->how == CHANGE_REPLACE, remove = c->how == CHANGE_REMOVE;
    Rights need = right_for(c->flags, c->keywords.count);
    f->keywords = write && (c->keywords.count || replace);
    f->set = remove ? 0 : c->flags & ours;
    f->clear = remove ? c->flags & ours : replace ? ours & (uint8_t)~c->flags : 0;
    bool some = need ? (f->box->rights & need) || (replace && ours) : ours != 0;
    return some ? OK : fail(ERR_FORBIDDEN, "no right to change these flags");
}

static bool keywords_change(const Flagging *f, const Message *m)
{
    const Account *a = f->box->account;
    if (!f->keywords) return false;
    bool remove = f->change->how == CHANGE_REMOVE;
    size_t has = 0;
    for (size_t i = 0; i < f->id_count; i++)
        has += kwset_has(a, m->kwset, f->ids[i]);
    if (f->change->how == CHANGE_REPLACE)
        return has != f->id_count || (m->kwset && a->kwsets[m->kwset - 1].count != f->id_count);
    return remove ? has > 0 : has < f->id_count;
}

static void look_at(Flagging *f, const Message *m)
{
    const uint64_t *since = f->change->unchanged_since;
    if (since && m->modseq > *since) {
        if (f->modified) uidset_add(f->arena, f->modified, m->uid, m->uid);
        return;
    }
    uint8_t now = (uint8_t)((m->flags & ~f->clear) | f->set);
    if (now != m->flags || keywords_change(f, m)) uidset_add(f->arena, &f->changed, m->uid, m->uid);
}

/* Alone it may take its time. */
PARKS static void look_at_all(Flagging *f, const UidSet *uids, bool alone)
{
    uint32_t seen = 0, uid;
    for (size_t i = 0; i < uids->count; i++) {
        UidRange range = uids->ranges[i];
        const Message *m = mailbox_next(f->box, range.first);
        for (; m && m->uid <= range.last; m = mailbox_next(f->box, uid + 1)) {
            uid = m->uid;
            look_at(f, m);
            if (alone && ++seen % BREATH == 0) breathe();
        }
    }
}

static void flag_op(Flagging *f, Change *c)
{
    bool remove = f->change->how == CHANGE_REMOVE, replace = f->change->how == CHANGE_REPLACE;
    OpLists lists = {.uids = &f->changed};
    if (f->keywords && remove)
        lists.unwanted = f->ids, lists.unwanted_count = f->id_count;
    else if (f->keywords)
        lists.keywords = f->ids, lists.keyword_count = f->id_count;
    Mailbox *box = f->box;
    change_op(c,
              &(Op){.kind = OP_FLAG,
                    .mailbox = box->box->s.id,
                    .who = box->who == box->account->number ? 0 : box->who,
                    .flags = f->set,
                    .clear = f->clear,
                    .how = f->keywords && replace ? FLAG_HOW_REPLACE : FLAG_HOW_ADD_REMOVE},
              &lists);
}

/* deleted=trash: for clients that only mark. Who may not expunge only marks, too. */
static Err check_expunges(Flagging *f)
{
    Deletion d;
    const Box *b = f->box->box;
    f->expunges = false;
    if (!(f->set & FLAG_DELETED) || !(f->box->rights & RIGHT_EXPUNGE)) return OK;
    TRY(account_deletion(f->box->account, &d));
    f->expunges = d.deleted_to_trash && !role_has((Role)b->s.role, ROLE_TRASH);
    return OK;
}

/* In the same record, behind the marks: who looks sees \Deleted, and then that it went. */
PARKS static Err expunge_changed(Flagging *f, Change *c)
{
    UidSet doomed = {0};
    uint32_t seen = 0, uid;
    if (!f->expunges) return OK;
    for (size_t i = 0; i < f->changed.count; i++) {
        UidRange r = f->changed.ranges[i];
        const Message *m = box_next(f->box->box, r.first);
        for (; m && m->uid <= r.last; m = box_next(f->box->box, uid + 1)) {
            uid = m->uid;
            uidset_add(f->arena, &doomed, uid, uid);
            if (++seen % BREATH == 0) breathe();
        }
    }
    return change_trash(c, f->box->box, &doomed, f->arena);
}

/* So many that looking at them takes longer than others should wait for: then nobody may change
 * them meanwhile. */
static bool is_much(const Mailbox *box, const UidSet *uids)
{
    return MIN(uidset_size(uids), (uint64_t)box->box->s.exists) > piece_of(BREATH);
}

PARKS Err mailbox_change(Mailbox *box, const UidSet *uids, const FlagChange *change, Arena *a,
                         UidSet *modified, uint64_t *modseq)
{
    Change c change_scoped = {0};
    Flagging f = {.box = box, .change = change, .arena = a, .modified = modified};
    *modseq = 0;
    TRY(allow(&f));
    TRY(check_expunges(&f));
    bool alone = change->unchanged_since || f.expunges || is_much(box, uids);
    if (alone)
        TRY(change_begin_alone(box->account, &c));
    else
        TRY(change_begin(box->account, &c));
    TRY(mailbox_check(box));
    TRY(box_load(box->box));
    if (f.keywords) TRY(change_keywords(&c, change->keywords, a, &f.ids));
    f.id_count = f.keywords ? change->keywords.count : 0;
    look_at_all(&f, uids, alone);
    if (!f.changed.count) return OK;
    flag_op(&f, &c);
    TRY(expunge_changed(&f, &c));
    TRY(change_commit(&c));
    *modseq = change_seq(&c);
    return OK;
}

/* ---- copy, move, expunge ---- */

typedef struct {
    UidSet uids;
    uint64_t octets, messages, annotations;
} Chosen;

static const UidRange every_uid = {1, UINT32_MAX};
static const UidSet whole = {.ranges = (UidRange *)&every_uid, .count = 1};

PARKS static void choose(Box *b, const UidSet *uids, Arena *a, Chosen *out)
{
    uint32_t uid;
    if (!uids) uids = &whole;
    for (size_t i = 0; i < uids->count; i++) {
        const Message *m = box_next(b, uids->ranges[i].first);
        for (; m && m->uid <= uids->ranges[i].last; m = box_next(b, uid + 1)) {
            uid = m->uid;
            uidset_add(a, &out->uids, uid, uid);
            out->octets += m->size;
            out->annotations += notes_octets(b->account, b->s.id, m);
            if (++out->messages % BREATH == 0) breathe();
        }
    }
}

PARKS Err warm_emails(Box *b, const UidSet *uids)
{
    uint32_t seen = 0, uid;
    for (size_t i = 0; i < uids->count; i++) {
        const Message *m = box_next(b, uids->ranges[i].first);
        for (; m && m->uid <= uids->ranges[i].last; m = box_next(b, uid + 1)) {
            EmailPage *p;
            uid = m->uid;
            TRY(email_page(b->account, m->eid / EMAILS, &p));
            if (++seen % BREATH == 0) breathe();
        }
    }
    return OK;
}

static Err copy_allowed(const Mailbox *from, const Mailbox *to, bool move)
{
    TRY(mailbox_need(from, RIGHT_READ));
    if (box_is_kept(to->box)) return fail(ERR_CANNOT, "nothing can be put there");
    TRY(mailbox_need(to, RIGHT_INSERT));
    bool brings_back = box_is_kept(from->box);
    if (!move || brings_back) return OK;
    return mailbox_need(from, RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE);
}

/* RFC 4314 4: COPY sets only the flags that the rights allow; and what this user has seen of
 * somebody else's mailbox he has seen of the copies. */
PARKS static void flag_copies(Change *c, Mailbox *from, const Mailbox *to, const UidSet *uids,
                              uint32_t first, uint32_t count, Arena *a)
{
    bool other = to->who != to->account->number;
    uint8_t may = rights_flags(to->rights);
    UidSet all = {0}, seen = {0};
    uidset_add(a, &all, first, first + count - 1);
    uint8_t never = (uint8_t) ~(may | (other ? FLAG_SEEN : 0)) & rights_flags(RIGHTS_ALL);
    if (never) {
        bool keywords = to->rights & RIGHT_WRITE;
        Op op = {.kind = OP_FLAG, .mailbox = to->box->s.id, .clear = never};
        op.how = keywords ? FLAG_HOW_ADD_REMOVE : FLAG_HOW_REPLACE;
        change_op(c, &op, &(OpLists){.uids = &all});
    }
    if (!other || !(may & FLAG_SEEN)) return;
    uint32_t at = first;
    for (size_t i = 0; i < uids->count; i++)
        for (uint32_t uid = uids->ranges[i].first; uid <= uids->ranges[i].last; uid++, at++) {
            const Message *m = mailbox_message(from, uid);
            if (m && m->flags & FLAG_SEEN) uidset_add(a, &seen, at, at);
            if (at % BREATH == 0) breathe();
        }
    if (!seen.count) return;
    Op op = {.kind = OP_FLAG, .mailbox = to->box->s.id, .who = to->who, .flags = FLAG_SEEN};
    change_op(c, &op, &(OpLists){.uids = &seen});
}

static PARKS Err copy_or_move(Mailbox *from, const UidSet *uids, Mailbox *to, bool move, Arena *a,
                              CopyResult *result)
{
    Change c change_scoped = {0};
    if (from->account != to->account) return mailbox_carry(from, uids, to, move, a, result);
    *result = (CopyResult){.uid_validity = to->box->s.uid_validity};
    TRY(copy_allowed(from, to, move));
    TRY(change_begin_alone(from->account, &c));
    TRY(mailbox_check(from));
    TRY(mailbox_check(to));
    TRY(box_load(from->box));
    Chosen chosen = {0};
    choose(from->box, uids, a, &chosen);
    if (!chosen.messages) return OK;
    if (!move || box_is_kept(from->box)) TRY(change_reserve(&c, chosen.octets, chosen.messages));
    if (!move) TRY(change_reserve_one(&c, QUOTA_ANNOTATION, chosen.annotations));
    TRY(warm_emails(from->box, &chosen.uids));
    uint32_t first = to->box->next_uid; /* nobody else takes one: we are alone */
    if (chosen.messages > UINT32_MAX - 1 - first) return fail(ERR_LIMIT, "uids are used up");
    change_op(&c,
              &(Op){.kind = move ? OP_MOVE : OP_COPY,
                    .mailbox = from->box->s.id,
                    .to = to->box->s.id,
                    .uid = first,
                    .who = to->rights & RIGHT_READ ? to->who : 0,
                    .on = to->rights & RIGHT_ANNOTATE},
              &(OpLists){.uids = &chosen.uids});
    flag_copies(&c, from, to, &chosen.uids, first, (uint32_t)chosen.messages, a);
    to->box->next_uid += (uint32_t)chosen.messages;
    TRY(change_commit(&c));
    result->source = chosen.uids;
    uidset_add(a, &result->copies, first, first + (uint32_t)chosen.messages - 1);
    return OK;
}

PARKS Err mailbox_copy(Mailbox *from, const UidSet *uids, Mailbox *to, Arena *a, CopyResult *result)
{
    return copy_or_move(from, uids, to, false, a, result);
}

PARKS Err mailbox_move(Mailbox *from, const UidSet *uids, Mailbox *to, Arena *a, CopyResult *result)
{
    if (PLANTED("move_in_two")) {
        TRY(copy_or_move(from, uids, to, false, a, result));
        return mailbox_expunge(from, uids, true, a, NULL);
    }
    return copy_or_move(from, uids, to, true, a, result);
}

PARKS static void choose_deleted(Box *b, const UidSet *all, Arena *a, UidSet *out)
{
    uint32_t seen = 0, uid;
    for (size_t i = 0; i < all->count; i++) {
        const Message *m = box_next_deleted(b, all->ranges[i].first);
        for (; m && m->uid <= all->ranges[i].last; m = box_next_deleted(b, uid + 1)) {
            uid = m->uid;
            uidset_add(a, out, uid, uid);
            if (++seen % BREATH == 0) breathe();
        }
    }
}

PARKS Err mailbox_expunge(Mailbox *box, const UidSet *uids, bool even_undeleted, Arena *a,
                          UidSet *expunged)
{
    Change c change_scoped = {0};
    if (expunged) *expunged = (UidSet){0};
    if (!(box->rights & RIGHT_EXPUNGE)) return fail(ERR_FORBIDDEN, "no right to expunge");
    TRY(change_begin_alone(box->account, &c));
    TRY(mailbox_check(box));
    TRY(box_load(box->box));
    if (!even_undeleted && !box->box->s.deleted) return OK;
    Chosen chosen = {0};
    if (even_undeleted)
        choose(box->box, uids, a, &chosen);
    else
        choose_deleted(box->box, uids ? uids : &whole, a, &chosen.uids);
    UidSet doomed = chosen.uids;
    if (!doomed.count) return OK;
    TRY(warm_emails(box->box, &doomed));
    TRY(change_expunge(&c, box->box, &doomed, true, a));
    TRY(change_commit(&c));
    if (expunged) *expunged = doomed;
    return OK;
}
