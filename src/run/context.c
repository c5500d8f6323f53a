#include "run/context.h"
#include "base/base.h"

#include <stdlib.h>

#if RUN_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if RUN_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif

/* The switch saves what a function call has to preserve and exchanges the stack pointers. The
 * floating point control words are left alone: nobody here changes rounding modes. On x86-64 the
 * way on is a jump: a ret would be foretold from the calls of the other stack, wrongly every time
 * (4 ns against 10 to 20). */
void run_context_jump(void **save_sp, void *sp);
void run_context_start(void);

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(RUN_UCONTEXT)
static void *top_of(const Context *c)
{
    char *end = (char *)c->bottom + c->size;
    return end - ((uintptr_t)end & 15);
}
#endif

#if defined(__x86_64__) && !defined(RUN_UCONTEXT)
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden run_context_jump\n"
        ".globl run_context_jump\n"
        ".type run_context_jump, @function\n"
        "run_context_jump:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n"
        "    notrack jmp *%rcx\n"
        ".cfi_endproc\n"
        ".size run_context_jump, .-run_context_jump\n"
        ".p2align 4\n"
        ".hidden run_context_start\n"
        ".globl run_context_start\n"
        ".type run_context_start, @function\n"
        "run_context_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n" /* backtraces end here */
        "    endbr64\n"
        "    movq %r12, %rdi\n"
        "    callq *%r13\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size run_context_start, .-run_context_start\n");

static void prepare(Context *c, void (*entry)(void *), void *arg)
{
    /* r15 r14 r13 r12 rbx rbp return: popped, they leave sp where start may call from. */
    void **frame = (void **)top_of(c) - 7;
    memset(frame, 0, 7 * sizeof *frame);
    frame[2] = (void *)entry;
    frame[3] = arg;
    frame[6] = (void *)run_context_start;
    c->sp = frame;
}

#elif defined(__aarch64__) && !defined(RUN_UCONTEXT)
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden run_context_jump\n"
        ".globl run_context_jump\n"
        ".type run_context_jump, %function\n"
        "run_context_jump:\n"
        ".cfi_startproc\n"
        "    hint #34\n" /* bti c */
        "    stp x29, x30, [sp, #-160]!\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #160\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size run_context_jump, .-run_context_jump\n"
        ".p2align 4\n"
        ".hidden run_context_start\n"
        ".globl run_context_start\n"
        ".type run_context_start, %function\n"
        "run_context_start:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n" /* backtraces end here */
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #0\n"
        ".cfi_endproc\n"
        ".size run_context_start, .-run_context_start\n");

static void prepare(Context *c, void (*entry)(void *), void *arg)
{
    void **frame = (void **)top_of(c) - 20;
    memset(frame, 0, 20 * sizeof *frame);
    frame[1] = (void *)run_context_start; /* x30 */
    frame[2] = arg;                       /* x19 */
    frame[3] = (void *)entry;             /* x20 */
    c->sp = frame;
}

#else
#include <ucontext.h>

/* makecontext passes ints only, so the way in is left here for the first switch to find. */
static _Thread_local struct {
    void (*entry)(void *);
    void *arg;
} starting;

typedef struct {
    ucontext_t u;
    void (*entry)(void *);
    void *arg;
} Other;

static void start_here(void)
{
    starting.entry(starting.arg);
}

static void prepare(Context *c, void (*entry)(void *), void *arg)
{
    Other *o = c->other = NEW(Other);
    o->entry = entry;
    o->arg = arg;
    must(getcontext(&o->u) == 0);
    o->u.uc_stack.ss_sp = c->bottom;
    o->u.uc_stack.ss_size = c->size;
    makecontext(&o->u, start_here, 0);
}
#define RUN_HAS_OTHER
#endif

static void jump(Context *from, Context *to)
{
#ifdef RUN_HAS_OTHER
    if (!from->other) from->other = NEW(Other);
    Other *other = to->other;
    starting.entry = other->entry;
    starting.arg = other->arg;
    from->sp = (char *)__builtin_frame_address(0) - 1024; /* generous */
    must(swapcontext(&((Other *)from->other)->u, &other->u) == 0);
#else
    run_context_jump(&from->sp, to->sp);
#endif
}

void context_make(Context *c, char *bottom, size_t size, void (*entry)(void *), void *arg)
{
    *c = (Context){.bottom = bottom, .size = size};
#if RUN_ASAN
    /* What the fiber before us on this stack left poisoned. */
    __asan_unpoison_memory_region(bottom, size);
#endif
#if RUN_TSAN
    c->tsan = __tsan_create_fiber(0);
#endif
    c->valgrind = VALGRIND_STACK_REGISTER(bottom, bottom + size);
    prepare(c, entry, arg);
}

void context_done(Context *c)
{
#if RUN_TSAN
    if (c->tsan && c->bottom) __tsan_destroy_fiber(c->tsan);
#endif
    if (c->bottom) VALGRIND_STACK_DEREGISTER(c->valgrind);
#ifdef RUN_HAS_OTHER
    free(c->other);
#endif
}

void context_switch(Context *from, Context *to)
{
#if RUN_TSAN
    if (!from->tsan) from->tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#if RUN_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
    jump(from, to);
#if RUN_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, &from->met_bottom, &from->met_size);
#endif
}

void context_entered(Context *from)
{
#if RUN_ASAN
    /* Only here do we learn where the stack of the one who let us in lies. */
    const void *bottom;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &from->size);
    from->bottom = (void *)bottom;
#else
    (void)from;
#endif
}

void context_moved(const Context *c, Context *from)
{
#if RUN_ASAN
    from->bottom = (void *)(uintptr_t)c->met_bottom;
    from->size = c->met_size;
#else
    (void)c, (void)from;
#endif
}

_Noreturn void context_leave(Context *from, Context *to)
{
#if RUN_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#if RUN_ASAN
    __sanitizer_start_switch_fiber(NULL, to->bottom, to->size);
#endif
    jump(from, to);
    __builtin_unreachable();
}
