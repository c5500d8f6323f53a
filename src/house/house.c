#include "house/house.h"

#include "house/certificate.h"
#include "house/control.h"
#include "house/metrics.h"
#include "house/runner.h"
#include "house/sandbox.h"
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

static void quota_steps(const Config *config, ImapConfig *imap)
{
    size_t count = 0;
    for (size_t i = 0; i < config->quota_warnings.count; i++) {
        uint64_t percent;
        bool fits = slice_to_u64(config->quota_warnings.items[i], &percent) && percent <= 100;
        if (fits && count < COUNT(imap->quota_warnings))
            imap->quota_warnings[count++] = (uint16_t)percent;
        else
            log_event(LOG_LEVEL_WARN, "quota_warnings",
                      KV("ignored", config->quota_warnings.items[i]));
    }
    imap->quota_soft = (uint16_t)MIN(config->quota_soft, 1000);
}

static Snapshot *snapshot_new(House *h, const Config *config)
{
    Snapshot *s = NEW(Snapshot);
    s->config = *config;
    s->imap = (ImapConfig){.auth = h->auth,
                           .store = h->store,
                           .hostname = config->hostname,
                           .tls = tls_current,
                           .login_ms = (int64_t)config->login_time * 1000,
                           .idle_ms = (int64_t)config->imap_idle * 1000,
                           .mailbox_referrals = config->imap_mailbox_referrals.items,
                           .mailbox_referral_count = config->imap_mailbox_referrals.count,
                           .login_referrals = config->imap_login_referrals.items,
                           .login_referral_count = config->imap_login_referrals.count,
                           .moved_to = config->imap_moved_to,
                           .support_url = config->support_url,
                           .no_8bit_headers = !config->imap_8bit_headers,
                           .utf8_only = config->imap_utf8_only,
                           .message_limit = (uint32_t)MIN(config->imap_message_limit, UINT32_MAX),
                           .save_limit = (uint32_t)MIN(config->imap_save_limit, UINT32_MAX),
                           .unauthenticate = config->imap_unauthenticate,
                           .gmail = config->imap_gmail,
                           .message_most = config->message_most,
                           .urlauth = config->imap_urlauth,
                           .submitters = config->imap_submitters.items,
                           .submitter_count = config->imap_submitters.count,
                           .shared_namespace = config->shared_namespace,
                           .public_account = config->public_account,
                           .administrators = config->administrators.items,
                           .administrator_count = config->administrators.count,
                           .administrator_contact = config->administrator_contact};
    quota_steps(config, &s->imap);
    s->pop3 = (Pop3Config){.auth = h->auth,
                           .store = h->store,
                           .hostname = config->hostname,
                           .tls = tls_current,
                           .idle_ms = (int64_t)config->pop3_idle * 1000,
                           .apop = config->pop3_apop,
                           .last = config->pop3_last,
                           .shared_maildrop = config->pop3_shared,
                           .uidl = config->pop3_uidl,
                           .expire_days = (uint32_t)((config->pop3_expire + 86399) / 86400),
                           .login_delay_s = (uint32_t)config->pop3_login_delay};
    s->smtp = (SmtpConfig){.auth = h->auth,
                           .store = h->store,
                           .hostname = config->hostname,
                           .message_most = config->message_most,
                           .recipients_most = (uint32_t)config->recipients_most,
                           .idle_ms = (int64_t)config->smtp_idle * 1000,
                           .tls = tls_current,
                           .subaddress_creates = config->subaddress_creates};
    return s;
}

static void install(House *h, Snapshot *s)
{
    log_set_level_by_name(s->config.log_level);
    s->before = atomic_load(&h->now);
    atomic_store(&h->now, s);
}

/* ---- who may log in, who gets mail ---- */

static AuthConfig auth_config_of(const House *h, const Config *c, Arena *a)
{
    Slice separator = c->subaddress_separator;
    return (AuthConfig){
        .dir = house_path(c, a, "keeper"),
        .plain_without_tls = c->plain_without_tls,
        .domains = c->domains.items,
        .domain_count = c->domains.count,
        .catch_all = c->catch_all,
        .folder_separator = c->pop3_folder_separator,
        .device_separator = c->pop3_device_separator,
        .postmaster = c->postmaster,
        .subaddress_separator = separator.len ? separator.at[0] : 0,
        .demo_accounts = h->demo.accounts,
        .demo_password = h->demo.password,
        .reversible = c->pop3_apop,
        .certificates = c->tls_client_authorities.len > 0,
        .certificate_subject = c->tls_client_subject,
        .anonymous = c->imap_anonymous,
        .oauth = {.keys_path = c->oauth_keys,
                  .issuer = c->oauth_issuer,
                  .audience = c->oauth_audience,
                  .scope = c->oauth_scope,
                  .claim = c->oauth_claim,
                  .discovery = c->oauth_discovery,
                  .remember_ms = (int64_t)c->oauth_remember * 1000,
                  .introspect = h->runner ? runner_introspect : NULL,
                  .introspect_arg = runner_caller(h->runner)},
        .throttle = c->throttle
    };
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
    if (err) {
        config_done(&fresh);
        return err;
    }
    Arena a arena_scoped = {0};
    AuthConfig auth = auth_config_of(h, &fresh, &a);
    auth_reload(h->auth, &auth);
    install(h, snapshot_new(h, &fresh));
    return OK;
}

/* ---- opening ---- */

static void fill_hostname(Config *c)
{
    char name[256] = "localhost";
    if (c->hostname.len) return;
    gethostname(name, sizeof name - 1);
    c->hostname = arena_copy(&c->memory, slice_of(name));
}

PARKS static Err open_store(House *h, const Config *c)
{
    StoreOptions options = {
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
        .deleted_view = arena_copy(&h->memory, c->deleted_view),
        .engine = {.force_network_fs = c->store_on_network,
                   .zero_ahead = c->zero_ahead,
                   .checkpoint_ms = (int64_t)c->checkpoint_milliseconds}
    };
    TRY(path_mkdir(c->store));
    Err err = store_open(c->store, &options, &h->store);
    return err == ERR_IN_USE ? fail(err, "another process has the store %.*s open", SP(c->store))
                             : err;
}

PARKS static Err open_auth(House *h, const Config *c)
{
    Arena a arena_scoped = {0};
    AuthConfig config = auth_config_of(h, c, &a);
    return auth_open(&config, h->store, &h->auth);
}

PARKS static Err open_all(House *h, Config *c)
{
    fill_hostname(c);
    charset_warm_up();
    TRY(open_store(h, c));
    TRY(open_auth(h, c));
    TRY(certificate_load(c));
    install(h, snapshot_new(h, c));
    return OK;
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

PARKS Err house_open(const Config *config, Slice config_path, const Demo *demo, House **house)
{
    House *h = NEW(House);
    h->config_path = arena_copy(&h->memory, config_path);
    h->board = board_new();
    porch_init(&h->porch);
    h->porch.config = config_now, h->porch.serve = serve, h->porch.arg = h,
    h->porch.board = h->board;
    if (demo) h->demo = *demo;
    h->started = wall_seconds();
    Config own = *config;
    own.memory = (Arena){0}; /* the words stay the caller's; what we add is ours */
    Err err = open_all(h, &own);
    if (err) {
        house_close(h);
        return err;
    }
    *house = h;
    return OK;
}

PARKS void house_close(House *h)
{
    if (!h) return;
    runner_stop(h->runner);
    auth_close(h->auth);
    store_close(h->store);
    tls_set_current(NULL);
    for (Snapshot *s = atomic_load(&h->now), *before; s; s = before) {
        before = s->before;
        config_done(&s->config);
        free(s);
    }
    board_free(h->board);
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
    AuthConfig auth = auth_config_of(h, house_config(h), &a);
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
    TRY(control_listen(h));
    TRY(start_runner(h));
    TRY(sandbox_enter(house_config(h), h->config_path));
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
