/* The runner itself: the verb "runner", which only the server starts. */
#include "house/runner.h"

#include "house/landlock.h"
#include "house/verbs.h"
#include "net/http.h"
#include "run/child.h"
#include "run/log.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

enum { AT_ONCE_MOST = 64, ADDRESSES_MOST = 8 };

typedef struct {
    Stream *house;
    Arena memory;
    HttpUrl url;
    Slice authorization;
    TlsContext *tls;
    bool is_writing;
    unsigned at_once;
} Process;

typedef struct {
    Process *process;
    uint32_t number;
    Buf token;
} Errand;

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

PARKS static Err connect_to(const Process *p, int64_t deadline, Stream **out)
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

PARKS static Err ask(const Process *p, Slice token, Buf *answer)
{
    Stream *s scoped(stream) = NULL;
    Buf form buf_scoped = {0};
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

PARKS static void tell(Process *p, uint32_t number, Err err, Slice json)
{
    Buf body buf_scoped = {0}, *out = stream_out(p->house);
    buf_u8(&body, RUNNER_ANSWER);
    buf_u32(&body, number);
    buf_u8(&body, (uint8_t)err);
    buf_bytes(&body, json);
    buf_u32(out, (uint32_t)body.len);
    buf_add(out, buf_slice(&body));
    if (p->is_writing) return;
    p->is_writing = true;
    (void)stream_flush(p->house);
    p->is_writing = false;
}

PARKS static void run_errand(void *arg)
{
    Errand *e = arg;
    Process *p = e->process;
    Buf answer buf_scoped = {0};
    Err err = ask(p, buf_slice(&e->token), &answer);
    if (err) log_err(LOG_LEVEL_WARN, "introspection_failed", err, KV("host", p->url.host));
    tell(p, e->number, err, err ? (Slice){0} : buf_slice(&answer));
    buf_done(&e->token);
    free(e);
    p->at_once--;
}

/* ---- messages ---- */

/* RFC 7662 4: only with TLS, but for this very machine. */
static bool is_safe(const HttpUrl *url)
{
    return url->tls || slice_eq(url->host, S("localhost")) || slice_eq(url->host, S("::1")) ||
           slice_starts(url->host, S("127."));
}

PARKS static Err take_config(Process *p, Reader fields)
{
    Slice url = arena_copy(&p->memory, read_bytes(&fields));
    p->authorization = arena_copy(&p->memory, read_bytes(&fields));
    Slice authority = read_bytes(&fields);
    if (fields.bad) return fail(ERR_SYNTAX, "the configuration is not sound");
    TRY(http_url_parse(url, &p->url));
    if (!is_safe(&p->url)) return fail(ERR_CONFIG, "oauth_introspection wants https");
    TRY(tls_client_new(true, &p->tls));
    return authority.len ? tls_client_trust(p->tls, authority) : OK;
}

/* From here on: what names need (resolv.conf, the libraries that getaddrinfo loads), and no other
 * file. */
static Err close_files(void)
{
    static const char *const paths[] = {"/etc",
                                        "/lib",
                                        "/lib64",
                                        "/usr/lib",
                                        "/usr/share/ca-certificates",
                                        "/run/systemd/resolve",
                                        "/dev/urandom"};
    Reachable list[COUNT(paths)];
    for (size_t i = 0; i < COUNT(paths); i++)
        list[i] = (Reachable){slice_of(paths[i]), REACH_READ};
    return landlock_abi() ? landlock_enter_calling(list, COUNT(list)) : OK;
}

PARKS static void begin_errand(Process *p, uint32_t number, Reader fields)
{
    Slice token = read_bytes(&fields);
    if (fields.bad || p->at_once >= AT_ONCE_MOST) {
        tell(p, number, ERR_TEMPORARY, (Slice){0});
        return;
    }
    Errand *e = NEW(Errand);
    *e = (Errand){.process = p, .number = number};
    buf_add(&e->token, token);
    p->at_once++;
    fiber_start("errand", run_errand, e);
}

PARKS static Err serve_house(Process *p)
{
    Buf message buf_scoped = {0};
    RunnerKind kind;
    uint32_t number;
    Reader fields;
    TRY(runner_read(p->house, &message, &kind, &number, &fields));
    if (kind != RUNNER_CONFIG) return fail(ERR_SYNTAX, "no configuration came");
    TRY(take_config(p, fields));
    TRY(close_files());
    while (!runner_read(p->house, &message, &kind, &number, &fields))
        if (kind == RUNNER_ASK) begin_errand(p, number, fields);
    return OK;
}

void runner_at_terminal(CommandLine *c)
{
    Process p = {0};
    Sock *sock;
    Err err = child_sock(&sock);
    if (!err) {
        p.house = stream_new(sock);
        err = serve_house(&p);
    }
    if (err) log_err(LOG_LEVEL_ERROR, "runner_failed", err);
    run_cancel(); /* errands end with it */
    Cond nobody = {0};
    while (p.at_once)
        cond_wait(&nobody, now_ms() + 5);
    stream_free(p.house);
    tls_unref(p.tls);
    arena_done(&p.memory);
    c->exit_code = err ? EXIT_FAILED : EXIT_OK;
}
