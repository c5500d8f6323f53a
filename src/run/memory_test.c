#include "base/test.h"
#include "run/memory.h"

TEST(what_the_kernel_says_of_memory)
{
    Slice machine = S("MemTotal:       24345678 kB\nMemAvailable:    1000 kB\nFree: 3\n");
    check_u64(memory_of_line(machine, S("MemAvailable:")), 1000 * 1024);
    check_u64(memory_of_line(machine, S("Free:")), 3);
    check_u64(memory_of_line(machine, S("Nothing:")), UINT64_MAX);
    check_u64(memory_of_line(S(""), S("MemAvailable:")), UINT64_MAX);
}

TEST(what_is_left_in_a_control_group)
{
    static const struct {
        Slice max, current, stat;
        uint64_t left;
    } rows[] = {
        {S("max\n"),  S("5000\n"), S("anon 1\nfile 2\n"),       UINT64_MAX},
        {S("9000\n"), S("5000\n"), S("anon 1000\nfile 2000\n"), 6000      },
        {S("9000\n"), S("5000\n"), S("file_mapped 2000\n"),     4000      },
        {S("4000\n"), S("5000\n"), S(""),                       0         },
        {S("4000\n"), S("3000\n"), S("file 9999\n"),            4000      },
        {S(""),       S("3000\n"), S(""),                       UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_u64(memory_left_in_group(rows[i].max, rows[i].current, rows[i].stat), rows[i].left);
}

TEST(there_is_some_memory_here)
{
    MemoryGauge *g = memory_gauge_open();
    check(memory_gauge_left(g) > 1024 * 1024);
    memory_gauge_close(g);
}
