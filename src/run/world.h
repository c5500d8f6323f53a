#pragma once
/* Internal to run/: what a world has to provide. There are two, the real one (real*.c) and the
 * simulated one (sim*.c). Everything else in this room is written once, above this table. */
#include "run/file.h"
#include "run/loop.h"
#include "run/ring.h"
#include "run/sock.h"

/* Each world's File and Sock begin with these. Paths here are C strings: they go to system calls.
 */
struct File {
    const World *world;
    const char *path; /* freed with the file */
};

struct Sock {
    const World *world;
    Loop *loop;              /* NULL: detached */
    Fiber *reader, *writer;  /* who waits; may be the same */
    uint8_t ready;           /* SockEvents that a try may find true */
    bool hung;               /* the peer has closed: reading is always ready */
    bool more;               /* see sock_more */
    bool asks;               /* its world is told of each wait, not only of those to write */
    uint16_t waits_in_a_row; /* answered at once */
};

struct World {
    const char *name;
    int64_t (*now_us)(void);
    int64_t (*wall_ms)(void);
    void (*random_bytes)(void *out, size_t len);

    void (*loop_wake)(Loop *loop); /* something was posted; any thread */
    bool (*breath_is_due)(Loop *loop);
    void (*job_queue)(Job *job);
    void (*mutex_lock)(Mutex *m);
    void (*mutex_unlock)(Mutex *m);

    Err (*file_open)(const char *path, int flags, File **file);
    void (*file_close)(File *f);
    Err (*file_size)(File *f, uint64_t *bytes);
    Err (*file_read_some)(File *f, uint64_t offset, void *out, size_t len, size_t *got);
    /* What can be had without waiting for the disk; *got less than len: the rest has to wait. */
    Err (*file_read_cached)(File *f, uint64_t offset, void *out, size_t len, size_t *got);
    /* Parts that are not all empty, the first one from `skip` on (which is inside it). *wrote:
     * perhaps less than all; 0 when a signal came first. */
    Err (*file_write_some)(File *f, uint64_t offset, const Slice *parts, size_t count, size_t skip,
                           size_t *wrote);
    Err (*file_sync)(File *f);
    Err (*file_allocate)(File *f, uint64_t offset, uint64_t len);
    Err (*file_punch)(File *f, uint64_t offset, uint64_t len);
    Err (*file_truncate)(File *f, uint64_t len);
    Err (*file_lock)(File *f);
    Err (*path_rename)(const char *from, const char *to);
    Err (*path_unlink)(const char *path);
    Err (*path_mkdir)(const char *path);
    Err (*path_sync_dir)(const char *path);
    Err (*path_info)(const char *path, PathInfo *info);
    Err (*path_list)(const char *path, Arena *a, Slice **names, size_t *count); /* any order */
    Err (*path_free_space)(const char *path, uint64_t *bytes);
    bool (*path_is_network)(const char *path);
    bool (*path_overwrites)(const char *path);

    Err (*sock_listen)(const Address *at, Sock **listener);
    /* OK and NULL: nobody there; else of no loop. */
    Err (*sock_try_accept)(Sock *listener, Sock **conn);
    /* Begins; the connection is made, or has failed, when it is writable. */
    Err (*sock_connect_begin)(const Address *to, Sock **conn);
    Err (*sock_connect_end)(Sock *conn);
    void (*sock_close)(Sock *s);
    Address (*sock_peer)(const Sock *s);
    Address (*sock_local)(const Sock *s);
    Err (*sock_try_read)(Sock *s, void *out, size_t len, size_t *got);
    Err (*sock_try_write)(Sock *s, const Slice *parts, size_t count, size_t *sent);
    void (*sock_shutdown)(Sock *s);
    void (*sock_cut)(Sock *s);
    void (*sock_detach)(Sock *s);
    Err (*sock_attach)(Sock *s);
    void (*sock_will_wait)(Sock *s, SockEvents what); /* to write, or it asks; may be NULL */
    Err (*sock_pair)(Sock **a, Sock **b);

    Err (*ring_pair)(Ring **first, Ring **second);
    Err (*ring_attach)(Ring *r);
    void (*ring_close)(Ring *r);
    void (*ring_show)(Ring *r);      /* put and took are others now */
    void (*ring_turn_ends)(Ring *r); /* once after that: wakes the other end */
};

extern const World real_world;
/* The world this thread lives in; the real one unless a sim_run is on. */
extern _Thread_local const World *world;

/* More can be tried: wakes who waits for it. */
void sock_announce(Sock *s, unsigned events);
