#pragma once
/* Landlock by raw system calls: what file names this process may still reach. Debian 12's header
 * knows ABI 1 only, so the newer bits are named here; the kernel says which of them it has. */
#include "base/base.h"

typedef enum {
    REACH_READ,   /* read files beneath, list directories */
    REACH_SOCKET, /* make and remove sockets in this directory */
    REACH_ALL     /* read, write, make, rename, remove */
} Reach;
typedef struct {
    Slice path; /* a directory and all beneath it, or one file; passed over when it is missing */
    Reach reach;
} Reachable;

int landlock_abi(void); /* 0: the kernel has none, or a container keeps it from us */
/* For every thread of the process and those they start, for ever. No TCP port can be bound or
 * connected to any more either (ABI 4). Sets no_new_privs. */
Err landlock_enter(const Reachable *paths, size_t count) MUST_USE;
/* The same, but TCP stays: for who calls other hosts. */
Err landlock_enter_calling(const Reachable *paths, size_t count) MUST_USE;
