#include "house/certificate.h"

#include "run/log.h"

enum { LOOK_MS = 10 * 1000 };

CertificatePaths certificate_paths(const Config *c, Arena *a)
{
    Slice certificate = c->tls_certificate, key = c->tls_key;
    return (CertificatePaths){
        .certificate = certificate.len ? certificate : house_path(c, a, "tls/certificate.pem"),
        .key = key.len ? key : house_path(c, a, "tls/key.pem"),
        .own = !certificate.len && !key.len,
    };
}

Err certificate_make(const Config *c)
{
    Arena a arena_scoped = {0};
    CertificatePaths p = certificate_paths(c, &a);
    if (!p.own) return OK;
    Slice names[] = {c->hostname, S("localhost"), S("127.0.0.1")};
    TRY(path_mkdir(house_path(c, &a, "tls")));
    return tls_make_self_signed(p.certificate, p.key, names, COUNT(names));
}

Err certificate_load(const Config *c)
{
    Arena a arena_scoped = {0};
    TlsContext *ctx;
    CertificatePaths p = certificate_paths(c, &a);
    TRY(certificate_make(c));
    TRY(tls_server_new(p.certificate, p.key, &ctx));
    Slice authorities = c->tls_client_authorities;
    Err err = authorities.len ? tls_server_ask_client(ctx, authorities) : OK;
    if (!err) tls_set_current(ctx);
    tls_unref(ctx);
    return err;
}

CertificateSeen certificate_look(const Config *c)
{
    Arena a arena_scoped = {0};
    CertificatePaths p = certificate_paths(c, &a);
    CertificateSeen seen = {0};
    if (path_info(p.certificate, &seen.certificate) || path_info(p.key, &seen.key))
        return (CertificateSeen){0};
    return seen;
}

static bool differs(const PathInfo *a, const PathInfo *b)
{
    return a->mtime != b->mtime || a->size != b->size;
}

bool certificate_differs(const CertificateSeen *now, const CertificateSeen *before)
{
    return now->key.size &&
           (differs(&now->certificate, &before->certificate) || differs(&now->key, &before->key));
}

typedef struct {
    House *house;
    CertificateSeen seen;
} Look;

static void look_aside(void *arg)
{
    Look *l = arg;
    l->seen = certificate_look(house_config(l->house));
}

/* Tools like certbot write two files one after the other: a pair that does not fit is tried again
 * at the next look. */
PARKS void certificate_watch(House *house)
{
    Look l = {.house = house};
    aside(look_aside, &l);
    CertificateSeen loaded = l.seen;
    while (fiber_sleep(LOOK_MS) != WOKEN_CANCELLED) {
        aside(look_aside, &l);
        if (!certificate_differs(&l.seen, &loaded)) continue;
        Err err = certificate_load(house_config(house));
        if (err) {
            log_err(LOG_LEVEL_WARN, "certificate_not_loaded", err);
            continue;
        }
        loaded = l.seen;
        log_event(LOG_LEVEL_INFO, "certificate_loaded");
    }
}
