#include "house/house.h"

#include "auth/keeper.h"
#include "house/certificate.h"
#include "house/control.h"
#include "house/metrics.h"
#include "house/runner.h"
#include "house/sandbox.h"
#include "house/verbs.h"
#include "mail/charset.h"
#include "run/file.h"
#include "run/log.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

Slice house_path(const Config *config, Arena *a, const char *name)
{
    return arena_printf(a, "%.*s/%s", SP(config->store), name);
}

/* ---- snapshots ---- */

static AuthConfig auth_config(const House *h, const Config *config, Arena *a)
{
    AuthConfig auth = snapshot_auth(config, &h->demo, h->runner, a);
    auth.keeper = h->keeper;
    return auth;
}

static void install(House *h, Snapshot *s)
{
    s->imap.grant_key = s->pop3.grant_key = h->grant_key;
    log_set_level_by_name(s->config.log_level);
    s->before = atomic_load(&h->now);
    atomic_store(&h->now, s);
}

/* ---- reloading ---- */

static void tell_change(void *arg, Slice key)
{
    (void)arg;
    if (slice_eq(key, S("hostname"))) return; /* when empty, the system's own was filled in */
    if (config_wants_restart(key))
        log_event(LOG_LEVEL_WARN, "reload_wants_restart", KV("setting", key));
    else
        log_event(LOG_LEVEL_INFO, "reload_changes", KV("setting", key));
}

PARKS void house_reload_with(House *h, const Config *fresh)
{
    Arena a arena_scoped = {0};
    AuthConfig auth = auth_config(h, fresh, &a);
    auth_reload(h->auth, &auth);
    board_set_reserve(h->board, fresh->memory_reserve);
    install(h, snapshot_new(fresh, h->auth, h->store));
}

PARKS Err house_reload(House *h)
{
    Config fresh;
    const Config *now = house_config(h);
    if (!h->config_path.len) return certificate_load(now);
    Err err = config_load(&fresh, h->config_path);
    if (!err) err = config_options(&fresh, &h->options);
    if (!err) config_compare(now, &fresh, tell_change, NULL);
    if (!err && !fresh.hostname.len) fresh.hostname = now->hostname;
    fresh.store = now->store; /* the one that is open: the certificate is below it */
    if (!err) err = certificate_load(&fresh);
    if (err)
        config_done(&fresh);
    else
        house_reload_with(h, &fresh);
    return err;
}

/* ---- opening ---- */

static void fill_hostname(Config *c)
{
    char name[256] = "localhost";
    if (c->hostname.len) return;
    gethostname(name, sizeof name - 1);
    c->hostname = arena_copy(&c->memory, slice_of(name));
}

/* The largest body that is kept in the log has to fit; simulated mail is small. */
static uint32_t segment_bytes(const Config *c)
{
    uint64_t least = run_is_simulated() ? 128 << 10 : 4 << 20;
    return (uint32_t)MAX(MIN(c->segment_size, 1 << 30), least);
}

StoreOptions house_store_options(const Config *c, Arena *a)
{
    return (StoreOptions){
        .quota_octets = c->quota,
        .quota_messages = c->quota_messages,
        .annotation_most = c->annotation_most,
        .annotations_most = (uint32_t)c->annotations_most,
        .quota_mailboxes = c->quota_mailboxes,
        .quota_annotation_octets = c->quota_annotations,
        .message_most = c->message_most,
        .undelete_days = (uint32_t)((c->undelete + 86399) / 86400),
        .expunge_to_trash = slice_eq(c->expunge_means, S("trash")),
        .deleted_to_trash = slice_eq(c->deleted_means, S("trash")),
        .deleted_view = arena_copy(a, c->deleted_view),
        .engine = {.force_network_fs = c->store_on_network,
                   .zero_ahead = c->zero_ahead,
                   .segment_bytes = segment_bytes(c),
                   .index_in_memory = run_is_simulated(),
                   .backup_window = (int64_t)c->backup_window,
                   .checkpoint_ms = (int64_t)c->checkpoint_milliseconds}
    };
}

/* ---- a disk that has failed ---- */

enum { LAST_ANSWERS_MS = 200 };

/* Nobody waits for this process to end in an orderly way: what was acknowledged is durable, and the
 * next one reads what the disk really holds. */
PARKS static void end_and_begin_again(void *arg)
{
    (void)arg;
    fiber_sleep(LAST_ANSWERS_MS);
    _exit(EXIT_IO);
}

/* Among other processes the warden starts another house at once, and if its disk is still bad,
 * later and later; alone it goes on refusing changes, and can be read. */
static void store_is_broken(void *arg)
{
    House *h = arg;
    bool restarts = !h->own_board && !run_is_simulated();
    log_event(LOG_LEVEL_ERROR, "store-broken",
              KV_TEXT("now", restarts ? "this process ends, the next one recovers"
                                      : "no changes until it is started again"));
    if (restarts) fiber_start("ending", end_and_begin_again, h);
}

PARKS static Err open_store(House *h, const Config *c)
{
    StoreOptions options = house_store_options(c, &h->memory);
    options.broken = store_is_broken;
    options.broken_arg = h;
    TRY(path_mkdir(c->store));
    Err err = store_open(c->store, &options, &h->store);
    return err == ERR_IN_USE ? fail(err, "another process has the store %.*s open", SP(c->store))
                             : err;
}

PARKS static Err open_auth(House *h, const Config *c)
{
    Arena a arena_scoped = {0};
    AuthConfig config = auth_config(h, c, &a);
    return auth_open(&config, h->store, &h->auth);
}

PARKS static Err open_all(House *h, Config *c)
{
    fill_hostname(c);
    TRY(open_store(h, c));
    TRY(open_auth(h, c));
    if (!h->keeper && !run_is_simulated()) TRY(certificate_load(c));
    install(h, snapshot_new(c, h->auth, h->store));
    return OK;
}

/* Some fifty modules of libc, which have nothing to do with the rest. */
typedef struct {
    Job job;
    Cond done;
    bool is_over;
} WarmUp;

static void warm_up(Job *job)
{
    (void)job;
    charset_warm_up();
}

static void is_warm(Job *job)
{
    WarmUp *w = CONTAINER(job, WarmUp, job);
    w->is_over = true;
    cond_broadcast(&w->done);
}

static void connection_ended(void *arg)
{
    porch_left(arg);
}

PARKS static void serve(Connection *c)
{
    House *h = c->porch->arg;
    Snapshot *s = atomic_load(&h->now);
    switch (c->service) {
    case SERVICE_IMAP:
    case SERVICE_IMAPS:
        imap_serve(c->stream, &s->imap, connection_ended, c);
        return;
    case SERVICE_POP3:
    case SERVICE_POP3S:
        pop3_serve(c->stream, &s->pop3, connection_ended, c);
        return;
    case SERVICE_POP2:
        pop2_serve(c->stream, &s->pop3, connection_ended, c);
        return;
    case SERVICE_LMTP:
    case SERVICE_SMTP:
        smtp_serve(c->stream, &s->smtp, c->service == SERVICE_LMTP);
        break;
    case SERVICE_METRICS:
        metrics_serve(c->stream, h);
        break;
    case SERVICE_COUNT:
        break;
    }
    stream_finish(c->stream);
    stream_free(c->stream);
    porch_left(c);
}

static const Config *config_now(void *arg)
{
    return house_config(arg);
}

static void open_porch(House *h)
{
    porch_init(&h->porch);
    h->porch.config = config_now, h->porch.serve = serve, h->porch.arg = h;
    h->porch.board = h->board;
}

/* The words stay the caller's; what we add is ours. */
PARKS static Err open_with(House *h, const Config *config)
{
    Config *own = NEW(Config);
    *own = *config;
    own->memory = (Arena){0};
    WarmUp w = {
        .job = {.work = warm_up, .done = is_warm, .loop = loop_current()}
    };
    aside_post(&w.job);
    Err err = open_all(h, own);
    Arena a arena_scoped = {0};
    Slice story = err ? arena_copy(&a, slice_of(err_story())) : (Slice){0};
    while (!w.is_over)
        cond_wait(&w.done, NEVER); /* others tell stories meanwhile */
    free(own);
    return err ? fail(err, "%.*s", SP(story)) : OK;
}

PARKS Err house_open(const HouseStart *start, House **house)
{
    House *h = NEW(House);
    h->config_path = arena_copy(&h->memory, start->config_path);
    h->own_board = !start->board;
    h->board = start->board ? start->board : board_new();
    h->keeper = start->keeper ? keeper_remote(start->keeper) : NULL;
    h->grant_key = start->grant_key;
    open_porch(h);
    if (start->demo) h->demo = *start->demo;
    h->started = wall_seconds();
    Err err = open_with(h, start->config);
    if (err) {
        Arena a arena_scoped = {0};
        Slice story = arena_copy(&a, slice_of(err_story())); /* those that end have stories too */
        house_close(h);
        return fail(err, "%.*s", SP(story));
    }
    *house = h;
    return OK;
}

PARKS void house_close(House *h)
{
    if (!h) return;
    runner_stop(h->runner);
    auth_close(h->auth);
    keeper_close(h->keeper);
    store_close(h->store);
    tls_set_current(NULL);
    number_table_done(&h->restoring);
    snapshots_free(atomic_load(&h->now));
    if (h->own_board) board_free(h->board);
    arena_done(&h->memory);
    free(h);
}

/* ---- serving ---- */

static Err listen_at(House *h, Service service, Slice where)
{
    Address at;
    Sock *listener;
    TRY(address_parse(where, &at));
    at.for_all = true; /* who may connect is said by its directory: Postfix is another user */
    TRY(sock_listen(&at, &listener));
    porch_open(&h->porch, service, listener);
    return OK;
}

PARKS Err house_listen(House *h)
{
    for (Service s = 0; s < SERVICE_COUNT; s++) {
        const Words *where = service_listeners(house_config(h), s);
        for (size_t i = 0; i < where->count; i++)
            TRY(listen_at(h, s, where->items[i]));
    }
    return OK;
}

PARKS void house_drain(House *h, int64_t ms)
{
    int64_t deadline = now_ms() + ms;
    Cond nobody = {0}; /* a pause that run_cancel does not cut short */
    porch_drain(&h->porch, ms);
    while (atomic_load(&h->busy) && now_ms() < deadline)
        cond_wait(&nobody, now_ms() + 5);
}

PARKS static void until_stopped(House *h)
{
    for (int signal = signal_wait(); signal != SIGTERM && signal != SIGINT;
         signal = signal_wait()) {
        if (signal == SIGUSR2) continue; /* an upgrade: for several processes */
        Err err = house_reload(h);
        if (err)
            log_err(LOG_LEVEL_ERROR, "reload_failed", err);
        else
            log_event(LOG_LEVEL_INFO, "reloaded");
    }
}

/* Counted like a connection, so that house_drain waits for it. */
PARKS static void watch_certificate(void *arg)
{
    House *h = arg;
    certificate_watch(h);
    atomic_fetch_sub(&h->busy, 1);
}

/* While processes can be started yet. Whoever logs in before it is there is told to come back. */
PARKS static Err start_runner(House *h)
{
    Arena a arena_scoped = {0};
    TRY(runner_start(house_config(h), &h->runner));
    AuthConfig auth = auth_config(h, house_config(h), &a);
    if (h->runner) auth_reload(h->auth, &auth);
    return OK;
}

PARKS Err house_serve(House *h, void (*ready)(void *arg), void *arg)
{
    if (h->demo.accounts == 0 && house_config(h)->plain_without_tls)
        log_event(LOG_LEVEL_WARN, "plain_without_tls",
                  KV_TEXT("advice", "passwords can be read on the wire"));
    board_watch_memory(h->board, house_config(h)->memory_reserve);
    TRY(house_listen(h));
    Err control = control_listen(h); /* on a full disk there may be no room for its name */
    if (control == ERR_DISK_FULL) log_err(LOG_LEVEL_WARN, "control", control);
    if (control && control != ERR_DISK_FULL) return control;
    TRY(start_runner(h));
    TRY(sandbox_enter(&(Sandbox){CAST_ALONE, house_config(h), h->config_path, NULL}));
    h->serving = true;
    log_event(LOG_LEVEL_INFO, "ready", KV("store", house_config(h)->store));
    if (ready) ready(arg);
    atomic_fetch_add(&h->busy, 1);
    fiber_start("certificate", watch_certificate, h);
    until_stopped(h);
    log_event(LOG_LEVEL_INFO, "stopping");
    run_cancel();
    house_drain(h, 10000);
    return OK;
}
