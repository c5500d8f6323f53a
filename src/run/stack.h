#pragma once
/* Internal to run/: stacks for fibers, 256 KiB of address space each, taken from large mappings so
 * that 100,000 of them are a few entries in the kernel's table, with a guard page lowest. One
 * Stacks per loop; no locks. {0} is empty and valid. */
#include "run/context.h"

enum { STACK_BYTES = RUN_ASAN || RUN_TSAN ? 1024 * 1024 : 256 * 1024 };

typedef struct {
    char **free, **slabs;
    size_t free_count, free_room, slab_count, slab_room;
    size_t slab_used; /* stacks taken out of the newest slab */
} Stacks;

char *stack_take(Stacks *s); /* its lowest byte; the guard page is there */
void stack_give(Stacks *s, char *stack);
void stack_trim(char *stack, const char *sp); /* the pages below sp go back to the kernel */
size_t stack_guard_bytes(void);
void stacks_done(Stacks *s);
