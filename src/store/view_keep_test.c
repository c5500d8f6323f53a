#include "store/test_world.h"

/* A view as a record, and again a view made of it. */

/* Cut or with an octet changed it is refused, or makes a view that holds together. */
static PARKS void resume_damaged(Mailbox *box, Slice kept)
{
    View *v = NULL;
    if (view_resume(box, kept, &v)) return;
    for (uint32_t n = 1; n <= view_exists(v); n++) {
        uint32_t uid = view_uid(v, n);
        if (uid) check_u64(view_number(v, uid), n);
    }
    view_close(v);
}

TEST(a_view_is_made_again_of_what_was_kept)
{
    World w = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v, *again;
    Buf kept buf_scoped = {0}, twice buf_scoped = {0};
    world_append_many(&w, box, 9);
    check_ok(view_open(box, true, &v));
    check_u64(view_recent(v), 9);
    world_expunge(box, 3, 4);
    check(view_keep(v, &kept));
    check_ok(view_resume(box, buf_slice(&kept), &again));
    check(view_keep(again, &twice));
    check_slice(buf_slice(&twice), buf_slice(&kept));
    view_close(again);
    for (size_t i = 0; i < kept.len; i++) {
        check_err(view_resume(box, slice_first(buf_slice(&kept), i), &again), ERR_SYNTAX);
        for (int bit = 0; bit < 8; bit++) {
            kept.at[i] = (char)(kept.at[i] ^ 1 << bit);
            resume_damaged(box, buf_slice(&kept));
            kept.at[i] = (char)(kept.at[i] ^ 1 << bit);
        }
    }
    view_close(v);
    world_expunge(box, 7, 7);
    world_append(&w, box, "new", 0);
    mailbox_close(box);
    world_reopen(&w);
    box = world_box(&w, "INBOX");
    check_ok(view_resume(box, buf_slice(&kept), &v));
    check_u64(view_exists(v), 9);
    check_u64(view_recent(v), 9);
    check_u64(view_number(v, 7), 7);
    check_u64(view_uid(v, 4), 4);
    ViewNews news;
    view_sync(v, true, &w.arena, &news);
    check_slice(world_print(&w, &news.vanished), S("3:4,7"));
    check(news.exists_changed);
    check_u64(view_exists(v), 7);
    check_u64(view_recent(v), 7);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

TEST(a_view_of_another_mailbox_is_not_made_again)
{
    World w = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX"), *other = world_box(&w, "Sent");
    View *v;
    Buf kept buf_scoped = {0};
    world_append_many(&w, box, 3);
    check_ok(view_open(box, true, &v));
    check(view_keep(v, &kept));
    view_close(v);
    check_err(view_resume(other, buf_slice(&kept), &v), ERR_CONFLICT);
    mailbox_close(other);
    mailbox_close(box);
    world_close(&w);
}

/* ---- what is too much to be kept ---- */

TEST(a_view_of_too_much_is_not_kept)
{
    World w;
    View *v = NULL;
    Buf kept buf_scoped = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 220);
    check_ok(view_open(box, false, &v));
    check(view_keep(v, &kept));
    for (uint32_t i = 0; i < 501; i++) /* single ones, with gaps */
        uidset_add(&v->overlaid_arena, &v->overlaid, i * 2 + 1, i * 2 + 1);
    check(!view_keep(v, &kept));
    v->overlaid = (UidSet){0};
    UidSet recent = v->recent_uids;
    for (uint32_t i = 0; i < 501; i++)
        uidset_add(&v->recent_arena, &v->recent_uids, 1000 + i * 2, 1000 + i * 2);
    check(!view_keep(v, &kept));
    v->recent_uids = recent;
    for (uint32_t i = 1; i <= 501; i++)
        view_mark_own(v, account_seq(w.account) + i);
    check(!view_keep(v, &kept));
    v->own_count = 0;
    check(view_keep(v, &kept));
    world_expunge(box, 5, 205);
    check(!view_keep(v, &kept));
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

/* ---- records that nobody has written ---- */

typedef struct {
    uint64_t uid_end, own, more_own, own_count;
    uint64_t gone_count, uid, eid, kwset;
} Forged;

static void forge(Buf *out, const Mailbox *box, const Forged *f)
{
    uint64_t seq = account_seq(mailbox_account(box));
    buf_clear(out);
    buf_varint(out, mailbox_status(box).uid_validity);
    buf_varint(out, seq), buf_varint(out, seq);
    buf_varint(out, f->uid_end);
    buf_u8(out, 1);
    buf_varint(out, seq);
    buf_varint(out, 0), buf_varint(out, 0); /* recent, overlaid */
    buf_varint(out, f->own_count);
    if (f->own_count) buf_varint(out, f->own), buf_varint(out, f->more_own);
    buf_varint(out, f->gone_count);
    if (!f->gone_count) return;
    buf_varint(out, f->uid), buf_varint(out, f->eid);
    buf_varint(out, 1), buf_varint(out, 1), buf_varint(out, 1);
    buf_u8(out, 0), buf_u8(out, 0);
    buf_varint(out, f->kwset);
}

static const Forged sound = {
    .uid_end = 5, .own = 1, .more_own = 1, .own_count = 2, .gone_count = 1, .uid = 2, .eid = 2};

TEST(records_nobody_has_written_are_refused)
{
    World w;
    View *v = NULL;
    Buf record buf_scoped = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 6);
    world_expunge(box, 2, 2);
    forge(&record, box, &sound);
    check_ok(view_resume(box, buf_slice(&record), &v));
    check_u64(view_exists(v), 4);
    view_close(v);
    Forged bad[12];
    for (size_t i = 0; i < COUNT(bad); i++)
        bad[i] = sound;
    bad[0].own = UINT64_MAX;
    bad[1].own_count = 501;
    bad[2].gone_count = 201;
    bad[3].uid = 0;
    bad[4].uid = 5; /* not below uid_end */
    bad[5].eid = UINT64_C(1) << 32;
    bad[6].kwset = 1 << 16;
    bad[7].kwset = UINT64_C(1) << 32;
    bad[8].uid = 1; /* it is there */
    bad[9].uid_end = UINT64_C(1) << 32;
    bad[10].own_count = 3; /* the next number is taken for one */
    bad[11].gone_count = 2;
    for (size_t i = 0; i < COUNT(bad); i++) {
        forge(&record, box, &bad[i]);
        if (view_resume(box, buf_slice(&record), &v) != ERR_SYNTAX) check_u64(i, COUNT(bad));
    }
    forge(&record, box, &(Forged){.uid_end = 100}); /* beyond what there ever was */
    check_err(view_resume(box, buf_slice(&record), &v), ERR_CONFLICT);
    mailbox_close(box);
    world_close(&w);
}

/* Nobody knows any more what went since. */
TEST(a_view_older_than_the_tombstones_is_not_made_again)
{
    World w;
    View *v = NULL;
    Buf kept buf_scoped = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 3);
    check_ok(view_open(box, true, &v));
    check(view_keep(v, &kept));
    view_close(v);
    world_expunge(box, 1, 1);
    box->box->s.vanished_floor = account_seq(w.account);
    check_err(view_resume(box, buf_slice(&kept), &v), ERR_CONFLICT);
    box->box->s.vanished_floor = 0;
    check_ok(view_resume(box, buf_slice(&kept), &v));
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

/* That \Recent was taken is no change and not in the log: a crash forgets it, the record does not.
 */
TEST(recent_is_taken_again_after_a_crash)
{
    World w;
    View *v = NULL, *other = NULL;
    Buf kept buf_scoped = {0};
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append_many(&w, box, 3);
    check_ok(view_open(box, true, &v));
    check(view_keep(v, &kept));
    view_close(v);
    box->box->s.recent_from = 1;
    box->box->s.recent = 3;
    check_ok(view_resume(box, buf_slice(&kept), &v));
    check_u64(view_recent(v), 3);
    check_ok(view_open(box, true, &other));
    check_u64(view_recent(other), 0);
    check_u64(mailbox_status(box).recent, 0);
    view_close(other);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}
