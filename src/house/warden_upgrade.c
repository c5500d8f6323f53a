/* Another program in the place of the one that runs, without anybody hanging up: the keeper and the
 * runner are asked again by those who asked, the fronts keep their connections until they end, and
 * the sessions of the house are taken up by the new one. The warden itself stays what it is until
 * the next start. */
#include "house/role.h"
#include "house/warden_inside.h"

enum { READY_MS = 30000, HELD_MS = 1000, RETIRED_MS = 10000 };

PARKS static Err await(Member *m, uint32_t before)
{
    int64_t deadline = now_ms() + READY_MS;
    while (m->state != MEMBER_READY || m->number == before)
        if (!cond_wait(&m->warden->news, deadline) || m->warden->stops)
            return fail(ERR_TEMPORARY, "the new %s does not get ready%s%s", cast_names[m->kind],
                        *m->story ? ": " : "", m->story);
    return OK;
}

static bool is_holding(const Warden *w)
{
    list_each (link, &w->members) {
        const Member *m = CONTAINER(link, Member, of_warden);
        if (m->kind == CAST_FRONT && m->post && !m->has_held) return false;
    }
    return true;
}

/* Also those that are retired: they have connections. */
PARKS static void hold_fronts(Warden *w)
{
    int64_t deadline = now_ms() + HELD_MS;
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        m->has_held = false;
        if (m->kind == CAST_FRONT) member_say(m, &(Memo){.kind = MEMO_HOLD}, NULL);
    }
    while (!is_holding(w) && !w->stops)
        if (!cond_wait(&w->news, deadline)) return;
}

PARKS static Err renew(Warden *w, CastRole kind)
{
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->kind != kind) continue;
        uint32_t before = m->number;
        if (kind == CAST_HOUSE) hold_fronts(w);
        if (m->number == before)
            member_end(m, kind == CAST_HOUSE ? MEMO_RETIRE : MEMO_STOP, STOP_MS);
        return await(m, before);
    }
    return OK;
}

/* Of all those retired the one that has been so longest: there are too many. */
PARKS static Err end_oldest(Warden *w)
{
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->state != MEMBER_RETIRED) continue;
        member_stop(m, RETIRED_MS);
        while (m->state != MEMBER_GONE)
            cond_wait(&w->news, NEVER);
        return OK;
    }
    return fail(ERR_LIMIT, "there are too many processes");
}

/* The new one accepts at the same sockets; the old one stops when that is certain. */
PARKS static Err replace_front(Warden *w, Member *old)
{
    Member *fresh;
    while (!(fresh = warden_cast(w, CAST_FRONT, old->place)))
        TRY(end_oldest(w));
    Err err = await(fresh, 0);
    if (err) {
        member_stop(fresh, 0);
        member_retire(fresh);
        return err;
    }
    member_say(old, &(Memo){.kind = MEMO_RETIRE}, NULL);
    member_retire(old);
    return OK;
}

PARKS static Err replace_fronts(Warden *w)
{
    for (unsigned place = 0; place < w->fronts; place++) {
        Member *old = NULL;
        list_each (link, &w->members) {
            Member *m = CONTAINER(link, Member, of_warden);
            if (m->kind == CAST_FRONT && m->place == place && m->state < MEMBER_RETIRED) old = m;
        }
        if (old) TRY(replace_front(w, old));
    }
    return OK;
}

static void answer(Warden *w, Err err)
{
    Slice story = err ? slice_of(err_story()) : (Slice){0};
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->kind != CAST_HOUSE) continue;
        Memo memo = {.kind = MEMO_UPGRADED, .number = {err}, .text = {slice_first(story, 900)}};
        member_say(m, &memo, NULL);
    }
}

/* The runner goes first: least is lost when the new program turns out to be none. */
PARKS static Err upgrade_all_but_house(Warden *w)
{
    TRY(renew(w, CAST_RUNNER));
    TRY(renew(w, CAST_KEEPER));
    return replace_fronts(w);
}

Err warden_upgrade(Warden *w)
{
    const char *before = w->program;
    w->program = w->upgrade;
    Err err = upgrade_all_but_house(w);
    answer(w, err);
    if (!err) err = renew(w, CAST_HOUSE);
    if (err) w->program = before; /* whoever starts from now on */
    return err;
}
