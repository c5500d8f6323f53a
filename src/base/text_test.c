#include "base/test.h"

TEST(text_builds)
{
    check(true);
}
