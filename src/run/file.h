#pragma once
/* Files of the world, or of the simulated disk. These calls block: call them aside, from a helper
 * thread, or at start-up; file_read is the one for fibers. Paths are absolute or relative to the
 * working directory. Errors: ERR_IO, ERR_DISK_FULL, ERR_NOT_FOUND, ERR_EXISTS, ERR_IN_USE (lock),
 * ERR_READ_ONLY (read-only file system); the story names path and errno. */
#include "base/base.h"

typedef struct File File;
enum {
    FILE_READ = 0,
    FILE_WRITE = 1,     /* read and write */
    FILE_CREATE = 2,    /* create if missing, mode 0600 */
    FILE_EXCLUSIVE = 4, /* with FILE_CREATE: ERR_EXISTS if it is there */
    FILE_EMPTY = 8,     /* truncate */
};
Err file_open(Slice path, int flags, File **file) MUST_USE;
void file_close(File *f);
SCOPED(File, file, file_close)
Slice file_path(const File *f);
Err file_size(File *f, uint64_t *bytes) MUST_USE;
/* Exactly len bytes at offset; ERR_IO when the file ends before (story: "short"). */
Err file_read_at(File *f, uint64_t offset, void *out, size_t len) MUST_USE;
Err file_read_some(File *f, uint64_t offset, void *out, size_t len,
                   size_t *got) MUST_USE; /* fewer at the end of the file */
/* From a fiber: tries without blocking (RWF_NOWAIT), goes aside when the data is not in the page
 * cache. */
PARKS Err file_read(File *f, uint64_t offset, void *out, size_t len) MUST_USE;
Err file_write_at(File *f, uint64_t offset, const Slice *parts,
                  size_t count) MUST_USE; /* all of it, or an error */
Err file_sync(File *f) MUST_USE;          /* fdatasync; never call it again after it failed */
Err file_allocate(File *f, uint64_t offset,
                  uint64_t len) MUST_USE; /* extends the file with room that is really there */
Err file_punch(File *f, uint64_t offset,
               uint64_t len) MUST_USE; /* the range reads as zeros and takes no space */
Err file_truncate(File *f, uint64_t len) MUST_USE;
Err file_lock(File *f) MUST_USE; /* whole file, exclusive, until closed; ERR_IN_USE */

Err path_read(Slice path, size_t most, Arena *a,
              Slice *content) MUST_USE; /* ERR_TOO_BIG beyond `most` */
/* Writes beside it, syncs, renames over it, syncs the directory. */
Err path_replace(Slice path, Slice content) MUST_USE;
Err path_rename(Slice from, Slice to) MUST_USE;
Err path_unlink(Slice path) MUST_USE;
Err path_mkdir(Slice path) MUST_USE; /* one level, mode 0700; there already: OK */
/* The directory that it is in: "/a" of "/a/b" and of "/a/b/", "." of "b". Borrowed. */
Slice path_parent(Slice path);
Err path_sync_dir(Slice path) MUST_USE; /* makes names in it durable */
typedef struct {
    uint64_t size, blocks_bytes; /* blocks_bytes: what it really takes on disk */
    int64_t mtime;               /* Unix seconds */
    bool is_dir;
} PathInfo;
Err path_info(Slice path, PathInfo *info) MUST_USE;
/* Names in a directory without "." and "..", sorted by octets. */
Err path_list(Slice path, Arena *a, Slice **names, size_t *count) MUST_USE;
Err path_free_space(Slice path, uint64_t *bytes) MUST_USE;
bool path_is_network(Slice path); /* NFS, CephFS, SMB ... */
/* What is written goes where it was before: known of ext4, XFS and tmpfs. Others may want new room
 * for each change (Btrfs, ZFS). */
bool path_overwrites(Slice path);
