#pragma once
/* base: the words every other room speaks.
 *
 * Vocabulary: a Slice is borrowed bytes, a Buf owns bytes, an Arena gives memory that is taken back
 * in one go, an Err says what went wrong, a Scan is a cursor that remembers its first mistake.
 * Begin reading here, then scan.h. Nothing in this room waits or touches the outside world (malloc
 * and stderr apart). */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define COUNT(array)      (sizeof(array) / sizeof *(array))
#define MIN(a, b)         ((a) < (b) ? (a) : (b))
#define MAX(a, b)         ((a) > (b) ? (a) : (b))
/* The struct of this type that has `member` at this address. */
#define CONTAINER(pointer, type, member)                                                           \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* A function that may wait is marked PARKS; clang refuses calls to it from one that is not
 * (STYLE.md, "How it runs"). A fiber's first function is PARKS too: it is called through a pointer,
 * which clang does not check. */
#if defined(__clang__)
struct __attribute__((capability("fiber"))) FiberRole {
    char nothing;
};
extern struct FiberRole in_fiber;
#define PARKS           __attribute__((requires_capability(in_fiber)))
#define PARKS_UNCHECKED __attribute__((no_thread_safety_analysis))
#else
#define PARKS
#define PARKS_UNCHECKED
#endif

/* ---- must: what has to hold; stays on in production. Never for what a peer or a disk can cause.
 * ---- */
#define must(condition) ((condition) ? (void)0 : must_failed(#condition, __FILE__, __LINE__))
_Noreturn void must_failed(const char *condition, const char *file, int line);
_Noreturn void out_of_memory(size_t bytes); /* says so and stops */

/* malloc, calloc, realloc, strdup that never return NULL. */
void *mem_new(size_t bytes) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_zero(size_t bytes) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_grow(void *old, size_t bytes) __attribute__((alloc_size(2), returns_nonnull));
/* What was freed goes back to the system, wherever it is. Takes milliseconds: for helper threads.
 */
void mem_trim(void);
/* Is there memory for so many octets, which a peer or what is stored wants to have? Asked before
 * they are taken; false: refuse it (ERR_NO_MEMORY) and go on. What is of our own size is not asked
 * for: when it is not to be had, a cushion kept for that is given up, and mem_fits says no until
 * there is room for a new one. */
bool mem_fits(size_t bytes);
bool mem_yield(void); /* the cushion is given up; false: it is already */
/* For tests: while `counting`, the allocation number `refuse_at` finds no memory. */
typedef struct {
    bool counting;
    uint64_t count, refuse_at;
} MemPlan;
extern MemPlan mem_plan;
/* For tests: of the next questions of mem_fits number `at` is answered with no; 0: none. */
void mem_deny(unsigned at);
unsigned mem_asked(void); /* since then */
#define NEW(Type) ((Type *)mem_zero(sizeof(Type)))

/* `Mailbox *box scoped(mailbox) = NULL;` calls mailbox_free at the end of the scope. A room that
 * owns a type says SCOPED(Mailbox, mailbox, mailbox_free) once, in its header; the ending must
 * accept NULL. */
#define SCOPED(Type, noun, ending)                                                                 \
    static inline void noun##_scope_ends(Type **p)                                                 \
    {                                                                                              \
        ending(*p);                                                                                \
    }
#define scoped(noun) __attribute__((cleanup(noun##_scope_ends)))

/* ---- Slice: borrowed bytes, never NUL-terminated ---- */
typedef struct {
    const char *at;
    size_t len;
} Slice;
#define S(literal) ((Slice){(literal), sizeof(literal) - 1})
#define SP(slice)  (int)(slice).len, (slice).at /* for "%.*s" */

static inline Slice slice(const void *at, size_t len)
{
    return (Slice){(const char *)at, len};
}
static inline Slice slice_of(const char *text)
{
    return text ? slice(text, strlen(text)) : (Slice){0};
}
static inline bool slice_eq(Slice a, Slice b)
{
#ifdef __clang_analyzer__ /* which cannot know that octets have an address */
    if (!a.at || !b.at) return a.len == b.len;
#endif
    return a.len == b.len && (!a.len || !memcmp(a.at, b.at, a.len));
}
bool slice_eq_nocase(Slice a, Slice b); /* ASCII only */
int slice_order(Slice a, Slice b);      /* like memcmp, shorter first */
bool slice_starts(Slice s, Slice prefix);
bool slice_starts_nocase(Slice s, Slice prefix); /* ASCII only */
bool slice_ends(Slice s, Slice suffix);
/* What follows the first `start` bytes; empty if fewer. */
static inline Slice slice_from(Slice s, size_t start)
{
    size_t skip = start < s.len ? start : s.len;
    return skip ? slice(s.at + skip, s.len - skip) : s; /* NULL + 0 is undefined */
}
static inline Slice slice_first(Slice s, size_t len) /* at most the first `len` bytes */
{
    return slice(s.at, len < s.len ? len : s.len);
}
/* Does s hold this somewhere? Everything holds the empty slice. Sixteen octets at a time. */
bool slice_holds(Slice s, Slice what);
Slice slice_trim(Slice s);               /* without SP HTAB CR LF at both ends */
size_t slice_find(Slice s, char c);      /* index of the first c, or s.len */
size_t slice_find_last(Slice s, char c); /* index of the last c, or s.len */
size_t
slice_find_slice(Slice s,
                 Slice what); /* index of the first occurrence, or s.len; empty is found at 0 */
bool slice_cut(Slice *s, char at,
               Slice *before); /* takes what stands before `at` and `at` itself off s; false: none
                                  left. An `at` at the very end begins no further piece. */
bool slice_to_u64(Slice s, uint64_t *value) MUST_USE; /* 1*DIGIT, no sign, no overflow */
uint32_t slice_hash_crc(Slice s); /* not keyed: never for tables fed from outside */

/* ---- Buf: bytes that grow. {0} is empty and valid. ---- */
typedef struct {
    char *at;
    size_t len, room;
} Buf;
void buf_done(Buf *b);
void buf_free_scope(Buf *b);
#define buf_scoped __attribute__((cleanup(buf_free_scope)))
char *buf_grow(Buf *b, size_t more); /* buf_reserve's way when there is no room */
/* At least `more` writable bytes behind len; then add to len yourself. */
static inline char *buf_reserve(Buf *b, size_t more)
{
    if (__builtin_expect(b->at && more <= b->room - b->len, 1)) return b->at + b->len;
    return buf_grow(b, more);
}
static inline void buf_add(Buf *b, Slice s)
{
    if (!s.len) return;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): octets are somewhere */
    memcpy(buf_reserve(b, s.len), s.at, s.len);
    b->len += s.len;
}
static inline void buf_char(Buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}
void buf_printf(Buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(Buf *b, const char *fmt, va_list args) PRINTF(2, 0);
void buf_number(Buf *b, uint64_t n); /* decimal; far faster than buf_printf */
void buf_drop_front(Buf *b, size_t n);
static inline void buf_clear(Buf *b)
{
    b->len = 0;
}
static inline Slice buf_slice(const Buf *b)
{
    return slice(b->at, b->len);
}
const char *buf_cstr(Buf *b); /* NUL behind the bytes (not counted); only for system calls */

/* Little-endian and LEB128 fields for our own file formats. */
void buf_u8(Buf *b, uint8_t v);
void buf_u16(Buf *b, uint16_t v);
void buf_u32(Buf *b, uint32_t v);
void buf_u64(Buf *b, uint64_t v);
void buf_varint(Buf *b, uint64_t v);
void buf_bytes(Buf *b, Slice s); /* varint length, then the bytes */

/* The same read back: a cursor whose first mistake sticks. Reads past the end give 0 and set `bad`.
 */
typedef struct {
    Slice rest;
    bool bad;
} Reader;
static inline Reader reader(Slice s)
{
    return (Reader){.rest = s};
}
uint8_t read_u8(Reader *r);
uint16_t read_u16(Reader *r);
uint32_t read_u32(Reader *r);
uint64_t read_u64(Reader *r);
uint64_t read_varint(Reader *r);
Slice read_bytes(Reader *r); /* varint length, then that many; borrowed */
Slice read_raw(Reader *r, size_t len);

/* ---- Arena: memory with one end. {0} is valid. ---- */
typedef struct ArenaChunk ArenaChunk;
typedef struct {
    ArenaChunk *chunk;
    size_t used;   /* bytes handed out since the last reset */
    size_t budget; /* bytes; 0: none. Exceeding it is not refused: ask arena_is_over where input is
                      taken in. A small one also makes the first piece of memory small. */
} Arena;
void *arena_alloc(Arena *a, size_t bytes)
    __attribute__((malloc, alloc_size(2), returns_nonnull)); /* zeroed, aligned for anything */
#define arena_new(a, Type)      ((Type *)arena_alloc((a), sizeof(Type)))
#define arena_array(a, Type, n) ((Type *)arena_alloc((a), array_bytes((n), sizeof(Type))))
size_t array_bytes(size_t n, size_t each); /* stops the program on overflow */
Slice arena_copy(Arena *a, Slice s);
Slice arena_printf(Arena *a, const char *fmt, ...) PRINTF(2, 3);
const char *arena_cstr(Arena *a, Slice s);
void arena_reset(Arena *a); /* keeps one small chunk */
void arena_done(Arena *a);  /* gives everything back; what is left is the budget */
void arena_free_scope(Arena *a);
#define arena_scoped __attribute__((cleanup(arena_free_scope)))
static inline bool arena_is_over(const Arena *a)
{
    return a->budget && a->used > a->budget;
}

/* ---- Err ---- */
typedef enum {
    OK = 0,
#define ERR(name, meaning) ERR_##name,
#include "base/err.def"
#undef ERR
} Err;
/* Keeps the story for the log and returns err. The story is per thread and good until the next fail
 * or wait. */
Err fail(Err err, const char *fmt, ...) PRINTF(2, 3);
#ifdef __clang_analyzer__ /* which would otherwise think that it may give OK */
#define fail(err, ...) ((fail)((err), __VA_ARGS__), (err))
#endif
const char *err_story(void);
const char *err_name(Err err);    /* "OVER_QUOTA" */
const char *err_meaning(Err err); /* "the quota does not allow it" */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        Err try_err = (expression);                                                                \
        if (try_err) return try_err;                                                               \
    } while (0)

/* ---- List: doubly linked through a member; the head is a node too. ---- */
typedef struct Link {
    struct Link *next, *prev;
} Link;
static inline void list_init(Link *head)
{
    head->next = head->prev = head;
}
static inline bool list_is_empty(const Link *head)
{
    return head->next == head || !head->next;
}
static inline void list_add(Link *head, Link *node) /* at the end */
{
    node->prev = head->prev, node->next = head;
    head->prev->next = node, head->prev = node;
}
static inline void list_remove(Link *node) /* a node that is in no list ({0}) is fine */
{
    if (!node->next) return;
    node->prev->next = node->next, node->next->prev = node->prev;
    node->next = node->prev = NULL;
}
#define list_each(node, head)                                                                      \
    for (Link *node = (head)->next, *node##_next = node->next; node != (head);                     \
         node = node##_next, node##_next = node->next)
