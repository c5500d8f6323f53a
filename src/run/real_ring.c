#include "run/real.h"
#include "run/ring_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory ---- */

/* Sealed: whoever shrank it would kill us at our next look (SIGBUS). */
static Err memory_make(int *fd)
{
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
    int memory = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0) return fail(ERR_LIMIT, "memfd_create: %s", strerror(errno));
    if (ftruncate(memory, RING_FILE) != 0 || fcntl(memory, F_ADD_SEALS, SEALS) != 0) {
        Err err = fail(ERR_LIMIT, "memory for a ring: %s", strerror(errno));
        close(memory);
        return err;
    }
    *fd = memory;
    return OK;
}

static bool is_sealed(int memory)
{
    struct stat st;
    int seals = fcntl(memory, F_GET_SEALS);
    return seals >= 0 && seals & F_SEAL_SHRINK && fstat(memory, &st) == 0 &&
           st.st_size == RING_FILE;
}

enum { MAPPED = 2 * RING_WORDS + 4 * RING_BYTES };

static bool map_at(char *at, size_t octets, int memory, off_t offset)
{
    return mmap(at, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, offset) == at;
}

static bool map_all(char *base, int memory)
{
    off_t from = 0;
    if (!map_at(base, 2 * RING_WORDS, memory, from)) return false;
    base += 2 * RING_WORDS;
    from += 2 * RING_WORDS;
    for (int direction = 0; direction < 2; direction++, from += RING_BYTES)
        for (int twice = 0; twice < 2; twice++, base += RING_BYTES)
            if (!map_at(base, RING_BYTES, memory, from)) return false;
    return true;
}

Err ring_map(int memory, bool first, Ring **ring)
{
    if (!is_sealed(memory)) return fail(ERR_SYNTAX, "this is no ring");
    char *base = mmap(NULL, MAPPED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return fail(ERR_LIMIT, "mmap of a ring: %s", strerror(errno));
    if (!map_all(base, memory)) {
        Err err = fail(ERR_LIMIT, "mmap of a ring: %s", strerror(errno));
        munmap(base, MAPPED);
        return err;
    }
    Ring *r = NEW(Ring);
    *r = (Ring){.mapping = base, .first = first, .wake_us = -1, .wake_them = -1};
    RingWords *one = (RingWords *)(void *)base;
    RingWords *two = (RingWords *)(void *)(base + RING_WORDS);
    char *there = base + 2 * RING_WORDS, *back = there + 2 * RING_BYTES;
    r->ours = first ? one : two;
    r->theirs = first ? two : one;
    r->out = first ? there : back;
    r->in = first ? back : there;
    *ring = r;
    return OK;
}

void ring_unmap(Ring *r)
{
    munmap(r->mapping, MAPPED);
    free(r);
}

/* ---- making and opening ---- */

static void close_one(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void ring_fds_close(RingFds *fds)
{
    close_one(&fds->memory);
    close_one(&fds->wake_first);
    close_one(&fds->wake_second);
}

Err ring_make(RingFds *fds)
{
    RingFds made = {-1, -1, -1};
    TRY(memory_make(&made.memory));
    made.wake_first = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    made.wake_second = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (made.wake_first < 0 || made.wake_second < 0) {
        Err err = fail(ERR_LIMIT, "eventfd: %s", strerror(errno));
        ring_fds_close(&made);
        return err;
    }
    *fds = made;
    return OK;
}

Err ring_open(const RingFds *fds, bool first, Ring **ring)
{
    RingFds ours = *fds;
    Ring *r = NULL;
    Err err = ring_map(ours.memory, first, &r);
    if (err) {
        ring_fds_close(&ours);
        return err;
    }
    close(ours.memory); /* the mapping stays */
    r->sock.world = &real_world;
    r->wake_us = first ? ours.wake_first : ours.wake_second;
    r->wake_them = first ? ours.wake_second : ours.wake_first;
    *ring = r;
    return OK;
}

static int copy_of(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

Err real_ring_pair(Ring **first, Ring **second)
{
    RingFds fds;
    TRY(ring_make(&fds));
    RingFds too = {copy_of(fds.memory), copy_of(fds.wake_first), copy_of(fds.wake_second)};
    Ring *one = NULL;
    Err err = OK;
    if (too.memory < 0 || too.wake_first < 0 || too.wake_second < 0) {
        err = fail(ERR_LIMIT, "descriptors for a ring: %s", strerror(errno));
        ring_fds_close(&fds);
    } else {
        err = ring_open(&fds, true, &one);
    }
    if (err)
        ring_fds_close(&too);
    else
        err = ring_open(&too, false, second);
    if (err)
        ring_close(one);
    else
        *first = one;
    return err;
}

/* An edge for each write, so the count is never read. It is as good as never full. */
Err real_ring_attach(Ring *r)
{
    RealLoop *loop = r->sock.loop->of_world;
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &r->sock};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, r->wake_us, &e) == 0) return OK;
    return fail(ERR_LIMIT, "epoll_ctl: %s", strerror(errno));
}

void real_ring_close(Ring *r)
{
    /* Others have this eventfd open, so closing ours does not take it out of the epoll. */
    if (r->sock.loop) {
        RealLoop *loop = r->sock.loop->of_world;
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, r->wake_us, NULL);
    }
    close_one(&r->wake_us);
    close_one(&r->wake_them);
    ring_unmap(r);
}

/* ---- seeing and waking ---- */

void real_ring_show(Ring *r)
{
    __atomic_store_n(&r->ours->put, r->put, __ATOMIC_RELEASE);
    __atomic_store_n(&r->ours->took, r->took, __ATOMIC_RELEASE);
}

void real_ring_turn_ends(Ring *r)
{
    uint64_t one = 1;
    if (ring_heed(r)) (void)!write(r->wake_them, &one, sizeof one);
}
