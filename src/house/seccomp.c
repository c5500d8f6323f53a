#include "house/seccomp.h"

#include <errno.h>
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

/* The line of log_event, without its memory: whoever was denied may have been inside malloc. */
static void tell(int number)
{
    char line[128];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    int len = snprintf(line, sizeof line,
                       "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=error event=sandbox_denied "
                       "syscall=%d\n",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)(now.tv_nsec / 1000000), number);
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

static const char *const allowed[] = {
#define CALL(name, who) #name,
#include "house/sandbox.def"
#undef CALL
};

typedef struct {
    const char *call;
    struct scmp_arg_cmp when;
} Conditional;

/* No memory that can be written and run; no new process, only threads. */
static const Conditional conditional[] = {
    {"mmap",       {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}              },
    {"mprotect",   {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}              },
    {"clone",      {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
    {"socketpair", {0, SCMP_CMP_EQ, AF_UNIX, 0}                       },
    {"ioctl",      {1, SCMP_CMP_EQ, TCGETS, 0}                        }, /* stdio: isatty */
    {"prctl",      {0, SCMP_CMP_EQ, PR_SET_NAME, 0}                   },
    {"prctl",      {0, SCMP_CMP_EQ, 0x53564d41 /* PR_SET_VMA */, 0}   }, /* names in smaps */
    {"prlimit64",  {2, SCMP_CMP_EQ, 0, 0}                             }, /* ask only */
};

static int add_call(scmp_filter_ctx filter, uint32_t action, const char *name,
                    const struct scmp_arg_cmp *when)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return 0;
    return seccomp_rule_add_array(filter, action, number, when ? 1 : 0, when);
}

static int add_all(scmp_filter_ctx filter)
{
    int bad = 0;
    for (size_t i = 0; i < COUNT(allowed) && !bad; i++)
        bad = add_call(filter, SCMP_ACT_ALLOW, allowed[i], NULL);
    for (size_t i = 0; i < COUNT(conditional) && !bad; i++)
        bad = add_call(filter, SCMP_ACT_ALLOW, conditional[i].call, &conditional[i].when);
    /* Signals to ourselves: abort. */
    const struct scmp_arg_cmp us = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
    if (!bad) bad = add_call(filter, SCMP_ACT_ALLOW, "tgkill", &us);
    /* Its flags are in memory, where a filter cannot look: libc then takes clone. */
    if (!bad) bad = add_call(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL);
    return bad;
}

static int set_up(scmp_filter_ctx filter)
{
    int bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* A binary tree instead of a list; and no mitigation of speculative stores, which older kernels
     * switch on with every filter: nothing here runs code that it was given. */
    if (!bad) bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!bad) bad = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    return bad ? bad : add_all(filter);
}

Err seccomp_enter(void)
{
    if (prctl(PR_GET_SECCOMP) < 0)
        return fail(ERR_UNSUPPORTED, "the kernel has no seccomp: %s", strerror(errno));
    struct sigaction act = {.sa_sigaction = denied, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGSYS, &act, NULL);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter) return fail(ERR_IO, "sandbox: seccomp_init");
    int bad = set_up(filter);
    if (!bad) bad = seccomp_load(filter);
    seccomp_release(filter);
    return bad ? fail(ERR_IO, "sandbox: seccomp: %s", strerror(-bad)) : OK;
}
