/* A member of the cast: its process is started, listened to, and started again when it ends. One
 * fiber does it all; the others leave letters for it. */
#include "base/metric.h"
#include "house/warden_inside.h"
#include "run/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FORGIVEN_MS = 1000,
    LENT_FROM_MS = 400,
    BACKOFF_MS = 100,
    BACKOFF_MOST_MS = 10000,
    ENDING_MS = 2000
};

const char *const member_states[] = {"starts", "ready", "waits", "retired", "gone"};

/* ---- letters: memos with their descriptors, not sent yet ---- */

typedef struct {
    Link of_member;
    uint32_t to; /* number of a process */
    Buf octets;
    Fds fds;
} Letter;

static void letter_free(Letter *l)
{
    list_remove(&l->of_member);
    fds_close(&l->fds);
    buf_done(&l->octets);
    free(l);
}

static void letters_free(Link *letters)
{
    list_each (link, letters)
        letter_free(CONTAINER(link, Letter, of_member));
}

static Letter *letter_new(uint32_t to, const Memo *memo, const Fds *fds)
{
    Letter *l = NEW(Letter);
    l->to = to;
    buf_u8(&l->octets, (uint8_t)memo->kind);
    memo_put(&l->octets, memo);
    for (size_t i = 0; fds && i < fds->count; i++) {
        int copy = fcntl(fds->fd[i], F_DUPFD_CLOEXEC, 0);
        if (copy >= 0) fds_add(&l->fds, copy); /* else it arrives without, and is refused there */
    }
    return l;
}

static void post_letter(Member *m, Letter *l)
{
    list_add(&m->letters, &l->of_member);
    if (m->fiber && m->fiber != fiber_current()) fiber_nudge(m->fiber);
}

void member_say(Member *m, const Memo *memo, const Fds *fds)
{
    if (m->post) post_letter(m, letter_new(m->number, memo, fds));
}

void member_say_later(Member *m, const Member *peer, const Memo *memo, const Fds *fds)
{
    Letter *l = letter_new(peer->number, memo, fds);
    list_add(&m->for_later, &l->of_member);
}

static Member *member_of_number(Warden *w, uint32_t number)
{
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->post && m->number == number) return m;
    }
    return NULL;
}

static void say_what_waits(Member *m)
{
    list_each (link, &m->for_later) {
        Letter *l = CONTAINER(link, Letter, of_member);
        Member *to = member_of_number(m->warden, l->to);
        list_remove(link);
        if (to)
            post_letter(to, l);
        else
            letter_free(l);
    }
}

/* What does not fit now is tried again when there is room. */
static Err send_letters(Member *m)
{
    list_each (link, &m->letters) {
        Letter *l = CONTAINER(link, Letter, of_member);
        Err err = post_send(m->post, buf_slice(&l->octets), &l->fds);
        if (err == ERR_LIMIT || err == ERR_END) return OK; /* its last words are to be read yet */
        TRY(err);
        letter_free(l);
    }
    return OK;
}

/* ---- what everybody should know ---- */

static void changed(Member *m, MemberState state)
{
    m->state = state;
    m->since = wall_seconds();
    cond_broadcast(&m->warden->news);
    members_report(m->warden);
}

void members_report(Warden *w)
{
    Buf text buf_scoped = {0};
    Member *house = NULL;
    buf_printf(&text, "warden ready pid=%ld\n", (long)getpid());
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->state == MEMBER_GONE) continue;
        if (m->kind == CAST_HOUSE) house = m;
        buf_printf(&text, "%s %s pid=%ld since=%lld restarts=%u\n", cast_names[m->kind],
                   member_states[m->state], m->process ? (long)process_pid(m->process) : 0,
                   (long long)m->since, m->restarts);
    }
    if (house)
        member_say(house,
                   &(Memo){.kind = MEMO_MEMBERS, .text = {slice_first(buf_slice(&text), 32768)}},
                   NULL);
}

bool members_are_ready(const Warden *w)
{
    list_each (link, &w->members) {
        const Member *m = CONTAINER(link, Member, of_warden);
        if (m->state < MEMBER_READY || m->state == MEMBER_WAITS) return false;
    }
    return true;
}

void warden_fail(Warden *w, Err err, const char *story)
{
    if (w->err || w->was_ready || w->stops) return; /* told to end while it starts: no failure */
    w->err = err;
    snprintf(w->story, sizeof w->story, "%s", story);
    cond_broadcast(&w->news);
}

/* ---- listening ---- */

static void take_story(Member *m, const Memo *memo)
{
    bool known = !slice_eq(slice_of(err_name((Err)memo->number[0])), S("UNKNOWN"));
    m->err = known ? (Err)memo->number[0] : ERR_SYNTAX;
    snprintf(m->story, sizeof m->story, "%.*s", SP(memo->text[0]));
}

static void is_ready(Member *m)
{
    if (m->state != MEMBER_STARTS) return;
    m->ready_ms = m->pinged_ms = now_ms();
    say_what_waits(m);
    changed(m, MEMBER_READY);
    if (m->restarts)
        log_event(LOG_LEVEL_INFO, "role_ready", KV_TEXT("role", cast_names[m->kind]),
                  KV_NUM("pid", process_pid(m->process)), KV_NUM("restarts", m->restarts));
}

static void has_failed(Member *m)
{
    if (m->warden->was_ready)
        log_event(LOG_LEVEL_ERROR, "role_failed", KV_TEXT("role", cast_names[m->kind]),
                  KV_TEXT("err", err_name(m->err)), KV_TEXT("story", m->story));
    warden_fail(m->warden, m->err, m->story);
}

/* It may be taken over; its end costs its own connections only. */
static void front_is_broken(const Warden *w, uint64_t number)
{
    list_each (link, &w->members) {
        const Member *m = CONTAINER(link, Member, of_warden);
        if (m->kind != CAST_FRONT || m->number != number || !m->process) continue;
        log_event(LOG_LEVEL_ERROR, "role_killed", KV_TEXT("role", cast_names[m->kind]),
                  KV_NUM("pid", process_pid(m->process)), KV_TEXT("why", "it broke the rules"));
        process_kill(m->process, SIGKILL);
    }
}

static Err take_memo(Member *m, Slice octets)
{
    Memo memo;
    TRY(memo_read(m->kind, CAST_WARDEN, (uint8_t)octets.at[0], slice_from(octets, 1), &memo));
    switch ((int)memo.kind) {
    case MEMO_READY:
        is_ready(m);
        break;
    case MEMO_PONG:
        m->is_asked = false;
        break;
    case MEMO_FAILED:
        take_story(m, &memo);
        has_failed(m);
        break;
    case MEMO_RELOADED:
        take_story(m, &memo);
        m->has_reloaded = true;
        cond_broadcast(&m->warden->news);
        break;
    case MEMO_HELD:
        m->has_held = true;
        cond_broadcast(&m->warden->news);
        break;
    case MEMO_BROKEN:
        front_is_broken(m->warden, memo.number[0]);
        break;
    case MEMO_UPGRADE:
        sigaddset(&m->warden->signals, SIGUSR2);
        cond_broadcast(&m->warden->news);
        break;
    default:
        return fail(ERR_SYNTAX, "%s at the wrong time", memo_name(memo.kind));
    }
    return OK;
}

static Err take_memos(Member *m)
{
    Buf octets buf_scoped = {0};
    for (;;) {
        Fds fds;
        TRY(post_take(m->post, &octets, &fds));
        fds_close(&fds); /* nobody has any for us */
        if (!octets.len) return OK;
        TRY(take_memo(m, buf_slice(&octets)));
    }
}

/* ---- is it alive? ---- */

static int64_t looks_again_ms(const Member *m)
{
    int64_t next = m->ends_by_ms ? m->ends_by_ms : NEVER;
    if (m->warden->watchdog_ms && m->state != MEMBER_STARTS)
        next = MIN(next, m->pinged_ms + m->warden->watchdog_ms / 2);
    return next;
}

/* Asked twice in the time that it has: half of it is enough for an answer, or it is one too long.
 */
static Err look_after(Member *m)
{
    int64_t now = now_ms();
    if (m->ends_by_ms && now >= m->ends_by_ms) return fail(ERR_TIMEOUT, "it does not end");
    if (now < looks_again_ms(m)) return OK;
    if (m->is_asked) return fail(ERR_TIMEOUT, "it does not answer");
    m->is_asked = true;
    m->pinged_ms = now;
    member_say(m, &(Memo){.kind = MEMO_PING}, NULL);
    return OK;
}

/* Until it is gone, or has to go: the error says why. */
PARKS static Err converse(Member *m)
{
    for (;;) {
        TRY(look_after(m));
        TRY(send_letters(m));
        TRY(take_memos(m));
        SockEvents what = list_is_empty(&m->letters) ? SOCK_READABLE
                                                     : (SockEvents)(SOCK_READABLE | SOCK_WRITABLE);
        (void)post_wait(m->post, what, looks_again_ms(m), true);
    }
}

/* ---- a process from its start to its end ---- */

static Err start(Member *m)
{
    char loops[32];
    Warden *w = m->warden;
    const char *const args[] = {"posthouse",         "-c", "/dev/null", "-o", loops,
                                cast_names[m->kind], NULL};
    snprintf(loops, sizeof loops, "loops=%u", m->kind == CAST_HOUSE ? w->loops : 1);
    m->number = ++w->last_number;
    m->ends_by_ms = m->ready_ms = 0;
    m->is_asked = false;
    m->err = OK;
    *m->story = 0;
    TRY(process_start(w->program, args, &m->process, &m->post));
    changed(m, MEMBER_STARTS);
    return hand_all(m);
}

/* It ends by itself, or it is ended. */
PARKS static ProcessEnd wait_for_end(Member *m, Err why)
{
    ProcessEnd end = {0};
    if (why != ERR_END) process_kill(m->process, SIGKILL);
    while (!process_wait(m->process, now_ms() + ENDING_MS, &end))
        process_kill(m->process, SIGKILL);
    return end;
}

static void tell_end(Member *m, const ProcessEnd *end, Err why)
{
    const Warden *w = m->warden;
    bool wanted = (m->ends_by_ms || m->state == MEMBER_RETIRED) && why == ERR_END;
    char how[200];
    if (w->stops && wanted) return;
    snprintf(how, sizeof how, "it ended with %s %d", end->by_signal ? "signal" : "exit code",
             end->code);
    log_event(wanted ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "role_ended",
              KV_TEXT("role", cast_names[m->kind]), KV_NUM("pid", process_pid(m->process)),
              KV_NUM(end->by_signal ? "signal" : "code", end->code),
              KV_NUM("restarts", m->restarts), KV_TEXT("why", why == ERR_END ? how : err_story()));
    if (w->was_ready || m->err) return;
    Buf story buf_scoped = {0};
    buf_printf(&story, "the %s is not there: %s", cast_names[m->kind], how);
    warden_fail(m->warden, ERR_TEMPORARY, buf_cstr(&story));
}

/* Fails at its start: told, as it has no end. */
PARKS static void live(Member *m)
{
    Err err = start(m);
    if (!err) err = converse(m);
    char story[400];
    snprintf(story, sizeof story, "%s", err_story());
    if (!m->process) {
        log_err(LOG_LEVEL_ERROR, "role_not_started", err, KV_TEXT("role", cast_names[m->kind]));
        warden_fail(m->warden, err, err_story());
        return;
    }
    ProcessEnd end = wait_for_end(m, err);
    tell_end(m, &end, fail(err, "%s", story));
}

static void bury(Member *m)
{
    post_close(m->post);
    process_free(m->process);
    m->post = NULL, m->process = NULL;
    letters_free(&m->letters);
    letters_free(&m->for_later);
    if (!m->warden->stops) hand_gone(m); /* they all end now */
}

/* 0, 0.1, 0.2, ... 10 s: a second of work makes good for one death. */
static int64_t back_off_ms(Member *m)
{
    int64_t worked_ms = m->ready_ms ? now_ms() - m->ready_ms : 0;
    m->failures -= (unsigned)MIN(worked_ms / FORGIVEN_MS, (int64_t)m->failures);
    if (m->ends_by_ms) m->failures = 0;
    unsigned step = m->failures++;
    if (!step) return 0;
    return MIN((int64_t)BACKOFF_MS << MIN(step - 1, 10u), (int64_t)BACKOFF_MOST_MS);
}

/* The kernel still gives it its share of the connections: somebody else takes them meanwhile, too.
 */
static void lend_doors(Member *m)
{
    if (member_of_number(m->warden, m->lent_to)) return;
    list_each (link, &m->warden->members) {
        Member *other = CONTAINER(link, Member, of_warden);
        if (other->kind != CAST_FRONT || other->state != MEMBER_READY) continue;
        hand_doors(other, m->place);
        m->lent_to = other->number;
        return;
    }
}

PARKS static void pause_before(Member *m, int64_t ms)
{
    if (ms >= LENT_FROM_MS && m->kind == CAST_FRONT) lend_doors(m);
    if (ms)
        log_event(LOG_LEVEL_WARN, "role_waits", KV_TEXT("role", cast_names[m->kind]),
                  KV_NUM("ms", ms), KV_NUM("restarts", m->restarts));
    int64_t until = now_ms() + ms;
    while (!m->warden->stops && m->state == MEMBER_WAITS && now_ms() < until)
        (void)fiber_park(until);
}

void member_tend(void *arg)
{
    Member *m = arg;
    Warden *w = m->warden;
    for (;;) {
        live(m);
        bury(m);
        if (w->stops || w->err || m->state == MEMBER_RETIRED) break;
        m->restarts++;
        if (!m->ends_by_ms) metric_add(METRIC_ROLE_RESTARTS, 1);
        changed(m, MEMBER_WAITS);
        pause_before(m, back_off_ms(m));
        if (w->stops || m->state == MEMBER_RETIRED) break;
    }
    m->fiber = NULL;
    changed(m, MEMBER_GONE);
}

/* ---- beginning and end ---- */

Member *member_new(Warden *w, CastRole kind, unsigned place)
{
    Member *m = NEW(Member);
    m->warden = w, m->kind = kind, m->place = place;
    list_init(&m->letters);
    list_init(&m->for_later);
    list_add(&w->members, &m->of_warden);
    m->fiber = fiber_start(cast_names[kind], member_tend, m);
    return m;
}

void member_retire(Member *m)
{
    if (m->state == MEMBER_GONE) return;
    changed(m, MEMBER_RETIRED);
    if (m->fiber) fiber_nudge(m->fiber);
}

void member_end(Member *m, MemoKind how, int64_t ms)
{
    m->ends_by_ms = now_ms() + ms;
    member_say(m, &(Memo){.kind = how}, NULL);
    if (m->fiber) fiber_nudge(m->fiber); /* it may be waiting to start again */
}

void member_stop(Member *m, int64_t ms)
{
    member_end(m, MEMO_STOP, ms);
}
