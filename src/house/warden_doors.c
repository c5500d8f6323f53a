/* The doors: listening sockets, opened here or by systemd (sd_listen_fds(3)). */
#include "house/control.h"
#include "house/warden_inside.h"
#include "run/file.h"
#include "run/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- by systemd ---- */

enum { LISTEN_FDS_START = 3 };

static bool is_listener(int fd)
{
    int on = 0;
    socklen_t len = sizeof on;
    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) && on;
}

static Doorway *doorway_new(Warden *w, Service service, size_t count)
{
    w->doorways = mem_grow(w->doorways, array_bytes(w->doorway_count + 1, sizeof(Doorway)));
    Doorway *d = &w->doorways[w->doorway_count++];
    *d = (Doorway){service, arena_array(&w->memory, int, count), 0};
    return d;
}

/* By its name (FileDescriptorName=), else by its port; a Unix socket is for LMTP. */
static Service service_of(int fd, Slice name)
{
    static const struct {
        uint16_t port;
        Service service;
    } ports[] = {
        {143, SERVICE_IMAP },
        {993, SERVICE_IMAPS},
        {110, SERVICE_POP3 },
        {995, SERVICE_POP3S},
        {24,  SERVICE_LMTP },
        {25,  SERVICE_SMTP },
        {109, SERVICE_POP2 },
        {0,   SERVICE_LMTP },
    };
    for (Service s = 0; s < SERVICE_COUNT; s++)
        if (slice_eq(name, slice_of(service_names[s]))) return s;
    Address at = listener_address(fd);
    for (size_t i = 0; i < COUNT(ports); i++)
        if (ports[i].port == at.port) return ports[i].service;
    return SERVICE_COUNT;
}

static Err adopt(Warden *w, int fd, Slice name)
{
    Service service = service_of(fd, name);
    if (service == SERVICE_COUNT || !is_listener(fd))
        return fail(ERR_CONFIG,
                    "socket activation: \"%.*s\" has to be a listening socket at a port that we "
                    "know, or FileDescriptorName= a service like imap or lmtp",
                    SP(name));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    Doorway *d = doorway_new(w, service, 1);
    d->fds[d->count++] = fd;
    return OK;
}

/* Only once: what we start must not think that it was meant. */
static Err adopt_all(Warden *w)
{
    uint64_t pid, count;
    bool ours = slice_to_u64(slice_of(getenv("LISTEN_PID")), &pid) && pid == (uint64_t)getpid() &&
                slice_to_u64(slice_of(getenv("LISTEN_FDS")), &count) && count <= 256;
    Slice names = arena_copy(&w->memory, slice_of(getenv("LISTEN_FDNAMES"))), name;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (uint64_t i = 0; ours && i < count; i++) {
        if (!slice_cut(&names, ':', &name)) name = S("");
        TRY(adopt(w, LISTEN_FDS_START + (int)i, name));
    }
    return OK;
}

static bool is_adopted(const Warden *w, Service service)
{
    for (size_t i = 0; i < w->doorway_count; i++)
        if (w->doorways[i].service == service) return true;
    return false;
}

/* ---- by us ---- */

/* Those who had it are ending perhaps, killed with the warden before us. */
PARKS static Err open_patiently(const Address *at, bool of_many, int *fd)
{
    enum { PATIENCE_MS = 2000, LOOK_MS = 20 };
    int64_t deadline = now_ms() + PATIENCE_MS;
    for (;;) {
        Err err = listener_open(at, of_many, fd);
        if (err != ERR_IN_USE || now_ms() >= deadline) return err;
        (void)fiber_sleep(LOOK_MS);
    }
}

/* Without SO_REUSEPORT first: two servers would share a port without knowing of each other. */
PARKS static Err open_many(Warden *w, const Address *at, Doorway *d)
{
    int probe;
    TRY(open_patiently(at, false, &probe));
    close(probe);
    while (d->count < w->fronts) {
        TRY(listener_open(at, true, &d->fds[d->count]));
        d->count++;
    }
    return OK;
}

PARKS static Err open_at(Warden *w, Service service, Slice where)
{
    Address at;
    TRY(address_parse(where, &at));
    at.for_all = true; /* who may connect is said by its directory: Postfix is another user */
    if (at.port) return open_many(w, &at, doorway_new(w, service, w->fronts));
    Doorway *d = doorway_new(w, service, 1);
    TRY(open_patiently(&at, false, &d->fds[0]));
    d->count = 1;
    return OK;
}

PARKS static Err open_configured(Warden *w)
{
    bool adopted[SERVICE_COUNT];
    for (Service s = 0; s < SERVICE_COUNT; s++)
        adopted[s] = is_adopted(w, s);
    for (Service s = 0; s < SERVICE_COUNT; s++) {
        const Words *where = service_listeners(&w->config, s);
        for (size_t i = 0; !adopted[s] && i < where->count; i++)
            TRY(open_at(w, s, where->items[i]));
    }
    return OK;
}

/* ---- who we are ---- */

/* A store that root makes belongs to who will keep it. */
static Err make_store(const Warden *w, bool is_new)
{
    Arena a arena_scoped = {0};
    uid_t uid;
    gid_t gid;
    const char *path = arena_cstr(&a, w->config.store);
    TRY(path_mkdir(w->config.store));
    TRY(path_sync_dir(path_parent(w->config.store))); /* out of the house's reach */
    if (!is_new || process_user(w->config.user, &uid, &gid)) return OK;
    return chown(path, uid, gid) ? fail(ERR_IO, "%s: chown: %s", path, strerror(errno)) : OK;
}

static Err drop_root(const Warden *w)
{
    PathInfo info;
    Slice user = w->config.user;
    bool is_new = path_info(w->config.store, &info) != OK;
    bool drops = user.len && geteuid() == 0;
    TRY(make_store(w, is_new && drops));
    Err err = drops ? process_become(user) : OK;
    if (err != ERR_NOT_FOUND) return err;
    log_event(LOG_LEVEL_WARN, "user_missing", KV("user", user),
              KV_TEXT("advice", "there is no such user, so we stay root; make it, or set user"));
    return OK;
}

PARKS static Err open_control(Warden *w)
{
    Address at;
    Arena a arena_scoped = {0};
    TRY(address_parse(arena_printf(&a, "unix:%.*s", SP(control_path(&w->config, &a))), &at));
    return open_patiently(&at, false, &w->control);
}

Err doors_open(Warden *w)
{
    w->control = -1;
    TRY(adopt_all(w));
    TRY(open_configured(w));
    TRY(drop_root(w));
    TRY(open_control(w));
    process_gives_up_rights();
    return OK;
}

void doors_close(Warden *w)
{
    for (size_t i = 0; i < w->doorway_count; i++)
        for (size_t j = 0; j < w->doorways[i].count; j++)
            close(w->doorways[i].fds[j]);
    free(w->doorways);
    if (w->control >= 0) close(w->control);
}
