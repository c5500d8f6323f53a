#pragma once
/* How much memory is left: what the kernel says of the machine, and of the control group that we
 * are in and those above it. Opened once, before the sandbox, and asked again and again. */
#include "base/base.h"

typedef struct MemoryGauge MemoryGauge;
MemoryGauge *memory_gauge_open(void); /* what cannot be opened has no limit */
void memory_gauge_close(MemoryGauge *g);
/* Octets that can be had before somebody is killed for want of memory; page cache counts as free.
 * UINT64_MAX: nobody says. Blocks for microseconds. */
uint64_t memory_gauge_left(MemoryGauge *g);

/* The pure parts. "MemAvailable:  1234 kB" in a text of lines; UINT64_MAX: not there. */
uint64_t memory_of_line(Slice text, Slice name);
/* Of a group with this memory.max, memory.current and memory.stat. */
uint64_t memory_left_in_group(Slice max, Slice current, Slice stat);
