#include "house/warden.h"

#include "house/board.h"
#include "house/sandbox.h"
#include "house/warden_inside.h"
#include "run/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FRONTS_MOST = 16, END_MS = 10000, SOON_MS = 300, RELOAD_MS = 30000 };

/* ---- configuration ---- */

/* As the roles will read it. */
static Err take_config(Warden *w, const Config *config)
{
    Buf text buf_scoped = {0};
    config_print(config, &text);
    config_defaults(&w->config);
    return config_parse(&w->config, buf_slice(&text));
}

static void fill_hostname(Config *c)
{
    char name[256] = "localhost";
    if (c->hostname.len) return;
    gethostname(name, sizeof name - 1);
    c->hostname = arena_copy(&c->memory, slice_of(name));
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

/* The program by its name: what is there after an upgrade. /proc/self/exe is always us. */
static const char *own_name(Arena *a)
{
    char *name = arena_alloc(a, PATH_MAX);
    ssize_t len = readlink("/proc/self/exe", name, PATH_MAX - 1);
    return len > 0 ? name : "/proc/self/exe";
}

/* ---- the cast ---- */

static bool slot_is_used(const Warden *w, unsigned slot)
{
    list_each (link, &w->members) {
        const Member *m = CONTAINER(link, Member, of_warden);
        if (m->slot == slot && m->state != MEMBER_GONE) return true;
    }
    return false;
}

Member *warden_cast(Warden *w, CastRole kind, unsigned place)
{
    unsigned slot = 1; /* 0 is ours */
    while (slot < w->slots && slot_is_used(w, slot))
        slot++;
    if (slot == w->slots) return NULL;
    Member *m = member_new(w, kind, place);
    m->slot = slot;
    return m;
}

static void cast_all(Warden *w)
{
    must(warden_cast(w, CAST_KEEPER, 0) && warden_cast(w, CAST_RUNNER, 0) &&
         warden_cast(w, CAST_HOUSE, 0));
    for (unsigned i = 0; i < w->fronts; i++)
        must(warden_cast(w, CAST_FRONT, i));
}

/* ---- reloading ---- */

static void tell_change(void *arg, Slice key)
{
    (void)arg;
    if (config_wants_restart(key))
        log_event(LOG_LEVEL_WARN, "reload_wants_restart", KV("setting", key));
    else
        log_event(LOG_LEVEL_INFO, "reload_changes", KV("setting", key));
}

PARKS static Err reload_member(Member *m)
{
    int64_t deadline = now_ms() + RELOAD_MS;
    uint32_t number = m->number;
    m->has_reloaded = false;
    hand_config(m);
    member_say(m, &(Memo){.kind = MEMO_RELOAD}, NULL);
    while (!m->has_reloaded && m->post && m->number == number)
        if (!cond_wait(&m->warden->news, deadline))
            return fail(ERR_TIMEOUT, "the %s does not answer", cast_names[m->kind]);
    if (!m->has_reloaded) return OK; /* it starts again, with what is in force then */
    return m->err ? fail(m->err, "%s", m->story) : OK;
}

/* The first one to refuse is the last one to be asked: the keeper, when a certificate is bad. */
PARKS static Err reload_all(Warden *w)
{
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        if (m->post && m->state != MEMBER_STARTS) TRY(reload_member(m));
    }
    return OK;
}

static Err read_config(const Warden *w, Config *fresh)
{
    TRY(config_load(fresh, w->start->config_path));
    TRY(config_options(fresh, &w->start->options));
    fill_hostname(fresh);
    config_compare(&w->config, fresh, tell_change, NULL);
    fresh->store = arena_copy(&fresh->memory, w->config.store); /* the one that is open */
    return OK;
}

PARKS static Err reload(Warden *w)
{
    Arena a arena_scoped = {0};
    Config *fresh = arena_new(&a, Config), *before = arena_new(&a, Config);
    if (!w->start->config_path.len) return reload_all(w);
    Err err = read_config(w, fresh);
    *before = w->config;
    if (!err) {
        w->config = *fresh;
        err = reload_all(w);
        w->config = err ? *before : *fresh;
        board_set_reserve(w->own, w->config.memory_reserve);
    }
    config_done(err ? fresh : before);
    return err;
}

PARKS static void reload_and_tell(Warden *w)
{
    notify("RELOADING=1");
    Err err = reload(w);
    if (err)
        log_err(LOG_LEVEL_ERROR, "reload_failed", err);
    else
        log_event(LOG_LEVEL_INFO, "reloaded");
    notify("READY=1");
}

/* ---- upgrading ---- */

PARKS static void upgrade_and_tell(Warden *w)
{
    notify("STATUS=starting all roles again");
    Err err = warden_upgrade(w);
    if (err)
        log_err(LOG_LEVEL_ERROR, "upgrade_failed", err);
    else
        log_event(LOG_LEVEL_INFO, "upgraded", KV_TEXT("program", w->program));
    notify("STATUS=serving");
}

/* ---- the end ---- */

static bool is_anybody(const Warden *w, bool door_or_house)
{
    list_each (link, &w->members) {
        const Member *m = CONTAINER(link, Member, of_warden);
        bool first = m->kind == CAST_FRONT || m->kind == CAST_HOUSE;
        if (m->state != MEMBER_GONE && first == door_or_house) return true;
    }
    return false;
}

/* Fronts and house end together: the one says goodbye over the other. */
PARKS static void stop_these(Warden *w, bool door_or_house, int64_t ms)
{
    list_each (link, &w->members) {
        Member *m = CONTAINER(link, Member, of_warden);
        bool first = m->kind == CAST_FRONT || m->kind == CAST_HOUSE;
        if (first == door_or_house) member_stop(m, ms);
    }
    while (is_anybody(w, door_or_house))
        cond_wait(&w->news, NEVER);
}

/* A start that failed has nobody to say goodbye to, and its house may wait for a keeper that will
 * not come. */
PARKS static void stop_all(Warden *w)
{
    w->stops = true;
    stop_these(w, true, w->was_ready ? END_MS - 1500 : SOON_MS);
    stop_these(w, false, 1000);
}

static void warden_free(Warden *w)
{
    list_each (link, &w->members) {
        list_remove(link);
        free(CONTAINER(link, Member, of_warden));
    }
    doors_close(w);
    board_free(w->own);
    if (w->board >= 0) close(w->board);
    config_done(&w->config);
    arena_done(&w->memory);
    free(w);
}

/* ---- watching ---- */

static bool takes(Warden *w, int signal)
{
    if (!sigismember(&w->signals, signal)) return false;
    sigdelset(&w->signals, signal);
    return true;
}

static void tell_ready(Warden *w)
{
    w->was_ready = true;
    log_event(LOG_LEVEL_INFO, "ready", KV("store", w->config.store));
    if (w->start->ready) w->start->ready(w->start->arg);
    notify("READY=1\nSTATUS=serving");
}

/* Until the end is wanted, or the start has failed. */
PARKS static void watch(Warden *w)
{
    int64_t beat_ms = notify_watchdog_ms() / 2;
    for (;;) {
        if (!w->was_ready && w->err) return;
        if (takes(w, SIGTERM) || takes(w, SIGINT)) return;
        if (!w->was_ready && members_are_ready(w)) tell_ready(w);
        if (w->was_ready && takes(w, SIGHUP)) reload_and_tell(w);
        if (w->was_ready && takes(w, SIGUSR2)) upgrade_and_tell(w);
        if (beat_ms) notify("WATCHDOG=1");
        cond_wait(&w->news, beat_ms ? now_ms() + beat_ms : NEVER);
    }
}

PARKS static void hear_signals(void *arg)
{
    Warden *w = arg;
    for (int signal; (signal = signal_wait());) { /* 0: the warden is gone */
        sigaddset(&w->signals, signal);
        cond_broadcast(&w->news);
    }
}

PARKS static Err begin(Warden *w)
{
    const Config *c = w->start->config;
    TRY(take_config(w, c));
    fill_hostname(&w->config);
    w->loops = c->loops ? (unsigned)c->loops : cores();
    w->fronts = MIN(w->loops, (unsigned)FRONTS_MOST);
    w->slots = MIN(w->fronts * 4 + 8, (unsigned)BOARD_SLOTS_MOST);
    w->watchdog_ms = (int64_t)c->watchdog * 1000;
    w->upgrade = w->start->program ? w->start->program : own_name(&w->memory);
    w->program = w->start->program ? w->start->program : "/proc/self/exe";
    TRY(doors_open(w));
    TRY(board_make(w->slots, &w->board));
    TRY(board_open(w->board, w->slots, 0, &w->own));
    return sandbox_enter(&(Sandbox){CAST_WARDEN, &w->config, w->start->config_path, w->upgrade});
}

PARKS static void run(Warden *w)
{
    cast_all(w);
    board_watch_memory(w->own, w->config.memory_reserve);
    fiber_start("signals", hear_signals, w);
    watch(w);
    notify("STOPPING=1");
    if (!w->err) log_event(LOG_LEVEL_INFO, "stopping");
    stop_all(w);
}

static Warden *warden_new(const WardenStart *start)
{
    Warden *w = NEW(Warden);
    w->start = start;
    w->board = w->control = -1;
    list_init(&w->members);
    sigemptyset(&w->signals);
    return w;
}

Err warden_serve(const WardenStart *start)
{
    Warden *w = warden_new(start);
    Err err = begin(w);
    if (!err) run(w);
    if (!err && w->err) err = fail(w->err, "%s", w->story);
    warden_free(w); /* closes and frees: the story stays */
    return err;
}
