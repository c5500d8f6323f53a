#pragma once
/* Other processes of this program, and the post between them and us: whole messages with
 * descriptors attached. The real world only (ERR_UNSUPPORTED in the simulated one); fibers of one
 * loop use a Process or a Post.
 *
 * Vocabulary: a Process is a child of ours. A Post is one end of a pair; what is sent at one end
 * arrives whole at the other, or not at all. */
#include "run/sock.h"

#include <sys/types.h>

/* ---- descriptors that travel ---- */
enum { FDS_MOST = 16 };
typedef struct {
    int fd[FDS_MOST];
    size_t count;
} Fds; /* {0} is empty and valid */
void fds_add(Fds *fds, int fd);
void fds_close(Fds *fds); /* all of them; {0} again */
int fds_take(Fds *fds);   /* the first one, now the caller's; -1: none is left */

/* ---- the post ---- */
typedef struct Post Post;
enum { POST_MOST = 64 * 1024, /* octets of a message */ POST_OF_PARENT = 3 /* the descriptor */ };
Err post_pair(Post **here, int *there) MUST_USE; /* there: for another process, a descriptor */
Err post_of_parent(Post **post) MUST_USE;        /* in a process that process_start has started */
bool post_is_there(void);                        /* whether we are one */
void post_close(Post *p);
SCOPED(Post, post, post_close)
/* Neither waits. The descriptors stay the caller's. ERR_LIMIT: no room now; ERR_END: nobody there.
 */
Err post_send(Post *p, Slice message, const Fds *fds) MUST_USE;
/* The next message; its descriptors are the caller's. *message empty: nothing is there now.
 * ERR_END; ERR_SYNTAX: too long, or too many descriptors (which are closed). */
Err post_take(Post *p, Buf *message, Fds *fds) MUST_USE;
PARKS Wake post_wait(Post *p, SockEvents what, int64_t deadline_ms, bool nudges);

/* ---- children ---- */
typedef struct Process Process;
typedef struct {
    bool by_signal;
    int code; /* the exit code, or the signal */
} ProcessEnd;
/* Starts a program. args[0] is its name, NULL ends them. It has `post` as its parent's, the
 * standard error of ours, and no other descriptor. It does not outlive us by more than a moment,
 * once it has called process_follows. */
Err process_start(const char *program, const char *const *args, Process **process,
                  Post **post) MUST_USE;
pid_t process_pid(const Process *p);
void process_kill(Process *p, int signal); /* no effect once it has ended */
/* Until it has ended (true) or the deadline. Not cancelled. */
PARKS bool process_wait(Process *p, int64_t deadline_ms, ProcessEnd *end);
void process_free(Process *p); /* one that has not ended is killed */

/* ---- in a child ---- */
/* From now on the end of the parent ends us too (SIGKILL); nothing we start has more rights than
 * we; and no other user may look into us, nor does a crash leave a core, unless `cores`. After
 * changing the user: that takes the first back. */
Err process_follows(bool cores) MUST_USE;
/* Who that is. ERR_NOT_FOUND. */
Err process_user(Slice user, uid_t *uid, gid_t *gid) MUST_USE;
/* Gives up being root, for every thread, for ever. ERR_NOT_FOUND: no such user. */
Err process_become(Slice user) MUST_USE;

/* Gives up all capabilities, also those that root would have, for us and whom we start: for this
 * thread, so before there are others. What the system keeps us from giving up stays. */
void process_gives_up_rights(void);

/* ---- sockets by descriptor ---- */
/* Opens a listener for others; of_many: several sockets may listen at this address, and the kernel
 * spreads the connections over them. Not for Unix sockets, whose listener is shared. */
Err listener_open(const Address *at, bool of_many, int *fd) MUST_USE;
Address listener_address(int fd); /* where it listens */
/* A socket that came from elsewhere, attached to this loop; taken over also when it fails. */
Err sock_of_fd(int fd, Sock **sock) MUST_USE;
