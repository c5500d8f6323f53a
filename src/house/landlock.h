#pragma once
/* Landlock by raw system calls: what file names this process may still reach. Debian 12's header
 * knows ABI 1 only, so the newer bits are named here; the kernel says which of them it has. */
#include "base/base.h"

typedef enum {
    REACH_READ,   /* read files beneath, list directories */
    REACH_SOCKET, /* make and remove sockets in this directory */
    REACH_ALL,    /* read, write, make, rename, remove */
    REACH_RUN     /* read and start programs */
} Reach;
typedef struct {
    Slice path; /* a directory and all beneath it, or one file; passed over when it is missing */
    Reach reach;
} Reachable;

int landlock_abi(void); /* 0: the kernel has none, or a container keeps it from us */
typedef enum {
    MAY_NOTHING_ELSE, /* no TCP port can be bound or connected to (ABI 4), no signal sent to
                         processes outside (ABI 7), no abstract Unix socket connected to (ABI 6) */
    MAY_CALL,         /* but TCP ports be connected to */
    MAY_RULE          /* and whom it starts has domains of their own within */
} Beyond;
/* For every thread of the process and those they start, for ever. Sets no_new_privs. */
Err landlock_enter(const Reachable *paths, size_t count, Beyond beyond) MUST_USE;
