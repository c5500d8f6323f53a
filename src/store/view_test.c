#include "store/test_world.h"

#include <stdlib.h>

/* "1:10 2:20" number:uid of the whole view, "~" before a gone one. */
static PARKS Slice show_view(World *w, View *v)
{
    Buf text buf_scoped = {0};
    Message m;
    uint32_t number;
    bool gone;
    for (uint32_t uid = 1; view_next(v, uid, &m, &number, &gone); uid = m.uid + 1) {
        buf_printf(&text, "%s%u:%s%u", text.len ? " " : "", number, gone ? "~" : "", m.uid);
        check_u64(view_uid(v, number), m.uid);
        check_u64(view_number(v, m.uid), number);
    }
    return arena_copy(&w->arena, buf_slice(&text));
}

static PARKS Slice sync(World *w, View *v, bool expunges)
{
    Buf text buf_scoped = {0};
    ViewNews n;
    view_sync(v, expunges, &w->arena, &n);
    for (size_t i = 0; i < n.expunged_count; i++)
        buf_printf(&text, "-%u ", n.expunged[i]);
    for (size_t i = 0; i < n.changed_count; i++)
        buf_printf(&text, "!%u ", n.changed[i]);
    if (n.vanished.count) buf_printf(&text, "v%.*s ", SP(world_print(w, &n.vanished)));
    if (n.exists_changed) buf_printf(&text, "=%u ", view_exists(v));
    if (n.recent_changed) buf_printf(&text, "r%u ", view_recent(v));
    if (n.mailbox_deleted) buf_add(&text, S("deleted "));
    return slice_trim(arena_copy(&w->arena, buf_slice(&text)));
}

TEST(a_view_changes_only_when_synced)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v = NULL;
    world_append_many(&w, box, 5);
    check_ok(view_open(box, false, &v));
    check_slice(show_view(&w, v), S("1:1 2:2 3:3 4:4 5:5"));
    world_expunge(box, 2, 3);
    world_append(&w, box, "six", 0);
    check(view_has_news(v));
    check_slice(show_view(&w, v), S("1:1 2:~2 3:~3 4:4 5:5"));
    check_u64(view_number(v, 6), 0);
    check_slice(sync(&w, v, false), S("=6 r4"));
    check_slice(show_view(&w, v), S("1:1 2:~2 3:~3 4:4 5:5 6:6"));
    check_slice(sync(&w, v, true), S("-2 -2 v2:3"));
    check_slice(show_view(&w, v), S("1:1 2:4 3:5 4:6"));
    check_u64(view_uid(v, 5), 0);
    check_u64(view_uid(v, 0), 0);
    check_slice(sync(&w, v, true), S(""));
    check(!view_has_news(v));
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

TEST(a_message_that_came_and_went_is_never_seen)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v = NULL;
    world_append_many(&w, box, 2);
    check_ok(view_open(box, true, &v));
    world_append(&w, box, "short", 0);
    world_expunge(box, 3, 3);
    check_slice(sync(&w, v, true), S(""));
    check_u64(view_exists(v), 2);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

TEST(changes_of_others_are_reported_own_ones_not)
{
    World w;
    world_open(&w, NULL);
    Arena a arena_scoped = {0};
    Mailbox *box = world_box(&w, "INBOX");
    View *mine = NULL, *other = NULL;
    world_append_many(&w, box, 200);
    check_ok(view_open(box, false, &mine));
    check_ok(view_open(box, false, &other));
    UidSet some = world_uids(&a, 64, 65);
    uint64_t modseq;
    FlagChange change = {.how = CHANGE_ADD, .flags = FLAG_FLAGGED};
    check_ok(mailbox_change(box, &some, &change, &a, NULL, &modseq));
    check(modseq);
    view_mark_own(mine, modseq);
    world_flag(box, 130, 130, CHANGE_ADD, FLAG_SEEN);
    check_slice(sync(&w, mine, true), S("!130"));
    check_slice(sync(&w, other, true), S("!64 !65 !130"));
    check_ok(mailbox_change(box, &some, &change, &a, NULL, &modseq));
    check_u64(modseq, 0); /* nothing changed */
    check_slice(sync(&w, other, true), S(""));
    view_close(mine);
    view_close(other);
    mailbox_close(box);
    world_close(&w);
}

/* STORE .SILENT on top of what another did, which was not told yet: the client would never hear it.
 */
TEST(an_own_change_does_not_hide_what_another_did_before)
{
    World w;
    world_open(&w, NULL);
    Arena a arena_scoped = {0};
    Mailbox *box = world_box(&w, "INBOX");
    View *mine = NULL;
    world_append_many(&w, box, 200);
    check_ok(view_open(box, false, &mine));
    world_flag(box, 65, 66, CHANGE_ADD, FLAG_SEEN);
    UidSet some = world_uids(&a, 64, 65);
    for (unsigned flag = FLAG_FLAGGED; flag <= FLAG_DELETED; flag *= 2) {
        uint64_t modseq;
        FlagChange change = {.how = CHANGE_ADD, .flags = (uint8_t)flag};
        check_ok(mailbox_change(box, &some, &change, &a, NULL, &modseq));
        view_mark_own(mine, modseq);
    }
    check_slice(sync(&w, mine, false), S("!65 !66"));
    check_slice(sync(&w, mine, true), S(""));
    view_close(mine);
    mailbox_close(box);
    world_close(&w);
}

TEST(recent_belongs_to_the_first_who_takes_it)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *looks = NULL, *takes = NULL, *late = NULL;
    world_append_many(&w, box, 3);
    check_ok(view_open(box, false, &looks));
    check_u64(view_recent(looks), 3);
    check_ok(view_open(box, true, &takes));
    check_u64(view_recent(takes), 3);
    check(view_is_recent(takes, 2));
    check_ok(view_open(box, true, &late));
    check_u64(view_recent(late), 0);
    check_u64(mailbox_status(box).recent, 0);
    world_append(&w, box, "four", 0);
    check_slice(sync(&w, late, true), S("=4 r1"));
    check_slice(sync(&w, takes, true), S("=4"));
    check(!view_is_recent(takes, 4));
    world_expunge(box, 1, 1);
    check_slice(sync(&w, takes, true), S("-1 v1 r2"));
    view_close(looks);
    view_close(takes);
    view_close(late);
    mailbox_close(box);
    world_close(&w);
}

TEST(first_unseen_is_a_number)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v = NULL;
    world_append_many(&w, box, 150);
    world_flag(box, 1, 140, CHANGE_ADD, FLAG_SEEN);
    world_expunge(box, 1, 10);
    check_ok(view_open(box, false, &v));
    check_u64(view_first_unseen(v), 131);
    world_expunge(box, 11, 20);
    check_u64(view_first_unseen(v), 131);
    world_flag(box, 141, 150, CHANGE_ADD, FLAG_SEEN);
    check_u64(view_first_unseen(v), 0);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

TEST(a_view_outlives_its_mailbox)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "temp");
    View *v = NULL;
    world_append_many(&w, box, 2);
    check_ok(view_open(box, false, &v));
    check_ok(mailbox_delete(w.account, S("temp")));
    check(mailbox_is_deleted(box));
    check(view_has_news(v));
    check_slice(show_view(&w, v), S("1:~1 2:~2"));
    check_slice(sync(&w, v, true), S("-1 -1 v1:2 r0 deleted"));
    UidSet one = world_uids(&w.arena, 1, 1);
    uint64_t modseq;
    check_err(mailbox_change(box, &one, &(FlagChange){.flags = FLAG_SEEN}, &w.arena, NULL, &modseq),
              ERR_NOT_FOUND);
    check_err(mailbox_expunge(box, NULL, true, &w.arena, NULL), ERR_NOT_FOUND);
    view_close(v);
    mailbox_close(box);
    box = world_box(&w, "temp");
    check_u64(mailbox_status(box).exists, 0);
    mailbox_close(box);
    world_close(&w);
}

/* Against an array: random expunges, appends and syncs. */
enum { STEPS = 400, MOST = 2000 };
typedef struct {
    uint32_t uids[MOST];
    size_t count;
} Truth;

static void truth_expunge(Truth *t, uint32_t first, uint32_t last)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->uids[i] < first || t->uids[i] > last) t->uids[kept++] = t->uids[i];
    t->count = kept;
}

static void check_view(View *v, const Truth *t)
{
    check_u64(view_exists(v), t->count);
    for (size_t i = 0; i < t->count; i++) {
        check_u64(view_uid(v, (uint32_t)i + 1), t->uids[i]);
        check_u64(view_number(v, t->uids[i]), i + 1);
    }
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

TEST(numbers_are_right_after_anything)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v = NULL;
    Truth *seen = NEW(Truth), *now = NEW(Truth);
    uint64_t state = 7;
    check_ok(view_open(box, false, &v));
    for (int i = 0; i < STEPS; i++) {
        uint32_t next = mailbox_status(box).uid_next, n = draw(&state, 5) + 1;
        switch (draw(&state, 4)) {
        case 0:
            world_append_many(&w, box, n * 3);
            for (uint32_t k = 0; k < n * 3; k++)
                now->uids[now->count++] = next + k;
            break;
        case 1: {
            uint32_t first = draw(&state, next) + 1;
            world_expunge(box, first, first + n);
            truth_expunge(now, first, first + n);
            break;
        }
        default: {
            ViewNews news;
            view_sync(v, true, &w.arena, &news);
            *seen = *now;
        }
        }
        check_view(v, seen);
        if (now->count > MOST - 20) break;
    }
    free(seen);
    free(now);
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

static PARKS void wait_for_nudge(void *arg)
{
    View *v = arg;
    view_listen(v, fiber_current());
    while (!view_has_news(v))
        fiber_park(NEVER);
    view_listen(v, NULL);
}

TEST(a_waiting_fiber_is_nudged)
{
    World w;
    world_open(&w, NULL);
    Mailbox *box = world_box(&w, "INBOX");
    View *v = NULL;
    check_ok(view_open(box, false, &v));
    fiber_start("idler", wait_for_nudge, v);
    fiber_sleep(1);
    world_append(&w, box, "wake up", 0);
    while (v->fiber)
        fiber_sleep(1);
    check_slice(sync(&w, v, true), S("=1 r1"));
    view_close(v);
    mailbox_close(box);
    world_close(&w);
}

/* ---- the eyes of another user ---- */

/* "2S ~3 4": uids with bob's \Seen. */
static PARKS Slice show_seen(World *w, View *v)
{
    Buf text buf_scoped = {0};
    Message m;
    bool gone;
    for (uint32_t uid = 1; view_next(v, uid, &m, NULL, &gone); uid = m.uid + 1)
        buf_printf(&text, "%s%s%u%s", text.len ? " " : "", gone ? "~" : "", m.uid,
                   m.flags & FLAG_SEEN ? "S" : "");
    return arena_copy(&w->arena, buf_slice(&text));
}

/* What is expunged keeps the \Seen of who looks, not its owner's, the second time too. */
TEST(a_guest_sees_his_own_seen_of_what_is_gone)
{
    World w;
    uint32_t bob;
    Mailbox *his = NULL;
    View *v = NULL;
    Message m;
    world_open(&w, NULL);
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *box = world_box(&w, "INBOX");
    check_ok(mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHTS_ALL));
    check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
    world_append_many(&w, box, 7);
    world_flag(his, 1, 7, CHANGE_ADD, FLAG_SEEN);
    world_flag(his, 3, 5, CHANGE_REMOVE, FLAG_SEEN);
    world_flag(box, 4, 5, CHANGE_ADD, FLAG_SEEN);
    check_u64(mailbox_status(his).unseen, 3);
    check_u64(mailbox_status(box).unseen, 5);
    check_ok(view_open(his, false, &v));
    check_slice(show_seen(&w, v), S("1S 2S 3 4 5 6S 7S"));
    check_u64(view_first_unseen(v), 3);
    world_expunge(box, 3, 4);
    check_slice(show_seen(&w, v), S("1S 2S ~3 ~4 5 6S 7S"));
    world_expunge(box, 2, 2);
    world_expunge(box, 5, 6);
    check_slice(show_seen(&w, v), S("1S ~2S ~3 ~4 ~5 ~6S 7S"));
    check(view_next(v, 7, &m, NULL, NULL) && m.uid == 7);
    check_u64(view_number(v, 6), 6);
    check_slice(sync(&w, v, true), S("-2 -2 -2 -2 -2 v2:6 r2"));
    check_u64(view_number(v, 6), 0);
    check_u64(view_first_unseen(v), 0);
    view_close(v);
    mailbox_close(his);
    mailbox_close(box);
    world_close(&w);
}

/* Ranges of what he has seen are cut where a flag goes, and may reach beyond the last message. */
TEST(a_guest_has_seen_all_that_may_come)
{
    World w;
    uint32_t bob;
    Mailbox *his = NULL;
    world_open(&w, NULL);
    check_ok(store_create_account(w.store, S("bob"), &bob));
    Mailbox *box = world_box(&w, "INBOX");
    check_ok(mailbox_set_acl(box, S("bob"), ACL_REPLACE, RIGHTS_ALL));
    check_ok(mailbox_open(w.account, bob, S("INBOX"), &his));
    world_append_many(&w, box, 5);
    check_ok(seen_change(w.account, box->box->s.id, bob, (UidRange){1, UINT32_MAX}, true));
    check_u64(mailbox_status(his).unseen, 0);
    check_ok(seen_change(w.account, box->box->s.id, bob, (UidRange){3, 3}, false));
    check_slice(world_show(&w, his), S("1S 2S 3 4S 5S"));
    check_ok(seen_change(w.account, box->box->s.id, bob, (UidRange){2, UINT32_MAX}, false));
    check_slice(world_show(&w, his), S("1S 2 3 4 5"));
    check_ok(seen_change(w.account, box->box->s.id, bob, (UidRange){1, 1}, false));
    check_u64(mailbox_status(his).unseen, 5);
    mailbox_close(his);
    mailbox_close(box);
    world_close(&w);
}
