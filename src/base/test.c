#include "base/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_COMPLAINTS 20 /* shown of one test */

static Test *first_test, **next_test = &first_test;
static const char *volatile running;
static atomic_uint complaints; /* of the running test; helper threads may complain too */

static void call_directly(void (*run)(void))
{
    run();
}

void (*test_call)(void (*run)(void)) = call_directly;

void test_register(Test *t)
{
    *next_test = t;
    next_test = &t->next;
}

void test_failed(const char *file, int line, const char *fmt, ...)
{
    if (atomic_fetch_add(&complaints, 1) >= MOST_COMPLAINTS) return;
    while (!strncmp(file, "../", 3)) /* the way from the build directory */
        file += 3;
    char text[1000];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    printf("%s:%d: %s\n", file, line, text);
    fflush(stdout);
}

unsigned test_complaints(void)
{
    return atomic_load(&complaints);
}

/* A must that fails, or a crash, ends the whole run: say at least where. */
static void on_abort(int signal_number)
{
    const char *parts[] = {"FAILED ", running ? running : "before the first test", " (aborted)\n"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        ssize_t written = write(STDOUT_FILENO, parts[i], strlen(parts[i]));
        (void)written;
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i])) return true;
    return argc <= 1;
}

static bool passes(const Test *t)
{
    atomic_store(&complaints, 0);
    running = t->name;
    test_call(t->run);
    bool passed = atomic_load(&complaints) == 0;
    printf("%s %s\n", passed ? "ok" : "FAILED", t->name);
    fflush(stdout);
    return passed;
}

int test_main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    signal(SIGABRT, on_abort);
    for (const Test *t = first_test; t; t = t->next) {
        if (!is_wanted(t->name, argc, argv)) continue;
        if (passes(t))
            passed++;
        else
            failed++;
    }
    printf("%u passed, %u failed\n", passed, failed);
    fflush(stdout);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
