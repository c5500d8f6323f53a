#include "run/stack.h"
#include "base/base.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

enum { SLAB_STACKS = 64 };

size_t stack_guard_bytes(void)
{
    static size_t bytes;
    size_t known = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
    if (known) return known;
    known = (size_t)sysconf(_SC_PAGESIZE);
    __atomic_store_n(&bytes, known, __ATOMIC_RELAXED);
    return known;
}

/* The new kind of guard is a mark in the page table. mprotect splits the mapping: two of the 65,530
 * areas a process may have per stack, so beyond about 30,000 fibers an old kernel gives us none and
 * the stack goes without; refusing to serve would be worse. */
static void guard(char *stack)
{
    if (madvise(stack, stack_guard_bytes(), MADV_GUARD_INSTALL) == 0) return;
    (void)!mprotect(stack, stack_guard_bytes(), PROT_NONE);
}

static bool add_slab(Stacks *s)
{
    size_t bytes = (size_t)SLAB_STACKS * STACK_BYTES;
    char *slab = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab == MAP_FAILED) return false;
    madvise(slab, bytes, MADV_NOHUGEPAGE); /* or the first touch of a stack would cost 2 MiB */
    if (s->slab_count == s->slab_room) {
        s->slab_room = MAX(s->slab_room * 2, (size_t)16);
        s->slabs = mem_grow(s->slabs, s->slab_room * sizeof *s->slabs);
    }
    s->slabs[s->slab_count++] = slab;
    s->slab_used = 0;
    return true;
}

/* Memory is short: one alone, from what was kept for that. It is not given back. */
static char *lone_stack(void)
{
    char *stack = MAP_FAILED;
    for (int tries = 0; tries < 2 && stack == MAP_FAILED; tries++) {
        stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED && !mem_yield()) out_of_memory(STACK_BYTES);
    }
    if (stack == MAP_FAILED) out_of_memory(STACK_BYTES);
    guard(stack);
    return stack;
}

char *stack_take(Stacks *s)
{
    if (s->free_count) return s->free[--s->free_count];
    bool full = !s->slab_count || s->slab_used == SLAB_STACKS;
    if (full && !add_slab(s)) return lone_stack();
    char *stack = s->slabs[s->slab_count - 1] + s->slab_used++ * STACK_BYTES;
    guard(stack);
    return stack;
}

/* A few are kept warm, the rest keep their address space and nothing else. */
void stack_give(Stacks *s, char *stack)
{
    enum { WARM = 32 };
    if (s->free_count >= WARM) stack_trim(stack, stack + STACK_BYTES);
    if (s->free_count == s->free_room) {
        s->free_room = MAX(s->free_room * 2, (size_t)WARM);
        s->free = mem_grow(s->free, s->free_room * sizeof *s->free);
    }
    s->free[s->free_count++] = stack;
}

void stack_trim(char *stack, const char *sp)
{
    size_t page = stack_guard_bytes();
    const size_t red_zone = 128; /* leaf functions may use it below sp */
    char *from = stack + page;
    size_t len = (size_t)(sp - from);
    if (sp != stack + STACK_BYTES) len = len > red_zone ? len - red_zone : 0;
    len -= len % page;
    if (len) madvise(from, len, MADV_DONTNEED);
}

void stacks_done(Stacks *s)
{
    for (size_t i = 0; i < s->slab_count; i++)
        munmap(s->slabs[i], (size_t)SLAB_STACKS * STACK_BYTES);
    free(s->slabs);
    free(s->free);
    *s = (Stacks){0};
}
