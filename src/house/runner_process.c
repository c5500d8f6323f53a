/* The runner itself. */
#include "house/runner.h"

#include "base/text.h"
#include "house/sandbox.h"
#include "house/verbs.h"
#include "net/http.h"
#include "run/child.h"
#include "run/log.h"
#include "run/process.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

enum { AT_ONCE_MOST = 64, ADDRESSES_MOST = 8 };

struct Errands {
    Arena memory;
    HttpUrl url;
    Slice authorization;
    TlsContext *tls;
};

/* ---- finding the issuer ---- */

typedef struct {
    const HttpUrl *url;
    Address found[ADDRESSES_MOST];
    size_t count;
} Lookup;

static void look_up(void *arg)
{
    Lookup *l = arg;
    Arena a arena_scoped = {0};
    char port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    snprintf(port, sizeof port, "%u", l->url->port);
    if (getaddrinfo(arena_cstr(&a, l->url->host), port, &hints, &list)) return;
    for (const struct addrinfo *i = list; i && l->count < ADDRESSES_MOST; i = i->ai_next) {
        Address *to = &l->found[l->count];
        if (getnameinfo(i->ai_addr, i->ai_addrlen, to->host, sizeof to->host, NULL, 0,
                        NI_NUMERICHOST))
            continue;
        to->port = l->url->port;
        l->count++;
    }
    freeaddrinfo(list);
}

PARKS static Err connect_to(const Errands *p, int64_t deadline, Stream **out)
{
    Lookup *l = NEW(Lookup);
    Err err = fail(ERR_TEMPORARY, "no address for %.*s", SP(p->url.host));
    l->url = &p->url;
    aside(look_up, l);
    for (size_t i = 0; i < l->count; i++) {
        Sock *sock;
        err = sock_connect(&l->found[i], deadline, &sock);
        if (err) continue;
        *out = stream_new(sock);
        stream_set_deadline(*out, deadline);
        break;
    }
    free(l);
    return err;
}

/* ---- asking ---- */

/* RFC 7662 2.1: application/x-www-form-urlencoded */
static void put_form(Buf *out, Slice token)
{
    buf_add(out, S("token_type_hint=access_token&token="));
    for (size_t i = 0; i < token.len; i++) {
        unsigned char c = (unsigned char)token.at[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.' || c == '_';
        if (plain)
            buf_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

PARKS static Err ask(const Errands *p, Slice token, Buf *answer)
{
    Stream *s scoped(stream) = NULL;
    Buf form secret_scoped = {0};
    int status = 0;
    TRY(connect_to(p, now_ms() + RUNNER_MS, &s));
    if (p->url.tls) TRY(stream_start_tls_client(s, p->tls, p->url.host));
    put_form(&form, token);
    HttpPost post = {.url = &p->url,
                     .authorization = p->authorization,
                     .content_type = S("application/x-www-form-urlencoded"),
                     .body = buf_slice(&form),
                     .answer_most = RUNNER_ANSWER_MOST};
    TRY(http_post(s, &post, &status, answer));
    return status == 200 ? OK : fail(ERR_TEMPORARY, "the issuer answers %d", status);
}

/* ---- messages ---- */

/* RFC 7662 4: only with TLS, but for this very machine. */
static bool is_safe(const HttpUrl *url)
{
    return url->tls || slice_eq(url->host, S("localhost")) || slice_eq(url->host, S("::1")) ||
           slice_starts(url->host, S("127."));
}

Err errands_new(Slice url, Slice authorization, Slice authority, Errands **errands)
{
    Errands *e scoped(errands) = NEW(Errands);
    e->authorization = arena_copy(&e->memory, authorization);
    TRY(http_url_parse(arena_copy(&e->memory, url), &e->url));
    if (!is_safe(&e->url)) return fail(ERR_CONFIG, "oauth_introspection wants https");
    e->tls = tls_client_new(true);
    if (authority.len) TRY(tls_client_trust(e->tls, authority));
    *errands = e;
    e = NULL;
    return OK;
}

void errands_free(Errands *e)
{
    if (!e) return;
    tls_unref(e->tls);
    arena_done(&e->memory);
    free(e);
}

Err errands_answer(void *arg, const Memo *question, Memo *answer, Buf *memory)
{
    const Errands *e = arg;
    if (question->kind != MEMO_INTROSPECT)
        return fail(ERR_SYNTAX, "the runner does no %s", memo_name(question->kind));
    Err err = ask(e, question->text[0], memory);
    if (err) log_err(LOG_LEVEL_WARN, "introspection_failed", err, KV("host", e->url.host));
    *answer = (Memo){.kind = MEMO_INTROSPECTED, .text = {buf_slice(memory)}};
    return err;
}

Err runner_close_files(void)
{
    Arena a arena_scoped = {0};
    Config *config = arena_new(&a, Config);
    config->sandbox = true;
    return sandbox_enter(&(Sandbox){CAST_RUNNER, config, {0}, NULL});
}

/* ---- the verb "runner" of a single process ---- */

PARKS static Err answer(void *arg, const Memo *question, Memo *reply, Buf *memory)
{
    Errands **e = arg;
    if (question->kind != MEMO_ISSUER)
        return *e ? errands_answer(*e, question, reply, memory)
                  : fail(ERR_SYNTAX, "no issuer has been told");
    if (*e) return fail(ERR_SYNTAX, "a second issuer");
    TRY(errands_new(question->text[0], question->text[1], question->text[2], e));
    *reply = (Memo){.kind = MEMO_DONE};
    return runner_close_files();
}

void runner_at_terminal(CommandLine *c)
{
    if (post_is_there()) { /* the warden's, not a single process's */
        role_at_terminal(c);
        return;
    }
    Sock *sock;
    Errands *errands scoped(errands) = NULL;
    Answerer answerer = {CAST_RUNNER, CAST_HOUSE, AT_ONCE_MOST, answer, &errands};
    Err err = child_sock(&sock);
    if (!err) err = answerer_serve(&answerer, sock);
    if (err) log_err(LOG_LEVEL_ERROR, "runner_failed", err);
    c->exit_code = err ? EXIT_FAILED : EXIT_OK;
}
