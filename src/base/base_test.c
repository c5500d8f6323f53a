#include "base/test.h"

TEST(base_builds)
{
    check(true);
}
