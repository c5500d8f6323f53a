#include "store/test_world.h"

/* The slots of a mailbox whose uids are far apart, and counters that are wrong where they are kept.
 */

PARKS static void append_at(World *w, Mailbox *box, uint32_t uid)
{
    Draft *d scoped(draft) = NULL;
    DraftPlace place = {.uid = uid};
    uint32_t got;
    check_ok(draft_begin(w->store, 0, &d));
    check_ok(draft_write(d, S("Subject: x\r\n\r\nx\r\n")));
    check_ok(draft_commit(d, box, &place, &got));
    check_u64(got, uid);
}

TEST(uids_far_apart_are_found)
{
    static const uint32_t uids[] = {1, 5, 63, 64, 1000, 1001, 5000, 70000, 70001};
    World w;
    SlotPage *page;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    Box *b = box->box;
    check(!box_nth(b, 0) && !box_rank(b, 7));
    for (size_t i = 0; i < COUNT(uids); i++)
        append_at(&w, box, uids[i]);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COUNT(uids); i++) {
            check_u64(box_nth(b, i)->uid, uids[i]);
            check_u64(box_rank(b, uids[i]), i);
            check_u64(box_rank(b, uids[i] + 1), i + 1);
            check_u64(box_message(b, uids[i])->uid, uids[i]);
        }
        check(!box_nth(b, COUNT(uids)));
        check(!box_message(b, 2) && !box_message(b, 130) && !box_message(b, 80000));
        check_u64(box_rank(b, 3000), 6);
        check_u64(box_rank(b, 80000), COUNT(uids));
        check_u64(box_next(b, 65)->uid, 1000);
        check(!box_next(b, 70002));
        check_ok(box_page(b, 3, false, &page));
        check(!page);
        mailbox_close(box);
        world_reopen(&w);
        box = world_box(&w, "INBOX");
        b = box->box;
        check_ok(box_page(b, 1000 / SLOTS, false, &page)); /* one alone, before all are read */
        check(page && page->count == 2);
        check_ok(box_page(b, 3, false, &page));
        check(!page);
        check_ok(box_load(b));
    }
    check_err(box_insert(b, box_message(b, 64)), ERR_CORRUPT);
    mailbox_close(box);
    world_close(&w);
}

/* What is kept of the mailbox says something else than its slots: they are right. */
TEST(counters_that_are_wrong_are_counted_again)
{
    enum { CASES = 6 };
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", FLAG_DELETED);
    world_append(&w, box, "two", FLAG_SEEN);
    mailbox_close(box);
    for (int i = 0; i < CASES; i++) {
        box = world_box(&w, "INBOX");
        BoxState *s = &box->box->s, right = *s;
        uint32_t *counters[] = {&s->exists, &s->unseen, &s->deleted, &s->recent};
        if (i < 4)
            *counters[i] += 3;
        else
            *(i == 4 ? &s->size_octets : &s->deleted_octets) += 9;
        box->box->state |= PAGE_DIRTY;
        account_touch(w.account);
        mailbox_close(box);
        world_reopen(&w);
        box = world_box(&w, "INBOX");
        check_ok(box_load(box->box));
        s = &box->box->s;
        check(box->box->was_wrong == (i < 3 || i == 4));
        check(s->exists == right.exists && s->unseen == right.unseen);
        check(s->deleted == right.deleted && s->recent == right.recent);
        check(s->size_octets == right.size_octets && s->deleted_octets == right.deleted_octets);
        mailbox_close(box);
    }
    world_close(&w);
}

/* They never wrap. */
TEST(counters_stop_at_nothing)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    world_append(&w, box, "one", FLAG_DELETED);
    BoxState *s = &box->box->s;
    s->exists = 1, s->unseen = s->deleted = s->recent = 0;
    s->size_octets = s->deleted_octets = 0;
    w.account->h.used[QUOTA_MESSAGE] = w.account->h.used[QUOTA_STORAGE] = 0;
    world_expunge(box, 1, 1);
    check(!s->exists && !s->unseen && !s->deleted && !s->recent && !s->size_octets);
    Quota q = account_quota(w.account);
    check(!q.used[QUOTA_MESSAGE] && !q.used[QUOTA_STORAGE]);
    mailbox_close(box);
    box_free(NULL);
    world_close(&w);
}
