#include "store/model.h"

#include <stdlib.h>

/* A view as a record, and again a view made of it, perhaps in another process:
 *
 *     varint uidvalidity   synced   as_of   uid_end   u8 takes \Recent   gone_since
 *     uid ranges: recent   uid ranges: overlaid   n modseqs of our own changes, each the difference
 *     n gone:  uid (difference)  eid  modseq  size  date  u8 flags  u8 marks  kwset
 *
 * The record stays right while others change the mailbox, as long as the view is not synced: those
 * that they expunge after `as_of` are found by their tombstones. What these were, but for the
 * email, is not known any more then: they are shown without flags until it may be said that they
 * have gone. */

enum { GONE_MOST = 200, OWN_MOST = 500, RANGES_MOST = 500 };

/* ---- writing ---- */

static void put_own(const View *v, Buf *out)
{
    uint64_t last = 0;
    buf_varint(out, v->own_count);
    for (uint32_t i = 0; i < v->own_count; i++) {
        buf_varint(out, v->own[i] - last);
        last = v->own[i];
    }
}

static void put_gone(const View *v, Buf *out)
{
    uint32_t last = 0;
    buf_varint(out, v->gone_count);
    for (uint32_t i = 0; i < v->gone_count; i++) {
        const Message *m = &v->gone[i];
        buf_varint(out, m->uid - last);
        last = m->uid;
        buf_varint(out, m->eid);
        buf_varint(out, m->modseq);
        buf_varint(out, m->size);
        buf_varint(out, m->date);
        buf_u8(out, m->flags);
        buf_u8(out, m->marks);
        buf_varint(out, m->kwset);
    }
}

/* With nobody gone, tombstones since the last sync say all: so the record stays the same while only
 * other mailboxes change. In the middle of a change nobody could say as of when it is. */
bool view_keep(const View *v, Buf *out)
{
    bool fits = v->gone_count <= GONE_MOST && v->own_count <= OWN_MOST &&
                v->recent_uids.count <= RANGES_MOST && v->overlaid.count <= RANGES_MOST;
    if (!fits || v->mailbox->box->gone || v->mailbox->account->in_pieces) return false;
    buf_varint(out, v->mailbox->box->s.uid_validity);
    buf_varint(out, v->synced);
    buf_varint(out, v->gone_count ? v->mailbox->account->h.seq : v->synced);
    buf_varint(out, v->uid_end);
    buf_u8(out, v->takes_recent);
    buf_varint(out, v->gone_since);
    uidset_write(out, &v->recent_uids);
    uidset_write(out, &v->overlaid);
    put_own(v, out);
    put_gone(v, out);
    return true;
}

/* ---- reading ---- */

typedef struct {
    uint64_t uid_validity, synced, as_of, uid_end, gone_since;
    bool takes_recent;
    UidSet recent, overlaid;
    uint64_t own[OWN_MOST];
    Message gone[GONE_MOST];
    size_t own_count, gone_count;
} Kept;

static void read_own(Reader *in, Kept *k)
{
    uint64_t last = 0, count = read_varint(in);
    if (count > OWN_MOST) in->bad = true;
    for (; k->own_count < count && !in->bad; k->own_count++) {
        uint64_t more = read_varint(in);
        if (more > UINT64_MAX - last) in->bad = true;
        k->own[k->own_count] = last += more;
    }
}

static uint32_t read_u32_varint(Reader *in)
{
    uint64_t n = read_varint(in);
    if (n > UINT32_MAX) in->bad = true;
    return (uint32_t)n;
}

static void read_gone(Reader *in, Kept *k)
{
    uint64_t last = 0, count = read_varint(in);
    if (count > GONE_MOST) in->bad = true;
    for (; k->gone_count < count && !in->bad; k->gone_count++) {
        Message *m = &k->gone[k->gone_count];
        uint64_t more = read_varint(in);
        if (!more || more >= k->uid_end - last) in->bad = true;
        m->uid = (uint32_t)(last += more);
        m->eid = read_u32_varint(in);
        m->modseq = read_varint(in);
        m->size = read_u32_varint(in);
        m->date = read_u32_varint(in);
        m->flags = read_u8(in);
        m->marks = read_u8(in);
        uint32_t kwset = read_u32_varint(in);
        if (kwset > UINT16_MAX) in->bad = true;
        m->kwset = (uint16_t)kwset;
    }
}

static Err read_kept(Slice record, Arena *a, Kept *k)
{
    Reader in = reader(record);
    k->uid_validity = read_varint(&in);
    k->synced = read_varint(&in);
    k->as_of = read_varint(&in);
    k->uid_end = read_u32_varint(&in);
    k->takes_recent = read_u8(&in) == 1;
    k->gone_since = read_varint(&in);
    uidset_read(&in, a, &k->recent);
    uidset_read(&in, a, &k->overlaid);
    read_own(&in, k);
    read_gone(&in, k);
    if (in.bad || in.rest.len) return fail(ERR_SYNTAX, "a view that does not fit");
    return OK;
}

/* Is it of this mailbox as it has been since? */
static Err check_kept(const Mailbox *m, const Kept *k)
{
    const Box *b = m->box;
    uint64_t seq = m->account->h.seq;
    bool fits = k->uid_validity == b->s.uid_validity && k->uid_end <= b->s.uid_next &&
                k->synced <= seq && k->as_of <= seq && k->as_of >= b->s.vanished_floor;
    return fits ? OK : fail(ERR_CONFLICT, "the mailbox is another one than it was");
}

/* ---- those that have gone since ---- */

static Err size_of(Account *a, Message *m)
{
    Email *e;
    Err err = email_entry(a, m->eid, &e);
    if (err == ERR_EXPUNGED) return OK;
    if (!err) m->size = (uint32_t)MIN(email_size(e), (uint64_t)UINT32_MAX);
    return err;
}

static int by_uid(const void *a, const void *b)
{
    uint32_t one = ((const Message *)a)->uid, other = ((const Message *)b)->uid;
    return one < other ? -1 : one > other;
}

static void add_gone(View *v, const Message *m)
{
    if (v->gone_count == v->gone_room) {
        v->gone_room = MAX(v->gone_room * 2, 4u);
        v->gone = mem_grow(v->gone, array_bytes(v->gone_room, sizeof *v->gone));
    }
    v->gone[v->gone_count++] = *m;
}

static Err add_tombstone(View *v, const Vanished *t)
{
    Account *a = v->mailbox->account;
    for (uint32_t i = 0; i < t->count; i++) {
        Message m = {.uid = t->uid + i, .eid = t->eid + i, .modseq = t->seq};
        if (m.uid >= v->uid_end) continue;
        TRY(size_of(a, &m));
        add_gone(v, &m);
    }
    v->gone_since = v->gone_since ? MIN(v->gone_since, t->seq) : t->seq;
    return OK;
}

/* Each once, and none that is there. */
static Err check_gone(const View *v)
{
    for (uint32_t i = 0; i < v->gone_count; i++) {
        bool again = i && v->gone[i].uid == v->gone[i - 1].uid;
        if (again || box_message(v->mailbox->box, v->gone[i].uid))
            return fail(ERR_SYNTAX, "a view that does not fit");
    }
    return OK;
}

PARKS static Err find_gone(View *v, const Kept *k, Arena *a)
{
    Vanished *list;
    size_t count;
    for (size_t i = 0; i < k->gone_count; i++)
        add_gone(v, &k->gone[i]);
    if (k->gone_count) v->gone_since = k->gone_since;
    TRY(vanished_after(v->mailbox->box, k->as_of, a, &list, &count));
    for (size_t i = 0; i < count; i++)
        TRY(add_tombstone(v, &list[i]));
    if (v->gone_count) qsort(v->gone, v->gone_count, sizeof *v->gone, by_uid);
    return check_gone(v);
}

/* ---- \Recent ---- */

/* What this session had taken stays its own, even when that is not known here any more. */
static void retake_recent(View *v, const Kept *k)
{
    Box *b = v->mailbox->box;
    for (size_t i = 0; i < k->recent.count; i++) {
        UidRange r = k->recent.ranges[i];
        if (r.first >= v->uid_end) break;
        r.last = MIN(r.last, v->uid_end - 1);
        uidset_add(&v->recent_arena, &v->recent_uids, r.first, r.last);
        v->recent += view_rank(v, r.last + 1) - view_rank(v, r.first);
    }
    if (!v->takes_recent || b->s.recent_from >= v->uid_end) return;
    b->s.recent_from = v->uid_end;
    b->s.recent = box_rank(b, b->s.uid_next) - box_rank(b, v->uid_end);
    b->state |= PAGE_DIRTY;
    account_touch(b->account);
}

/* ---- all of it ---- */

PARKS static Err resume(View *v, const Kept *k, Arena *a)
{
    Mailbox *m = v->mailbox;
    v->takes_recent = k->takes_recent;
    v->synced = k->synced;
    v->uid_end = (uint32_t)k->uid_end;
    TRY(find_gone(v, k, a));
    v->exists = view_rank(v, v->uid_end);
    retake_recent(v, k);
    for (size_t i = 0; i < k->own_count; i++)
        view_mark_own(v, k->own[i]);
    for (size_t i = 0; i < k->overlaid.count; i++)
        uidset_add(&v->overlaid_arena, &v->overlaid, k->overlaid.ranges[i].first,
                   k->overlaid.ranges[i].last);
    v->news = m->account->h.seq != k->synced || v->gone_count;
    return OK;
}

PARKS Err view_resume(Mailbox *box, Slice record, View **view)
{
    Arena arena arena_scoped = {0};
    TRY(mailbox_check(box));
    Kept *k = arena_new(&arena, Kept);
    TRY(read_kept(record, &arena, k));
    TRY(check_kept(box, k));
    View *v = NEW(View);
    v->mailbox = box;
    list_add(&box->box->views, &v->link);
    list_add(&box->account->views, &v->of_account);
    Err err = resume(v, k, &arena);
    if (err) {
        view_close(v);
        return err;
    }
    *view = v;
    return OK;
}
