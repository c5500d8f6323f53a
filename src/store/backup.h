#pragma once
/* Backups: a directory on any file system that a store can be put back from, as it was at any
 * moment that the directory reaches. Because the log only grows, a backup is copies of files, and
 * one that follows another copies only what has been added.
 *
 *   DIR/LOCK
 *   DIR/full-000001/                a set: one full backup and those that build on it
 *       log/00000007.seg            the store's segments, up to where a backup found their end.
 * They only grow: what died after it was copied is not punched here big/0123456789abcdef bodies
 * over 1 MiB gen-000003/manifest         a generation: the state at one moment. Without a manifest
 * it is index, keeper    unfinished and does not count progress                    what an
 * unfinished one has copied already (same lines)
 *
 * A manifest is text. Its last line is the SHA-256 of those before:
 *
 *   posthouse backup 1
 *   store UUID | generation N | position LSN | end LSN | last LSN | chain N | moment UNIX-SECONDS
 *   index 0 SIZE SHA256 | keeper 0 SIZE SHA256
 *   segment NUMBER SIZE SHA256      of its first SIZE octets
 *   big ID SIZE SHA256
 *   sha256 SHA256
 *
 * The index is as of `position`; the log from there to `end` brings it to `moment`, and what later
 * generations of the set have of the log, to any moment up to theirs: records carry their time.
 * Everything here blocks: call it aside. */
#include "base/table.h"
#include "store/engine.h"

typedef struct {
    uint64_t id, size; /* id: number of the segment, name of the big body */
    uint8_t sha256[32];
} BackupFile;
typedef struct {
    BackupFile *items;
    size_t count, room;
} BackupFiles;
typedef struct {
    uint8_t uuid[16]; /* the store's */
    uint32_t generation;
    uint64_t position, end, last;
    uint32_t chain;
    int64_t moment;
    BackupFile index, keeper; /* keeper: size 0: there is none */
    BackupFiles segments, big;
} Manifest;
void manifest_encode(Buf *out, const Manifest *m);
Err manifest_decode(Slice text, Manifest *m) MUST_USE; /* ERR_CORRUPT; untrusted */
void manifest_done(Manifest *m);
BackupFile *backup_file_add(BackupFiles *f);
void backup_line(Buf *out, const char *word, const BackupFile *f); /* with its line end */
bool backup_id_decode(Slice name, uint64_t *id) MUST_USE; /* of a big body: 16 hex digits */
bool backup_line_decode(Slice line, const char *word, BackupFile *f) MUST_USE;

/* Called now and then with the octets worked through since the last call; false: stop, with
 * ERR_CANCELLED. */
typedef bool BackupTold(void *arg, uint64_t octets);

/* ---- making one ----
 * job_open, engine_backup_begin, job_begin, job_index, job_big, job_segment for each segment (and
 * engine_backup_passed), job_finish, engine_backup_end, job_close. Stopped anywhere, the directory
 * is as good as before, and the next backup goes on with what was copied. */
typedef struct {
    Slice store, dir; /* directories */
    bool full;        /* begin a new set in any case */
    Slice keeper;     /* the keeper's state, one file; it is moved away. Empty: none */
    BackupTold *told;
    void *told_arg;
    /* out */
    bool is_full;       /* it is the first of its set */
    uint64_t copied;    /* octets */
    Manifest now;       /* what is being written */
    EngineBackup *plan; /* since job_begin */
    /* own */
    Arena arena;
    Slice set;
    Manifest before;           /* generation 0: none */
    NumberTable segments, big; /* id -> BackupFile: what need not be copied again */
    BackupFiles progress_big;  /* copied, not written down yet */
    struct File *lock_file, *progress;
    uint64_t progress_at;
} BackupJob;
Err job_open(BackupJob *j) MUST_USE; /* ERR_IN_USE: another backup into this directory */
Err job_begin(BackupJob *j, EngineBackup *plan) MUST_USE;
Err job_index(BackupJob *j) MUST_USE;
Err job_big(BackupJob *j) MUST_USE;
Err job_segment(BackupJob *j, size_t i) MUST_USE; /* i-th of the plan */
Err job_finish(BackupJob *j) MUST_USE;            /* afterwards it counts */
void job_close(BackupJob *j);
uint64_t job_octets(const BackupJob *j); /* what is to be copied of the log, after job_begin */
Err backup_prune(Slice dir, int64_t before,
                 unsigned *gone) MUST_USE; /* what no moment since needs */

/* ---- looking at one ---- */
typedef struct {
    Slice set; /* its path */
    Manifest m;
} Generation;
typedef struct {
    Arena arena;
    Generation *items; /* by moment; those with a sound manifest */
    size_t count;
    size_t damaged; /* manifests that are not */
} Generations;
Err generations_read(Slice dir, Generations *g) MUST_USE; /* ERR_NOT_FOUND: no backup */
void generations_done(Generations *g);
SCOPED(Generations, generations, generations_done)
/* Reads every file again and compares: report(arg, line) for each that is not what it was. */
Err backup_verify(Slice dir, void (*report)(void *arg, Slice line), void *arg, BackupTold *told,
                  void *told_arg, uint64_t *files, uint64_t *bad) MUST_USE;

/* ---- putting one back ---- */
typedef struct {
    Slice dir, store; /* from, to: an empty directory, or one that is not there yet */
    int64_t at;       /* Unix seconds; 0: the newest */
    bool look;        /* only to be looked at (EngineOptions.look_only): most files are not copied
                         but referred to by symbolic links */
    BackupTold *told;
    void *told_arg;
    int64_t moment; /* out: what it is the state of */
    uint64_t copied;
} Restoring;
/* Files only; opening the store recovers from them. ERR_NOT_FOUND: that moment is not in the
 * backup; ERR_EXISTS: the directory is not empty; ERR_CORRUPT. */
Err backup_restore(Restoring *r) MUST_USE;

/* backup_files.c: what both directions use */
typedef struct {
    Slice from, to;
    uint64_t begin, end;  /* which octets; `to` has those before `begin` */
    const uint8_t *known; /* their SHA-256; if it does not hold: ERR_CORRUPT */
    uint8_t sha256[32];   /* out: of all octets up to `end` */
    BackupTold *told;
    void *told_arg;
} BackupCopy;
/* Holes stay holes; synced. ERR_NOT_FOUND: there is no such file to be copied. */
Err backup_copy_file(BackupCopy *c) MUST_USE;
/* SHA-256 of the first `size` octets. */
Err backup_hash_file(Slice path, uint64_t size, uint8_t sha256[32], BackupTold *told,
                     void *told_arg) MUST_USE;
Err backup_make_dirs(Slice path) MUST_USE; /* all levels */
