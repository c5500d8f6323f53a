/* Several views of one mailbox, synced at different times, against lists of uids. */
#include "store/test_world.h"
#include "store/workload.h"

#include <stdlib.h>

enum { VIEWS = 5, MOST = 600, STEPS = 500 };

typedef struct {
    uint32_t uid;
    uint8_t flags;
    uint64_t modseq;
    bool alive;
} Letter;
typedef struct {
    View *view;
    uint32_t uids[MOST];
    size_t count;
    uint32_t uid_end;
    bool news[MOST]; /* by letter: somebody else changed it since */
    Buf kept;        /* the view as it was at some time since it was synced; empty: too much */
    bool is_other;   /* made of what was kept: what has gone may have lost its flags */
} Eye;
typedef struct {
    World *w;
    Mailbox *box;
    Letter letters[MOST];
    size_t count;
    Eye eyes[VIEWS];
    uint64_t random;
} Scene;

static uint32_t below(Scene *s, uint32_t n)
{
    return (uint32_t)(work_random(&s->random) % n);
}

static Letter *letter(Scene *s, uint32_t uid)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->letters[i].uid == uid) return &s->letters[i];
    return NULL;
}

static PARKS void arrive(Scene *s)
{
    if (s->count == MOST) return;
    uint8_t flags = (uint8_t)below(s, 32);
    uint32_t uid = world_append(s->w, s->box, "x", flags);
    s->letters[s->count++] = (Letter){uid, flags, mailbox_message(s->box, uid)->modseq, true};
}

static UidSet some(Scene *s, Arena *a, unsigned one_in)
{
    UidSet uids = {0};
    for (size_t i = 0; i < s->count; i++)
        if (s->letters[i].alive && !below(s, one_in))
            uidset_add(a, &uids, s->letters[i].uid, s->letters[i].uid);
    return uids;
}

static void keep(Eye *e)
{
    buf_clear(&e->kept);
    if (!view_keep(e->view, &e->kept)) buf_clear(&e->kept);
}

static PARKS void change(Scene *s)
{
    Arena a arena_scoped = {0};
    UidSet uids = some(s, &a, 1 + below(s, 20));
    FlagChange c = {.how = CHANGE_REPLACE, .flags = (uint8_t)below(s, 32)};
    uint64_t modseq = 0;
    check_ok(mailbox_change(s->box, &uids, &c, &a, NULL, &modseq));
    Eye *own = below(s, 2) ? &s->eyes[below(s, VIEWS)] : NULL;
    for (uint32_t uid = 0; uidset_next(&uids, &uid); uid++) {
        Letter *l = letter(s, uid);
        l->flags = c.flags;
        if (l->modseq == mailbox_message(s->box, uid)->modseq) continue;
        l->modseq = mailbox_message(s->box, uid)->modseq;
        for (Eye *e = s->eyes; e < s->eyes + VIEWS; e++)
            if (e != own) e->news[l - s->letters] = true;
    }
    if (!own || !own->view) return;
    view_mark_own(own->view, modseq);
    keep(own);
}

static PARKS void expunge(Scene *s)
{
    Arena a arena_scoped = {0};
    UidSet uids = some(s, &a, 2 + below(s, 30));
    check_ok(mailbox_expunge(s->box, &uids, true, &a, NULL));
    for (uint32_t uid = 0; uidset_next(&uids, &uid); uid++)
        letter(s, uid)->alive = false;
}

static void see_new(Scene *s, Eye *e)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->letters[i].alive && s->letters[i].uid >= e->uid_end)
            e->uids[e->count++] = s->letters[i].uid;
    e->uid_end = mailbox_status(s->box).uid_next;
    memset(e->news, 0, sizeof e->news);
}

static PARKS void open_or_close(Scene *s)
{
    Eye *e = &s->eyes[below(s, VIEWS)];
    if (e->view) {
        view_close(e->view);
        buf_done(&e->kept);
        *e = (Eye){0};
    } else {
        check_ok(view_open(s->box, below(s, 2), &e->view));
        see_new(s, e);
        keep(e);
    }
}

/* A view ends and is made again of what was kept of it, perhaps long ago. */
static PARKS void come_back(Scene *s, Eye *e)
{
    View *other;
    if (!e->view || !e->kept.len) return;
    check_ok(view_resume(s->box, buf_slice(&e->kept), &other));
    view_close(e->view);
    e->view = other;
    e->is_other = true;
    if (below(s, 2)) keep(e);
}

/* All end, as does the store, and those of which something was kept are there again. */
static PARKS void restart(Scene *s)
{
    for (Eye *e = s->eyes; e < s->eyes + VIEWS; e++) {
        view_close(e->view);
        e->view = NULL;
        if (!e->kept.len) *e = (Eye){.kept = e->kept};
    }
    mailbox_close(s->box);
    world_reopen(s->w);
    s->box = world_box(s->w, "INBOX");
    for (Eye *e = s->eyes; e < s->eyes + VIEWS; e++) {
        if (!e->kept.len) continue;
        check_ok(view_resume(s->box, buf_slice(&e->kept), &e->view));
        e->is_other = true;
    }
}

/* Every number and every uid, also of those that are gone and not reported yet. */
static void look(Scene *s, Eye *e)
{
    uint32_t uid = 1, first_unseen = 0;
    bool all_known = true;
    check_u64(view_exists(e->view), e->count);
    for (uint32_t i = 0; i < e->count; i++) {
        Message m;
        uint32_t number;
        bool gone;
        const Letter *l = letter(s, e->uids[i]);
        check(view_next(e->view, uid, &m, &number, &gone));
        check_u64(m.uid, l->uid);
        check_u64(number, i + 1);
        check(gone == !l->alive);
        bool knows_flags = !gone || !e->is_other;
        if (knows_flags) check_u64(m.flags, l->flags);
        all_known = all_known && knows_flags;
        check_u64(view_uid(e->view, i + 1), l->uid);
        check_u64(view_number(e->view, l->uid), i + 1);
        if (!first_unseen && !(l->flags & FLAG_SEEN)) first_unseen = i + 1;
        uid = m.uid + 1;
    }
    Message m;
    check(!view_next(e->view, uid, &m, NULL, NULL));
    check_u64(view_uid(e->view, (uint32_t)e->count + 1), 0);
    if (all_known) check_u64(view_first_unseen(e->view), first_unseen);
}

/* What expunges are to be reported, in the words of RFC 9051 7.5.1 and as uids. */
static void see_expunged(Scene *s, Eye *e, const ViewNews *news)
{
    size_t kept = 0, gone = 0;
    for (size_t i = 0; i < e->count; i++) {
        if (letter(s, e->uids[i])->alive) {
            e->uids[kept++] = e->uids[i];
            continue;
        }
        check(uidset_has(&news->vanished, e->uids[i]));
        check(gone < news->expunged_count && news->expunged[gone] == kept + 1);
        gone++;
    }
    check_u64(news->expunged_count, gone);
    check_u64(uidset_size(&news->vanished), gone);
    e->count = kept;
    e->is_other = false;
}

static void sync_one(Scene *s)
{
    Arena a arena_scoped = {0};
    Eye *e = &s->eyes[below(s, VIEWS)];
    ViewNews news;
    bool expunges = below(s, 2);
    if (!e->view) return;
    size_t changed = 0, was = e->count;
    view_sync(e->view, expunges, &a, &news);
    for (size_t i = 0; i < was; i++) {
        const Letter *l = letter(s, e->uids[i]);
        if (!l->alive || !e->news[l - s->letters]) continue;
        check(changed < news.changed_count && news.changed[changed] == l->uid);
        changed++;
    }
    check_u64(news.changed_count, changed);
    if (expunges)
        see_expunged(s, e, &news);
    else
        check(!news.expunged_count && !news.vanished.count);
    size_t before = e->count;
    see_new(s, e);
    check(news.exists_changed == (e->count > before));
    check(!news.mailbox_deleted);
    keep(e);
}

static PARKS void act(Scene *s)
{
    switch (below(s, 10)) {
    case 0:
    case 1:
        arrive(s);
        break;
    case 2:
        change(s);
        break;
    case 3:
        expunge(s);
        break;
    case 4:
        open_or_close(s);
        break;
    case 5:
        come_back(s, &s->eyes[below(s, VIEWS)]);
        break;
    case 6:
        if (!below(s, 10)) restart(s);
        break;
    default:
        sync_one(s);
        break;
    }
}

static PARKS void one_scene(uint64_t seed)
{
    World w = {0};
    Scene *s = NEW(Scene);
    world_open(&w, NULL);
    *s = (Scene){.w = &w, .random = seed};
    s->box = world_box(&w, "INBOX");
    for (unsigned i = 0; i < STEPS; i++) {
        act(s);
        for (unsigned k = 0; k < VIEWS; k++)
            if (s->eyes[k].view) look(s, &s->eyes[k]);
    }
    for (unsigned k = 0; k < VIEWS; k++)
        view_close(s->eyes[k].view), buf_done(&s->eyes[k].kept);
    mailbox_close(s->box);
    free(s);
    world_close(&w);
}

TEST(views_show_what_they_were_told)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        one_scene(seed);
}
