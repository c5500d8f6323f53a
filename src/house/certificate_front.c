/* The certificate in a front: told by the keeper, who has its key. */
#include "house/certificate.h"

#include "base/text.h"
#include "net/tls_signer.h"
#include "run/log.h"

enum { FIRST_MS = 10 * 1000 };

typedef struct {
    Caller *keeper;
    TlsSigner signer; /* lives as long as the process: contexts refer to it */
    uint64_t known;
} Following;

static Err serve_with(Following *f, const Memo *news)
{
    TlsContext *ctx scoped(tls) = NULL;
    TRY(tls_tickets_take(news->text[1]));
    TRY(tls_server_remote(news->text[0], news->text[2], (uint32_t)news->number[1], &f->signer,
                          &ctx));
    tls_set_current(ctx);
    f->known = news->number[0];
    return OK;
}

PARKS static Err follow_once(Following *f, int64_t deadline_ms)
{
    Buf memory secret_scoped = {0};
    Memo news = {0}, question = {.kind = MEMO_TLS_NEWS, .number = {f->known}};
    TRY(caller_ask(f->keeper, &question, deadline_ms, &news, &memory));
    return news.kind == MEMO_TLS_SERVE ? serve_with(f, &news)
                                       : fail(ERR_TEMPORARY, "the keeper tells no certificate");
}

PARKS static void follow(void *arg)
{
    Following *f = arg;
    for (;;) {
        Err err = follow_once(f, NEVER);
        if (err == ERR_CANCELLED) return;
        if (!err) {
            log_event(LOG_LEVEL_INFO, "certificate_loaded");
            continue;
        }
        log_err(LOG_LEVEL_WARN, "certificate_not_loaded", err);
        if (fiber_sleep(1000) == WOKEN_CANCELLED) return;
    }
}

Err certificate_follow(Caller *keeper)
{
    static Following following; /* one a process, as tls_current is */
    following = (Following){.keeper = keeper, .signer = tls_signer_by(keeper)};
    TRY(follow_once(&following, now_ms() + FIRST_MS));
    fiber_start("certificate", follow, &following);
    return OK;
}
