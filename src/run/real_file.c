/* Files of the kernel. */
#include "run/real.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

typedef struct {
    File file;
    int fd;
} RealFile;

static int fd_of(const File *f)
{
    return ((const RealFile *)f)->fd; /* the File is its first member */
}

static Err file_failed(const char *doing, const char *path)
{
    int e = errno;
    Err err = e == ENOSPC || e == EDQUOT    ? ERR_DISK_FULL
              : e == ENOENT || e == ENOTDIR ? ERR_NOT_FOUND
              : e == EEXIST                 ? ERR_EXISTS
              : e == EROFS                  ? ERR_READ_ONLY
              : e == EMFILE || e == ENFILE  ? ERR_LIMIT
              : e == EWOULDBLOCK            ? ERR_IN_USE
                                            : ERR_IO;
    return fail(err, "%s %s: %s", doing, path, strerror(e));
}

Err real_file_open(const char *path, int flags, File **file)
{
    int how = O_CLOEXEC | (flags & FILE_WRITE ? O_RDWR : O_RDONLY);
    if (flags & FILE_CREATE) how |= O_CREAT;
    if (flags & FILE_EXCLUSIVE) how |= O_EXCL;
    if (flags & FILE_EMPTY) how |= O_TRUNC;
    int fd = (int)TEMP_FAILURE_RETRY(open(path, how, 0600));
    if (fd < 0) return file_failed("open", path);
    RealFile *f = NEW(RealFile);
    f->fd = fd;
    *file = &f->file;
    return OK;
}

void real_file_close(File *f)
{
    close(fd_of(f));
    free(f);
}

Err real_file_size(File *f, uint64_t *bytes)
{
    struct stat st;
    if (fstat(fd_of(f), &st) != 0) return file_failed("stat", f->path);
    *bytes = (uint64_t)st.st_size;
    return OK;
}

Err real_file_read_some(File *f, uint64_t offset, void *out, size_t len, size_t *got)
{
    ssize_t n;
    do {
        n = pread(fd_of(f), out, len, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return file_failed("read", f->path);
    *got = (size_t)n;
    return OK;
}

/* Some file systems know no RWF_NOWAIT (EOPNOTSUPP), some give a part: whatever is missing is for
 * the slow way to find out. */
Err real_file_read_cached(File *f, uint64_t offset, void *out, size_t len, size_t *got)
{
    struct iovec part = {out, len};
    ssize_t n = preadv2(fd_of(f), &part, 1, (off_t)offset, RWF_NOWAIT);
    *got = n > 0 ? (size_t)n : 0;
    return OK;
}

enum { FEW = 16, VECTOR = 1024 /* IOV_MAX of Linux */ };

static void fill_vector(struct iovec *iov, const Slice *parts, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++, skip = 0)
        iov[i] = (struct iovec){(char *)(uintptr_t)parts[i].at + skip, parts[i].len - skip};
}

static Err write_vector(File *f, uint64_t offset, const struct iovec *iov, size_t count,
                        size_t *wrote)
{
    ssize_t n = pwritev(fd_of(f), iov, (int)count, (off_t)offset);
    if (n < 0 && errno != EINTR) return file_failed("write", f->path);
    if (n == 0) return fail(ERR_IO, "write %s: nothing was written", f->path);
    *wrote = n < 0 ? 0 : (size_t)n;
    return OK;
}

Err real_file_write_some(File *f, uint64_t offset, const Slice *parts, size_t count, size_t skip,
                         size_t *wrote)
{
    struct iovec few[FEW];
    count = MIN(count, (size_t)VECTOR);
    struct iovec *iov = count <= FEW ? few : mem_new(array_bytes(count, sizeof *iov));
    fill_vector(iov, parts, count, skip);
    Err err = write_vector(f, offset, iov, count, wrote);
    if (iov != few) free(iov);
    return err;
}

/* Not even after EINTR is it called again: what it has told the kernel to forget is forgotten. */
Err real_file_sync(File *f)
{
    return fdatasync(fd_of(f)) == 0 ? OK : file_failed("sync", f->path);
}

static Err write_zeros(File *f, uint64_t offset, uint64_t len)
{
    static const char zeros[4096];
    while (len) {
        Slice part = slice(zeros, (size_t)MIN(len, (uint64_t)sizeof zeros));
        TRY(file_write_at(f, offset, &part, 1));
        offset += part.len;
        len -= part.len;
    }
    return OK;
}

static bool not_supported(void)
{
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
}

/* Where the file system cannot reserve, zeros behind the end do it; inside, the room is there. */
Err real_file_allocate(File *f, uint64_t offset, uint64_t len)
{
    if (TEMP_FAILURE_RETRY(fallocate(fd_of(f), 0, (off_t)offset, (off_t)len)) == 0) return OK;
    if (!not_supported()) return file_failed("allocate", f->path);
    uint64_t size = 0;
    TRY(real_file_size(f, &size));
    if (offset + len <= size) return OK;
    uint64_t from = MAX(offset, size);
    return write_zeros(f, from, offset + len - from);
}

/* Never makes the file longer. */
Err real_file_punch(File *f, uint64_t offset, uint64_t len)
{
    int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (TEMP_FAILURE_RETRY(fallocate(fd_of(f), how, (off_t)offset, (off_t)len)) == 0) return OK;
    if (!not_supported()) return file_failed("punch", f->path);
    uint64_t size = 0;
    TRY(real_file_size(f, &size));
    if (offset >= size) return OK;
    return write_zeros(f, offset, MIN(len, size - offset));
}

Err real_file_truncate(File *f, uint64_t len)
{
    int failed = (int)TEMP_FAILURE_RETRY(ftruncate(fd_of(f), (off_t)len));
    return failed ? file_failed("truncate", f->path) : OK;
}

Err real_file_lock(File *f)
{
    return flock(fd_of(f), LOCK_EX | LOCK_NB) == 0 ? OK : file_failed("lock", f->path);
}

/* ---- paths ---- */

Err real_path_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? OK : file_failed("rename", from);
}

Err real_path_unlink(const char *path)
{
    return unlink(path) == 0 ? OK : file_failed("unlink", path);
}

Err real_path_mkdir(const char *path)
{
    if (mkdir(path, 0700) == 0) return OK;
    struct stat st;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return OK;
    return file_failed("mkdir", path);
}

Err real_path_sync_dir(const char *path)
{
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0 && errno == EACCES) return fail(ERR_FORBIDDEN, "open %s: not allowed", path);
    if (fd < 0) return file_failed("open", path);
    Err err = fsync(fd) == 0 ? OK : file_failed("sync", path);
    close(fd);
    return err;
}

Err real_path_info(const char *path, PathInfo *info)
{
    struct stat st;
    if (stat(path, &st) != 0) return file_failed("stat", path);
    *info = (PathInfo){
        .size = (uint64_t)st.st_size,
        .blocks_bytes = (uint64_t)st.st_blocks * 512,
        .mtime = st.st_mtime,
        .is_dir = S_ISDIR(st.st_mode),
    };
    return OK;
}

Err real_path_list(const char *path, Arena *a, Slice **names, size_t *count)
{
    DIR *dir = opendir(path);
    if (!dir) return file_failed("open", path);
    Slice *list = NULL;
    size_t n = 0, room = 0;
    errno = 0;
    for (struct dirent *d; (d = readdir(dir)); errno = 0) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")) continue;
        if (n == room) {
            room = MAX(room * 2, (size_t)32);
            Slice *larger = arena_array(a, Slice, room);
            if (n) memcpy(larger, list, n * sizeof *list);
            list = larger;
        }
        list[n++] = arena_copy(a, slice_of(d->d_name));
    }
    Err err = errno ? file_failed("list", path) : OK;
    closedir(dir);
    *names = list;
    *count = n;
    return err;
}

Err real_path_free_space(const char *path, uint64_t *bytes)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0) return file_failed("statvfs", path);
    *bytes = (uint64_t)v.f_bavail * v.f_frsize;
    return OK;
}

static bool is_one_of(const char *path, const unsigned long *kinds, size_t count)
{
    struct statfs s;
    if (statfs(path, &s) != 0) return false;
    for (size_t i = 0; i < count; i++)
        if ((unsigned long)(uint32_t)s.f_type == kinds[i]) return true;
    return false;
}

bool real_path_is_network(const char *path)
{
    /* statfs(2); CephFS from the kernel's ceph_fs.h */
    static const unsigned long network[] = {
        0x6969 /* NFS */,      0x517B /* SMB */,    0xFF534D42 /* CIFS */, 0xFE534D42 /* SMB2 */,
        0x00C36400 /* Ceph */, 0x01021997 /* 9P */, 0x5346414F /* AFS */,  0x0BD00BD0 /* Lustre */,
    };
    return is_one_of(path, network, COUNT(network));
}

bool real_path_overwrites(const char *path)
{
    static const unsigned long known[] = {0xEF53 /* ext4 */, 0x58465342 /* XFS */,
                                          0x01021994 /* tmpfs */};
    return is_one_of(path, known, COUNT(known));
}
