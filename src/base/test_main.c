/* The main of test programs whose tests need no fibers; rooms above run/ use run/test_run.c. */
#include "base/test.h"

int main(int argc, char **argv)
{
    return test_main(argc, argv);
}
