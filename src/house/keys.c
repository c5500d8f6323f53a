#include "house/keys.h"

#include "base/text.h"
#include "house/certificate.h"
#include "net/tls_signer.h"
#include "run/log.h"

#include <stdlib.h>

enum { LOOK_MS = 10 * 1000, AUTHORITIES_MOST = 192 * 1024 };
enum { SIGN_HERE_US = 1000 };

/* The pair of now and the one before it, with which handshakes may be under way. */
typedef struct {
    uint32_t number;
    unsigned users; /* who sign with it on a helper */
    bool is_over;
    TlsKey *key;
} Pair;

struct Keys {
    const Config *config;
    uint64_t generation;
    uint32_t last;
    Pair *now, *before;
    Buf chain, authorities, tickets;
    CertificateSeen seen;
    Link waiting;      /* fibers that wait for news */
    int64_t signed_us; /* when a slow signature was asked for last */
};

typedef struct {
    Link of_keys;
    Fiber *fiber;
} Waiting;

/* ---- reading ---- */

typedef struct {
    const Config *config;
    TlsKey *key;
    Buf chain, authorities;
    CertificateSeen seen;
    Err err;
} Reading;

static Err read_authorities(Slice path, Buf *out)
{
    Arena a arena_scoped = {0};
    Slice text = {0};
    if (!path.len) return OK;
    TRY(path_read(path, AUTHORITIES_MOST, &a, &text));
    buf_add(out, text);
    return OK;
}

static Err read_files(Reading *r)
{
    Arena a arena_scoped = {0};
    CertificatePaths p = certificate_paths(r->config, &a);
    TRY(certificate_make(r->config));
    r->seen = certificate_look(r->config);
    TRY(read_authorities(r->config->tls_client_authorities, &r->authorities));
    TRY(tls_key_open(p.certificate, p.key, &r->chain, &r->key));
    return r->chain.len <= UINT16_MAX ? OK : fail(ERR_CONFIG, "the chain is too long");
}

static void read_aside(void *arg)
{
    Reading *r = arg;
    r->err = read_files(r);
}

static void pair_release(Pair *p)
{
    if (!p || p->users || !p->is_over) return;
    tls_key_free(p->key);
    free(p);
}

static void pair_end(Pair *p)
{
    if (!p) return;
    p->is_over = true;
    pair_release(p);
}

static void tell_all(Keys *k)
{
    k->generation++;
    list_each (link, &k->waiting)
        fiber_nudge(CONTAINER(link, Waiting, of_keys)->fiber);
}

/* Takes what was read over, or gives it back. */
static Err install(Keys *k, Reading *r)
{
    if (r->err) {
        tls_key_free(r->key);
        buf_done(&r->chain);
        buf_done(&r->authorities);
        return r->err;
    }
    pair_end(k->before);
    k->before = k->now;
    k->now = NEW(Pair);
    *k->now = (Pair){.number = ++k->last, .key = r->key};
    buf_done(&k->chain);
    buf_done(&k->authorities);
    k->chain = r->chain, k->authorities = r->authorities;
    k->config = r->config;
    k->seen = r->seen;
    tell_all(k);
    return OK;
}

PARKS Err keys_reload(Keys *k, const Config *config)
{
    Reading r = {.config = config};
    aside(read_aside, &r);
    return install(k, &r);
}

Err keys_open(const Config *config, Keys **keys)
{
    Keys *k = NEW(Keys);
    Reading r = {.config = config};
    list_init(&k->waiting);
    k->generation = random_u64() >> 1; /* not one that the keeper before us had told */
    r.err = read_files(&r);
    Err err = install(k, &r);
    if (err) {
        keys_close(k);
        return err;
    }
    tls_tickets_put(&k->tickets);
    *keys = k;
    return OK;
}

void keys_close(Keys *k)
{
    if (!k) return;
    pair_end(k->before);
    pair_end(k->now);
    buf_done(&k->chain);
    buf_done(&k->authorities);
    buf_wipe(&k->tickets);
    free(k);
}

/* ---- watching ---- */

static void rotate_tickets(Keys *k)
{
    Buf fresh buf_scoped = {0};
    tls_tickets_put(&fresh);
    if (!slice_eq(buf_slice(&fresh), buf_slice(&k->tickets))) {
        Buf old = k->tickets;
        k->tickets = fresh;
        fresh = old;
        tell_all(k);
    }
    wipe(fresh.at, fresh.len);
}

typedef struct {
    const Config *config;
    CertificateSeen seen;
} Look;

static void look_aside(void *arg)
{
    Look *l = arg;
    l->seen = certificate_look(l->config);
}

/* Tools like certbot write two files one after the other: a pair that does not fit is tried again
 * at the next look. */
PARKS void keys_watch(Keys *k)
{
    while (fiber_sleep(LOOK_MS) != WOKEN_CANCELLED) {
        Look l = {.config = k->config};
        aside(look_aside, &l);
        rotate_tickets(k);
        if (!certificate_differs(&l.seen, &k->seen)) continue;
        Err err = keys_reload(k, k->config);
        if (err)
            log_err(LOG_LEVEL_WARN, "certificate_not_loaded", err);
        else
            log_event(LOG_LEVEL_INFO, "certificate_loaded");
    }
}

/* ---- answering ---- */

/* A nudge means that there is news, or that there is nobody any more to tell it to. */
PARKS static Err news(Keys *k, uint64_t known, Memo *answer, Buf *memory)
{
    Waiting w = {.fiber = fiber_current()};
    if (known == k->generation) {
        list_add(&k->waiting, &w.of_keys);
        Wake why = fiber_park(NEVER);
        list_remove(&w.of_keys);
        if (why == WOKEN_CANCELLED) return fail(ERR_CANCELLED, "stopping");
        if (known == k->generation) return fail(ERR_TEMPORARY, "no news");
    }
    /* All of it may be another's when the answer is put. */
    size_t chain = k->chain.len, tickets = k->tickets.len;
    buf_reserve(memory, chain + tickets + k->authorities.len);
    buf_add(memory, buf_slice(&k->chain));
    buf_add(memory, buf_slice(&k->tickets));
    buf_add(memory, buf_slice(&k->authorities));
    Slice all = buf_slice(memory);
    *answer = (Memo){
        .kind = MEMO_TLS_SERVE,
        .number = {k->generation,  k->now->number  },
        .text = { slice_first(all, chain), slice_first(slice_from(all, chain), tickets),
                   slice_from(all, chain + tickets)}
    };
    return OK;
}

typedef struct {
    TlsKey *key;
    uint16_t scheme;
    Slice octets;
    Buf *signature;
    Err err;
} Signing;

static void sign_aside(void *arg)
{
    Signing *s = arg;
    s->err = tls_key_sign(s->key, s->scheme, s->octets, s->signature);
}

/* Two threads that wake each other cost a tenth of a signature; others wait for us meanwhile, so a
 * helper is left out only now and then. */
static bool wants_helper(Keys *k, const TlsKey *key)
{
    if (!tls_key_is_slow(key)) return false;
    int64_t now = now_us(), before = k->signed_us;
    k->signed_us = now;
    return now - before < SIGN_HERE_US;
}

PARKS static Err sign(Keys *k, const Memo *q, Memo *answer, Buf *memory)
{
    Pair *p = q->number[0] == k->now->number                   ? k->now
              : k->before && q->number[0] == k->before->number ? k->before
                                                               : NULL;
    if (!p) return fail(ERR_NOT_FOUND, "no key %u", (unsigned)q->number[0]);
    Signing s = {p->key, (uint16_t)q->number[1], q->text[0], memory, OK};
    p->users++;
    if (wants_helper(k, p->key))
        aside(sign_aside, &s);
    else
        sign_aside(&s);
    p->users--;
    pair_release(p);
    *answer = (Memo){.kind = MEMO_TLS_SIGNED, .text = {buf_slice(memory)}};
    return s.err;
}

PARKS Err keys_answer(Keys *k, const Memo *question, Memo *answer, Buf *memory)
{
    if (question->kind == MEMO_TLS_SIGN) return sign(k, question, answer, memory);
    if (question->kind == MEMO_TLS_NEWS) return news(k, question->number[0], answer, memory);
    return fail(ERR_UNSUPPORTED, "no question about keys");
}
