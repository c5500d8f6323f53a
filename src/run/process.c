#include "run/process.h"

#include "run/context.h"
#include "run/real.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct Process {
    pid_t pid;
    int pidfd;
    Sock *end; /* the pidfd: readable once the process has ended */
    bool has_ended;
    ProcessEnd how;
};

static Err failed(const char *doing)
{
    return fail(ERR_IO, "%s: %s", doing, strerror(errno));
}

/* ---- starting ---- */

/* Nothing of ours but the standard error and its end of the post. */
static int set_actions(posix_spawn_file_actions_t *actions, int post)
{
    int rc = posix_spawn_file_actions_adddup2(actions, post, POST_OF_PARENT);
    if (!rc) rc = posix_spawn_file_actions_addclosefrom_np(actions, POST_OF_PARENT + 1);
    if (!rc) rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (!rc) rc = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
    return rc;
}

static int spawn(const char *program, const char *const *args, int post, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = set_actions(&actions, post);
    if (!rc) rc = posix_spawnattr_setsigmask(&attributes, &none);
    if (!rc) rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!rc)
        rc = posix_spawn(pid, program, &actions, &attributes, (char *const *)(uintptr_t)args,
                         environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

/* It has not been waited for, so its number is its own. */
static Err watch_end(Process *p)
{
    p->pidfd = pidfd_open(p->pid, 0);
    if (p->pidfd < 0) return failed("pidfd_open");
    fcntl(p->pidfd, F_SETFL, O_NONBLOCK);
    return real_sock_adopt(p->pidfd, &p->end);
}

Err process_start(const char *program, const char *const *args, Process **process, Post **post)
{
    Post *here = NULL;
    int there = -1;
    TRY(post_pair(&here, &there));
    Process *p = NEW(Process);
    int rc = spawn(program, args, there, &p->pid);
    close(there);
    Err err = rc ? fail(ERR_IO, "starting %s: %s", program, strerror(rc)) : watch_end(p);
    if (!err) {
        *process = p, *post = here;
        return OK;
    }
    post_close(here);
    if (!rc) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    free(p);
    return err;
}

pid_t process_pid(const Process *p)
{
    return p->pid;
}

void process_kill(Process *p, int signal)
{
    if (!p->has_ended) (void)pidfd_send_signal(p->pidfd, signal, NULL, 0);
}

/* ---- its end ---- */

static bool look(Process *p)
{
    siginfo_t info = {0};
    if (p->has_ended) return true;
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) || !info.si_pid) return false;
    p->has_ended = true;
    p->how = (ProcessEnd){info.si_code != CLD_EXITED, info.si_status};
    return true;
}

/* A pause that run_cancel does not cut short: sock_wait gives up at once then. */
PARKS static void pause_ms(int64_t ms)
{
    Cond nobody = {0};
    cond_wait(&nobody, now_ms() + ms);
}

bool process_wait(Process *p, int64_t deadline_ms, ProcessEnd *end)
{
    while (!look(p)) {
        if (now_ms() >= deadline_ms) return false;
        p->end->ready &= (uint8_t)~SOCK_READABLE;
        if (sock_wait(p->end, SOCK_READABLE, deadline_ms, false) == WOKEN_CANCELLED) pause_ms(2);
    }
    *end = p->how;
    return true;
}

void process_free(Process *p)
{
    if (!p) return;
    if (!p->has_ended) {
        process_kill(p, SIGKILL);
        waitpid(p->pid, NULL, 0);
    }
    sock_close(p->end);
    free(p);
}

/* ---- in a child ---- */

Err process_follows(bool cores)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return failed("prctl");
    /* Leak checkers look into their own process. */
    if (!cores && !RUN_ASAN && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) return failed("prctl");
    return OK;
}

Err process_user(Slice user, uid_t *uid, gid_t *gid)
{
    Arena a arena_scoped = {0};
    char *room = arena_alloc(&a, 16384);
    struct passwd entry, *found = NULL;
    if (getpwnam_r(arena_cstr(&a, user), &entry, room, 16384, &found) || !found)
        return fail(ERR_NOT_FOUND, "there is no user %.*s", SP(user));
    *uid = entry.pw_uid, *gid = entry.pw_gid;
    return OK;
}

Err process_become(Slice user)
{
    Arena a arena_scoped = {0};
    uid_t uid;
    gid_t gid;
    TRY(process_user(user, &uid, &gid));
    if (initgroups(arena_cstr(&a, user), gid) || setgid(gid) || setuid(uid))
        return failed("becoming another user");
    return uid && !setuid(0) ? fail(ERR_IO, "becoming %.*s: the way back is open", SP(user)) : OK;
}

void process_gives_up_rights(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    for (unsigned long right = 0; right <= 63; right++)
        (void)prctl(PR_CAPBSET_DROP, right, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)syscall(SYS_capset, &head, none);
}
