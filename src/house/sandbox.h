#pragma once
/* The sandbox of the single process: when everything is open and listening, what a serving house
 * does not need is given up, so that whoever takes it over by a message gets mail, not the machine.
 * File names by Landlock (landlock.h), system calls by seccomp (seccomp.h, sandbox.def). A kernel
 * that has one of them only is told of in the log, and we go on. */
#include "house/config.h"
#include "house/landlock.h"

/* Closes the doors behind this process, for ever, and tries them: an error when one is still open.
 * Nothing happens when the setting is off, under valgrind and in builds with a sanitizer that needs
 * the whole machine. */
Err sandbox_enter(const Config *config, Slice config_path) MUST_USE;

typedef struct {
    Reachable *items;
    size_t count, room;
    Arena memory;
} Reachables;
/* What a house with this configuration has to reach; for sandbox_enter and its test. */
void sandbox_reachables(const Config *config, Slice config_path, Reachables *out);
void reachables_done(Reachables *r);
/* Knocks at doors that have to be shut. files, calls: whether Landlock and seccomp are in force. */
Err sandbox_try_doors(bool files, bool calls) MUST_USE;
