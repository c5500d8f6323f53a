#pragma once
/* seccomp by libseccomp: which system calls this process may still make (sandbox.def). */
#include "base/memo.h"

#define CAST_ALONE CAST_COUNT /* who plays all roles: the single process */

/* For every thread of the process and those they start, for ever: what is not on the list of that
 * role answers EPERM and is logged once by its number (event=sandbox_denied), but for the warden's,
 * whose children would die of being told. ERR_UNSUPPORTED: a kernel without seccomp. */
Err seccomp_enter(CastRole role) MUST_USE;
void seccomp_log_denied(bool on);    /* off while the self test knocks at the doors */
size_t seccomp_calls(CastRole role); /* how many are on its list, whatever their arguments */
