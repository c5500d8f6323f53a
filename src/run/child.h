#pragma once
/* Another process of this program, joined to us by a pair of sockets: for what we must not be able
 * to do ourselves. The real world only; before the sandbox, which starts nothing any more. */
#include "run/sock.h"

/* Starts this program with these arguments (args[0] is its name; NULL ends them). The child has the
 * other end as descriptor 3, the standard ones, and nothing else of ours; it sees the end when we
 * do. sock is attached to this loop. ERR_UNSUPPORTED in the simulated world. */
Err child_start(const char *const *args, Sock **sock) MUST_USE;
/* In the child: our end. */
Err child_sock(Sock **sock) MUST_USE;
