#include "house/sandbox.h"

#include "house/house.h"
#include "run/context.h"
#include "run/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Valgrind makes system calls of its own; its preloaded library tells of it. */
static bool is_watched(void)
{
    Slice preloaded = slice_of(getenv("LD_PRELOAD"));
    return RUN_ASAN || RUN_TSAN || slice_find_slice(preloaded, S("vgpreload")) < preloaded.len;
}

/* ---- are they shut? Each try is one that does no harm where it succeeds. ---- */

static int close_if_open(int fd)
{
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

static int open_root(const Config *c)
{
    (void)c;
    return close_if_open(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int open_passwords(const Config *c)
{
    (void)c;
    return close_if_open(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int open_memory(const Config *c)
{
    (void)c;
    return close_if_open(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
}

static int open_below(const Config *c, const char *name)
{
    Arena a arena_scoped = {0};
    return close_if_open(open(arena_cstr(&a, house_path(c, &a, name)), O_RDONLY | O_CLOEXEC));
}

static int open_store(const Config *c)
{
    return open_below(c, "log");
}

static int open_keys(const Config *c)
{
    return open_below(c, "tls");
}

static int open_credentials(const Config *c)
{
    return open_below(c, "keeper/data.mdb");
}

static int start_nothing(const Config *c)
{
    (void)c;
    return (int)syscall(SYS_execve, NULL, NULL, NULL); /* execve() promises a name */
}

static int trace_nobody(const Config *c)
{
    (void)c;
    return (int)ptrace(PTRACE_DETACH, -1, NULL, NULL);
}

static int signal_parent(const Config *c)
{
    (void)c;
    return kill(getppid(), 0);
}

static int netlink_socket(const Config *c)
{
    (void)c;
    return close_if_open(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int unix_socket(const Config *c)
{
    (void)c;
    return close_if_open(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int internet_socket(const Config *c)
{
    (void)c;
    return close_if_open(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int memory_to_run(const Config *c)
{
    (void)c;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return -1;
    munmap(page, 4096);
    return 0;
}

typedef struct {
    const char *door;
    int (*try)(const Config *c);
    const char *of_whom; /* as in sandbox.def */
    bool by_landlock;
} Door;

static const Door doors[] = {
    {"list /",                   open_root,        "WFKHRA", true },
    {"read /etc/shadow",         open_passwords,   "-FKHRA", true },
    {"open its own memory",      open_memory,      "-FKHRA", true },
    {"read the mail",            open_store,       "-FK-R-", true },
    {"read the keys",            open_keys,        "-F-HR-", true },
    {"read the passwords",       open_credentials, "-F-HR-", true },
    {"start a program",          start_nothing,    "-FKHRA", false},
    {"trace a process",          trace_nobody,     "WFKHRA", false},
    {"signal a process",         signal_parent,    "WFKHRA", false},
    {"make a netlink socket",    netlink_socket,   "WFKHRA", false},
    {"make a Unix socket",       unix_socket,      "-FKHRA", false},
    {"call other hosts",         internet_socket,  "-FKH-A", false},
    {"make memory that can run", memory_to_run,    "-FKHRA", false},
};

static bool is_shut(const Door *d, const Config *c)
{
    errno = 0;
    if (d->try(c) >= 0) return false;
    return errno == EPERM || (d->by_landlock && (errno == EACCES || errno == ENOENT));
}

Err sandbox_try_doors(const Sandbox *s, bool files, bool calls)
{
    Err err = OK;
    seccomp_log_denied(false);
    for (size_t i = 0; i < COUNT(doors) && !err; i++) {
        const Door *d = &doors[i];
        bool counts = d->of_whom[s->role] != '-' && (d->by_landlock ? files : calls);
        if (counts && !is_shut(d, s->config))
            err = fail(ERR_UNSUPPORTED,
                       "the sandbox has a hole: this process can still %s (%s). \"sandbox = no\" "
                       "serves without one",
                       d->door, errno ? strerror(errno) : "it worked");
    }
    seccomp_log_denied(true);
    return err;
}

/* ---- closing them ---- */

static Err close_files(const Sandbox *s)
{
    Beyond beyond = s->role == CAST_WARDEN   ? MAY_RULE
                    : s->role == CAST_RUNNER ? MAY_CALL
                                             : MAY_NOTHING_ELSE;
    Reachables r = {0};
    sandbox_reachables(s, &r);
    Err err = landlock_enter(r.items, r.count, beyond);
    reachables_done(&r);
    return err;
}

Err sandbox_enter(const Sandbox *s)
{
    if (!s->config->sandbox || is_watched()) return OK;
    tzset(); /* libc reads the zone's file when it is first asked for a time */
    int abi = landlock_abi();
    bool tells = s->role == CAST_WARDEN || s->role == CAST_ALONE; /* once is enough */
    if (abi)
        TRY(close_files(s));
    else if (tells)
        log_event(LOG_LEVEL_WARN, "sandbox_partial",
                  KV_TEXT("advice", "this kernel has no Landlock: every file stays in reach"));
    Err err = seccomp_enter(s->role);
    if (err == ERR_UNSUPPORTED)
        log_err(tells ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "sandbox_partial", err);
    else
        TRY(err);
    TRY(sandbox_try_doors(s, abi > 0, !err));
    log_event(tells ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "sandbox", KV_NUM("landlock", abi),
              KV_TEXT("seccomp", err ? "no" : "yes"));
    return OK;
}
