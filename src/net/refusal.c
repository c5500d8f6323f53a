#include "net/refusal.h"

#include "run/log.h"

static Slice remote_of(const Stream *s, Buf *out)
{
    Address peer = stream_peer(s);
    address_print(out, &peer);
    return buf_slice(out);
}

/* The value of its label: what an administrator searches for is the same in both. */
static Slice word_of(Metric m)
{
    static const char *const labels[METRIC_COUNT] = {
#define METRIC(symbol, name, labels_, type, help) labels_,
#include "base/metrics.def"
#undef METRIC
    };
    Slice label = slice_of(labels[m]);
    Slice value = slice_from(label, slice_find(label, '"') + 1);
    return slice_first(value, slice_find(value, '"'));
}

/* Being idle is no offence. */
void refusal_cut(const Stream *s, const char *service, Metric why, Slice user)
{
    Buf remote buf_scoped = {0};
    metric_add(why, 1);
    log_event(why == METRIC_CUT_IDLE ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "cut",
              KV_TEXT("service", service), KV("remote", remote_of(s, &remote)),
              KV("why", word_of(why)), KV("user", user));
}

void refusal_cut_by_error(const Stream *s, const char *service, Slice user)
{
    Err err = stream_error(s);
    if (err == ERR_TIMEOUT)
        refusal_cut(s, service, user.len ? METRIC_CUT_IDLE : METRIC_CUT_SLOW, user);
    if (err == ERR_LIMIT) refusal_cut(s, service, METRIC_CUT_TOO_MUCH, user);
}

void refusal_tls(const Stream *s, const char *service, Err err)
{
    Buf remote buf_scoped = {0};
    log_err(LOG_LEVEL_INFO, "tls_failed", err, KV_TEXT("service", service),
            KV("remote", remote_of(s, &remote)));
}

void refusal_limit(const Stream *s, const char *service, Metric limit, Slice user)
{
    Buf remote buf_scoped = {0};
    metric_add(limit, 1);
    log_event(LOG_LEVEL_WARN, "refused", KV_TEXT("service", service),
              KV("remote", remote_of(s, &remote)), KV("limit", word_of(limit)), KV("user", user));
}

void refusal_request(const Stream *s, const char *service, Metric limit, const char *command,
                     Slice user)
{
    Buf remote buf_scoped = {0};
    metric_add(limit, 1);
    log_event(LOG_LEVEL_INFO, "over_limit", KV_TEXT("service", service),
              KV("remote", remote_of(s, &remote)), KV("limit", word_of(limit)),
              KV_TEXT("command", command), KV("user", user));
}
