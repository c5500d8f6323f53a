/* Which files a role has to reach, with a configuration. */
#include "house/control.h"
#include "house/house.h"
#include "house/sandbox.h"
#include "run/file.h"
#include "run/log.h"

#include <limits.h>
#include <stdlib.h>

static void reach(Reachables *r, Slice path, Reach how)
{
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 16;
        r->items = mem_grow(r->items, array_bytes(r->room, sizeof *r->items));
    }
    r->items[r->count++] = (Reachable){arena_copy(&r->memory, path), how};
}

static void reach_these(Reachables *r, const char *const *paths, size_t count, Reach how)
{
    for (size_t i = 0; i < count; i++)
        reach(r, slice_of(paths[i]), how);
}

/* Is the store that directory, or somewhere below it? */
static bool has_store(Arena *a, Slice folder, Slice store)
{
    char *above = realpath(arena_cstr(a, folder), NULL);
    char *below = realpath(arena_cstr(a, store), NULL);
    Slice rest = slice_of(below), prefix = slice_of(above);
    bool is_root = slice_eq(prefix, S("/"));
    bool has = above && below && slice_starts(rest, prefix);
    rest = slice_from(rest, prefix.len);
    has = has && (is_root || !rest.len || *rest.at == '/');
    free(above);
    free(below);
    return has;
}

/* The keeper may not read the mail: where the store is in the same directory, it gets the file as
 * it is today. The warden does not narrow what its next keeper finds there. */
static void reach_around(Reachables *r, Slice file, const Sandbox *s)
{
    Slice folder = path_parent(file);
    bool shared = s->role != CAST_ALONE && has_store(&r->memory, folder, s->config->store);
    if (shared && s->role == CAST_WARDEN)
        log_event(LOG_LEVEL_WARN, "sandbox_certificate", KV("file", file),
                  KV_TEXT("advice",
                          "the store is in the same directory; give it one of its own, or "
                          "a renewed one is not seen before the next start"));
    reach(r, shared && s->role == CAST_KEEPER ? file : folder, REACH_READ);
}

/* A reload reads it again, and a renewed one is another file in the same directory; certbot's is a
 * link from live/ into archive/. */
static void reach_pem(Reachables *r, Slice path, const Sandbox *s)
{
    if (!path.len) return;
    char *whole = realpath(arena_cstr(&r->memory, path), NULL);
    reach_around(r, path, s);
    if (whole && !slice_eq(slice_of(whole), path)) reach_around(r, slice_of(whole), s);
    free(whole);
}

/* Editors put a new file in the place of the old one, so a reload needs the directory. /etc is too
 * much to give: there, what is the file today has to do. */
static void reach_config(Reachables *r, Slice path)
{
    if (!path.len) return;
    Slice folder = path_parent(path);
    bool shared = slice_eq(folder, S("/etc")) || slice_eq(folder, S("/"));
    if (shared)
        log_event(LOG_LEVEL_WARN, "sandbox_config", KV("file", path),
                  KV_TEXT("advice", "give it a directory of its own, or a reload will not see it "
                                    "once an editor has replaced it"));
    reach(r, shared ? path : folder, REACH_READ);
}

static void reach_certificates(Reachables *r, const Sandbox *s)
{
    reach_pem(r, s->config->tls_certificate, s);
    reach_pem(r, s->config->tls_key, s);
    reach_pem(r, s->config->tls_client_authorities, s);
    reach_pem(r, s->config->oauth_keys, s);
}

static void reach_in_store(Reachables *r, const Config *c, const char *name, Reach how)
{
    reach(r, house_path(c, &r->memory, name), how);
}

/* ---- the roles ---- */

static void reach_alone(Reachables *r, const Sandbox *s)
{
    const Config *c = s->config;
    reach(r, c->store, REACH_ALL);
    reach(r, path_parent(control_path(c, &r->memory)), REACH_SOCKET);
    for (Service service = 0; service < SERVICE_COUNT; service++) {
        const Words *where = service_listeners(c, service);
        for (size_t i = 0; i < where->count; i++)
            if (slice_starts(where->items[i], S("unix:")))
                reach(r, path_parent(slice_from(where->items[i], 5)), REACH_SOCKET);
    }
    reach_certificates(r, s);
    reach_config(r, s->config_path);
}

static void reach_keeper(Reachables *r, const Sandbox *s)
{
    reach_in_store(r, s->config, "keeper", REACH_ALL);
    reach_in_store(r, s->config, "tls", REACH_ALL);
    reach_certificates(r, s);
}

/* All that is in the store but what the keeper has. Nothing is made at its top after the start. */
static void reach_house(Reachables *r, const Config *c)
{
    Slice *names;
    size_t count;
    if (path_list(c->store, &r->memory, &names, &count)) return;
    for (size_t i = 0; i < count; i++) {
        bool shut = slice_eq(names[i], S("keeper")) || slice_eq(names[i], S("tls"));
        Slice path = arena_printf(&r->memory, "%.*s/%.*s", SP(c->store), SP(names[i]));
        if (!shut) reach(r, path, REACH_ALL);
    }
}

/* What names need, and the authorities that certificates come from; not all of /etc, where the keys
 * of others lie. */
static void reach_runner(Reachables *r, const Config *c)
{
    static const char *const paths[] = {
        "/etc/resolv.conf",     "/etc/hosts",         "/etc/host.conf",
        "/etc/nsswitch.conf",   "/etc/gai.conf",      "/etc/services",
        "/etc/ssl/certs",       "/etc/pki/tls/certs", "/usr/share/ca-certificates",
        "/run/systemd/resolve", "/run/resolvconf",    "/run/NetworkManager"};
    reach_these(r, paths, COUNT(paths), REACH_READ);
    if (c->oauth_introspection_authority.len)
        reach(r, c->oauth_introspection_authority, REACH_READ);
}

/* What it needs for itself: the configuration, its own program. What those need that it starts, it
 * cannot keep for itself: they narrow it. */
static void reach_warden(Reachables *r, const Sandbox *s)
{
    static const char *const run[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
    static const char *const read[] = {"/etc", "/proc", "/sys/fs/cgroup", "/dev/urandom"};
    reach(r, s->config->store, REACH_ALL);
    reach(r, S("/dev/null"), REACH_ALL);
    reach_these(r, run, COUNT(run), REACH_RUN);
    reach_these(r, read, COUNT(read), REACH_READ);
    if (s->program) reach(r, path_parent(slice_of(s->program)), REACH_RUN);
    reach_certificates(r, s);
    reach_runner(r, s->config);
    reach_config(r, s->config_path);
}

void sandbox_reachables(const Sandbox *s, Reachables *out)
{
    if (s->role == CAST_WARDEN) reach_warden(out, s);
    if (s->role == CAST_KEEPER) reach_keeper(out, s);
    if (s->role == CAST_HOUSE) reach_house(out, s->config);
    if (s->role == CAST_RUNNER) reach_runner(out, s->config);
    if (s->role == CAST_ALONE) reach_alone(out, s); /* a front: nothing at all */
}

void reachables_done(Reachables *r)
{
    free(r->items);
    arena_done(&r->memory);
    *r = (Reachables){0};
}
