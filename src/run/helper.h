#pragma once
/* Internal to run/: the helper threads of the real world. They are started when work comes, up to a
 * limit. */
#include "run/loop.h"

typedef struct Helpers Helpers;
Helpers *helpers_new(Run *run, unsigned most);
void helpers_queue(Helpers *h, Job *job);
void helpers_free(Helpers *h); /* after everything queued is done */
