#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif

/* Under the address sanitizer what was not handed out is out of bounds, and pieces lie a little
 * apart, so an overrun or a use after the reset is seen as with malloc. */
#ifdef WATCHED
#include <sanitizer/asan_interface.h>
#define GAP        16
#define HIDE(p, n) __asan_poison_memory_region((p), (n))
#define SHOW(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define GAP        0
#define HIDE(p, n) ((void)(p), (void)(n))
#define SHOW(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN       16
#define FIRST_CHUNK ((size_t)1008) /* with its head and malloc's just below a kilobyte */
#define LARGE_CHUNK ((size_t)64 * 1024)

/* The newest chunk is the one being filled; older ones are full. */
struct ArenaChunk {
    ArenaChunk *older;
    size_t used, room;
    _Alignas(ALIGN) char bytes[];
};

static ArenaChunk *chunk_new(ArenaChunk *older, size_t room)
{
    if (room > SIZE_MAX - sizeof(ArenaChunk)) out_of_memory(room);
    ArenaChunk *c = mem_new(sizeof *c + room);
    c->older = older, c->used = 0, c->room = room;
    HIDE(c->bytes, room);
    return c;
}

static void chunk_free(ArenaChunk *c)
{
    SHOW(c->bytes, c->room);
    free(c);
}

static void *chunk_take(ArenaChunk *c, size_t taken, size_t bytes)
{
    char *p = c->bytes + c->used;
    c->used += taken;
    SHOW(p, bytes);
    return memset(p, 0, bytes);
}

/* A piece larger than half a large chunk gets one of its own, put behind the one being filled. */
static void *take_alone(Arena *a, size_t taken, size_t bytes)
{
    ArenaChunk *c = chunk_new(a->chunk ? a->chunk->older : NULL, taken);
    if (a->chunk)
        a->chunk->older = c;
    else
        a->chunk = c;
    return chunk_take(c, taken, bytes);
}

void *arena_alloc(Arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) out_of_memory(bytes);
    size_t taken = (MAX(bytes, (size_t)1) + GAP + ALIGN - 1) / ALIGN * ALIGN;
    a->used += bytes;
    if (!a->chunk || a->chunk->room - a->chunk->used < taken) {
        if (taken > LARGE_CHUNK / 2) return take_alone(a, taken, bytes);
        size_t first = a->budget ? MIN(a->budget, FIRST_CHUNK) : FIRST_CHUNK;
        size_t room = a->chunk ? MIN(a->chunk->room * 2, LARGE_CHUNK) : first;
        a->chunk = chunk_new(a->chunk, MAX(room, taken));
    }
    return chunk_take(a->chunk, taken, bytes);
}

size_t array_bytes(size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes)) out_of_memory(SIZE_MAX);
    return bytes;
}

Slice arena_copy(Arena *a, Slice s)
{
    char *copy = arena_alloc(a, s.len);
    if (s.len) memcpy(copy, s.at, s.len);
    return slice(copy, s.len);
}

const char *arena_cstr(Arena *a, Slice s)
{
    char *copy = arena_alloc(a, s.len + 1); /* zeroed: the NUL is there */
    if (s.len) memcpy(copy, s.at, s.len);
    return copy;
}

Slice arena_printf(Arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    must(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return slice(text, (size_t)len);
}

void arena_reset(Arena *a)
{
    ArenaChunk *kept = NULL, *older;
    for (ArenaChunk *c = a->chunk; c; c = older) {
        older = c->older;
        if (!older && c->room == FIRST_CHUNK)
            kept = c;
        else
            chunk_free(c);
    }
    if (kept) {
        kept->used = 0;
        HIDE(kept->bytes, kept->room);
    }
    a->chunk = kept;
    a->used = 0;
}

void arena_done(Arena *a)
{
    if (!a) return;
    arena_reset(a);
    if (a->chunk) chunk_free(a->chunk);
    a->chunk = NULL; /* the budget stays: it may be filled again */
}

void arena_free_scope(Arena *a)
{
    arena_done(a);
}
