#pragma once
/* Unit tests register themselves: TEST(name) { check(condition); }. One main (test_main.c) runs
 * those of its program. Why our own runner and not Criterion or cmocka: tests of anything that
 * parks run inside a fiber, under three sanitizers and under the simulated world, in one process
 * that must not fork after the loop's threads exist. */
#include "base/base.h"

typedef struct Test {
    const char *name, *file;
    void (*run)(void);
    struct Test *next;
} Test;
void test_register(Test *t);
void test_failed(const char *file, int line, const char *fmt, ...) PRINTF(3, 4);
unsigned
test_complaints(void); /* of the running test, in this process: what a forked child tells */

#define TEST(name)                                                                                 \
    static void test_##name(void);                                                                 \
    __attribute__((constructor)) static void test_register_##name(void)                            \
    {                                                                                              \
        static Test t = {#name, __FILE__, test_##name, NULL};                                      \
        test_register(&t);                                                                         \
    }                                                                                              \
    PARKS_UNCHECKED static void test_##name(void)

#define check(condition) ((condition) ? (void)0 : test_failed(__FILE__, __LINE__, "%s", #condition))
#define check_ok(expression)                                                                       \
    do {                                                                                           \
        Err check_err = (expression);                                                              \
        if (check_err)                                                                             \
            test_failed(__FILE__, __LINE__, "%s: %s (%s)", #expression, err_name(check_err),       \
                        err_story());                                                              \
    } while (0)
#define check_err(expression, wanted)                                                              \
    do {                                                                                           \
        Err check_err_ = (expression);                                                             \
        if (check_err_ != (wanted))                                                                \
            test_failed(__FILE__, __LINE__, "%s: %s, not %s", #expression, err_name(check_err_),   \
                        err_name(wanted));                                                         \
    } while (0)
#define check_slice(got, wanted)                                                                   \
    do {                                                                                           \
        Slice check_got = (got), check_wanted = (wanted);                                          \
        if (!slice_eq(check_got, check_wanted))                                                    \
            test_failed(__FILE__, __LINE__, "%s: \"%.*s\", not \"%.*s\"", #got, SP(check_got),     \
                        SP(check_wanted));                                                         \
    } while (0)
#define check_u64(got, wanted)                                                                     \
    do {                                                                                           \
        unsigned long long check_a = (got), check_b = (wanted);                                    \
        if (check_a != check_b)                                                                    \
            test_failed(__FILE__, __LINE__, "%s: %llu, not %llu", #got, check_a, check_b);         \
    } while (0)

/* How tests are called; a room with fibers replaces it (run/test_run.c) so that each test is a
 * fiber. */
extern void (*test_call)(void (*run)(void));
int test_main(int argc, char **argv); /* [substring...]: only tests whose name contains one */
