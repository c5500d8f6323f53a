#pragma once
/* The configuration: one file owned by a human, never written by us. `key = value` lines, '#'
 * comments, keys as in settings.def, the first one `version = 1`. Unknown keys are errors with the
 * line and the nearest known name. A Config is a constant snapshot. */
#include "base/base.h"

typedef struct {
    Slice *items;
    size_t count;
} Words;

typedef struct Config {
    Arena memory;
#define SECTION(title)
#define TEXT(name, initial, help)   Slice name;
#define LIST(name, initial, help)   Words name;
#define FLAG(name, initial, help)   bool name;
#define NUMBER(name, initial, help) uint64_t name;
#define SIZE(name, initial, help)   uint64_t name;
#define SPAN(name, initial, help)   uint64_t name;
#include "house/settings.def"
#undef SECTION
#undef TEXT
#undef LIST
#undef FLAG
#undef NUMBER
#undef SIZE
#undef SPAN
} Config;

void config_defaults(Config *c);
Err config_parse(Config *c,
                 Slice text) MUST_USE; /* over what is there; ERR_CONFIG, story "line 3: ..." */
Err config_set(Config *c, Slice key, Slice value) MUST_USE;
Err config_options(Config *c, const Words *options) MUST_USE; /* KEY=VALUE each */
Err config_load(Config *c, Slice path) MUST_USE;              /* defaults, then the file */
void config_print_defaults(Buf *out); /* every option with its documentation, a valid file */
void config_print(const Config *c, Buf *out); /* what is in force */
/* Whether a change of it shows only after a restart. */
bool config_wants_restart(Slice key);
/* Calls tell for every setting whose value differs. */
void config_compare(const Config *a, const Config *b, void (*tell)(void *arg, Slice key),
                    void *arg);
void config_done(Config *c);
