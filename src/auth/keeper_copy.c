#include "auth/keeper_copy.h"

#include "run/file.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

static Err copy_failed(int rc)
{
    return fail(rc == ENOSPC ? ERR_DISK_FULL : ERR_IO, "keeper: copy: %s", mdb_strerror(rc));
}

Err keeper_copy(Slice dir, Slice to)
{
    Arena a arena_scoped = {0};
    PathInfo info;
    MDB_env *env;
    TRY(path_info(arena_printf(&a, "%.*s/data.mdb", SP(dir)), &info));
    if (mdb_env_create(&env)) out_of_memory(0);
    int rc = mdb_env_open(env, arena_cstr(&a, dir), MDB_NOTLS | MDB_RDONLY, 0600);
    int fd = rc ? -1 : open(arena_cstr(&a, to), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (!rc && fd < 0) rc = errno;
    if (!rc) rc = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
    if (fd >= 0) close(fd); /* it is read, and what is read is synced, by whoever wants it */
    mdb_env_close(env);
    return rc ? copy_failed(rc) : OK;
}
