#include "house/seccomp.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <asm/ioctls.h>
#include <linux/prctl.h>
#include <sched.h>

/* ---- what happens to the others ---- */

static atomic_bool is_quiet;
static atomic_ulong told[1024 / (8 * sizeof(unsigned long))]; /* a bit for each number */

void seccomp_log_denied(bool on)
{
    atomic_store(&is_quiet, !on);
}

static bool is_news(int number)
{
    enum { WORD = 8 * sizeof(unsigned long) };
    if (atomic_load(&is_quiet) || number < 0 || (size_t)number >= COUNT(told) * WORD) return false;
    unsigned long bit = 1ul << (number % WORD);
    return !(atomic_fetch_or(&told[number / WORD], bit) & bit);
}

/* The line of log_event, without its memory and its locks: whoever was denied may have been inside
 * malloc, or libc on its way to a time zone. */
static void tell(int number)
{
    char line[128];
    struct timespec now;
    int year;
    unsigned month, day;
    clock_gettime(CLOCK_REALTIME, &now);
    civil_from_days(now.tv_sec / 86400, &year, &month, &day);
    int in_day = (int)(now.tv_sec % 86400);
    int len = snprintf(line, sizeof line,
                       "ts=%04d-%02u-%02uT%02d:%02d:%02d.%03dZ level=error event=sandbox_denied "
                       "syscall=%d\n",
                       year, month, day, in_day / 3600, in_day / 60 % 60, in_day % 60,
                       (int)(now.tv_nsec / 1000000), number);
    ssize_t ignored = write(STDERR_FILENO, line, MIN((size_t)len, sizeof line - 1));
    (void)ignored;
}

/* The call has not happened; this is its answer. */
static void answer(ucontext_t *at, long value)
{
#if defined(__x86_64__)
    at->uc_mcontext.gregs[REG_RAX] = value;
#elif defined(__aarch64__)
    at->uc_mcontext.regs[0] = (unsigned long long)value;
#else
#error "which register holds the answer of a system call?"
#endif
}

static void denied(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    int before = errno;
    if (is_news(info->si_syscall)) tell(info->si_syscall);
    errno = before;
    answer(context, -EPERM);
}

/* ---- the list ---- */

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET */
#define NAMESPACES 0x7e020000

typedef struct {
    const char *call, *to_whom;
    struct scmp_arg_cmp when; /* op 0: always */
} Rule;

#define ARGUMENT(arg, op, a, b) ((struct scmp_arg_cmp){arg, SCMP_CMP_##op, a, b})
static const Rule rules[] = {
#define CALL(name, to_whom, what_for)                {#name, to_whom, {0}},
#define WHEN(name, to_whom, arg, op, a, b, what_for) {#name, to_whom, ARGUMENT(arg, op, a, b)},
#include "house/sandbox.def"
#undef CALL
#undef WHEN
};

size_t seccomp_calls(CastRole role)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT(rules); i++)
        count += rules[i].to_whom[role] != '-';
    return count;
}

static int add_call(scmp_filter_ctx filter, uint32_t action, const char *name,
                    const struct scmp_arg_cmp *when)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return 0;
    return seccomp_rule_add_array(filter, action, number, when->op ? 1 : 0, when);
}

static int add_all(scmp_filter_ctx filter, CastRole role)
{
    int bad = 0;
    for (size_t i = 0; i < COUNT(rules) && !bad; i++)
        if (rules[i].to_whom[role] != '-')
            bad = add_call(filter, SCMP_ACT_ALLOW, rules[i].call, &rules[i].when);
    /* Signals to ourselves: abort. */
    const struct scmp_arg_cmp us = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
    if (!bad && role != CAST_WARDEN) bad = add_call(filter, SCMP_ACT_ALLOW, "tgkill", &us);
    /* Its flags are in memory, where a filter cannot look: libc then takes clone. */
    const struct scmp_arg_cmp always = {0};
    if (!bad) bad = add_call(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", &always);
    return bad;
}

static int set_up(scmp_filter_ctx filter, CastRole role)
{
    int bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* A binary tree instead of a list; and no mitigation of speculative stores, which older kernels
     * switch on with every filter: nothing here runs code that it was given. */
    if (!bad) bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!bad) bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    return bad ? bad : add_all(filter, role);
}

Err seccomp_enter(CastRole role)
{
    if (prctl(PR_GET_SECCOMP) < 0)
        return fail(ERR_UNSUPPORTED, "the kernel has no seccomp: %s", strerror(errno));
    struct sigaction act = {.sa_sigaction = denied, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGSYS, &act, NULL);
    uint32_t otherwise = role == CAST_WARDEN ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP;
    scmp_filter_ctx filter = seccomp_init(otherwise);
    if (!filter) return fail(ERR_IO, "sandbox: seccomp_init");
    int bad = set_up(filter, role);
    if (!bad) bad = seccomp_load(filter);
    seccomp_release(filter);
    return bad ? fail(ERR_IO, "sandbox: seccomp: %s", strerror(-bad)) : OK;
}
