#pragma once
/* Internal to cast_test: what its roles play instead of their work. */
#include "house/role.h"

/* Tries everything that somebody would who has taken this process over; how many attempts
 * succeeded. on_files: the kernel has Landlock. Each is told on standard error. */
unsigned attack_all(const Actor *actor, bool on_files);
