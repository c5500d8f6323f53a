/* Our end of the runner. */
#include "house/runner.h"

#include "base/text.h"
#include "run/child.h"

#include <stdlib.h>

enum { WAITING_MOST = 256 };

struct Runner {
    Caller *caller;
};

/* It has a deadline of its own, a second before ours. */
Err runner_introspect(void *arg, Slice token, Buf *answer)
{
    Buf memory secret_scoped = {0};
    Memo question = {.kind = MEMO_INTROSPECT, .text = {token}}, reply = {0};
    Err err = caller_ask(arg, &question, now_ms() + RUNNER_MS + 1000, &reply, &memory);
    if (err || reply.kind != MEMO_INTROSPECTED)
        return fail(ERR_TEMPORARY, "the issuer cannot be asked");
    buf_add(answer, reply.text[0]);
    return OK;
}

Slice runner_authorization(const Config *c, Arena *a)
{
    Buf pair secret_scoped = {0}, text secret_scoped = {0};
    if (!c->oauth_client.len) return (Slice){0};
    buf_printf(&pair, "%.*s:%.*s", SP(c->oauth_client), SP(c->oauth_client_secret));
    buf_add(&text, S("Basic "));
    base64_encode(&text, buf_slice(&pair));
    return arena_copy(a, buf_slice(&text));
}

/* Its first question: who the issuer is. */
PARKS static Err tell_issuer(Runner *r, const Config *c)
{
    Arena a arena_scoped = {0};
    Buf memory buf_scoped = {0};
    Memo reply =
             {
                 0
    },
         issuer = {.kind = MEMO_ISSUER,
                   .text = {c->oauth_introspection, runner_authorization(c, &a),
                            c->oauth_introspection_authority}};
    return caller_ask(r->caller, &issuer, now_ms() + RUNNER_MS, &reply, &memory);
}

Err runner_start(const Config *config, Runner **runner)
{
    static const char *const args[] = {"posthouse", "-c",     "/dev/null", "-o",
                                       "loops=1",   "runner", NULL};
    Sock *sock;
    *runner = NULL;
    Errands *tried scoped(errands) = NULL; /* its own story of a mistake would not reach us */
    if (!config->oauth_introspection.len) return OK;
    TRY(errands_new(config->oauth_introspection, (Slice){0}, config->oauth_introspection_authority,
                    &tried));
    TRY(child_start(args, &sock));
    Runner *r = NEW(Runner);
    r->caller = caller_new(CAST_HOUSE, CAST_RUNNER, WAITING_MOST);
    caller_replace(r->caller, sock);
    Err err = tell_issuer(r, config);
    if (err)
        runner_stop(r);
    else
        *runner = r;
    return err;
}

void runner_stop(Runner *r)
{
    if (!r) return;
    caller_free(r->caller);
    free(r);
}

Caller *runner_caller(Runner *r)
{
    return r ? r->caller : NULL;
}
