/* Last words: what a process says that cannot go on. */
#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void something_does_not_hold(void)
{
    must(1 + 1 == 3);
}

/* Tests let the n-th one fail (MemPlan). */
static void the_second_is_refused(void)
{
    mem_plan = (MemPlan){.counting = true, .refuse_at = 2};
    free(mem_new(10));
    free(mem_zero(4711));
}

static void growing_is_refused(void)
{
    mem_plan = (MemPlan){.counting = true, .refuse_at = 1};
    free(mem_grow(NULL, 4711));
}

/* What the child said before it was ended by SIGABRT. */
static Slice last_words_of(void (*fn)(void), char *room, size_t size)
{
    int ends[2], status = 0;
    size_t len = 0;
    fflush(NULL);
    if (pipe(ends)) return S("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; len < size && (got = read(ends[0], room + len, size - len)) > 0;)
        len += (size_t)got;
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return slice(room, len);
}

TEST(a_process_that_cannot_go_on_says_why)
{
    static const struct {
        void (*fn)(void);
        const char *said;
    } rows[] = {
        {something_does_not_hold, "must hold, but does not: 1 + 1 == 3\n"        },
        {the_second_is_refused,   "out of memory: 4711 bytes are not to be had\n"},
        {growing_is_refused,      "out of memory: 4711 bytes are not to be had\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char room[1000];
        Slice said = last_words_of(rows[i].fn, room, sizeof room);
        check(slice_find_slice(said, slice_of(rows[i].said)) < said.len);
    }
}

TEST(every_error_has_a_name_and_a_meaning)
{
    static const Err all[] = {
        OK,
#define ERR(name, meaning) ERR_##name,
#include "base/err.def"
#undef ERR
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        check(strlen(err_name(all[i])) > 1 && strlen(err_meaning(all[i])) > 1);
        check(i == 0 || strcmp(err_meaning(all[i]), err_meaning(OK)) != 0);
    }
    check_slice(slice_of(err_name((Err)9999)), S("UNKNOWN"));
    check_slice(slice_of(err_meaning((Err)9999)), S("an error without a name"));
}

TEST(nothing_is_something_too)
{
    char *none = mem_new(0), *zero = mem_zero(0);
    check(none && zero);
    none = mem_grow(none, 0);
    check(none != NULL);
    free(none);
    free(zero);
}
