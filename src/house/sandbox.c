#include "house/sandbox.h"

#include "house/control.h"
#include "house/house.h"
#include "house/seccomp.h"
#include "run/context.h"
#include "run/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Valgrind makes system calls of its own; its preloaded library tells of it. */
static bool is_watched(void)
{
    Slice preloaded = slice_of(getenv("LD_PRELOAD"));
    return RUN_ASAN || RUN_TSAN || slice_find_slice(preloaded, S("vgpreload")) < preloaded.len;
}

/* ---- what stays within reach ---- */

static void reach(Reachables *r, Slice path, Reach how)
{
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 16;
        r->items = mem_grow(r->items, array_bytes(r->room, sizeof *r->items));
    }
    r->items[r->count++] = (Reachable){arena_copy(&r->memory, path), how};
}

static Slice folder_of(Slice path)
{
    size_t at = slice_find_last(path, '/');
    return at == path.len ? S(".") : at == 0 ? S("/") : slice_first(path, at);
}

/* A reload reads it again, and a renewed one is another file in the same directory; certbot's is a
 * link from live/ into archive/. */
static void reach_pem(Reachables *r, Slice path)
{
    if (!path.len) return;
    char *whole = realpath(arena_cstr(&r->memory, path), NULL);
    reach(r, folder_of(path), REACH_READ);
    if (whole) reach(r, folder_of(slice_of(whole)), REACH_READ);
    free(whole);
}

/* Editors put a new file in the place of the old one, so a reload needs the directory. /etc is too
 * much to give: there, what is the file today has to do. */
static void reach_config(Reachables *r, Slice path)
{
    if (!path.len) return;
    Slice folder = folder_of(path);
    bool shared = slice_eq(folder, S("/etc")) || slice_eq(folder, S("/"));
    if (shared)
        log_event(LOG_LEVEL_WARN, "sandbox_config", KV("file", path),
                  KV_TEXT("advice", "give it a directory of its own, or a reload will not see it "
                                    "once an editor has replaced it"));
    reach(r, shared ? path : folder, REACH_READ);
}

static void reach_listeners(Reachables *r, const Words *where)
{
    for (size_t i = 0; i < where->count; i++)
        if (slice_starts(where->items[i], S("unix:")))
            reach(r, folder_of(slice_from(where->items[i], 5)), REACH_SOCKET);
}

void sandbox_reachables(const Config *c, Slice config_path, Reachables *out)
{
    Arena a arena_scoped = {0};
    reach(out, c->store, REACH_ALL);
    reach(out, folder_of(control_path(c, &a)), REACH_SOCKET);
    for (Service s = 0; s < SERVICE_COUNT; s++)
        reach_listeners(out, service_listeners(c, s));
    reach_pem(out, c->tls_certificate);
    reach_pem(out, c->tls_key);
    reach_pem(out, c->tls_client_authorities);
    reach_pem(out, c->oauth_keys);
    reach_config(out, config_path);
}

void reachables_done(Reachables *r)
{
    free(r->items);
    arena_done(&r->memory);
    *r = (Reachables){0};
}

/* ---- are they shut? Each try is one that does no harm where it succeeds. ---- */

static int close_if_open(int fd)
{
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

static int open_root(void)
{
    return close_if_open(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int open_passwords(void)
{
    return close_if_open(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int open_memory(void)
{
    return close_if_open(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static int start_nothing(void)
{
    return (int)syscall(SYS_execve, NULL, NULL, NULL); /* execve() promises a name */
}

static int trace_nobody(void)
{
    return (int)ptrace(PTRACE_DETACH, -1, NULL, NULL);
}

static int netlink_socket(void)
{
    return close_if_open(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int internet_socket(void)
{
    return close_if_open(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

typedef struct {
    const char *door;
    int (*try)(void);
    bool by_landlock;
} Door;

static const Door doors[] = {
    {"list /",                open_root,       true },
    {"read /etc/shadow",      open_passwords,  true },
    {"open its own memory",   open_memory,     true },
    {"start a program",       start_nothing,   false},
    {"trace a process",       trace_nobody,    false},
    {"make a netlink socket", netlink_socket,  false},
    {"call other hosts",      internet_socket, false},
};

static bool is_shut(const Door *d)
{
    errno = 0;
    if (d->try() >= 0) return false;
    return errno == EPERM || (d->by_landlock && (errno == EACCES || errno == ENOENT));
}

Err sandbox_try_doors(bool files, bool calls)
{
    Err err = OK;
    seccomp_log_denied(false);
    for (size_t i = 0; i < COUNT(doors) && !err; i++)
        if ((doors[i].by_landlock ? files : calls) && !is_shut(&doors[i]))
            err = fail(ERR_UNSUPPORTED,
                       "the sandbox has a hole: this process can still %s (%s). \"sandbox = no\" "
                       "serves without one",
                       doors[i].door, errno ? strerror(errno) : "it worked");
    seccomp_log_denied(true);
    return err;
}

/* ---- closing them ---- */

static Err close_files(const Config *config, Slice config_path)
{
    Reachables r = {0};
    sandbox_reachables(config, config_path, &r);
    Err err = landlock_enter(r.items, r.count);
    reachables_done(&r);
    return err;
}

Err sandbox_enter(const Config *config, Slice config_path)
{
    if (!config->sandbox || is_watched()) return OK;
    int abi = landlock_abi();
    if (abi)
        TRY(close_files(config, config_path));
    else
        log_event(LOG_LEVEL_WARN, "sandbox_partial",
                  KV_TEXT("advice", "this kernel has no Landlock: every file stays in reach"));
    Err err = seccomp_enter();
    if (err == ERR_UNSUPPORTED)
        log_err(LOG_LEVEL_WARN, "sandbox_partial", err);
    else
        TRY(err);
    TRY(sandbox_try_doors(abi > 0, !err));
    log_event(LOG_LEVEL_INFO, "sandbox", KV_NUM("landlock", abi),
              KV_TEXT("seccomp", err ? "no" : "yes"));
    return OK;
}
