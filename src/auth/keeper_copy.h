#pragma once
/* A copy of what the keeper keeps, for backups. Made by whoever may read its directory, not by
 * asking the keeper: hashes do not pass through other processes. LMDB lets a second process read
 * while the first one writes. */
#include "base/base.h"

/* Blocks. Not in a process that has this directory open. ERR_NOT_FOUND: nothing is kept there. */
Err keeper_copy(Slice dir, Slice to) MUST_USE;
