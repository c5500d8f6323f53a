/* systemd's protocol, without its library: a datagram to the socket in NOTIFY_SOCKET
 * (sd_notify(3)).
 */
#include "house/warden_inside.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (!len || len >= sizeof to.sun_path || (*path != '/' && *path != '@')) return;
    memcpy(to.sun_path, path, len);
    if (*path == '@') to.sun_path[0] = 0; /* the abstract namespace: no NUL at the end */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t whole = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, whole);
    close(fd);
}

int64_t notify_watchdog_ms(void)
{
    uint64_t us, pid;
    if (!slice_to_u64(slice_of(getenv("WATCHDOG_USEC")), &us)) return 0;
    const char *who = getenv("WATCHDOG_PID");
    if (who && (!slice_to_u64(slice_of(who), &pid) || pid != (uint64_t)getpid())) return 0;
    return (int64_t)MIN(us / 1000, (uint64_t)3600 * 1000);
}
