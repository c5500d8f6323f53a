#include "store/backup.h"

#include "run/file.h"
#include "store/digest.h"

#include <stdlib.h>

enum { PIECE = 1024 * 1024, HOLE_UNIT = 64 * 1024 };

static Err told(BackupTold *tell, void *arg, uint64_t octets)
{
    if (!tell || tell(arg, octets)) return OK;
    return fail(ERR_CANCELLED, "stopped");
}

/* `from` up to `to` of a file into the digest. */
static Err hash_range(File *f, uint64_t from, uint64_t to, Digest *d, char *piece, BackupTold *tell,
                      void *arg)
{
    for (uint64_t at = from, len; at < to; at += len) {
        len = MIN(to - at, (uint64_t)PIECE);
        TRY(file_read_at(f, at, piece, len));
        digest_add(d, slice(piece, len));
        TRY(told(tell, arg, len));
    }
    return OK;
}

Err backup_hash_file(Slice path, uint64_t size, uint8_t sha256[32], BackupTold *tell, void *arg)
{
    File *f scoped(file) = NULL;
    TRY(file_open(path, FILE_READ, &f));
    Digest *d = digest_new();
    char *piece = (char *)mem_new(PIECE);
    Err err = hash_range(f, 0, size, d, piece, tell, arg);
    digest_end(d, sha256);
    digest_free(d);
    free(piece);
    return err;
}

/* len: at least 1 */
static bool is_zero(const char *at, size_t len)
{
    return !at[0] && !memcmp(at, at + 1, len - 1);
}

/* What reads as zeros is left out: it was punched, and is to take no room here either. */
static Err write_piece(File *to, uint64_t at, const char *piece, size_t len)
{
    for (size_t done = 0, n; done < len; done += n) {
        n = MIN(len - done, (size_t)HOLE_UNIT);
        if (is_zero(piece + done, n)) continue;
        while (done + n < len && !is_zero(piece + done + n, MIN(len - done - n, (size_t)HOLE_UNIT)))
            n += MIN(len - done - n, (size_t)HOLE_UNIT);
        Slice part = slice(piece + done, n);
        TRY(file_write_at(to, at + done, &part, 1));
    }
    return OK;
}

static Err copy_range(BackupCopy *c, File *from, File *to, Digest *d, char *piece)
{
    for (uint64_t at = c->begin, len; at < c->end; at += len) {
        len = MIN(c->end - at, (uint64_t)PIECE);
        TRY(file_read_at(from, at, piece, len));
        digest_add(d, slice(piece, len));
        TRY(write_piece(to, at, piece, len));
        TRY(told(c->told, c->told_arg, len));
    }
    TRY(file_truncate(to, c->end)); /* there may have been a hole at the end */
    return file_sync(to);
}

/* What is there already must be what it was, or what is added would look sound. */
static Err check_begin(BackupCopy *c, File *to, Digest *d, char *piece)
{
    uint8_t sha256[32];
    uint64_t size;
    if (!c->begin) return OK;
    TRY(file_size(to, &size));
    if (size < c->begin) return fail(ERR_CORRUPT, "%.*s has become shorter", SP(c->to));
    TRY(hash_range(to, 0, c->begin, d, piece, NULL, NULL));
    digest_peek(d, sha256);
    if (!memcmp(sha256, c->known, sizeof sha256)) return OK;
    return fail(ERR_CORRUPT, "%.*s is not what it was", SP(c->to));
}

Err backup_copy_file(BackupCopy *c)
{
    File *from scoped(file) = NULL, *to scoped(file) = NULL;
    int mode = FILE_WRITE | FILE_CREATE | (c->begin ? 0 : FILE_EMPTY);
    TRY(file_open(c->from, FILE_READ, &from));
    Err err = file_open(c->to, mode, &to);
    /* NOT_FOUND is for what is to be copied */
    if (err == ERR_NOT_FOUND) return fail(ERR_IO, "%.*s: its directory is gone", SP(c->to));
    TRY(err);
    Digest *d = digest_new();
    char *piece = (char *)mem_new(PIECE);
    err = check_begin(c, to, d, piece);
    if (!err) err = file_truncate(to, c->begin); /* what an unfinished copy has left */
    if (!err) err = copy_range(c, from, to, d, piece);
    digest_end(d, c->sha256);
    digest_free(d);
    free(piece);
    return err;
}

/* One that is made is made durable; those that are there may not even be ours to read. */
Err backup_make_dirs(Slice path)
{
    Arena arena_scoped a = {0};
    PathInfo info;
    while (path.len > 1 && path.at[path.len - 1] == '/')
        path.len--;
    for (size_t i = 1; i <= path.len; i++) {
        Slice level = slice_first(path, i);
        if ((i < path.len && path.at[i] != '/') || !path_info(arena_copy(&a, level), &info))
            continue;
        TRY(path_mkdir(arena_copy(&a, level)));
        TRY(path_sync_dir(arena_copy(&a, path_parent(level))));
    }
    return OK;
}
