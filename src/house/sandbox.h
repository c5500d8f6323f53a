#pragma once
/* The sandbox of a process: when everything is open, what its role does not need is given up, so
 * that whoever takes it over by a message gets what the role has, not the machine. File names by
 * Landlock (landlock.h), system calls by seccomp (seccomp.h, sandbox.def). A kernel that has one of
 * them only is told of in the log, and we go on. */
#include "house/config.h"
#include "house/landlock.h"
#include "house/seccomp.h"

typedef struct {
    CastRole role; /* or CAST_ALONE */
    const Config *config;
    Slice config_path;   /* warden and single process: what a reload reads; else empty */
    const char *program; /* warden: what it starts */
} Sandbox;

/* Closes the doors behind this process, for ever, and tries them: an error when one is still open.
 * Nothing happens when the setting is off, under valgrind and in builds with a sanitizer that needs
 * the whole machine. */
Err sandbox_enter(const Sandbox *sandbox) MUST_USE;

typedef struct {
    Reachable *items;
    size_t count, room;
    Arena memory;
} Reachables;
/* What such a process has to reach; for sandbox_enter and its test. */
void sandbox_reachables(const Sandbox *sandbox, Reachables *out);
void reachables_done(Reachables *r);
/* Knocks at doors that have to be shut. files, calls: whether Landlock and seccomp are in force. */
Err sandbox_try_doors(const Sandbox *sandbox, bool files, bool calls) MUST_USE;
