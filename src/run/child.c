#include "run/child.h"

#include "run/real.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;
enum { CHILD_FD = 3 };

static int spawn(const char *const *args, int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t pid;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int rc = posix_spawn_file_actions_adddup2(&actions, fd, CHILD_FD);
    if (!rc) rc = posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_FD + 1);
    if (!rc) rc = posix_spawnattr_setsigmask(&attributes, &none);
    if (!rc) rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!rc)
        rc = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes,
                         (char *const *)(uintptr_t)args, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

Err child_start(const char *const *args, Sock **sock)
{
    int fds[2];
    if (world != &real_world) return fail(ERR_UNSUPPORTED, "no processes here");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
        return fail(ERR_IO, "socketpair: %s", strerror(errno));
    int rc = spawn(args, fds[1]);
    close(fds[1]);
    if (!rc) return real_sock_adopt(fds[0], sock);
    close(fds[0]);
    return fail(ERR_IO, "starting %s: %s", args[0], strerror(rc));
}

Err child_sock(Sock **sock)
{
    int flags = fcntl(CHILD_FD, F_GETFL);
    if (flags < 0 || fcntl(CHILD_FD, F_SETFL, flags | O_NONBLOCK) ||
        fcntl(CHILD_FD, F_SETFD, FD_CLOEXEC))
        return fail(ERR_CONFIG, "this is for the server to start");
    return real_sock_adopt(CHILD_FD, sock);
}
