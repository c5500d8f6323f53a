#include "base/test.h"

TEST(scan_builds)
{
    check(true);
}
