#pragma once
#include "base/base.h"

/* Merge sort that lets the others run: qsort of a million rows would hold everybody up. Rows alike
 * keep their order. */
PARKS void merge_sort(uint32_t *rows, size_t count,
                      bool (*comes_before)(const void *arg, uint32_t a, uint32_t b),
                      const void *arg);
