#pragma once
/* What a fuzz target NAME_fuzz.c defines: asserts (must) properties of what is done with the bytes
 * and returns 0. Linked with libFuzzer, or with fuzz_main.c, which runs it over its corpus. */
#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
