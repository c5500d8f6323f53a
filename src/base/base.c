#include "base/base.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__clang__)
struct FiberRole in_fiber;
#endif

/* The last words may come from a process that has no memory left, so they use none. */
static _Noreturn void last_words(const char *text, int len)
{
    ssize_t written = write(STDERR_FILENO, text, len > 0 ? (size_t)len : 0);
    (void)written;
    abort();
}

_Noreturn void must_failed(const char *condition, const char *file, int line)
{
    char text[400];
    int len = snprintf(text, sizeof text, "%s:%d: must hold, but does not: %.300s\n", file, line,
                       condition);
    last_words(text, MIN(len, (int)sizeof text - 1));
}

_Noreturn void out_of_memory(size_t bytes)
{
    char text[80];
    int len = snprintf(text, sizeof text, "out of memory: %zu bytes are not to be had\n", bytes);
    last_words(text, len);
}

/* ---- memory ---- */

enum { CUSHION = 8 << 20, SMALL = 64 << 10 };
MemPlan mem_plan;
static _Atomic(void *) cushion; /* address space, and what the kernel has promised; never touched */

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool mem_yield(void)
{
    void *p = atomic_exchange(&cushion, NULL);
    return p && !munmap(p, CUSHION);
}

static bool has_cushion(void)
{
    if (atomic_load(&cushion)) return true;
    void *none = NULL, *p = map(CUSHION);
    if (p && !atomic_compare_exchange_strong(&cushion, &none, p)) munmap(p, CUSHION);
    return p != NULL;
}

static atomic_uint denied, asked;

void mem_deny(unsigned at)
{
    atomic_store(&asked, 0);
    atomic_store(&denied, at);
}

unsigned mem_asked(void)
{
    return atomic_load(&asked);
}

static bool is_denied(void)
{
    unsigned at = atomic_load_explicit(&denied, memory_order_relaxed);
    return __builtin_expect(at != 0, 0) && atomic_fetch_add(&asked, 1) + 1 == at;
}

bool mem_fits(size_t bytes)
{
    if (is_denied() || !has_cushion()) return false;
    if (bytes <= SMALL) return true; /* the cushion is there for many of them */
    void *p = map(bytes);
    return p && !munmap(p, bytes);
}

static void account_for(size_t bytes)
{
    if (__builtin_expect(mem_plan.counting, 0) && ++mem_plan.count == mem_plan.refuse_at)
        out_of_memory(bytes);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* malloc(0) may answer NULL; one byte more costs nothing and keeps the promise. */
void *mem_new(size_t bytes)
{
    account_for(bytes);
    void *p = malloc(bytes ? bytes : 1);
    if (!p && mem_yield()) p = malloc(bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

void *mem_zero(size_t bytes)
{
    account_for(bytes);
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p && mem_yield()) p = calloc(1, bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

void *mem_grow(void *old, size_t bytes)
{
    account_for(bytes);
    void *p = realloc(old, bytes ? bytes : 1);
    if (!p && mem_yield()) p = realloc(old, bytes ? bytes : 1);
    if (!p) out_of_memory(bytes);
    return p;
}

#define STORY_ROOM 500
static _Thread_local char story[STORY_ROOM];

#undef fail /* the analyzer's: base.h */
/* Told in a second buffer first, so that a story may quote the one before:
 * fail(err, "%s: %s", name, err_story()). */
Err fail(Err err, const char *fmt, ...)
{
    int saved = errno;
    char told[STORY_ROOM];
    va_list args;
    va_start(args, fmt);
    vsnprintf(told, sizeof told, fmt, args);
    va_end(args);
    memcpy(story, told, strlen(told) + 1);
    errno = saved;
    return err;
}

const char *err_story(void)
{
    return story;
}

const char *err_name(Err err)
{
    switch (err) {
    case OK:
        return "OK";
#define ERR(name, meaning)                                                                         \
    case ERR_##name:                                                                               \
        return #name;
#include "base/err.def"
#undef ERR
    }
    return "UNKNOWN";
}

const char *err_meaning(Err err)
{
    switch (err) {
    case OK:
        return "all is well";
#define ERR(name, meaning)                                                                         \
    case ERR_##name:                                                                               \
        return meaning;
#include "base/err.def"
#undef ERR
    }
    return "an error without a name";
}
