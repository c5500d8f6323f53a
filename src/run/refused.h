#pragma once
/* For tests: a kernel that refuses. What a full table, a lost network or a signal make of a system
 * call cannot be had otherwise, or not reliably. */
#include "base/base.h"

/* Runs fn in a child of ours; what it complains of is told here. Nothing happens where signals of
 * system calls are somebody else's (the thread sanitizer). */
void in_refused_child(void (*fn)(void));
/* In such a child: the next calls of this number (SYS_...) answer with these errors, one after the
 * other; 0 lets one pass, and so do those behind the last. Not for calls with six arguments. */
void refuse(long call, const int *errors, size_t count);
#define REFUSE(call, ...)                                                                          \
    refuse((call), (const int[]){__VA_ARGS__}, COUNT(((const int[]){__VA_ARGS__})))
