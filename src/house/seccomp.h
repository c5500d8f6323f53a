#pragma once
/* seccomp by libseccomp: which system calls this process may still make (sandbox.def). */
#include "base/base.h"

/* For every thread of the process and those they start, for ever: what is not on the list answers
 * EPERM and is logged once by its number (event=sandbox_denied). ERR_UNSUPPORTED: a kernel without
 * seccomp. */
Err seccomp_enter(void) MUST_USE;
void seccomp_log_denied(bool on); /* off while the self test knocks at the doors */
