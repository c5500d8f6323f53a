#pragma once
/* Internal to run/: the pieces of the real world. */
#include "run/helper.h"
#include "run/world.h"

#include <pthread.h>

typedef struct {
    int epoll, wake; /* wake: an eventfd */
    bool asleep;     /* about to wait: posters have to write to wake */
    pthread_t thread;
    Task end_task; /* makes it look whether main_fn has returned */
} RealLoop;

typedef struct {
    Helpers *helpers;
    RealLoop *loops;
    int signals; /* a signalfd, in loop 0's epoll */
} RealRun;

/* What epoll tells of a socket. */
void real_sock_event(Sock *s, unsigned epoll_events);

Err real_file_open(const char *path, int flags, File **file);
void real_file_close(File *f);
Err real_file_size(File *f, uint64_t *bytes);
Err real_file_read_some(File *f, uint64_t offset, void *out, size_t len, size_t *got);
Err real_file_read_cached(File *f, uint64_t offset, void *out, size_t len, size_t *got);
Err real_file_write_some(File *f, uint64_t offset, const Slice *parts, size_t count, size_t skip,
                         size_t *wrote);
Err real_file_sync(File *f);
Err real_file_allocate(File *f, uint64_t offset, uint64_t len);
Err real_file_punch(File *f, uint64_t offset, uint64_t len);
Err real_file_truncate(File *f, uint64_t len);
Err real_file_lock(File *f);
Err real_path_rename(const char *from, const char *to);
Err real_path_unlink(const char *path);
Err real_path_mkdir(const char *path);
Err real_path_sync_dir(const char *path);
Err real_path_info(const char *path, PathInfo *info);
Err real_path_list(const char *path, Arena *a, Slice **names, size_t *count);
Err real_path_free_space(const char *path, uint64_t *bytes);
bool real_path_is_network(const char *path);
bool real_path_overwrites(const char *path);

Err real_sock_listen(const Address *at, Sock **listener);
Err real_sock_try_accept(Sock *listener, Sock **conn);
Err real_sock_connect_begin(const Address *to, Sock **conn);
Err real_sock_connect_end(Sock *conn);
void real_sock_close(Sock *s);
Address real_sock_peer(const Sock *s);
Address real_sock_local(const Sock *s);
Err real_sock_try_read(Sock *s, void *out, size_t len, size_t *got);
Err real_sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent);
void real_sock_shutdown(Sock *s);
void real_sock_cut(Sock *s);
void real_sock_detach(Sock *s);
Err real_sock_attach(Sock *s);
void real_sock_will_wait(Sock *s, SockEvents what);
Err real_sock_adopt(int fd, Sock **sock); /* nonblocking; closed when it fails */
Err real_sock_pair(Sock **a, Sock **b);
