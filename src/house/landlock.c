#include "house/landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* linux/landlock.h as of ABI 6; what the kernel does not know is masked and then zero, which it
 * takes. */
typedef struct {
    uint64_t files, net, scoped;
} RulesetAttr;
enum {
    MAY_REFER = 1 << 13,     /* ABI 2 */
    MAY_TRUNCATE = 1 << 14,  /* ABI 3 */
    MAY_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_BIND = 1 << 0,       /* ABI 4 */
    NET_CONNECT = 1 << 1,
    SCOPE_ABSTRACT_SOCKET = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1 /* ABI 6, but only from 7 on are our own threads always inside */
};

static const uint64_t on_a_file =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    MAY_TRUNCATE | MAY_IOCTL_DEV; /* the other rights are refused on anything but a directory */

static const uint64_t rights[] = {
    [REACH_READ] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    [REACH_SOCKET] = LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE,
    [REACH_ALL] =
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | MAY_REFER | MAY_TRUNCATE,
    [REACH_RUN] =
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE,
};

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

/* ---- the rules ---- */

static RulesetAttr handled(int abi, Beyond beyond)
{
    RulesetAttr all = {.files = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1};
    if (abi >= 2) all.files |= MAY_REFER;
    if (abi >= 3) all.files |= MAY_TRUNCATE;
    if (abi >= 4) all.net = beyond == MAY_NOTHING_ELSE ? NET_BIND | NET_CONNECT : NET_BIND;
    if (abi >= 5) all.files |= MAY_IOCTL_DEV;
    if (abi >= 6 && beyond != MAY_RULE) all.scoped = SCOPE_ABSTRACT_SOCKET;
    if (abi >= 7 && beyond != MAY_RULE) all.scoped |= SCOPE_SIGNAL;
    return all;
}

static Err failed(const char *doing, Slice path)
{
    return fail(ERR_IO, "sandbox: %s %.*s: %s", doing, SP(path), strerror(errno));
}

static Err add_beneath(int ruleset, const RulesetAttr *all, const Reachable *r, int fd)
{
    struct stat s;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights[r->reach] & all->files,
                                              .parent_fd = fd};
    if (fstat(fd, &s)) return failed("stat", r->path);
    if (!S_ISDIR(s.st_mode)) rule.allowed_access &= on_a_file;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        return failed("landlock_add_rule", r->path);
    return OK;
}

static Err add_path(int ruleset, const RulesetAttr *all, const Reachable *r)
{
    Arena a arena_scoped = {0};
    int fd = open(arena_cstr(&a, r->path), O_PATH | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? OK : failed("open", r->path);
    Err err = add_beneath(ruleset, all, r, fd);
    close(fd);
    return err;
}

/* ---- every thread ----
 *
 * A ruleset binds the thread that asks for it and what that thread starts afterwards, and the loops
 * and helpers are running already. So each thread is sent a signal and binds itself in the handler,
 * as glibc does for setuid. */

static struct {
    int ruleset;
    atomic_int error; /* the handler's errno; -1: not there yet */
} binding;

static void bind_this_thread(int signal)
{
    (void)signal;
    int before = errno;
    bool bound = !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
                 !syscall(SYS_landlock_restrict_self, binding.ruleset, 0);
    atomic_store(&binding.error, bound ? 0 : errno);
    errno = before;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A thread that writes to the disk hears signals only when that is over. */
static Err bind_thread(pid_t thread)
{
    enum { PATIENCE_MS = 20000 };
    int64_t deadline = clock_ms() + PATIENCE_MS;
    atomic_store(&binding.error, -1);
    if (syscall(SYS_tgkill, getpid(), thread, SIGRTMIN)) return OK; /* has ended */
    while (atomic_load(&binding.error) < 0) {
        if (syscall(SYS_tgkill, getpid(), thread, 0)) return OK;
        if (clock_ms() > deadline) return fail(ERR_TIMEOUT, "sandbox: a thread does not answer");
        sched_yield();
    }
    errno = atomic_load(&binding.error);
    return errno ? failed("landlock_restrict_self", S("")) : OK;
}

static bool is_bound(const Buf *bound, pid_t thread)
{
    for (size_t i = 0; i < bound->len; i += sizeof thread)
        if (!memcmp(bound->at + i, &thread, sizeof thread)) return true;
    return false;
}

static Err bind_listed(DIR *threads, Buf *bound, bool *found)
{
    *found = false;
    rewinddir(threads);
    for (struct dirent *e; (e = readdir(threads));) {
        pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);
        if (thread <= 0 || is_bound(bound, thread)) continue;
        *found = true;
        TRY(bind_thread(thread));
        buf_add(bound, slice(&thread, sizeof thread));
    }
    return OK;
}

/* A thread that is not bound yet may start another while we look. Once a whole look finds nobody
 * new, whoever exists is bound: an unbound thread's parent was unbound when it started it, so the
 * child was there before this look began. */
static Err bind_all(DIR *threads)
{
    Buf bound buf_scoped = {0};
    bool found = true;
    while (found)
        TRY(bind_listed(threads, &bound, &found));
    return OK;
}

static Err bind_process(int ruleset)
{
    struct sigaction ours = {.sa_handler = bind_this_thread, .sa_flags = SA_RESTART}, before;
    DIR *threads = opendir("/proc/self/task"); /* open already when its name is out of reach */
    if (!threads) return failed("open", S("/proc/self/task"));
    binding.ruleset = ruleset;
    sigaction(SIGRTMIN, &ours, &before);
    Err err = bind_all(threads);
    if (!err) sigaction(SIGRTMIN, &before, NULL); /* else a late one would end the process */
    closedir(threads);
    return err;
}

Err landlock_enter(const Reachable *paths, size_t count, Beyond beyond)
{
    RulesetAttr all = handled(landlock_abi(), beyond);
    long ruleset = syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0) return failed("landlock_create_ruleset", S(""));
    Err err = OK;
    for (size_t i = 0; i < count && !err; i++)
        err = add_path((int)ruleset, &all, &paths[i]);
    if (!err) err = bind_process((int)ruleset);
    close((int)ruleset);
    return err;
}
