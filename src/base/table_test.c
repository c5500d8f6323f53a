#include "base/test.h"

TEST(table_builds)
{
    check(true);
}
