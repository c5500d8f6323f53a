#pragma once
/* backup and restore: the verbs (store/backup.h says what a backup is). The files of a backup are
 * written by the command line, with the rights of who calls it; it reads the store's itself. What
 * the house does is to hold still what is being copied, and to copy the index:
 *
 *     house: 'P' plan | 'S' segments: u32 number, u32 end ... | 'R' go
 *     then the command line: 'p' u32 (segments up to this one are copied) ... | 'c' (it is
 * complete)
 *
 * Restoring to a server sends messages as import does (transfer.h). */
#include "house/verbs.h"
#include "store/backup.h"

void backup_plan_encode(Buf *out, const EngineBackup *b);
/* A 'P' or 'S' frame; segments in the arena. ERR_SYNTAX. */
Err backup_plan_decode(Slice frame, Arena *a, EngineBackup *b) MUST_USE;

/* "2026-11-22", "2026-11-22 14:05", "2026-11-22 14:05:07" as the clock here has it, with a Z behind
 * it UTC; or 30m, 2h, 3d ago. ERR_SYNTAX. */
Err moment_parse(Slice text, int64_t *moment) MUST_USE;
void moment_put(Buf *out, int64_t moment); /* as the clock here has it */

/* Progress on a terminal, from helper threads. */
typedef struct {
    const char *verb;
    bool to_terminal, line_is_open;
    uint64_t done, total; /* octets; total 0: not known */
    int64_t began_us, told_us;
} Meter;
void meter_begin(Meter *m, const char *verb);
bool meter_told(void *meter, uint64_t octets); /* BackupTold */
void meter_end(Meter *m);                      /* clears the line */
