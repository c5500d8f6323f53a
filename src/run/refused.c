/* A filter (seccomp(2)) makes a signal of each such call; its handler gives the answer, or makes
 * the call again with a mark in the sixth argument, which these calls do not have. */
#include "run/refused.h"

#include "base/test.h"
#include "run/context.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { MARK = 0x706f7374, CALLS_MOST = 16, ERRORS_MOST = 32 };

static struct {
    long call;
    int errors[ERRORS_MOST];
    size_t next, count;
} refusals[CALLS_MOST];
static size_t refusal_count;

#if defined(__x86_64__)
#define ANSWER(at)      (at)->uc_mcontext.gregs[REG_RAX]
#define ARGUMENT(at, n) (at)->uc_mcontext.gregs[argument_registers[n]]
static const int argument_registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
#elif defined(__aarch64__)
#define ANSWER(at)      (at)->uc_mcontext.regs[0]
#define ARGUMENT(at, n) (at)->uc_mcontext.regs[n]
#endif

static long pass(long call, ucontext_t *at)
{
    long answer = syscall(call, ARGUMENT(at, 0), ARGUMENT(at, 1), ARGUMENT(at, 2), ARGUMENT(at, 3),
                          ARGUMENT(at, 4), (long)MARK);
    return answer < 0 ? -errno : answer;
}

static void answer(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    int before = errno, error = 0;
    ucontext_t *at = context;
    for (size_t i = 0; i < refusal_count; i++)
        if (refusals[i].call == info->si_syscall && refusals[i].next < refusals[i].count)
            error = refusals[i].errors[refusals[i].next++];
    ANSWER(at) = error ? -error : pass(info->si_syscall, at);
    errno = before;
}

static void filter(long call)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(rules), rules};
    must(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

void refuse(long call, const int *errors, size_t count)
{
    size_t i = 0;
    must(count <= ERRORS_MOST);
    while (i < refusal_count && refusals[i].call != call)
        i++;
    must(i < CALLS_MOST);
    bool is_new = i == refusal_count;
    refusals[i].call = call;
    refusals[i].next = 0, refusals[i].count = count;
    memcpy(refusals[i].errors, errors, count * sizeof *errors);
    if (!is_new) return;
    refusal_count++;
    filter(call);
}

void in_refused_child(void (*fn)(void))
{
    int status = -1;
    if (RUN_TSAN) return;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction trapped = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
        must(!sigaction(SIGSYS, &trapped, NULL) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        fn();
        fflush(NULL);
        _exit(test_complaints() ? 1 : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
