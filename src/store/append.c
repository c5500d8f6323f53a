#include "store/draft.h"
#include "store/signature.h"

#include <stdlib.h>

enum { PREFIXES_MOST = 1024 }; /* distinct ones of an account */

/* ---- the recipient's own first lines ---- */

/* Parts as they are when the message begins `octets` later. */
static void shift_parts(MailSummary *m, MailPart *parts, uint32_t octets)
{
    for (uint32_t i = 0; i < m->part_count; i++) {
        parts[i] = m->parts[i];
        if (i)
            parts[i].header_at += octets;
        else
            parts[i].header_len += octets;
        parts[i].body_at += octets;
    }
    m->parts = parts;
}

static uint32_t count_lines(Slice s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += s.at[i] == '\n';
    return n;
}

static void shift_summary(const Draft *d, Slice prefix, Arena *a, Buf *stored)
{
    MailSummary m = d->summary;
    shift_parts(&m, arena_array(a, MailPart, m.part_count + 1), (uint32_t)prefix.len);
    m.size += (uint32_t)prefix.len;
    m.header_len += (uint32_t)prefix.len;
    m.lines += count_lines(prefix);
    mail_summary_encode(stored, &m);
}

/* ---- one message on its way into a record ---- */

void placing_done(Placing *p)
{
    buf_done(&p->joined);
}

/* Prefixes are few and are kept once; who sends us ever new ones gets them stored with the body. A
 * body that others share, or that is too large to copy, keeps its prefix in the table in any case.
 */
static uint32_t prefix_id(Placing *p, Change *c)
{
    Slice prefix = p->place->prefix;
    TextTable *t = &c->account->prefixes;
    if (!prefix.len) return 0;
    uint32_t id = text_table_find(t, prefix, false);
    bool join = !p->draft->writer && !p->body->known && !p->body->shared;
    if (!id && join && t->count >= PREFIXES_MOST) {
        buf_add(&p->joined, prefix);
        buf_add(&p->joined, buf_slice(&p->draft->body));
        return 0;
    }
    if (!id) text_table_add(t, prefix), id = t->count;
    change_texts(c, OP_PREFIX, t);
    return id;
}

static void carry_body(Placing *p, Change *c, Op *add)
{
    Draft *d = p->draft;
    Commit *commit = &c->commit;
    if (p->body->known || d->writer) {
        add->blob = p->body->known ? p->body->ref : d->big;
        if (d->writer) commit->ref = add->blob;
        return;
    }
    commit->eid = p->eid;
    commit->shared = p->body->shared;
    commit->body = p->joined.len ? buf_slice(&p->joined) : buf_slice(&d->body);
    memcpy(commit->body_sha256, d->sha256, sizeof d->sha256);
    if (p->joined.len) digest_of(commit->body, commit->body_sha256);
    add->blob = (BlobRef){.at = BLOB_HERE, .len = (uint32_t)commit->body.len};
}

void placing_add(Placing *p, Change *c)
{
    Draft *d = p->draft;
    Slice prefix = p->place->prefix;
    Buf stored buf_scoped = {0};
    p->eid = c->account->next_eid++;
    Op add = {.kind = OP_ADD,
              .eid = p->eid,
              .shared = p->body->shared || p->body->known,
              .prefix = prefix_id(p, c),
              .header_len = d->summary.header_len + (uint32_t)prefix.len,
              .hash_count = d->hash_count,
              .summary = buf_slice(&d->stored)};
    memcpy(add.hashes, d->hashes, sizeof add.hashes);
    if (prefix.len) {
        shift_summary(d, prefix, p->arena, &stored);
        add.summary = buf_slice(&stored);
    }
    carry_body(p, c, &add);
    change_op(c, &add, NULL);
}

static uint32_t internal_date(int64_t date)
{
    if (!date) date = wall_seconds();
    return (uint32_t)MIN(MAX(date, 0), (int64_t)UINT32_MAX);
}

static void object_op(const Placing *p, Change *c)
{
    Slice id = arena_printf(p->arena, "%08x%08x", p->box->box->s.id, p->uid);
    change_op(c,
              &(Op){.kind = OP_OBJECT,
                    .on = true,
                    .name = S("pop3-uidl"),
                    .id = id,
                    .value = p->place->object},
              NULL);
}

static void seen_op(const Placing *p, Change *c, uint32_t who)
{
    UidRange one = {p->uid, p->uid};
    change_op(c,
              &(Op){
                  .kind = OP_FLAG, .mailbox = p->box->box->s.id, .who = who, .flags = FLAG_SEEN
    },
              &(OpLists){.uids = &(UidSet){.ranges = &one, .count = 1}});
}

/* RFC 4314 4: flags the rights do not allow are left out; another user's \Seen is his own. */
void placing_link(Placing *p, Change *c)
{
    Mailbox *box = p->box;
    bool other = box->who != box->account->number;
    uint8_t flags = p->place->flags & rights_flags(box->rights);
    bool write = box->rights & RIGHT_WRITE;
    OpLists lists = {.keywords = p->keywords,
                     .keyword_count = write ? p->place->keywords.count : 0};
    Op link = {.kind = OP_LINK,
               .eid = p->eid,
               .mailbox = box->box->s.id,
               .uid = p->uid,
               .date = internal_date(p->place->date),
               .flags = other ? flags & (uint8_t)~FLAG_SEEN : flags};
    change_op(c, &link, &lists);
    if (p->place->object.len) object_op(p, c);
    UidRange one = {p->uid, p->uid};
    notes_op(box, &(UidSet){.ranges = &one, .count = 1}, &p->place->annotations, c);
    if (other && flags & FLAG_SEEN) seen_op(p, c, box->who);
    for (size_t i = 0; i < p->place->seen_by_count; i++)
        seen_op(p, c, p->place->seen_by[i]);
}

Err placing_uid(Placing *p)
{
    Box *b = p->box->box;
    p->uid = MAX(p->place->uid, b->next_uid);
    if (p->uid >= UINT32_MAX - 1) return fail(ERR_LIMIT, "uids are used up");
    b->next_uid = p->uid + 1;
    return OK;
}

static Err check_place(const Placing *p)
{
    const DraftPlace *place = p->place;
    uint64_t size = p->draft->size + place->prefix.len;
    TRY(mailbox_check(p->box));
    if (!(p->box->rights & RIGHT_INSERT)) return fail(ERR_FORBIDDEN, "no right to insert");
    if (place->prefix.len > PREFIX_TEXT_MOST) return fail(ERR_LIMIT, "a prefix");
    if (size > UINT32_MAX) return fail(ERR_TOO_BIG, "a message of more than 4 GiB");
    if (p->box->account->next_eid >= UINT32_MAX - 1) return fail(ERR_LIMIT, "eids are used up");
    return OK;
}

/* The slot page and email page it goes to, so that damage shows before anything is written. */
static Err warm_pages(const Placing *p)
{
    Account *a = p->box->account;
    SlotPage *slots;
    EmailPage *emails;
    TRY(box_page(p->box->box, p->box->box->next_uid / SLOTS, true, &slots));
    return email_page(a, a->next_eid / EMAILS, &emails);
}

Err placing_check(const Placing *p)
{
    TRY(check_place(p));
    return warm_pages(p);
}

/* A message that takes another's place only needs what it is larger. */
static Err reserve(const Placing *p, Change *c)
{
    uint64_t octets = p->draft->size + p->place->prefix.len;
    if (!p->replaces) return change_reserve(c, octets, 1);
    return octets > p->frees ? change_reserve(c, octets - p->frees, 0) : OK;
}

Err placing_prepare(Placing *p, Change *c)
{
    TRY(placing_check(p));
    TRY(reserve(p, c));
    TRY(notes_prepare(p->box, &p->place->annotations, c));
    if (p->place->keywords.count)
        TRY(change_keywords(c, p->place->keywords, p->arena, &p->keywords));
    return OK;
}

void placing_index(const Placing *p)
{
    const Draft *d = p->draft;
    signature_add(p->box->account, p->eid, p->place->prefix, buf_slice(&d->text), d->text_whole);
}

static PARKS Err place_one(Placing *p)
{
    Change c change_scoped = {0};
    TRY(change_begin(p->box->account, &c));
    TRY(placing_prepare(p, &c));
    placing_add(p, &c);
    TRY(placing_uid(p));
    placing_link(p, &c);
    TRY(change_commit(&c));
    placing_index(p);
    if (p->body->known) return OK;
    p->body->ref = c.commit.ref;
    if (p->body->shared) blob_pin(p->box->account->store->engine, p->body->ref.at);
    return OK;
}

PARKS Err draft_place(Draft *d, Mailbox *box, const DraftPlace *place, DraftBody *body,
                      uint32_t *uid)
{
    Arena arena arena_scoped = {0};
    Placing p = {.draft = d, .box = box, .place = place, .arena = &arena, .body = body};
    TRY(draft_end(d));
    Err err = place_one(&p);
    placing_done(&p);
    if (!err) *uid = p.uid;
    return err;
}

PARKS Err draft_commit(Draft *d, Mailbox *box, const DraftPlace *place, uint32_t *uid)
{
    DraftBody body = {0};
    return draft_place(d, box, place, &body, uid);
}

/* ---- instead of another (RFC 8508) ---- */

static Err look_at_replaced(Placing *p, Mailbox *from, uint32_t old)
{
    EmailPage *page;
    unsigned both = RIGHT_DELETE_MESSAGE | RIGHT_EXPUNGE;
    must(from->account == p->box->account);
    TRY(mailbox_check(from));
    if ((from->rights & both) != both) return fail(ERR_FORBIDDEN, "no right to expunge");
    TRY(box_load(from->box));
    const Message *m = box_message(from->box, old);
    if (!m) return fail(ERR_EXPUNGED, "the message to be replaced is gone");
    p->replaces = true;
    p->frees = m->size;
    return email_page(from->account, m->eid / EMAILS, &page);
}

static PARKS Err replace_one(Placing *p, Mailbox *from, uint32_t old)
{
    Change c change_scoped = {0};
    TRY(change_begin_alone(from->account, &c));
    TRY(look_at_replaced(p, from, old));
    TRY(placing_prepare(p, &c));
    placing_add(p, &c);
    TRY(placing_uid(p));
    placing_link(p, &c);
    UidRange one = {old, old};
    UidSet doomed = {.ranges = &one, .count = 1};
    TRY(change_expunge(&c, from->box, &doomed, false, p->arena));
    TRY(change_commit(&c));
    placing_index(p);
    return OK;
}

PARKS Err draft_replace(Draft *d, Mailbox *box, const DraftPlace *place, Mailbox *from,
                        uint32_t old, uint32_t *uid)
{
    Arena arena arena_scoped = {0};
    DraftBody body = {0};
    Placing p = {.draft = d, .box = box, .place = place, .arena = &arena, .body = &body};
    TRY(draft_end(d));
    Err err = replace_one(&p, from, old);
    placing_done(&p);
    if (!err) *uid = p.uid;
    return err;
}
