/* The fault walk: each operation of the store, and each of the things that happen to it, at each
 * call that asks the disk for something or the system for memory.
 *
 * From one and the same disk the operation is done once without a fault, and its calls are counted.
 * Then it is done again for each of them: the call fails, finds the disk full, is short,
 * interrupted, or the process ends before, amid or after it, by kill -9 or by power cut; or there
 * is no memory. The next life recovers and compares everything with what was acknowledged, does the
 * operation again, and compares again.
 *
 * usage: fault_test [--errors] [STRIDE [NAME]]   every STRIDE-th call (1: all of them) of
 * operations called so; --errors: only those that fail and go on, no crashes, and each of the first
 * 40 calls, whatever the stride
 */
#include "store/fault_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

enum { DISK_BYTES = 192 * 1024 * 1024, SAID_ROOM = 2000, ERRORS_EACH = 40 };

/* clang-format off */
static const Fault faults[] = {
    {"EIO",              A_CALL,        SIM_FAILS,       ERR_IO,        0},
    {"ENOSPC",           A_CALL,        SIM_FAILS,       ERR_DISK_FULL, 0},
    {"EINTR",            A_CALL,        SIM_INTERRUPTED, OK,            0},
    {"short write",      A_CALL,        SIM_SHORT,       OK,            0},
    {"EIO of a read",    A_READ,        SIM_FAILS,       ERR_IO,        0},
    {"short read",       A_READ,        SIM_SHORT,       OK,            0},
    {"damaged index",    A_LOOK,        SIM_FAILS,       ERR_CORRUPT,   0},
    {"damaged page",     A_PAGE,        SIM_FAILS,       ERR_CORRUPT,   0},
    {"kill -9 before",   A_KILL,        SIM_FAILS,       OK,            SIM_CRASH_BEFORE},
    {"kill -9 amid",     A_KILL,        SIM_FAILS,       OK,            SIM_CRASH_HALF},
    {"kill -9 after",    A_KILL,        SIM_FAILS,       OK,            SIM_CRASH_AFTER},
    {"power cut before", A_POWER_CUT,   SIM_FAILS,       OK,            SIM_CRASH_BEFORE},
    {"power cut amid",   A_POWER_CUT,   SIM_FAILS,       OK,            SIM_CRASH_HALF},
    {"power cut after",  A_POWER_CUT,   SIM_FAILS,       OK,            SIM_CRASH_AFTER},
    {"no memory",        AN_ALLOCATION, SIM_FAILS,       OK,            0},
};
/* clang-format on */

bool fault_is_crash(const Fault *f)
{
    return f && (f->kind == A_KILL || f->kind == A_POWER_CUT);
}

static SimDisk *bases[2]; /* closed well; ended by kill -9 */

/* ---- children ---- */

static char said[SAID_ROOM];

static void read_said(int from)
{
    size_t len = 0;
    ssize_t n;
    while (len < sizeof said - 1 && (n = read(from, said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = 0;
    close(from);
}

/* Another seed for each life: the names of big bodies are random. */
static _Noreturn void child(void (*fn)(void *), void *arg)
{
    SimConfig c = {.seed = ++s->lives, .disk = disk, .disk_latency_us = 100, .loops = 2};
    alarm(120); /* a hang is a fault, too */
    Err err = sim_run(&c, fn, arg);
    int leaks = 0;
#if defined(__SANITIZE_ADDRESS__)
    leaks = __lsan_do_recoverable_leak_check();
#endif
    _exit(err || leaks);
}

/* How it ended, as a shell says it; `said` is what it wrote to stderr, the beginning of it. */
static int in_child(void (*fn)(void *), void *arg)
{
    int ends[2], status = 0;
    must(!pipe(ends));
    fflush(NULL);
    pid_t pid = fork();
    must(pid >= 0);
    if (!pid) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        child(fn, arg);
    }
    close(ends[1]);
    read_said(ends[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the walk ---- */

static bool ended_as_it_should(int code)
{
    if (fault_is_crash(s->fault)) return code == SIM_CRASHED;
    if (!s->fault || s->fault->kind != AN_ALLOCATION) return code == 0;
    return code == 128 + SIGABRT && strstr(said, "out of memory: ");
}

static bool failed(const char *what, int code)
{
    printf("FAILED %s, account %u, %s at call %llu: %s, %s: %d\n%s", s->op->name, s->account,
           s->fault ? s->fault->name : "no fault", (unsigned long long)s->at, what, s->stage, code,
           said);
    return false;
}

static bool one_trial(const Operation *op, const Fault *fault, uint64_t at)
{
    bool first = false, second = true;
    s->world = s->bases[!!(op->ways & DIRTY)];
    s->op = op;
    s->fault = fault;
    s->at = at;
    s->again = s->armed = false;
    s->lives = 10;
    sim_disk_copy(disk, bases[!!(op->ways & DIRTY)]);
    *sim_disk_plan(disk) = (SimDiskPlan){0};
    int code = in_child(fault_live, &first);
    if (!ended_as_it_should(code)) return failed("the first life", code);
    SimDiskPlan *plan = sim_disk_plan(disk);
    *plan = (SimDiskPlan){.operations = plan->operations};
    if (fault && fault->kind == A_POWER_CUT)
        sim_disk_power_cut(disk, at);
    else
        sim_disk_kill(disk);
    s->again = s->armed = false;
    code = in_child(fault_live, &second);
    return code == 0 || failed("the second life", code);
}

typedef struct {
    uint64_t stride;
    bool errors; /* only what fails and goes on */
    bool came_to_it;
    unsigned trials, passed, failed;
} Walk;

static void walk_fault(Walk *k, const Operation *op, const Fault *fault, uint64_t calls)
{
    bool many = fault->kind == AN_ALLOCATION && k->stride > 1;
    uint64_t stride = many ? k->stride * 3 : k->stride;
    bool good = true;
    /* Another offset for each, so that a stride does not always miss the same call. */
    uint64_t first = 1 + (k->stride > 1 ? (k->passed + k->failed) % MIN(stride, calls) : 0);
    for (uint64_t at = k->errors ? 1 : first; at <= calls && good; k->trials++) {
        good = one_trial(op, fault, at);
        at += k->errors && at < ERRORS_EACH ? 1 : stride;
    }
    *(good ? &k->passed : &k->failed) += 1;
}

static void walk_operation(Walk *k, const Operation *op, unsigned account)
{
    s->account = account;
    bool good = one_trial(op, NULL, 0);
    *(good ? &k->passed : &k->failed) += 1;
    if (!good) return;
    uint64_t operations = s->operations, reads = s->reads, looks = s->looks, pages = s->pages,
             memory = s->memory;
    k->came_to_it |= operations || reads;
    if (k->stride == 1)
        printf("%s, account %u: %llu operations, %llu reads, %llu looks, %llu pages, %llu "
               "allocations\n",
               op->name, account, (unsigned long long)operations, (unsigned long long)reads,
               (unsigned long long)looks, (unsigned long long)pages, (unsigned long long)memory);
    for (size_t i = 0; i < COUNT(faults); i++) {
        const Fault *f = &faults[i];
        uint64_t calls = f->kind == AN_ALLOCATION ? memory
                         : f->kind == A_READ      ? reads
                         : f->kind == A_LOOK      ? looks
                         : f->kind == A_PAGE      ? pages
                                                  : operations;
        if (calls && (!k->errors || f->failure)) walk_fault(k, op, f, calls);
    }
}

static bool is_wanted(const char *name, const char *wanted)
{
    return !wanted || strstr(name, wanted);
}

/* The policies of the accounts differ; one that undoes expunges has nothing to do in all of them.
 */
static void walk_accounts(Walk *k, const Operation *op, unsigned accounts)
{
    k->came_to_it = false;
    for (unsigned account = 0; account < accounts; account++)
        walk_operation(k, op, account);
    if (k->came_to_it) return;
    k->failed++;
    printf("FAILED %s: it never came to it\n", op->name);
}

static void walk_all(Walk *k, const char *wanted)
{
    for (unsigned i = 0; i < WORK_OPS; i++) {
        Operation op = {.name = work_op_name((WorkOp)i), .work = (WorkOp)i};
        if (is_wanted(op.name, wanted)) walk_accounts(k, &op, WORK_ACCOUNTS);
    }
    for (size_t i = 0; i < ENGINE_OPERATIONS; i++)
        if (is_wanted(engine_operations[i].name, wanted))
            walk_accounts(k, &engine_operations[i], 1);
    for (unsigned i = 0; i < CHORES; i++) {
        Operation op = {.name = chore_name(i), .work = WORK_OPS, .ways = CHORE, .chore = i};
        if (is_wanted(op.name, wanted)) walk_accounts(k, &op, 1);
    }
}

static void make_base(bool dirty)
{
    world_init(&s->world, 5);
    int code = in_child(fault_prepare, &dirty);
    if (code && code != SIM_CRASHED) printf("the base: %d\n%s", code, said);
    must(!code || code == SIM_CRASHED);
    sim_disk_kill(disk);
}

int main(int argc, char **argv)
{
    Walk k = {.stride = 1};
    static const struct rlimit no_core;
    setrlimit(RLIMIT_CORE, &no_core);
    if (argc > 1 && !strcmp(argv[1], "--errors")) k.errors = true, argc--, argv++;
    if (argc > 1 && (!slice_to_u64(slice_of(argv[1]), &k.stride) || !k.stride)) return 64;
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(s != MAP_FAILED);
    disk = sim_disk_new(DISK_BYTES);
    for (int dirty = 1; dirty >= 0; dirty--) {
        bases[dirty] = sim_disk_new(DISK_BYTES);
        SimDisk *fresh = disk;
        make_base(dirty);
        disk = bases[dirty];
        bases[dirty] = fresh;
        s->bases[dirty] = s->world;
        s->bases[dirty].moment = fault_moment;
    }
    walk_all(&k, argc > 2 ? argv[2] : NULL);
    printf("%u trials\n%u passed, %u failed\n", k.trials, k.passed, k.failed);
    return k.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
