#pragma once
/* Internal to run/: one flow of control with its own stack, and the switch between two of them.
 * Knows nothing of fibers and loops. Written by hand for x86-64 and aarch64 (measured: 3 ns),
 * ucontext elsewhere (300 ns: two system calls). Tells the address and thread sanitizers and
 * valgrind what it does. */
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define RUN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUN_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RUN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUN_TSAN 1
#endif
#endif
#ifndef RUN_ASAN
#define RUN_ASAN 0
#endif
#ifndef RUN_TSAN
#define RUN_TSAN 0
#endif

/* Whether a stack's octets may be kept elsewhere while nobody runs on it. The sanitizers know of
 * each of them what it is, and with ucontext sp is not ours to see. */
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(RUN_UCONTEXT) && !RUN_ASAN &&        \
    !RUN_TSAN
#define CONTEXT_CAN_FOLD 1
#else
#define CONTEXT_CAN_FOLD 0
#endif

typedef struct {
    void *sp; /* where it stopped; below it lies nothing of value */
    void *bottom;
    size_t size;
    void *fake_stack; /* address sanitizer; so are the next two */
    const void *met_bottom;
    size_t met_size;
    void *tsan;  /* thread sanitizer */
    void *other; /* ucontext */
    unsigned valgrind;
} Context;

/* Prepares a flow that will call entry(arg) on this stack. entry begins with context_entered and
 * ends with context_leave. */
void context_make(Context *c, char *bottom, size_t size, void (*entry)(void *), void *arg);
void context_done(Context *c); /* it has left, or will never be entered again */
/* Stops here as `from`, goes on as `to`. */
void context_switch(Context *from, Context *to);
void context_entered(Context *from);
/* After a switch to c came back on another thread: `from` is who let it in there. */
void context_moved(const Context *c, Context *from);
_Noreturn void context_leave(Context *from, Context *to);
