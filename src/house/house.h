#pragma once
/* house: the main program. Configuration, processes, listeners, the control socket, the command
 * line.
 *
 * Vocabulary: the House is the open store with everything that serves it, in one process. A verb is
 * a word of the command line (verbs.def); those that need the store run in the serving process when
 * there is one, through the control socket, else in a House opened for them. Begin reading with
 * main.c, then house.c. */
#include "auth/auth.h"
#include "base/table.h"
#include "house/config.h"
#include "house/porch.h"
#include "house/snapshot.h"

#include <stdatomic.h>

typedef struct House {
    Slice config_path; /* empty: none, defaults */
    Words options;     /* KEY=VALUE over the file's, also after a reload; the caller's */
    Arena memory;
    _Atomic(Snapshot *) now;
    Store *store;
    Auth *auth;
    struct Runner *runner; /* NULL: none is needed */
    Demo demo;
    bool serving;
    int64_t started; /* Unix seconds */
    Board *board;
    bool own_board;
    struct Keeper *keeper; /* another process; NULL: in this one */
    const GrantKey *grant_key;
    struct Actor *actor; /* NULL: a house alone */
    Porch porch;
    NumberTable restoring; /* accounts into which something is put back; loop 0 */
    atomic_uint visitors;  /* at the control socket; in busy, too */
    atomic_uint busy;      /* fibers that use the house without being connections of the porch */
} House;

typedef struct {
    const Config *config; /* outlives the house */
    Slice config_path;
    const Demo *demo; /* or NULL */
    /* Of a house among other processes; NULL: it is alone, and makes its certificate. */
    Board *board;
    struct Caller *keeper;
    const GrantKey *grant_key; /* of what fronts bring */
} HouseStart;
/* Opens store and auth. ERR_IN_USE: another process has the store. */
PARKS Err house_open(const HouseStart *start, House **house) MUST_USE;
PARKS void house_close(House *house);
/* Listens everywhere and returns; connections are served until run_cancel. */
PARKS Err house_listen(House *house) MUST_USE;
/* Waits until the last connection has ended, at most ms. */
PARKS void house_drain(House *house, int64_t ms);
PARKS Err house_reload(House *house) MUST_USE;
PARKS void house_reload_with(House *house, const Config *fresh); /* taken over */
/* Serves until SIGTERM or SIGINT; SIGHUP reloads. ready(arg) is called when all ports answer. */
PARKS Err house_serve(House *house, void (*ready)(void *arg), void *arg) MUST_USE;
StoreOptions house_store_options(const Config *config, Arena *a);   /* may borrow from the arena */
Slice house_path(const Config *config, Arena *a, const char *name); /* STORE/name */
static inline const Config *house_config(House *house)
{
    return &atomic_load(&house->now)->config;
}
