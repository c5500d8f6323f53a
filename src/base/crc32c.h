#pragma once
/* The two ways to make a CRC-32C; callers use crc32c of base/text.h, tests compare the ways. */
#include "base/base.h"

uint32_t crc32c_by_table(uint32_t seed, Slice bytes);
/* With the processor's instruction: SSE 4.2 on x86-64, the CRC extension on aarch64. */
bool crc32c_has_hardware(void);
uint32_t crc32c_by_hardware(uint32_t seed, Slice bytes);
