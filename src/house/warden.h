#pragma once
/* The warden: opens the doors, starts the roles, joins them to each other, watches them and starts
 * them again. It reads its configuration and what the roles say, and nothing from the network.
 *
 *     warden --post--> each role            (memos with descriptors, memos.def)
 *     front  ==rings== house                (one for each loop of the house)
 *     front, house --sockets--> keeper      (Callers)
 *     keeper       --sockets--> runner
 *
 * A role that ends is started again: at once, then after 0.1, 0.2, ... 10 seconds while it keeps
 * ending. The others are told that it is gone, and handed new ends. Begin reading with
 * warden_serve. */
#include "house/house.h"

typedef struct {
    const Config *config;
    Slice config_path;
    Words options;
    const Demo *demo;         /* or NULL */
    const char *program;      /* NULL: this one */
    void (*ready)(void *arg); /* when all roles are */
    void *arg;
} WardenStart;

/* Until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR2 upgrades. The error of a role that never became
 * ready is ours. */
PARKS Err warden_serve(const WardenStart *start) MUST_USE;
