#pragma once
/* Internal to run/: the pieces of the simulated world. Everything is one thread; where the real
 * world has several, the seed decides who goes next. Times in here are virtual microseconds. */
#include "run/sim.h"
#include "run/world.h"

/* Loops, and helpers of their own. What is open says whose it is. */
struct SimProcess {
    Run run;
    Loop *loops; /* the last one stands for the helper threads */
    Job *first_job, **last_job;
    unsigned helpers_busy;
    bool gone;
    SimProcess *next;
};

typedef struct {
    SimConfig config;
    SimProcess *processes; /* the last one is the first */
    uint64_t random;
    int64_t now_us, started_us;
    Timers timers;
    SimDisk *disk;
    bool disk_is_ours;
    uint64_t locks; /* last number given to a locked file */
    Link listeners, socks, files, rings;
    uint16_t next_port;
    int64_t ring_seen_us[2]; /* when the last of what second, first ends did is seen */
    Link ring_showings;      /* what has been done and not seen, in order */
} Sim;

extern _Thread_local Sim *sim_now; /* NULL: this thread is not simulated */
extern const World sim_world;

SimProcess *sim_process_now(void);
SimProcess *sim_process_new(Sim *s, unsigned loops);
/* A process is gone: what it had open is closed. */
void sim_socks_lost(const SimProcess *p);
void sim_files_lost(const SimProcess *p);
void sim_rings_lost(const SimProcess *p);

uint64_t sim_below(uint64_t n); /* 0 .. n-1 */
bool sim_one_in(unsigned n);
int64_t sim_spread(int64_t mean_us); /* 0 .. 2 * mean */
uint64_t sim_next(uint64_t *state);
/* A simulated helper waits; anybody else is not seen to. */
void sim_takes(int64_t mean_us);

Err sim_file_open(const char *path, int flags, File **file);
void sim_file_close(File *f);
Err sim_file_size(File *f, uint64_t *bytes);
Err sim_file_read_some(File *f, uint64_t offset, void *out, size_t len, size_t *got);
Err sim_file_read_cached(File *f, uint64_t offset, void *out, size_t len, size_t *got);
Err sim_file_write_some(File *f, uint64_t offset, const Slice *parts, size_t count, size_t skip,
                        size_t *wrote);
Err sim_file_sync(File *f);
Err sim_file_allocate(File *f, uint64_t offset, uint64_t len);
Err sim_file_punch(File *f, uint64_t offset, uint64_t len);
Err sim_file_truncate(File *f, uint64_t len);
Err sim_file_lock(File *f);
Err sim_path_rename(const char *from, const char *to);
Err sim_path_unlink(const char *path);
Err sim_path_mkdir(const char *path);
Err sim_path_sync_dir(const char *path);
Err sim_path_info(const char *path, PathInfo *info);
Err sim_path_list(const char *path, Arena *a, Slice **names, size_t *count);
Err sim_path_free_space(const char *path, uint64_t *bytes);
bool sim_path_is_network(const char *path);
bool sim_path_overwrites(const char *path);

Err sim_sock_listen(const Address *at, Sock **listener);
Err sim_sock_try_accept(Sock *listener, Sock **conn);
Err sim_sock_connect_begin(const Address *to, Sock **conn);
Err sim_sock_connect_end(Sock *conn);
void sim_sock_close(Sock *s);
Address sim_sock_peer(const Sock *s);
Address sim_sock_local(const Sock *s);
Err sim_sock_try_read(Sock *s, void *out, size_t len, size_t *got);
Err sim_sock_try_write(Sock *s, const Slice *parts, size_t count, size_t *sent);
void sim_sock_shutdown(Sock *s);
void sim_sock_cut(Sock *s);
void sim_sock_detach(Sock *s);
Err sim_sock_attach(Sock *s);
Err sim_sock_pair(Sock **a, Sock **b);
