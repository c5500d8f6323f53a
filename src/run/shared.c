#include "run/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

Err shared_make(const char *name, size_t octets, int *fd)
{
    int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool good = made >= 0 && !ftruncate(made, (off_t)octets) &&
                !fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    if (good) {
        *fd = made;
        return OK;
    }
    Err err = fail(ERR_IO, "shared memory: %s", strerror(errno));
    if (made >= 0) close(made);
    return err;
}

Err shared_map(int fd, size_t octets, void **memory)
{
    struct stat s;
    if (fstat(fd, &s) || (uint64_t)s.st_size != octets)
        return fail(ERR_SYNTAX, "shared memory of another size");
    void *at = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return fail(ERR_IO, "mapping shared memory: %s", strerror(errno));
    *memory = at;
    return OK;
}

void shared_unmap(void *memory, size_t octets)
{
    if (memory) (void)munmap(memory, octets);
}
