/* main for the tests of rooms that wait: every TEST is a fiber of one run with two loops. */
#include "base/test.h"
#include "run/run.h"

typedef struct {
    void (*run)(void);
    Cond ended;
    bool has_ended;
} OneTest;

static void one_test(void *arg)
{
    OneTest *t = arg;
    t->run();
    t->has_ended = true;
    cond_signal(&t->ended);
}

PARKS_UNCHECKED static void call_in_fiber(void (*run)(void))
{
    OneTest t = {.run = run};
    fiber_start("test", one_test, &t);
    while (!t.has_ended)
        cond_wait(&t.ended, NEVER);
}

typedef struct {
    int argc, result;
    char **argv;
} Program;

static void run_tests(void *arg)
{
    Program *p = arg;
    p->result = test_main(p->argc, p->argv);
}

int main(int argc, char **argv)
{
    Program p = {argc, 1, argv};
    test_call = call_in_fiber;
    fault_is_on = true;
    if (run_start(&(RunConfig){.loops = 2}, run_tests, &p)) return 1;
    return p.result;
}
