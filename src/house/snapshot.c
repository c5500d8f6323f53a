#include "house/snapshot.h"

#include "house/house.h"
#include "house/runner.h"
#include "run/log.h"

#include <stdlib.h>

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

static uint32_t small(uint64_t limit)
{
    return (uint32_t)MIN(limit, (uint64_t)1 << 30);
}

static Limits limits_of(const Config *c)
{
    return (Limits){.line_before_login = small(c->line_before_login),
                    .line = small(c->line_most),
                    .literal_before_login = small(c->literal_before_login),
                    .literal = small(c->literal_most),
                    .octets_before_login = small(c->octets_before_login),
                    .command_memory = small(c->command_memory),
                    .mistakes_before_login = small(c->mistakes_before_login),
                    .mistakes = small(c->mistakes_most)};
}

Snapshot *snapshot_new(const Config *config, Auth *auth, Store *store)
{
    Snapshot *s = NEW(Snapshot);
    s->config = *config;
    s->imap = (ImapConfig){.auth = auth,
                           .store = store,
                           .hostname = config->hostname,
                           .tls = tls_current,
                           .login_ms = (int64_t)config->login_time * 1000,
                           .limits = limits_of(config),
                           .sessions_most = (uint32_t)MIN(config->sessions_per_account, UINT32_MAX),
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
                           .administrator_contact = config->administrator_contact,
                           .resume_always = config->resume_always};
    quota_steps(config, &s->imap);
    s->pop3 = (Pop3Config){.auth = auth,
                           .store = store,
                           .hostname = config->hostname,
                           .tls = tls_current,
                           .idle_ms = (int64_t)config->pop3_idle * 1000,
                           .login_ms = (int64_t)config->login_time * 1000,
                           .limits = limits_of(config),
                           .sessions_most = (uint32_t)MIN(config->sessions_per_account, UINT32_MAX),
                           .apop = config->pop3_apop,
                           .last = config->pop3_last,
                           .shared_maildrop = config->pop3_shared,
                           .uidl = config->pop3_uidl,
                           .expire_days = (uint32_t)((config->pop3_expire + 86399) / 86400),
                           .login_delay_s = (uint32_t)config->pop3_login_delay,
                           .resume_always = config->resume_always};
    s->smtp = (SmtpConfig){.auth = auth,
                           .store = store,
                           .hostname = config->hostname,
                           .message_most = config->message_most,
                           .recipients_most = small(config->recipients_most),
                           .messages_most = small(config->messages_per_connection),
                           .errors_most = small(config->mistakes_before_login),
                           .received_most = small(config->received_most),
                           .idle_ms = (int64_t)config->smtp_idle * 1000,
                           .recipient_ms = (int64_t)config->smtp_recipient_time * 1000,
                           .data_ms = (int64_t)config->smtp_data_time * 1000,
                           .tls = tls_current,
                           .subaddress_creates = config->subaddress_creates,
                           .resume_always = config->resume_always};
    return s;
}

void snapshots_free(Snapshot *newest)
{
    for (Snapshot *s = newest, *before; s; s = before) {
        before = s->before;
        config_done(&s->config);
        free(s);
    }
}

/* ---- who may log in, who gets mail ---- */

AuthConfig snapshot_auth(const Config *c, const Demo *demo, Runner *runner, Arena *a)
{
    Slice separator = c->subaddress_separator;
    bool simulated = run_is_simulated();
    return (AuthConfig){
        .dir = simulated ? S("keeper") : house_path(c, a, "keeper"),
        .argon2_memory_kib = simulated ? 8 : 0,
        .argon2_passes = simulated ? 1 : 0,
        .scram_iterations = simulated ? 16 : 0,
        .plain_without_tls = c->plain_without_tls,
        .domains = c->domains.items,
        .domain_count = c->domains.count,
        .catch_all = c->catch_all,
        .folder_separator = c->pop3_folder_separator,
        .device_separator = c->pop3_device_separator,
        .postmaster = c->postmaster,
        .subaddress_separator = separator.len ? separator.at[0] : 0,
        .demo_accounts = demo->accounts,
        .demo_password = demo->password,
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
                  .introspect = runner ? runner_introspect : NULL,
                  .introspect_arg = runner_caller(runner)},
        .password_remember_ms = c->password_remember ? (int64_t)c->password_remember * 1000 : -1,
        .throttle = c->throttle
    };
}
